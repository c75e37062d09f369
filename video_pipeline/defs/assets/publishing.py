"""Publishing, exactly once a clip and platform, and what people made of it."""

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Storyboard
from video_pipeline.clips import ReviewedClip
from video_pipeline.defs import markdown
from video_pipeline.defs.beside import listed
from video_pipeline.defs.partitions import DAILY, day_of, trailing
from video_pipeline.defs.pools import PLATFORM_API
from video_pipeline.defs.resources import Platforms
from video_pipeline.defs.tables import table_asset
from video_pipeline.ledger import Ledger, PublicationState, What
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement, Publisher, PublishRecord, collect_engagement, publish_day
from video_pipeline.storage import ObjectStore

ENGAGEMENT_DAYS = 14


# No retry policy here either: the publisher asks its upload sessions what became of them.
@table_asset(PublishRecord, group="publishing", partitions_def=DAILY, pool=PLATFORM_API)
def publish_records(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    store: dg.ResourceParam[ObjectStore],
    platforms: dg.ResourceParam[Platforms],
    notifier: dg.ResourceParam[Notifier],
    policy: dg.ResourceParam[Policy],
    reviewed_clips: list[ReviewedClip],
    storyboards: list[Storyboard],
) -> dg.MaterializeResult[list]:
    """One record a clip and platform; a platform without an account is a dry run that says so."""
    publisher = Publisher(
        ledger=ledger,
        store=store,
        platforms=platforms(),
        notifier=notifier,
        on_record=lambda record: context.log.info(
            f"{record.clip_id} on {record.platform}: {record.state} {record.url or record.reason or ''}"
        ),
    )
    briefs = {board.clip_id: board.brief for board in storyboards}
    records = publish_day(publisher, ledger, notifier, reviewed_clips, briefs, policy)
    causes = ledger.waits.causes(day_of(context.partition_key), What.PUBLICATION)
    count = {state.value: sum(record.state is state for record in records) for state in PublicationState}
    links = [markdown.link(f"{record.clip_id} on {record.platform}", record.url) for record in records if record.url]
    return dg.MaterializeResult(
        value=records,
        metadata={
            **{state: number for state, number in count.items() if number},
            **{f"waiting: {cause}": number for cause, number in causes.items()},
            **({"links": dg.MetadataValue.md("- " + listed(links, separator="\n- "))} if links else {}),
        },
    )


@table_asset(
    Engagement,
    group="publishing",
    partitions_def=DAILY,
    deps=[dg.AssetDep(publish_records, partition_mapping=trailing(ENGAGEMENT_DAYS))],
)
def engagement(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    platforms: dg.ResourceParam[Platforms],
) -> dg.MaterializeResult[list]:
    """Views, completion and shares of the trailing days' clips, as read on this day, by age."""
    day = day_of(context.partition_key)
    rows = collect_engagement(ledger, platforms(), day=day, trailing_days=ENGAGEMENT_DAYS)
    return dg.MaterializeResult(
        value=rows, metadata={"clips": len(rows), "views": sum(row.views or 0 for row in rows)}
    )


ALL = [publish_records, engagement]
