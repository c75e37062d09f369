"""Gate 4, nightly: facts, costs, freezes, scores and standings."""

import dagster as dg

from video_pipeline.briefs import Storyboard
from video_pipeline.clips import ReviewedClip
from video_pipeline.defs.external import report_routing_policy
from video_pipeline.defs.partitions import DAILY, DAY_BEFORE, trailing
from video_pipeline.defs.tables import place_of, table_asset
from video_pipeline.feedback import (
    ClipFact,
    CostReport,
    ModelScore,
    ModelStanding,
    TierStatus,
    book_delivery,
    build_facts,
    cost_report_of,
    judge_drift,
    judge_standings,
    put_acceptance_in_force,
    put_proven_kinds_in_force,
    score_models,
    transition_alerts,
    with_engagement,
)
from video_pipeline.policy import load_policy
from video_pipeline.publishing import Engagement, PublishRecord
from video_pipeline.services import Services, day_of
from video_pipeline.settings import get_settings

# Partition mappings are part of the graph, so the policy's windows are read when it is defined.
_POLICY = load_policy(get_settings().policy_file)
COST_DAYS = 7
DRIFT_DAYS = _POLICY.drift.consecutive_days
SCORE_DAYS = _POLICY.scoring.trailing_days


@table_asset(ClipFact, group="feedback", partitions_def=DAILY)
def clip_facts(
    context: dg.AssetExecutionContext,
    services: dg.ResourceParam[Services],
    storyboards: list[Storyboard],
    reviewed_clips: list[ReviewedClip],
    publish_records: list[PublishRecord],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """One row a clip with everything about it: attempts, strategy, cost lines, size, links, engagement."""
    day = day_of(context.partition_key)
    book_delivery(services.ledger, services.policy.costs, reviewed_clips, publish_records)
    facts = build_facts(
        storyboards={board.clip_id: board for board in storyboards},
        clips=reviewed_clips,
        jobs=services.ledger.jobs.of_day(day),
        costs=services.ledger.spend.by_clip(day),
        records=publish_records,
        engagement=engagement,
    )
    return dg.MaterializeResult(
        value=facts,
        metadata={
            "usable": sum(fact.usable for fact in facts),
            "total_usd": float(sum(fact.total_usd for fact in facts)),
        },
    )


@table_asset(
    CostReport,
    group="feedback",
    partitions_def=DAILY,
    kinds={"duckdb"},
    ins={"clip_facts": dg.AssetIn(partition_mapping=trailing(COST_DAYS))},
)
def cost_report(
    context: dg.AssetExecutionContext, services: dg.ResourceParam[Services], clip_facts: list[ClipFact]
) -> dg.MaterializeResult[list]:
    """What a clip cost, by tier, model, weekday and failure mode; cost per usable clip; waste; the day's page."""
    from video_pipeline.gallery import cost_plot, day_report

    day = day_of(context.partition_key)
    report = cost_report_of(day, clip_facts)
    own, limit_usd = [fact for fact in clip_facts if fact.day == day], services.policy.drift.freeze_above_usd
    page = day_report(services.store, services.ledger, report, own, limit_usd=limit_usd)
    numbers = {
        "generation_usd_per_clip": report.generation_usd_per_clip,
        "usd_per_usable_clip": report.usd_per_usable_clip,
    }
    return dg.MaterializeResult(
        value=[report],
        metadata={
            "total_usd": float(report.total_usd),
            "waste_usd": float(sum(report.waste.values())),
            "saved_by_cache_usd": float(report.saved_by_cache_usd),
            **{name: float(value) for name, value in numbers.items() if value is not None},
            "report": place_of(page.url),
            "cost_plot": dg.MetadataValue.md(f"![cost a clip]({cost_plot(report, limit_usd=limit_usd)})"),
        },
    )


@table_asset(
    TierStatus,
    group="feedback",
    partitions_def=DAILY,
    ins={"cost_report": dg.AssetIn(partition_mapping=trailing(DRIFT_DAYS))},
)
def tier_status(
    context: dg.AssetExecutionContext, services: dg.ResourceParam[Services], cost_report: list[CostReport]
) -> dg.MaterializeResult[list]:
    """Open or frozen per tier, with the evidence: two dear days in a row freeze the preview tier."""
    day = day_of(context.partition_key)
    statuses = judge_drift(services.ledger, services.policy.drift, day=day, reports=cost_report)
    for alert in transition_alerts(statuses):
        services.notifier.notify(alert)
    report_routing_policy(context.instance, services.ledger)
    return dg.MaterializeResult(
        value=statuses,
        metadata={status.tier: f"{status.state}: {status.reason}" for status in statuses},
    )


@table_asset(
    ModelScore,
    group="feedback",
    partitions_def=DAILY,
    ins={"clip_facts": dg.AssetIn(partition_mapping=trailing(SCORE_DAYS))},
)
def model_scores(
    context: dg.AssetExecutionContext,
    services: dg.ResourceParam[Services],
    clip_facts: list[ClipFact],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """The nightly score a model and version, with its interval and n, from the trailing days."""
    from video_pipeline.gallery import score_plot

    facts = with_engagement(clip_facts, engagement)
    scores = score_models(
        day_of(context.partition_key), facts, services.policy.scoring, own_tiers=services.catalogue.tiers
    )
    plot = {"score_plot": dg.MetadataValue.md(f"![model scores]({score_plot(scores)})")} if scores else {}
    return dg.MaterializeResult(
        value=scores,
        metadata={
            **{f"score {score.model}": round(score.score, 4) for score in scores},
            # Seen, but by which of its models nobody can tell.
            "clips_left_out_of_engagement": sum(fact.mixed and fact.views is not None for fact in facts),
            **plot,
        },
    )


@table_asset(
    ModelStanding,
    group="feedback",
    partitions_def=DAILY,
    ins={"clip_facts": dg.AssetIn(partition_mapping=trailing(SCORE_DAYS))},
    deps=[dg.AssetDep("model_standings", partition_mapping=DAY_BEFORE)],
)
def model_standings(
    context: dg.AssetExecutionContext,
    services: dg.ResourceParam[Services],
    model_scores: list[ModelScore],
    clip_facts: list[ClipFact],
) -> dg.MaterializeResult[list]:
    """Who may serve which tier from the next plan on; every transition is notified with its numbers."""
    day = day_of(context.partition_key)
    standings = judge_standings(
        services.ledger,
        services.policy.scoring,
        day=day,
        scores=model_scores,
        facts=clip_facts,
        catalogue=services.catalogue,
    )
    put_acceptance_in_force(services.ledger, model_scores, week=day)
    put_proven_kinds_in_force(services.ledger, model_scores, week=day)
    for alert in transition_alerts(standings):
        services.notifier.notify(alert)
    report_routing_policy(context.instance, services.ledger)
    return dg.MaterializeResult(
        value=standings,
        metadata={standing.model: f"{standing.status}: {standing.reason}" for standing in standings},
    )


ALL = [clip_facts, cost_report, tier_status, model_scores, model_standings]
