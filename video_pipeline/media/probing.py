"""What a media file is: container, streams, sizes, rates, colour and lengths, without decoding it all."""

import codecs
import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from video_pipeline.errors import MediaError
from video_pipeline.media.boxes import check_counts
from video_pipeline.media.ffmpeg import FORMAT_WHITELIST, MAX_PIXELS, PROTOCOL_WHITELIST
from video_pipeline.media.headers import StreamHeader, read_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    import av
    import av.audio
    import av.codec.context
    import av.container
    import av.stream
    import av.video
    from av.sidedata.sidedata import SideData, Type

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

# ffmpeg's AV_FIELD_TT and so on. Writers and decoders agree on the field that comes first, whatever the last two say
# of the order in which fields are stored.
_FIRST_FIELDS = {2: "top", 3: "bottom", 4: "top", 5: "bottom"}

# Dispositions. Cover art and thumbnails are video streams to the demuxer, but not the clip.
_DEFAULT, _ATTACHED_PICTURE = 0x1, 0x400
# Codecs of single pictures. Matroska says neither how many a track has, nor always that it is cover art.
_PICTURES = frozenset({"png", "mjpeg", "bmp", "gif", "webp", "tiff"})
# Codecs whose second picture in a block of Matroska is the transparency.
_ALPHA_BESIDE = frozenset({"vp8", "vp9", "av1"})
_ALPHA_BLOCK = (1).to_bytes(8, "big")
# Stands for the name of a codec without a decoder.
UNKNOWN = "unknown"
# A matrix this near to a quarter turn is one: the sine of one degree, as ffmpeg takes it.
_STRAIGHT = math.sin(math.radians(1))


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """The characters for bytes that are no UTF-8. Files do not name their old encodings; this one loses least."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


_AS_WINDOWS_1252 = "video_pipeline.windows_1252"
codecs.register_error(_AS_WINDOWS_1252, _as_windows_1252)


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The picture track that is the clip. Sizes are (width, height) in pixels; times are in seconds.

    The colour names are ffmpeg's, or None where the file is not tagged; the range is "tv" (limited) or
    "pc" (full).
    """

    codec: str
    size: tuple[int, int]
    """As a player shows it before pixel-shape correction: `coded_size`, cropped and turned."""
    coded_size: tuple[int, int]
    """Of the decoded picture."""
    rotation: int
    """Counter-clockwise degrees (0..359) by which a player turns the cropped picture."""
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
    index: int = 0
    """Of the stream, among all of the file's."""
    cropping: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels that the container cuts from the decoded picture: left, right, top, bottom."""
    mirrored: bool = False
    """Whether a player mirrors the turned picture, left to right."""
    distorted: bool = False
    """Whether a player turns it by an angle that is no quarter turn, or shears it."""
    chroma_siting: str | None = None
    """ffmpeg's name (left, center, topleft, ...); None where neither file nor codec says."""
    first_field: str | None = None
    """"top" or "bottom" where the header says that the pictures are interlaced."""
    interlaced: bool = False
    """Whether the decoder says that the first picture is interlaced."""
    transparent: bool = False
    """Whether a second picture beside the first one holds its transparency, as in WebM."""
    records: frozenset[str] = frozenset()
    """Kinds of other data about the pictures, in header and first picture, by ffmpeg's names in small letters."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """One audio stream; times are in seconds on the container's clock.

    Of one whose codec is "unknown", sample rate and channels are 0.
    """

    index: int
    """Of the stream, among all of the file's."""
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

    @property
    def sound(self) -> AudioStream | None:
        """The first audio stream that can be decoded; None only where there is none at all."""
        return next((stream for stream in self.audio if stream.codec != UNKNOWN), None)


def probe(path: Path) -> MediaInfo:
    """Read what the file at `path` is; decodes one video frame, which also proves that there is one.

    Raises MediaError for a file that is missing, empty, not of a container on the whitelist (whatever its
    name says), larger than 8K UHD, without a decodable first frame, or of whose sound no codec is known.
    """
    import av
    import av.error

    with open_guarded(path) as container:
        try:
            ends_s = _stream_ends(container) if _needs_scan(container) else {}
            video_stream = main_video(container)
            video = _video(path, container, video_stream, ends_s) if video_stream is not None else None
            audio = tuple(_audio(stream, container, ends_s) for stream in container.streams.audio)
            if audio and all(stream.codec == UNKNOWN for stream in audio):
                raise MediaError(_nameless(path, "audio"))
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
    check_counts(path, size_bytes)
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


def main_video(container: "av.container.InputContainer") -> "av.video.VideoStream | None":
    """The picture track that is the film, as players choose it; None when there is cover art at most.

    A track that is marked as default comes before others, a film before a single picture, and a larger picture before
    a smaller one; of equals, the first. Its decoder is told to crop to the pixel, not only to what memory likes.
    """
    from av.codec.context import Flags

    tracks = [stream for stream in container.streams.video if not is_cover(stream)]
    film = max(tracks, key=_rank, default=None)
    if film is not None and codec_of(film) is not None:
        film.codec_context.flags |= Flags.unaligned
    return film


def codec_of(stream: "av.stream.Stream") -> "av.codec.context.CodecContext | None":
    """PyAV gives a stream whose codec it cannot decode no context at all, which its types do not say."""
    return getattr(stream, "codec_context", None)


def codec_name(stream: "av.stream.Stream") -> str:
    """The codec's own name, whatever its decoder is called ("av1", not "libdav1d"); `UNKNOWN` without a decoder."""
    context = codec_of(stream)
    return context.codec.canonical_name if context is not None else UNKNOWN


def is_cover(stream: "av.video.VideoStream") -> bool:
    """Whether a picture track is cover art or a thumbnail."""
    return bool(stream.disposition & _ATTACHED_PICTURE)


def _rank(stream: "av.video.VideoStream") -> tuple[bool, bool, int, int]:
    known = codec_of(stream) is not None
    area = stream.codec_context.width * stream.codec_context.height if known else 0
    film = stream.frames != 1 and known and codec_name(stream) not in _PICTURES
    return bool(stream.disposition & _DEFAULT), film, area, -stream.index


def carries_alpha(packet: "av.Packet") -> bool:
    """Whether a packet of VP8, VP9 or AV1 brings the transparency of its picture along, as in WebM."""
    if not packet.has_sidedata("matroska_block_additional"):
        return False
    return bytes(packet.get_sidedata("matroska_block_additional"))[:8] == _ALPHA_BLOCK


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
    if codec_of(stream) is None:
        raise MediaError(_nameless(path, "video"))
    codec = stream.codec_context
    # Before a frame is decoded: what the picture itself says may be larger than what the container says.
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    if codec.width * codec.height > MAX_PIXELS:
        raise MediaError(f"{path} has a picture of {codec.width}x{codec.height}, more than 8K UHD; it is refused.")
    frame, alpha = _first_frame(container, stream)
    pixels = codec.format
    if frame is None or pixels is None:
        raise MediaError(f"{path} has a video stream, but not one frame of it can be decoded.")
    header = read_headers(path).get(stream.index, StreamHeader())
    turn = _turn(_display_matrix(frame))
    # Not what the container says: the codec may crop, too.
    coded = (frame.width, frame.height)
    shown = _cropped(path, coded, header.cropping)
    start_s, duration_s = _span(stream, container, ends_s)
    return VideoStream(
        codec=codec_name(stream),
        size=(shown[1], shown[0]) if turn.rotation in (90, 270) else shown,
        coded_size=coded,
        rotation=turn.rotation,
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
        index=stream.index,
        cropping=header.cropping,
        mirrored=turn.mirrored,
        distorted=turn.distorted,
        chroma_siting=header.chroma_siting,
        first_field=_FIRST_FIELDS.get(codec.field_order),
        interlaced=frame.interlaced_frame,
        transparent=alpha or (codec_name(stream) in _ALPHA_BESIDE and stream.metadata.get("alpha_mode", "0") != "0"),
        records=header.records | _records(frame),
    )


def _first_frame(
    container: "av.container.InputContainer", stream: "av.video.VideoStream"
) -> "tuple[av.video.VideoFrame | None, bool]":
    """The first frame, and whether transparency came beside it."""
    alpha = False
    for packet in container.demux(stream):
        alpha = alpha or carries_alpha(packet)
        for frame in packet.decode():
            return frame, alpha
    return None, alpha


def _cropped(path: Path, size: tuple[int, int], cropping: tuple[int, int, int, int]) -> tuple[int, int]:
    left, right, top, bottom = cropping
    width, height = size[0] - left - right, size[1] - top - bottom
    if width < 1 or height < 1:
        raise MediaError(f"{path} is damaged or hostile: its container crops the whole picture away.")
    return width, height


@dataclass(frozen=True, slots=True)
class _Turn:
    rotation: int = 0
    mirrored: bool = False
    distorted: bool = False


def _turn(matrix: tuple[int, ...] | None) -> _Turn:
    """What a display matrix (nine numbers in ffmpeg's order) does to a picture, besides scaling and moving it."""
    if matrix is None:
        return _Turn()
    across, down = (matrix[0], matrix[1]), (matrix[3], matrix[4])
    if not any(across) or not any(down):
        # Players show a picture in spite of a matrix that would leave nothing of it.
        return _Turn()
    (a, b), (c, d) = ((x / math.hypot(x, y), y / math.hypot(x, y)) for x, y in (across, down))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, c = -a, -c
    straight = all(min(abs(part), abs(abs(part) - 1)) <= _STRAIGHT for part in (a, b, c, d)) and abs(a - d) < 1
    angle = math.degrees(math.atan2(c, a)) % 360
    return _Turn(90 * round(angle / 90) % 360 if straight else round(angle) % 360, mirrored, not straight)


def _display_matrix(frame: "av.video.VideoFrame") -> tuple[int, ...] | None:
    for data in _side_data(frame):
        if data.type.name == "DISPLAYMATRIX":
            return struct.unpack("=9i", bytes(data))
    return None


def _records(frame: "av.video.VideoFrame") -> frozenset[str]:
    return frozenset(data.type.name.lower().replace("_", " ") for data in _side_data(frame))


def _side_data(frame: "av.video.VideoFrame") -> "list[SideData]":
    from av.sidedata.sidedata import Type

    # PyAV knows fewer kinds than ffmpeg, and of a frame with one that it cannot name it would give none.
    Type._missing_ = _unnamed_kind
    return list(cast("Iterable[SideData]", frame.side_data))


def _unnamed_kind(value: object) -> "Type":
    from av.sidedata.sidedata import Type

    kind = object.__new__(Type)
    kind._name_, kind._value_ = f"KIND {value}", value
    return kind


def _audio(
    stream: "av.audio.AudioStream", container: "av.container.InputContainer", ends_s: dict[int, float]
) -> AudioStream:
    known = codec_of(stream) is not None
    start_s, duration_s = _span(stream, container, ends_s)
    return AudioStream(
        index=stream.index,
        codec=codec_name(stream),
        sample_rate=stream.codec_context.sample_rate if known else 0,
        channels=stream.codec_context.channels if known else 0,
        start_s=start_s,
        duration_s=duration_s,
    )


def _nameless(path: Path, kind: str) -> str:
    return f"{path} is damaged or unusual: the codec of its {kind} stream is unknown."
