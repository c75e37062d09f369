"""Weekly learning: which hooks and styles do better than other clips, and which model a style likes (G4.7, G4.8).

A clip on a platform is one observation: its audience there at a fixed age. What a platform does not tell is no
observation, and no platform speaks for another.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from statistics import fmean, median

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.facts import ClipFact
from video_pipeline.feedback.shrinkage import Effects, Level, Sample, Scale, effects_of
from video_pipeline.policy import GuidancePolicy
from video_pipeline.publishing import Engagement

# An outage of a platform or of ours may delay the look at a clip's audience by so many days; later it is missing.
_LATE_DAYS = 3
# The upper ends of what counts as one length, in seconds.
_LENGTHS_S = (4.0, 8.0, 15.0, 30.0, 60.0)
# How far the things that are adjusted for are believed to move an outcome (0 to 1), beforehand.
_ADJUSTED = {factor: Scale(0.10) for factor in ("week", "kind", "length", "tier", "model")}
# How far a model's clips of one style differ from what model and style come to, as a share of the usual clip's worth.
_LIKING = Scale(0.03, learned=True)
_LIKED = "liking"
# How far defaults move an outcome; wide, so that what is told is nearly the plain difference of the two groups.
_GUIDED = Scale(0.20)
_APPLIED, _HELD_OUT = "applied", "held out"


class Parameter(StrEnum):
    """What is learned of: what briefs name, and whether the defaults that open briefs were given did any good."""

    HOOK = "hook"
    STYLE = "style"
    GUIDANCE = "guidance"


# What briefs name, and a clip's facts hold under the same names.
_NAMED = (Parameter.HOOK, Parameter.STYLE)


class PatternVerdict(StrEnum):
    """`winner`: better than the other clips and than every other value; `preferred`: better than the other clips."""

    WINNER = "winner"
    PREFERRED = "preferred"
    NOT_ENOUGH = "not enough data"

    @property
    def works(self) -> bool:
        return self is not PatternVerdict.NOT_ENOUGH


class Measure(StrEnum):
    """What of an audience is compared: the share of a clip that is watched, or, where a platform tells none, views.

    Views as their share of themselves and the platform's median: the median clip has 0.5.
    """

    COMPLETION = "completion"
    VIEWS = "views"


class EditorialPattern(BaseModel):
    """A row of `editorial_patterns`: how much more of `measure` a hook or a style brings on a platform, and how sure.

    `gain` is against the platform's other clips, of which there are `others`, adjusted for kind, length, tier, model
    and week, with its credible interval `low` to `high`; all are differences of an outcome from 0 to 1. `mean` is the
    plain mean of its own clips. `probability` is that of a gain over 0, `best` that of being better than every other
    value too. `evidence` has to reach `needed`, which is the larger the more values are looked at. For
    `Parameter.GUIDANCE` the clips are those whose brief was given defaults, the others those held out from them.
    """

    model_config = ConfigDict(frozen=True)

    week: date
    platform: str
    parameter: Parameter
    value: str
    clips: int
    others: int = 0
    measure: Measure = Measure.COMPLETION
    mean: float = 0.0
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0
    probability: float = 0.5
    best: float = 0.0
    evidence: float = 0.0
    needed: float = 0.0
    verdict: PatternVerdict = PatternVerdict.NOT_ENOUGH
    reason: str = "judged by an earlier release"


class StyleAffinity(BaseModel):
    """A row of `style_affinity`: how a model does for a style against the models that its clips were made by.

    `gain` is the shrunken difference in what a clip is worth, as a share of the usual clip, beyond what model and
    style bring by themselves, with its interval `low` to `high`; `affinity` is that within what routing may shift.
    """

    model_config = ConfigDict(frozen=True)

    week: date
    style: str
    model: str
    clips: int
    affinity: float
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class _Seen:
    """A clip on a platform, with its outcome there at the fixed age."""

    fact: ClipFact
    platform: str
    outcome: float
    weight: float


def editorial_patterns_of(
    week: date, facts: Sequence[ClipFact], engagement: Sequence[Engagement], policy: GuidancePolicy
) -> list[EditorialPattern]:
    """A row for each platform, parameter and value of the last `policy.weeks` weeks, the last of which is `week`.

    A value works when its gain is over 0 with a probability over `policy.confidence` *and* the evidence for it is
    worth the number of values that are looked at. So the chance that a house where nothing works is ever told that
    something does is about `policy.false_rate`, however many values it has and however many weeks it looks.
    """
    rows = [
        row
        for seen, measure in _seen_by_platform(week, facts, engagement, policy)
        for row in _patterns(week, seen, measure, policy)
    ]
    needed = sum(_enough(row.clips, row.others, policy) for row in rows) / policy.false_rate
    return [_judged(row, needed, policy) for row in rows]


def style_affinity_of(
    week: date,
    facts: Sequence[ClipFact],
    engagement: Sequence[Engagement],
    policy: GuidancePolicy,
    *,
    limit: float,
) -> list[StyleAffinity]:
    """What the clips of each model in each style were worth; `affinity` is within ±`limit`, and 0 with too few clips.

    A clip is one observation: the mean over its platforms of its outcome against the platform's mean. A clip of
    several models says nothing about one of them.
    """
    worth: dict[str, list[float]] = defaultdict(list)
    of_clip: dict[str, _Seen] = {}
    for seen, _ in _seen_by_platform(week, facts, engagement, policy):
        usual = fmean(one.outcome for one in seen)
        for one in seen:
            if one.fact.style and one.fact.model and not one.fact.mixed and usual > 0:
                worth[one.fact.clip_id].append(one.outcome / usual)
                of_clip[one.fact.clip_id] = one
    if not of_clip:
        return []
    pairs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    samples: list[Sample] = []
    for clip_id, one in of_clip.items():
        style, model = one.fact.style, one.fact.model or ""
        pairs[style][model].append(one.weight)
        levels = _levels(one.fact) | {_LIKED: _pair(style, model)}
        samples.append(Sample(fmean(worth[clip_id]), one.weight, levels))
    effects = effects_of(samples, {**_scales(policy, learned=True), _LIKED: _LIKING})
    rows: list[StyleAffinity] = []
    for style, models in sorted(pairs.items()):
        total = sum(sum(weights) for weights in models.values())
        for model, weights in sorted(models.items()):
            of = {(_LIKED, _pair(style, other)): -sum(own) / total for other, own in models.items()}
            of[_LIKED, _pair(style, model)] += 1
            liking = effects.difference(of)
            low, high = liking.interval(policy.confidence)
            enough = len(weights) >= policy.minimum_clips and len(models) > 1
            rows.append(
                StyleAffinity(
                    week=week,
                    style=style,
                    model=model,
                    clips=len(weights),
                    affinity=round(max(-limit, min(limit, liking.mean)), 4) if enough else 0.0,
                    gain=liking.mean,
                    low=low,
                    high=high,
                )
            )
    return rows


def compared_ages(policy: GuidancePolicy) -> range:
    """The ages, in days, at which a clip's audience is compared."""
    return range(policy.age_days, policy.age_days + _LATE_DAYS + 1)


def _seen_by_platform(
    week: date, facts: Sequence[ClipFact], engagement: Sequence[Engagement], policy: GuidancePolicy
) -> Iterator[tuple[list[_Seen], Measure]]:
    """Of each platform the clips of the last weeks that have an outcome there, and what it is an outcome of."""
    end = week + timedelta(days=7)
    first = end - timedelta(weeks=policy.weeks)
    known = {fact.clip_id: fact for fact in facts if first <= fact.day < end}
    ages, ripe = compared_ages(policy), defaultdict[str, dict[str, Engagement]](dict)
    for row in sorted(engagement, key=lambda row: (row.age_days, row.day)):
        if row.age_days in ages and row.day < end and row.clip_id in known:
            ripe[row.platform].setdefault(row.clip_id, row)
    for platform, rows in sorted(ripe.items()):
        outcomes, measure = _outcomes(rows)
        seen = [
            _Seen(known[clip_id], platform, outcome, _remembered(end, known[clip_id].day, policy))
            for clip_id, outcome in sorted(outcomes.items())
        ]
        if seen:
            yield seen, measure


def _outcomes(rows: Mapping[str, Engagement]) -> tuple[dict[str, float], Measure]:
    """Clip -> outcome on one platform: completion, or views where most clips have no completion."""
    completions = {clip_id: row.completion for clip_id, row in rows.items() if row.completion is not None}
    views = {clip_id: row.views for clip_id, row in rows.items() if row.views is not None}
    if 2 * len(completions) >= len(views):
        return completions, Measure.COMPLETION
    usual = max(1.0, median(views.values()))
    return {clip_id: count / (count + usual) for clip_id, count in views.items()}, Measure.VIEWS


def _remembered(end: date, day: date, policy: GuidancePolicy) -> float:
    return 0.5 ** ((end - day).days / 7 / policy.half_life_weeks)


def _patterns(
    week: date, seen: Sequence[_Seen], measure: Measure, policy: GuidancePolicy
) -> Iterator[EditorialPattern]:
    """The rows of one platform, before they are judged."""
    levels = [_levels(one.fact) for one in seen]
    effects, weighed = _fitted(seen, levels, policy)
    for parameter in Parameter:
        groups: dict[str, list[_Seen]] = defaultdict(list)
        for one, level in zip(seen, levels, strict=True):
            groups[level[parameter]].append(one)
        if parameter is Parameter.GUIDANCE:
            # The rest was not drawn.
            groups = {value: groups[value] for value in (_APPLIED, _HELD_OUT) if value in groups}
            if _APPLIED in groups:
                # Which model makes a clip is what a default changes, and so is no circumstance to adjust for.
                effects, weighed = _fitted(seen, levels, policy, without="model")
        values = {value: own for value, own in sorted(groups.items()) if value not in ("", _HELD_OUT)}
        enough = {value for value, own in values.items() if len(own) >= policy.minimum_clips}
        for value, own in values.items():
            of = _against_others(parameter, value, groups)
            difference = effects.difference(of)
            low, high = difference.interval(policy.confidence)
            yield EditorialPattern(
                week=week,
                platform=own[0].platform,
                parameter=parameter,
                value=value,
                clips=len(own),
                others=sum(len(clips) for clips in groups.values()) - len(own),
                measure=measure,
                mean=fmean(one.outcome for one in own),
                gain=difference.mean,
                low=low,
                high=high,
                probability=difference.positive,
                best=_best(effects, parameter, value, enough - {value}),
                evidence=weighed.difference(of).evidence,
            )


def _fitted(
    seen: Sequence[_Seen], levels: Sequence[Mapping[str, str]], policy: GuidancePolicy, *, without: str = ""
) -> tuple[Effects, Effects]:
    """The effects to tell, and those to weigh evidence by.

    Evidence against "there is nothing" is weighed with nothing forgotten, as nothing does not change, and under
    scales that no data has moved: only so is it what it is called.
    """
    told, weighed = (
        {name: scale for name, scale in _scales(policy, learned=learned).items() if name != without}
        for learned in (True, False)
    )
    remembered = [Sample(one.outcome, one.weight, level) for one, level in zip(seen, levels, strict=True)]
    whole = [Sample(one.outcome, 1.0, level) for one, level in zip(seen, levels, strict=True)]
    return effects_of(remembered, told), effects_of(whole, weighed)


def _against_others(parameter: Parameter, value: str, groups: Mapping[str, Sequence[_Seen]]) -> dict[Level, float]:
    """A value against the platform's clips that have another, or none, as often as they do."""
    shares = {other: sum(one.weight for one in clips) for other, clips in groups.items() if other != value}
    total = sum(shares.values())
    return {(parameter.value, other): -share / total for other, share in shares.items()} | {
        (parameter.value, value): 1
    }


def _best(effects: Effects, parameter: Parameter, value: str, rivals: Set[str]) -> float:
    """The least that the probability of being better than all `rivals` can be (Bonferroni); 0 without any."""
    if not rivals:
        return 0.0
    better = [
        effects.difference({(parameter, value): 1, (parameter, rival): -1}).positive for rival in sorted(rivals)
    ]
    return max(0.0, 1 - sum(1 - chance for chance in better))


def _judged(row: EditorialPattern, needed: float, policy: GuidancePolicy) -> EditorialPattern:
    """The row with its verdict and the reason for it."""
    sure = f"{row.gain:+.3f} ({row.low:+.3f} to {row.high:+.3f}), over 0 with {row.probability:.1%}"
    verdict = PatternVerdict.NOT_ENOUGH
    if not row.others:
        reason = "no clip of another kind to compare with"
    elif not _enough(row.clips, row.others, policy):
        reason = f"{min(row.clips, row.others)} of {policy.minimum_clips} clips to compare"
    elif row.probability <= policy.confidence:
        reason = sure
    elif row.evidence < needed:
        reason = f"{sure}; where so much is looked at, that may be luck: evidence {row.evidence:.0f} of {needed:.0f}"
    else:
        verdict = PatternVerdict.WINNER if row.best > policy.confidence else PatternVerdict.PREFERRED
        reason = sure
    return row.model_copy(update={"needed": needed, "verdict": verdict, "reason": reason})


def _enough(clips: int, others: int, policy: GuidancePolicy) -> bool:
    return min(clips, others) >= policy.minimum_clips


def _scales(policy: GuidancePolicy, *, learned: bool) -> dict[str, Scale]:
    """How far everything that a clip is known by is believed to move its outcome."""
    named = {parameter.value: Scale(policy.plausible_gain, learned=learned) for parameter in _NAMED}
    return {**_ADJUSTED, **named, Parameter.GUIDANCE.value: _GUIDED}


def _levels(fact: ClipFact) -> dict[str, str]:
    """What a clip is known by; an empty level is one of its own."""
    return {
        "week": str(fact.day - timedelta(days=fact.day.weekday())),
        "kind": fact.kind,
        "length": str(sum(fact.length_s > limit for limit in _LENGTHS_S)),
        "tier": fact.tier,
        "model": fact.model or "",
        **{parameter.value: getattr(fact, parameter) for parameter in _NAMED},
        Parameter.GUIDANCE.value: _arm(fact),
    }


def _arm(fact: ClipFact) -> str:
    """Which of the two groups its brief was drawn into; empty where guidance had nothing for it."""
    if fact.applied is None:
        return ""
    return _HELD_OUT if fact.applied.held_out else _APPLIED


def _pair(style: str, model: str) -> str:
    return f"{style}\n{model}"
