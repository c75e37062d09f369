"""Gate 1: route before you generate; nothing is bought here."""

from datetime import UTC, datetime

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Storyboard
from video_pipeline.defs import messages
from video_pipeline.defs.beside import table
from video_pipeline.defs.breakers import left_alone
from video_pipeline.defs.external import report_routing_policy
from video_pipeline.defs.partitions import DAILY, day_of
from video_pipeline.defs.tables import table_asset
from video_pipeline.errors import BudgetExceeded
from video_pipeline.feedback import routing_state
from video_pipeline.generation import has_bought, shots_not_to_buy, why_over_cap
from video_pipeline.ledger import Ledger, Wait, What
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan, OverCap, check_cap, plan_day, price_day

routing_policy = dg.AssetSpec(
    "routing_policy",
    group_name="routing",
    kinds={"postgres"},
    description=(
        "Standings, freezes and preferences in force. Kept in the ledger; `model_standings`, `tier_status` and "
        "`style_affinity` change it, and every change is logged here with a data version."
    ),
)


@table_asset(ClipPlan, group="routing", partitions_def=DAILY, deps=[routing_policy])
def generation_plan(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    catalogue: dg.ResourceParam[Catalogue],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    storyboards: list[Storyboard],
) -> dg.MaterializeResult[list]:
    """A decision a shot (tier, model, size, sound, price, reason), priced and held against the day's cap."""
    policy_read = report_routing_policy(context.instance, ledger)
    max_attempts, state = policy.generation.max_attempts, routing_state(ledger, policy.scoring)
    plans = plan_day(
        ledger,
        storyboards,
        catalogue,
        policy.routing,
        state,
        max_attempts=max_attempts,
        probes=policy.drift.probes_a_day,
        exploration=policy.exploration,
        now=datetime.now(UTC),
    )
    day = day_of(context.partition_key)
    bought = shots_not_to_buy(ledger, plans, policy, catalogue, state)
    total = price_day(day, plans, max_attempts=max_attempts, bought=bought)
    refused: dict[str, str] = {}
    try:
        check_cap(total, cap_usd=policy.budget.plan_cap_usd)
    except BudgetExceeded as refusal:
        over = OverCap(reason=str(refusal), to_buy_usd=total.to_buy_usd)
        if not has_bought(ledger, day):
            ledger.waits.note(Wait(What.CLIP, plan.clip_id, day, why_over_cap(over)) for plan in plans)
            raise dg.Failure(str(refusal), allow_retries=False) from refusal
        plans = [plan.model_copy(update={"over_cap": over}) for plan in plans]
        # What is paid for goes on: a file at its provider does not wait for people.
        refused = {"over_cap": str(refusal)}
        notifier.notify(messages.over_cap(day, str(refusal)))
    # Few and narrow columns: the UI gives what they leave to the last one, which has most to say.
    decisions = [
        {
            "shot": f"{plan.storyboard.brief.brief_id} #{decision.shot}",
            "tier": decision.tier.value,
            "model": f"{decision.serving or 'none'}{' with sound' if decision.audio else ''}",
            "usd": 0.0 if decision.reuse else float(decision.attempt_usd),
            "why": "; ".join(decision.reasons) + (f". Others: {decision.instead}" if decision.instead else ""),
        }
        for plan in plans
        for decision in plan.decisions
    ]
    by_kind = [
        {
            "shot": f"{plan.storyboard.brief.brief_id} #{decision.shot}",
            "kind": decision.by_kind.kind.value,
            "model": decision.model or "",
            "instead of": decision.by_kind.model,
            "usd more": float(decision.attempt_usd - decision.by_kind.usd),
            "fidelity": f"{decision.by_kind.fidelity:.2f} against {decision.by_kind.usual_fidelity:.2f}",
            "accepted": f"{decision.acceptance:.0%} against {decision.by_kind.acceptance:.0%}",
        }
        for plan in plans
        for decision in plan.decisions
        if decision.by_kind
    ]
    return dg.MaterializeResult(
        value=plans,
        tags=policy_read,
        metadata={
            "expected_usd": float(total.expected_usd),
            "p90_usd": float(total.p90_usd),
            "to_buy_usd": float(total.to_buy_usd),
            "cap_usd": float(policy.budget.plan_cap_usd),
            "held_clips": total.held,
            "upscaling_usd": float(total.upscaling_usd),
            **{f"saved by {lever}": float(usd) for lever, usd in total.saves.items()},
            **refused,
            "catalogue": catalogue.name,
            **left_alone(ledger),
            **({"decisions": table(decisions)} if decisions else {}),
            **({"changed_by_kind_of_shot": table(by_kind)} if by_kind else {}),
        },
    )


ALL = [routing_policy, generation_plan]
