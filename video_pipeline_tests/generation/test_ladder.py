"""The ladder as what it is: a pure function from a shot's history to the next step."""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from video_pipeline.briefs import StoryboardShot
from video_pipeline.generation.ladder import (
    LADDER,
    Attempt,
    Continue,
    Done,
    Step,
    Stop,
    Strategy,
    may_be_chance,
    next_step,
    soften,
)
from video_pipeline.ledger import OUTSIDE_THE_SHOT, FailureKind, Job, JobKind, JobState
from video_pipeline.orders import Ending
from video_pipeline.policy import GenerationPolicy, load_policy
from video_pipeline_tests.generation.histories import MODELS, accepted, first, refused, rejected, row, shot_of

POLICY = load_policy().generation
HOME = POLICY.model_copy(update={"max_other_models": 0})
SHOT = shot_of()
SOFTENED = soften(SHOT.prompt, POLICY)


def step(shot: StoryboardShot, *history: Job, can_anchor: bool = True, policy: GenerationPolicy = POLICY) -> Step:
    return next_step(shot, history, policy, can_anchor=can_anchor)


def attempt_at(shot: StoryboardShot, *history: Job, **options) -> Attempt:
    found = step(shot, *history, **options)
    assert isinstance(found, Attempt)
    return found


def climbed(shot: StoryboardShot, refusals: int, *, can_anchor: bool = True) -> list[Job]:
    """The history of a shot that was refused so often."""
    history: list[Job] = []
    for _ in range(refusals):
        history.append(refused(attempt_at(shot, *history, can_anchor=can_anchor)))
    return history


# --- the table ---------------------------------------------------------------------------------------------------


def test_a_shot_begins_with_what_the_brief_asks() -> None:
    assert step(SHOT) == Attempt(0, Strategy.ORIGINAL, SHOT.prompt)


@pytest.mark.parametrize(
    "state",
    [
        JobState.RESERVED,
        JobState.SUBMITTING,
        JobState.SUBMITTED,
        JobState.PROCESSING,
        JobState.RENDERED,
        JobState.STORED,
    ],
)
def test_a_job_under_way_goes_on(state: JobState) -> None:
    job = row(first(SHOT), state)
    assert step(SHOT, job) == Continue(job)


def test_an_accepted_clip_is_the_end() -> None:
    job = accepted(first(SHOT))
    assert step(SHOT, job) == Done(job)


def test_a_lost_submit_waits_for_a_person_and_is_never_bought_again() -> None:
    found = step(SHOT, row(first(SHOT), JobState.UNKNOWN))
    assert isinstance(found, Stop)
    assert found.person


def test_refusals_climb_the_ladder_in_its_order_then_go_to_other_models_and_then_to_a_person() -> None:
    history = climbed(SHOT, POLICY.max_attempts)
    others = [Strategy.OTHER_MODEL] * POLICY.max_other_models
    assert [job.strategy for job in history] == [Strategy.ORIGINAL, *LADDER, *others]
    picture = f"Photograph, {SOFTENED}"
    assert [job.order.prompt for job in history[:4]] == [SHOT.prompt, SOFTENED, "rain on a window", picture]
    assert {job.order.prompt for job in history[4:]} == {SOFTENED}
    assert [job.kind for job in history[:4]] == [JobKind.VIDEO] * 3 + [JobKind.IMAGE]
    assert [job.model for job in history[4:]] == list(MODELS[1:])
    assert [job.attempt for job in history] == list(range(POLICY.max_attempts))
    found = step(SHOT, *history)
    assert isinstance(found, Stop)
    assert found.person
    assert "other_model" in found.reason


def test_a_shot_that_nothing_can_be_softened_in_goes_to_another_model_as_it_is() -> None:
    shot = shot_of("A harbour at dawn", broll=())
    found = attempt_at(shot, *climbed(shot, 2))
    assert (found.strategy, found.prompt, found.not_by) == (Strategy.OTHER_MODEL, shot.prompt, {MODELS[0]})
    assert found.reason == f"refused by {MODELS[0]}: because of moderation"


def test_what_another_model_spoils_it_makes_again_and_never_the_model_that_refused() -> None:
    history = climbed(SHOT, 4)
    history += [rejected(attempt_at(SHOT, *history))]
    again = attempt_at(SHOT, *history)
    assert (again.strategy, again.not_by) == (Strategy.OTHER_MODEL, {MODELS[0]})
    history += [row(again, JobState.FAILED, FailureKind.GENERATION)]
    modified = attempt_at(SHOT, *history)
    assert (modified.strategy, modified.not_by) == (Strategy.MODIFIED_PROMPT, {MODELS[0]})
    after = attempt_at(SHOT, *history, refused(modified))
    assert (after.strategy, after.not_by) == (Strategy.OTHER_MODEL, {MODELS[0], MODELS[1]})


def test_every_rung_says_what_it_answers() -> None:
    assert "because of moderation" in attempt_at(SHOT, refused(first(SHOT))).reason


def test_an_accepted_picture_is_animated_in_the_same_attempt() -> None:
    history = climbed(SHOT, 3)
    picture = accepted(attempt_at(SHOT, *history))
    moving = attempt_at(SHOT, *history, picture)
    assert (moving.kind, moving.image, moving.number) == (JobKind.VIDEO, picture, picture.attempt)
    assert moving.strategy is Strategy.IMAGE_ANCHORING
    assert moving.prompt == "Slow camera movement, subtle natural motion"
    clip = accepted(moving)
    assert step(SHOT, *history, picture, clip) == Done(clip)


def test_a_rung_that_has_nothing_to_offer_is_left_out() -> None:
    shot = shot_of("A casino on a stage", broll=())
    assert attempt_at(shot, refused(first(shot))).strategy is Strategy.IMAGE_ANCHORING
    assert attempt_at(shot, refused(first(shot)), can_anchor=False).strategy is Strategy.OTHER_MODEL
    assert isinstance(step(shot, refused(first(shot)), can_anchor=False, policy=HOME), Stop)


def test_fewer_attempts_may_be_allowed() -> None:
    policy = HOME.model_copy(update={"max_ladder_attempts": 1})
    found = step(SHOT, *climbed(SHOT, 2), policy=policy)
    assert isinstance(found, Stop)
    assert found.person


def test_a_failed_job_is_tried_once_more_with_another_prompt() -> None:
    failed = row(first(SHOT), JobState.FAILED, FailureKind.GENERATION)
    again = attempt_at(SHOT, failed)
    assert (again.number, again.strategy) == (1, Strategy.MODIFIED_PROMPT)
    assert again.prompt != SHOT.prompt
    assert SHOT.prompt in again.reason
    assert "because of generation" in again.reason
    found = step(SHOT, failed, row(again, JobState.FAILED, FailureKind.GENERATION))
    assert isinstance(found, Stop)
    assert found.person


def test_a_modified_prompt_does_not_go_back_to_the_words_that_were_refused() -> None:
    softened = attempt_at(SHOT, refused(first(SHOT)))
    failed = row(softened, JobState.FAILED, FailureKind.GENERATION)
    assert SHOT.prompt not in attempt_at(SHOT, refused(first(SHOT)), failed).prompt


def test_a_rejected_clip_is_made_again_until_there_were_three_in_a_row() -> None:
    history = [rejected(first(SHOT))]
    again = attempt_at(SHOT, *history)
    assert (again.number, again.strategy, again.prompt) == (1, Strategy.ORIGINAL, SHOT.prompt)
    assert "black" in again.reason
    assert "frozen" not in again.reason
    history += [rejected(again)]
    history += [rejected(attempt_at(SHOT, *history))]
    found = step(SHOT, *history)
    assert isinstance(found, Stop)
    assert found.person
    assert "3 clips" in found.reason


def test_three_rejected_clips_in_a_row_are_three_when_each_starts_from_a_picture() -> None:
    history = climbed(SHOT, 3)
    for _ in range(POLICY.max_quality_failures):
        history.append(accepted(attempt_at(SHOT, *history)))
        history.append(rejected(attempt_at(SHOT, *history)))
    found = step(SHOT, *history)
    assert isinstance(found, Stop)
    assert found.person


def test_what_was_refused_is_said_neither_of_a_picture_nor_beside_it() -> None:
    shot = shot_of("A sad fisherman mends a net by the harbour")
    history = climbed(shot, 3)
    picture = attempt_at(shot, *history)
    assert picture.prompt == soften(shot.prompt, POLICY) == "Medium shot, minimal expression, by the harbour"
    assert attempt_at(shot, *history, accepted(picture)).prompt == picture.prompt
    # What has no softer words is at least no text for a clip any more.
    harmless = shot_of("A casino on a stage", broll=())
    history = [refused(first(harmless))]
    picture = attempt_at(harmless, *history)
    assert picture.prompt == "Photograph, A casino on a stage"
    history += [accepted(picture)]
    history += [rejected(attempt_at(harmless, *history))]
    again = attempt_at(harmless, *history)
    assert (again.kind, again.prompt) == (JobKind.IMAGE, picture.prompt)


def test_a_clip_from_a_picture_that_failed_is_tried_once_more_from_it() -> None:
    history = climbed(SHOT, 3)
    history.append(accepted(attempt_at(SHOT, *history)))
    history.append(row(attempt_at(SHOT, *history), JobState.FAILED, FailureKind.GENERATION))
    again = attempt_at(SHOT, *history)
    assert (again.strategy, again.kind, again.image) == (Strategy.MODIFIED_PROMPT, JobKind.VIDEO, history[3])


def test_what_its_model_took_before_is_asked_once_more_where_that_costs_nothing_and_is_allowed() -> None:
    chance = row(first(SHOT), JobState.FAILED, FailureKind.MODERATION)
    again = next_step(SHOT, [chance], POLICY, can_anchor=True, passed_before=True)
    assert isinstance(again, Attempt)
    assert (again.number, again.strategy, again.prompt) == (1, Strategy.ORIGINAL, SHOT.prompt)
    assert again.reason.endswith("because of moderation; it took the same prompt before, and is asked once more")
    history = [chance, row(again, JobState.FAILED, FailureKind.MODERATION)]
    assert not may_be_chance(history)
    history += [refused(attempt_at(SHOT, *history))]
    history += [refused(attempt_at(SHOT, *history))]
    assert [job.strategy for job in history[2:]] == [Strategy.PROMPT_REMAPPING, Strategy.SHOT_SUBSTITUTION]
    # It counts as one of the three.
    assert attempt_at(SHOT, *history).strategy is Strategy.OTHER_MODEL


@pytest.mark.parametrize(
    "fields", [{"retry_allowed": False}, {"billed_usd": Decimal(1)}], ids=["not allowed", "billed"]
)
def test_what_may_not_be_asked_again_or_cost_something_is_not(fields: dict[str, Any]) -> None:
    refusal = row(first(SHOT), JobState.FAILED, FailureKind.MODERATION, **fields)
    assert not may_be_chance([refusal])
    found = next_step(SHOT, [refusal], POLICY, can_anchor=True, passed_before=True)
    assert isinstance(found, Attempt)
    assert found.strategy is Strategy.PROMPT_REMAPPING


def test_after_an_output_that_was_refused_what_is_to_be_seen_changes() -> None:
    shot = shot_of("A sad fisherman mends a net by the harbour", broll=())
    seen = row(first(shot), JobState.FAILED, FailureKind.MODERATION, ending=Ending.OUTPUT_REFUSED)
    said = row(first(shot), JobState.FAILED, FailureKind.MODERATION, ending=Ending.PROMPT_REFUSED)
    softer = attempt_at(shot, seen, can_anchor=False)
    assert softer.prompt == "Medium shot, minimal expression, a distant figure mends a net by the harbour"
    assert softer.prompt != attempt_at(shot, said, can_anchor=False).prompt
    assert softer.reason.startswith("sandbox/sprint took the prompt, and what it made was refused: because of")
    assert attempt_at(shot, said, can_anchor=False).reason.startswith("refused by sandbox/sprint: because of")
    stop = step(shot, seen, policy=POLICY.model_copy(update={"max_ladder_attempts": 0, "max_other_models": 0}))
    assert isinstance(stop, Stop)
    assert stop.reason.endswith("; 1 of them only when the clip was made")


@pytest.mark.parametrize("kind", sorted(OUTSIDE_THE_SHOT))
def test_trouble_outside_the_shot_asks_the_same_once_more(kind: FailureKind) -> None:
    again = attempt_at(SHOT, row(first(SHOT), JobState.FAILED, kind))
    assert (again.number, again.strategy, again.prompt) == (1, Strategy.ORIGINAL, SHOT.prompt)
    assert kind.value in again.reason


def test_a_clip_from_a_picture_that_failed_outside_the_shot_needs_no_second_picture() -> None:
    history = climbed(SHOT, 3)
    picture = accepted(attempt_at(SHOT, *history))
    failed = row(attempt_at(SHOT, *history, picture), JobState.FAILED, FailureKind.TRANSIENT)
    again = attempt_at(SHOT, *history, picture, failed)
    assert (again.kind, again.image, again.number) == (JobKind.VIDEO, picture, failed.attempt + 1)


# --- the laws ----------------------------------------------------------------------------------------------------

OUTCOMES = (
    (JobState.ACCEPTED, None),
    (JobState.REJECTED, None),
    (JobState.UNKNOWN, None),
    *((JobState.FAILED, kind) for kind in FailureKind),
)
PROMPTS = st.sampled_from(
    ["Close-up of CEO speaking", "A harbour at dawn", "A casino", "Medium shot, professional setting, minimal"]
)
SHOTS = st.builds(
    lambda prompt, broll: shot_of(prompt, broll=tuple(broll)), PROMPTS, st.lists(PROMPTS, max_size=2, unique=True)
)
POLICIES = st.builds(
    lambda ladder, others, modified, quality: POLICY.model_copy(
        update={
            "max_ladder_attempts": ladder,
            "max_other_models": others,
            "max_modified_retries": modified,
            "max_quality_failures": quality,
        }
    ),
    st.integers(0, 3),
    # A modified prompt that is refused sends the shot on to one more.
    st.integers(0, len(MODELS) - 2),
    st.integers(0, 1),
    st.integers(1, 3),
)


# So many failures outside of a shot leave no model to serve it.
TROUBLES = 3


def bound(policy: GenerationPolicy) -> int:
    """More jobs than any history within one run may have: every rung, twice for the picture, each with rejections."""
    phases = policy.max_attempts + policy.max_modified_retries
    return 2 * phases * policy.max_quality_failures


class World(NamedTuple):
    """What a shot's clips and pictures come to, one after the other; the last answer stays."""

    clips: list[int]
    pictures: list[int]

    def answer(self, history: Sequence[Job], kind: JobKind) -> tuple[JobState, FailureKind | None]:
        answers = self.pictures if kind is JobKind.IMAGE else self.clips
        so_far = sum(job.kind is kind for job in history)
        return OUTCOMES[answers[min(so_far, len(answers) - 1)]]


def play(shot: StoryboardShot, policy: GenerationPolicy, world: World, *, can_anchor: bool) -> tuple[list[Job], Step]:
    """What happens to a shot in one run, in which few models can serve it."""
    history: list[Job] = []
    for _ in range(bound(policy) + TROUBLES + 1):
        found = next_step(shot, history, policy, can_anchor=can_anchor)
        outside = sum(job.failure_kind in OUTSIDE_THE_SHOT for job in history)
        if not isinstance(found, Attempt) or outside >= TROUBLES:
            return history, found
        state, kind = world.answer(history, found.kind)
        history.append(row(found, state, kind, retry_allowed=kind is not FailureKind.MODERATION))
    raise AssertionError(f"still buying after {len(history)} jobs, the last one {history[-1].strategy}")


ANSWERS = st.lists(st.integers(0, len(OUTCOMES) - 1), min_size=1, max_size=6)
WORLDS = st.builds(World, ANSWERS, ANSWERS)


@settings(max_examples=400, deadline=None)
@given(SHOTS, POLICIES, WORLDS, st.booleans())
# Refused three times, then clips from a picture are rejected for ever.
@example(SHOT, POLICY, World([3, 3, 3, 1], [0]), True)
def test_every_history_comes_to_an_end(
    shot: StoryboardShot, policy: GenerationPolicy, world: World, can_anchor: bool
) -> None:
    history, last = play(shot, policy, world, can_anchor=can_anchor)
    assert isinstance(last, Done | Stop) or sum(job.failure_kind in OUTSIDE_THE_SHOT for job in history) == TROUBLES
    anchored = Strategy.IMAGE_ANCHORING
    rungs = {
        (job.strategy, job.strategy == anchored or job.order.prompt) for job in history if job.strategy in LADDER
    }
    assert len(rungs) <= policy.max_ladder_attempts


@settings(max_examples=200, deadline=None)
@given(SHOTS, POLICIES, WORLDS, st.booleans())
def test_what_failed_outside_the_shot_does_not_count_on_the_ladder(
    shot: StoryboardShot, policy: GenerationPolicy, world: World, can_anchor: bool
) -> None:
    history, _ = play(shot, policy, world, can_anchor=can_anchor)
    judged = [job for job in history if job.failure_kind not in OUTSIDE_THE_SHOT]
    if not judged or judged[-1] is not history[-1]:
        return
    with_them = next_step(shot, history, policy, can_anchor=can_anchor)
    assert with_them == next_step(shot, judged, policy, can_anchor=can_anchor)


@settings(max_examples=300, deadline=None)
@given(SHOTS, WORLDS, st.booleans())
# A substitute that is the very prompt that was refused.
@example(shot_of("A casino", broll=("A casino",)), World([3], [0]), False)
def test_a_refused_request_is_never_made_again(shot: StoryboardShot, world: World, can_anchor: bool) -> None:
    history, _ = play(shot, POLICY, world, can_anchor=can_anchor)
    refusals: set[tuple[str, JobKind, bool, str]] = set()
    for job in history:
        # A picture's words, and those beside a picture, are judged by other rules than a text's.
        asked = (job.model, job.kind, job.order.start_image is not None, job.order.prompt)
        assert asked not in refusals, f"{asked} was refused before"
        if job.strategy in LADDER:
            assert job.order.prompt not in {prompt for *_, prompt in refusals}
        if job.failure_kind is FailureKind.MODERATION:
            refusals.add(asked)


@settings(max_examples=200, deadline=None)
@given(SHOTS, WORLDS, st.booleans(), st.randoms(use_true_random=False))
def test_a_restart_takes_the_very_step_that_would_have_come_next(
    shot: StoryboardShot, world: World, can_anchor: bool, chance: random.Random
) -> None:
    history, last = play(shot, POLICY, world, can_anchor=can_anchor)
    known = history[: chance.randint(0, len(history))]
    twice = [next_step(shot, list(known), POLICY, can_anchor=can_anchor) for _ in range(2)]
    assert twice[0] == twice[1]
    if len(known) < len(history):
        done = history[len(known)]
        assert isinstance(twice[0], Attempt)
        assert (twice[0].number, twice[0].strategy, twice[0].kind) == (done.attempt, done.strategy, done.kind)
        assert twice[0].prompt == done.order.prompt
        assert done.model not in twice[0].not_by
    else:
        assert twice[0] == last


# Another model fails first, and then refuses what is sent in other words.
@example(shot_of("Close-up of CEO speaking"), World([3, 3, 4, 3], [0]), False)
@settings(max_examples=200, deadline=None)
@given(SHOTS, WORLDS, st.booleans())
def test_attempts_are_numbered_without_a_gap_and_a_number_names_one_job_of_a_kind(
    shot: StoryboardShot, world: World, can_anchor: bool
) -> None:
    history, _ = play(shot, POLICY, world, can_anchor=can_anchor)
    numbers = [job.attempt for job in history]
    assert sorted(set(numbers)) == list(range(len(set(numbers))))
    assert numbers == sorted(numbers)
    assert len({(job.attempt, job.kind) for job in history}) == len(history)
    others = {job.model for job in history if job.strategy == Strategy.OTHER_MODEL}
    assert len(others) <= POLICY.max_other_models


# --- softening ---------------------------------------------------------------------------------------------------


def test_the_close_up_of_the_ceo_becomes_the_medium_shot() -> None:
    shot = shot_of("Close-up of CEO speaking with confidence")
    attempt = attempt_at(shot, refused(first(shot)))
    assert attempt.prompt == "Medium shot, professional setting, minimal expression"
    assert attempt.reason.endswith(
        "framing 'Close-up' left out, profession 'CEO' left out, speech 'speaking with confidence' left out"
    )


def test_what_no_other_rung_needs_is_for_softer_words_which_change_more_each_time() -> None:
    shot = shot_of("Close-up of a woman crying in the rain, an old tram behind her", broll=())
    history = climbed(shot, 4, can_anchor=False)
    assert [job.strategy for job in history] == [Strategy.ORIGINAL, *[Strategy.PROMPT_REMAPPING] * 3]
    assert [job.order.prompt for job in history[1:]] == [
        "Close-up of a woman in the rain, an old tram behind her, minimal expression",
        "Medium shot of a woman in the rain, an old tram behind her, minimal expression",
        "Medium shot, minimal expression, in the rain, an old tram behind her",
    ]
    assert attempt_at(shot, *history, can_anchor=False).strategy is Strategy.OTHER_MODEL


def test_a_second_substitute_is_sent_where_no_other_rung_needs_the_attempt() -> None:
    shot = shot_of("A casino", broll=("A lamp", "A door", "A roof", "A road"))
    assert [job.order.prompt for job in climbed(shot, 4, can_anchor=False)][1:] == ["A lamp", "A door", "A roof"]
    history = climbed(shot, 4)
    assert [job.order.prompt for job in history[1:3]] == ["A lamp", "A door"]
    assert history[3].strategy == Strategy.IMAGE_ANCHORING


def test_what_the_provider_names_is_softened_first() -> None:
    shot = shot_of("Close-up of a woman crying in the rain", broll=())
    named = row(first(shot), JobState.FAILED, FailureKind.MODERATION, failure_reason="it shows a 'close-up'")
    assert attempt_at(shot, named, can_anchor=False).prompt == "Medium shot of a woman crying in the rain"


def test_a_harmless_prompt_has_no_softer_words() -> None:
    assert soften("A lighthouse at dawn, waves breaking", POLICY) == "A lighthouse at dawn, waves breaking"
    shot = shot_of("A lighthouse at dawn, waves breaking")
    assert attempt_at(shot, refused(first(shot))).strategy is Strategy.SHOT_SUBSTITUTION


# --- prompts that are longer than a model takes ------------------------------------------------------------------


def cut(job: Job, most: int) -> Job:
    """The row of an attempt whose prompt was cut to so many characters."""
    prompt = job.order.prompt
    return replace(job, order=job.order.model_copy(update={"prompt": prompt[:most], "left_out": prompt[most:]}))


def test_a_softer_prompt_that_was_cut_is_not_sent_a_second_time() -> None:
    history: list[Job] = []
    while isinstance(found := step(SHOT, *history), Attempt) and len(history) < 20:
        history.append(cut(refused(found), 9))
    assert isinstance(found, Stop)
    plain: list[Job] = []
    while isinstance(found := step(SHOT, *plain), Attempt):
        plain.append(refused(found))
    assert [job.order.asked for job in history] == [job.order.asked for job in plain]


def test_after_a_failure_what_is_asked_besides_stands_in_the_place_of_the_cut_end() -> None:
    shot = shot_of("A quay at dawn. Gulls over the water. Slow waves and a boat that leaves the pier")
    failed = row(first(shot), JobState.FAILED, FailureKind.GENERATION)
    prompt = attempt_at(shot, cut(failed, 52)).prompt
    assert len(prompt) <= 52
    assert prompt.endswith(". Simple composition, steady camera")
