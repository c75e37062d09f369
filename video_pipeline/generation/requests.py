"""Building a job: the provider's arguments from a routing decision, and the two hashes that identify it.

The *request hash* covers what decides the picture (model, version, prompt, references, parameters) and is the
cache's key. The *job key* adds clip, shot and attempt and names one purchase. The seed comes from the job key
unless the brief gives one, so it also serves as our reference when a lost submit is looked up.
"""

import hashlib
import json
from typing import Any

from video_pipeline.briefs import Orientation
from video_pipeline.generation.ladder import Attempt
from video_pipeline.ledger import Job, JobKind, JobState
from video_pipeline.routing import Catalogue, ClipPlan, Decision, Model

_ASPECT_RATIOS = {Orientation.PORTRAIT: "9:16", Orientation.LANDSCAPE: "16:9", Orientation.SQUARE: "1:1"}


def build_job(plan: ClipPlan, decision: Decision, attempt: Attempt, catalogue: Catalogue, *, run_id: str) -> Job:
    """The planned job of one attempt at one shot."""
    shot = plan.storyboard.shots[decision.shot]
    if attempt.kind is JobKind.IMAGE:
        anchor = catalogue.anchor
        model, version, provider = anchor.model, anchor.version, anchor.provider
        endpoint, arguments = anchor.endpoint, _image_arguments(plan, attempt)
        requested_s, usd, takes_seed = 0.0, anchor.usd_per_image, True
    else:
        entry = catalogue.named(decision.model or "")
        model, version, provider = entry.model, entry.version, entry.provider
        endpoint, arguments = _video_arguments(plan, decision, attempt, entry)
        requested_s, usd, takes_seed = decision.requested_s, decision.attempt_usd, entry.wire.seed
    brief_seed = plan.storyboard.brief.seed
    if brief_seed is not None and takes_seed:
        # The same seed would give the same bad clip again.
        arguments["seed"] = (brief_seed + attempt.number) % 2**31
    request_sha256 = _sha256({"endpoint": endpoint, "model": model, "version": version, "arguments": arguments})
    key = _sha256({"clip": plan.clip_id, "shot": shot.index, "attempt": attempt.number, "request": request_sha256})
    if brief_seed is None and takes_seed:
        arguments["seed"] = int(key[:8], 16) % 2**31
    return Job(
        key=key,
        kind=attempt.kind,
        day=plan.storyboard.day,
        clip_id=plan.clip_id,
        shot=shot.index,
        shot_sha256=plan.storyboard.shot_sha256(shot),
        attempt=attempt.number,
        strategy=attempt.strategy,
        reason=attempt.reason,
        tier=decision.tier,
        provider=provider,
        model=model,
        model_version=version,
        endpoint=endpoint,
        request=arguments,
        request_sha256=request_sha256,
        requested_s=requested_s,
        expected_usd=usd,
        state=JobState.PLANNED,
        run_id=run_id,
    )


def can_anchor(decision: Decision, catalogue: Catalogue) -> bool:
    """Whether the model of a decision takes a picture to start from; one that the catalogue has lost takes none."""
    return any(model.model == decision.model and model.wire.image_to_video is not None for model in catalogue.models)


def _video_arguments(
    plan: ClipPlan, decision: Decision, attempt: Attempt, model: Model
) -> tuple[str, dict[str, Any]]:
    wire = model.wire
    seconds = int(decision.requested_s)
    arguments: dict[str, Any] = {
        "prompt": attempt.prompt,
        "duration": {"int": seconds, "string": str(seconds), "seconds_string": f"{seconds}s"}[wire.duration_as],
        "aspect_ratio": _ASPECT_RATIOS[plan.storyboard.orientation],
    }
    if wire.resolution_field:
        arguments[wire.resolution_field] = decision.resolution
    if wire.audio_field:
        arguments[wire.audio_field] = decision.audio
    if attempt.image is None:
        return wire.text_to_video, arguments
    arguments[wire.image_field] = attempt.image.media_url
    return wire.image_to_video or wire.text_to_video, arguments


def _image_arguments(plan: ClipPlan, attempt: Attempt) -> dict[str, Any]:
    sizes = {
        Orientation.PORTRAIT: "portrait_16_9",
        Orientation.LANDSCAPE: "landscape_16_9",
        Orientation.SQUARE: "square_hd",
    }
    return {"prompt": attempt.prompt, "image_size": sizes[plan.storyboard.orientation], "num_images": 1}


def _sha256(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
