"""The outer boxes of MP4 files, of every kind of size that they may have."""

import io
import struct
from pathlib import Path

import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import film_head, outer_boxes, probe
from video_pipeline_tests.media.clips import render


def outer(content: bytes) -> list[tuple[bytes, int, int]]:
    return list(outer_boxes(io.BytesIO(content), len(content)))


def test_a_size_may_be_short_long_or_left_to_the_file() -> None:
    content = struct.pack(">I4sI", 12, b"free", 7) + struct.pack(">I4sQI", 1, b"mdat", 20, 7)
    content += struct.pack(">I4sQ", 0, b"moov", 7)
    assert outer(content) == [(b"free", 8, 12), (b"mdat", 28, 32), (b"moov", 40, 48)]


@pytest.mark.parametrize(
    ("content", "boxes"),
    [
        (struct.pack(">I4s", 40, b"mdat") + bytes(2), [(b"mdat", 8, 40)]),
        (struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1), [(b"mdat", 16, 2**64 - 1)]),
        (struct.pack(">I4s", 1, b"mdat"), [(b"mdat", 16, 16)]),
        (struct.pack(">I4s", 7, b"mdat"), []),
        (struct.pack(">I4sQ", 1, b"mdat", 15), []),
        (b"free", []),
    ],
)
def test_what_is_cut_ends_beyond_the_file_and_what_is_no_box_is_none(
    content: bytes, boxes: list[tuple[bytes, int, int]]
) -> None:
    assert outer(content) == boxes


def test_a_head_of_size_0_at_the_end_of_the_file_is_seen(tmp_path: Path) -> None:
    clip = render(tmp_path / "clip.mp4", frames=2)
    head, content = bytes(film_head(clip)), bytearray(clip.read_bytes())
    at = content.index(b"moov") - 4
    content[at : at + 4] = bytes(4)
    clip.write_bytes(content)
    assert bytes(film_head(clip)) == head == content[at + 8 :]
    assert probe(clip).video is not None
    at = content.index(b"stsz") + 12
    content[at : at + 4] = struct.pack(">I", 2**31)
    clip.write_bytes(content)
    with pytest.raises(MediaError, match="claims more samples than it has bytes"):
        probe(clip)
