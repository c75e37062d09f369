"""What routing chooses from: the question that a shot is, and a model with the size that serves it at least cost."""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from video_pipeline.briefs import Brief, Quality, StoryboardShot
from video_pipeline.policy import Levers, RoutingThresholds
from video_pipeline.routing.catalogue import Catalogue, Model, Resolution, Tier
from video_pipeline.routing.decision import FREE, Given
from video_pipeline.routing.lengths import Length
from video_pipeline.routing.levers import upscaling_usd
from video_pipeline.routing.state import Promotion, RoutingState
from video_pipeline.routing.value import LEAST_ACCEPTANCE

_CEILING = {Quality.DRAFT: Tier.PREVIEW, Quality.STANDARD: Tier.PRODUCTION, Quality.PREMIUM: Tier.CINEMATIC}


@dataclass(frozen=True)
class Option:
    """A model that can serve the shot. `usd` is an attempt's price, `accepted_usd` that of an accepted clip, with
    the electricity that upscales it.

    `value_usd` is the price of one that is worth as much as any, `log_sd` how unsure its logarithm is. Of a tier's
    models the one with the lowest `cost_usd` wins, which is `value_usd` shifted by what the brief's style has liked.
    Between tiers nothing is shifted.
    """

    model: Model
    resolution: Resolution
    size: tuple[int, int]
    length: Length
    usd: Decimal
    upscale_usd: Decimal
    acceptance: float
    accepted_usd: float
    value_usd: float
    log_sd: float
    cost_usd: float

    def fidelity(self, shot: StoryboardShot) -> float:
        return self.model.fidelity[shot.kind]


@dataclass(frozen=True)
class Serving:
    """Who serves a shot in a tier and why, or None; `notes` say why others are out.

    `own` are the tier's adequate models and those promoted to it, `dearer` the adequate ones of dearer tiers,
    `demoted` those of the tier or of a dearer one that would be adequate, `candidates` those that may be tried in the
    tier. `fixed` says that nobody may be given the shot instead: it is complex, or a person has pinned a model.
    """

    chosen: Option | None
    why: str
    notes: tuple[str, ...]
    own: tuple[Option, ...] = ()
    dearer: tuple[Option, ...] = ()
    demoted: tuple[Option, ...] = ()
    candidates: tuple[Option, ...] = ()
    fixed: bool = False


@dataclass(frozen=True)
class Question:
    """What is asked of the tree: who is to serve a shot of a brief in a tier, under what is in force.

    `known` are the sizes of models that were found for it, and for what was asked on the way to its answer: the same
    shot in another tier, as a shot of another kind, or with a lever off.
    """

    shot: StoryboardShot
    brief: Brief
    tier: Tier
    catalogue: Catalogue
    policy: RoutingThresholds
    state: RoutingState
    given: Given = FREE
    known: dict[tuple[str, str, bool, Levers], Option] = field(
        default_factory=dict[tuple[str, str, bool, Levers], Option], compare=False, repr=False
    )

    @classmethod
    def of(
        cls, shot: StoryboardShot, brief: Brief, catalogue: Catalogue, policy: RoutingThresholds, state: RoutingState
    ) -> "Question":
        """The question in the brief's own tier."""
        return cls(shot, brief, tier_of(brief, policy)[0], catalogue, policy, state)

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """Those that make such shots at all."""
        return tuple(model for model in self.catalogue.models if model.suits(self.shot.kind))

    @property
    def of_tier(self) -> tuple[Model, ...]:
        """Those of `models` that are of the tier."""
        return tuple(model for model in self.models if model.tier is self.tier)

    @cached_property
    def with_audio(self) -> bool:
        """Whether the shot is to have sound; it is silent where no model of the tier has any."""
        if self.shot.script is not None:
            return True
        return self.brief.native_audio and any(model.offers_audio for model in self.of_tier)

    @property
    def round_within(self) -> float:
        """By what share the shot may be bought shorter than it is: what is said, not at all."""
        return 0.0 if self.shot.script is not None else self.policy.round_within

    @property
    def needed(self) -> float:
        """The fidelity that the tier asks."""
        return self.policy.adequate_fidelity[self.tier]


def tier_of(brief: Brief, policy: RoutingThresholds) -> tuple[Tier, tuple[str, ...]]:
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


def is_complex(brief: Brief, policy: RoutingThresholds) -> bool:
    """Whether its shots need the strongest model of their tier."""
    return brief.visual_complexity >= policy.complex_complexity and brief.quality is not Quality.DRAFT


def promotion_of(model: Model, asked: Question) -> Promotion | None:
    """What promotes this very version of the model to `tier`, if anything does."""
    promotion = asked.state.promoted.get(model.model)
    if promotion is None or model.tier.above is not asked.tier:
        return None
    return promotion if (promotion.version, promotion.tier) == (model.version, model.tier) else None


def by_value(option: Option) -> tuple[float, str]:
    return option.value_usd, option.model.model


def by_accepted_usd(option: Option) -> tuple[float, str]:
    return option.accepted_usd, option.model.model


def why_unfit(model: Model, asked: Question) -> str:
    """Why the model cannot render this shot, in words; empty when it can."""
    if model.model in asked.state.benched:
        return f"{model.model} is benched by hand"
    if not model.suits(asked.shot.kind):
        return f"{model.model} says scripts only" if model.talking else f"{model.model} says no script"
    if model.talking and model.talking.ids_of(asked.shot.presenter) is None:
        return f"{model.model} knows nobody to say it: name an avatar and a voice as presenter"
    if asked.brief.orientation not in model.orientations:
        return f"{model.model} renders only {' and '.join(model.orientations)}"
    if asked.with_audio and not model.offers_audio:
        return f"{model.model} has no sound"
    if model.durations.rendered(asked.shot.duration_s, within=asked.round_within) is None:
        return f"{model.model} renders at most {model.durations.longest_s:g} s"
    return ""


def _sizes(model: Model, asked: Question) -> list[Resolution]:
    return [size for size in model.resolutions if not asked.with_audio or size.name in model.price.sound]


def reachable(model: Model, asked: Question) -> list[Resolution]:
    """The sizes from which the upscaler reaches the delivered one."""
    return [size for size in _sizes(model, asked) if asked.policy.reaches_delivered(size.short_side)]


def cheapest_size(model: Model, asked: Question) -> Option:
    """The least-cost size from which the upscaler reaches the delivered one, else the largest (G1.9).

    Its upscaling counts, but a larger size at the same price is the better picture for a trifle of electricity. With
    that lever off it is the size that needs least upscaling.
    """
    key = (model.model, asked.shot.kind.value, asked.with_audio, asked.policy.levers)
    if key not in asked.known:
        asked.known[key] = _cheapest_size(model, asked)
    return asked.known[key]


def _cheapest_size(model: Model, asked: Question) -> Option:
    shot, brief, policy, state = asked.shot, asked.brief, asked.policy, asked.state

    def bought(resolution: Resolution) -> tuple[Decimal, Length]:
        def usd(length: Length) -> Decimal:
            clip_usd = model.usd(resolution, brief.orientation, length, audio=asked.with_audio, at=state.priced_at)
            return clip_usd + model.beside_usd(len(shot.references), length.seconds)

        length = model.durations.rendered(shot.duration_s, within=asked.round_within, cost=usd)
        length = length or model.durations.lengths[-1]
        return usd(length), length

    made = {size.name: bought(size) for size in _sizes(model, asked)}
    believed = state.estimate_of(model, shot.kind)
    # A model that is nearly never accepted is dear, not infinitely so.
    likely = max(believed.acceptance, LEAST_ACCEPTANCE)

    def upscaled_usd(resolution: Resolution) -> Decimal:
        size, fps = resolution.size(brief.orientation), made[resolution.name][1].fps
        return upscaling_usd(size, shot.duration_s, policy, fps=fps)

    def cost_usd(resolution: Resolution) -> float:
        return float(made[resolution.name][0]) / likely + float(upscaled_usd(resolution))

    largest = [max(_sizes(model, asked), key=lambda size: size.short_side)]
    sizes = reachable(model, asked) or largest
    if not policy.levers.small_then_upscale:
        whole = [size for size in sizes if size.short_side >= policy.delivered_short_side]
        sizes = [min(whole, key=lambda size: size.short_side)] if whole else largest
    largest_at = {made[size.name][0]: size for size in sorted(sizes, key=lambda size: size.short_side)}
    resolution = min(largest_at.values(), key=lambda candidate: (cost_usd(candidate), -candidate.short_side))
    usd, length = made[resolution.name]
    affinity = state.affinity.get(brief.style, {}).get(model.model, 0.0)
    shift = max(-policy.preference_limit, min(policy.preference_limit, affinity))
    accepted_usd = cost_usd(resolution)
    value_usd = accepted_usd / believed.worth
    return Option(
        model=model,
        resolution=resolution,
        size=resolution.size(brief.orientation),
        length=length,
        usd=usd,
        upscale_usd=upscaled_usd(resolution),
        acceptance=believed.acceptance,
        accepted_usd=accepted_usd,
        value_usd=value_usd,
        log_sd=believed.log_sd,
        cost_usd=value_usd * (1 - shift),
    )
