"""The tables by which an MP4 or MOV file finds its samples: do they agree with each other?

Demuxers read as far as the shortest of them goes, and say nothing of the rest.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from video_pipeline.errors import MediaError
from video_pipeline.media import box_in, boxes_in, film_head, tables_of

_KINDS = {b"vide": "pictures", b"soun": "sound"}
_TABLES = (b"stsz", b"stz2", b"stts", b"ctts", b"stsc", b"stco", b"co64")
_NOTHING = memoryview(b"")


def check_sample_tables(path: Path) -> None:
    """Raise MediaError when the tables of a track count its samples differently.

    Fragments bring tables of their own, which are not read here.
    """
    for _, track in boxes_in(path, film_head(path), b"trak"):
        media = box_in(path, track, b"mdia")
        kind = _KINDS.get(bytes(box_in(path, media, b"hdlr")[8:12]))
        if kind is None:
            continue
        try:
            fault = _fault(tables_of(path, media, *_TABLES))
        except struct.error:
            fault = "one of them is cut off"
        if fault:
            raise MediaError(f"{path} is damaged: the tables of its {kind} do not agree ({fault}); some is missing.")


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
