"""Whether a file that was downloaded has arrived whole: looked at before anybody judges what the model made of it.

A page in a file's place, or a file that was cut on its way, says nothing of the render. The file at the provider may
be whole, so it is fetched again, and nothing is bought.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from video_pipeline.errors import MediaError
from video_pipeline.ledger import JobKind
from video_pipeline.media import outer_boxes, probe

_EBML = b"\x1a\x45\xdf\xa3"
# The first boxes that an MP4 or QuickTime file may begin with (ISO/IEC 14496-12, QuickTime File Format).
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
# Signature, and what the file of that kind ends with.
_PICTURES = ((b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"), (b"\xff\xd8\xff", b"\xff\xd9"))
_HEAD_BYTES = 16


@dataclass(frozen=True)
class Flaw:
    """Why a file is not taken as it is. `foreign`: it is no media file at all, so that it is never the render."""

    reason: str
    foreign: bool = False


def flaw_of(path: Path, kind: JobKind) -> Flaw | None:
    """What is wrong with a downloaded file; None for one that is whole and can be opened."""
    size = path.stat().st_size
    if size == 0:
        return Flaw("the file is empty", foreign=True)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return _picture_flaw(path, head, size) if kind is JobKind.IMAGE else _video_flaw(path, head, size)


def _picture_flaw(path: Path, head: bytes, size: int) -> Flaw | None:
    for signature, end in _PICTURES:
        if head.startswith(signature):
            with path.open("rb") as file:
                file.seek(max(0, size - 64))
                return None if end in file.read() else Flaw("the picture is cut")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        declared = struct.unpack("<I", head[4:8])[0] + 8
        return None if declared <= size else Flaw("the picture is cut")
    return Flaw("what came is no picture", foreign=True)


def _video_flaw(path: Path, head: bytes, size: int) -> Flaw | None:
    boxes = head[4:8] in _FIRST_BOXES
    if not boxes and not head.startswith(_EBML):
        return Flaw("what came is no video file", foreign=True)
    if boxes and _is_cut(path, size):
        return Flaw("the file is cut")
    try:
        probe(path)
    except MediaError as error:
        return Flaw(str(error))
    return None


def _is_cut(path: Path, size: int) -> bool:
    """Whether one of an MP4's outer boxes says that it ends beyond the file."""
    with path.open("rb") as file:
        return any(end > size for _, _, end in outer_boxes(file, size))
