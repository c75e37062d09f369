"""The tables by which an MP4 or MOV file finds its samples: do they agree with each other?

Demuxers read as far as the shortest of them goes, and say nothing of the rest.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from video_pipeline.errors import MediaError

_KINDS = {b"vide": "pictures", b"soun": "sound"}
# A day of film takes less. More is read by the demuxer only.
_LARGEST_HEAD = 64 << 20
_MOST_BOXES = 100_000
_NOTHING = memoryview(b"")


def check_sample_tables(path: Path) -> None:
    """Raise MediaError when the tables of a track count its samples differently.

    Fragments bring tables of their own, which are not read here.
    """
    with path.open("rb") as file:
        head = memoryview(_head(file))
    for name, track in _boxes(head):
        if name == b"trak":
            media = _boxes_of(_boxes_of(track).get(b"mdia", _NOTHING))
            kind = _KINDS.get(bytes(media.get(b"hdlr", _NOTHING)[8:12]))
            if kind is None:
                continue
            tables = _boxes_of(_boxes_of(media.get(b"minf", _NOTHING)).get(b"stbl", _NOTHING))
            try:
                fault = _fault(tables)
            except struct.error:
                fault = "one of them is cut off"
            if fault:
                raise MediaError(
                    f"{path} is damaged: the tables of its {kind} do not agree ({fault}); some is missing."
                )


def _fault(tables: dict[bytes, memoryview]) -> str:
    """How the tables of one track disagree; empty when they do not, or when there are none."""
    sizes = tables.get(b"stsz", tables.get(b"stz2", _NOTHING))
    if not sizes:
        return ""
    fixed, samples = struct.unpack_from(">II", sizes, 4)
    if tables.get(b"stsz") and not fixed and len(sizes) < 12 + 4 * samples:
        return f"{samples} samples and the sizes of {(len(sizes) - 12) // 4}"
    timed = sum(count for count, _ in _pairs(tables.get(b"stts", _NOTHING)))
    if timed != samples:
        return f"{samples} samples and the times of {timed}"
    if b"ctts" in tables and (shifted := sum(count for count, _ in _pairs(tables[b"ctts"]))) != samples:
        return f"{samples} samples and the shifts of {shifted}"
    in_chunks, most_more = _in_chunks(tables)
    # The last chunk may be counted as full.
    if not samples <= in_chunks <= samples + most_more:
        return f"{samples} samples and places for {in_chunks}"
    return ""


def _in_chunks(tables: dict[bytes, memoryview]) -> tuple[int, int]:
    """How many samples there are places for, and how many of them the last chunk may lack."""
    offsets, width = (tables[b"stco"], 4) if b"stco" in tables else (tables.get(b"co64", _NOTHING), 8)
    chunks = struct.unpack_from(">I", offsets, 4)[0] if offsets else 0
    if len(offsets) < 8 + width * chunks:
        raise struct.error
    entries = tables.get(b"stsc", _NOTHING)
    runs = [struct.unpack_from(">II", entries, 8 + 12 * n) for n in range(_count(entries))]
    total = 0
    for (first, samples), (following, _) in pairwise([*runs, (chunks + 1, 0)]):
        total += max(0, following - first) * samples
    return total, max(0, runs[-1][1] - 1) if runs else 0


def _pairs(table: memoryview) -> Iterator[tuple[int, int]]:
    """The entries of a table of (count, value)."""
    return (struct.unpack_from(">II", table, 8 + 8 * n) for n in range(_count(table)))


def _count(table: memoryview) -> int:
    return struct.unpack_from(">I", table, 4)[0] if table else 0


def _head(file: BinaryIO) -> bytes:
    """The content of the box `moov`; empty where there is none, or one too large."""
    for _ in range(_MOST_BOXES):
        size, name = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        if size == 1:
            size = int.from_bytes(file.read(8), "big") - 8
        if name == b"moov":
            return file.read(size - 8) if 8 <= size <= _LARGEST_HEAD else b""
        if size < 8:
            break
        file.seek(size - 8, 1)
    return b""


def _boxes_of(content: memoryview) -> dict[bytes, memoryview]:
    return dict(_boxes(content))


def _boxes(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The boxes in `content`, each with what is in it."""
    while len(content) >= 8:
        size, name = struct.unpack_from(">I4s", content)
        begin = 8
        if size == 1 and len(content) >= 16:
            size, begin = struct.unpack_from(">Q", content, 8)[0], 16
        if size < begin:
            return
        yield name, content[begin:size]
        content = content[size:]
