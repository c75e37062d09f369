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
        return next((content for name, content in _heads(file) if name == b"moov"), _NOTHING)


def outer_boxes(file: BinaryIO, size_bytes: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes that lie in no other: name, where the content begins, and where the box says that it ends.

    That may be beyond `size_bytes`, where the file ends. It stops at what is no box, and after more than a film has.
    """
    place = 0
    for _ in range(_MOST_BOXES):
        if place + 8 > size_bytes:
            return
        file.seek(place)
        head = file.read(16)
        size, name = struct.unpack_from(">I4s", head)
        begin = 8
        if size == 0:
            # The last one may leave it to the file.
            size = size_bytes - place
        elif size == 1:
            begin = 16
            # Cut within its own head, it ends no earlier.
            size = struct.unpack_from(">Q", head, 8)[0] if len(head) == 16 else begin
        if size < begin:
            return
        yield name, place + begin, place + size
        place += size


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
        for name, content in _heads(file):
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


def _heads(file: BinaryIO) -> Iterator[tuple[bytes, memoryview]]:
    """The heads of the film and of its fragments, with what is in them."""
    for name, begin, end in outer_boxes(file, file.seek(0, os.SEEK_END)):
        if name in (b"moov", b"moof") and end - begin <= _LARGEST_HEAD:
            file.seek(begin)
            yield name, memoryview(file.read(end - begin))
