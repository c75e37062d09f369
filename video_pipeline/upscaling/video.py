"""Upscales one file: decoder, network and encoder as a chain of streams, and the result put in place in one step."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError
from video_pipeline.upscaling.engine import Engine, UpscalingError
from video_pipeline.upscaling.geometry import check_size, target_size
from video_pipeline.upscaling.report import Electricity, Progress, UpscaleReport, UpscaleSettings
from video_pipeline.upscaling.stream import Picture, Source, Target, container_format, prefetch

if TYPE_CHECKING:
    import av.packet

# Pictures that may wait between two stages; it bounds the memory whatever the clip's length (G3.3).
_WAITING = 6


def upscale_file(
    source: Path,
    target: Path,
    *,
    settings: UpscaleSettings | None = None,
    size: tuple[int, int] | None = None,
    engine: Engine | None = None,
    electricity: Electricity | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> UpscaleReport:
    """Upscale `source` to `target` (.mp4, .mov or .mkv) at `size`, by default the settings' short side (G3.1).

    Every frame and its timestamp is kept (in MP4 and MOV exactly; Matroska counts milliseconds), sound and subtitles
    are copied packet by packet, colour is converted with the source's own matrix and range, and a rotated or
    non-square picture comes out upright and square. The output is 8-bit 4:2:0 H.264. A picture that is at least as
    large as the target already is only resized. `target` appears whole or not at all, and replaces what was there.

    Give an `engine` (of the settings' model) to keep the network loaded between clips. Raises MediaError for a
    source that is damaged or cannot be kept faithfully, WeightsError and UpscalingError for what the machine lacks:
    weights, memory, or room on the disk.
    """
    settings = settings or UpscaleSettings()
    engine = engine or Engine(settings.model)
    if engine.model != settings.model:
        raise UpscalingError(f"The engine holds {engine.model}, and the settings ask for {settings.model}.")
    kind = container_format(target)
    started = time.perf_counter()
    with closing(Source(source)) as clip:
        if size is not None:
            check_size(clip.video, size)
        wanted = size or target_size(clip.video, settings.short_side)
        work = _Work(engine, wanted, settings.blend if _enlarges(clip.video.size, wanted) else 0.0)
        part = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part")
        try:
            written = _run(clip, work, Target(part, kind, clip, wanted, settings.crf, settings.preset), progress)
            part.replace(target)
        except OSError as error:
            raise UpscalingError(f"{target} cannot be written ({error.strerror}).") from error
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(target.parent)
        wall_s = time.perf_counter() - started
        return UpscaleReport(
            source_size=clip.video.size,
            target_size=wanted,
            frames=written.frames,
            duration_s=clip.video.duration_s,
            network_used=work.blend > 0,
            model=engine.model,
            weights_sha256=engine.weights_sha256,
            fingerprint=settings.fingerprint(engine.weights_sha256),
            device=engine.device,
            precision=engine.precision,
            decode_s=clip.decode_s,
            network_s=work.seconds,
            encode_s=written.encode_s,
            wall_s=wall_s,
            electricity_usd=(electricity or Electricity()).usd(wall_s, engine.device),
        )


class _Work:
    """The middle of the chain: pictures go through the engine, in batches; packets pass by."""

    def __init__(self, engine: Engine, size: tuple[int, int], blend: float) -> None:
        self.blend = blend
        self.seconds = 0.0
        self._engine = engine
        self._size = size

    def through(self, items: "Iterator[Picture | av.packet.Packet]") -> "Iterator[Picture | av.packet.Packet]":
        batch: list[Picture] = []
        for item in items:
            if not isinstance(item, Picture):
                yield item
                continue
            batch.append(item)
            if len(batch) >= self._engine.frames_at_once:
                yield from self._enlarged(batch)
                batch = []
        yield from self._enlarged(batch)

    def _enlarged(self, batch: list[Picture]) -> list[Picture]:
        import numpy as np

        if not batch:
            return []
        started = time.perf_counter()
        frames = np.stack([picture.rgb for picture in batch])
        large = self._engine.upscale_rgb(frames, size=self._size, blend=self.blend)
        self.seconds += time.perf_counter() - started
        return [Picture(old.pts, old.duration, new) for old, new in zip(batch, large, strict=True)]


def _run(clip: Source, work: _Work, target: Target, progress: Callable[[Progress], None] | None) -> Target:
    """Drive the chain to its end: decoding and the network in threads of their own, encoding in this one."""
    started = time.perf_counter()
    try:
        with (
            closing(prefetch(clip.items(), _WAITING)) as decoded,
            closing(prefetch(work.through(decoded), _WAITING)) as enlarged,
        ):
            for item in enlarged:
                target.write(item)
                if progress is not None and isinstance(item, Picture):
                    progress(Progress(target.frames, clip.video.frames, time.perf_counter() - started))
        if target.frames == 0:
            raise MediaError(f"{clip.path} has no frame that can be decoded.")
        target.finish()
    finally:
        target.abandon()
    return target


def _enlarges(source: tuple[int, int], target: tuple[int, int]) -> bool:
    return target[0] > source[0] or target[1] > source[1]


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
