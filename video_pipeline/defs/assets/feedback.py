"""Gate 4, nightly: facts, costs, freezes, scores and standings."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Storyboard, applied_guidance
from video_pipeline.clips import ReviewedClip
from video_pipeline.defs.beside import Beside
from video_pipeline.defs.external import report_routing_policy
from video_pipeline.defs.partitions import DAILY, DAY_BEFORE, day_of, trailing
from video_pipeline.defs.tables import place_of, rows_among, table_asset
from video_pipeline.feedback import (
    TROUBLE,
    ClipFact,
    CostReport,
    DayBill,
    ListedModel,
    Match,
    ModelScore,
    ModelStanding,
    PriceState,
    TierStatus,
    Total,
    billing_alert,
    book_delivery,
    build_facts,
    cost_report_of,
    days_to_compare,
    earlier_prices,
    expectations_of,
    judge_drift,
    judge_standings,
    learn,
    listed_prices,
    mature_ages,
    price_alerts,
    put_learned_in_force,
    put_proven_kinds_in_force,
    reconcile,
    score_models,
    times_of,
    told_by_ledger,
    transition_alerts,
)
from video_pipeline.generation import Enquiries
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement, PublishRecord
from video_pipeline.reports import cost_plot, day_report, model_page_key, model_pages, score_plot, value_plot
from video_pipeline.routing import Catalogue, ClipPlan
from video_pipeline.storage import ObjectStore

COST_DAYS = 7
_NIGHTLY: dict[str, Any] = {"group": "feedback", "partitions_def": DAILY}


# No pool: a long day's generation holds the providers' place, and this asks for a page or two.
@table_asset(DayBill, **_NIGHTLY, deps=["generated_clips"])
def vendor_bills(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    enquiries: dg.ResourceParam[Enquiries],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
) -> dg.MaterializeResult[list]:
    """What vendors have billed beside the ledger, of the day and of those before it; what differs is booked."""
    day = day_of(context.partition_key)
    bills = reconcile(ledger, enquiries, policy.reconcile, days_to_compare(day, policy.reconcile))
    for bill in bills:
        alert = billing_alert(bill, policy.reconcile)
        if alert is not None:
            notifier.notify(alert)
    found = {match: sum(len(bill.of(match)) for bill in bills) for match in Match}
    return dg.MaterializeResult(
        value=bills,
        metadata={
            "requests": sum(bill.requests for bill in bills),
            "as_booked": sum(bill.equal for bill in bills),
            **{match.value: count for match, count in found.items() if count},
            "booked_usd": float(sum(bill.booked_usd for bill in bills)),
            "billed_usd": float(sum(bill.billed_usd for bill in bills)),
            "otherwise_usd": float(sum(bill.off_usd for bill in bills)),
            **{f"not compared at {bill.provider}": bill.why_not for bill in bills if bill.why_not},
        },
    )


@table_asset(ListedModel, **_NIGHTLY, deps=[dg.AssetDep("vendor_prices", partition_mapping=DAY_BEFORE)])
def vendor_prices(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[ObjectStore],
    catalogue: dg.ResourceParam[Catalogue],
    enquiries: dg.ResourceParam[Enquiries],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
) -> dg.MaterializeResult[list]:
    """What vendors say of the catalogue's prices, and which of them are stale; each trouble is told once."""
    day = day_of(context.partition_key)
    before = earlier_prices(store, day)
    prices = listed_prices(day, catalogue, enquiries, before, stale_days=policy.costs.price_stale_days)
    for alert in price_alerts(prices, before):
        notifier.notify(alert)
    count = {state: sum(row.state is state for row in prices) for state in PriceState}
    return dg.MaterializeResult(
        value=prices,
        metadata={
            **{state.value: number for state, number in count.items() if number},
            **{row.model: f"{row.state} since {row.since}: {row.why}" for row in prices if row.state in TROUBLE},
        },
    )


@table_asset(ClipFact, **_NIGHTLY, deps=[vendor_bills])
def clip_facts(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    catalogue: dg.ResourceParam[Catalogue],
    storyboards: list[Storyboard],
    generation_plan: list[ClipPlan],
    reviewed_clips: list[ReviewedClip],
    publish_records: list[PublishRecord],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """One row a clip with everything about it: attempts, strategy, cost lines, times, size, links, engagement."""
    day = day_of(context.partition_key)
    book_delivery(ledger, policy.costs, reviewed_clips, publish_records)
    jobs = ledger.jobs.of_day(day)
    facts = build_facts(
        storyboards={board.clip_id: board for board in storyboards},
        clips=reviewed_clips,
        jobs=jobs,
        costs=ledger.spend.by_clip(day),
        records=publish_records,
        engagement=engagement,
        own_tiers=catalogue.tiers,
        expectations=expectations_of(
            generation_plan, jobs, catalogue.tiers, max_attempts=policy.generation.max_attempts
        ),
        times={clip_id: times_of(trail) for clip_id, trail in ledger.trails.of_day(day).items()},
        reviews=ledger.reviews.of_day(day),
        applied=applied_guidance(ledger, day),
    )
    return dg.MaterializeResult(
        value=facts,
        metadata={
            "usable": sum(fact.usable for fact in facts),
            "total_usd": float(sum(fact.total_usd for fact in facts)),
            "published": sum(fact.to_published_s is not None for fact in facts),
            "slowest_to_published_s": round(max((fact.to_published_s or 0 for fact in facts), default=0.0), 1),
        },
    )


@table_asset(
    CostReport,
    **_NIGHTLY,
    kinds={"duckdb"},
    ins={"clip_facts": dg.AssetIn(partition_mapping=trailing(COST_DAYS))},
)
def cost_report(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    store: dg.ResourceParam[ObjectStore],
    policy: dg.ResourceParam[Policy],
    clip_facts: list[ClipFact],
    vendor_bills: list[DayBill],
    vendor_prices: list[ListedModel],
) -> dg.MaterializeResult[list]:
    """What a clip cost, by tier, model, weekday and failure mode; cost per usable clip; waste; times; a page."""
    day = day_of(context.partition_key)
    report = cost_report_of(day, clip_facts)
    own, limit_usd = [fact for fact in clip_facts if fact.day == day], policy.drift.freeze_above_usd
    beside = Beside(context)
    page = beside.made(
        "the day's page",
        day_report,
        store,
        ledger,
        report,
        own,
        limit_usd=limit_usd,
        recent=clip_facts,
        bills=vendor_bills,
        prices=vendor_prices,
    )
    plot = beside.made("the cost plot", cost_plot, report, limit_usd=limit_usd)
    numbers = {
        "generation_usd_per_clip": report.generation_usd_per_clip,
        "usd_per_usable_clip": report.usd_per_usable_clip,
    }
    return dg.MaterializeResult(
        value=[report],
        metadata={
            "total_usd": float(report.total_usd),
            "billed_by_vendors_usd": float(report.vendor_usd),
            "at_list_prices_usd": float(report.list_usd),
            "waste_usd": float(sum(report.waste.values())),
            "saved_by_cache_usd": float(report.saved_by_cache_usd),
            **{name: float(value) for name, value in numbers.items() if value is not None},
            **_seconds("median", report.median_s),
            **_seconds("p90", report.p90_s),
            **({"report": place_of(page.url)} if page else {}),
            **({"cost_plot": dg.MetadataValue.md(f"![cost a clip]({plot})")} if plot else {}),
            **beside.warnings(),
        },
    )


def _seconds(which: str, seconds: Mapping[str, float]) -> dict[str, float]:
    """The totals of a day's times; the parts stand on its page."""
    return {f"{which} seconds {what}": round(seconds[what], 1) for what in Total if what in seconds}


def tier_status(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    cost_report: list[CostReport],
) -> dg.MaterializeResult[list]:
    """Open or frozen per tier, with the evidence: a cost drift freezes the preview tier, and its end opens it."""
    day = day_of(context.partition_key)
    statuses = judge_drift(ledger, policy.drift, day=day, reports=cost_report)
    for alert in transition_alerts(statuses):
        notifier.notify(alert)
    report_routing_policy(context.instance, ledger)
    return dg.MaterializeResult(
        value=statuses,
        metadata={
            **{status.tier: f"{status.state}: {status.reason}" for status in statuses},
            **{f"{status.tier} evidence": status.evidence for status in statuses if status.evidence},
            **{f"{status.tier} causes": status.causes for status in statuses if status.causes},
        },
    )


def model_scores(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[ObjectStore],
    catalogue: dg.ResourceParam[Catalogue],
    policy: dg.ResourceParam[Policy],
    clip_facts: list[ClipFact],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """The nightly estimates of each model and version, with intervals and n, from the trailing days."""
    learned = learn(day_of(context.partition_key), clip_facts, engagement, catalogue, policy.scoring)
    scores = score_models(clip_facts, learned, policy.scoring)
    beside = Beside(context)
    plot = beside.made("the score plot", score_plot, scores) if scores else None
    value = beside.made("the value plot", value_plot, scores, clip_facts) if scores else None
    return dg.MaterializeResult(
        value=scores,
        metadata={
            **{f"score {score.model}": round(score.score, 4) for score in scores},
            # Seen, but by which of its models nobody can tell.
            "clips_left_out_of_worth": learned.mixed,
            **({"score_plot": dg.MetadataValue.md(f"![model scores]({plot})")} if plot else {}),
            **({"value_plot": dg.MetadataValue.md(f"![value for money]({value})")} if value else {}),
            # `model_standings` writes them, with what it decides.
            **{f"page of {score.model}": place_of(store.url(model_page_key(score.model))) for score in scores},
            **beside.warnings(),
        },
    )


def model_standings(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    store: dg.ResourceParam[ObjectStore],
    catalogue: dg.ResourceParam[Catalogue],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    model_scores: list[ModelScore],
    clip_facts: list[ClipFact],
    engagement: list[Engagement],
) -> dg.MaterializeResult[list]:
    """Who may serve which tier from the next plan on; every transition is notified with its numbers."""
    day = day_of(context.partition_key)
    told = told_by_ledger(ledger, day, policy.scoring)
    learned = learn(day, clip_facts, engagement, catalogue, policy.scoring, told.by_hand, told.earlier)
    standings = judge_standings(ledger, policy.scoring, learned=learned, scores=model_scores)
    put_learned_in_force(ledger, learned)
    put_proven_kinds_in_force(ledger, model_scores, learned_from=day)
    for alert in transition_alerts(standings):
        notifier.notify(alert)
    report_routing_policy(context.instance, ledger)
    beside = Beside(context)
    beside.made("the models' pages", model_pages, store, ledger, model_scores, clip_facts)
    return dg.MaterializeResult(
        value=standings,
        metadata={
            **{standing.model: f"{standing.status}: {standing.reason}" for standing in standings},
            **beside.warnings(),
            **{f"{one.model} in its tier": str(one.verdict) for one in standings if one.verdict},
        },
    )


def assets_under(policy: Policy) -> list[dg.AssetsDefinition]:
    """The gate's assets; how many days of costs and of facts are judged is policy."""
    costs = dg.AssetIn(partition_mapping=trailing(policy.drift.trailing_days))
    facts = dg.AssetIn(partition_mapping=trailing(policy.scoring.trailing_days))
    # Every day has the numbers of weeks. Those of one age are enough, and few enough to be read for all the days.
    of_age = rows_among("age_days", mature_ages(policy.scoring))
    seen = dg.AssetIn(partition_mapping=trailing(policy.scoring.trailing_days), metadata=of_age)
    ins = {"clip_facts": facts, "engagement": seen}
    yesterday = dg.AssetDep("model_standings", partition_mapping=DAY_BEFORE)
    return [
        vendor_bills,
        vendor_prices,
        clip_facts,
        cost_report,
        table_asset(TierStatus, **_NIGHTLY, ins={"cost_report": costs})(tier_status),
        table_asset(ModelScore, **_NIGHTLY, ins=ins)(model_scores),
        table_asset(ModelStanding, **_NIGHTLY, ins=ins, deps=[yesterday])(model_standings),
    ]
