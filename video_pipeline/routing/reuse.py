"""An approved preview as the clip that it is a preview of: what of it serves, and why the rest does not.

A brief names its preview in `preview_of`; that is the approval. The preview's render of a shot serves where the two
briefs are the same but for their quality, and its model is as good as the brief's tier asks. Nothing is bought then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from video_pipeline.briefs import Storyboard, StoryboardShot
from video_pipeline.ledger import Job, Ledger
from video_pipeline.policy import RoutingThresholds
from video_pipeline.routing.catalogue import Catalogue
from video_pipeline.routing.decision import Decision, Reuse
from video_pipeline.routing.levers import Lever
from video_pipeline.routing.options import is_complex


@dataclass(frozen=True)
class Preview:
    """The preview that a brief names: its clip, accepted renders by their shot's hash, or why it serves nothing."""

    clip_id: str
    renders: Mapping[str, Job] = field(default_factory=dict[str, Job])
    why_not: str = ""


def preview_of(ledger: Ledger, storyboard: Storyboard, policy: RoutingThresholds) -> Preview | None:
    """The preview that the storyboard's brief names, as the ledger knows it; None when it names none."""
    named = storyboard.brief.preview_of
    if not named:
        return None
    if not policy.levers.reuse_previews:
        return Preview(named, why_not="the policy does not reuse previews")
    made = ledger.jobs.accepted_of(named, until=storyboard.day)
    if not made:
        return Preview(named, why_not=f"no clip of the preview {named} has been made")
    clip_id = made[0].clip_id
    if (refused := ledger.reviews.refusal_of(clip_id)) is not None:
        return Preview(clip_id, why_not=f"the preview {clip_id} was rejected: {refused.reason}")
    return Preview(clip_id, {job.shot_sha256: job for job in made})


def with_preview(
    storyboard: Storyboard, decision: Decision, preview: Preview, catalogue: Catalogue, policy: RoutingThresholds
) -> Decision:
    """The decision, which buys nothing where the preview serves; it says why it does or does not."""
    found = _reuse(storyboard, decision, preview, catalogue, policy)
    if isinstance(found, str):
        return decision.model_copy(update={"reasons": (*decision.reasons, f"the preview does not serve: {found}")})
    said = (
        f"the approved preview {found.clip_id} serves, made by {found.model}: nothing is bought, which saves "
        f"${found.usd:.4f} an attempt at {decision.model}"
    )
    # The preview's file has been upscaled, too.
    saves = {Lever.REUSE_PREVIEWS: Decimal(f"{decision.accepted_usd:.6f}")}
    return decision.model_copy(
        update={
            "reasons": (*decision.reasons, said),
            "reuse": found,
            "upscale_usd": Decimal(0),
            "saves": saves,
        }
    )


def _reuse(
    storyboard: Storyboard, decision: Decision, preview: Preview, catalogue: Catalogue, policy: RoutingThresholds
) -> Reuse | str:
    """What of the preview serves the shot, or why nothing does."""
    if preview.why_not:
        return preview.why_not
    if decision.model is None:
        # Should the file be gone, there would be nobody to make the shot.
        return "no model could make the shot"
    shot = storyboard.shots[decision.shot]
    render = next((preview.renders[sha] for sha in _as_previews(storyboard, shot) if sha in preview.renders), None)
    if render is None:
        return f"{preview.clip_id} has no such shot; more than the brief's quality was changed"
    unfit = _unfit(storyboard, shot, decision, render, catalogue, policy)
    return unfit or Reuse(job=render.key, clip_id=preview.clip_id, model=render.model, usd=decision.attempt_usd)


def _as_previews(storyboard: Storyboard, shot: StoryboardShot) -> list[str]:
    """The hashes that the shot would have in the same brief of each lower quality."""
    brief = storyboard.brief
    lower = [brief.model_copy(update={"quality": quality}) for quality in brief.quality.below]
    return [storyboard.model_copy(update={"brief": one}).shot_sha256(shot) for one in lower]


def _unfit(
    storyboard: Storyboard,
    shot: StoryboardShot,
    decision: Decision,
    render: Job,
    catalogue: Catalogue,
    policy: RoutingThresholds,
) -> str:
    """Why the preview's render is not good enough for the shot; empty when it is."""
    model = catalogue.find(render.model)
    if model is None or model.version != render.model_version:
        return f"it was made by {render.model} {render.model_version}, which the catalogue does not hold"
    needed, bought = policy.adequate_fidelity[decision.tier], catalogue.find(decision.model or "")
    if bought is not None and is_complex(storyboard.brief, policy):
        # So complex a shot is given the strongest, and not only one that is good enough.
        needed = max(needed, bought.fidelity[shot.kind])
    fidelity = model.fidelity[shot.kind]
    if fidelity < needed:
        return f"{model.model} is not good enough for a {shot.kind} shot: {fidelity:.2f} of {needed:.2f}"
    if decision.audio and not render.order.audio:
        return "it is silent, and the brief asks for sound"
    sizes = [size.short_side for size in model.resolutions if size.name == render.order.resolution]
    if not sizes or not policy.reaches_delivered(sizes[0]):
        return "it is too small to be upscaled to the delivered size"
    return ""
