"""What becomes of a clip that has been looked at: it goes on, is rejected, or waits for a person (Q1, Q2, Q6)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus, GeneratedClip, ReviewedClip, UpscaledClip
from video_pipeline.ledger import Ledger, Mark, Review, ReviewStage, ReviewState
from video_pipeline.media import Stills
from video_pipeline.policy import Policy, QualityPolicy
from video_pipeline.quality.checks import ask
from video_pipeline.quality.gate import look_at, pass_gate
from video_pipeline.quality.messages import cannot_look, clip_rejected, person_needed
from video_pipeline.quality.verdict import (
    Check,
    CheckName,
    ClipVerdict,
    Consequence,
    Expectation,
    Gate,
    SafetyFinding,
    SafetyOutcome,
)
from video_pipeline.quality.wording import Wording, wording_of
from video_pipeline.storage import ObjectStore, clip_key

_STATUS = {
    ReviewState.WAITING: ClipStatus.REVIEW,
    ReviewState.APPROVED: ClipStatus.PASSED,
    ReviewState.REJECTED: ClipStatus.REJECTED,
}


def review_stage(file_sha256: str, stage: ReviewStage = ReviewStage.TECHNICAL) -> str:
    """The name under which a person is asked about one very file, or text: another one is asked about anew."""
    return f"{stage} {file_sha256[:16]}"


def review_raw(
    ledger: Ledger,
    store: ObjectStore,
    notifier: Notifier,
    clip: GeneratedClip,
    verdicts: Sequence[Mapping[str, Any] | None],
    policy: QualityPolicy,
) -> GeneratedClip:
    """Hold a raw clip back that a person has to look at, before anything is upscaled (Q2).

    `verdicts` are the raw gate's on the files that the clip is made of, as the ledger keeps them. What could not be
    measured then is measured now, of the clip, unless a person has decided already.
    """
    told = [ClipVerdict.model_validate(verdict) for verdict in verdicts if verdict is not None]
    failures = [check for verdict in told if not verdict.unmeasured for check in verdict.failures]
    known = ledger.reviews.get(clip.clip_id, review_stage(clip.media_sha256 or "", ReviewStage.RAW))
    decided = known is not None and known.state is not ReviewState.WAITING
    if not decided and any(verdict.unmeasured for verdict in told):
        with store.local_copy(clip.media_key or "") as path:
            finding = look_at(path, policy)
        failures += [check for check in ask(Gate.RAW, finding) if not check.passed]
        _tell_unmeasured(notifier, clip.day, finding)
    seen_at = f" Look at {store.url(clip.media_key or '')}"
    held = _settled(ledger, notifier, clip.clip_id, ReviewStage.RAW, clip.media_sha256 or "", failures, seen_at)
    if held is None:
        return clip
    return clip.model_copy(update={"status": _STATUS[held.state], "reason": _reason(failures) or held.reason})


def review_clip(
    ledger: Ledger,
    store: ObjectStore,
    notifier: Notifier,
    clip: UpscaledClip,
    brief: Brief | None,
    *,
    policy: Policy,
    stills: Stills | None = None,
) -> tuple[ReviewedClip, ClipVerdict | None]:
    """Look at the finished file and at its brief's words; a person's word on either, once given, stands.

    Without a `brief` nothing is published, and its words need nobody. `stills` take pictures from the same decode.
    The verdict is None for a clip that has no file.
    """
    row = ReviewedClip(**clip.model_dump())
    raw_stage = review_stage(clip.media_sha256 or "", ReviewStage.RAW)
    on_raw = ledger.reviews.get(clip.clip_id, raw_stage)
    refused_raw = on_raw is not None and on_raw.state is ReviewState.REJECTED
    if clip.status is ClipStatus.REJECTED and clip.media_sha256 and not refused_raw:
        stage = review_stage(clip.media_sha256)
        ledger.reviews.withdraw_others(clip.clip_id, ReviewStage.TECHNICAL, keep=stage)
        _reject(ledger, notifier, clip.clip_id, stage, clip.reason, "unusable")
    if clip.status is not ClipStatus.UPSCALED or clip.final_key is None:
        return row, None
    ledger.trails.mark(clip.clip_id, Mark.REVIEWING, unless=Mark.REVIEWED)
    short_side = policy.routing.delivered_short_side
    expected = Expectation(
        size=(short_side, short_side),
        duration_s=clip.expected_s,
        audio=clip.audio_expected,
        tolerance=policy.routing.duration_tolerance,
        seam_faults=clip.seam_faults,
    )
    with store.local_copy(clip.final_key) as path:
        verdict = pass_gate(path, expected, policy.quality, gate=Gate.FINAL, stills=stills)
    wording = wording_of(brief, policy) if brief is not None else None
    if wording is not None:
        verdict = verdict.model_copy(update={"checks": (*verdict.checks, *ask(Gate.FINAL, wording))})
    ledger.trails.mark(clip.clip_id, Mark.REVIEWED, unless=Mark.REVIEWED)
    row = row.model_copy(update=_seen(store, clip, verdict))
    _tell_unmeasured(notifier, clip.day, verdict.safety)
    of_file = [check for check in verdict.failures if check.name is not CheckName.WORDING]
    if on_raw is not None and on_raw.state is ReviewState.APPROVED:
        # Who has looked at the raw clip has seen all that there is to see.
        of_file = [check for check in of_file if check.name is not CheckName.SAFETY]
    on_file = _settled(ledger, notifier, clip.clip_id, ReviewStage.TECHNICAL, clip.final_sha256 or "", of_file)
    on_words = _on_words(ledger, notifier, clip.clip_id, wording) if wording is not None else None
    held = [one for one in (on_file, on_words) if one is not None]
    states = {one.state for one in held}
    worst = next((one for one in (ReviewState.REJECTED, ReviewState.WAITING) if one in states), ReviewState.APPROVED)
    reason = _reason(verdict.failures) or "; ".join(one.reason for one in held)
    return row.model_copy(update={"status": _STATUS[worst], "reason": reason}), verdict


def ask_about_words(ledger: Ledger, notifier: Notifier, clip_id: str, brief: Brief, policy: Policy) -> Review | None:
    """What keeps a brief's words from being published: a question, or a no. None where nothing does."""
    return _on_words(ledger, notifier, clip_id, wording_of(brief, policy))


def _on_words(ledger: Ledger, notifier: Notifier, clip_id: str, wording: Wording) -> Review | None:
    failures = [check for check in ask(Gate.FINAL, wording) if not check.passed]
    return _settled(ledger, notifier, clip_id, ReviewStage.WORDING, wording.sha256, failures)


def _settled(
    ledger: Ledger,
    notifier: Notifier,
    clip_id: str,
    kind: ReviewStage,
    sha256: str,
    failures: Sequence[Check],
    seen_at: str = "",
) -> Review | None:
    """What holds a clip back after those checks of one file or text: a question, or a no. None where nothing does.

    A person's word stands. `seen_at` tells the person where it can be looked at.
    """
    stage = review_stage(sha256, kind)
    ledger.reviews.withdraw_others(clip_id, kind, keep=stage)
    if not failures:
        ledger.reviews.withdraw(clip_id, stage)
        known = ledger.reviews.get(clip_id, stage)
        return known if known is not None and known.state is ReviewState.REJECTED else None
    reason = _reason(failures) + seen_at
    if not all(check.follows is Consequence.PERSON for check in failures):
        return _reject(ledger, notifier, clip_id, stage, reason, "unsafe")
    review, is_new = _opened(ledger, clip_id, stage, reason)
    if is_new:
        notifier.notify(person_needed(clip_id, stage, reason))
    return None if review.state is ReviewState.APPROVED else review


def _reject(
    ledger: Ledger, notifier: Notifier, clip_id: str, stage: str, reason: str, reason_code: str
) -> Review | None:
    """Record that a file is of no use, so that the ledger knows that its clip ends here, and tell it.

    A person has nothing to decide; one who had decided before is heard.
    """
    review, _ = _opened(ledger, clip_id, stage, reason)
    if review.state is ReviewState.APPROVED:
        return None
    if review.state is ReviewState.WAITING:
        ledger.reviews.decide(clip_id, stage, ReviewState.REJECTED, by="checks", reason_code=reason_code)
    notifier.notify(clip_rejected(clip_id, stage, reason))
    return replace(review, state=ReviewState.REJECTED)


def _opened(ledger: Ledger, clip_id: str, stage: str, reason: str) -> tuple[Review, bool]:
    """The question with this reason, or what was decided at that stage; and whether the question is new."""
    known = ledger.reviews.get(clip_id, stage)
    if known is not None and known.reason != reason:
        # What is no longer true need not be answered.
        ledger.reviews.withdraw(clip_id, stage)
    is_new = ledger.reviews.open(clip_id, stage, reason)
    asked = ledger.reviews.get(clip_id, stage)
    return asked or Review(clip_id, stage, reason, ReviewState.WAITING, datetime.now(UTC)), is_new


def _reason(failures: Sequence[Check]) -> str:
    return "; ".join(dict.fromkeys(check.message for check in failures))


def _seen(store: ObjectStore, clip: UpscaledClip, verdict: ClipVerdict) -> dict[str, Any]:
    """The verdict's columns of a clip's row; the verdict itself is kept beside the clip."""
    key = clip_key(clip.day, clip.brief_id, "review", f"{(clip.final_sha256 or '')[:16]}.json")
    document = verdict.model_dump_json(indent=1).encode()
    kept = store.put_bytes(key, document, content_type="application/json", overwrite=True)
    return {
        "failed_checks": tuple(check.name.value for check in verdict.failures),
        "safety": verdict.safety.outcome.value if verdict.safety else "",
        "safety_score": verdict.safety.worst if verdict.safety else None,
        "verdict_key": kept.key,
    }


def _tell_unmeasured(notifier: Notifier, day: date, finding: SafetyFinding | None) -> None:
    if finding is not None and finding.outcome is SafetyOutcome.UNMEASURED:
        notifier.notify(cannot_look(day, finding.reason))
