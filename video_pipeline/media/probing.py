"""What a media file is: container, streams, sizes, rates, colour and lengths, without decoding it all."""

import codecs
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError
from video_pipeline.media.ffmpeg import FORMAT_WHITELIST, MAX_PIXELS, PROTOCOL_WHITELIST

if TYPE_CHECKING:
    import av.audio
    import av.container
    import av.stream
    import av.video

# ITU-T H.273 code points under the names that ffmpeg prints; 2 is "unspecified" in each table.
_MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
}
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
_TRANSFERS = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
_RANGES = {1: "tv", 2: "pc"}

# Cover art and thumbnails are video streams to the demuxer, but not the clip.
_ATTACHED_PICTURE = 0x400


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """The characters for bytes that are no UTF-8. Files do not name their old encodings; this one loses least."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


_AS_WINDOWS_1252 = "video_pipeline.windows_1252"
codecs.register_error(_AS_WINDOWS_1252, _as_windows_1252)


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The first video stream. Sizes are (width, height) in pixels; times are in seconds.

    The colour names are ffmpeg's, or None where the file is not tagged; the range is "tv" (limited) or
    "pc" (full).
    """

    codec: str
    size: tuple[int, int]
    """As a player shows it before pixel-shape correction: `coded_size` with the rotation applied."""
    coded_size: tuple[int, int]
    rotation: int
    """Counter-clockwise degrees (0, 90, 180 or 270) by which a player turns the coded picture."""
    sample_aspect_ratio: Fraction
    """Width over height of one coded pixel; 1 where the file says nothing."""
    rate: Fraction
    """Average frames a second."""
    time_base: Fraction
    frames: int | None
    """As the container states it; None where it does not (Matroska, WebM, fragmented MP4)."""
    pixel_format: str
    bit_depth: int
    color_matrix: str | None
    color_primaries: str | None
    color_transfer: str | None
    color_range: str | None
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class AudioStream:
    """One audio stream; times are in seconds on the container's clock."""

    codec: str
    sample_rate: int
    channels: int
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A media file's facts; `duration_s` is the whole container's length in seconds."""

    path: Path
    size_bytes: int
    container: str
    duration_s: float
    video: VideoStream | None
    audio: tuple[AudioStream, ...]


def probe(path: Path) -> MediaInfo:
    """Read what the file at `path` is; decodes one video frame, which also proves that there is one.

    Raises MediaError for a file that is missing, empty, not of a container on the whitelist (whatever its
    name says), larger than 8K UHD, or without a decodable first frame.
    """
    import av
    import av.error

    with open_guarded(path) as container:
        try:
            ends_s = _stream_ends(container) if _needs_scan(container) else {}
            video_stream = first_video(container)
            video = _video(path, container, video_stream, ends_s) if video_stream is not None else None
            audio = tuple(_audio(path, stream, container, ends_s) for stream in container.streams.audio)
            duration = container.duration
            return MediaInfo(
                path=path,
                size_bytes=path.stat().st_size,
                container=container.format.name,
                duration_s=duration / av.time_base if duration else max(ends_s.values(), default=0.0),
                video=video,
                audio=audio,
            )
        except av.error.FFmpegError as error:
            raise MediaError(f"{path} is damaged and cannot be read ({error.strerror}).") from error


def open_guarded(path: Path) -> "av.container.InputContainer":
    """Open `path` with PyAV for reading under the whitelists of `media.ffmpeg`; the caller closes it.

    Titles, chapters and tags that are no UTF-8 are read as Windows-1252, so what is written from them is UTF-8.
    Raises MediaError with a sentence when it is missing, empty, or not a clip's container.
    """
    import av
    import av.error

    try:
        size_bytes = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}).") from error
    if size_bytes is None:
        raise MediaError(f"{path} does not exist or is not a file.")
    if size_bytes == 0:
        raise MediaError(f"{path} is empty; the download or the render that wrote it did not finish.")
    options = {"protocol_whitelist": PROTOCOL_WHITELIST, "format_whitelist": FORMAT_WHITELIST}
    try:
        # "file:" keeps a name such as "concat:a|b" a name.
        name = f"file:{path.absolute()}"
        return av.open(name, mode="r", options=options, metadata_errors=_AS_WINDOWS_1252)
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            f"{path} is not a readable MP4, MOV, Matroska or WebM file ({reason}); check what wrote it."
        ) from error


def first_video(container: "av.container.InputContainer") -> "av.video.VideoStream | None":
    """The first video stream that is not cover art, or None."""
    for stream in container.streams.video:
        if not stream.disposition & _ATTACHED_PICTURE:
            return stream
    return None


def _needs_scan(container: "av.container.InputContainer") -> bool:
    return not container.duration


def _stream_ends(container: "av.container.InputContainer") -> dict[int, float]:
    """Where each stream ends, by stream index, from the packets: for files that do not state their length."""
    ends_s: dict[int, float] = {}
    for packet in container.demux():
        if packet.pts is None:
            continue
        end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
        ends_s[packet.stream.index] = max(end, ends_s.get(packet.stream.index, 0.0))
    container.seek(0)
    return ends_s


def _span(
    stream: "av.stream.Stream", container: "av.container.InputContainer", ends_s: dict[int, float]
) -> tuple[float, float]:
    """A stream's (start_s, duration_s); the container's length stands in where the stream states none."""
    import av

    time_base = stream.time_base or Fraction(1, av.time_base)
    start_s = float((stream.start_time or 0) * time_base)
    if stream.duration:
        return start_s, float(stream.duration * time_base)
    if stream.index in ends_s:
        return start_s, ends_s[stream.index] - start_s
    container_start = container.start_time or 0
    end_s = (container_start + (container.duration or 0)) / av.time_base
    return start_s, max(0.0, end_s - start_s)


def _video(
    path: Path,
    container: "av.container.InputContainer",
    stream: "av.video.VideoStream",
    ends_s: dict[int, float],
) -> VideoStream:
    _check_codec(path, stream)
    codec = stream.codec_context
    # Before a frame is decoded: what the picture itself says may be larger than what the container says.
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    width, height = codec.width, codec.height
    if width * height > MAX_PIXELS:
        raise MediaError(f"{path} has a picture of {width}x{height}, more than 8K UHD; it is refused.")
    frame = next(container.decode(stream), None)
    pixels = codec.format
    if frame is None or pixels is None:
        raise MediaError(f"{path} has a video stream, but not one frame of it can be decoded.")
    rotation = round(frame.rotation) % 360
    start_s, duration_s = _span(stream, container, ends_s)
    return VideoStream(
        codec=codec.name,
        size=(height, width) if rotation in (90, 270) else (width, height),
        coded_size=(width, height),
        rotation=rotation,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
        rate=stream.average_rate or stream.guessed_rate or Fraction(0),
        time_base=stream.time_base or Fraction(1, 1000),
        frames=stream.frames or None,
        pixel_format=pixels.name,
        bit_depth=pixels.components[0].bits,
        color_matrix=_MATRICES.get(codec.colorspace),
        color_primaries=_PRIMARIES.get(codec.color_primaries),
        color_transfer=_TRANSFERS.get(codec.color_trc),
        color_range=_RANGES.get(codec.color_range),
        start_s=start_s,
        duration_s=duration_s,
    )


def _audio(
    path: Path, stream: "av.audio.AudioStream", container: "av.container.InputContainer", ends_s: dict[int, float]
) -> AudioStream:
    _check_codec(path, stream)
    codec = stream.codec_context
    start_s, duration_s = _span(stream, container, ends_s)
    return AudioStream(
        codec=codec.name,
        sample_rate=codec.sample_rate,
        channels=codec.channels,
        start_s=start_s,
        duration_s=duration_s,
    )


def _check_codec(path: Path, stream: "av.stream.Stream") -> None:
    """PyAV gives a stream whose codec it cannot name no context at all, which its types do not say."""
    if getattr(stream, "codec_context", None) is None:
        raise MediaError(f"{path} is damaged or unusual: the codec of its {stream.type} stream is unknown.")
