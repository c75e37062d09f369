"""Why a shot goes to its model and not to another, in words that people read (G1.2)."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from video_pipeline.briefs import StoryboardShot, left_out
from video_pipeline.policy import Continuation
from video_pipeline.routing.catalogue import Tier
from video_pipeline.routing.decision import Draw, Purpose
from video_pipeline.routing.levers import Lever
from video_pipeline.routing.options import Option, Question, is_complex, promotion_of, reachable


def why_rounded(asked: Question, chosen: Option, saves: Mapping[Lever, Decimal]) -> tuple[str, ...]:
    """That less is bought than the shot asks for, in words; nothing where no less is."""
    bought_s = chosen.length.seconds
    if bought_s >= asked.shot.duration_s:
        return ()
    saved = saves.get(Lever.ROUND_TO_BILLED)
    said = f"{asked.shot.duration_s:g} s are bought as {bought_s:g} s"
    longest = f"the longest that {chosen.model.model} renders"
    return (f"{said}, which saves ${saved:.4f} an accepted clip" if saved else f"{said}, {longest}",)


def why_continued(asked: Question, chosen: Option) -> tuple[bool, tuple[str, ...]]:
    """Whether a further segment of a shot starts from the last frame of the one before, and why."""
    shot, model, when = asked.shot, chosen.model, asked.policy.continue_segments
    if shot.segment == 0:
        return False, ()
    usd, which = model.price.start_image_usd, f"segment {shot.segment + 1} of {shot.segments} of its shot"
    apart = f"{which} is rendered beside the others"
    if when is Continuation.NEVER:
        return False, (f"{apart}, as routing.continue_segments is {when}",)
    if not model.image_to_video:
        return False, (f"{apart}, as {model.model} starts from no picture",)
    if usd and when is Continuation.WHERE_FREE:
        return False, (f"{apart}, as a picture to start from costs ${usd:.4f} at {model.model}",)
    price = f"for ${usd:.4f} more" if usd else "at no extra price"
    return True, (f"{which} goes on from the last frame of segment {shot.segment}, {price}",)


def why_size(asked: Question, chosen: Option, saves: Mapping[Lever, Decimal]) -> str:
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


def what_of_the_bibles(shot: StoryboardShot, chosen: Option, *, continues: bool) -> Iterator[str]:
    """What of the shot's bibles the model does not take, and which pictures go with it, in words."""
    model = chosen.model
    limit, takes = model.prompt_limit, model.references
    if limit and (cut := left_out(shot.parts, limit)):
        yield f"{model.model} takes {limit:,} characters of a prompt, which leaves out {', '.join(cut)}"
    given = len(shot.references)
    if not given or continues:
        # The frame that it starts from shows all of them.
        return
    of = ", ".join(dict.fromkeys(reference.of for reference in shot.references))
    pictures = f"the {given} reference pictures of {of}" if given > 1 else f"the reference picture of {of}"
    taken = model.pictures_taken(given, chosen.length.seconds)
    if takes is None:
        yield f"{model.model} takes no reference pictures, so {pictures} cannot go with it"
    elif not taken:
        yield f"{model.model} takes them with clips of at most {takes.max_s:g} s, so {pictures} cannot go with it"
    elif taken < given:
        yield f"{taken} of {pictures} go with it, as {model.model} takes no more"
    else:
        yield f"{pictures} {'go' if given > 1 else 'goes'} with it"


def why_own(asked: Question, chosen: Option, *, complex_shot: bool) -> str:
    name = chosen.model.model
    if chosen.fidelity(asked.shot) < asked.needed:
        return f"{name} is the best of the tier for a {asked.shot.kind} shot; none reaches {asked.needed:.2f}"
    if complex_shot:
        return (
            f"{name} is the strongest of the tier for a {asked.shot.kind} shot "
            f"(complexity {asked.brief.visual_complexity:.2f}), ${chosen.usd:.4f} an attempt"
        )
    if not asked.state.beliefs:
        return f"{name} is the cheapest adequate model for a {asked.shot.kind} shot: {price_words(chosen)}"
    return why_best(asked, chosen)


def why_best(asked: Question, chosen: Option) -> str:
    name = chosen.model.model
    if not asked.state.beliefs:
        return f"{name} is the cheapest for a {asked.shot.kind} shot: {price_words(chosen)}"
    return f"{name} is the best value for a {asked.shot.kind} shot: {value_words(chosen)}"


def why_dearer(asked: Question, chosen: Option, own: Option) -> str:
    name = f"{chosen.model.model} of the {chosen.model.tier} tier"
    if own.value_usd < chosen.value_usd:
        return f"{name} serves, as the {asked.tier} tier's own are kept back: {price_words(chosen)}"
    return (
        f"{name} costs less for {asked.shot.duration_s:g} s of a {asked.shot.kind} "
        f"shot than the {asked.tier} tier's own choice: {price_words(chosen)}; {own.model.model} bills "
        f"{own.length.seconds:g} s, ${own.usd:.4f} an attempt, {own.acceptance:.0%} accepted"
    )


def why_pinned(asked: Question, pinned: Option) -> str:
    until = asked.state.pinned[asked.tier].until
    return (
        f"{pinned.model.model} is pinned to the {asked.tier} tier by hand{f' until {until}' if until else ''}: "
        f"{price_words(pinned)}"
    )


def why_given(tier: Tier, chosen: Option, usual: Option, draw: Draw, chance: float) -> str:
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


def value_words(option: Option) -> str:
    worth = option.accepted_usd / option.value_usd
    as_much = "" if round(worth, 2) == 1 else f", worth {worth:.2f} of the usual"
    return f"${option.accepted_usd:.4f} an accepted clip{as_much}"


def price_words(option: Option) -> str:
    return f"${option.usd:.4f} an attempt, {option.acceptance:.0%} of attempts accepted"


def why_passed_over(asked: Question, option: Option, chosen: Option | None) -> str:
    """Why the option was passed over, the first of the reasons that would have been enough."""
    model, promotion = option.model, promotion_of(option.model, asked)
    if model.model in asked.state.unavailable:
        return asked.state.unavailable[model.model]
    if model.model in asked.state.demoted:
        return "demoted"
    if model.tier is not asked.tier and not reachable(model, asked):
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
        return f"worth less: {value_words(option)}"
    if model.model in asked.given.kept_back:
        return asked.given.kept_back[model.model]
    if asked.given.model == chosen.model.model:
        return f"the clip was given to {chosen.model.model}"
    if is_complex(asked.brief, asked.policy):
        return "not the strongest for so complex a shot"
    if promotion is not None:
        return f"costs no less, and {asked.tier} prefers its own"
    return f"costs no less, and its tier or the style {asked.brief.style or 'none'} prefers {chosen.model.model}"
