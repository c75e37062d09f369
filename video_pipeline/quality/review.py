"""The verdict on a finished clip: passed, rejected, or waiting for a person (Q1, Q6)."""

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus, ReviewedClip, UpscaledClip
from video_pipeline.ledger import Ledger, Mark, ReviewStage, ReviewState
from video_pipeline.media import Stills
from video_pipeline.policy import Policy
from video_pipeline.quality.gate import check_clip
from video_pipeline.quality.messages import clip_rejected, person_needed
from video_pipeline.quality.verdict import ClipVerdict, Expectation
from video_pipeline.storage import ObjectStore


def review_stage(file_sha256: str) -> str:
    """The name under which a person is asked about one very file: another file is asked about anew."""
    return f"{ReviewStage.TECHNICAL} {file_sha256[:16]}"


def review_clip(
    ledger: Ledger,
    store: ObjectStore,
    notifier: Notifier,
    clip: UpscaledClip,
    *,
    policy: Policy,
    stills: Stills | None = None,
) -> tuple[ReviewedClip, ClipVerdict | None]:
    """Check the finished file against what was ordered; a person's word on it, once given, stands.

    `stills` take pictures from the same decode. The verdict is None for a clip that has no file.
    """
    row = ReviewedClip(**clip.model_dump())
    if clip.status is ClipStatus.REJECTED and clip.media_sha256:
        _reject(ledger, notifier, clip, clip.media_sha256)
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
        verdict = check_clip(path, expected, policy.quality.technical, stills=stills)
    ledger.trails.mark(clip.clip_id, Mark.REVIEWED, unless=Mark.REVIEWED)
    if verdict.passed:
        return row.model_copy(update={"status": ClipStatus.PASSED}), verdict
    failed = tuple(check.name.value for check in verdict.failures)
    reason = "; ".join(check.message for check in verdict.failures)
    stage = review_stage(clip.final_sha256 or "")
    if ledger.reviews.open(clip.clip_id, stage, reason):
        notifier.notify(person_needed(clip.clip_id, stage, reason))
    asked = ledger.reviews.get(clip.clip_id, stage)
    status = {
        ReviewState.WAITING: ClipStatus.REVIEW,
        ReviewState.APPROVED: ClipStatus.PASSED,
        ReviewState.REJECTED: ClipStatus.REJECTED,
    }[asked.state if asked else ReviewState.WAITING]
    return row.model_copy(update={"status": status, "reason": reason, "failed_checks": failed}), verdict


def _reject(ledger: Ledger, notifier: Notifier, clip: UpscaledClip, media_sha256: str) -> None:
    """Record that a generated file is of no use, so that the ledger knows that its clip ends here, and tell it.

    A person has nothing to decide: there is no finished file that could be approved.
    """
    stage = review_stage(media_sha256)
    ledger.reviews.open(clip.clip_id, stage, clip.reason)
    asked = ledger.reviews.get(clip.clip_id, stage)
    if asked is not None and asked.state is ReviewState.WAITING:
        ledger.reviews.decide(clip.clip_id, stage, ReviewState.REJECTED, by="checks", reason_code="unusable")
    notifier.notify(clip_rejected(clip.clip_id, stage, clip.reason))
