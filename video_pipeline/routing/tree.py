"""The decision tree of Gate 1: a shot and its brief in, a tier, a model, a size and the reasons out.

Small, pure and total: every shot gets a decision with its predicted cost and its reasons, or the reason why there
is none. The brief's dial is a ceiling: the tree may go to a cheaper tier, never to a dearer one (G1.6). A dearer
tier's model serves a tier too, where it is adequate there and this very shot costs less with it; the clip stays one
of the brief's tier. While models cannot serve, the next adequate one does, within a limit of its price (G2.8).

What a shot costs with a model is its value: an attempt's price over what is believed of its acceptance and its worth.
The tree draws nothing. Who gives a clip to another model than the best value, to learn of it, says so by `Given`.
"""

from dataclasses import replace
from decimal import Decimal
from functools import partial

from video_pipeline.briefs import Brief, ShotKind, StoryboardShot
from video_pipeline.policy import RoutingThresholds
from video_pipeline.routing.catalogue import Catalogue, Tier
from video_pipeline.routing.decision import FREE, MAX_ALTERNATIVES, Alternative, ByKind, Decision, Purpose
from video_pipeline.routing.levers import Lever, without
from video_pipeline.routing.options import (
    Option,
    Question,
    Serving,
    by_accepted_usd,
    by_value,
    cheapest_size,
    is_complex,
    promotion_of,
    reachable,
    tier_of,
    why_unfit,
)
from video_pipeline.routing.reasons import (
    price_words,
    what_of_the_bibles,
    why_best,
    why_continued,
    why_dearer,
    why_given,
    why_own,
    why_passed_over,
    why_pinned,
    why_rounded,
    why_size,
)
from video_pipeline.routing.state import RoutingState


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
    own_choice = serving.chosen
    serving = _as_given(asked, serving)
    reasons += serving.notes
    chosen = serving.chosen
    alternatives = _alternatives(asked, serving)
    if chosen is None:
        held = _why_nobody(asked)
        return Decision(
            shot=asked.shot.index, tier=tier, reasons=(*reasons, held), held=held, alternatives=alternatives
        )
    saves = _saves(asked, chosen)
    as_given = given.model in (None, chosen.model.model)
    continues, how_continued = why_continued(asked, chosen)
    decision = Decision(
        shot=asked.shot.index,
        tier=tier,
        model=chosen.model.model,
        model_version=chosen.model.version,
        resolution=chosen.resolution.name,
        size=chosen.size,
        audio=asked.with_audio,
        requested_s=chosen.length.seconds,
        wanted_s=asked.shot.duration_s,
        attempt_usd=_attempt_usd(asked, chosen),
        acceptance=chosen.acceptance,
        upscale_usd=chosen.upscale_usd,
        saves=saves,
        continues=continues,
        alternatives=alternatives,
        chance=given.chance if as_given else 1.0,
        draw=given.draw if as_given else None,
        by_kind=_by_kind(asked, chosen) if chosen is own_choice else None,
    )
    told = (decision.for_its_kind,) if decision.by_kind else ()
    reasons += (serving.why, *told, *why_rounded(asked, chosen, saves), why_size(asked, chosen, saves))
    reasons += (*how_continued, *what_of_the_bibles(asked.shot, chosen, continues=continues))
    return decision.model_copy(update={"reasons": reasons})


def _attempt_usd(asked: Question, option: Option) -> Decimal:
    """An attempt's price; one that starts from a frame has that in the place of reference pictures."""
    continues, _ = why_continued(asked, option)
    beside_usd = partial(option.model.beside_usd, len(asked.shot.references), option.length.seconds)
    return option.usd - beside_usd() + beside_usd(starts=continues)


def _by_kind(asked: Question, chosen: Option) -> ByKind | None:
    """Who would serve the shot were it an ordinary one, where that is another model."""
    kind = asked.shot.kind
    if kind in (ShotKind.DEFAULT, ShotKind.TALKING):
        return None
    ordinary = asked.shot.model_copy(update={"kind": ShotKind.DEFAULT})
    usual = weigh(replace(asked, shot=ordinary)).chosen
    if usual is None or usual.model is chosen.model:
        return None
    here = cheapest_size(usual.model, asked)
    return ByKind(
        kind=kind,
        model=usual.model.model,
        usd=_attempt_usd(asked, here),
        acceptance=here.acceptance,
        fidelity=chosen.fidelity(asked.shot),
        usual_fidelity=here.fidelity(asked.shot),
    )


def _why_nobody(asked: Question) -> str:
    """Why no model can serve the shot, and what would change that."""
    if asked.shot.script is None:
        return f"no model of the {asked.tier} tier can serve this shot"
    if asked.of_tier:
        why = "; ".join(dict.fromkeys(why_unfit(model, asked) for model in asked.of_tier))
        return f"no model of the {asked.tier} tier can say this script{f': {why}' if why else ''}"
    if asked.models:
        return f"no model of the {asked.tier} tier says scripts; the clip waits until the catalogue has one"
    sellers = sorted({model.provider for model in asked.catalogue.unconnected if model.suits(asked.shot.kind)})
    if not sellers:
        return f"no model of the catalogue {asked.catalogue.name} says scripts; the clip waits until it has one"
    said = "no connected provider has a model that says scripts"
    return f"{said}; the clip waits until {' or '.join(sellers)} is connected"


def _saves(asked: Question, chosen: Option) -> dict[Lever, Decimal]:
    """What an accepted clip would cost more without each lever that made a difference here."""
    levers = asked.policy.levers

    def plainly(lever: Lever) -> Question:
        return replace(asked, policy=without(lever, asked.policy), given=FREE)

    otherwise: dict[Lever, Option | None] = {}
    if levers.small_then_upscale:
        otherwise[Lever.SMALL_THEN_UPSCALE] = cheapest_size(chosen.model, plainly(Lever.SMALL_THEN_UPSCALE))
    if levers.round_to_billed and chosen.length.seconds < asked.shot.duration_s:
        otherwise[Lever.ROUND_TO_BILLED] = cheapest_size(chosen.model, plainly(Lever.ROUND_TO_BILLED))
    if levers.any_tier and asked.tier in chosen.model.tier.cheaper:
        otherwise[Lever.ANY_TIER] = weigh(plainly(Lever.ANY_TIER)).chosen
    more = {lever: option.accepted_usd - chosen.accepted_usd for lever, option in otherwise.items() if option}
    return {lever: Decimal(f"{usd:.6f}") for lever, usd in more.items() if usd >= 0.000001}


def weigh(asked: Question) -> Serving:
    """Who would serve the shot in the tier, frozen or not, and who else may be given it."""
    own, promoted, demoted, notes = _options(asked)
    pinned, why_not = _pinned(asked)
    notes += why_not
    if pinned is not None:
        if pinned.model.model not in asked.state.unavailable:
            return Serving(pinned, why_pinned(asked, pinned), notes, fixed=True)
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
    return replace(serving, chosen=found, why=why_given(asked.tier, found, usual, draw, asked.given.chance))


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
        chosen = min(demoted, key=by_value)
        why = f"{chosen.model.model} is demoted, but nobody else can serve: {price_words(chosen)}"
        return Serving(chosen, why, notes)
    chosen = dearer[0]
    why = f"{chosen.model.model} of the {chosen.model.tier} tier stands in: {price_words(chosen)}"
    return Serving(chosen, why, notes)


def _options(asked: Question) -> tuple[list[Option], list[Option], list[Option], tuple[str, ...]]:
    """The models of the tier that can serve, those promoted to it that can, the demoted ones, why others are out."""
    notes: list[str] = []
    able: list[Option] = []
    if asked.brief.native_audio and not asked.with_audio:
        notes.append("sound is asked for, but no model of this tier has any: the clip will be silent")
    for model in asked.of_tier:
        unfit = why_unfit(model, asked)
        if unfit:
            notes.append(unfit)
        else:
            able.append(cheapest_size(model, asked))
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
    unfit = why_unfit(model, asked)
    if unfit:
        return None, (f"{unfit}, so it cannot serve, though it is pinned to the {asked.tier} tier",)
    return cheapest_size(model, asked), ()


def _candidates(asked: Question) -> tuple[Option, ...]:
    """The models of the tier below that may be tried in `tier` and can serve this shot as that would.

    A new version is none, whatever its model was: it has to be known in its own tier first.
    """
    return tuple(
        cheapest_size(model, asked)
        for model in asked.models
        if model.model in asked.state.candidates
        and asked.state.belief_in(model) is not None
        and model.tier.above is asked.tier
        and model.model not in asked.state.demoted
        and promotion_of(model, asked) is None
        and not why_unfit(model, asked)
        and reachable(model, asked)
    )


def _promoted(asked: Question) -> tuple[list[Option], list[str]]:
    """The models that are promoted to `tier` and can serve this shot as it would be served there (G1.4)."""
    notes: list[str] = []
    able: list[Option] = []
    for model in asked.models:
        promotion = promotion_of(model, asked)
        if promotion is None:
            continue
        unfit = why_unfit(model, asked)
        if asked.shot.kind not in promotion.kinds:
            notes.append(f"{model.model} is promoted from {model.tier}, but not proven on {asked.shot.kind} shots")
        elif unfit:
            notes.append(unfit)
        elif not reachable(model, asked):
            notes.append(
                f"{model.model} renders too small to be upscaled to {asked.policy.delivered_short_side} lines"
            )
        else:
            able.append(cheapest_size(model, asked))
    return able, notes


def _dearer(asked: Question) -> tuple[list[Option], list[Option]]:
    """Models of dearer tiers that are adequate for `tier`, best value first, and those that were but for a demotion.

    What serves this very shot in a dearer tier is adequate too, whatever its fidelity: a preview may be the clip that
    it previews, and so never costs more.
    """
    adequate = [
        model
        for model in asked.models
        if asked.tier in model.tier.cheaper
        and model.fidelity[asked.shot.kind] >= asked.needed
        and reachable(model, asked)
    ]
    for above in (other for other in Tier if asked.tier in other.cheaper):
        serving = weigh(replace(asked, tier=above, given=FREE)).chosen
        if serving is not None and serving.model not in adequate and serving.model.model not in asked.state.demoted:
            adequate.append(serving.model)
    options = [cheapest_size(model, asked) for model in adequate if not why_unfit(model, asked)]
    options.sort(key=by_value)
    standing = [option for option in options if option.model.model not in asked.state.demoted]
    return standing, [option for option in options if option not in standing]


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

    first = strongest(fit) if complex_shot else min([*fit, *promoted], key=by_value)
    fit, promoted, dearer = _not_kept_back(asked, fit, promoted, dearer, complex_shot=complex_shot)
    if complex_shot:
        fit = [strongest(fit)]
        dearer = [option for option in dearer if option.fidelity(asked.shot) >= fit[0].fidelity(asked.shot)]
    if dearer and asked.policy.levers.any_tier:
        limit = dearer[0].value_usd
        fit, promoted = ([one for one in options if one.value_usd <= limit] for options in (fit, promoted))
        if not fit and not promoted:
            return dearer[0], why_dearer(asked, dearer[0], first)
    chosen = min([*fit, *promoted], key=lambda option: (option.cost_usd, option in promoted, option.model.model))
    if chosen in promoted:
        promotion = asked.state.promoted[chosen.model.model]
        return chosen, f"{why_best(asked, chosen)}; promoted from {promotion.tier}: {promotion.reason}"
    return chosen, why_own(asked, chosen, complex_shot=complex_shot)


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


def _adequate(asked: Question, own: list[Option]) -> list[Option]:
    """Those of the tier's own models that are adequate for the shot, else the best of them."""
    adequate = [option for option in own if option.fidelity(asked.shot) >= asked.needed]
    return adequate or sorted(own, key=lambda option: (-option.fidelity(asked.shot), option.cost_usd))[:1]


def _alternatives(asked: Question, serving: Serving) -> tuple[Alternative, ...]:
    """What the shot would have cost with others that can render it: the tier's, those promoted to it, dearer ones."""
    chosen = serving.chosen
    options = [
        cheapest_size(model, asked)
        for model in asked.models
        if (model.tier is asked.tier or asked.tier in model.tier.cheaper or promotion_of(model, asked))
        and not (chosen and model is chosen.model)
        and not why_unfit(model, asked)
    ]
    return tuple(
        Alternative(
            model=option.model.model,
            tier=option.model.tier,
            usd=option.usd,
            why_not=why_passed_over(asked, option, chosen),
        )
        for option in sorted(options, key=by_accepted_usd)[:MAX_ALTERNATIVES]
    )
