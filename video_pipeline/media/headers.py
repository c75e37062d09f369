"""What the ffmpeg program tells of a file's streams and PyAV does not: chroma siting, cropping, records.

It is read from the description that ffmpeg prints of every input.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from video_pipeline.errors import MediaError
from video_pipeline.media.ffmpeg import INPUT_GUARD, ffmpeg_exe

_TIMEOUT_S = 60
# A tag's text never begins a line: ffmpeg puts spaces and a colon before each line of it.
_STREAM = re.compile(r"^  Stream #0:(\d+)")
# The pixel format and what is known of it: "yuv420p(tv, bt709, progressive, left)".
_PICTURE = re.compile(r"Video: .*?\w\(((?:[^()]|\([^()]*\))*)\)(?:,|$)")
_CROPPING = re.compile(r"^frame cropping: (\d+)/(\d+)/(\d+)/(\d+)")
_SITINGS = frozenset({"left", "center", "topleft", "top", "bottomleft", "bottom"})


@dataclass(slots=True)
class StreamHeader:
    """What a stream's header says of its pictures; empty where it says nothing."""

    chroma_siting: str | None = None
    """ffmpeg's name: left, center, topleft, top, bottomleft or bottom."""
    cropping: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pixels to cut from the decoded picture: left, right, top, bottom."""
    records: frozenset[str] = frozenset()
    """Kinds of other data about the pictures, by ffmpeg's names in small letters."""


def read_headers(path: Path) -> dict[int, StreamHeader]:
    """The headers of the streams of the file at `path`, by index.

    Raises MediaError when ffmpeg does not end, or tells of no stream at all (it was killed, say).
    """
    command = [ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "verbose"]
    command += [*INPUT_GUARD, "-i", f"file:{path.absolute()}"]
    try:
        # ffmpeg describes its input, and then fails, as it was given nothing to write.
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise MediaError(
            f"{path} cannot be read within {_TIMEOUT_S} s; the file is damaged or its disk stuck."
        ) from None
    headers = _parsed(done.stderr.decode(errors="replace"))
    if not headers:
        raise MediaError(
            f"ffmpeg told nothing of {path} (exit status {done.returncode}); free some memory, or check the file."
        )
    return headers


def _parsed(said: str) -> dict[int, StreamHeader]:
    headers: dict[int, StreamHeader] = {}
    header, records = StreamHeader(), False
    for line in said.splitlines():
        if stream := _STREAM.match(line):
            header = headers[int(stream[1])] = StreamHeader()
            if facts := _PICTURE.search(line):
                header.chroma_siting = next((fact for fact in facts[1].split(", ") if fact in _SITINGS), None)
        if not line.startswith("      "):
            records = line == "    Side data:"
        elif records:
            record = line.strip().lower()
            if cropping := _CROPPING.match(record):
                left, right, top, bottom = map(int, cropping.groups())
                header.cropping = (left, right, top, bottom)
            header.records |= {re.split("[:,]", record)[0]}
    return headers
