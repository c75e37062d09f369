"""Pictures that were made here, written as a clip: what they show, and all of the file or none."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import encode, frames_at, probe

SIZE = (112, 192)


def pictures(*colours: tuple[int, int, int]) -> Iterator[np.ndarray]:
    for colour in colours:
        picture = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
        picture[:] = colour
        yield picture


def test_a_clip_has_the_pictures_their_colours_and_its_rate(tmp_path: Path) -> None:
    red, blue = (200, 30, 60), (20, 40, 220)
    encode(pictures(*[red] * 4, *[blue] * 5), tmp_path / "clip.mp4", size=SIZE, rate=Fraction(24))
    info = probe(tmp_path / "clip.mp4")
    assert info.video is not None and info.audio == ()
    assert (info.video.size, info.video.frames, info.video.rate) == (SIZE, 9, Fraction(24))
    tags = (info.video.color_matrix, info.video.color_primaries, info.video.color_transfer, info.video.color_range)
    assert tags == ("bt709", "bt709", "bt709", "tv")
    for picture, colour in zip(frames_at(tmp_path / "clip.mp4", [0.2, 0.8]), (red, blue), strict=True):
        assert picture.getpixel((50, 50)) == pytest.approx(colour, abs=4)


def test_a_clip_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def breaking() -> Iterator[np.ndarray]:
        yield from pictures((0, 0, 0))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        encode(breaking(), tmp_path / "clip.mp4", size=SIZE, rate=Fraction(24))
    with pytest.raises(MediaError, match=r"clip\.mp4 could not be encoded"):
        encode(pictures((0, 0, 0)), tmp_path / "clip.mp4", size=(111, 192), rate=Fraction(24))
    assert list(tmp_path.iterdir()) == []
