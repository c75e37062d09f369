"""Gate 4, weekly: what a week cost, which model a style likes, which hooks and styles do better than usual."""

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.defs.external import report_editorial_guidance, report_routing_policy
from video_pipeline.defs.partitions import OWN_WEEK, WEEKLY, day_of
from video_pipeline.defs.tables import table_asset
from video_pipeline.feedback import (
    ClipFact,
    CostReport,
    EditorialPattern,
    StyleAffinity,
    editorial_patterns_of,
    put_affinity_in_force,
    put_guidance_in_force,
    style_affinity_of,
    weekly_alert,
    weekly_cost_report_of,
    with_engagement,
)
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement

_FACTS = {"clip_facts": dg.AssetIn(partition_mapping=OWN_WEEK)}
# Completion is known days after publishing, so a clip counts with its newest metrics of the week.
_SEEN = {**_FACTS, "engagement": dg.AssetIn(partition_mapping=OWN_WEEK)}


@table_asset(
    CostReport,
    group="feedback",
    partitions_def=WEEKLY,
    ins={"cost_report": dg.AssetIn(partition_mapping=OWN_WEEK)},
)
def weekly_cost_report(
    context: dg.AssetExecutionContext, notifier: dg.ResourceParam[Notifier], cost_report: list[CostReport]
) -> dg.MaterializeResult[list]:
    """The week's costs, posted to the channel."""
    report = weekly_cost_report_of(day_of(context.partition_key), cost_report)
    notifier.notify(weekly_alert(report))
    return dg.MaterializeResult(
        value=[report],
        metadata={"clips": report.clips, "usable": report.usable, "total_usd": float(report.total_usd)},
    )


@table_asset(StyleAffinity, group="feedback", partitions_def=WEEKLY, ins=_FACTS)
def style_affinity(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    clip_facts: list[ClipFact],
) -> dg.MaterializeResult[list]:
    """How each model does for each style; shifts routing priorities by a few percent at most."""
    week = day_of(context.partition_key)
    rows = style_affinity_of(week, clip_facts, limit=policy.routing.preference_limit)
    put_affinity_in_force(ledger, rows, learned_from=week)
    report_routing_policy(context.instance, ledger)
    return dg.MaterializeResult(value=rows, metadata={"styles": len({row.style for row in rows})})


@table_asset(EditorialPattern, group="feedback", partitions_def=WEEKLY, ins=_SEEN)
def editorial_patterns(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    clip_facts: list[ClipFact],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """Hooks and styles against the platform's average; the preferred ones guide next week's briefs."""
    week = day_of(context.partition_key)
    rows = editorial_patterns_of(week, with_engagement(clip_facts, engagement))
    put_guidance_in_force(ledger, rows, learned_from=week)
    report_editorial_guidance(context.instance, ledger)
    return dg.MaterializeResult(value=rows, metadata={"preferred": sum(row.preferred for row in rows)})


ALL = [weekly_cost_report, style_affinity, editorial_patterns]
