"""The edge of the standings: what the ledger has to tell the nights, and what they put in force (G4.5, G1.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.learning import Earlier, Learned
from video_pipeline.feedback.promotion import promotion_in_force
from video_pipeline.feedback.scores import ModelScore, Verdict
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
from video_pipeline.routing import Belief, Pin, Prior, RoutingState

# What the evidence of a transition holds that the record of the nights explains.
_BY_NIGHTS = "over_nights"


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
    verdict: Verdict = Verdict.ALONE


@dataclass(frozen=True)
class Told:
    """What the ledger knows of standings and the record of the nights does not: a person's word, and what was before.

    `by_hand` maps models to the standing that a person has set.
    """

    by_hand: Mapping[str, StandingStatus]
    earlier: tuple[Earlier, ...]


def told_by_ledger(ledger: Ledger, day: date, policy: ScoringPolicy) -> Told:
    """For the night of `day`: people's words in force, standings of before its window, those of older releases."""
    first = day - timedelta(days=policy.trailing_days - 1)
    by_hand = {
        one.model: StandingStatus.DEMOTED if one.act is HandAct.BENCH else StandingStatus.ACTIVE
        for one in ledger.governance.by_hand()
        if one.holds_on(day)
    }
    earlier: list[Earlier] = []
    for model, changes in ledger.governance.standing_history().items():
        earlier += [
            Earlier(model, change.state, change.day, change.evidence.get("promotion", {}))
            for change in changes
            if change.by is not Actor.PERSON and change.day <= day
            if change.day < first or _BY_NIGHTS not in change.evidence
        ]
    return Told(by_hand, tuple(earlier))


def judge_standings(
    ledger: Ledger, policy: ScoringPolicy, *, learned: Learned, scores: Sequence[ModelScore]
) -> list[ModelStanding]:
    """Put the night's standings in force, if no later night was judged; a row for each model, with what changed."""
    in_force = ledger.governance.standings()
    held = {one.model for one in ledger.governance.by_hand() if one.holds_on(learned.day)}
    newest = ledger.governance.judge_night(NightJudgement.STANDINGS, learned.day)
    score_of = {(score.model, score.model_version): score for score in scores}
    rows: list[ModelStanding] = []
    for standing in learned.standings.values():
        current = _state(in_force.get(standing.model))
        status, reason = standing.status, standing.reason
        if standing.model in held:
            status, reason = current, "set by hand, which holds until it is released"
        elif not newest:
            status, reason = current, "a later day has been judged, and its word stands"
        changed = status is not current and ledger.governance.set_standing(
            standing.model,
            status,
            model_version=standing.version,
            tier=standing.tier,
            by=Actor.SCORE,
            day=learned.day,
            evidence={**standing.evidence, "reason": reason, _BY_NIGHTS: policy.trailing_days},
        )
        score = score_of.get((standing.model, standing.version))
        rows.append(
            ModelStanding(
                day=learned.day,
                model=standing.model,
                model_version=standing.version,
                tier=standing.tier,
                status=status,
                changed=changed,
                reason=reason,
                score=score.score if score else 0.0,
                attempts=score.attempts if score else 0,
                refusal_rate=standing.refused,
                verdict=score.verdict if score else Verdict.ALONE,
            )
        )
    return rows


def routing_state(ledger: Ledger, policy: ScoringPolicy, *, for_day: date | None = None) -> RoutingState:
    """What Gate 4 has put in force, as Gate 1 reads it; with `for_day` what was when that day was planned."""
    governance = ledger.governance
    version, by_hand = "" if for_day else governance.version(), governance.by_hand(for_day=for_day)
    # A week's table is learned when the week is over, and dated by its first day.
    learned_weeks = for_day - timedelta(days=6) if for_day else None
    standings = governance.standings(for_day=for_day)
    kinds = governance.preference(Preference.PROVEN_KINDS, learned_before=for_day)
    believed = governance.preference(Preference.BELIEFS, learned_before=for_day)
    rests = governance.preference(Preference.RESTS, learned_before=for_day)
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
            model: max(transition.day, date.fromisoformat(rests.get(model, transition.day.isoformat())))
            for model, transition in standings.items()
            if transition.state is StandingStatus.DEMOTED
        },
        candidates=frozenset(governance.preference(Preference.TRIALS, learned_before=for_day)),
        pinned={one.tier: Pin(one.model, one.until) for one in by_hand if one.act is HandAct.PIN},
        benched=frozenset(one.model for one in by_hand if one.act is HandAct.BENCH),
        version=version,
    )


def _state(transition: Transition[StandingStatus] | None) -> StandingStatus:
    return transition.state if transition else StandingStatus.ACTIVE
