"""Stage 0: the day's briefs and their storyboards."""

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief, Storyboard, said_of, storyboard_of, take_in, wait_until_settled
from video_pipeline.days import today
from video_pipeline.defs.beside import listed, table
from video_pipeline.defs.external import report_editorial_guidance
from video_pipeline.defs.partitions import DAILY, day_of
from video_pipeline.defs.tables import table_asset
from video_pipeline.ledger import Ledger, Preference
from video_pipeline.policy import Policy
from video_pipeline.services import Inbox

editorial_guidance = dg.AssetSpec(
    "editorial_guidance",
    group_name="briefs",
    kinds={"postgres"},
    description="Preferred hooks and styles in force. Kept in the ledger; `editorial_patterns` changes it.",
)


@table_asset(Brief, group="briefs", partitions_def=DAILY, deps=[editorial_guidance])
def briefs(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    notifier: dg.ResourceParam[Notifier],
    inbox: dg.ResourceParam[Inbox],
) -> dg.MaterializeResult[list]:
    """Validated briefs of the day; what is malformed is quarantined with reasons, and alerted."""
    wait_until_settled(
        inbox.folder,
        day_of(context.partition_key),
        inbox.settle_s,
        on_wait=lambda names: context.log.info(f"waits until {names} is complete"),
    )
    guidance_read = report_editorial_guidance(context.instance, ledger)
    intake = take_in(
        ledger,
        notifier,
        inbox=inbox.folder,
        platforms=inbox.platforms,
        day=day_of(context.partition_key),
        today=today(),
        examples=inbox.examples,
        settle_s=inbox.settle_s,
        refusals=inbox.refusals,
    )
    for text in intake.told:
        context.log.warning(text)
    quarantined = [{"source": item.source, "reasons": listed(item.reasons)} for item in intake.quarantined]
    made, guidance = intake.made_before, ledger.governance.preference(Preference.EDITORIAL_GUIDANCE)
    return dg.MaterializeResult(
        value=intake.briefs,
        tags=guidance_read,
        metadata={
            "briefs": len(intake.briefs),
            "files": intake.files,
            "source": "packaged examples (the inbox is empty)" if intake.examples else str(inbox.folder),
            "quarantined": len(intake.quarantined),
            "missing_routing_metadata": sum(intake.assumed.values()),
            **({"made_on_another_day": listed(f"{name} on {when}" for name, when in made.items())} if made else {}),
            **({"kept_because_paid_for": listed(intake.kept, separator=", ")} if intake.kept else {}),
            **({"editorial_guidance": dg.MetadataValue.json(guidance)} if guidance else {}),
            **({"not_read": listed(said, separator=" ")} if (said := said_of(intake.unread)) else {}),
            **({"quarantine": table(quarantined)} if quarantined else {}),
        },
    )


@table_asset(Storyboard, group="briefs", partitions_def=DAILY)
def storyboards(
    context: dg.AssetExecutionContext, policy: dg.ResourceParam[Policy], briefs: list[Brief]
) -> dg.MaterializeResult[list]:
    """Each brief cut into shots that a model can render, at its shot boundaries."""
    day = day_of(context.partition_key)
    cap_s, draft_s = policy.generation.max_segment_s, policy.routing.levers.draft_seconds
    boards = [storyboard_of(brief, day, cap_s=cap_s, draft_s=draft_s) for brief in briefs]
    return dg.MaterializeResult(
        value=boards,
        metadata={
            "shots": sum(len(board.shots) for board in boards),
            "clips_in_segments": sum(len(board.shots) > 1 for board in boards),
            "drafts_cut_short": sum(bool(board.uncut) for board in boards),
        },
    )


ALL = [editorial_guidance, briefs, storyboards]
