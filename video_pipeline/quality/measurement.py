"""What one complete decode of a clip shows: errors, lengths, loudness, and black, still and garbled pictures."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from video_pipeline.errors import MediaError
from video_pipeline.media import MAX_PIXELS, Watcher, codec_of, main_video, open_guarded
from video_pipeline.policy import MeasurementThresholds

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.video.frame import VideoFrame


_BLOCKS = 8
# ffmpeg's sample formats, packed or planar.
_SAMPLES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}
# As many planes of sound can be told from what lies behind them.
_MOST_CHANNELS = 8


@dataclass
class Measurement:
    """Raw facts; `duration_s` is of the decoded picture, `audio_peak` is of full scale (0..1)."""

    frames: int = 0
    duration_s: float = 0.0
    errors: int = 0
    first_error: str = ""
    timed_out: bool = False
    audio_s: float = 0.0
    audio_peak: float = 0.0
    black_share: float = 0.0
    frozen_share: float = 0.0
    noisy_share: float = 0.0
    jump_share: float = 0.0


def measure(path: Path, thresholds: MeasurementThresholds, watchers: Sequence[Watcher] = ()) -> Measurement:
    """Decode every stream of `path` to its end, one frame in memory at a time; `watchers` see the frames too.

    Errors inside the streams are counted. Raises MediaError when the container cannot be opened at all, or has sound
    of more channels than can be looked at.
    """
    from av.audio.frame import AudioFrame

    result, pictures = Measurement(), _PictureMeter(thresholds)
    with open_guarded(path) as container:
        deadline = time.monotonic() + thresholds.max_decode_s
        heard_s: dict[int, float] = defaultdict(float)
        for stream_index, frame in _decode(container, result):
            if isinstance(frame, AudioFrame):
                if frame.format.is_planar and frame.layout.nb_channels > _MOST_CHANNELS:
                    raise MediaError(f"{path} has sound of {frame.layout.nb_channels} channels; mix it down to 8.")
                heard_s[stream_index] += frame.samples / frame.sample_rate
                result.audio_peak = max(result.audio_peak, _peak(frame))
            else:
                pictures.add(frame)
                for watcher in watchers:
                    watcher.see(frame)
                if time.monotonic() > deadline:
                    result.timed_out = True
                    break
    result.audio_s = max(heard_s.values(), default=0.0)
    pictures.finish(result)
    for watcher in watchers:
        watcher.end()
    return result


def _decode(container: "InputContainer", result: Measurement) -> Iterator[tuple[int, "VideoFrame | AudioFrame"]]:
    """Frames, with their stream's index, of the film and all sound that has a decoder; `result` counts errors."""
    import av.error

    video = main_video(container)
    known = [stream for stream in container.streams.audio if codec_of(stream) is not None]
    streams = [*([video] if video is not None else []), *known]
    for stream in streams:
        # Without "explode" the decoder paints over damage and says nothing.
        stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    if video is not None:
        video.thread_type = "AUTO"
    packets = container.demux(streams) if streams else iter(())
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = cast("list[VideoFrame | AudioFrame]", packet.decode())
        except av.error.FFmpegError as error:
            result.errors += 1
            result.first_error = result.first_error or error.strerror or "unknown error"
            if isinstance(error, av.error.EOFError):
                return
            continue
        for frame in frames:
            if frame.is_corrupt:
                result.errors += 1
                result.first_error = result.first_error or "a frame is marked as damaged"
            yield packet.stream_index, frame


def _peak(frame: "AudioFrame") -> float:
    """The largest sample as a share of full scale."""
    channels = frame.layout.nb_channels
    # PyAV looks for the end of the planes, and from the eighth on finds memory of others.
    planes = frame.planes[: channels if frame.format.is_planar else 1]
    count = frame.samples if frame.format.is_planar else frame.samples * channels
    sample = _SAMPLES[frame.format.name.removesuffix("p")]
    # A plane offers Python's buffer protocol, which PyAV's type stubs do not say.
    samples = np.stack([np.frombuffer(cast("bytes", plane), sample, count) for plane in planes])
    if samples.dtype == np.uint8:
        return float(np.abs(samples.astype(np.float32) - 128).max(initial=0)) / 128
    if samples.dtype.kind == "i":
        return float(np.abs(samples.astype(np.float64)).max(initial=0)) / 2.0 ** (8 * samples.itemsize - 1)
    return float(np.abs(samples).max(initial=0))


@dataclass
class _PictureMeter:
    """Follows the pictures of one clip: holds the last one, and the one that a still began with."""

    thresholds: MeasurementThresholds
    frames: int = 0
    black_s: float = 0.0
    frozen_s: float = 0.0
    noisy: int = 0
    jumps: int = 0
    first_s: float = 0.0
    end_s: float = 0.0
    last_s: float = 0.0
    last_black: bool = False
    last: NDArray[np.float32] | None = None
    still: NDArray[np.float32] | None = None
    still_since_s: float = 0.0

    def add(self, frame: "VideoFrame") -> None:
        picture, (at_s, shown_s) = _reduced(frame, self.thresholds.analysed_side), _times(frame, self.end_s)
        if self.frames == 0:
            self.first_s = self.still_since_s = at_s
        elif self.last_black:
            self.black_s += max(0.0, at_s - self.last_s)
        black = bool(np.mean(picture < self.thresholds.black_luma) >= self.thresholds.black_pixels)
        self._follow_still(None if black else picture, at_s)
        self._follow_garbage(picture)
        self.frames += 1
        self.last, self.last_s, self.last_black = picture, at_s, black
        self.end_s = max(self.end_s, at_s + shown_s)

    def finish(self, result: Measurement) -> None:
        if self.frames == 0:
            return
        self._end_still(self.end_s)
        if self.last_black:
            self.black_s += max(0.0, self.end_s - self.last_s)
        result.frames = self.frames
        result.duration_s = self.end_s - self.first_s
        length_s = result.duration_s or 1.0
        result.black_share = self.black_s / length_s
        result.frozen_share = self.frozen_s / length_s
        result.noisy_share = self.noisy / self.frames
        result.jump_share = self.jumps / self.frames

    def _follow_still(self, picture: NDArray[np.float32] | None, at_s: float) -> None:
        """A still lasts until a picture differs from the one it began with, so that a slow pan is none."""
        if picture is not None and self.still is not None and self.still.shape == picture.shape:
            change = _largest_block_mean(np.abs(picture - self.still))
            if change < self.thresholds.frozen_luma:
                return
        self._end_still(at_s)
        self.still, self.still_since_s = picture, at_s

    def _end_still(self, at_s: float) -> None:
        length_s = at_s - self.still_since_s
        if self.still is not None and length_s >= self.thresholds.frozen_run_s:
            self.frozen_s += length_s

    def _is_night(self, picture: NDArray[np.float32], likeness: float) -> bool:
        """Whether speckles are lights in the dark: mostly dark, and there in the picture before as well."""
        dark = float(np.mean(picture < self.thresholds.night_luma))
        return dark >= self.thresholds.night_pixels and likeness >= self.thresholds.night_correlation

    def _follow_garbage(self, picture: NDArray[np.float32]) -> None:
        flat = self.thresholds.flat_deviation
        if picture.std() < flat:
            return
        speckled = _neighbour_correlation(picture) < self.thresholds.noisy_correlation
        if self.last is None or self.last.shape != picture.shape or self.last.std() < flat:
            self.noisy += speckled
            return
        likeness = _correlation(self.last, picture)
        self.noisy += speckled and not self._is_night(picture, likeness)
        self.jumps += likeness < self.thresholds.jump_correlation


def _reduced(frame: "VideoFrame", side: int) -> NDArray[np.float32]:
    """The picture's luma, full range 0..255, area-averaged so that its longer side has `side` pixels."""
    scale = min(1.0, side / max(frame.width, frame.height))
    width, height = (max(_BLOCKS, round(length * scale)) for length in (frame.width, frame.height))
    gray = frame.reformat(width=width, height=height, format="gray", interpolation="AREA")
    return gray.to_ndarray().astype(np.float32)


def _times(frame: "VideoFrame", fallback_s: float) -> tuple[float, float]:
    """When the frame is shown and for how long, in seconds; without a time stamp it follows the frame before."""
    at_s = fallback_s if frame.pts is None else frame.time
    shown_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
    return at_s, shown_s


def _largest_block_mean(values: NDArray[np.float32]) -> float:
    rows, columns = (length // _BLOCKS for length in values.shape)
    blocks = values[: rows * _BLOCKS, : columns * _BLOCKS].reshape(_BLOCKS, rows, _BLOCKS, columns)
    return float(blocks.mean(axis=(1, 3)).max())


def _neighbour_correlation(picture: NDArray[np.float32]) -> float:
    """The smaller of the correlations with the right and with the lower neighbour: torn lines lose only one."""
    return min(
        _correlation(picture[:, :-1], picture[:, 1:]),
        _correlation(picture[:-1, :], picture[1:, :]),
    )


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Pearson's r of two pictures of one shape; 1.0 where one of them is constant."""
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale else 1.0
