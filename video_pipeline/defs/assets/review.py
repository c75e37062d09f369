"""Quality gate: a verdict a clip, its checks as asset checks, the day's contact sheets."""

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Storyboard
from video_pipeline.clips import ClipStatus, ReviewedClip, UpscaledClip
from video_pipeline.defs import markdown
from video_pipeline.defs.beside import Beside, listed
from video_pipeline.defs.checks import GATE_CHECKS, gate_results
from video_pipeline.defs.partitions import DAILY, day_of
from video_pipeline.defs.tables import place_of, table_asset
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.quality import ClipVerdict, review_clip
from video_pipeline.reports import DayGallery, Gallery, sheet_stills
from video_pipeline.storage import ObjectStore


# Without a return annotation: with checks among the outputs, Dagster 1.13 wants a tuple's there.
@table_asset(ReviewedClip, group="review", partitions_def=DAILY, check_specs=GATE_CHECKS)
def reviewed_clips(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    store: dg.ResourceParam[ObjectStore],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    upscaled_clips: list[UpscaledClip],
    storyboards: list[Storyboard],
):
    """Passed, rejected or waiting for a person; a bad clip is data and never fails the partition."""
    beside = Beside(context)
    day = day_of(context.partition_key)
    gallery = beside.made("the contact sheet", DayGallery, store, day=day, clips=len(upscaled_clips))
    briefs = {board.clip_id: board.brief for board in storyboards}
    clips: list[ReviewedClip] = []
    verdicts: list[ClipVerdict] = []
    for clip in upscaled_clips:
        # One clip's pictures at a time: its card is drawn before the next is opened.
        stills = sheet_stills()
        reviewed, verdict = review_clip(
            ledger,
            store,
            notifier,
            clip,
            briefs.get(clip.clip_id),
            policy=policy,
            stills=stills,
        )
        clips.append(reviewed)
        verdicts += [verdict] if verdict is not None else []
        if gallery is not None:
            beside.made("the contact sheet", gallery.add, reviewed, stills)
    if gallery is not None:
        beside.made("the contact sheet", gallery.finish)
    return dg.MaterializeResult(
        value=clips,
        metadata={
            "passed": sum(clip.status is ClipStatus.PASSED for clip in clips),
            "for_a_person": sum(clip.status is ClipStatus.REVIEW for clip in clips),
            "rejected": sum(clip.status is ClipStatus.REJECTED for clip in clips),
            **(_shown(gallery.stored) if gallery is not None else {}),
            **beside.warnings(),
        },
        check_results=gate_results(verdicts),
    )


def _shown(sheets: Gallery) -> dict[str, dg.MetadataValue]:
    """The first contact sheet, small, and where all of them lie; what could not be made is left out."""
    shown: dict[str, dg.MetadataValue] = {}
    if sheets.preview:
        shown["contact_sheet"] = dg.MetadataValue.md(f"![contact sheet]({sheets.preview})")
    if sheets.sheet_urls:
        shown["contact_sheet_url"] = place_of(sheets.sheet_urls[0])
    if others := sheets.sheet_urls[1:]:
        shown["more_contact_sheets"] = dg.MetadataValue.md(
            "- " + listed((markdown.link(url.rsplit("/", 1)[1], url) for url in others), separator="\n- ")
        )
    if sheets.thumbnail:
        shown["thumbnail"] = dg.MetadataValue.md(f"![thumbnail]({sheets.thumbnail})")
    return shown


ALL = [reviewed_clips]
