"""Gate 3: upscaling on our own GPU; one long-lived worker for the whole partition."""

import dagster as dg

from video_pipeline.clips import GeneratedClip, UpscaledClip
from video_pipeline.defs.partitions import DAILY
from video_pipeline.defs.pools import GPU
from video_pipeline.defs.tables import table_asset
from video_pipeline.services import Services


@table_asset(UpscaledClip, group="upscaling", partitions_def=DAILY, pool=GPU, kinds={"torch"})
def upscaled_clips(
    context: dg.AssetExecutionContext, services: dg.ResourceParam[Services], generated_clips: list[GeneratedClip]
) -> dg.MaterializeResult[list]:
    """Clips at their delivered size; what was done before with the same input and settings is not done again."""
    from video_pipeline.upscaling import ClipUpscaler, describe_device

    policy = services.policy
    upscaler = ClipUpscaler(
        ledger=services.ledger,
        store=services.store,
        policy=policy.upscaling,
        short_side=policy.routing.delivered_short_side,
        weights_path=services.weights_path(policy.upscaling.model),
    )
    clips = []
    for clip in generated_clips:
        clips.append(upscaler.upscale(clip))
        context.log.info(f"{clip.clip_id}: {clips[-1].status} in {clips[-1].upscale_s:.1f} s")
    frames, seconds = sum(clip.upscaled_frames for clip in clips), sum(clip.upscale_s for clip in clips)
    return dg.MaterializeResult(
        value=clips,
        metadata={
            "device": describe_device(),
            "frames": frames,
            "seconds": seconds,
            "frames_per_second": frames / seconds if seconds else 0.0,
        },
    )


ALL = [upscaled_clips]
