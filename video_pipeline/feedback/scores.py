"""The nightly model score: weighted acceptance, economy and engagement, with an interval and its n (G4.5).

Operational numbers count attempts; engagement counts clips, because a clip is one sample whatever its views. A clip
of several models is left out of engagement, because an audience judges the whole of it. The score says how many clips
were left out.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from statistics import median, stdev
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.facts import ClipFact, ModelAttempts, metrics_of
from video_pipeline.intervals import wilson_interval
from video_pipeline.policy import ScoringPolicy
from video_pipeline.publishing import Engagement
from video_pipeline.routing import Tier

_NO_TIERS: Mapping[str, str] = MappingProxyType({})


class ModelScore(BaseModel):
    """A row of `model_scores`; rates and scores 0..1, None where nothing was measured. A score alone decides nothing.

    `tier` is the model's own, also where it serves another. `engagement` is the mean and `engagement_sd` the
    standard deviation over `engaged_clips` clips. `mixed_clips` counts seen clips that hold another model as well.
    `proven_kinds` are kinds of shot with enough attempts on which it does no worse than elsewhere.
    """

    model_config = ConfigDict(frozen=True)

    day: date
    model: str
    model_version: str
    tier: str
    attempts: int
    accepted: int
    refusals: int
    rejections: int
    failures: int
    acceptance: float
    acceptance_low: float
    acceptance_high: float
    refusal_rate: float
    refusal_low: float
    refusal_high: float
    usd_per_accepted_s: float | None
    engagement: float | None
    engagement_sd: float | None = None
    engaged_clips: int
    mixed_clips: int = 0
    proven_kinds: tuple[str, ...] = ()
    score: float
    score_low: float
    score_high: float
    enough: bool


def score_models(
    day: date, facts: Sequence[ClipFact], policy: ScoringPolicy, *, own_tiers: Mapping[str, str] = _NO_TIERS
) -> list[ModelScore]:
    """Score every model that was tried in the trailing days, best first within its tier.

    `own_tiers` maps a model to its tier in the catalogue. A model that left it counts as of the tier that it had when
    it was last tried, or where that is not known of the cheapest tier that it served.
    """
    counts = {
        key: entry.model_copy(update={"tier": own_tiers.get(entry.model, entry.own_tier or entry.tier)})
        for key, entry in sum_attempts(fact.by_model for fact in facts).items()
    }
    pooled = _pooled_acceptance(counts.values())
    economy = {key: _usd_per_accepted_s(entry) for key, entry in counts.items()}
    cheapest: dict[str, float] = {}
    for key, entry in counts.items():
        cost = economy[key]
        if cost is not None:
            cheapest[entry.tier] = min(cheapest.get(entry.tier, math.inf), cost)
    liking, mixed = _engagement(facts), _mixed_clips(facts)
    scores = [
        _score(
            day,
            entry,
            pooled[entry.tier],
            economy[key],
            cheapest.get(entry.tier),
            liking.get(key, []),
            mixed[entry.model],
            policy,
        )
        for key, entry in counts.items()
    ]
    return sorted(scores, key=lambda score: (score.tier, -score.score))


def with_engagement(facts: Sequence[ClipFact], engagement: Sequence[Engagement]) -> list[ClipFact]:
    """The facts with the newest metrics: a clip is seen for days after its own day was closed."""
    last = {row.clip_id: row.day for row in sorted(engagement, key=lambda row: row.day)}
    newest: dict[str, list[Engagement]] = defaultdict(list)
    for row in engagement:
        if row.day == last[row.clip_id]:
            newest[row.clip_id].append(row)
    return [
        fact.model_copy(update=metrics_of(newest[fact.clip_id])) if fact.clip_id in newest else fact for fact in facts
    ]


def sum_attempts(groups: Iterable[Sequence[ModelAttempts]]) -> dict[tuple[str, str], ModelAttempts]:
    """(model, version) -> all its attempts, with the cheapest tier that it served and the last known of its own."""
    total: dict[tuple[str, str], ModelAttempts] = {}
    for group in groups:
        for entry in group:
            key = (entry.model, entry.model_version)
            known = total.get(key)
            if known is None:
                total[key] = entry
                continue
            tier = min(Tier(known.tier), Tier(entry.tier), key=list(Tier).index).value
            summed = ("attempts", "accepted", "refusals", "failures", "rejections", "billed_usd", "billed_s")
            total[key] = known.model_copy(
                update={name: getattr(known, name) + getattr(entry, name) for name in summed}
                | {
                    "tier": tier,
                    "own_tier": entry.own_tier or known.own_tier,
                    "kinds": _sum_kinds(known.kinds, entry.kinds),
                }
            )
    return total


def _score(
    day: date,
    entry: ModelAttempts,
    pooled: float,
    usd_per_s: float | None,
    cheapest: float | None,
    liking: Sequence[float],
    mixed_clips: int,
    policy: ScoringPolicy,
) -> ModelScore:
    trials = entry.attempts
    low, high = wilson_interval(entry.accepted, trials, confidence=policy.confidence)
    refusal_low, refusal_high = wilson_interval(entry.refusals, trials, confidence=policy.confidence)
    # Shrunk to the tier's pool, so that three lucky attempts do not make the best model.
    acceptance = (entry.accepted + policy.prior_strength * pooled) / (trials + policy.prior_strength)
    parts: dict[str, float | None] = {
        "acceptance": acceptance,
        "economy": cheapest / usd_per_s if usd_per_s and cheapest is not None else None,
        "coherence": None,
        "engagement": sum(liking) / len(liking) if liking else None,
    }
    score, weight = _weighted(parts, policy.weights)
    return ModelScore(
        day=day,
        model=entry.model,
        model_version=entry.model_version,
        tier=entry.tier,
        attempts=trials,
        accepted=entry.accepted,
        refusals=entry.refusals,
        rejections=entry.rejections,
        failures=entry.failures,
        acceptance=acceptance,
        acceptance_low=low,
        acceptance_high=high,
        refusal_rate=entry.refusals / trials if trials else 0.0,
        refusal_low=refusal_low,
        refusal_high=refusal_high,
        usd_per_accepted_s=usd_per_s,
        engagement=parts["engagement"],
        engagement_sd=stdev(liking) if len(liking) > 1 else None,
        engaged_clips=len(liking),
        mixed_clips=mixed_clips,
        proven_kinds=_proven_kinds(entry, policy),
        score=score,
        # The interval of the part that is counted in attempts; the others move the centre, not the width.
        score_low=max(0.0, score - weight * (acceptance - min(low, acceptance))),
        score_high=min(1.0, score + weight * (max(high, acceptance) - acceptance)),
        enough=trials >= policy.minimum_attempts,
    )


def _weighted(parts: Mapping[str, float | None], weights: Mapping[str, float]) -> tuple[float, float]:
    """The weighted mean over the parts that were measured, and acceptance's share of the weight in it."""
    known = {name: value for name, value in parts.items() if value is not None}
    total = sum(weights[name] for name in known)
    score = sum(weights[name] * value for name, value in known.items()) / total
    return score, weights["acceptance"] / total


def _sum_kinds(
    known: Mapping[str, tuple[int, int]], more: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    pairs = {kind: (known.get(kind, (0, 0)), more.get(kind, (0, 0))) for kind in (*known, *more)}
    return {kind: (one[0] + other[0], one[1] + other[1]) for kind, (one, other) in pairs.items()}


def _proven_kinds(entry: ModelAttempts, policy: ScoringPolicy) -> tuple[str, ...]:
    """Kinds tried often enough whose acceptance is not credibly under the model's own over all kinds."""
    overall = entry.accepted / entry.attempts if entry.attempts else 0.0
    return tuple(
        kind
        for kind, (tried, accepted) in sorted(entry.kinds.items())
        if tried >= policy.minimum_attempts
        and wilson_interval(accepted, tried, confidence=policy.confidence)[1] >= overall
    )


def _pooled_acceptance(entries: Iterable[ModelAttempts]) -> dict[str, float]:
    tried: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        tried[entry.tier][0] += entry.accepted
        tried[entry.tier][1] += entry.attempts
    return {tier: accepted / attempts if attempts else 0.5 for tier, (accepted, attempts) in tried.items()}


def _usd_per_accepted_s(entry: ModelAttempts) -> float | None:
    """What a second that was kept has cost, refused and rejected attempts included."""
    if not entry.accepted or not entry.billed_s or entry.billed_usd == Decimal(0):
        return None
    kept_share = entry.accepted / max(1, entry.accepted + entry.rejections)
    return float(entry.billed_usd) / (entry.billed_s * kept_share)


def _engagement(facts: Sequence[ClipFact]) -> dict[tuple[str, str], list[float]]:
    """(model, version) -> one number a published clip: completion, and views against the day's own median."""
    views_of_day: dict[date, list[int]] = defaultdict(list)
    for fact in facts:
        if fact.views is not None:
            views_of_day[fact.day].append(fact.views)
    liking: dict[tuple[str, str], list[float]] = defaultdict(list)
    for fact in facts:
        if fact.views is None or not fact.model or not fact.model_version or fact.mixed:
            continue
        usual = median(views_of_day[fact.day]) or 1
        reach = fact.views / (fact.views + usual)
        parts = [reach] if fact.completion is None else [reach, fact.completion]
        liking[(fact.model, fact.model_version)].append(sum(parts) / len(parts))
    return liking


def _mixed_clips(facts: Sequence[ClipFact]) -> Counter[str]:
    """model -> seen clips that it shares with another model, or with another version of itself."""
    return Counter(
        model
        for fact in facts
        if fact.views is not None and fact.mixed
        for model in set((fact.model or "").split("+"))
    )
