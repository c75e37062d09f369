"""Stage 0: the day's briefs and their storyboards."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import (
    AppliedGuidance,
    Storyboard,
    TakenBrief,
    broll_planner,
    guide_in_force,
    said_of,
    storyboard_of,
    take_in,
    wait_until_settled,
)
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
    description=(
        "Hooks and styles that work, in force. Kept in the ledger with every earlier version; `editorial_patterns` "
        "changes it."
    ),
)


@table_asset(TakenBrief, group="briefs", partitions_def=DAILY, deps=[editorial_guidance])
def briefs(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    inbox: dg.ResourceParam[Inbox],
) -> dg.MaterializeResult[list]:
    """Validated briefs of the day; what is malformed is quarantined with reasons, and alerted.

    Guidance has defaults for what a brief leaves open; which ones is noted beside it, once for all.
    """
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
        guide=guide_in_force(ledger, holdout_share=policy.guidance.holdout_share),
    )
    for text in intake.told:
        context.log.warning(text)
    quarantined = [{"source": item.source, "reasons": listed(item.reasons)} for item in intake.quarantined]
    made, guidance = intake.made_before, ledger.governance.preference(Preference.EDITORIAL_GUIDANCE)
    return dg.MaterializeResult(
        value=[TakenBrief.of(brief, intake.applied.get(brief.brief_id)) for brief in intake.briefs],
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
            **_defaults(intake.applied),
            **({"not_read": listed(said, separator=" ")} if (said := said_of(intake.unread)) else {}),
            **({"quarantine": table(quarantined)} if quarantined else {}),
        },
    )


def _defaults(applied: Mapping[str, AppliedGuidance]) -> dict[str, Any]:
    """How many open briefs were given defaults and how many were held out, and which."""
    if not applied:
        return {}
    rows = [{"brief": brief_id, "guidance": noted.sentence} for brief_id, noted in applied.items()]
    held_out = sum(noted.held_out for noted in applied.values())
    return {"given_defaults": len(applied) - held_out, "held_out": held_out, "defaults": table(rows)}


@table_asset(Storyboard, group="briefs", partitions_def=DAILY)
def storyboards(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    briefs: list[TakenBrief],
) -> dg.MaterializeResult[list]:
    """Each brief cut into shots that a model can render, with B-roll for what may be refused."""
    day = day_of(context.partition_key)
    cap_s, draft_s = policy.generation.max_segment_s, policy.routing.levers.draft_seconds
    planner = broll_planner(ledger, policy.generation)
    boards = [
        storyboard_of(taken.brief, day, cap_s=cap_s, draft_s=draft_s, defaults=taken.defaults, broll=planner)
        for taken in briefs
    ]
    broll = [row for board in boards for row in _broll(board)]
    return dg.MaterializeResult(
        value=boards,
        metadata={
            "shots": sum(len(board.shots) for board in boards),
            "clips_in_segments": sum(len(board.shots) > 1 for board in boards),
            "drafts_cut_short": sum(bool(board.uncut) for board in boards),
            "may_be_refused": sum(bool(shot.risk) for board in boards for shot in board.shots),
            **({"broll": table(broll)} if broll else {}),
        },
    )


def _broll(board: Storyboard) -> list[dict[str, Any]]:
    """What can stand in for each shot, in its order; a brief's own `broll` stands in the place of what is planned."""
    return [
        {
            "brief": board.brief.brief_id,
            "shot": shot.index,
            "may_be_refused": shot.risk,
            "by": "the author" if shot.broll else "planned",
            "broll": listed(shot.substitutes),
        }
        for shot in board.shots
        if shot.risk or shot.broll
    ]


ALL = [editorial_guidance, briefs, storyboards]
