"""The nightly model score: what was counted, what is believed of it with intervals, and what that is for its money.

Attempts and money are counted. What is believed is of first tries and of clips (`learning.py`), because neither
attempts at one clip nor views of one are independent (G4.5).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.facts import ClipFact, ModelAttempts
from video_pipeline.feedback.learning import Learned
from video_pipeline.intervals import beta_interval, beta_variance, deviations, wilson_interval
from video_pipeline.ledger import StandingStatus
from video_pipeline.policy import ScoringPolicy
from video_pipeline.routing import Option, Tier, chances_of_best

# How likely a model has to be the best value of its tier to be called so.
_WINNER, _PREFERRED = 0.95, 0.80


class Verdict(StrEnum):
    """What the night says of a model's value for money in its tier; empty of one without a rival there."""

    WINNER = "Winner"
    PREFERRED = "Preferred"
    OPEN = "Not enough data"
    ALONE = ""


class ModelScore(BaseModel):
    """A row of `model_scores`; rates 0..1, None where nothing was measured. The score is not what decides; value is.

    `tier` is the model's own, also where it serves another. Attempts, money and `usd_per_accepted_s` are counted over
    the trailing days. `tried` first tries were compared; `acceptance` and the refusal rate are of them, with the
    older ones counting less. `worth` is what its clips are worth against usual ones (1) of the same tier, by `seen`
    clips. `score` is the value for money against the tier's best (1), `chance` the probability that the model is the
    best, `verdict` that in a word. The bounds of `acceptance`, `worth` and `score` hold `policy.confidence`.
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
    proven_kinds: tuple[str, ...] = ()
    score: float
    score_low: float
    score_high: float
    enough: bool
    tried: int = 0
    worth: float = 1.0
    worth_low: float | None = None
    worth_high: float | None = None
    seen: int = 0
    chance: float | None = None
    verdict: Verdict = Verdict.ALONE


def score_models(facts: Sequence[ClipFact], learned: Learned, policy: ScoringPolicy) -> list[ModelScore]:
    """A row for every version that was tried in the days of `facts`, the best value first within its tier."""
    counts = sum_attempts(fact.by_model for fact in facts)
    rows = [_score(learned, key, entry, policy) for key, entry in counts.items() if key in learned.estimates]
    scored = [row for tier in Tier for row in _valued([one for one in rows if one.tier == tier], learned, policy)]
    return sorted(scored, key=lambda row: (row.tier, -row.score, row.model, row.model_version))


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


def _score(learned: Learned, key: tuple[str, str], entry: ModelAttempts, policy: ScoringPolicy) -> ModelScore:
    estimate = learned.estimates[key]
    belief, left = estimate.belief, estimate.left
    low, high = beta_interval(belief.accepted, belief.lost, confidence=policy.confidence)
    refusal_low, refusal_high = wilson_interval(left.refused, left.tried, confidence=policy.confidence)
    spread = math.exp(deviations(policy.confidence) * belief.worth_sd / belief.worth)
    return ModelScore(
        day=learned.day,
        model=entry.model,
        model_version=entry.model_version,
        tier=estimate.tier,
        attempts=entry.attempts,
        accepted=entry.accepted,
        refusals=entry.refusals,
        rejections=entry.rejections,
        failures=entry.failures,
        acceptance=belief.acceptance,
        acceptance_low=low,
        acceptance_high=high,
        refusal_rate=left.refusal_rate,
        refusal_low=refusal_low,
        refusal_high=refusal_high,
        usd_per_accepted_s=_usd_per_accepted_s(entry),
        proven_kinds=_proven_kinds(entry, policy),
        score=0.0,
        score_low=0.0,
        score_high=0.0,
        enough=belief.clips >= policy.minimum_attempts,
        tried=belief.clips,
        worth=belief.worth,
        worth_low=belief.worth / spread,
        worth_high=belief.worth * spread,
        seen=belief.seen,
    )


def _valued(rows: Sequence[ModelScore], learned: Learned, policy: ScoringPolicy) -> list[ModelScore]:
    """The rows of one tier, with their value for money against the best, and with the verdict on the serving ones."""
    options = {
        (row.model, row.model_version): Option(
            f"{row.model} {row.model_version}", row.usd_per_accepted_s / row.worth, _log_sd(learned, row)
        )
        for row in rows
        if row.usd_per_accepted_s
    }
    serving = {
        (standing.model, standing.version)
        for standing in learned.standings.values()
        if standing.status is not StandingStatus.DEMOTED
    }
    rivals = [option for key, option in options.items() if key in serving]
    chances = chances_of_best(rivals) if rivals else {}
    least = min((option.usd for option in options.values()), default=0.0)
    valued: list[ModelScore] = []
    for row in rows:
        option = options.get((row.model, row.model_version))
        if option is None:
            valued.append(row)
            continue
        score, spread = least / option.usd, math.exp(deviations(policy.confidence) * option.log_sd)
        chance = chances.get(option.name)
        valued.append(
            row.model_copy(
                update={
                    "score": score,
                    "score_low": score / spread,
                    "score_high": score * spread,
                    "chance": chance,
                    "verdict": _verdict(row, chance, len(rivals)),
                }
            )
        )
    return valued


def _verdict(row: ModelScore, chance: float | None, rivals: int) -> Verdict:
    if chance is None or rivals < 2:
        return Verdict.ALONE
    if not row.enough or chance < _PREFERRED:
        return Verdict.OPEN
    return Verdict.WINNER if chance >= _WINNER else Verdict.PREFERRED


def _log_sd(learned: Learned, row: ModelScore) -> float:
    belief = learned.estimates[(row.model, row.model_version)].belief
    variance = beta_variance(belief.accepted, belief.lost)
    return math.sqrt(variance / belief.acceptance**2 + (belief.worth_sd / belief.worth) ** 2)


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


def _usd_per_accepted_s(entry: ModelAttempts) -> float | None:
    """What a second that was kept has cost, refused and rejected attempts included."""
    if not entry.accepted or not entry.billed_s or entry.billed_usd == Decimal(0):
        return None
    kept_share = entry.accepted / max(1, entry.accepted + entry.rejections)
    return float(entry.billed_usd) / (entry.billed_s * kept_share)
