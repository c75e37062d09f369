"""Cost drift: consecutive dear days freeze the preview tier; the first day that is not dear thaws it (G4.3)."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.costs import CostReport
from video_pipeline.ledger import Actor, Ledger, NightJudgement, TierState
from video_pipeline.policy import DriftPolicy
from video_pipeline.routing import Tier

GUARDED_TIER = Tier.PREVIEW


class TierStatus(BaseModel):
    """A row of the asset `tier_status`, with the evidence; `changed` when this night changed it."""

    model_config = ConfigDict(frozen=True)

    tier: str
    day: date
    state: TierState
    changed: bool
    reason: str
    evidence: dict[str, str]


def judge_drift(ledger: Ledger, policy: DriftPolicy, *, day: date, reports: Sequence[CostReport]) -> list[TierStatus]:
    """Judge `day` from the reports of the days that end with it and put the outcome in force.

    A day on which nothing was generated is not dear. Otherwise a frozen tier that is all a team uses could never
    thaw. A thaw by hand starts the count anew. A re-run of an older day changes nothing.
    """
    in_force = ledger.governance.tier_states()
    newest = ledger.governance.judge_night(NightJudgement.DRIFT, day)
    statuses: list[TierStatus] = []
    for tier in Tier:
        transition = in_force.get(tier)
        state = transition.state if transition else TierState.OPEN
        if tier is not GUARDED_TIER:
            statuses.append(_status(tier, day, state, False, "this tier is not guarded by cost drift", {}))
            continue
        if not newest:
            reason = "a later day has been judged, and its word stands"
            statuses.append(_status(tier, day, state, False, reason, {}))
            continue
        counted_from = transition.day if transition and transition.by is Actor.PERSON else date.min
        wanted, reason, evidence = _verdict(policy, day, reports, state, counted_from)
        changed = wanted is not state and ledger.governance.set_tier(
            tier, wanted, by=Actor.DRIFT, day=day, evidence={**evidence, "reason": reason}
        )
        statuses.append(_status(tier, day, wanted, changed, reason, evidence))
    return statuses


def _verdict(
    policy: DriftPolicy, day: date, reports: Sequence[CostReport], state: TierState, counted_from: date
) -> tuple[TierState, str, dict[str, str]]:
    averages = {report.day: report.generation_usd_per_clip for report in reports}
    days = [day - timedelta(days=back) for back in reversed(range(policy.consecutive_days))]
    evidence = {str(one): _shown(averages, one) for one in days}
    dear = [one for one in days if one > counted_from and (averages.get(one) or Decimal(0)) > policy.freeze_above_usd]
    limit = f"${policy.freeze_above_usd} a clip"
    if len(dear) == policy.consecutive_days:
        return TierState.FROZEN, f"generation cost more than {limit} on {len(dear)} consecutive days", evidence
    if state is TierState.FROZEN and day not in dear:
        return TierState.OPEN, f"generation is back at or under {limit}", evidence
    if state is TierState.FROZEN:
        return TierState.FROZEN, f"generation still costs more than {limit}", evidence
    missing = [one for one in days if one not in averages]
    note = f"; there is no report for {', '.join(map(str, missing))}" if missing else ""
    return TierState.OPEN, f"{len(dear)} of the last {policy.consecutive_days} days over {limit}{note}", evidence


def _shown(averages: Mapping[date, Decimal | None], day: date) -> str:
    if day not in averages:
        return "no report"
    average = averages[day]
    return "nothing generated" if average is None else f"${average:.4f} a clip"


def _status(
    tier: Tier, day: date, state: TierState, changed: bool, reason: str, evidence: Mapping[str, Any]
) -> TierStatus:
    shown = {key: str(value) for key, value in evidence.items()}
    return TierStatus(tier=tier, day=day, state=state, changed=changed, reason=reason, evidence=shown)
