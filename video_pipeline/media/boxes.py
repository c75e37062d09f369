"""The boxes of which MP4 and MOV files are made: the few that are looked at before a demuxer is."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from video_pipeline.errors import MediaError

# A day of film takes less. More is read by the demuxer only.
_LARGEST_HEAD = 64 << 20
_MOST_BOXES = 100_000
_NOTHING = memoryview(b"")


def film_head(path: Path) -> memoryview:
    """The content of the box `moov`; empty where there is none, or one too large."""
    with path.open("rb") as file:
        return next((content for name, content in _top_boxes(file) if name == b"moov"), _NOTHING)


def boxes_in(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
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


def boxes_by_name(content: memoryview) -> dict[bytes, memoryview]:
    """The boxes in `content` by name."""
    return dict(boxes_in(content))


def check_counts(path: Path, size_bytes: int) -> None:
    """Raise MediaError where a few bytes claim more samples than the file can hold.

    A demuxer makes a list of them all before it reads the first one, gigabytes large.
    """
    with path.open("rb") as file:
        for name, content in _top_boxes(file):
            claims = _in_runs(content) if name == b"moof" else _in_tracks(content)
            if max(claims, default=0) <= size_bytes:
                continue
            raise MediaError(f"{path} is damaged or hostile: it claims more samples than it has bytes.")


def _in_runs(fragment: memoryview) -> Iterator[int]:
    for name, track in boxes_in(fragment):
        if name == b"traf":
            yield from (_count(run, 4) for kind, run in boxes_in(track) if kind == b"trun")


def _in_tracks(head: memoryview) -> Iterator[int]:
    for name, track in boxes_in(head):
        if name == b"trak":
            media = boxes_by_name(boxes_by_name(track).get(b"mdia", _NOTHING))
            sizes = boxes_by_name(boxes_by_name(media.get(b"minf", _NOTHING)).get(b"stbl", _NOTHING)).get(
                b"stsz", _NOTHING
            )
            yield _count(sizes, 8)


def _count(table: memoryview, at: int) -> int:
    return struct.unpack_from(">I", table, at)[0] if len(table) >= at + 4 else 0


def _top_boxes(file: BinaryIO) -> Iterator[tuple[bytes, memoryview]]:
    """The heads of the film and of its fragments, with what is in them."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    for _ in range(_MOST_BOXES):
        size, name = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        begin = 8
        if size == 1:
            size, begin = int.from_bytes(file.read(8), "big"), 16
        content = file.tell()
        if size < begin or content > end:
            return
        if name in (b"moov", b"moof") and size <= _LARGEST_HEAD:
            yield name, memoryview(file.read(size - begin))
        file.seek(min(content + size - begin, end))
