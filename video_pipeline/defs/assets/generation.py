"""Gate 2: generation that expects refusal. One step a day; the clips in it are ledger rows."""

from collections.abc import Sequence

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.defs.beside import listed, table
from video_pipeline.defs.breakers import left_alone
from video_pipeline.defs.partitions import DAILY, day_of
from video_pipeline.defs.pools import GPU, PROVIDER_API
from video_pipeline.defs.resources import Providers
from video_pipeline.defs.tables import table_asset
from video_pipeline.feedback import routing_state
from video_pipeline.generation import Webhooks, generate_day
from video_pipeline.ledger import Ledger, What
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan
from video_pipeline.storage import ObjectStore


def generated_clips(
    context: dg.AssetExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    store: dg.ResourceParam[ObjectStore],
    providers: dg.ResourceParam[Providers],
    webhooks: dg.ResourceParam[Webhooks],
    catalogue: dg.ResourceParam[Catalogue],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
    generation_plan: list[ClipPlan],
) -> dg.MaterializeResult[list]:
    """Raw clips in our store, stitched; jobs, attempts and spend in the ledger. Run again, it continues."""
    clips = generate_day(
        generation_plan,
        ledger=ledger,
        store=store,
        providers=providers,
        catalogue=catalogue,
        policy=policy,
        notifier=notifier,
        webhooks=webhooks,
        state=routing_state(ledger, policy.scoring),
        days=[day_of(context.partition_key)],
        run_id=context.run.run_id,
        on_clip=lambda clip: context.log.info(
            f"{clip.clip_id}: {clip.status}, {clip.attempts} attempts, ${clip.billed_usd:.4f} {clip.reason}"
        ),
    )
    causes = ledger.waits.causes(day_of(context.partition_key), What.CLIP)
    count = {status: sum(clip.status is status for clip in clips) for status in ClipStatus}
    seams = [f"{clip.clip_id}: {seam}" for clip in clips for seam in clip.seams]
    return dg.MaterializeResult(
        value=clips,
        metadata={
            "generated": count[ClipStatus.GENERATED],
            "waiting": count[ClipStatus.WAITING],
            **{f"waiting: {cause}": number for cause, number in causes.items()},
            "for_a_person": count[ClipStatus.REVIEW],
            "attempts": sum(clip.attempts for clip in clips),
            "billed_usd": float(sum(clip.billed_usd for clip in clips)),
            "moved_to_another_model": sum(bool(clip.fall_over) for clip in clips),
            **left_alone(ledger),
            **({"seams": listed(seams)} if seams else {}),
            "saved_by_cache_usd": float(sum(clip.saved_usd for clip in clips)),
            **({"stills": table(stills)} if (stills := _stills(clips, store)) else {}),
        },
    )


def _stills(clips: Sequence[GeneratedClip], store: ObjectStore) -> list[dict[str, str]]:
    """The pictures that clips start from, and where they lie."""
    return [{"clip": clip.clip_id, "picture": store.url(key)} for clip in clips for key in clip.stills]


def assets_under(*, own_gpu: bool) -> list[dg.AssetsDefinition]:
    """The gate's asset; with `own_gpu`, a provider renders on the GPU that upscaling needs."""
    pool = GPU if own_gpu else PROVIDER_API
    # No retry policy: the engine continues what the ledger says is under way, of which a retry would know nothing.
    asset = table_asset(GeneratedClip, group="generation", partitions_def=DAILY, pool=pool, kinds={"ai"})
    return [asset(generated_clips)]
