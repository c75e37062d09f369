"""What is measured of houses: a number, its interval, and whether it is as promised."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from benchmarks.houses.life import House
from benchmarks.houses.world import Days, Measure, What, World
from video_pipeline.intervals import wilson_interval

CONFIDENCE = 0.95
_Z = 1.96
NEVER = math.inf


@dataclass(frozen=True)
class Row:
    """A line of the table. `reached` and the interval's ends are numbers, or "never".

    `verdict`: "yes" where the whole interval is as promised, "likely" where the number is, else "no"; empty without a
    goal. `why` is filled where it is missed. `houses` are those that the number is of.
    """

    world: str
    title: str
    clips_a_day: int
    measure: str
    goal: str
    before: str
    reached: float | str
    low: float | str
    high: float | str
    shown: str
    houses: int
    verdict: str
    why: str


@dataclass(frozen=True)
class _Found:
    """A number with its interval, of how many houses, and what else was seen."""

    value: float
    low: float
    high: float
    houses: int
    seen: str = ""


def rows_of(world: World, clips_a_day: int, houses: Sequence[House]) -> list[Row]:
    """The world's rows for the houses of one size."""
    return [_row(world, clips_a_day, measure, houses) for measure in world.measures]


def _row(world: World, clips_a_day: int, measure: Measure, houses: Sequence[House]) -> Row:
    found = _MEASURED[measure.what](world, measure, measure.days or (0, world.nights), houses)
    verdict = _verdict(measure, found)
    why = "; ".join(part for part in (_off_by(measure, found), found.seen, measure.why) if part)
    said = measure.said(found.value)
    return Row(
        world=world.name,
        title=world.title,
        clips_a_day=clips_a_day,
        measure=measure.title,
        goal=measure.goal,
        before=measure.before,
        reached=_number(found.value),
        low=_number(found.low),
        high=_number(found.high),
        shown=f"{said} [{measure.said(found.low)}, {measure.said(found.high)}]" if found.houses else "nothing to see",
        houses=found.houses,
        verdict=verdict,
        why=why if verdict == "no" else found.seen,
    )


def _verdict(measure: Measure, found: _Found) -> str:
    if measure.at_most is None and measure.at_least is None:
        return ""
    if not found.houses:
        return "no"
    if measure.at_most is not None:
        worst, fits = found.high, found.value <= measure.at_most
        surely = worst <= measure.at_most
    else:
        worst, fits = found.low, found.value >= (measure.at_least or 0.0)
        surely = worst >= (measure.at_least or 0.0)
    return "yes" if surely else "likely" if fits else "no"


def _off_by(measure: Measure, found: _Found) -> str:
    """By how much a goal is missed."""
    goal = measure.at_most if measure.at_most is not None else measure.at_least
    if goal is None:
        return ""
    if not found.houses:
        return "no house came so far that it could be measured"
    if found.value == NEVER:
        return "more than half of the houses never"
    return f"off by {measure.said(abs(found.value - goal))}"


def _houses_that(holds: Callable[[House], bool], houses: Sequence[House], *, seen: str = "") -> _Found:
    return _share(sum(holds(house) for house in houses), len(houses), len(houses), seen)


def _share(successes: int, trials: int, houses: int, seen: str = "") -> _Found:
    low, high = wilson_interval(successes, trials, confidence=CONFIDENCE)
    return _Found(successes / trials if trials else 0.0, low, high, houses if trials else 0, seen)


def _quantile(values: Sequence[float], share: float, seen: str = "") -> _Found:
    """The `share` quantile; its interval are the values at the ends of Wilson's interval of that share."""
    if not values:
        return _Found(0.0, 0.0, 0.0, 0, seen)
    ranked, last = sorted(values), len(values) - 1
    low, high = wilson_interval(share * len(values), len(values), confidence=CONFIDENCE)
    return _Found(
        ranked[math.ceil(share * len(values)) - 1],
        ranked[min(last, math.floor(low * len(values)))],
        ranked[min(last, math.floor(high * len(values)))],
        len(values),
        seen,
    )


def _mean(values: Sequence[float], seen: str = "") -> _Found:
    mean = fmean(values)
    spread = _Z * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return _Found(mean, mean - spread, mean + spread, len(values), seen)


def _was(standing: str) -> Callable[[World, Measure, Days, Sequence[House]], _Found]:
    def measured(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
        def ever(house: House) -> frozenset[str]:
            nights: list[frozenset[str]] = getattr(house, standing)
            return frozenset().union(*nights[days[0] : days[1]])

        by_model = {model: sum(model in ever(house) for house in houses) for model in world.models}
        seen = ", ".join(f"{model} in {count}" for model, count in by_model.items() if count)
        if measure.each:
            models = [measure.model] if measure.model else list(world.models)
            return _share(sum(by_model[model] for model in models), len(houses) * len(models), len(houses), seen)
        if measure.model:
            return _share(by_model[measure.model], len(houses), len(houses))
        return _houses_that(lambda house: bool(ever(house)), houses, seen=seen)

    return measured


def _leads(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    shares = [_share_of_tier(world, measure.model or "", house, range(*days)) for house in houses]
    found = _houses_that(lambda house: _is_first(world, measure.model or "", house, range(*days)), houses)
    return _Found(found.value, found.low, found.high, found.houses, f"it has {fmean(shares):.0%} of its tier's clips")


def _leads_a_day(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    return _houses_that(
        lambda house: any(_is_first(world, measure.model or "", house, [day]) for day in range(*days)), houses
    )


def _is_first(world: World, model: str, house: House, days: Sequence[int]) -> bool:
    tier = world.models[model].tier.value
    counts = {
        other: sum(house.served[day][(tier, other)] for day in days)
        for other, entry in world.models.items()
        if entry.tier == tier
    }
    return counts.pop(model) > max(counts.values(), default=0)


def _share_of_tier(world: World, model: str, house: House, days: Sequence[int]) -> float:
    tier = world.models[model].tier.value
    clips = sum(count for day in days for (own, _), count in house.served[day].items() if own == tier)
    return sum(house.served[day][(tier, model)] for day in days) / clips if clips else 0.0


def _clips_on(house: House, model: str, day: int) -> int:
    return sum(count for (_, name), count in house.served[day].items() if name == model)


def _nights_to_demotion(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    model, since = measure.model or "", days[0]
    clips = fmean(_clips_on(house, model, day) for house in houses for day in range(max(0, since - 7), since))
    fit = [house for house in houses if since == 0 or model not in house.demoted[since - 1]]
    waited = [_nights(house, since, lambda night: model in night) for house in fit]
    return _quantile(waited, 0.5, f"{clips:.1f} clips of it a day in the week before; {_never(waited)}")


def _nights_to_return(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    model, since = measure.model or "", days[0]
    fit = [house for house in houses if model in house.demoted[since - 1]]
    waited = [_nights(house, since, lambda night: model not in night) for house in fit]
    p90 = _quantile(waited, 0.9)
    late = f"p90 {measure.said(p90.value)}" if waited else ""
    out = f"demoted in {len(fit)} of {len(houses)} houses"
    return _quantile(waited, 0.5, ", ".join(part for part in (out, late, _never(waited)) if part))


def _nights(house: House, since: int, holds: Callable[[frozenset[str]], bool]) -> float:
    """How many nights it took, the night of day `since` being the first; NEVER when the house's time was over."""
    return next((number + 1 for number, night in enumerate(house.demoted[since:]) if holds(night)), NEVER)


def _never(waited: Sequence[float]) -> str:
    never = sum(nights == NEVER for nights in waited)
    return f"never in {never}" if never else ""


def _clips_a_day(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    most = [float(max(_clips_on(house, measure.model or "", day) for day in range(*days))) for house in houses]
    return _quantile(most, 0.9, f"mean of the first of these days {_first_day(measure, days, houses):.1f}")


def _first_day(measure: Measure, days: Days, houses: Sequence[House]) -> float:
    return fmean(_clips_on(house, measure.model or "", days[0]) for house in houses)


def _clips(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    return _mean([float(sum(_clips_on(house, measure.model or "", day) for day in range(*days))) for house in houses])


def _share_measured(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    return _mean([_share_of_tier(world, measure.model or "", house, range(*days)) for house in houses])


def _regret(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    spent = fmean(sum(house.spent_usd[slice(*days)]) for house in houses)
    return _mean([sum(house.regret_usd[slice(*days)]) for house in houses], f"of ${spent:.2f} spent")


def _hooks_called(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    called = [
        preferred
        for house in houses
        for _, hook, preferred in house.hooks
        if measure.hook is None or hook == measure.hook
    ]
    return _share(sum(called), len(called), len(houses))


def _hook_ever_called(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    return _houses_that(lambda house: _first_called(house, measure.hook) < NEVER, houses)


def _weeks_to_call(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    waited = [_first_called(house, measure.hook) for house in houses]
    late = f"p90 {measure.said(_quantile(waited, 0.9).value)}"
    return _quantile(waited, 0.5, ", ".join(part for part in (late, _never(waited)) if part))


def _first_called(house: House, hook: str | None) -> float:
    """The first week in which the hook, or any, was called so on a platform; NEVER without one."""
    return min((week for week, name, called in house.hooks if called and hook in (None, name)), default=NEVER)


def _delivered(world: World, measure: Measure, days: Days, houses: Sequence[House]) -> _Found:
    clips = sum(sum(house.clips[slice(*days)]) for house in houses)
    return _share(sum(sum(house.delivered[slice(*days)]) for house in houses), clips, len(houses))


_MEASURED: dict[What, Callable[[World, Measure, Days, Sequence[House]], _Found]] = {
    What.DEMOTED: _was("demoted"),
    What.PROMOTED: _was("promoted"),
    What.LEADS: _leads,
    What.LEADS_A_DAY: _leads_a_day,
    What.NIGHTS_TO_DEMOTION: _nights_to_demotion,
    What.NIGHTS_TO_RETURN: _nights_to_return,
    What.CLIPS_A_DAY: _clips_a_day,
    What.CLIPS: _clips,
    What.SHARE: _share_measured,
    What.REGRET: _regret,
    What.HOOKS_CALLED: _hooks_called,
    What.HOOK_EVER_CALLED: _hook_ever_called,
    What.WEEKS_TO_CALL: _weeks_to_call,
    What.DELIVERED: _delivered,
}


def _number(value: float) -> float | str:
    return "never" if value == NEVER else round(value, 4)
