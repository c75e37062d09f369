"""A clip's row in the day's table: what its plan and its jobs come to."""

from collections.abc import Sequence
from decimal import Decimal

from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.generation.assembly import Assembled
from video_pipeline.ledger import Job, JobKind, JobState
from video_pipeline.routing import ClipPlan


def clip_row(plan: ClipPlan, history: Sequence[Job], status: ClipStatus, reason: str = "") -> GeneratedClip:
    """The row of a clip, as yet without a file; `history` holds every attempt at each of its shots."""
    decision = plan.decisions[0]
    last = next((job for job in reversed(history) if job.kind is JobKind.VIDEO), None)
    return GeneratedClip(
        clip_id=plan.clip_id,
        brief_id=plan.storyboard.brief.brief_id,
        day=plan.storyboard.day,
        status=status,
        reason=reason,
        tier=decision.tier,
        model=last.model if last else decision.model,
        model_version=last.model_version if last else decision.model_version,
        strategy=history[-1].strategy if history else "",
        fall_over="; ".join(dict.fromkeys(filter(None, (one.fall_over for one in plan.decisions)))),
        bibles=", ".join(dict.fromkeys(used.name for shot in plan.storyboard.shots for used in shot.bibles)),
        attempts=sum(job.kind is JobKind.VIDEO and job.submitted_at is not None for job in history),
        segments=len(plan.decisions),
        stills=tuple(_stills(history).values()),
        billed_usd=sum((job.billed_usd for job in history), Decimal(0)),
        saved_usd=sum((job.saved_usd for job in history), Decimal(0)),
        expected_s=plan.storyboard.brief.total_s,
        audio_expected=any(decision.audio for decision in plan.decisions),
    )


def finished_row(plan: ClipPlan, history: Sequence[Job], jobs: Sequence[Job], made: Assembled) -> GeneratedClip:
    """A generated clip: `jobs` are the accepted ones, one a shot, and `made` is what they were joined into."""
    stored, info = made.stored, made.info
    return clip_row(plan, history, ClipStatus.GENERATED).model_copy(
        update={
            "media_key": stored.key,
            "media_sha256": stored.sha256,
            "size": info.video.size if info.video else None,
            "duration_s": info.duration_s,
            "stills": tuple(
                key for shot, key in _stills(history).items() if any(_starts_from_one(job, shot) for job in jobs)
            ),
            # A script is as long as it takes to say, whatever was asked.
            **({"expected_s": info.duration_s} if plan.storyboard.brief.scripts else {}),
            "audio": bool(info.audio),
            "cached": all(job.cached_from for job in jobs),
            "strategy": "+".join(dict.fromkeys(job.strategy for job in jobs)),
            "model": "+".join(dict.fromkeys(job.model for job in jobs)),
            "model_version": "+".join(dict.fromkeys(job.model_version for job in jobs)),
            "seams": tuple(f"segments {at} and {at + 1}: {seam.told}" for at, seam in made.seams.items()),
            "seam_faults": tuple(
                f"between segments {at} and {at + 1} {fault}"
                for at, seam in made.seams.items()
                for fault in seam.faults
            ),
        }
    )


def _stills(history: Sequence[Job]) -> dict[int, str]:
    """Of each shot the key of the last picture that was made to start from."""
    pictures = [job for job in history if job.kind is JobKind.IMAGE and job.state is JobState.ACCEPTED]
    return {job.shot: job.media_key for job in pictures if job.media_key}


def _starts_from_one(job: Job, shot: int) -> bool:
    return job.shot == shot and job.order.start_image is not None
