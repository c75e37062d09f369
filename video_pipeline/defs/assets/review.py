"""Quality gate: a verdict a clip, its checks as asset checks, the day's contact sheet."""

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus, ReviewedClip, UpscaledClip
from video_pipeline.defs.checks import TECHNICAL_CHECKS, technical_results
from video_pipeline.defs.partitions import DAILY, day_of
from video_pipeline.defs.tables import place_of, table_asset
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.reports import day_gallery
from video_pipeline.storage import ObjectStore


# Without a return annotation: with checks among the outputs, Dagster 1.13 wants a tuple's there.
@table_asset(ReviewedClip, group="review", partitions_def=DAILY, check_specs=TECHNICAL_CHECKS)
def reviewed_clips(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    store: dg.ResourceParam[ObjectStore],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    upscaled_clips: list[UpscaledClip],
):
    """Passed, rejected or waiting for a person; a bad clip is data and never fails the partition."""
    from video_pipeline.quality import review_clip

    side = policy.routing.delivered_short_side
    reviewed = [review_clip(ledger, store, notifier, clip, short_side=side) for clip in upscaled_clips]
    clips = [clip for clip, _ in reviewed]
    gallery = day_gallery(store, clips, day=day_of(context.partition_key))
    return dg.MaterializeResult(
        value=clips,
        metadata={
            "passed": sum(clip.status is ClipStatus.PASSED for clip in clips),
            "for_a_person": sum(clip.status is ClipStatus.REVIEW for clip in clips),
            "rejected": sum(clip.status is ClipStatus.REJECTED for clip in clips),
            "contact_sheet": dg.MetadataValue.md(f"![contact sheet]({gallery.preview})"),
            "contact_sheet_url": place_of(gallery.sheet_url),
            **({"thumbnail": dg.MetadataValue.md(f"![thumbnail]({gallery.thumbnail})")} if gallery.thumbnail else {}),
        },
        check_results=technical_results([verdict for _, verdict in reviewed if verdict is not None]),
    )


ALL = [reviewed_clips]
