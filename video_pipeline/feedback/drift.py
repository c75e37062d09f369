"""Cost drift: consecutive dear days freeze the preview tier when it is a drift, and the freeze ends by itself (G4.3).

A day is dear when its clips, with those that wait at their planned price, cost more than the limit on average. It
drifts when it was paid beyond what its own mix was expected to cost at plan time, or when previews leak into dearer
tiers. A mix that is dear at its own prices is told, and freezes nothing. Neither number is changed by the freeze.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.costs import CostReport
from video_pipeline.feedback.spending import (
    Cause,
    TierSpending,
    beyond_plan,
    planned_usd_per_clip,
    usd_per_clip,
)
from video_pipeline.intervals import wilson_interval
from video_pipeline.ledger import Actor, Ledger, NightJudgement, TierState, Transition
from video_pipeline.policy import DriftPolicy
from video_pipeline.routing import Tier

GUARDED_TIER = Tier.PREVIEW
_OUTLASTED = "outlasted"


class TierStatus(BaseModel):
    """A row of the asset `tier_status`, with the evidence; `changed` when this night changed it.

    `causes` maps a cause of the drift to its share. `warning` is said once, when clips begin to be dear at their own
    expected prices.
    """

    model_config = ConfigDict(frozen=True)

    tier: str
    day: date
    state: TierState
    changed: bool
    reason: str
    evidence: dict[str, str]
    causes: dict[str, float] = {}
    warning: str = ""


@dataclass(frozen=True)
class DriftVerdict:
    """What a night says of the guarded tier; `outlasted` when it opens though the drift goes on."""

    state: TierState
    reason: str
    evidence: Mapping[str, str]
    causes: Mapping[Cause, float] = field(default_factory=dict[Cause, float])
    warning: str = ""
    outlasted: bool = False

    def kept(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        return {
            **self.evidence,
            "reason": self.reason,
            "causes": {cause.value: round(share, 3) for cause, share in self.causes.items()},
            _OUTLASTED: self.outlasted,
        }


def judge_drift(ledger: Ledger, policy: DriftPolicy, *, day: date, reports: Sequence[CostReport]) -> list[TierStatus]:
    """Judge `day` from the reports of the trailing days that end with it and put the outcome in force.

    A thaw by hand starts the count of dear days anew. A re-run of an older day changes nothing.
    """
    in_force = ledger.governance.tier_states()
    newest = ledger.governance.judge_night(NightJudgement.DRIFT, day)
    statuses: list[TierStatus] = []
    for tier in Tier:
        transition = in_force.get(tier)
        state = transition.state if transition else TierState.OPEN
        if tier is not GUARDED_TIER:
            verdict = DriftVerdict(state, "this tier is not guarded by cost drift", {})
        elif not newest:
            verdict = DriftVerdict(state, "a later day has been judged, and its word stands", {})
        else:
            verdict = drift_verdict(policy, day, reports, transition)
        changed = verdict.state is not state and ledger.governance.set_tier(
            tier, verdict.state, by=Actor.DRIFT, day=day, evidence=verdict.kept()
        )
        statuses.append(
            TierStatus(
                tier=tier,
                day=day,
                state=verdict.state,
                changed=changed,
                reason=verdict.reason,
                evidence=dict(verdict.evidence),
                causes={cause.value: round(share, 3) for cause, share in verdict.causes.items()},
                warning=verdict.warning,
            )
        )
    return statuses


def drift_verdict(
    policy: DriftPolicy, day: date, reports: Sequence[CostReport], in_force: Transition[TierState] | None
) -> DriftVerdict:
    """The guarded tier's state after `day`; pure. `in_force` is its newest transition."""
    night = _Night(policy, day, {report.day: report for report in reports if report.day <= day})
    evidence = {str(one): night.shown(one) for one in night.window}
    limit = f"${policy.freeze_above_usd} a clip"
    if in_force is not None and in_force.state is TierState.FROZEN:
        return _while_frozen(night, in_force, evidence, limit)
    counted_from = in_force.day if in_force and in_force.by is Actor.PERSON else date.min
    dear = [one for one in night.window if one > counted_from and night.is_dear(one)]
    causes = night.drift() if len(dear) == policy.consecutive_days else {}
    if causes:
        if _is_accepted(night, in_force):
            reason = f"clips cost more than {limit} ({_named(causes)}): this drift has outlasted the longest freeze"
            return DriftVerdict(TierState.OPEN, reason, evidence, causes)
        reason = f"clips cost more than {limit} on {len(dear)} consecutive days, and drifted: {_named(causes)}"
        return DriftVerdict(TierState.FROZEN, reason, _with_causes(evidence, causes), causes)
    missing = [one for one in night.window if one not in night.reports]
    note = f"; there is no report for {', '.join(map(str, missing))}" if missing else ""
    reason = f"{len(dear)} of the last {policy.consecutive_days} days over {limit}{note}"
    if len(dear) == policy.consecutive_days:
        reason += ", as their own plans expected"
    return DriftVerdict(TierState.OPEN, reason, evidence, warning=night.warning(limit))


def _while_frozen(
    night: "_Night", in_force: Transition[TierState], evidence: dict[str, str], limit: str
) -> DriftVerdict:
    day, since, longest = night.day, in_force.day, night.policy.longest_freeze_days
    if not night.has_evidence(day):
        causes: Mapping[Cause, float] = {}
        still = "no clip was tried that could tell whether the drift goes on"
    else:
        causes = night.still_beyond(day, _by_retries(in_force)) or night.leak()
        if not causes:
            return DriftVerdict(TierState.OPEN, "clips cost what their plans expected again", evidence)
        if not night.is_dear(day):
            return DriftVerdict(TierState.OPEN, f"clips are back at or under {limit}", evidence)
        still = f"clips still cost more than {limit}: {_named(causes)}"
    evidence = _with_causes(evidence, causes)
    if day - since >= timedelta(days=longest):
        reason = f"frozen for {longest} days, the longest; {still}. It freezes again only after a day without"
        return DriftVerdict(TierState.OPEN, reason, evidence, causes, outlasted=True)
    return DriftVerdict(TierState.FROZEN, still, evidence, causes)


def _is_accepted(night: "_Night", in_force: Transition[TierState] | None) -> bool:
    """Whether a freeze has run its longest time and no day since has been without the drift."""
    if in_force is None or in_force.by is not Actor.DRIFT or not in_force.evidence.get(_OUTLASTED):
        return False
    since = [one for one in night.reports if one > in_force.day and night.has_evidence(one)]
    return all(night.still_beyond(one, _by_retries(in_force)) or night.leak(one) for one in since)


def _by_retries(in_force: Transition[TierState]) -> bool:
    """Whether the drift that `in_force` was judged on was one of failed attempts in the main."""
    causes: Mapping[str, float] = in_force.evidence.get("causes", {})
    return max(causes, key=lambda cause: causes[cause], default=Cause.RETRIES) == Cause.RETRIES


class _Night:
    """The numbers of the days that end with `day`."""

    def __init__(self, policy: DriftPolicy, day: date, reports: Mapping[date, CostReport]) -> None:
        self.policy = policy
        self.day = day
        self.reports = reports
        self.window = self._days(day)

    def average_usd(self, day: date) -> Decimal | None:
        report = self.reports.get(day)
        if report is None:
            return None
        # Reports of earlier versions know only what was made.
        return usd_per_clip(report.spending) if report.spending else report.generation_usd_per_clip

    def is_dear(self, day: date) -> bool:
        return (self.average_usd(day) or Decimal(0)) > self.policy.freeze_above_usd

    def has_evidence(self, day: date) -> bool:
        """Whether any clip of a known plan was tried."""
        return any(row.compared for row in self._spending([day]))

    def drift(self) -> dict[Cause, float]:
        """Why the window's days cost more than planned, as shares of the expectation; empty when they do not."""
        earlier = [self._beyond(one) for one in self.window[:-1]]
        causes = self._beyond(self.day, surely=True)
        return causes if causes and all(earlier) and self._goes_on(causes) else self.leak()

    def still_beyond(self, day: date, by_retries: bool) -> dict[Cause, float]:
        """What was paid beyond the plan while a freeze lets few clips through; empty when it is not much.

        An attempt's price is not a matter of luck, and a clip or two tell it. The number of attempts is: it counts
        only where it was the cause, and a day with too many is judged together with the day before.
        """
        shares = beyond_plan(self._spending([day]))
        if not by_retries:
            shares[Cause.RETRIES] = 0.0
        elif shares[Cause.RETRIES] > 0:
            shares[Cause.RETRIES] = beyond_plan(self._spending(self._days(day)))[Cause.RETRIES]
        return shares if sum(shares.values()) >= self.policy.beyond_share else {}

    def leak(self, day: date | None = None) -> dict[Cause, float]:
        """Previews that have become clips of dearer tiers: the guarded share has fallen surely, and as never before.

        The share is that of the days which end with `day`, held against the days before. When more briefs lack
        metadata than before, the cause is the schema.
        """
        window = self._few_days(day or self.day)
        before = [one for one in sorted(self.reports) if one < window[0] and self._spending([one])]
        now, usual = self._spending(window), self._spending(before)
        if not now or len(before) < self.policy.trailing_days // 2:
            return {}
        if not self._fewer(_guarded(now), self._usual(_guarded(usual))):
            return {}
        if any(_share_of(rows) <= _share_of(now) for one in before if (rows := self._spending(self._few_days(one)))):
            return {}
        beyond = _mix_effect(now, usual)
        if beyond < self.policy.beyond_share:
            return {}
        clips, complete = ([_guarded(rows)[1] for rows in (now, usual)], [_complete(rows) for rows in (now, usual)])
        schema = self._fewer((complete[0], clips[0]), self._usual((complete[1], clips[1])))
        return {Cause.SCHEMA if schema else Cause.LEAK: beyond}

    def warning(self, limit: str) -> str:
        """That clips are dear at their own expected prices, and why; empty on the days after it was said."""
        if not self._is_dear_by_plan(self.day) or self._is_dear_by_plan(self.day - timedelta(days=1)):
            return ""
        rows = self._spending(self._enough(self.day))
        planned_usd = planned_usd_per_clip(rows) or Decimal(0)
        guarded_usd = planned_usd_per_clip([row for row in rows if row.tier == GUARDED_TIER]) or Decimal(0)
        if guarded_usd > self.policy.freeze_above_usd:
            cause, why = (
                Cause.LIST_PRICES,
                f"a clip of the {GUARDED_TIER} tier alone is expected to cost ${guarded_usd:.2f}",
            )
        else:
            share = _share_of(rows)
            cause, why = Cause.MIX, f"{share:.0%} of the clips are of the {GUARDED_TIER} tier, the others are dearer"
        return (
            f"Clips cost more than {limit}, as planned (${planned_usd:.2f}); the cause is {cause}: {why}. Nothing is "
            "frozen. Raise drift.freeze_above_usd in the policy, or make other clips."
        )

    def shown(self, day: date) -> str:
        if day not in self.reports:
            return "no report"
        average = self.average_usd(day)
        if average is None:
            return "nothing generated"
        rows = self._spending([day])
        planned_usd, waiting = planned_usd_per_clip(rows), sum(row.waiting for row in rows)
        said = f"${average:.4f} a clip"
        if planned_usd is not None:
            said += f", ${planned_usd:.4f} planned"
        return f"{said}, {waiting} waiting at their planned price" if waiting else said

    def _days(self, day: date) -> list[date]:
        """As many consecutive days as make a freeze, ending with `day`."""
        return [day - timedelta(days=back) for back in reversed(range(self.policy.consecutive_days))]

    def _few_days(self, day: date) -> list[date]:
        """As many days as make a freeze, and one more where they have few clips."""
        days = self._days(day)
        few = sum(row.clips for row in self._spending(days)) < self.policy.minimum_clips
        return [days[0] - timedelta(days=1), *days] if few else days

    def _spending(self, days: Sequence[date]) -> list[TierSpending]:
        return [row for one in days if one in self.reports for row in self.reports[one].spending]

    def _enough(self, day: date) -> list[date]:
        """`day` and as many before it as give the least number of clips that were tried."""
        days: list[date] = []
        clips = 0
        for one in sorted((one for one in self.reports if one <= day), reverse=True):
            days.append(one)
            clips += sum(row.compared for row in self._spending([one]))
            if clips >= self.policy.minimum_clips:
                break
        return days

    def _beyond(self, day: date, *, surely: bool = False) -> dict[Cause, float]:
        """What was paid beyond the plan, on few clips with the days before; empty when it is not much.

        An attempt's price is not a matter of luck, and the day is enough where it tells. The number of attempts is:
        `surely` leaves them out when it may be that.
        """
        limit = self.policy.beyond_share
        own, rows = beyond_plan(self._spending([day])), self._spending(self._enough(day))
        shares = own if own[Cause.LEAK] + own[Cause.PRICE] >= limit else beyond_plan(rows)
        if surely and not self._more_attempts(rows):
            shares[Cause.RETRIES] = 0.0
        return shares if sum(shares.values()) >= limit else {}

    def _more_attempts(self, rows: Sequence[TierSpending]) -> bool:
        """Whether surely fewer of the attempts were accepted than the plans expected, at enough clips."""
        if sum(row.compared for row in rows) < self.policy.minimum_clips:
            return False
        attempts = sum(row.attempts for row in rows)
        expected = sum(row.expected_accepted for row in rows) / max(attempts, 1)
        # Until it is measured, what a model is said to deliver is a little off.
        usual = expected * (1 - self.policy.beyond_share / 4)
        return self._fewer((sum(row.accepted for row in rows), attempts), usual)

    def _usual(self, counts: tuple[int, int]) -> float:
        """A share, as (some, all), with the doubt that few days leave and room for a change that does not matter."""
        return wilson_interval(*counts, confidence=0.8)[0] * (1 - self.policy.beyond_share / 2)

    def _fewer(self, counts: tuple[int, int], usual: float) -> bool:
        """Whether some of all, as (some, all), are fewer than luck gives where `usual` is the true share."""
        return _chance_of_fewer(counts, usual) < 1 - self.policy.confidence

    def _goes_on(self, shares: Mapping[Cause, float]) -> bool:
        """Whether the newest day by itself shows the greatest cause too; else it may be over."""
        greatest = max(shares, key=lambda cause: shares[cause])
        return beyond_plan(self._spending([self.day]))[greatest] >= self.policy.beyond_share / 2

    def _is_dear_by_plan(self, day: date) -> bool:
        """Whether the expected price of a clip, over enough clips, is above the limit."""
        days = self._enough(day)
        rows = self._spending(days)
        enough = sum(row.clips for row in rows) >= self.policy.minimum_clips
        return enough and (planned_usd_per_clip(rows) or Decimal(0)) > self.policy.freeze_above_usd


def _guarded(rows: Sequence[TierSpending]) -> tuple[int, int]:
    """(clips of the guarded tier, all clips)."""
    return sum(row.clips for row in rows if row.tier == GUARDED_TIER), sum(row.clips for row in rows)


def _share_of(rows: Sequence[TierSpending]) -> float:
    guarded, clips = _guarded(rows)
    return guarded / clips if clips else 1.0


def _complete(rows: Sequence[TierSpending]) -> int:
    """Clips whose briefs lack no metadata that steers routing."""
    return sum(row.clips - row.assumed for row in rows)


def _chance_of_fewer(counts: tuple[int, int], share: float) -> float:
    """The chance that so few of all, as (some, all), or fewer are of a kind whose true share is `share`."""
    some, clips = counts
    if some == clips or share <= 0:
        return 1.0
    yes, no = math.log(share), math.log1p(-min(share, 1 - 1e-9))
    return sum(
        math.exp(
            math.lgamma(clips + 1)
            - math.lgamma(count + 1)
            - math.lgamma(clips - count + 1)
            + count * yes
            + (clips - count) * no
        )
        for count in range(some + 1)
    )


def _mix_effect(now: Sequence[TierSpending], usual: Sequence[TierSpending]) -> float:
    """How much dearer the mix of `now` is than the usual one, at the same expected prices; as a share."""
    cost: list[float] = []
    for rows in (now, usual):
        clips = sum(row.clips for row in rows)
        usd = 0.0
        for tier in Tier:
            price = planned_usd_per_clip([row for row in (*now, *usual) if row.tier == tier])
            usd += float(price or 0) * sum(row.clips for row in rows if row.tier == tier)
        cost.append(usd / clips if clips else 0.0)
    return cost[0] / cost[1] - 1 if cost[1] else 0.0


def _with_causes(evidence: Mapping[str, str], causes: Mapping[Cause, float]) -> dict[str, str]:
    return {**evidence, **({"causes": _named(causes)} if causes else {})}


def _named(causes: Mapping[Cause, float]) -> str:
    """`leak 95%, retries 5%; 61% beyond the plan`: each cause with its share, and what they come to."""
    raising = {cause: share for cause, share in causes.items() if share > 0}
    total = sum(raising.values())
    each = ", ".join(
        f"{cause} {share / total:.0%}" for cause, share in sorted(raising.items(), key=lambda item: -item[1])
    )
    return f"{each}; {sum(causes.values()):.0%} more than expected"
