"""The decision tree of Gate 1: a shot and its brief in, a tier, a model, a size and the reasons out.

Small, pure and total: every shot gets a decision with its predicted cost and its reasons, or the reason why there
is none. The brief's dial is a ceiling: the tree may go to a cheaper tier, never to a dearer one (G1.6). A dearer
tier's model serves a tier too, where it is adequate there and this very shot costs less with it; the clip stays one
of the brief's tier. While models cannot serve, the next adequate one does, within a limit of its price (G2.8).

What a shot costs with a model is its value: an attempt's price over what is believed of its acceptance and its worth.
The tree draws nothing. Who gives a clip to another model than the best value, to learn of it, says so by `Given`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Brief, Quality, StoryboardShot
from video_pipeline.policy import RoutingThresholds
from video_pipeline.routing.beliefs import Belief
from video_pipeline.routing.catalogue import Catalogue, Model, Resolution, Tier
from video_pipeline.routing.lengths import Length
from video_pipeline.routing.levers import Lever, upscaling_usd, without
from video_pipeline.routing.value import LEAST_ACCEPTANCE, Estimate, Prior, estimate

# How many of the models that were passed over a decision tells of, cheapest first.
MAX_ALTERNATIVES = 5

_UNSURE = Prior(clips=8, worth_sd=0.15)
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
class Pin:
    """A person's word that a model serves a tier, up to and with the production day `until`."""

    model: str
    until: date | None = None


@dataclass(frozen=True)
class RoutingState:
    """What is in force: frozen tiers, demoted and promoted models, beliefs, style affinity; pins and who is benched.

    `probed` names the frozen tiers through which a few clips a day go, to see whether the cause is gone. `beliefs`
    maps a model to what is believed of one version of it, `prior` is what is believed of others. `acceptance` maps a
    model to the share of its attempts that a release before there were beliefs had measured; it holds until the first
    night has beliefs. `affinity` maps a style and a model to a share by which the model's cost shifts, within the
    policy's limit. `unavailable` maps models that cannot serve now to why; one that stands in for them costs at most
    `dearest` times what they would. `priced_at` is the moment whose offers and off-peak hours count; without it,
    as in every plan, prices are the list's.

    `fell_on` maps a demoted model to the day whose night demoted it, or since when it rests. `candidates` are models
    that may be tried in the tier above their own. `pinned` maps a tier to the model that a person has pinned to it;
    what a person has `benched` serves nothing. `version` names the state in the ledger.
    """

    frozen: frozenset[str] = frozenset()
    probed: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    promoted: Mapping[str, Promotion] = field(default_factory=dict[str, Promotion])
    beliefs: Mapping[str, Belief] = field(default_factory=dict[str, Belief])
    prior: Prior = _UNSURE
    acceptance: Mapping[str, float] = field(default_factory=dict[str, float])
    affinity: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    fell_on: Mapping[str, date] = field(default_factory=dict[str, date])
    candidates: frozenset[str] = frozenset()
    pinned: Mapping[str, Pin] = field(default_factory=dict[str, Pin])
    benched: frozenset[str] = frozenset()
    version: str = ""
    unavailable: Mapping[str, str] = field(default_factory=dict[str, str])
    dearest: float = math.inf
    priced_at: datetime | None = None

    def belief_in(self, model: Model) -> Belief | None:
        """What is believed of the version that the catalogue has; None of a version that is new."""
        belief = self.beliefs.get(model.model)
        return belief if belief is not None and belief.version == model.version else None

    def estimate_of(self, model: Model, kind: str) -> Estimate:
        """What is believed of the model on a kind of shot; of a new version what the catalogue says."""
        usual = self.acceptance.get(model.model, model.acceptance_prior)
        return estimate(kind, self.belief_in(model), self.prior, usual)

    def on(self, day: date) -> "RoutingState":
        """The state as it is for clips of a production day: without the pins that have ended."""
        if all(pin.until is None or day <= pin.until for pin in self.pinned.values()):
            return self
        held = {tier: pin for tier, pin in self.pinned.items() if pin.until is None or day <= pin.until}
        return replace(self, pinned=held)

    def out_of_quarantine(self, day: date, quarantine_days: int) -> frozenset[str]:
        """The demoted models that may prove themselves on clips of a day: those that fell some days before it."""
        rest = timedelta(days=quarantine_days)
        return frozenset(model for model in self.demoted if self.fell_on.get(model, date.min) < day - rest)


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


class Purpose(StrEnum):
    """Why chance gave a clip to a model: it fell to the best value; to learn of another; so that a demoted one may
    prove itself; to try one in the tier above its own."""

    VALUE = "value"
    LEARN = "learn"
    PROBATION = "probation"
    TRIAL = "trial"


@dataclass(frozen=True)
class Draw:
    """What was drawn for a clip, enough to draw it again: `shares` of the models that were in it, and the `point`.

    `sure` is how likely the model is the best value of them (0 where that was not asked). `extra_usd` is what the
    shot is expected to cost more than with the best value, never under 0. `state` is the version of the ledger's
    state that this was drawn under.
    """

    purpose: Purpose
    shares: dict[str, float]
    point: float
    sure: float = 0.0
    extra_usd: Decimal = Decimal(0)
    state: str = ""


@dataclass(frozen=True)
class Given:
    """Who is to serve a shot instead of the tree's own choice, where it can; and who is not, if another can.

    `model` is None where the tree chooses among those that are not `kept_back`, which maps models to why. `chance` is
    the probability with which the shot came to that model.
    """

    model: str | None = None
    draw: Draw | None = None
    chance: float = 1.0
    kept_back: Mapping[str, str] = field(default_factory=dict[str, str])


_FREE = Given()


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
    `requested_s` is what is bought, `wanted_s` the shot's own length (0 in decisions of older releases).
    A shot that a freeze holds keeps the price and the acceptance that it would have without the freeze.
    `fell_over` is there while another model stands in for the one that the shot was first given. `chance` is the
    probability with which the shot was first given to its model, under the state and the budgets that were in force,
    1 where nothing was drawn. `draw` is what was drawn. With `reuse` nothing is bought; the rest of the decision is
    what holds should that file be gone. `upscale_usd` is the electricity that upscales the accepted clip, and `saves`
    what each lever is expected to save of its cost.
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
    wanted_s: float = 0.0
    attempt_usd: Decimal = Decimal(0)
    acceptance: float = 1.0
    upscale_usd: Decimal = Decimal(0)
    saves: dict[Lever, Decimal] = {}
    reasons: tuple[str, ...] = ()
    held: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    fell_over: FallOver | None = None
    chance: float = 1.0
    draw: Draw | None = None
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
    """What is asked of the tree: who is to serve a shot of a brief in a tier, under what is in force."""

    shot: StoryboardShot
    brief: Brief
    tier: Tier
    catalogue: Catalogue
    policy: RoutingThresholds
    state: RoutingState
    given: Given = _FREE

    @classmethod
    def of(
        cls, shot: StoryboardShot, brief: Brief, catalogue: Catalogue, policy: RoutingThresholds, state: RoutingState
    ) -> "Question":
        """The question in the brief's own tier."""
        return cls(shot, brief, tier_of(brief, policy)[0], catalogue, policy, state)

    @cached_property
    def with_audio(self) -> bool:
        """Whether the clip is to have sound; it is silent where no model of the tier has any."""
        return self.brief.native_audio and any(model.offers_audio for model in self.catalogue.of_tier(self.tier))

    @property
    def needed(self) -> float:
        """The fidelity that the tier asks."""
        return self.policy.adequate_fidelity[self.tier]


def decide(
    shot: StoryboardShot, brief: Brief, catalogue: Catalogue, policy: RoutingThresholds, state: RoutingState
) -> Decision:
    """Choose tier, model and size for one shot (G1.1-G1.5, G1.9, G1.10)."""
    asked = Question.of(shot, brief, catalogue, policy, state)
    return decide_by(weigh(asked), asked)


def decide_by(serving: Serving, asked: Question) -> Decision:
    """The decision on a shot whose `serving` was weighed before, with the same `given.kept_back`."""
    tier, given = asked.tier, asked.given
    _, reasons = tier_of(asked.brief, asked.policy)
    if tier.value in asked.state.frozen:
        held, thawed = f"the {tier} tier is frozen for new generation; the clip waits until it thaws", serving.chosen
        return Decision(
            shot=asked.shot.index,
            tier=tier,
            attempt_usd=thawed.usd if thawed else Decimal(0),
            acceptance=thawed.acceptance if thawed else 1.0,
            reasons=(*reasons, held),
            held=held,
        )
    serving = _as_given(asked, serving)
    reasons += serving.notes
    chosen = serving.chosen
    alternatives = _alternatives(asked, serving)
    if chosen is None:
        held = f"no model of the {tier} tier can serve this shot"
        return Decision(
            shot=asked.shot.index, tier=tier, reasons=(*reasons, held), held=held, alternatives=alternatives
        )
    saves = _saves(asked, chosen)
    as_given = given.model in (None, chosen.model.model)
    return Decision(
        shot=asked.shot.index,
        tier=tier,
        model=chosen.model.model,
        model_version=chosen.model.version,
        resolution=chosen.resolution.name,
        size=chosen.size,
        audio=asked.with_audio,
        requested_s=chosen.length.seconds,
        wanted_s=asked.shot.duration_s,
        attempt_usd=chosen.usd,
        acceptance=chosen.acceptance,
        upscale_usd=chosen.upscale_usd,
        saves=saves,
        reasons=(*reasons, serving.why, *_why_rounded(asked, chosen, saves), _why_size(asked, chosen, saves)),
        alternatives=alternatives,
        chance=given.chance if as_given else 1.0,
        draw=given.draw if as_given else None,
    )


def _saves(asked: Question, chosen: Option) -> dict[Lever, Decimal]:
    """What an accepted clip would cost more without each lever that made a difference here."""
    levers = asked.policy.levers

    def plainly(lever: Lever) -> Question:
        return replace(asked, policy=without(lever, asked.policy), given=_FREE)

    otherwise: dict[Lever, Option | None] = {}
    if levers.small_then_upscale:
        otherwise[Lever.SMALL_THEN_UPSCALE] = _cheapest_size(chosen.model, plainly(Lever.SMALL_THEN_UPSCALE))
    if levers.round_to_billed and chosen.length.seconds < asked.shot.duration_s:
        otherwise[Lever.ROUND_TO_BILLED] = _cheapest_size(chosen.model, plainly(Lever.ROUND_TO_BILLED))
    if levers.any_tier and asked.tier in chosen.model.tier.cheaper:
        otherwise[Lever.ANY_TIER] = weigh(plainly(Lever.ANY_TIER)).chosen
    more = {lever: option.accepted_usd - chosen.accepted_usd for lever, option in otherwise.items() if option}
    return {lever: Decimal(f"{usd:.6f}") for lever, usd in more.items() if usd >= 0.000001}


def _why_rounded(asked: Question, chosen: Option, saves: Mapping[Lever, Decimal]) -> tuple[str, ...]:
    """That less is bought than the shot asks for, in words; nothing where no less is."""
    bought_s = chosen.length.seconds
    if bought_s >= asked.shot.duration_s:
        return ()
    saved = saves.get(Lever.ROUND_TO_BILLED)
    said = f"{asked.shot.duration_s:g} s are bought as {bought_s:g} s"
    longest = f"the longest that {chosen.model.model} renders"
    return (f"{said}, which saves ${saved:.4f} an accepted clip" if saved else f"{said}, {longest}",)


def _why_size(asked: Question, chosen: Option, saves: Mapping[Lever, Decimal]) -> str:
    """The size in words, with what its upscaling costs and saves."""
    width, height = chosen.size
    factor = asked.policy.delivered_short_side / min(width, height)
    if factor <= 1:
        return f"rendered at {width}x{height}, which needs no upscaling"
    saved = saves.get(Lever.SMALL_THEN_UPSCALE)
    against = f", which saves ${saved:.4f} against its largest size" if saved else ""
    said = f"rendered at {width}x{height}, upscaled {factor:.1f}x on our own GPU"
    least = Decimal("0.0001")
    cost = f"${chosen.upscale_usd:.4f}" if chosen.upscale_usd >= least else f"under ${least}"
    return f"{said} for {cost} of electricity{against}"


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


def weigh(asked: Question) -> Serving:
    """Who would serve the shot in the tier, frozen or not, and who else may be given it."""
    own, promoted, demoted, notes = _options(asked)
    pinned, why_not = _pinned(asked)
    notes += why_not
    if pinned is not None:
        if pinned.model.model not in asked.state.unavailable:
            return Serving(pinned, _why_pinned(asked, pinned), notes, fixed=True)
        notes += (asked.state.unavailable[pinned.model.model],)
    if not own and not promoted:
        return Serving(None, "", notes)
    dearer, fallen = _dearer(asked)
    serving = _stand_in(asked, own, promoted, demoted, dearer, notes)
    if serving.chosen is None or asked.state.unavailable:
        return serving
    complex_shot = is_complex(asked.brief, asked.policy)
    return replace(
        serving,
        own=(*_adequate(asked, own), *(() if complex_shot else promoted)),
        dearer=tuple(dearer) if asked.policy.levers.any_tier else (),
        demoted=(*(one for one in demoted if one.fidelity(asked.shot) >= asked.needed), *fallen),
        candidates=_candidates(asked),
        fixed=complex_shot,
    )


def _as_given(asked: Question, serving: Serving) -> Serving:
    """The model that the shot is given to, where it can serve; else the tree's own choice."""
    usual, draw = serving.chosen, asked.given.draw
    if usual is None or draw is None or serving.fixed:
        return serving
    if draw.purpose is Purpose.VALUE:
        return replace(serving, why=f"{serving.why}, {draw.sure:.0%} sure")
    open_to = [*serving.own, *serving.dearer, *serving.demoted, *serving.candidates]
    found = next((option for option in open_to if option.model.model == asked.given.model), None)
    if found is None:
        return serving
    return replace(serving, chosen=found, why=_why_given(asked.tier, found, usual, draw, asked.given.chance))


def _stand_in(
    asked: Question,
    own: list[Option],
    promoted: list[Option],
    demoted: list[Option],
    dearer: list[Option],
    notes: tuple[str, ...],
) -> Serving:
    """The usual choice; while that cannot serve, one among those that can, as good as the tier asks and not too dear.

    Only while nobody of the tier can does a dearer tier's model serve that costs more than the tier's own would, and
    only while that cannot either, a demoted one.
    """

    def able(options: list[Option]) -> list[Option]:
        return [option for option in options if option.model.model not in asked.state.unavailable]

    usual, why = _choose(asked, own, promoted, dearer)
    if usual.model.model not in asked.state.unavailable:
        named = {option.model.model for option in (*own, *promoted, *dearer)}
        kept_back = tuple(
            said for model, said in asked.given.kept_back.items() if model in named - {usual.model.model}
        )
        return Serving(usual, why, (*notes, *kept_back))
    notes = (*notes, asked.state.unavailable[usual.model.model])
    limit = float(usual.usd) * asked.state.dearest

    def adequate(options: list[Option], among: list[Option]) -> list[Option]:
        # Where none of them reaches what the tier asks, the best of them serves, and so does the next best.
        none_reaches_it = all(option.fidelity(asked.shot) < asked.needed for option in among)
        return [one for one in able(options) if none_reaches_it or one.fidelity(asked.shot) >= asked.needed]

    own, demoted = adequate(own, own), adequate(demoted, [*own, *demoted])
    own, promoted, demoted, dearer = (
        [one for one in options if float(one.usd) <= limit]
        for options in (own, able(promoted), demoted, able(dearer))
    )
    if own or promoted:
        chosen, why = _choose(asked, own, promoted, dearer)
        return Serving(chosen, why, notes)
    if not dearer and not demoted:
        return Serving(None, "", notes)
    if not dearer:
        chosen = min(demoted, key=_by_value)
        why = f"{chosen.model.model} is demoted, but nobody else can serve: {_price(chosen)}"
        return Serving(chosen, why, notes)
    chosen = dearer[0]
    why = f"{chosen.model.model} of the {chosen.model.tier} tier stands in: {_price(chosen)}"
    return Serving(chosen, why, notes)


def _options(asked: Question) -> tuple[list[Option], list[Option], list[Option], tuple[str, ...]]:
    """The models of the tier that can serve, those promoted to it that can, the demoted ones, why others are out."""
    notes: list[str] = []
    able: list[Option] = []
    if asked.brief.native_audio and not asked.with_audio:
        notes.append("sound is asked for, but no model of this tier has any: the clip will be silent")
    for model in asked.catalogue.of_tier(asked.tier):
        unfit = _unfit(model, asked)
        if unfit:
            notes.append(unfit)
        else:
            able.append(_cheapest_size(model, asked))
    standing = [option for option in able if option.model.model not in asked.state.demoted]
    promoted, more = _promoted(asked)
    if able and not standing and not promoted:
        notes.append("every model that could serve is demoted: the shot would stand still, so they serve")
        return able, [], [], (*notes, *more)
    demoted = [option for option in able if option not in standing]
    notes += [f"{option.model.model} is demoted" for option in demoted]
    return standing, promoted, demoted, (*notes, *more)


def _pinned(asked: Question) -> tuple[Option | None, tuple[str, ...]]:
    """The model that a person has pinned to the tier, or None and why it cannot serve this shot."""
    pin = asked.state.pinned.get(asked.tier)
    if pin is None:
        return None, ()
    model = asked.catalogue.find(pin.model)
    if model is None:
        return None, (f"{pin.model} is pinned to the {asked.tier} tier, but not in the catalogue",)
    unfit = _unfit(model, asked)
    if unfit:
        return None, (f"{unfit}, so it cannot serve, though it is pinned to the {asked.tier} tier",)
    return _cheapest_size(model, asked), ()


def _candidates(asked: Question) -> tuple[Option, ...]:
    """The models of the tier below that may be tried in `tier` and can serve this shot as that would.

    A new version is none, whatever its model was: it has to be known in its own tier first.
    """
    return tuple(
        _cheapest_size(model, asked)
        for model in asked.catalogue.models
        if model.model in asked.state.candidates
        and asked.state.belief_in(model) is not None
        and model.tier.above is asked.tier
        and model.model not in asked.state.demoted
        and _promotion(model, asked) is None
        and not _unfit(model, asked)
        and _reachable(model, asked)
    )


def _promoted(asked: Question) -> tuple[list[Option], list[str]]:
    """The models that are promoted to `tier` and can serve this shot as it would be served there (G1.4)."""
    notes: list[str] = []
    able: list[Option] = []
    for model in asked.catalogue.models:
        promotion = _promotion(model, asked)
        if promotion is None:
            continue
        unfit = _unfit(model, asked)
        if asked.shot.kind not in promotion.kinds:
            notes.append(f"{model.model} is promoted from {model.tier}, but not proven on {asked.shot.kind} shots")
        elif unfit:
            notes.append(unfit)
        elif not _reachable(model, asked):
            notes.append(
                f"{model.model} renders too small to be upscaled to {asked.policy.delivered_short_side} lines"
            )
        else:
            able.append(_cheapest_size(model, asked))
    return able, notes


def _promotion(model: Model, asked: Question) -> Promotion | None:
    """What promotes this very version of the model to `tier`, if anything does."""
    promotion = asked.state.promoted.get(model.model)
    if promotion is None or model.tier.above is not asked.tier:
        return None
    return promotion if (promotion.version, promotion.tier) == (model.version, model.tier) else None


def _dearer(asked: Question) -> tuple[list[Option], list[Option]]:
    """Models of dearer tiers that are adequate for `tier`, best value first, and those that were but for a demotion.

    What serves this very shot in a dearer tier is adequate too, whatever its fidelity: a preview may be the clip that
    it previews, and so never costs more.
    """
    adequate = [
        model
        for model in asked.catalogue.models
        if asked.tier in model.tier.cheaper
        and model.fidelity[asked.shot.kind] >= asked.needed
        and _reachable(model, asked)
    ]
    for above in (other for other in Tier if asked.tier in other.cheaper):
        serving = weigh(replace(asked, tier=above, given=_FREE)).chosen
        if serving is not None and serving.model not in adequate and serving.model.model not in asked.state.demoted:
            adequate.append(serving.model)
    options = [_cheapest_size(model, asked) for model in adequate if not _unfit(model, asked)]
    options.sort(key=_by_value)
    standing = [option for option in options if option.model.model not in asked.state.demoted]
    return standing, [option for option in options if option not in standing]


def _by_value(option: Option) -> tuple[float, str]:
    return option.value_usd, option.model.model


def _by_accepted_usd(option: Option) -> tuple[float, str]:
    return option.accepted_usd, option.model.model


def _unfit(model: Model, asked: Question) -> str:
    """Why the model cannot render this shot, in words; empty when it can."""
    if model.model in asked.state.benched:
        return f"{model.model} is benched by hand"
    if asked.brief.orientation not in model.orientations:
        return f"{model.model} renders only {' and '.join(model.orientations)}"
    if asked.with_audio and not model.offers_audio:
        return f"{model.model} has no sound"
    if model.durations.rendered(asked.shot.duration_s, within=asked.policy.round_within) is None:
        return f"{model.model} renders at most {model.durations.longest_s:g} s"
    return ""


def _sizes(model: Model, asked: Question) -> list[Resolution]:
    return [size for size in model.resolutions if not asked.with_audio or size.name in model.price.sound]


def _reachable(model: Model, asked: Question) -> list[Resolution]:
    """The sizes from which the upscaler reaches the delivered one."""
    return [size for size in _sizes(model, asked) if asked.policy.reaches_delivered(size.short_side)]


def _cheapest_size(model: Model, asked: Question) -> Option:
    """The least-cost size from which the upscaler reaches the delivered one, else the largest (G1.9).

    Its upscaling counts, but a larger size at the same price is the better picture for a trifle of electricity. With
    that lever off it is the size that needs least upscaling.
    """

    shot, brief, policy, state = asked.shot, asked.brief, asked.policy, asked.state

    def bought(resolution: Resolution) -> tuple[Decimal, Length]:
        def usd(length: Length) -> Decimal:
            return model.usd(resolution, brief.orientation, length, audio=asked.with_audio, at=state.priced_at)

        length = model.durations.rendered(shot.duration_s, within=policy.round_within, cost=usd)
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
    sizes = _reachable(model, asked) or largest
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


def _choose(asked: Question, own: list[Option], promoted: list[Option], dearer: list[Option]) -> tuple[Option, str]:
    """The tier's own choice, unless a promoted or a dearer tier's model is the better value.

    A complex shot needs the strongest. So it is not for promoted models, which are proven only "as good as", and for
    a dearer tier's only where that is no weaker than the tier's strongest.
    """
    complex_shot = bool(own) and is_complex(asked.brief, asked.policy)
    if complex_shot:
        promoted = []
    fit = _adequate(asked, own)

    def strongest(options: list[Option]) -> Option:
        return max(options, key=lambda option: (option.fidelity(asked.shot), -option.cost_usd))

    first = strongest(fit) if complex_shot else min([*fit, *promoted], key=_by_value)
    fit, promoted, dearer = _not_kept_back(asked, fit, promoted, dearer, complex_shot=complex_shot)
    if complex_shot:
        fit = [strongest(fit)]
        dearer = [option for option in dearer if option.fidelity(asked.shot) >= fit[0].fidelity(asked.shot)]
    if dearer and asked.policy.levers.any_tier:
        limit = dearer[0].value_usd
        fit, promoted = ([one for one in options if one.value_usd <= limit] for options in (fit, promoted))
        if not fit and not promoted:
            return dearer[0], _why_dearer(asked, dearer[0], first)
    chosen = min([*fit, *promoted], key=lambda option: (option.cost_usd, option in promoted, option.model.model))
    if chosen in promoted:
        promotion = asked.state.promoted[chosen.model.model]
        return chosen, f"{_why_best(asked, chosen)}; promoted from {promotion.tier}: {promotion.reason}"
    return chosen, _why_own(asked, chosen, complex_shot=complex_shot)


def _not_kept_back(
    asked: Question, fit: list[Option], promoted: list[Option], dearer: list[Option], *, complex_shot: bool
) -> tuple[list[Option], list[Option], list[Option]]:
    """Those that are not kept back; all, where nobody else could serve. A complex shot needs the tier's own."""
    rest = [
        [option for option in options if option.model.model not in asked.given.kept_back]
        for options in (fit, promoted, dearer)
    ]
    if rest[0] or (not complex_shot and (rest[1] or rest[2])):
        fit, promoted, dearer = rest
    return fit, promoted, dearer


def is_complex(brief: Brief, policy: RoutingThresholds) -> bool:
    """Whether its shots need the strongest model of their tier."""
    return brief.visual_complexity >= policy.complex_complexity and brief.quality is not Quality.DRAFT


def _adequate(asked: Question, own: list[Option]) -> list[Option]:
    """Those of the tier's own models that are adequate for the shot, else the best of them."""
    adequate = [option for option in own if option.fidelity(asked.shot) >= asked.needed]
    return adequate or sorted(own, key=lambda option: (-option.fidelity(asked.shot), option.cost_usd))[:1]


def _why_own(asked: Question, chosen: Option, *, complex_shot: bool) -> str:
    name = chosen.model.model
    if chosen.fidelity(asked.shot) < asked.needed:
        return f"{name} is the best of the tier for a {asked.shot.kind} shot; none reaches {asked.needed:.2f}"
    if complex_shot:
        return (
            f"{name} is the strongest of the tier for a {asked.shot.kind} shot "
            f"(complexity {asked.brief.visual_complexity:.2f}), ${chosen.usd:.4f} an attempt"
        )
    if not asked.state.beliefs:
        return f"{name} is the cheapest adequate model for a {asked.shot.kind} shot: {_price(chosen)}"
    return _why_best(asked, chosen)


def _why_best(asked: Question, chosen: Option) -> str:
    name = chosen.model.model
    if not asked.state.beliefs:
        return f"{name} is the cheapest for a {asked.shot.kind} shot: {_price(chosen)}"
    return f"{name} is the best value for a {asked.shot.kind} shot: {_value(chosen)}"


def _why_dearer(asked: Question, chosen: Option, own: Option) -> str:
    name = f"{chosen.model.model} of the {chosen.model.tier} tier"
    if own.value_usd < chosen.value_usd:
        return f"{name} serves, as the {asked.tier} tier's own are kept back: {_price(chosen)}"
    return (
        f"{name} costs less for {asked.shot.duration_s:g} s of a {asked.shot.kind} "
        f"shot than the {asked.tier} tier's own choice: {_price(chosen)}; {own.model.model} bills "
        f"{own.length.seconds:g} s, ${own.usd:.4f} an attempt, {own.acceptance:.0%} accepted"
    )


def _why_pinned(asked: Question, pinned: Option) -> str:
    until = asked.state.pinned[asked.tier].until
    return (
        f"{pinned.model.model} is pinned to the {asked.tier} tier by hand{f' until {until}' if until else ''}: "
        f"{_price(pinned)}"
    )


def _why_given(tier: Tier, chosen: Option, usual: Option, draw: Draw, chance: float) -> str:
    name = chosen.model.model
    than = f"than {usual.model.model}"
    more = f"${draw.extra_usd:.4f} more {than}" if draw.extra_usd else f"no dearer {than}"
    match draw.purpose:
        case Purpose.PROBATION:
            return f"{name} is demoted and may prove itself on this clip, {more}"
        case Purpose.TRIAL:
            return f"drawn to try {name} of the {chosen.model.tier} tier in the {tier} tier ({chance:.0%}), {more}"
        case _:
            return f"drawn to learn of {name} ({chance:.0%}), {more}"


def _value(option: Option) -> str:
    worth = option.accepted_usd / option.value_usd
    as_much = "" if round(worth, 2) == 1 else f", worth {worth:.2f} of the usual"
    return f"${option.accepted_usd:.4f} an accepted clip{as_much}"


def _price(option: Option) -> str:
    return f"${option.usd:.4f} an attempt, {option.acceptance:.0%} of attempts accepted"


def _alternatives(asked: Question, serving: Serving) -> tuple[Alternative, ...]:
    """What the shot would have cost with others that can render it: the tier's, those promoted to it, dearer ones."""
    chosen = serving.chosen
    options = [
        _cheapest_size(model, asked)
        for model in asked.catalogue.models
        if (model.tier is asked.tier or asked.tier in model.tier.cheaper or _promotion(model, asked))
        and not (chosen and model is chosen.model)
        and not _unfit(model, asked)
    ]
    return tuple(
        Alternative(
            model=option.model.model,
            tier=option.model.tier,
            usd=option.usd,
            why_not=_why_not(asked, option, chosen),
        )
        for option in sorted(options, key=_by_accepted_usd)[:MAX_ALTERNATIVES]
    )


def _why_not(asked: Question, option: Option, chosen: Option | None) -> str:
    """Why the option was passed over, the first of the reasons that would have been enough."""
    model, promotion = option.model, _promotion(option.model, asked)
    if model.model in asked.state.unavailable:
        return asked.state.unavailable[model.model]
    if model.model in asked.state.demoted:
        return "demoted"
    if model.tier is not asked.tier and not _reachable(model, asked):
        return "renders too small"
    if promotion is None and option.fidelity(asked.shot) < asked.needed:
        return (
            f"not good enough for a {asked.shot.kind} shot: {option.fidelity(asked.shot):.2f} of {asked.needed:.2f}"
        )
    if promotion is not None and asked.shot.kind not in promotion.kinds:
        return f"not proven on {asked.shot.kind} shots"
    if chosen is None:
        return (
            f"of the {model.tier} tier, which serves {asked.tier} only where it costs less than {asked.tier} itself"
        )
    if asked.tier in asked.state.pinned and chosen.model.model == asked.state.pinned[asked.tier].model:
        return f"{chosen.model.model} is pinned"
    if option.accepted_usd > chosen.accepted_usd:
        return f"dearer: ${option.accepted_usd:.4f} an accepted clip"
    if option.value_usd > chosen.value_usd:
        return f"worth less: {_value(option)}"
    if model.model in asked.given.kept_back:
        return asked.given.kept_back[model.model]
    if asked.given.model == chosen.model.model:
        return f"the clip was given to {chosen.model.model}"
    if is_complex(asked.brief, asked.policy):
        return "not the strongest for so complex a shot"
    if promotion is not None:
        return f"costs no less, and {asked.tier} prefers its own"
    return f"costs no less, and its tier or the style {asked.brief.style or 'none'} prefers {chosen.model.model}"
