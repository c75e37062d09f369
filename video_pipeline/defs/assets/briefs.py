"""Stage 0: the day's briefs and their storyboards."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import (
    NO_BIBLES,
    AppliedGuidance,
    Storyboard,
    TakenBrief,
    bibles_in_force,
    broll_planner,
    guide_in_force,
    keep_pictures,
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
from video_pipeline.storage import ObjectStore

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
    store: dg.ResourceParam[ObjectStore],
) -> dg.MaterializeResult[list]:
    """Validated briefs of the day; what is malformed is quarantined with reasons, and alerted.

    Guidance has defaults for what a brief leaves open; which ones is noted beside it, once for all. So is what the
    bibles say of whom and what it names; their pictures are put into our store, each content once.
    """
    day = day_of(context.partition_key)
    wait_until_settled(
        inbox.folder,
        day,
        inbox.settle_s,
        on_wait=lambda names: context.log.info(f"waits until {names} is complete"),
    )
    # Not before the wait, in which a brief may come with its bible.
    bibles = inbox.bibles()
    guidance_read = report_editorial_guidance(context.instance, ledger)
    intake = take_in(
        ledger,
        notifier,
        inbox=inbox.folder,
        platforms=inbox.platforms,
        day=day,
        today=today(),
        examples=inbox.examples,
        settle_s=inbox.settle_s,
        refusals=inbox.refusals,
        guide=guide_in_force(ledger, holdout_share=policy.guidance.holdout_share),
        bibles=bibles,
    )
    used = bibles_in_force(ledger, store, intake.briefs, bibles, day=day, today=today())
    for text in (*intake.told, *used.held.values()):
        context.log.warning(text)
    pictures = keep_pictures(store, used.of.values(), bibles.files)
    quarantined = [{"source": item.source, "reasons": listed(item.reasons)} for item in intake.quarantined]
    made, guidance = intake.made_before, ledger.governance.preference(Preference.EDITORIAL_GUIDANCE)
    return dg.MaterializeResult(
        value=[
            TakenBrief.of(brief, intake.applied.get(brief.brief_id), used.of.get(brief.brief_id, NO_BIBLES))
            for brief in intake.briefs
            if brief.brief_id not in used.held
        ],
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
            **({"new_reference_pictures": pictures} if pictures else {}),
            **({"with_bibles_of_before": listed(used.kept, separator=", ")} if used.kept else {}),
            **({"held": listed(used.held.values())} if used.held else {}),
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
    """Each brief cut into shots that a model can render, with its bibles, and B-roll for what may be refused."""
    day = day_of(context.partition_key)
    cap_s, draft_s = policy.generation.max_segment_s, policy.routing.levers.draft_seconds
    planner = broll_planner(ledger, policy.generation)
    boards = [
        storyboard_of(
            taken.brief,
            day,
            cap_s=cap_s,
            draft_s=draft_s,
            defaults=taken.defaults,
            broll=planner,
            bibles=taken.bibles,
        )
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
            **_bibles(boards),
        },
    )


def _broll(board: Storyboard) -> list[dict[str, Any]]:
    """What can stand in for each shot, in its order; a brief's own `broll` stands in the place of what is planned."""
    return [
        {
            "brief": board.brief.brief_id,
            "shot": shot.index,
            "may_be_refused": shot.risk,
            "by": "the author" if shot.broll else "planned" if shot.planned else "nobody",
            "broll": listed(shot.substitutes),
        }
        for shot in board.shots
        if shot.risk or shot.broll
    ]


def _bibles(boards: Sequence[Storyboard]) -> dict[str, Any]:
    """Which entries of the bibles, in which version, each shot is made with."""
    rows = [
        {
            "shot": f"{board.brief.brief_id} #{shot.index}",
            "bibles": ", ".join(one.name for one in shot.bibles),
            "pictures": len(shot.references),
        }
        for board in boards
        for shot in board.shots
        if shot.bibles
    ]
    return {"bibles": table(rows)} if rows else {}


ALL = [editorial_guidance, briefs, storyboards]
