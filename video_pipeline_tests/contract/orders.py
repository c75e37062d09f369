"""Briefs, plans and jobs for tests, made by the code that makes them in production."""

from datetime import date
from typing import Any

from video_pipeline.briefs import Brief, Reference, storyboard_of
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.requests import build_job
from video_pipeline.ledger import Job
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan, RoutingState, plan_clip

DAY = date(2026, 11, 21)
MAX_ATTEMPTS = 7


def brief_of(prompt: str | None = None, **fields: Any) -> Brief:
    """A one-second draft of `prompt`, which the sandbox's cheapest model renders."""
    given: dict[str, Any] = {
        "brief_id": "a-clip",
        "title": "A clip",
        "platforms": ("youtube_shorts",),
        "quality": "draft",
        "visual_complexity": 0.5,
    }
    if prompt is not None:
        given |= {"prompt": prompt, "duration_s": 1}
    return Brief.model_validate(given | fields)


def plan_of(
    brief: Brief, catalogue: Catalogue, policy: Policy, *, day: date = DAY, references: tuple[str, ...] = ()
) -> ClipPlan:
    """The clip's plan while nothing is frozen or demoted; `references` are keys of pictures of `mara`."""
    storyboard = storyboard_of(brief, day, cap_s=policy.generation.max_segment_s)
    shown = tuple(Reference(of="mara", key=key) for key in references)
    shots = tuple(shot.model_copy(update={"references": shown}) for shot in storyboard.shots)
    storyboard = storyboard.model_copy(update={"shots": shots})
    return plan_clip(storyboard, catalogue, policy.routing, RoutingState(), max_attempts=MAX_ATTEMPTS)


def job_of(
    brief: Brief, catalogue: Catalogue, policy: Policy, *, attempt: Attempt | None = None, day: date = DAY
) -> Job:
    """The planned job of an attempt at the brief's first shot; of its first attempt when none is given."""
    plan = plan_of(brief, catalogue, policy, day=day)
    first = Attempt(0, Strategy.ORIGINAL, plan.storyboard.shots[0].prompt)
    return build_job(plan, plan.decisions[0], attempt or first, catalogue, run_id="a-run")
