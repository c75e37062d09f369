"""The decision tree of Gate 1: a shot and its brief in, a tier, a model, a size and the reasons out.

Small, pure and total: every shot gets a decision with its predicted cost and its reasons, or the reason why there
is none. The brief's dial is a ceiling: the tree may go to a cheaper tier, never to a dearer one (G1.6).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Brief, Quality, ShotKind, StoryboardShot
from video_pipeline.policy import RoutingThresholds
from video_pipeline.routing.catalogue import Catalogue, Model, Resolution, Tier

_CEILING = {Quality.DRAFT: Tier.PREVIEW, Quality.STANDARD: Tier.PRODUCTION, Quality.PREMIUM: Tier.CINEMATIC}


@dataclass(frozen=True)
class Promotion:
    """Which version of a model may serve the tier above its own too, and for which kinds of shot (G1.4).

    There it makes clips of the upper tier. A freeze of that tier stops it; a freeze of its own tier does not.
    """

    tier: str
    version: str
    kinds: frozenset[str]
    reason: str


@dataclass(frozen=True)
class RoutingState:
    """What Gate 4 has put in force: frozen tiers, demoted and promoted models, measured acceptance, style affinity.

    `acceptance` maps a model to the measured share of its attempts that were accepted. `affinity` maps a style and a
    model to a share by which the model's cost shifts, within the policy's limit.
    """

    frozen: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    promoted: Mapping[str, Promotion] = field(default_factory=dict[str, Promotion])
    acceptance: Mapping[str, float] = field(default_factory=dict[str, float])
    affinity: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    probation_share: float = 0.0


class Decision(BaseModel):
    """Where a shot goes and what that is expected to cost; `held` says why it goes nowhere for now."""

    model_config = ConfigDict(frozen=True)

    shot: int
    tier: Tier
    model: str | None = None
    model_version: str | None = None
    resolution: str | None = None
    size: tuple[int, int] | None = None
    audio: bool = False
    requested_s: float = 0.0
    attempt_usd: Decimal = Decimal(0)
    acceptance: float = 1.0
    reasons: tuple[str, ...] = ()
    held: str | None = None


@dataclass(frozen=True)
class _Option:
    """A model that can serve the shot. `usd` is an attempt's price; the option with the lowest `cost_usd` wins."""

    model: Model
    resolution: Resolution
    audio: bool
    rendered_s: int
    usd: Decimal
    acceptance: float
    cost_usd: float


def decide(
    shot: StoryboardShot, brief: Brief, catalogue: Catalogue, policy: RoutingThresholds, state: RoutingState
) -> Decision:
    """Choose tier, model and size for one shot (G1.1-G1.5, G1.9, G1.10)."""
    tier, reasons = _tier(brief, policy)
    if tier.value in state.frozen:
        held = f"the {tier} tier is frozen for new generation; the clip waits until it thaws"
        return Decision(shot=shot.index, tier=tier, reasons=(*reasons, held), held=held)
    own, promoted, notes = _options(shot, brief, tier, catalogue, policy, state)
    reasons += notes
    if not own and not promoted:
        held = f"no model of the {tier} tier can serve this shot"
        return Decision(shot=shot.index, tier=tier, reasons=(*reasons, held), held=held)
    chosen, why = _choose(shot, brief, own, promoted, policy, state)
    width, height = chosen.resolution.size(brief.orientation)
    factor = policy.delivered_short_side / min(width, height)
    return Decision(
        shot=shot.index,
        tier=tier,
        model=chosen.model.model,
        model_version=chosen.model.version,
        resolution=chosen.resolution.name,
        size=(width, height),
        audio=chosen.audio,
        requested_s=chosen.rendered_s,
        attempt_usd=chosen.usd,
        acceptance=chosen.acceptance,
        reasons=(*reasons, why, f"rendered at {width}x{height}, upscaled {factor:.1f}x on our own GPU"),
    )


def _tier(brief: Brief, policy: RoutingThresholds) -> tuple[Tier, tuple[str, ...]]:
    """The tier from the dial, lowered where a cheaper one is adequate."""
    ceiling = _CEILING[brief.quality]
    if "quality" in brief.assumed:
        return Tier.PREVIEW, ("the brief does not say its quality: the cheapest tier, never a dearer one",)
    reasons = [f"quality {brief.quality} allows up to {ceiling}"]
    usual = policy.plain_complexity["default"]
    limit = min(policy.plain_complexity.get(platform, usual) for platform in brief.platforms)
    if ceiling is Tier.CINEMATIC and not brief.native_audio:
        where = ", ".join(brief.platforms)
        if "visual_complexity" in brief.assumed:
            reasons.append(f"the brief does not say how complex it is and asks no sound: production, for {where}")
            return Tier.PRODUCTION, tuple(reasons)
        if brief.visual_complexity < limit:
            said = f"complexity {brief.visual_complexity:.2f} is under {limit:.2f}"
            reasons.append(f"{said} and no sound is asked: production is good enough for {where}")
            return Tier.PRODUCTION, tuple(reasons)
    return ceiling, tuple(reasons)


def _options(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
) -> tuple[list[_Option], list[_Option], tuple[str, ...]]:
    """The models of the tier that can serve, those promoted to it that can, and why the others are out."""
    notes: list[str] = []
    able: list[_Option] = []
    models = catalogue.of_tier(tier)
    with_audio = brief.native_audio and any(model.offers_audio for model in models)
    if brief.native_audio and not with_audio:
        notes.append("sound is asked for, but no model of this tier has any: the clip will be silent")
    for model in models:
        unfit = _unfit(model, shot, with_audio)
        if unfit:
            notes.append(unfit)
        else:
            able.append(_cheapest_size(model, shot, brief, with_audio, policy, state))
    standing = [option for option in able if not _kept_out(option.model, shot, brief, state)]
    proving = [option.model.model for option in standing if option.model.model in state.demoted]
    promoted, more = _promoted(shot, brief, tier, catalogue, with_audio, policy, state)
    if promoted and proving:
        more.append(f"{' and '.join(proving)} may prove itself on this shot, so promoted models stand back")
        promoted = []
    if able and not standing and not promoted:
        notes.append("every model that could serve is demoted: the shot would stand still, so they serve")
        return able, [], (*notes, *more)
    notes += [f"{option.model.model} is demoted" for option in able if option not in standing]
    return standing, promoted, (*notes, *more)


def _promoted(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    catalogue: Catalogue,
    with_audio: bool,
    policy: RoutingThresholds,
    state: RoutingState,
) -> tuple[list[_Option], list[str]]:
    """The models that are promoted to `tier` and can serve this shot as it would be served there (G1.4)."""
    notes: list[str] = []
    able: list[_Option] = []
    for model in catalogue.models:
        promotion = state.promoted.get(model.model)
        if model.tier.above is not tier or promotion is None or promotion.version != model.version:
            continue
        if promotion.tier != model.tier:
            continue
        unfit = _unfit(model, shot, with_audio)
        if shot.kind not in promotion.kinds:
            notes.append(f"{model.model} is promoted from {model.tier}, but not proven on {shot.kind} shots")
        elif unfit:
            notes.append(unfit)
        elif not _reachable(model, with_audio, policy):
            notes.append(f"{model.model} renders too small to be upscaled to {policy.delivered_short_side} lines")
        else:
            able.append(_cheapest_size(model, shot, brief, with_audio, policy, state))
    return able, notes


def _unfit(model: Model, shot: StoryboardShot, with_audio: bool) -> str:
    """Why the model cannot render this shot, in words; empty when it can."""
    if with_audio and not model.offers_audio:
        return f"{model.model} has no sound"
    if model.durations.rendered_s(shot.duration_s) is None:
        return f"{model.model} renders at most {model.durations.longest_s} s"
    return ""


def _kept_out(model: Model, shot: StoryboardShot, brief: Brief, state: RoutingState) -> bool:
    """Whether the model is demoted and this shot is not one of the few that it may prove itself on."""
    if model.model not in state.demoted:
        return False
    digest = hashlib.sha256(f"{model.model}\n{brief.brief_id}\n{shot.index}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32 >= state.probation_share


def _sizes(model: Model, with_audio: bool) -> list[Resolution]:
    return [size for size in model.resolutions if not with_audio or size.usd_per_s_audio is not None]


def _reachable(model: Model, with_audio: bool, policy: RoutingThresholds) -> list[Resolution]:
    """The sizes from which the upscaler reaches the delivered one."""
    return [
        size
        for size in _sizes(model, with_audio)
        if size.short_side * policy.max_upscale_factor >= policy.delivered_short_side
    ]


def _cheapest_size(
    model: Model, shot: StoryboardShot, brief: Brief, with_audio: bool, policy: RoutingThresholds, state: RoutingState
) -> _Option:
    """The least-cost size from which the upscaler reaches the delivered one, else the largest (G1.9)."""

    def usd_per_s(resolution: Resolution) -> Decimal:
        sound = resolution.usd_per_s_audio if with_audio else None
        return resolution.usd_per_s if sound is None else sound

    sizes = _reachable(model, with_audio, policy) or [
        max(_sizes(model, with_audio), key=lambda size: size.short_side)
    ]
    resolution = min(sizes, key=lambda candidate: (usd_per_s(candidate), -candidate.short_side))
    rendered_s = model.durations.rendered_s(shot.duration_s) or model.durations.longest_s
    usd = usd_per_s(resolution) * rendered_s
    acceptance = state.acceptance.get(model.model, model.acceptance_prior)
    affinity = state.affinity.get(brief.style, {}).get(model.model, 0.0)
    shift = max(-policy.preference_limit, min(policy.preference_limit, affinity))
    return _Option(
        model=model,
        resolution=resolution,
        audio=with_audio,
        rendered_s=rendered_s,
        usd=usd,
        acceptance=acceptance,
        # Expected cost of one accepted clip, shifted by what this style has liked.
        cost_usd=float(usd) / max(acceptance, 0.05) * (1 - shift),
    )


def _choose(
    shot: StoryboardShot,
    brief: Brief,
    own: list[_Option],
    promoted: list[_Option],
    policy: RoutingThresholds,
    state: RoutingState,
) -> tuple[_Option, str]:
    """The tier's own choice, unless a promoted model is cheaper per accepted clip.

    A complex shot stays with the tier's own models: it needs the strongest, and a promotion proves only "as good as".
    """
    complex_shot = brief.visual_complexity >= policy.complex_complexity and brief.quality is not Quality.DRAFT
    rival = min(promoted, key=lambda option: (option.cost_usd, option.model.model), default=None)
    if rival is None:
        return _own_choice(shot, brief, own, complex_shot, policy)
    if own:
        chosen, why = _own_choice(shot, brief, own, complex_shot, policy)
        if complex_shot or rival.cost_usd >= chosen.cost_usd:
            return chosen, why
    name, promotion = rival.model.model, state.promoted[rival.model.model]
    return rival, (
        f"{name} is the cheapest for a {shot.kind} shot: ${rival.usd:.4f} an attempt, {rival.acceptance:.0%} of "
        f"attempts accepted; promoted from {promotion.tier}: {promotion.reason}"
    )


def _own_choice(
    shot: StoryboardShot, brief: Brief, options: list[_Option], complex_shot: bool, policy: RoutingThresholds
) -> tuple[_Option, str]:
    kind: ShotKind = shot.kind
    needed = policy.adequate_fidelity[options[0].model.tier]
    adequate = [option for option in options if option.model.fidelity[kind] >= needed]
    if not adequate:
        best = max(options, key=lambda option: (option.model.fidelity[kind], -option.cost_usd))
        return best, f"{best.model.model} is the best of the tier for a {kind} shot; none reaches {needed:.2f}"
    if complex_shot:
        best = max(adequate, key=lambda option: (option.model.fidelity[kind], -option.cost_usd))
        return best, (
            f"{best.model.model} is the strongest of the tier for a {kind} shot "
            f"(complexity {brief.visual_complexity:.2f}), ${best.usd:.4f} an attempt"
        )
    cheapest = min(adequate, key=lambda option: (option.cost_usd, option.model.model))
    return cheapest, (
        f"{cheapest.model.model} is the cheapest adequate model for a {kind} shot: ${cheapest.usd:.4f} an attempt, "
        f"{cheapest.acceptance:.0%} of attempts accepted"
    )
