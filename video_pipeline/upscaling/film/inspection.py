"""Reads a clip's packets once, before anything is computed: is all there, and does the sound decode?

Pictures are not decoded here, for that takes as long as the decoding of the work itself.
"""

import re
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError
from video_pipeline.media import INPUT_GUARD, MediaInfo, codec_name, codec_of, open_guarded, run_ffmpeg
from video_pipeline.upscaling.film.sample_tables import check_sample_tables
from video_pipeline.upscaling.film.timing import Cuts, last_duration, rounding

if TYPE_CHECKING:
    import av.container
    import av.packet
    import numpy as np
    from av.audio.stream import AudioStream
    from av.stream import Stream

# Muxed lengths are rounded, and a stream may end a little early; a file that was cut off misses more.
_TAIL_TOLERANCE_S = Fraction(1, 4)
# Bytes a second.
_SLOWEST_DISK = 5_000_000
# The demuxer's own words, at its beginning and later, and those of the parser that drops packets.
_FAULT = re.compile(r"\[in#0|matroska|\[opus")
_SEGMENT = b"\x18\x53\x80\x67"
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(slots=True)
class Inspection:
    """What the packets of a clip tell. Times are in seconds on the container's clock."""

    pictures_end_s: Fraction | None = None
    """When the last picture ends, where the container says so beside its packet."""
    repeated_times: set[str] = field(default_factory=set[str])
    """Kinds of streams in which two packets have one time."""
    backwards: bool = False
    """Whether a packet of sound is earlier than the one before it."""
    variable_rate: bool = False
    """Whether pictures are shown for different times, by more than rounding makes."""


def inspect(path: Path, info: MediaInfo) -> Inspection:
    """Read all packets of the clip at `path`. Raises MediaError for one of which something is missing or damaged."""
    import av.error

    assert info.video is not None  # its caller saw to it
    matroska = "matroska" in info.container
    if not matroska:
        check_sample_tables(path)
    found = Inspection()
    with open_guarded(path) as container:
        _check_size(container, info)
        shown = _Shown(container.streams[info.video.index])
        try:
            ends = _read(container, path, found, shown)
        except av.error.FFmpegError as error:
            raise MediaError(f"{path} is damaged and cannot be read ({error.strerror}).") from error
        ended = max(ends.values(), default=Fraction(0))
        if matroska:
            _check_matroska(info)
            # From 0, and not from the first packet.
            stated = Fraction(container.duration or 0, av.time_base)
        else:
            stated = max((_end(stream) for stream in container.streams if stream.index in ends), default=Fraction(0))
        if matroska and _is_whole_segment(path):
            own = _stated(container.streams[info.video.index])
            # Tags are copied from film to film, and may be another's.
            found.pictures_end_s = min(own, stated) if own else stated if stated > ended else None
        elif stated - ended > _TAIL_TOLERANCE_S:
            raise MediaError(f"{path} is cut off: its last {float(stated - ended):.2f} s are missing.")
    found.variable_rate = shown.is_variable(found.pictures_end_s)
    if shown.repeats():
        found.repeated_times.add("video")
    return found


def _check_size(container: "av.container.InputContainer", info: MediaInfo) -> None:
    """Raise MediaError for a file whose table of contents points beyond its end."""
    entries = (entry for stream in container.streams for entry in stream.index_entries)
    needed = max((entry.pos + entry.size for entry in entries), default=0)
    if needed > info.size_bytes:
        raise MediaError(f"{info.path} is cut off: it has {info.size_bytes:,} of at least {needed:,} bytes.")


def _read(
    container: "av.container.InputContainer", path: Path, found: Inspection, shown: "_Shown"
) -> dict[int, Fraction]:
    """When each picture, sound and subtitle stream ends. Sound is decoded, for it is copied as it is."""
    ends: dict[int, Fraction] = {}
    decoded_at: dict[int, int] = {}
    cuts = Cuts()
    sounds = {stream.index: _Sound(stream, path) for stream in container.streams.audio if codec_of(stream)}
    for packet in container.demux():
        stream = packet.stream
        if packet.is_corrupt:
            raise MediaError(f"{path} is damaged: it breaks off inside a packet.")
        if stream.index in sounds:
            sounds[stream.index].take(packet)
        shown.take(packet)
        if stream.type not in ("video", "audio", "subtitle") or not packet.size:
            continue
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            ends[stream.index] = max(end, ends.get(stream.index, Fraction(0)))
        if packet.dts is not None and stream.type == "audio" and not cuts.hides(packet):
            before = decoded_at.get(stream.index, packet.dts - 1)
            if packet.dts == before:
                found.repeated_times.add("audio")
            found.backwards = found.backwards or packet.dts < before
            decoded_at[stream.index] = packet.dts
    return ends


class _Shown:
    """When the pictures of a stream are shown."""

    def __init__(self, stream: "Stream") -> None:
        self._stream = stream
        # A stream cannot be asked once its file is closed.
        self._time_base = stream.time_base or Fraction(1)
        self._times = array("q")
        self._last = 0, 0

    def take(self, packet: "av.packet.Packet") -> None:
        if packet.stream is self._stream and packet.pts is not None and not packet.is_discard:
            self._times.append(packet.pts)
            self._last = max(self._last, (packet.pts, packet.duration or 0))

    def repeats(self) -> bool:
        """Whether two are shown at one time."""
        gaps = self._gaps()
        return bool(len(gaps)) and int(gaps.min()) == 0

    def is_variable(self, end_s: Fraction | None) -> bool:
        """Whether they are shown for different times; the last one until `end_s`, where that is known."""
        gaps = self._gaps()
        if not len(gaps):
            return False
        last = last_duration(*self._last, self._time_base, end_s) or int(gaps[-1])
        return max(int(gaps.max()), last) - min(int(gaps.min()), last) > rounding(self._time_base)

    def _gaps(self) -> "np.ndarray":
        import numpy as np

        return np.diff(np.sort(np.frombuffer(self._times, np.int64)))


class _Sound:
    """Decodes a stream of sound and keeps nothing of it. Raises MediaError where it is damaged."""

    def __init__(self, stream: "AudioStream", path: Path) -> None:
        self._stream = stream
        self._path = path
        self._begun = stream.codec_context.codec.intra_only
        stream.codec_context.options = {"err_detect": "crccheck+explode"}

    def take(self, packet: "av.packet.Packet") -> None:
        import av.error

        try:
            self._begun = bool(self._stream.decode(packet)) or self._begun
        except av.error.FFmpegError as error:
            # Where packets build on those before them, a film may begin in the middle.
            if self._begun:
                at_s = float((packet.pts or 0) * packet.time_base)
                raise MediaError(
                    f"{self._path} is damaged: its {codec_name(self._stream)} sound cannot be decoded at "
                    f"{at_s:.2f} s ({error.strerror}); repair it, or leave the sound out."
                ) from error


def _end(stream: "Stream") -> Fraction:
    time_base = stream.time_base or Fraction(0)
    return ((stream.start_time or 0) + (stream.duration or 0)) * time_base


def _stated(stream: "Stream") -> Fraction | None:
    """The length that a Matroska track's tags give, as ffmpeg and mkvmerge write them."""
    for name, value in stream.metadata.items():
        if name.upper().startswith("DURATION") and (found := _DURATION.fullmatch(value)):
            hours, minutes, seconds = found.groups()
            return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    return None


def _is_whole_segment(path: Path) -> bool:
    """Whether a Matroska file says how long it is, and is: its end is then no cut."""
    with path.open("rb") as file:
        head = file.read(4096)
        at = head.find(_SEGMENT)
        if at < 0 or at + 12 > len(head):
            return False
        first = head[at + 4]
        length = 9 - first.bit_length()
        size = int.from_bytes(head[at + 4 : at + 4 + length], "big") & ((1 << (7 * length)) - 1)
        unknown = size == (1 << (7 * length)) - 1
        return 1 <= length <= 8 and not unknown and at + 4 + length + size <= path.stat().st_size


def _check_matroska(info: MediaInfo) -> None:
    """Raise MediaError for a gap. Only the ffmpeg program tells what demuxer and parsers of sound leave out."""
    streams = ["-map", "0:v", "-map", "0:a?", "-c", "copy", "-f", "null", "-"]
    said = run_ffmpeg(
        [*INPUT_GUARD, "-i", f"file:{info.path.absolute()}", *streams],
        timeout_s=60 + info.size_bytes / _SLOWEST_DISK,
        what=f"reading {info.path}",
    )
    faults = [line.rpartition("] ")[2] for line in said.splitlines() if _FAULT.search(line)]
    if faults:
        raise MediaError(f"{info.path} is damaged: pictures or sound are missing in its middle ({faults[0]})")
