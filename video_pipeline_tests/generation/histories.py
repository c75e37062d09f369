"""Histories of a shot, row by row, for tests of the ladder: what each attempt would look like in the ledger."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from video_pipeline.briefs import ShotKind, StoryboardShot
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState
from video_pipeline.orders import Orientation, RenderOrder

RUN = "this-run"
MODELS = ("sandbox/sprint", "sandbox/dash", "sandbox/steady", "sandbox/motion")


def shot_of(prompt: str = "Close-up of a woman crying", *, broll: tuple[str, ...] = ("rain on a window",)):
    return StoryboardShot(index=0, prompt=prompt, duration_s=2, kind=ShotKind.DEFAULT, broll=broll)


def row(attempt: Attempt, state: JobState, kind: FailureKind | None = None, **fields: Any) -> Job:
    """The ledger's row of `attempt` when it has come to `state`; of the first of MODELS that it is for."""
    picture = attempt.image.media_url if attempt.image else None
    length_s = 0 if attempt.kind is JobKind.IMAGE else 2
    job = Job(
        key=f"{attempt.number}-{attempt.kind}",
        kind=attempt.kind,
        day=date(2026, 11, 21),
        clip_id="2026-11-21/a-clip",
        shot=0,
        shot_sha256="shot",
        attempt=attempt.number,
        strategy=attempt.strategy,
        reason=attempt.reason,
        tier="preview",
        provider="fal",
        model=next(model for model in MODELS if model not in attempt.not_by),
        model_version="1",
        order=RenderOrder(
            prompt=attempt.prompt, duration_s=length_s, orientation=Orientation.PORTRAIT, start_image=picture
        ),
        request={},
        request_sha256=attempt.prompt,
        expected_usd=Decimal("0.044"),
        state=state,
        run_id=RUN,
        failure_kind=kind,
        failure_reason=None if kind is None else f"because of {kind}",
        media_url="https://media.example/still.png",
    )
    return replace(job, **fields)


def first(shot: StoryboardShot) -> Attempt:
    return Attempt(0, Strategy.ORIGINAL, shot.prompt)


def refused(attempt: Attempt) -> Job:
    return row(attempt, JobState.FAILED, FailureKind.MODERATION, retry_allowed=False)


def rejected(attempt: Attempt) -> Job:
    verdict = {"checks": [{"name": "black", "passed": False}, {"name": "frozen", "passed": True}]}
    return row(attempt, JobState.REJECTED, verdict=verdict)


def accepted(attempt: Attempt) -> Job:
    return row(attempt, JobState.ACCEPTED)
