"""Upscales one file: decoder, network and encoder run as a chain, and the result is moved into place at the end."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_pipeline.errors import MediaError, UpscalingError
from video_pipeline.media import VideoStream
from video_pipeline.upscaling.compute.engine import Engine, Enlargement, Execution, Pending
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.reference import ReferenceEngine
from video_pipeline.upscaling.film.encoders import Encoding, choose_encoding
from video_pipeline.upscaling.film.geometry import check_size, grows, target_size
from video_pipeline.upscaling.film.notes import notes_on
from video_pipeline.upscaling.film.partial_file import partial_file
from video_pipeline.upscaling.film.prefetch import prefetch
from video_pipeline.upscaling.film.source import Source, matrix_of
from video_pipeline.upscaling.film.target import Target, check_copies, container_format
from video_pipeline.upscaling.film.timing import Picture
from video_pipeline.upscaling.report import Electricity, UpscaleProgress, UpscaleReport, UpscaleSettings

if TYPE_CHECKING:
    import av.packet

# Pictures that may wait between two stages. This bounds the memory for a clip of any length (G3.3).
_WAITING = 6
# Batches of a clip on the device at a time: one is computed while the next is uploaded and the last downloaded.
_IN_FLIGHT = {"cuda": 3, "cpu": 1}
# A result is used for no more repeats than this, so that a still film does not delay its sound without end.
_MOST_REPEATS = 24
# A result with fewer bits per pixel than the first is refused if the source has at least the second times as many.
_FEWEST_BITS, _FEWEST_SHARE = 0.0005, 100


def upscale_file(
    source: Path,
    target: Path,
    *,
    settings: UpscaleSettings | None = None,
    size: tuple[int, int] | None = None,
    engine: Engine | None = None,
    electricity: Electricity | None = None,
    progress: Callable[[UpscaleProgress], None] | None = None,
) -> UpscaleReport:
    """Upscale `source` to `target` (.mp4, .mov or .mkv) at `size`, by default the settings' short side (G3.1).

    Every frame keeps its timestamp: exactly in MP4 and MOV, to the millisecond in Matroska. Sound and subtitles are
    copied packet by packet. Colour is converted with the source's own matrix and range. A rotated picture comes out
    upright, and its pixels square. The output is 4:2:0 H.264, with 10 bits when the source has 10. A picture that is
    at least as large as the target is only resized. `target` appears complete or not at all; an older file is
    replaced.

    Pass an `engine` of the settings' model to keep the network loaded between clips. Threads may share it, each with
    a clip of its own. Raises MediaError for a source that is damaged or cannot be kept faithfully. Raises
    WeightsError or UpscalingError when the machine lacks weights, memory, or room on the disk.
    """
    settings = settings or UpscaleSettings()
    engine = engine or engine_for(settings)
    if engine.name != settings.engine:
        raise UpscalingError(f"The engine is {engine.name}, and the settings ask for {settings.engine}.")
    if engine.model != settings.model:
        raise UpscalingError(f"The engine holds {engine.model}, and the settings ask for {settings.model}.")
    if engine.denoise != settings.denoise:
        raise UpscalingError(
            f"The engine holds denoise {engine.denoise}, and the settings ask for {settings.denoise}."
        )
    started = time.perf_counter()
    with engine.meter.share() as share, closing(Source(source)) as clip:
        work = _work(clip, target, settings, size)
        network = _NetworkStage(engine, work.enlargement)
        try:
            with partial_file(target) as part:
                made = Target(part, work.container_format, clip, work.enlargement.target, work.encoding)
                written = _run(clip, network, made, progress)
                _check_bitrate(clip, written, work)
                part.replace(target)
        except OSError as error:
            raise UpscalingError(f"{target} cannot be written ({error.strerror}).") from error
        _sync_folder(target.parent)
    return UpscaleReport(
        source_size=clip.video.size,
        target_size=work.size,
        frames=written.frames,
        repeated_frames=network.repeated,
        deinterlaced_frames=clip.deinterlaced,
        duration_s=clip.video.duration_s,
        model=engine.model,
        weights_sha256=engine.weights_sha256,
        fingerprint=settings.fingerprint(engine.weights_sha256),
        device=engine.device,
        precision=engine.precision,
        execution=engine.execution if work.enlargement.blend > 0 else "none",
        encoder=work.encoding.codec,
        video_kbps=written.video_bytes * 8 / 1000 / max(clip.video.duration_s, 1e-3),
        decode_s=clip.decode_s,
        network_s=network.seconds,
        encode_s=written.encode_s,
        wall_s=time.perf_counter() - started,
        device_s=share.seconds,
        electricity_usd=(electricity or Electricity()).usd(share, engine.device),
        electricity_measured=share.joules is not None,
        notes=work.notes,
    )


def engine_for(settings: UpscaleSettings, *, execution: Execution = "auto", **place: Any) -> Engine:
    """The engine that the settings name, with its network loaded; RealESRGANer has an `execution` of its own.

    `place` is `device`, `weights_path` and `weights_dir`, each where it is known. Raises as the engines do.
    """
    place |= {"denoise": settings.denoise}
    if settings.engine == "realesrgan":
        return ReferenceEngine(settings.model, **place)
    return Engine(settings.model, precision=settings.precision, execution=execution, **place)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with one clip, as its file and the settings have it. `size` is (width, height) in pixels."""

    video: VideoStream
    size: tuple[int, int]
    enlargement: Enlargement
    encoding: Encoding
    container_format: str
    notes: tuple[str, ...]
    """What a person should know: sentences."""


def check_file(source: Path, target: Path, *, settings: UpscaleSettings, size: tuple[int, int] | None = None) -> Work:
    """What `upscale_file` would do, and all that it refuses before it computes anything.

    Raises MediaError and UpscalingError as `upscale_file` does. What shows only when all is decoded is not seen.
    """
    with closing(Source(source)) as clip:
        return _work(clip, target, settings, size)


def _work(clip: Source, target: Path, settings: UpscaleSettings, size: tuple[int, int] | None) -> Work:
    kind = container_format(target)
    check_copies(clip, kind)
    if size is not None:
        check_size(clip.video, size)
    wanted = size or target_size(clip.video, settings.short_side)
    enlargement = _enlargement(clip, wanted, settings.blend)
    encoding = choose_encoding(settings, clip.shape.bit_depth, variable_rate=clip.inspection.variable_rate)
    return Work(clip.video, wanted, enlargement, encoding, kind, notes_on(clip, kind))


def _enlargement(clip: Source, size: tuple[int, int], blend: float) -> Enlargement:
    pixel_format = "yuv420p" if clip.shape.bit_depth == 8 else "yuv420p10le"
    target = PlaneFormat(size, pixel_format, matrix_of(clip.video, size), clip.shape.full_range)
    return Enlargement(
        clip.shape,
        target,
        cropping=clip.video.cropping,
        rotation=clip.video.rotation,
        mirrored=clip.video.mirrored,
        blend=blend if grows(clip.video, size) else 0.0,
    )


@dataclass(slots=True)
class _Slot:
    """A picture to enlarge, and the times at which it is shown: several when the source repeats it."""

    first: Picture
    times: list[tuple[int, int]] = field(default_factory=list)

    def repeats(self, picture: Picture) -> bool:
        import numpy as np

        if len(self.times) >= _MOST_REPEATS:
            return False
        return all(np.array_equal(a, b) for a, b in zip(self.first.planes, picture.planes, strict=True))


class _NetworkStage:
    """The middle of the chain: sends pictures through the engine in batches, and passes packets on unchanged."""

    def __init__(self, engine: Engine, work: Enlargement) -> None:
        self.seconds = 0.0
        self.repeated = 0
        self._engine = engine
        self._work = work
        self._in_flight: deque[tuple[list[_Slot], Pending]] = deque()

    def through(self, items: "Iterator[Picture | av.packet.Packet]") -> "Iterator[Picture | av.packet.Packet]":
        """`items` with their pictures enlarged. A picture equal to the one before it is not computed again."""
        batch: list[_Slot] = []
        for item in items:
            if not isinstance(item, Picture):
                yield item
                continue
            if batch and batch[-1].repeats(item):
                self.repeated += 1
            else:
                # Only with the next picture is it known that the last one's repeats are all there.
                # Another clip may have made it smaller meanwhile.
                if len(batch) >= self._engine.frames_at_once:
                    yield from self._submitted(batch)
                    batch = []
                batch.append(_Slot(item))
            batch[-1].times.append((item.pts, item.duration))
        if batch:
            yield from self._submitted(batch)
        while self._in_flight:
            yield from self._next_result()

    def _submitted(self, batch: list[_Slot]) -> Iterator[Picture]:
        self._in_flight.append((batch, self._engine.submit([slot.first.planes for slot in batch], self._work)))
        self._engine.meter.tick()
        while len(self._in_flight) >= _IN_FLIGHT[self._engine.device]:
            yield from self._next_result()

    def _next_result(self) -> Iterator[Picture]:
        batch, pending = self._in_flight.popleft()
        enlarged = pending.result()
        self.seconds += pending.seconds
        for slot, (luma, blue, red) in zip(batch, enlarged, strict=True):
            for pts, duration in slot.times:
                yield Picture(pts, duration, (luma, blue, red))


def _run(
    clip: Source, network: _NetworkStage, target: Target, progress: Callable[[UpscaleProgress], None] | None
) -> Target:
    """Run the chain to its end: decoding and the network in threads of their own, encoding in this one."""
    started = time.perf_counter()
    try:
        with (
            closing(prefetch(clip.items(), _WAITING)) as decoded,
            closing(prefetch(network.through(decoded), _WAITING)) as enlarged,
        ):
            for item in enlarged:
                target.write(item)
                if progress is not None and isinstance(item, Picture):
                    progress(UpscaleProgress(target.frames, clip.video.frames, time.perf_counter() - started))
        if target.frames == 0:
            raise MediaError(f"{clip.path} has no frame that can be decoded.")
        target.finish()
    finally:
        target.abandon()
    return target


def _check_bitrate(clip: Source, written: Target, work: Work) -> None:
    """Raise UpscalingError for an NVENC result with almost no bits: some drivers read the quality as a bitrate.

    A still or black film has few bits too, but then its source has few as well. x264 always keeps to its CRF.
    """
    if work.encoding.codec == "libx264":
        return
    bits = written.video_bytes * 8 / (written.frames * work.size[0] * work.size[1])
    source_bits = clip.video_bytes * 8 / (written.frames * clip.video.size[0] * clip.video.size[1])
    if bits < _FEWEST_BITS and bits * _FEWEST_SHARE < source_bits:
        raise UpscalingError(
            f"{work.encoding.codec} wrote {bits:.5f} bits a pixel for {clip.path}, which has {source_bits:.3f}: that "
            "is no picture; take the encoder x264."
        )


def _sync_folder(folder: Path) -> None:
    """Sync the folder, so that the rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
