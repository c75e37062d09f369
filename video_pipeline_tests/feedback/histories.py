"""Past days for the replay: clips that were given to a model, and how each ended."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from video_pipeline.briefs import Brief, storyboard_of
from video_pipeline.feedback import RecordedDay
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState
from video_pipeline.orders import RenderOrder
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan, RoutingState, plan_clip
from video_pipeline_tests.feedback.rows import DAY, a_fact

USUAL = RoutingState()
# Words that make a shot of a kind.
PROMPTS = {"default": "a red kettle on a table", "action": "a dog jumps over a fence"}


def a_plan(
    name: str,
    catalogue: Catalogue,
    policy: Policy,
    state: RoutingState = USUAL,
    *,
    day: date = DAY,
    **fields: Any,
) -> ClipPlan:
    """A draft of two seconds, as it was planned under `state`."""
    given: dict[str, Any] = {
        "brief_id": name,
        "title": name,
        "prompt": PROMPTS["default"],
        "duration_s": 2,
        "platforms": ("youtube_shorts",),
        "quality": "draft",
        "visual_complexity": 0.5,
    }
    board = storyboard_of(Brief.model_validate(given | fields), day, cap_s=policy.generation.max_segment_s)
    return plan_clip(board, catalogue, policy.routing, state, max_attempts=policy.generation.max_attempts)


def attempts_at(plan: ClipPlan, *ends: JobState | FailureKind, shot: int = 0, **fields: Any) -> list[Job]:
    """The attempts at a shot's planned model, by how they ended; what was rendered was billed, a failure was not."""
    decision, board = plan.decisions[shot], plan.storyboard
    made: list[Job] = []
    for number, end in enumerate(ends):
        failure = end if isinstance(end, FailureKind) else None
        values: dict[str, Any] = {
            "key": hashlib.sha256(f"{plan.clip_id} {shot} {number} {fields.get('model', '')}".encode()).hexdigest(),
            "kind": JobKind.VIDEO,
            "day": board.day,
            "clip_id": plan.clip_id,
            "shot": shot,
            "shot_sha256": board.shot_sha256(board.shots[shot]),
            "attempt": number,
            "strategy": "original",
            "reason": "",
            "tier": decision.tier.value,
            "provider": "fal",
            "model": decision.model,
            "model_version": decision.model_version,
            "order": RenderOrder(
                prompt=board.shots[shot].prompt,
                duration_s=decision.requested_s,
                orientation=board.orientation,
                resolution=decision.resolution,
                audio=decision.audio,
            ),
            "request": {},
            "request_sha256": "0" * 64,
            "expected_usd": decision.attempt_usd,
            "state": JobState.FAILED if failure else end,
            "run_id": "run",
            "failure_kind": failure,
            "billed_usd": Decimal(0) if failure else decision.attempt_usd,
            "billed_s": 0.0 if failure else decision.requested_s,
            "submitted_at": datetime(2026, 11, 21, 12, number, tzinfo=UTC),
        }
        made.append(Job(**(values | fields)))
    return made


def a_day(
    plans: Sequence[ClipPlan],
    jobs: Sequence[Job],
    *,
    usable: Mapping[str, bool] | None = None,
    day: date = DAY,
    state: RoutingState = USUAL,
) -> RecordedDay:
    """A day whose clips were delivered when a model's file was accepted, but for what `usable` says by brief."""
    delivered = {job.clip_id: False for job in jobs}
    delivered |= {job.clip_id: True for job in jobs if job.state is JobState.ACCEPTED}
    delivered |= {f"{day}/{name}": value for name, value in (usable or {}).items()}
    facts = [a_fact(clip.rpartition("/")[2], day=day, usable=value) for clip, value in delivered.items()]
    return RecordedDay(day, plans, {}, jobs, {fact.clip_id: fact for fact in facts}, state)


def at_prices(catalogue: Catalogue, **times: float) -> Catalogue:
    """The catalogue with the prices of some models, named without their maker, times a number."""
    models = []
    for model in catalogue.models:
        factor = Decimal(str(times.get(model.model.rpartition("/")[2], 1)))
        silent = {size: usd * factor for size, usd in model.price.silent.items()}
        models.append(model.model_copy(update={"price": model.price.model_copy(update={"silent": silent})}))
    return catalogue.model_copy(update={"models": tuple(models)})
