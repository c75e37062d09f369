"""The decision tree of Gate 1: a shot and its brief in, a tier, a model, a size and the reasons out.

Small, pure and total: every shot gets a decision with its predicted cost and its reasons, or the reason why there
is none. The brief's dial is a ceiling: the tree may go to a cheaper tier, never to a dearer one (G1.6). A dearer
tier's model serves a tier too, where it is adequate there and this very shot costs less with it; the clip stays one
of the brief's tier. While models cannot serve, the next adequate one does, within a limit of its price (G2.8).
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Brief, Quality, StoryboardShot
from video_pipeline.policy import RoutingThresholds
from video_pipeline.routing.beliefs import Belief
from video_pipeline.routing.catalogue import Catalogue, Model, Resolution, Tier
from video_pipeline.routing.lengths import Length
from video_pipeline.routing.levers import Lever, upscaling_usd, without
from video_pipeline.routing.value import LEAST_ACCEPTANCE

# How many of the models that were passed over a decision tells of, cheapest first.
MAX_ALTERNATIVES = 5

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
    """What Gate 4 has put in force: frozen tiers, demoted and promoted models, beliefs, style affinity.

    `probed` names the frozen tiers through which a few clips a day go, to see whether the cause is gone. `beliefs`
    maps a model to what is believed of one version of it. `acceptance` maps a model to the share of its attempts that
    a release before there were beliefs had measured; it holds until the first night has beliefs. `affinity` maps a
    style and a model to a share by which the model's cost shifts, within the policy's limit. `unavailable` maps
    models that cannot serve now to why; one that stands in for them costs at most `dearest` times what they would.
    `priced_at` is the moment whose offers and off-peak hours count; without it, prices are the list's.
    """

    frozen: frozenset[str] = frozenset()
    probed: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    promoted: Mapping[str, Promotion] = field(default_factory=dict[str, Promotion])
    beliefs: Mapping[str, Belief] = field(default_factory=dict[str, Belief])
    acceptance: Mapping[str, float] = field(default_factory=dict[str, float])
    affinity: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    probation_share: float = 0.0
    unavailable: Mapping[str, str] = field(default_factory=dict[str, str])
    dearest: float = math.inf
    priced_at: datetime | None = None

    def belief_in(self, model: Model) -> Belief | None:
        """What is believed of the version that the catalogue has; None of a version that is new."""
        belief = self.beliefs.get(model.model)
        return belief if belief is not None and belief.version == model.version else None

    def acceptance_of(self, model: Model) -> float:
        """The share of the model's attempts that is expected to be accepted; of a new version the catalogue's."""
        belief = self.belief_in(model)
        return belief.acceptance if belief else self.acceptance.get(model.model, model.acceptance_prior)


@dataclass(frozen=True)
class FallOver:
    """What a decision was before its model could not serve: that model, why, and an attempt's price there, in US
    dollars. Found by the run that needs it; a plan has one only when it is made again after that."""

    model: str
    why: str
    usd: Decimal


@dataclass(frozen=True)
class Reuse:
    """The accepted job of an approved preview whose file serves a shot: its key, its clip, who made it, and what an
    attempt would have cost, in US dollars."""

    job: str
    clip_id: str
    model: str
    usd: Decimal


class Alternative(BaseModel):
    """A model that was passed over: its own tier, what an attempt would have cost (US dollars), and why not."""

    model_config = ConfigDict(frozen=True)

    model: str
    tier: Tier
    usd: Decimal
    why_not: str


class Decision(BaseModel):
    """Where a shot goes and what that is expected to cost; `held` says why it goes nowhere for now.

    `tier` is the brief's, also where a model of another tier serves it. `alternatives` are at most MAX_ALTERNATIVES,
    the one with the cheapest accepted clip first.
    A shot that a freeze holds keeps the price and the acceptance that it would have without the freeze.
    `fell_over` is there while another model stands in for the one that the shot was first given. With `reuse` nothing
    is bought; the rest of the decision is what holds should that file be gone. `upscale_usd` is the electricity that
    upscales the accepted clip, and `saves` what each lever is expected to save of its cost.
    """

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
    upscale_usd: Decimal = Decimal(0)
    saves: dict[Lever, Decimal] = {}
    reasons: tuple[str, ...] = ()
    held: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    fell_over: FallOver | None = None
    reuse: Reuse | None = None

    @property
    def accepted_usd(self) -> float:
        """What an accepted clip of the shot is expected to cost with its upscaling, in US dollars."""
        return float(self.attempt_usd) / max(self.acceptance, LEAST_ACCEPTANCE) + float(self.upscale_usd)

    @property
    def serving(self) -> str | None:
        """The model that the shot is of: the one that it is bought from, or its preview's."""
        return self.reuse.model if self.reuse else self.model

    @property
    def fall_over(self) -> str:
        """Which model stands in for which, why, and what more an attempt costs; empty without that."""
        if self.fell_over is None:
            return ""
        more = self.attempt_usd - self.fell_over.usd
        price = f"${abs(more):.4f} {'more' if more >= 0 else 'less'} an attempt"
        return f"{self.model} instead of {self.fell_over.model}, as {self.fell_over.why}; {price}"

    @property
    def instead(self) -> str:
        """What the alternatives would have cost, in words; empty without any."""
        return "; ".join(f"{one.model} ${one.usd:.4f} ({one.why_not})" for one in self.alternatives)


@dataclass(frozen=True)
class _Option:
    """A model that can serve the shot. `usd` is an attempt's price, `accepted_usd` that of an accepted clip, with
    the electricity that upscales it.

    Of a tier's models the one with the lowest `cost_usd` wins, which is `accepted_usd` shifted by what the brief's
    style has liked. Between tiers nothing is shifted.
    """

    model: Model
    resolution: Resolution
    size: tuple[int, int]
    audio: bool
    length: Length
    usd: Decimal
    upscale_usd: Decimal
    acceptance: float
    accepted_usd: float
    cost_usd: float

    def fidelity(self, shot: StoryboardShot) -> float:
        return self.model.fidelity[shot.kind]


@dataclass(frozen=True)
class _Serving:
    """Who serves a shot in a tier and why, or None; `notes` say why others are out, `audio` whether with sound."""

    chosen: _Option | None
    why: str
    notes: tuple[str, ...]
    audio: bool


def decide(
    shot: StoryboardShot, brief: Brief, catalogue: Catalogue, policy: RoutingThresholds, state: RoutingState
) -> Decision:
    """Choose tier, model and size for one shot (G1.1-G1.5, G1.9, G1.10)."""
    tier, reasons = _tier(brief, policy)
    if tier.value in state.frozen:
        held = f"the {tier} tier is frozen for new generation; the clip waits until it thaws"
        thawed = decide(shot, brief, catalogue, policy, replace(state, frozen=state.frozen - {tier.value}))
        return Decision(
            shot=shot.index,
            tier=tier,
            attempt_usd=thawed.attempt_usd,
            acceptance=thawed.acceptance,
            reasons=(*reasons, held),
            held=held,
        )
    serving = _serve(shot, brief, tier, catalogue, policy, state)
    reasons += serving.notes
    chosen = serving.chosen
    alternatives = _alternatives(shot, brief, tier, serving, catalogue, policy, state)
    if chosen is None:
        held = f"no model of the {tier} tier can serve this shot"
        return Decision(shot=shot.index, tier=tier, reasons=(*reasons, held), held=held, alternatives=alternatives)
    saves = _saves(shot, brief, tier, chosen, catalogue, policy, state)
    return Decision(
        shot=shot.index,
        tier=tier,
        model=chosen.model.model,
        model_version=chosen.model.version,
        resolution=chosen.resolution.name,
        size=chosen.size,
        audio=chosen.audio,
        requested_s=chosen.length.seconds,
        attempt_usd=chosen.usd,
        acceptance=chosen.acceptance,
        upscale_usd=chosen.upscale_usd,
        saves=saves,
        reasons=(*reasons, serving.why, _why_size(chosen, saves, policy)),
        alternatives=alternatives,
    )


def _saves(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    chosen: _Option,
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
) -> dict[Lever, Decimal]:
    """What an accepted clip would cost more without each lever that made a difference here."""
    otherwise: dict[Lever, _Option | None] = {}
    if policy.levers.small_then_upscale:
        plain = without(Lever.SMALL_THEN_UPSCALE, policy)
        otherwise[Lever.SMALL_THEN_UPSCALE] = _cheapest_size(chosen.model, shot, brief, chosen.audio, plain, state)
    if policy.levers.any_tier and tier in chosen.model.tier.cheaper:
        plain = without(Lever.ANY_TIER, policy)
        otherwise[Lever.ANY_TIER] = _serve(shot, brief, tier, catalogue, plain, state).chosen
    more = {lever: option.accepted_usd - chosen.accepted_usd for lever, option in otherwise.items() if option}
    return {lever: Decimal(f"{usd:.6f}") for lever, usd in more.items() if usd >= 0.000001}


def _why_size(chosen: _Option, saves: Mapping[Lever, Decimal], policy: RoutingThresholds) -> str:
    """The size in words, with what its upscaling costs and saves."""
    width, height = chosen.size
    factor = policy.delivered_short_side / min(width, height)
    if factor <= 1:
        return f"rendered at {width}x{height}, which needs no upscaling"
    saved = saves.get(Lever.SMALL_THEN_UPSCALE)
    against = f", which saves ${saved:.4f} against its largest size" if saved else ""
    said = f"rendered at {width}x{height}, upscaled {factor:.1f}x on our own GPU"
    return f"{said} for ${chosen.upscale_usd:.4f} of electricity{against}"


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


def _serve(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
) -> _Serving:
    """Who would serve this shot in `tier`, frozen or not."""
    models = catalogue.of_tier(tier)
    with_audio = brief.native_audio and any(model.offers_audio for model in models)
    own, promoted, demoted, notes = _options(shot, brief, tier, catalogue, with_audio, policy, state)
    if not own and not promoted:
        return _Serving(None, "", notes, with_audio)
    dearer = _dearer(shot, brief, tier, catalogue, with_audio, policy, state)
    return _stand_in(shot, brief, tier, own, promoted, demoted, dearer, notes, with_audio, policy, state)


def _stand_in(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    own: list[_Option],
    promoted: list[_Option],
    demoted: list[_Option],
    dearer: list[_Option],
    notes: tuple[str, ...],
    with_audio: bool,
    policy: RoutingThresholds,
    state: RoutingState,
) -> _Serving:
    """The usual choice; while that cannot serve, one among those that can, as good as the tier asks and not too dear.

    Only while nobody of the tier can does a dearer tier's model serve that costs more than the tier's own would, and
    only while that cannot either, a demoted one.
    """

    def able(options: list[_Option]) -> list[_Option]:
        return [option for option in options if option.model.model not in state.unavailable]

    usual, why = _choose(shot, brief, tier, own, promoted, dearer, policy, state)
    if usual.model.model not in state.unavailable:
        return _Serving(usual, why, notes, with_audio)
    notes = (*notes, state.unavailable[usual.model.model])
    limit = float(usual.usd) * state.dearest
    needed = policy.adequate_fidelity[tier]

    def adequate(options: list[_Option], among: list[_Option]) -> list[_Option]:
        # Where none of them reaches what the tier asks, the best of them serves, and so does the next best.
        none_reaches_it = all(option.fidelity(shot) < needed for option in among)
        return [one for one in able(options) if none_reaches_it or one.fidelity(shot) >= needed]

    own, demoted = adequate(own, own), adequate(demoted, [*own, *demoted])
    own, promoted, demoted, dearer = (
        [one for one in options if float(one.usd) <= limit]
        for options in (own, able(promoted), demoted, able(dearer))
    )
    if own or promoted:
        chosen, why = _choose(shot, brief, tier, own, promoted, dearer, policy, state)
        return _Serving(chosen, why, notes, with_audio)
    if not dearer and not demoted:
        return _Serving(None, "", notes, with_audio)
    if not dearer:
        chosen = min(demoted, key=_by_accepted_usd)
        why = f"{chosen.model.model} is demoted, but nobody else can serve: {_price(chosen)}"
        return _Serving(chosen, why, notes, with_audio)
    chosen = dearer[0]
    why = f"{chosen.model.model} of the {chosen.model.tier} tier stands in: {_price(chosen)}"
    return _Serving(chosen, why, notes, with_audio)


def _options(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    catalogue: Catalogue,
    with_audio: bool,
    policy: RoutingThresholds,
    state: RoutingState,
) -> tuple[list[_Option], list[_Option], list[_Option], tuple[str, ...]]:
    """The models of the tier that can serve, those promoted to it that can, the demoted ones, why others are out."""
    notes: list[str] = []
    able: list[_Option] = []
    if brief.native_audio and not with_audio:
        notes.append("sound is asked for, but no model of this tier has any: the clip will be silent")
    for model in catalogue.of_tier(tier):
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
        return able, [], [], (*notes, *more)
    demoted = [option for option in able if option not in standing]
    notes += [f"{option.model.model} is demoted" for option in demoted]
    return standing, promoted, demoted, (*notes, *more)


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
        promotion = _promotion(model, tier, state)
        if promotion is None:
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


def _promotion(model: Model, tier: Tier, state: RoutingState) -> Promotion | None:
    """What promotes this very version of the model to `tier`, if anything does."""
    promotion = state.promoted.get(model.model)
    if promotion is None or model.tier.above is not tier:
        return None
    return promotion if (promotion.version, promotion.tier) == (model.version, model.tier) else None


def _dearer(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    catalogue: Catalogue,
    with_audio: bool,
    policy: RoutingThresholds,
    state: RoutingState,
) -> list[_Option]:
    """Models of dearer tiers that are adequate for `tier`, cheapest accepted clip first.

    What serves this very shot in a dearer tier is adequate too, whatever its fidelity: a preview may be the clip that
    it previews, and so never costs more. Demoted models are left to their own tier.
    """
    adequate = [
        model
        for model in catalogue.models
        if tier in model.tier.cheaper
        and model.fidelity[shot.kind] >= policy.adequate_fidelity[tier]
        and _reachable(model, with_audio, policy)
    ]
    for above in (other for other in Tier if tier in other.cheaper):
        serving = _serve(shot, brief, above, catalogue, policy, state).chosen
        if serving is not None and serving.model not in adequate:
            adequate.append(serving.model)
    options = [
        _cheapest_size(model, shot, brief, with_audio, policy, state)
        for model in adequate
        if model.model not in state.demoted and not _unfit(model, shot, with_audio)
    ]
    return sorted(options, key=_by_accepted_usd)


def _by_accepted_usd(option: _Option) -> tuple[float, str]:
    return option.accepted_usd, option.model.model


def _unfit(model: Model, shot: StoryboardShot, with_audio: bool) -> str:
    """Why the model cannot render this shot, in words; empty when it can."""
    if with_audio and not model.offers_audio:
        return f"{model.model} has no sound"
    if model.durations.rendered_s(shot.duration_s) is None:
        return f"{model.model} renders at most {model.durations.longest_s:g} s"
    return ""


def _kept_out(model: Model, shot: StoryboardShot, brief: Brief, state: RoutingState) -> bool:
    """Whether the model is demoted and this shot is not one of the few that it may prove itself on."""
    if model.model not in state.demoted:
        return False
    digest = hashlib.sha256(f"{model.model}\n{brief.brief_id}\n{shot.index}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32 >= state.probation_share


def _sizes(model: Model, with_audio: bool) -> list[Resolution]:
    return [size for size in model.resolutions if not with_audio or size.name in model.price.sound]


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
    """The least-cost size from which the upscaler reaches the delivered one, else the largest (G1.9).

    Its upscaling counts, but a larger size at the same price is the better picture for a trifle of electricity. With
    that lever off it is the size that needs least upscaling.
    """

    def bought(resolution: Resolution) -> tuple[Decimal, Length]:
        def usd(length: Length) -> Decimal:
            return model.usd(resolution, brief.orientation, length, audio=with_audio, at=state.priced_at)

        length = model.durations.rendered(shot.duration_s, cost=usd)
        length = length or model.durations.lengths[-1]
        return usd(length), length

    # A model that is nearly never accepted is dear, not infinitely so.
    acceptance = state.acceptance_of(model)
    likely = max(acceptance, LEAST_ACCEPTANCE)

    def upscaled_usd(resolution: Resolution) -> Decimal:
        size, fps = resolution.size(brief.orientation), bought(resolution)[1].fps
        return upscaling_usd(size, shot.duration_s, policy, fps=fps)

    def cost_usd(resolution: Resolution) -> float:
        return float(bought(resolution)[0]) / likely + float(upscaled_usd(resolution))

    largest = [max(_sizes(model, with_audio), key=lambda size: size.short_side)]
    sizes = _reachable(model, with_audio, policy) or largest
    if not policy.levers.small_then_upscale:
        whole = [size for size in sizes if size.short_side >= policy.delivered_short_side]
        sizes = [min(whole, key=lambda size: size.short_side)] if whole else largest
    largest_at = {bought(size)[0]: size for size in sorted(sizes, key=lambda size: size.short_side)}
    resolution = min(largest_at.values(), key=lambda candidate: (cost_usd(candidate), -candidate.short_side))
    usd, length = bought(resolution)
    affinity = state.affinity.get(brief.style, {}).get(model.model, 0.0)
    shift = max(-policy.preference_limit, min(policy.preference_limit, affinity))
    accepted_usd = cost_usd(resolution)
    return _Option(
        model=model,
        resolution=resolution,
        size=resolution.size(brief.orientation),
        audio=with_audio,
        length=length,
        usd=usd,
        upscale_usd=upscaled_usd(resolution),
        acceptance=acceptance,
        accepted_usd=accepted_usd,
        cost_usd=accepted_usd * (1 - shift),
    )


def _choose(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    own: list[_Option],
    promoted: list[_Option],
    dearer: list[_Option],
    policy: RoutingThresholds,
    state: RoutingState,
) -> tuple[_Option, str]:
    """The tier's own choice, unless a promoted or a dearer tier's model is cheaper per accepted clip.

    A complex shot needs the strongest. So it is not for promoted models, which are proven only "as good as", and for
    a dearer tier's only where that is no weaker than the tier's strongest.
    """
    complex_shot = bool(own) and is_complex(brief, policy)
    fit = _adequate(shot, own, tier, policy)
    if complex_shot:
        fit, promoted = [max(fit, key=lambda option: (option.fidelity(shot), -option.cost_usd))], []
        dearer = [option for option in dearer if option.fidelity(shot) >= fit[0].fidelity(shot)]
    if dearer and policy.levers.any_tier:
        cheapest = min([*fit, *promoted], key=_by_accepted_usd)
        limit = dearer[0].accepted_usd
        fit, promoted = ([one for one in options if one.accepted_usd <= limit] for options in (fit, promoted))
        if not fit and not promoted:
            return dearer[0], _why_dearer(shot, tier, dearer[0], cheapest)
    chosen = min([*fit, *promoted], key=lambda option: (option.cost_usd, option in promoted, option.model.model))
    if chosen in promoted:
        name, promotion = chosen.model.model, state.promoted[chosen.model.model]
        return chosen, (
            f"{name} is the cheapest for a {shot.kind} shot: {_price(chosen)}; promoted from {promotion.tier}: "
            f"{promotion.reason}"
        )
    return chosen, _why_own(shot, brief, tier, chosen, complex_shot=complex_shot, policy=policy)


def is_complex(brief: Brief, policy: RoutingThresholds) -> bool:
    """Whether its shots need the strongest model of their tier."""
    return brief.visual_complexity >= policy.complex_complexity and brief.quality is not Quality.DRAFT


def _adequate(shot: StoryboardShot, own: list[_Option], tier: Tier, policy: RoutingThresholds) -> list[_Option]:
    """Those of the tier's own models that are adequate for the shot, else the best of them."""
    adequate = [option for option in own if option.fidelity(shot) >= policy.adequate_fidelity[tier]]
    return adequate or sorted(own, key=lambda option: (-option.fidelity(shot), option.cost_usd))[:1]


def _why_own(
    shot: StoryboardShot, brief: Brief, tier: Tier, chosen: _Option, *, complex_shot: bool, policy: RoutingThresholds
) -> str:
    name, needed = chosen.model.model, policy.adequate_fidelity[tier]
    if chosen.fidelity(shot) < needed:
        return f"{name} is the best of the tier for a {shot.kind} shot; none reaches {needed:.2f}"
    if complex_shot:
        return (
            f"{name} is the strongest of the tier for a {shot.kind} shot (complexity {brief.visual_complexity:.2f}), "
            f"${chosen.usd:.4f} an attempt"
        )
    return f"{name} is the cheapest adequate model for a {shot.kind} shot: {_price(chosen)}"


def _why_dearer(shot: StoryboardShot, tier: Tier, chosen: _Option, own: _Option) -> str:
    return (
        f"{chosen.model.model} of the {chosen.model.tier} tier costs less for {shot.duration_s:g} s of a {shot.kind} "
        f"shot than the {tier} tier's own choice: {_price(chosen)}; {own.model.model} bills "
        f"{own.length.seconds:g} s, ${own.usd:.4f} an attempt, {own.acceptance:.0%} accepted"
    )


def _price(option: _Option) -> str:
    return f"${option.usd:.4f} an attempt, {option.acceptance:.0%} of attempts accepted"


def _alternatives(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    serving: _Serving,
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
) -> tuple[Alternative, ...]:
    """What the shot would have cost with others that can render it: the tier's, those promoted to it, dearer ones."""
    chosen = serving.chosen
    options = [
        _cheapest_size(model, shot, brief, serving.audio, policy, state)
        for model in catalogue.models
        if (model.tier is tier or tier in model.tier.cheaper or _promotion(model, tier, state))
        and not (chosen and model is chosen.model)
        and not _unfit(model, shot, serving.audio)
    ]
    return tuple(
        Alternative(
            model=option.model.model,
            tier=option.model.tier,
            usd=option.usd,
            why_not=_why_not(shot, brief, tier, option, chosen, policy, state),
        )
        for option in sorted(options, key=_by_accepted_usd)[:MAX_ALTERNATIVES]
    )


def _why_not(
    shot: StoryboardShot,
    brief: Brief,
    tier: Tier,
    option: _Option,
    chosen: _Option | None,
    policy: RoutingThresholds,
    state: RoutingState,
) -> str:
    """Why the option was passed over, the first of the reasons that would have been enough."""
    model, needed = option.model, policy.adequate_fidelity[tier]
    promotion = _promotion(model, tier, state)
    if model.model in state.unavailable:
        return state.unavailable[model.model]
    if model.model in state.demoted:
        return "demoted"
    if model.tier is not tier and not _reachable(model, option.audio, policy):
        return "renders too small"
    if promotion is None and option.fidelity(shot) < needed:
        return f"not good enough for a {shot.kind} shot: {option.fidelity(shot):.2f} of {needed:.2f}"
    if promotion is not None and shot.kind not in promotion.kinds:
        return f"not proven on {shot.kind} shots"
    if chosen is None:
        return f"of the {model.tier} tier, which serves {tier} only where it costs less than {tier} itself"
    if option.accepted_usd > chosen.accepted_usd:
        return f"dearer: ${option.accepted_usd:.4f} an accepted clip"
    if is_complex(brief, policy):
        return "not the strongest for so complex a shot"
    if promotion is not None:
        return "stands back for a demoted model that may prove itself"
    return f"costs no less, and its tier or the style {brief.style or 'none'} prefers {chosen.model.model}"
