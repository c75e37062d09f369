"""Clips as streams: pictures and copied packets out of a file, and back into one, with a bounded number in between.

A picture keeps its timestamp and its length; everything that is not the picture (sound, subtitles, chapters, titles)
passes untouched. Colour is converted by the source's own matrix and range, and only tags that were there are written.
"""

import contextlib
import math
import os
import queue
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from video_pipeline.errors import MediaError
from video_pipeline.media import VideoStream, first_video, open_guarded, probe
from video_pipeline.upscaling.engine import UpscalingError

if TYPE_CHECKING:
    import av
    import av.packet
    import av.video
    import numpy as np
    from av.stream import Stream

Item = TypeVar("Item")

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_PIXEL_FORMATS = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "yuv410p", "yuv411p"}
)
_HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# swscale's numbers for the matrices that H.264 can name (SWS_CS_*).
_MATRICES = {"bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 5, "smpte240m": 7, "bt2020nc": 9}
_LIMITED, _FULL = 1, 2
# Muxed lengths are rounded, and a stream may end a little early; a file that was cut off misses more.
_TAIL_TOLERANCE_S = 0.25
# A fixed number, for x264's result depends on it.
_ENCODER_THREADS = 4


@dataclass(slots=True)
class Picture:
    """A decoded frame, upright: uint8 RGB (H, W, 3); `pts` and `duration` count the source's `time_base`."""

    pts: int
    duration: int
    rgb: "np.ndarray"


def prefetch(items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """Run `items` in a thread of its own, at most `depth` of them waiting (and one in its hand) at any time.

    An error of `items` comes out here; closing this generator stops the thread and closes `items`.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def offer(item: Item | None, error: BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not offer(item, None):
                    break
            else:
                offer(None, StopIteration())
        # Whatever it is, it belongs to the consumer, who re-raises it.
        except BaseException as error:
            offer(None, error)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType]  # None only beside an error
    finally:
        stopped.set()
        thread.join()


class Source:
    """An open clip. `items` gives its pictures in order of display, and the packets of all else as they lie.

    Raises MediaError for what cannot be upscaled faithfully: no video, HDR, more than 8 bits, other than YUV, a
    rotation that is not a quarter turn, or a file that ends before its own table of contents says.
    """

    def __init__(self, path: Path) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self.path = path
        self.info = probe(path)
        if self.info.video is None:
            raise MediaError(f"{path} has no video stream; there is nothing to upscale.")
        self.video: VideoStream = self.info.video
        _check_faithful(path, self.video)
        self.container = open_guarded(path)
        stream = first_video(self.container)
        assert stream is not None  # the probe saw it
        self.stream = stream
        self.copied: list[Stream] = [
            *self.container.streams.audio,
            *self.container.streams.subtitles,
        ]
        self.decode_s = 0.0
        self._reformatter = VideoReformatter()
        self._start_s = (self.container.start_time or 0) / av.time_base
        self._check_complete()

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def items(self) -> "Iterator[Picture | av.packet.Packet]":
        """Pictures and copied packets; raises MediaError at the first damaged packet or frame, or an early end."""
        import av.error

        items = self._items()
        while True:
            started = time.perf_counter()
            try:
                item = next(items, None)
            except av.error.FFmpegError as error:
                raise MediaError(f"{self.path} is damaged and cannot be decoded ({error.strerror}).") from error
            self.decode_s += time.perf_counter() - started
            if item is None:
                return
            yield item

    def _items(self) -> "Iterator[Picture | av.packet.Packet]":
        # Without it, the decoder would paint over damage and say nothing.
        self.stream.codec_context.options = {"err_detect": "explode"}
        self.stream.thread_type = "AUTO"
        end = Fraction(0)
        for packet in self.container.demux([self.stream, *self.copied]):
            if packet.is_corrupt:
                raise MediaError(f"{self.path} is damaged: it breaks off inside a packet.")
            if packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream is self.stream:
                yield from (self._picture(frame) for frame in self.stream.decode(packet))
            elif packet.size:
                yield packet
        missing_s = self.info.duration_s - float(end) + self._start_s
        if missing_s > _TAIL_TOLERANCE_S:
            raise MediaError(f"{self.path} is cut off: its last {missing_s:.2f} s are missing.")

    def _picture(self, frame: "av.VideoFrame") -> Picture:
        import numpy as np

        if frame.pts is None or frame.is_corrupt:
            raise MediaError(f"{self.path} is damaged: a frame is broken or has no timestamp.")
        rgb = self._reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=_matrix(self.video, self.video.coded_size),
            dst_colorspace=_matrix(self.video, self.video.coded_size),
            src_color_range=_range(self.video),
            dst_color_range=_FULL,
            interpolation=_interpolation(),
        ).to_ndarray()
        upright = np.rot90(rgb, self.video.rotation // 90)
        return Picture(frame.pts, frame.duration or 0, np.ascontiguousarray(upright))

    def _check_complete(self) -> None:
        """A file whose table of contents points behind its end was cut off; no need to decode it first."""
        entries = self.stream.index_entries
        needed = max((entry.pos + entry.size for entry in entries), default=0)
        if needed > self.info.size_bytes:
            raise MediaError(f"{self.path} is cut off: it has {self.info.size_bytes:,} of at least {needed:,} bytes.")


class Target:
    """An H.264 file being written: pictures are encoded, packets are copied. `finish` makes it whole.

    Raises MediaError when a copied stream does not fit the container, and UpscalingError when the disk takes no more:
    that is no fault of the clip's.
    """

    def __init__(
        self, path: Path, container_format: str, source: Source, size: tuple[int, int], crf: int, preset: str
    ) -> None:
        import av
        import av.error
        from av.video.reformatter import VideoReformatter

        self.path = path
        self.frames = 0
        self.encode_s = 0.0
        self._video = source.video
        self._size = size
        self._reformatter = VideoReformatter()
        options = _muxer_options(container_format, source)
        self._container = av.open(str(path), "w", format=container_format, container_options=options)
        self._container.metadata.update(source.container.metadata)
        self._container.set_chapters(source.container.chapters())
        self._stream = self._add_video(source, crf, preset)
        self._copies: dict[int, Stream] = {}
        for stream in source.copied:
            try:
                copy = self._container.add_stream_from_template(stream)
            except (ValueError, av.error.FFmpegError) as error:
                raise MediaError(
                    f"The {stream.type} stream of {source.path} ({stream.codec_context.name}) cannot be copied into "
                    f"a {container_format} file ({error}); write a .mkv instead."
                ) from error
            copy.metadata.update(stream.metadata)
            copy.disposition = stream.disposition
            self._copies[stream.index] = copy

    def _add_video(self, source: Source, crf: int, preset: str) -> "av.video.VideoStream":
        stream = self._container.add_stream(
            "libx264", rate=source.video.rate, options={"crf": str(crf), "preset": preset}
        )
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = _ENCODER_THREADS
        codec, original = stream.codec_context, source.stream.codec_context
        codec.time_base = source.video.time_base
        codec.colorspace = original.colorspace
        codec.color_primaries = original.color_primaries
        codec.color_trc = original.color_trc
        codec.color_range = original.color_range
        stream.metadata.update(source.stream.metadata)
        return stream

    def write(self, item: "Picture | av.packet.Packet") -> None:
        """Encode a picture of the target's size, or copy a packet."""
        started = time.perf_counter()
        with _write_errors(self.path):
            if isinstance(item, Picture):
                self._container.mux(self._stream.encode(self._frame(item)))
                self.frames += 1
            else:
                item.stream = self._copies[item.stream.index]
                self._container.mux(item)
        self.encode_s += time.perf_counter() - started

    def finish(self) -> None:
        """Flush the encoder, write the table of contents, and force everything onto the disk."""
        started = time.perf_counter()
        with _write_errors(self.path):
            self._container.mux(self._stream.encode(None))
            self._container.close()
            with self.path.open("rb") as written:
                os.fsync(written.fileno())
        self.encode_s += time.perf_counter() - started

    def abandon(self) -> None:
        """Let go of the file without making it whole; harmless after `finish`."""
        import av.error

        # The file is thrown away: that it cannot be completed is no news.
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()

    def _frame(self, picture: Picture) -> "av.VideoFrame":
        import av

        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(picture.rgb, format="rgb24"),
            format="yuv420p",
            src_colorspace=_matrix(self._video, self._size),
            dst_colorspace=_matrix(self._video, self._size),
            src_color_range=_FULL,
            dst_color_range=_range(self._video),
            interpolation=_interpolation(),
        )
        frame.pts, frame.duration = picture.pts, picture.duration
        frame.time_base = self._video.time_base
        return frame


def _muxer_options(container_format: str, source: Source) -> dict[str, str]:
    if container_format not in ("mp4", "mov"):
        return {}
    # Delays of streams are written in the movie's own ticks, by default milliseconds: make them fit every stream's.
    ticks = [(stream.time_base or Fraction(1)).denominator for stream in (source.stream, *source.copied)]
    return {"movflags": "+faststart", "movie_timescale": str(min(math.lcm(*ticks), 2**31 - 1))}


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Tell a failed write in a sentence; PyAV's errors are OSErrors where the system gave a number."""
    import av.error

    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        raise UpscalingError(
            f"{path.parent} did not take the upscaled clip ({error.strerror or error}); free some space there."
        ) from error


def container_format(path: Path) -> str:
    """The muxer for a target's name; raises MediaError for a name that is not .mp4, .mov or .mkv."""
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise MediaError(f"{path} is no name for an upscaled clip: it ends in .mp4, .mov or .mkv.") from None


def _check_faithful(path: Path, video: VideoStream) -> None:
    hdr = _HDR.get(video.color_transfer or "")
    if hdr:
        raise MediaError(f"{path} is HDR ({hdr}); tone-map it to SDR first, for the upscaler works on 8-bit SDR.")
    if video.bit_depth > 8:
        raise MediaError(
            f"{path} has {video.bit_depth} bits a sample ({video.pixel_format}); convert it to 8 bits first."
        )
    if video.pixel_format not in _PIXEL_FORMATS:
        raise MediaError(f"{path} is {video.pixel_format}; the upscaler takes 8-bit YUV without transparency.")
    if video.color_matrix is not None and video.color_matrix not in _MATRICES:
        raise MediaError(f"{path} has the colour matrix {video.color_matrix}, which H.264 clips do not use here.")
    if video.rotation % 90:
        raise MediaError(f"{path} is turned by {video.rotation} degrees; only quarter turns can be made upright.")


def _matrix(video: VideoStream, size: tuple[int, int]) -> int:
    """The matrix that a player takes for a picture of this size: the tag, else BT.709 from 720 lines on, else BT.601.

    For an untagged clip, source and target are each judged by their own height, since so will their players.
    """
    return _MATRICES[video.color_matrix or ("bt709" if size[1] >= 720 else "smpte170m")]


def _range(video: VideoStream) -> int:
    return _FULL if video.color_range == "pc" or video.pixel_format.startswith("yuvj") else _LIMITED


def _interpolation() -> int:
    """How swscale samples chroma: bicubic, at full horizontal resolution, with exact rounding."""
    from av.video.reformatter import Interpolation

    return (
        Interpolation.BICUBIC
        | Interpolation.FULL_CHR_H_INT
        | Interpolation.FULL_CHR_H_INP
        | Interpolation.ACCURATE_RND
    )
