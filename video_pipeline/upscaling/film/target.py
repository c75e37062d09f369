"""Writes a clip: pictures are encoded, everything else is copied packet by packet.

Only tags that the source has, and that hold for the result too, are written.
"""

import contextlib
import io
import math
import os
import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError, UpscalingError
from video_pipeline.media import codec_name
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.film.encoders import Encoding
from video_pipeline.upscaling.film.frames import frame_of
from video_pipeline.upscaling.film.source import Source
from video_pipeline.upscaling.film.timing import Picture

if TYPE_CHECKING:
    import av
    import av.packet
    import av.video
    from av.container import OutputContainer
    from av.stream import Stream

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Tags that tell how the source was coded and packed, and marks that players act upon.
_OF_THE_SOURCE = re.compile(
    r"(alpha_mode|stereo_mode|rotate|encoder|encoder_(options|settings)|encoding_(settings|tool)|vendor_id"
    r"|codec_id|codec_name|bps|(variant_)?bit_?rate|fps|frame_?rate|number_of_(frames|bytes)|duration|_statistics_.*|source_id|hdr_format.*|dovi.*|dolby_vision.*"
    r"|mastering_.*|max_?cll|max_?fall|field_order|scan_type|major_brand|minor_version|compatible_brands"
    r"|spherical-video|(display_)?(width|height))(-[a-z]{2,3})?$",
    re.IGNORECASE,
)
_OTHER_CONTAINER = {
    "mp4": "write a .mkv instead.",
    "mov": "write a .mp4 or .mkv instead.",
    "matroska": "write a .mp4 or .mov instead.",
}


class Target:
    """An H.264 file being written: pictures are encoded, packets are copied. `finish` completes it.

    Raises MediaError when a stream does not fit the container. Raises UpscalingError when the disk is full, which is
    not the clip's fault.
    """

    def __init__(
        self, path: Path, container_format: str, source: Source, shape: PlaneFormat, encoding: Encoding
    ) -> None:
        import av

        self.path = path
        self._source_path = source.path
        self.frames = 0
        self.encode_s = 0.0
        self.video_bytes = 0
        self._time_base = source.video.time_base
        self._shape = shape
        options = _muxer_options(container_format, source)
        # "file:" keeps a name such as "12:30.mp4" a name.
        name = f"file:{path.absolute()}"
        self._container = av.open(name, "w", format=container_format, container_options=options)
        self._container.metadata.update(_still_true(source.container.metadata))
        self._container.set_chapters(source.container.chapters())
        self._stream = self._add_video(source, encoding)
        self._copies = _add_copies(self._container, container_format, source)
        for file in source.attached_to(container_format):
            self._container.add_attachment(file.name or "", file.mimetype or "", file.data)
        self._begins = _begins(container_format, source)
        self._durations: dict[int, int] = {}

    def _add_video(self, source: Source, encoding: Encoding) -> "av.video.VideoStream":
        import av.video

        stream = self._container.add_stream(encoding.codec, rate=source.video.rate, options=encoding.options)
        assert isinstance(stream, av.video.VideoStream)  # by the codec's name, PyAV cannot tell a type checker
        stream.width, stream.height = self._shape.size
        stream.pix_fmt = self._shape.pixel_format
        if encoding.threads:
            stream.thread_count = encoding.threads
        codec, original = stream.codec_context, source.stream.codec_context
        codec.time_base = source.video.time_base
        codec.colorspace = original.colorspace
        codec.color_primaries = original.color_primaries
        codec.color_trc = original.color_trc
        codec.color_range = original.color_range
        stream.metadata.update(_still_true(source.stream.metadata))
        return stream

    def write(self, item: "Picture | av.packet.Packet") -> None:
        """Encode a picture (planes of the target's size and format), or copy a packet."""
        started = time.perf_counter()
        with _write_errors(self.path, self._source_path):
            if isinstance(item, Picture):
                self._mux(self._frame(item))
                self.frames += 1
            elif item.pts is None or item.pts >= self._begins.get(item.stream.index, item.pts):
                item.stream = self._copies[item.stream.index]
                self._container.mux(item)
        self.encode_s += time.perf_counter() - started

    def finish(self) -> None:
        """Flush the encoder, write the table of contents, and sync the file to the disk."""
        started = time.perf_counter()
        with _write_errors(self.path, self._source_path):
            self._mux(None)
            self._container.close()
            with self.path.open("rb") as written:
                os.fsync(written.fileno())
        self.encode_s += time.perf_counter() - started

    def abandon(self) -> None:
        """Close the file without completing it. Harmless after `finish`."""
        import av.error

        # The file is thrown away, so it does not matter that it cannot be completed.
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()

    def _mux(self, frame: "av.VideoFrame | None") -> None:
        for packet in self._stream.encode(frame):
            self.video_bytes += packet.size
            # Encoders tell that of another picture, or none.
            packet.duration = self._durations.pop(packet.pts or 0, packet.duration)
            self._container.mux(packet)

    def _frame(self, picture: Picture) -> "av.VideoFrame":
        frame = frame_of(picture.planes, self._shape.pixel_format)
        frame.pts, frame.duration = picture.pts, picture.duration
        frame.time_base = self._time_base
        self._durations[picture.pts] = picture.duration
        return frame


def _still_true(tags: dict[str, str]) -> dict[str, str]:
    """The tags that hold for other pictures in another container too. Languages may stand behind a name."""
    return {name: text for name, text in tags.items() if not _OF_THE_SOURCE.match(name)}


def check_copies(source: Source, container_format: str) -> None:
    """Raise MediaError when the container cannot hold a stream that is to be copied.

    Muxers say some of that only when they write the file's head. It is written to memory here.
    """
    import av
    import av.error

    if source.inspection.backwards:
        raise MediaError(f"Times of {source.path} (audio) go backwards; remux it first.")
    if container_format != "matroska" and source.inspection.repeated_times:
        what = " and ".join(sorted(source.inspection.repeated_times))
        raise MediaError(
            f"Two packets of {source.path} ({what}) have one time, which no {container_format} file holds; write a "
            ".mkv, or remux the source first."
        )
    if not source.copied:
        return
    trial = av.open(io.BytesIO(), "w", format=container_format)
    _add_copies(trial, container_format, source)
    try:
        trial.start_encoding()
        trial.close()
    except av.error.FFmpegError as error:
        kinds = ", ".join(sorted({f"{stream.type} {codec_name(stream)}" for stream in source.copied}))
        raise MediaError(
            f"A stream of {source.path} ({kinds}) cannot be copied into a {container_format} file; "
            f"{_OTHER_CONTAINER[container_format]}"
        ) from error


def _add_copies(container: "OutputContainer", container_format: str, source: Source) -> "dict[int, Stream]":
    """Streams for what is copied, by the index of the source's."""
    import av.error

    copies: dict[int, Stream] = {}
    for stream in source.copied:
        try:
            copy = container.add_stream_from_template(stream)
        except (ValueError, av.error.FFmpegError) as error:
            raise MediaError(
                f"The {stream.type} stream of {source.path} ({codec_name(stream)}) cannot be copied into "
                f"a {container_format} file ({error}); {_OTHER_CONTAINER[container_format]}"
            ) from error
        copy.metadata.update(stream.metadata)
        copy.disposition = stream.disposition
        copies[stream.index] = copy
    return copies


def _begins(container_format: str, source: Source) -> dict[int, int]:
    """The earliest time of a packet that is copied, by the source's streams and in their units.

    MP4 and MOV hide what lies before the cut. Matroska begins at 0: what is hidden would be heard, and all else be
    late. The delay of Opus, and Matroska's own, are kept by its muxer.
    """
    if container_format != "matroska" or "matroska" in source.info.container:
        return {}
    return {
        stream.index: -int(_opus_delay_s(stream) / stream.time_base)
        for stream in source.copied
        if stream.time_base is not None
    }


def _opus_delay_s(stream: "Stream") -> Fraction:
    """The pre-skip that an Opus stream's head tells, which is in samples of 48 kHz; 0 for other streams."""
    head = stream.codec_context.extradata or b""
    return Fraction(int.from_bytes(head[10:12], "little"), 48_000) if head.startswith(b"OpusHead") else Fraction(0)


def _muxer_options(container_format: str, source: Source) -> dict[str, str]:
    if container_format not in ("mp4", "mov"):
        return {}
    # Delays of streams are written in the movie's own ticks, by default milliseconds: make them fit every stream's.
    ticks = [(stream.time_base or Fraction(1)).denominator for stream in (source.stream, *source.copied)]
    return {"movflags": "+faststart", "movie_timescale": str(min(math.lcm(*ticks), 2**31 - 1))}


@contextlib.contextmanager
def _write_errors(path: Path, source: Path) -> Iterator[None]:
    """Turn a failed write into an error with a clear sentence. Some of PyAV's errors are OSErrors."""
    import av.error

    try:
        yield
    except (av.error.ArgumentError, av.error.InvalidDataError, av.error.PatchWelcomeError) as error:
        # The muxer's errors for a codec or packet that it cannot hold, and for timestamps that do not increase.
        raise MediaError(
            f"A stream of {source} does not fit into the upscaled clip's container, or its times go backwards; "
            "write a .mkv, or remux the source first."
        ) from error
    except (av.error.ExternalError, MemoryError) as error:
        # x264 says no more than this when it gets no memory for a frame.
        raise UpscalingError(
            f"There is not enough memory to encode the upscaled clip of {source}, or its encoder broke off "
            f"({getattr(error, 'strerror', None) or error}); free some memory."
        ) from error
    except (OSError, av.error.FFmpegError) as error:
        raise UpscalingError(
            f"{path.parent} did not take the upscaled clip ({error.strerror or error}); free some space there."
        ) from error


def container_format(path: Path) -> str:
    """The muxer for a target's name. Raises MediaError for a name that does not end in .mp4, .mov or .mkv."""
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise MediaError(f"{path} is no name for an upscaled clip: it ends in .mp4, .mov or .mkv.") from None
