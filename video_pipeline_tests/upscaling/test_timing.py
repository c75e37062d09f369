"""Every frame in its time, whatever the container, the rate, and how often a picture repeats."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from video_pipeline.upscaling import Engine, upscale_file
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, SMALL, packets, timestamps, video_of


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "24", "30"])
def test_a_constant_rate_stays_exactly_that_rate(tmp_path: Path, engine: Engine, rate: str) -> None:
    source = render(tmp_path / "source.mp4", rate=rate, frames=12)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    expected = [n / Fraction(rate) for n in range(12)]
    assert timestamps(tmp_path / "target.mp4") == timestamps(source) == expected
    assert video_of(tmp_path / "target.mp4").rate == Fraction(rate)


def test_a_variable_rate_keeps_every_timestamp(tmp_path: Path, engine: Engine) -> None:
    uneven = "settb=1/1000,setpts='10*N*N+20*N'"
    source = render(
        tmp_path / "source.mp4", filters=uneven, frames=9, options=("-fps_mode", "vfr", "-enc_time_base", "1/1000")
    )
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    kept = timestamps(tmp_path / "target.mp4")
    assert kept == timestamps(source)
    assert len({after - before for before, after in pairwise(kept)}) == 8


def test_frames_beyond_all_queues_and_the_encoders_delay_are_all_kept(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=150, sound=True)
    report = upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert report.frames == 150
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert packets(tmp_path / "target.mp4", "audio") == packets(source, "audio")


def test_matroska_in_gives_mp4_out_with_every_timestamp(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mkv", rate="24000/1001", frames=8, sound=True)
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert [content for _, _, content in packets(tmp_path / "target.mp4", "audio")[0]] == [
        content for _, _, content in packets(source, "audio")[0]
    ]
