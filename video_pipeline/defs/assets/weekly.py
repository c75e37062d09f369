"""Gate 4, weekly: what a week cost, which model a style likes, which hooks and styles do better than others."""

from typing import Any

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.defs.beside import Beside
from video_pipeline.defs.external import report_editorial_guidance, report_routing_policy
from video_pipeline.defs.partitions import OWN_WEEK, WEEKLY, day_of, trailing
from video_pipeline.defs.tables import place_of, rows_among, table_asset
from video_pipeline.feedback import (
    ClipFact,
    CostReport,
    EditorialPattern,
    Parameter,
    StyleAffinity,
    compared_ages,
    editorial_patterns_of,
    effect_words,
    guidance_alert,
    put_affinity_in_force,
    put_guidance_in_force,
    style_affinity_of,
    weekly_alert,
    weekly_cost_report_of,
)
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement
from video_pipeline.reports import guidance_page
from video_pipeline.storage import ObjectStore


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


def style_affinity(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    clip_facts: list[ClipFact],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """What each model's clips are worth for each style; shifts routing priorities by a few percent at most."""
    week = day_of(context.partition_key)
    limit = policy.routing.preference_limit
    rows = style_affinity_of(week, clip_facts, engagement, policy.guidance, limit=limit)
    put_affinity_in_force(ledger, rows, learned_from=week)
    report_routing_policy(context.instance, ledger)
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "styles": len({row.style for row in rows}),
            "largest_affinity": max((abs(row.affinity) for row in rows), default=0.0),
        },
    )


def editorial_patterns(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    store: dg.ResourceParam[ObjectStore],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    clip_facts: list[ClipFact],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """Hooks and styles against each platform's other clips; those that work guide next week's briefs."""
    week = day_of(context.partition_key)
    rows = editorial_patterns_of(week, clip_facts, engagement, policy.guidance)
    put_guidance_in_force(ledger, rows, learned_from=week)
    report_editorial_guidance(context.instance, ledger)
    alert = guidance_alert(week, rows, policy.guidance)
    if alert is not None:
        notifier.notify(alert)
    beside = Beside(context)
    page = beside.made("the writers' sheet", guidance_page, store, week, rows, policy.guidance)
    found = [row for row in rows if row.verdict.works]
    effects = [row for row in rows if row.parameter is Parameter.GUIDANCE]
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "values": len(rows),
            "values_that_work": len(found),
            **{f"{row.platform} {row.parameter} {row.value}": f"{row.verdict}: {row.reason}" for row in found},
            **{f"{row.platform} defaults": effect_words(row, policy.guidance) for row in effects},
            **({"sheet": place_of(page.url)} if page else {}),
            **beside.warnings(),
        },
    )


def assets_under(policy: Policy) -> list[dg.AssetsDefinition]:
    """The week's assets; how many weeks are learned from is policy."""
    weeks = trailing(policy.guidance.weeks)
    # As for the nights: of the numbers that every day has, those of one age are enough.
    seen = dg.AssetIn(partition_mapping=weeks, metadata=rows_among("age_days", compared_ages(policy.guidance)))
    ins = {"clip_facts": dg.AssetIn(partition_mapping=weeks), "engagement": seen}
    weekly: dict[str, Any] = {"group": "feedback", "partitions_def": WEEKLY, "ins": ins}
    return [
        weekly_cost_report,
        table_asset(StyleAffinity, **weekly)(style_affinity),
        table_asset(EditorialPattern, **weekly)(editorial_patterns),
    ]
