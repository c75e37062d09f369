"""Standings: who may serve. A model that is refused too often is demoted and, proven, restored (G1.4, G4.5)."""

from collections.abc import Sequence
from datetime import date

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.facts import ClipFact, ModelAttempts
from video_pipeline.feedback.scores import ModelScore, sum_attempts, wilson_interval
from video_pipeline.ledger import Ledger, StandingStatus, TierState
from video_pipeline.policy import ScoringPolicy
from video_pipeline.routing import RoutingState


class ModelStanding(BaseModel):
    """A row of the asset `model_standings`; `changed` when this night changed it, `reason` with the numbers."""

    model_config = ConfigDict(frozen=True)

    day: date
    model: str
    model_version: str
    tier: str
    status: StandingStatus
    changed: bool
    reason: str
    score: float
    attempts: int
    refusal_rate: float


def judge_standings(
    ledger: Ledger,
    policy: ScoringPolicy,
    *,
    day: date,
    scores: Sequence[ModelScore],
    facts: Sequence[ClipFact],
) -> list[ModelStanding]:
    """Demote and restore on `day`'s scores and put the outcome in force.

    Demoted: enough attempts, the refusal rate at or over the limit and its interval clear of the floor. Restored:
    enough attempts *since the demotion*, the rate under the lower limit and its interval clear of the upper one.
    """
    in_force = ledger.governance.standings()
    newest = ledger.governance.judged("standings", day)
    tried_after: dict[date, dict[tuple[str, str], ModelAttempts]] = {}
    standings = []
    for score in scores:
        transition = in_force.get(score.model)
        # Another version of a demoted model has earned neither blame nor trust yet: it inherits the standing.
        current = StandingStatus(transition.state) if transition else StandingStatus.ACTIVE
        # What a model was demoted for is not held against it twice: only what came after its last change counts.
        after = transition.day if transition else date.min
        if after not in tried_after:
            tried_after[after] = sum_attempts(fact.by_model for fact in facts if fact.day > after)
        tried = tried_after[after].get((score.model, score.model_version))
        attempts, refusals = (tried.attempts, tried.refusals) if tried else (0, 0)
        if not newest:
            wanted, reason = current, "a later day has been judged, and its word stands"
        elif current is StandingStatus.DEMOTED:
            wanted, reason = _restoration(attempts, refusals, policy)
        else:
            wanted, reason = _demotion(attempts, refusals, policy)
        changed = wanted is not current and ledger.governance.set_standing(
            score.model,
            wanted,
            model_version=score.model_version,
            tier=score.tier,
            by="score",
            day=day,
            evidence={
                "reason": reason,
                "attempts": attempts,
                "refusals": refusals,
                "refusal_interval": [
                    round(limit, 4) for limit in wilson_interval(refusals, attempts, confidence=policy.confidence)
                ],
                "score": round(score.score, 4),
            },
        )
        standings.append(
            ModelStanding(
                day=day,
                model=score.model,
                model_version=score.model_version,
                tier=score.tier,
                status=wanted,
                changed=changed,
                reason=reason,
                score=score.score,
                attempts=score.attempts,
                refusal_rate=score.refusal_rate,
            )
        )
    return standings


def routing_state(ledger: Ledger, policy: ScoringPolicy) -> RoutingState:
    """What Gate 4 has put in force, as Gate 1 reads it."""
    governance = ledger.governance
    return RoutingState(
        frozen=frozenset(
            tier for tier, transition in governance.tier_states().items() if transition.state == TierState.FROZEN
        ),
        demoted=frozenset(
            model
            for model, transition in governance.standings().items()
            if transition.state == StandingStatus.DEMOTED
        ),
        acceptance=governance.preference("acceptance"),
        affinity=governance.preference("style_affinity"),
        probation_share=policy.probation_share,
    )


def _demotion(attempts: int, refusals: int, policy: ScoringPolicy) -> tuple[StandingStatus, str]:
    if attempts < policy.minimum_attempts:
        return StandingStatus.ACTIVE, f"not enough data: {attempts} of {policy.minimum_attempts} attempts"
    rate = refusals / attempts
    low, _ = wilson_interval(refusals, attempts, confidence=policy.confidence)
    numbers = f"refused {refusals} of {attempts} ({rate:.0%}, at least {low:.0%})"
    if rate >= policy.demote_rejection_rate and low > policy.demote_floor:
        return StandingStatus.DEMOTED, numbers
    return StandingStatus.ACTIVE, numbers


def _restoration(attempts: int, refusals: int, policy: ScoringPolicy) -> tuple[StandingStatus, str]:
    if attempts < policy.minimum_attempts:
        return StandingStatus.DEMOTED, f"{attempts} of {policy.minimum_attempts} attempts since the demotion"
    rate = refusals / attempts
    _, high = wilson_interval(refusals, attempts, confidence=policy.confidence)
    numbers = f"refused {refusals} of {attempts} since the demotion ({rate:.0%}, at most {high:.0%})"
    if rate < policy.restore_rejection_rate and high < policy.demote_rejection_rate:
        return StandingStatus.ACTIVE, numbers
    return StandingStatus.DEMOTED, numbers
