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
# In one other box. A film has a few dozen, a fragment one for each run of samples.
_MOST_INSIDE = 10_000
_NOTHING = memoryview(b"")


def film_head(path: Path) -> memoryview:
    """The content of the box `moov`; empty where there is none, or one too large."""
    with path.open("rb") as file:
        return next((content for name, content in _top_boxes(file) if name == b"moov"), _NOTHING)


def boxes_in(path: Path, content: memoryview, *wanted: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The boxes with the names `wanted` in `content`, which is of the file at `path`, each with what is in it.

    Raises MediaError where there are more boxes, of whatever names, than a film has.
    """
    for _ in range(_MOST_INSIDE):
        if len(content) < 8:
            return
        size, name = struct.unpack_from(">I4s", content)
        begin = 8
        if size == 1 and len(content) >= 16:
            size, begin = struct.unpack_from(">Q", content, 8)[0], 16
        if size < begin:
            return
        if name in wanted:
            yield name, content[begin:size]
        content = content[size:]
    raise MediaError(f"{path} is damaged or hostile: one of its boxes holds more than {_MOST_INSIDE:,} others.")


def tables_of(path: Path, media: memoryview, *wanted: bytes) -> dict[bytes, memoryview]:
    """The sample tables with the names `wanted` in the content of a box `mdia`. Raises MediaError as `boxes_in`."""
    return dict(boxes_in(path, box_in(path, box_in(path, media, b"minf"), b"stbl"), *wanted))


def box_in(path: Path, content: memoryview, name: bytes) -> memoryview:
    """The content of the last box called `name`; empty where there is none. Raises MediaError as `boxes_in` does."""
    return dict(boxes_in(path, content, name)).get(name, _NOTHING)


def check_counts(path: Path, size_bytes: int) -> None:
    """Raise MediaError where a few bytes claim more samples than the file can hold, or boxes are without end.

    A demuxer makes a list of them all before it reads the first one, gigabytes large.
    """
    with path.open("rb") as file:
        for name, content in _top_boxes(file):
            claims = _in_runs(path, content) if name == b"moof" else _in_tracks(path, content)
            if max(claims, default=0) <= size_bytes:
                continue
            raise MediaError(f"{path} is damaged or hostile: it claims more samples than it has bytes.")


def _in_runs(path: Path, fragment: memoryview) -> Iterator[int]:
    for _, track in boxes_in(path, fragment, b"traf"):
        yield from (_count(run, 4) for _, run in boxes_in(path, track, b"trun"))


def _in_tracks(path: Path, head: memoryview) -> Iterator[int]:
    for _, track in boxes_in(path, head, b"trak"):
        yield _count(tables_of(path, box_in(path, track, b"mdia"), b"stsz").get(b"stsz", _NOTHING), 8)


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
