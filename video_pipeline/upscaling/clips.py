"""Upscaling of generated clips from the store into the store, once for each input and settings (G3.4)."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from video_pipeline import checkpoints
from video_pipeline.clips import ClipStatus, GeneratedClip, UpscaledClip
from video_pipeline.errors import MediaError, StorageError, UpscalingError, VideoPipelineError
from video_pipeline.ledger import Ledger, Mark, SpendCategory
from video_pipeline.media import probe
from video_pipeline.policy import UpscalingPolicy
from video_pipeline.scratch import scratch_folder
from video_pipeline.storage import ObjectStore, StoredObject
from video_pipeline.upscaling.compute.engine import Engine, describe_device, is_the_machines
from video_pipeline.upscaling.compute.weights import load_weights
from video_pipeline.upscaling.concurrency import run_concurrently
from video_pipeline.upscaling.film.video import engine_for, upscale_file
from video_pipeline.upscaling.report import Electricity, UpscaleProgress, UpscaleReport, UpscaleSettings

_LOG = logging.getLogger(__name__)

OnProgress = Callable[[str, UpscaleProgress], None]
"""Called with a clip's id and its progress."""


class ClipUpscaler:
    """Holds one network for all clips of a partition. It is loaded when the first clip needs it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: ObjectStore,
        policy: UpscalingPolicy,
        short_side: int,
        weights_path: Path | None = None,
        on_progress: OnProgress = lambda clip_id, progress: None,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._settings = UpscaleSettings(
            model=policy.model,
            short_side=short_side,
            blend=policy.blend,
            denoise=policy.denoise,
            crf=policy.crf,
            preset=policy.preset,
            encoder=policy.encoder,
        )
        self._electricity = Electricity(
            gpu_watts=policy.watts,
            cpu_watts=policy.cpu_watts,
            utilisation=policy.utilisation,
            usd_per_kwh=policy.usd_per_kwh,
        )
        self._weights_path = weights_path
        self._on_progress = on_progress
        self._weights_sha256: str | None = None
        self._engine: Engine | None = None
        self._loading = threading.Lock()
        self._at_work: dict[str, threading.Lock] = {}

    def upscale_all(self, clips: Sequence[GeneratedClip]) -> Iterator[UpscaledClip]:
        """`upscale` of each clip, in their order; see `concurrency`."""
        return run_concurrently(self.upscale, clips)

    def upscale(self, clip: GeneratedClip) -> UpscaledClip:
        """Upscale one clip to its delivered size.

        A clip that was not generated is returned unchanged. One that cannot be upscaled, for whatever reason of its
        own, is returned as rejected. Raises what is the machine's: weights, memory, disk, device, store, ledger.
        """
        row = UpscaledClip(**clip.model_dump())
        if clip.status is not ClipStatus.GENERATED or clip.media_key is None:
            return row
        key = self.key(clip)
        # Two clips of one file run one after the other: the second finds the result.
        try:
            with self._at_work_on(key):
                stored, report = self._store.stat(key), None
                if stored is None:
                    stored, report = self._upscale(clip, clip.media_key, key)
            with self._store.local_copy(key) as path:
                video = probe(path).video
        except MediaError as error:
            return row.model_copy(update={"status": ClipStatus.REJECTED, "reason": str(error)})
        return row.model_copy(
            update={
                "status": ClipStatus.UPSCALED,
                "final_key": stored.key,
                "final_sha256": stored.sha256,
                "final_bytes": stored.size_bytes,
                "final_size": video.size if video else None,
                "upscale_s": report.device_s if report else 0.0,
                "upscaled_frames": report.frames if report else 0,
                "upscale_device": report.device if report else "",
            }
        )

    def needs_work(self, clip: GeneratedClip) -> bool:
        """Whether the clip still has to be upscaled."""
        wanted = clip.status is ClipStatus.GENERATED and clip.media_key is not None
        return wanted and self._store.stat(self.key(clip)) is None

    def fingerprint(self) -> str:
        """A hash of everything that decides the result besides the clip's own file.

        A weights file of this machine counts by its content. Raises WeightsError when it cannot be read.
        """
        if self._weights_path is None:
            return self._settings.fingerprint()
        with self._loading:
            if self._weights_sha256 is None:
                weights = load_weights(self._settings.model, path=self._weights_path, denoise=self._settings.denoise)
                self._weights_sha256 = weights.sha256
        return self._settings.fingerprint(self._weights_sha256)

    def describe(self) -> str:
        """One sentence about the device that does the work."""
        return describe_device()

    def key(self, clip: GeneratedClip) -> str:
        """The store's key for the result, whether it is there yet or not."""
        return f"upscaled/{clip.media_sha256}-{self.fingerprint()[:16]}.mp4"

    def _upscale(self, clip: GeneratedClip, media_key: str, key: str) -> tuple[StoredObject, UpscaleReport]:
        self._ledger.trails.mark(clip.clip_id, Mark.UPSCALING)
        engine = self._loaded()
        with scratch_folder("upscale") as folder, self._store.local_copy(media_key) as source:
            target = folder / "upscaled.mp4"
            report = self._made(clip, source, target, engine)
            checkpoints.reached("upscaling.upscaled")
            # Booked before it is stored: a run that finds the clip in the store books nothing.
            self._book(clip, key, report)
            checkpoints.reached("upscaling.booked")
            stored = self._put(key, target)
        self._ledger.trails.mark(clip.clip_id, Mark.UPSCALED)
        checkpoints.reached("upscaling.stored")
        _LOG.info(
            "%s: %d frames %s -> %s in %.1f s (%.1f fps, %s %s, %s)",
            clip.clip_id,
            report.frames,
            "x".join(map(str, report.source_size)),
            "x".join(map(str, report.target_size)),
            report.wall_s,
            report.fps,
            report.device,
            report.execution,
            report.encoder,
        )
        for note in report.notes:
            _LOG.info("%s: %s", clip.clip_id, note)
        return stored, report

    def _made(self, clip: GeneratedClip, source: Path, target: Path, engine: Engine) -> UpscaleReport:
        """Raises MediaError for whatever is this clip's own fault, foreseen or not, so that the others go on."""
        try:
            return upscale_file(
                source,
                target,
                settings=self._settings,
                engine=engine,
                electricity=self._electricity,
                progress=lambda progress: self._tell(clip.clip_id, progress),
            )
        except (VideoPipelineError, OSError):
            raise
        except Exception as error:
            if is_the_machines(error):
                raise
            _LOG.warning("%s could not be upscaled.", clip.clip_id, exc_info=error)
            raise MediaError(
                f"{clip.media_key} could not be upscaled ({type(error).__name__}: {error}); generate the clip again, "
                "or report this."
            ) from error

    def _tell(self, clip_id: str, progress: UpscaleProgress) -> None:
        try:
            self._on_progress(clip_id, progress)
        except Exception as error:
            # Of whoever listens, and not of the clip.
            raise UpscalingError(f"The progress of {clip_id} could not be told ({error}).") from error

    def _put(self, key: str, file: Path) -> StoredObject:
        try:
            return self._store.put_file(key, file, content_type="video/mp4")
        except StorageError:
            # Another machine upscaled the same clip and stored it first; its picture is as good.
            first = self._store.stat(key)
            if first is None:
                raise
            return first

    def _book(self, clip: GeneratedClip, key: str, report: UpscaleReport) -> None:
        source = "energy read from the GPU" if report.electricity_measured else "energy estimated"
        self._ledger.spend.book_once(
            f"upscaling {key}",
            day=clip.day,
            clip_id=clip.clip_id,
            tier=clip.tier,
            category=SpendCategory.UPSCALING,
            usd=report.electricity_usd,
            note=f"{report.device_s:.2f} s measured on {report.device}, {source} (watts, tariff: the policy)",
        )

    def _at_work_on(self, key: str) -> threading.Lock:
        with self._loading:
            return self._at_work.setdefault(key, threading.Lock())

    def _loaded(self) -> Engine:
        with self._loading:
            if self._engine is None:
                self._engine = engine_for(self._settings, weights_path=self._weights_path)
            return self._engine
