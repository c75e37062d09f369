"""Standings: who may serve. A model that is refused too often is demoted and, proven, restored (G1.4, G4.5).

A model that is surely as good as the tier above its own is promoted to serve there too.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.facts import ClipFact
from video_pipeline.feedback.promotion import Verdict, bar_of, judge_promotion, promotion_in_force
from video_pipeline.feedback.scores import ModelScore
from video_pipeline.intervals import wilson_interval
from video_pipeline.ledger import (
    Actor,
    HandAct,
    Ledger,
    NightJudgement,
    Preference,
    StandingStatus,
    TierState,
    Transition,
)
from video_pipeline.policy import ScoringPolicy
from video_pipeline.routing import Belief, Catalogue, Pin, Prior, RoutingState, Tier


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
    catalogue: Catalogue,
) -> list[ModelStanding]:
    """Demote, restore and promote on `day`'s scores and put the outcome in force.

    Demoted: enough attempts, the refusal rate at or over the limit and its interval clear of the floor. Restored:
    enough attempts *since the demotion*, the rate under the lower limit and its interval clear of the upper one.
    Promoted: surely as good as the best of the tier above (`promotion.py`).
    """
    history = ledger.governance.standing_history()
    held = {one.model for one in ledger.governance.by_hand() if one.holds_on(day)}
    newest = ledger.governance.judge_night(NightJudgement.STANDINGS, day)
    # What tonight demotes is no bar tonight, so refusals are judged first, for all.
    refused = [_refusals_verdict(score, history.get(score.model, []), facts, policy) for score in scores]
    demoted = {
        score.model
        for score, verdict in zip(scores, refused, strict=True)
        if verdict.status is StandingStatus.DEMOTED
    }
    bars = {tier.value: bar_of(tier.above, scores, catalogue, policy, demoted=demoted) for tier in Tier if tier.above}
    standings: list[ModelStanding] = []
    for score, refusals in zip(scores, refused, strict=True):
        changes = history.get(score.model, [])
        current = _current(changes)
        if score.model in held:
            verdict = Verdict(current, "set by hand, which holds until it is released", {})
        elif not newest:
            verdict = Verdict(current, "a later day has been judged, and its word stands", {})
        elif StandingStatus.DEMOTED in (current, refusals.status):
            verdict = refusals
        else:
            granted = changes[-1].evidence["promotion"] if current is StandingStatus.PROMOTED else None
            rise = judge_promotion(score, granted, bars.get(score.tier), catalogue, policy)
            reason = "; ".join(part for part in (refusals.reason, rise.reason) if part)
            verdict = Verdict(rise.status, reason, {**refusals.evidence, "promotion": rise.evidence})
        changed = verdict.status is not current and ledger.governance.set_standing(
            score.model,
            verdict.status,
            model_version=score.model_version,
            tier=score.tier,
            by=Actor.SCORE,
            day=day,
            evidence={**verdict.evidence, "reason": verdict.reason, "score": round(score.score, 4)},
        )
        standings.append(
            ModelStanding(
                day=day,
                model=score.model,
                model_version=score.model_version,
                tier=score.tier,
                status=verdict.status,
                changed=changed,
                reason=verdict.reason,
                score=score.score,
                attempts=score.attempts,
                refusal_rate=score.refusal_rate,
            )
        )
    return standings


def routing_state(ledger: Ledger, policy: ScoringPolicy, *, for_day: date | None = None) -> RoutingState:
    """What Gate 4 has put in force, as Gate 1 reads it; with `for_day` what was when that day was planned."""
    governance = ledger.governance
    version, by_hand = "" if for_day else governance.version(), governance.by_hand(for_day=for_day)
    # A week's table is learned when the week is over, and dated by its first day.
    learned_weeks = for_day - timedelta(days=6) if for_day else None
    standings = governance.standings(for_day=for_day)
    kinds = governance.preference(Preference.PROVEN_KINDS, learned_before=for_day)
    believed = governance.preference(Preference.BELIEFS, learned_before=for_day)
    beliefs = {model: Belief.model_validate(belief) for model, belief in believed.items()}
    frozen = {
        tier: transition.by
        for tier, transition in governance.tier_states(for_day=for_day).items()
        if transition.state is TierState.FROZEN
    }
    return RoutingState(
        frozen=frozenset(frozen),
        probed=frozenset(tier for tier, by in frozen.items() if by is Actor.DRIFT),
        demoted=frozenset(
            model for model, transition in standings.items() if transition.state is StandingStatus.DEMOTED
        ),
        promoted={
            model: promotion_in_force(transition.evidence["promotion"], kinds.get(model, {}))
            for model, transition in standings.items()
            if transition.state is StandingStatus.PROMOTED
        },
        beliefs=beliefs,
        prior=Prior(policy.prior_strength, policy.worth_prior_sd),
        acceptance={} if beliefs else governance.preference(Preference.ACCEPTANCE, learned_before=for_day),
        affinity=governance.preference(Preference.STYLE_AFFINITY, learned_before=learned_weeks),
        fell_on={
            model: transition.day
            for model, transition in standings.items()
            if transition.state is StandingStatus.DEMOTED
        },
        pinned={one.tier: Pin(one.model, one.until) for one in by_hand if one.act is HandAct.PIN},
        benched=frozenset(one.model for one in by_hand if one.act is HandAct.BENCH),
        version=version,
    )


def _current(changes: Sequence[Transition[StandingStatus]]) -> StandingStatus:
    """The standing in force. It is the model's: another version of a demoted one inherits it until it is proven."""
    return changes[-1].state if changes else StandingStatus.ACTIVE


def _refusals_verdict(
    score: ModelScore, changes: Sequence[Transition[StandingStatus]], facts: Sequence[ClipFact], policy: ScoringPolicy
) -> Verdict:
    """Whether its refusals demote the model, or let it come back."""
    # What a model was demoted for is not held against it twice: only what came after it fell or came back counts.
    after = _fell_or_came_back(changes)
    tried = [
        entry
        for fact in facts
        if fact.day > after
        for entry in fact.by_model
        if (entry.model, entry.model_version) == (score.model, score.model_version)
    ]
    attempts, refusals = sum(entry.attempts for entry in tried), sum(entry.refusals for entry in tried)
    fallen = _current(changes) is StandingStatus.DEMOTED
    status, reason = (_restoration if fallen else _demotion)(attempts, refusals, policy)
    interval = wilson_interval(refusals, attempts, confidence=policy.confidence)
    evidence = {
        "attempts": attempts,
        "refusals": refusals,
        "refusal_interval": [round(limit, 4) for limit in interval],
    }
    return Verdict(status, reason, evidence)


def _fell_or_came_back(changes: Sequence[Transition[StandingStatus]]) -> date:
    """The day of the last demotion or restoration: gaining or losing a promotion forgives no refusals."""
    states = [StandingStatus.ACTIVE, *(change.state for change in changes)]
    days = [
        change.day
        for before, change in zip(states, changes, strict=False)
        if StandingStatus.DEMOTED in (before, change.state)
    ]
    return days[-1] if days else date.min


def _demotion(attempts: int, refusals: int, policy: ScoringPolicy) -> tuple[StandingStatus, str]:
    if attempts < policy.minimum_attempts:
        return StandingStatus.ACTIVE, f"not enough data: {attempts} of {policy.minimum_attempts} attempts"
    rate = refusals / attempts
    low, _ = wilson_interval(refusals, attempts, confidence=policy.confidence)
    numbers = f"refused {refusals} of {attempts} ({rate:.0%}, at least {low:.0%})"
    if rate >= policy.demote_refusal_rate and low > policy.demote_floor:
        return StandingStatus.DEMOTED, numbers
    return StandingStatus.ACTIVE, numbers


def _restoration(attempts: int, refusals: int, policy: ScoringPolicy) -> tuple[StandingStatus, str]:
    if attempts < policy.minimum_attempts:
        return StandingStatus.DEMOTED, f"{attempts} of {policy.minimum_attempts} attempts since the demotion"
    rate = refusals / attempts
    _, high = wilson_interval(refusals, attempts, confidence=policy.confidence)
    numbers = f"refused {refusals} of {attempts} since the demotion ({rate:.0%}, at most {high:.0%})"
    if rate < policy.restore_refusal_rate and high < policy.demote_refusal_rate:
        return StandingStatus.ACTIVE, numbers
    return StandingStatus.DEMOTED, numbers
