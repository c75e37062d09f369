"""What to do next about a shot: a pure function of what has happened to it so far (G2.2, G2.3).

Because nothing else is remembered, a restart after any crash takes the very step that would have come next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from video_pipeline.briefs import StoryboardShot, fitted, prompt_length
from video_pipeline.ledger import OUTSIDE_THE_SHOT, FailureKind, Job, JobKind, JobState
from video_pipeline.orders import Ending, RenderOrder
from video_pipeline.policy import GenerationPolicy
from video_pipeline.quality import CheckName, Consequence
from video_pipeline.remapping import Degree, Variant, remapper_for


class Strategy(StrEnum):
    """How an attempt differs from what the brief asked; the ladder's rungs in their order.

    With an approved preview nothing is attempted: its file serves.
    """

    ORIGINAL = "original"
    PROMPT_REMAPPING = "prompt_remapping"
    SHOT_SUBSTITUTION = "shot_substitution"
    IMAGE_ANCHORING = "image_anchoring"
    OTHER_MODEL = "other_model"
    MODIFIED_PROMPT = "modified_prompt"
    CORRECTED_PROMPT = "corrected_prompt"
    APPROVED_PREVIEW = "approved_preview"


LADDER = (Strategy.PROMPT_REMAPPING, Strategy.SHOT_SUBSTITUTION, Strategy.IMAGE_ANCHORING)


@dataclass(frozen=True)
class Attempt:
    """Buy one: a picture to anchor on, or the shot itself (from `image` when there is one, or from `frame`, the
    address of the last frame of the segment before it).

    `not_by` names the models that have refused the shot, once it is for others to make.
    """

    number: int
    strategy: Strategy
    prompt: str
    kind: JobKind = JobKind.VIDEO
    image: Job | None = None
    frame: str | None = None
    reason: str = ""
    not_by: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Continue:
    """Go on with a job that is under way."""

    job: Job


@dataclass(frozen=True)
class Done:
    job: Job


@dataclass(frozen=True)
class Stop:
    """Not in this run; the next one may go on. `person` says that only a person can."""

    reason: str
    person: bool


Step = Attempt | Continue | Done | Stop


def next_step(
    shot: StoryboardShot,
    history: Sequence[Job],
    policy: GenerationPolicy,
    *,
    can_anchor: bool,
    passed_before: bool = False,
) -> Step:
    """The next step for `shot` after `history`: its jobs, in order of attempts, without those that it is owed.

    `passed_before` says of a last job that `may_be_chance` that its model once took the very prompt. Which model
    serves an attempt is not said here (`serving.py`), only which ones do not.
    """
    step = _step(shot, history, policy, can_anchor=can_anchor, passed_before=passed_before)
    tried = {job.strategy for job in history}
    if not isinstance(step, Attempt) or Strategy.OTHER_MODEL not in {step.strategy, *tried}:
        return step
    refusals = (job for job in history if job.failure_kind is FailureKind.MODERATION and job.kind is JobKind.VIDEO)
    return replace(step, not_by=frozenset(job.model for job in refusals))


def _step(
    shot: StoryboardShot, history: Sequence[Job], policy: GenerationPolicy, *, can_anchor: bool, passed_before: bool
) -> Step:
    if not history:
        return Attempt(0, Strategy.ORIGINAL, shot.prompt)
    last = history[-1]
    judged = [job for job in history if job.failure_kind not in OUTSIDE_THE_SHOT]
    if last.state is JobState.ACCEPTED:
        return Done(last) if last.kind is JobKind.VIDEO else _from_picture(shot, judged, policy)
    if last.state is JobState.UNKNOWN:
        return Stop(doubt(last), person=True)
    if last.state is JobState.REJECTED:
        return _after_rejection(judged, policy)
    if last.state is not JobState.FAILED:
        return Continue(last)
    if last.failure_kind is FailureKind.MODERATION:
        return _after_refusal(shot, judged, policy, can_anchor=can_anchor, passed_before=passed_before)
    if last.failure_kind is FailureKind.GENERATION:
        return _after_failure(judged, policy)
    return _once_more(history)


def owed(history: Sequence[Job], overdue: Callable[[Job], bool]) -> list[Job]:
    """Bought jobs under way that their shot does not wait for: `overdue` ones, and those that were so before another.

    They stay the shot's: what comes of them is taken in and booked.
    """
    bought = (JobState.SUBMITTED, JobState.PROCESSING, JobState.RENDERED, JobState.STORED)
    return [
        job for number, job in enumerate(history) if job.state in bought and (history[number + 1 :] or overdue(job))
    ]


def may_be_chance(history: Sequence[Job]) -> bool:
    """Whether the last job is a refusal that cost nothing, may be asked for again, and was not yet."""
    if not history:
        return False
    last = history[-1]
    refused = last.failure_kind is FailureKind.MODERATION and last.kind is JobKind.VIDEO
    asked = sum(_request(job) == _request(last) for job in history if job.failure_kind not in OUTSIDE_THE_SHOT)
    return refused and last.retry_allowed and not last.billed_usd and asked == 1


def doubt(job: Job) -> str:
    """Why a job whose submit was never answered stops its shot."""
    return f"{job.model} may have been paid for without an answer; a person must look"


def outlived(job: Job) -> str:
    """Why a job that its provider does not hand over for longer than files live stops its shot."""
    return f"{job.model} was paid for, and {job.provider} does not hand over its file; a person must look"


def soften(prompt: str, policy: GenerationPolicy) -> str:
    """The prompt as softly as it can be said (G2.2); as it is, where nothing in it may be refused.

    "Close-up of CEO speaking with confidence" -> "Medium shot, professional setting, minimal expression".
    """
    return remapper_for(policy.remapping).softest(prompt)


def _from_picture(shot: StoryboardShot, history: Sequence[Job], policy: GenerationPolicy) -> Attempt:
    """The clip from the picture that came last; words that were refused are not said beside it either."""
    picture, prompt = history[-1], soften(shot.prompt, policy)
    if prompt in _refused(history):
        prompt = remapper_for(policy.remapping).motion(prompt)
    return Attempt(picture.attempt, Strategy.IMAGE_ANCHORING, prompt, image=picture, reason=picture.reason)


def _refused(history: Sequence[Job]) -> set[str]:
    """The prompts that moderation has refused."""
    return {job.order.asked for job in history if job.failure_kind is FailureKind.MODERATION}


def _after_refusal(
    shot: StoryboardShot, history: Sequence[Job], policy: GenerationPolicy, *, can_anchor: bool, passed_before: bool
) -> Step:
    """The next rung that has something new to offer; then the next model, as what one refuses another may take.

    A model that has refused a prompt is never sent it again as it was, but once where it took it before. A script
    that was refused is a person's.
    """
    last = history[-1]
    tried = {Strategy(job.strategy) for job in history}
    sent = {job.order.asked for job in history}
    reason = _told(last)
    if shot.script is not None:
        # No other words for what is seen mend what is said, and none are put into anybody's mouth.
        return Stop(f"{reason}; what is said is for a person to change, in the brief's script", person=True)
    left = policy.max_ladder_attempts - _climbed(history) - _equal_tries(history)
    # A shot that has left its model does not climb the ladder a second time.
    if Strategy.OTHER_MODEL not in tried and left > 0:
        if passed_before and may_be_chance(history):
            told = f"{reason}; it took the same prompt before, and is asked once more"
            return replace(_as_before(history), reason=told)
        substitute = next((prompt for prompt in shot.substitutes if prompt not in sent), None)
        anchor = can_anchor and Strategy.IMAGE_ANCHORING not in tried
        owed_first = substitute is not None and Strategy.SHOT_SUBSTITUTION not in tried
        # What the other rungs do not need is for softer words, which keep more of what the brief asks.
        softer = _softer(shot, history, policy, left - owed_first - anchor, last_words=not anchor)
        number = last.attempt + 1
        if softer is not None:
            told = f"{reason}; softened: {softer.told}"
            return Attempt(number, Strategy.PROMPT_REMAPPING, softer.prompt, reason=told)
        # And then for what else can stand in.
        if substitute is not None and (owed_first or left > anchor):
            return Attempt(number, Strategy.SHOT_SUBSTITUTION, substitute, reason=reason)
        if anchor:
            prompt = soften(shot.prompt, policy)
            if prompt in _refused(history):
                prompt = remapper_for(policy.remapping).as_picture(prompt)
            return Attempt(number, Strategy.IMAGE_ANCHORING, prompt, kind=JobKind.IMAGE, reason=reason)
    # Also one that failed first, and has refused what was sent after that.
    others = {job.model for job in history if job.strategy == Strategy.OTHER_MODEL}
    if len(others) < policy.max_other_models:
        return Attempt(last.attempt + 1, Strategy.OTHER_MODEL, soften(shot.prompt, policy), reason=reason)
    return Stop(refused_everywhere(history), person=True)


def _told(refusal: Job) -> str:
    """Who has refused what, and why."""
    if refusal.ending is Ending.OUTPUT_REFUSED:
        return f"{refusal.model} took the prompt, and what it made was refused: {refusal.failure_reason}"
    return f"refused by {refusal.model}: {refusal.failure_reason}"


def _equal_tries(history: Sequence[Job]) -> int:
    """How many requests were made once more after they were refused."""
    refused: set[tuple[str, ...]] = set()
    again: set[tuple[str, ...]] = set()
    for job in history:
        again |= {_request(job)} & refused
        if job.failure_kind is FailureKind.MODERATION:
            refused.add(_request(job))
    return len(again)


def _request(job: Job) -> tuple[str, ...]:
    """What a model was asked for, as its moderation sees it."""
    return job.model, job.kind, job.order.prompt, job.order.start_image or ""


def _climbed(history: Sequence[Job]) -> int:
    """How many rungs were tried: each softer prompt, each substitute, and the picture."""
    return len({(job.strategy, _words(job)) for job in history if job.strategy in LADDER})


def _words(job: Job) -> str:
    """What an attempt says; a picture and the clip from it are one rung, whatever they say."""
    return "" if job.strategy == Strategy.IMAGE_ANCHORING else job.order.asked


def _softer(
    shot: StoryboardShot, history: Sequence[Job], policy: GenerationPolicy, attempts: int, *, last_words: bool
) -> Variant | None:
    """The next softer prompt, when so many attempts may be made at softer prompts; None when there is none.

    The first attempt is always one of these. The fewer there are, the more each changes. The softest is left to a
    picture, unless none comes and these are the `last_words`.
    """
    sent = [job.order.asked for job in history]
    remapped = any(job.strategy == Strategy.PROMPT_REMAPPING for job in history)
    if remapped and attempts < 1:
        return None
    said = next((job.failure_reason or "" for job in history if job.failure_kind is FailureKind.MODERATION), "")
    variants = remapper_for(policy.remapping).variants(shot.prompt, said)
    # Never back to one that changes less than one that was refused.
    after = max((number for number, one in enumerate(variants, 1) if one.prompt in sent), default=0)
    new = variants[after:]
    if remapped and attempts == 1 and last_words:
        return new[-1] if new else None
    least = {2: Degree.ALL, 3: Degree.NAMED}.get(min(attempts, 3), Degree.IMPERSONAL)
    if history[-1].ending is Ending.OUTPUT_REFUSED:
        # Its words passed: what is to be seen has to change.
        least = Degree.IMPERSONAL
    milder = [one for one in new if one.degree < Degree.SCENE] or list(new)
    return next((one for one in milder if one.degree >= least), milder[-1] if milder else None)


def refused_everywhere(history: Sequence[Job]) -> str:
    """Why a shot stops that no strategy has brought through, and no model."""
    tried = sorted({job.strategy for job in history if job.failure_kind not in OUTSIDE_THE_SHOT})
    made = sum(job.ending is Ending.OUTPUT_REFUSED for job in history)
    seen = f"; {made} of them only when the clip was made" if made else ""
    return f"refused by moderation under every strategy ({', '.join(tried)}){seen}"


def _after_failure(history: Sequence[Job], policy: GenerationPolicy) -> Step:
    """One retry with a modified prompt; modified from what was sent last, which moderation let through."""
    last = history[-1]
    modified = sum(job.strategy == Strategy.MODIFIED_PROMPT for job in history)
    if modified >= policy.max_modified_retries:
        return Stop(f"{last.model} failed again after a modified prompt: {last.failure_reason}", person=True)
    prompt = _besides(last.order, ["Simple composition, steady camera"])
    reason = f"{last.model} failed on {last.order.prompt!r}: {last.failure_reason}"
    return Attempt(last.attempt + 1, Strategy.MODIFIED_PROMPT, prompt, image=_picture_of(history), reason=reason)


def _after_rejection(history: Sequence[Job], policy: GenerationPolicy) -> Step:
    in_a_row = 0
    for job in reversed(history):
        if job.kind is JobKind.IMAGE and job.state is JobState.ACCEPTED:
            # The picture that the next clip was made from stands between two clips.
            continue
        if job.state is not JobState.REJECTED:
            break
        in_a_row += 1
    if in_a_row >= policy.max_quality_failures:
        return Stop(f"{in_a_row} clips in a row failed the quality checks", person=True)
    failed = [check for check in (history[-1].verdict or {}).get("checks", ()) if not check["passed"]]
    names = ", ".join(check["name"] for check in failed)
    reason = f"the clip failed its quality checks: {names or 'see the verdict'}"
    again = _again(history, reason)
    # What a damaged file shows says nothing of the words, but where it is unsafe. Verdicts of earlier releases do not
    # say what follows.
    mended = [check["name"] for check in failed if check.get("follows") == Consequence.CORRECTED_PROMPT]
    by_words = len(mended) == len(failed) or CheckName.SAFETY in mended
    sent = next(job.order for job in reversed(history) if job.order.asked == again.prompt)
    prompt = _corrected(sent, mended, policy)
    if not by_words or prompt == again.prompt:
        return again
    # A picture is bought anew, and what it was to show is in its own words.
    strategy = again.strategy if again.kind is JobKind.IMAGE else Strategy.CORRECTED_PROMPT
    return replace(again, strategy=strategy, prompt=prompt)


def _corrected(order: RenderOrder, failed: Sequence[str], policy: GenerationPolicy) -> str:
    """The prompt with what it asks for besides after those checks, unless it asks for that already."""
    if CheckName.SAFETY in failed:
        order = order.model_copy(update={"prompt": soften(order.prompt, policy)})
    words = [policy.corrections.get(name, "") for name in failed]
    new = [one for one in words if one not in order.asked]
    return _besides(order, new) if new else order.asked


def _besides(order: RenderOrder, new: Sequence[str]) -> str:
    """What an order has sent, and more; where the model takes no more, that stands in the place of its end."""
    more = ". ".join(["", *new])
    sent = order.prompt.rstrip(". ")
    return (fitted(sent, max(1, prompt_length(sent) - prompt_length(more)))[0] if order.left_out else sent) + more


def _once_more(history: Sequence[Job]) -> Attempt:
    """The same attempt, after one that failed outside the shot; from the same picture, where it had one."""
    last = history[-1]
    reason = f"the attempt before failed outside the shot ({last.failure_kind})"
    if _picture_of(history) is None:
        return _again(history, reason)
    return replace(_as_before(history), reason=reason)


def _as_before(history: Sequence[Job]) -> Attempt:
    """The last clip once more, from the same picture, where it had one."""
    last = history[-1]
    return Attempt(last.attempt + 1, Strategy(last.strategy), last.order.asked, image=_picture_of(history))


def _picture_of(history: Sequence[Job]) -> Job | None:
    """The picture that the last clip was made from."""
    if history[-1].kind is JobKind.IMAGE or not history[-1].order.start_image:
        return None
    pictures = [job for job in history if job.kind is JobKind.IMAGE and job.state is JobState.ACCEPTED]
    return pictures[-1] if pictures else None


def _again(history: Sequence[Job], reason: str) -> Attempt:
    """The same strategy once more, as a new attempt with a new seed; an anchored clip from a new picture."""
    last, strategy = history[-1], Strategy(history[-1].strategy)
    if strategy is Strategy.IMAGE_ANCHORING:
        picture = next(job for job in reversed(history) if job.kind is JobKind.IMAGE)
        return Attempt(last.attempt + 1, strategy, picture.order.asked, kind=JobKind.IMAGE, reason=reason)
    return Attempt(last.attempt + 1, strategy, last.order.asked, image=_picture_of(history), reason=reason)
