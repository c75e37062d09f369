"""Gate 3: upscaling on our own GPU; one long-lived worker for the whole partition."""

import dagster as dg

from video_pipeline.clips import GeneratedClip, UpscaledClip
from video_pipeline.defs.partitions import DAILY
from video_pipeline.defs.pools import GPU
from video_pipeline.defs.resources import Upscaler
from video_pipeline.defs.tables import table_asset
from video_pipeline.upscaling import UpscaleProgress

_REPORT_EVERY_S = 10.0


@table_asset(UpscaledClip, group="upscaling", partitions_def=DAILY, pool=GPU, kinds={"torch"})
def upscaled_clips(
    context: dg.AssetExecutionContext, upscaler: dg.ResourceParam[Upscaler], generated_clips: list[GeneratedClip]
) -> dg.MaterializeResult[list]:
    """Clips at their delivered size; what was done before with the same input and settings is not done again."""
    upscaling = upscaler(_Reporter(context).progress)
    clips = []
    for clip in upscaling.upscale_all(generated_clips):
        clips.append(clip)
        context.log.info(f"{clip.clip_id}: {clip.status} in {clip.upscale_s:.1f} s")
    frames, seconds = sum(clip.upscaled_frames for clip in clips), sum(clip.upscale_s for clip in clips)
    return dg.MaterializeResult(
        value=clips,
        metadata={
            "device": upscaling.describe(),
            "frames": frames,
            "seconds": seconds,
            "frames_per_second": frames / seconds if seconds else 0.0,
        },
    )


class _Reporter:
    """Tells Dagster's log how far a clip is, now and then."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._told_at: dict[str, float] = {}

    def progress(self, clip_id: str, progress: UpscaleProgress) -> None:
        last = self._told_at.setdefault(clip_id, progress.elapsed_s)
        if progress.elapsed_s - last < _REPORT_EVERY_S:
            return
        self._told_at[clip_id] = progress.elapsed_s
        frames = f"{progress.frames_done} of {progress.frames_total or '?'} frames"
        eta = f", about {progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
        self._context.log.info(f"{clip_id}: {frames}, {progress.fps:.2f} fps{eta}")


ALL = [upscaled_clips]
