"""Which encoder writes the pictures, and that its quality setting is obeyed and its rate told as it is."""

from itertools import pairwise
from pathlib import Path

import pytest

from video_pipeline.upscaling import Engine, UpscaleSettings, UpscalingError, upscale_file
from video_pipeline.upscaling.film.encoders import nvenc_complaint
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import folder, packets, video_of

TEN_BITS = ("-pix_fmt", "yuv420p10le")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("clips") / "source.mp4", size=(128, 72), frames=24, sound=True)


def video_bits(path: Path) -> int:
    return 8 * sum(len(content) for _, _, content in packets(path, "video")[0])


def test_a_higher_crf_makes_a_smaller_file(tmp_path: Path, engine: Engine, source: Path) -> None:
    bits = []
    for crf in (4, 18, 32, 46):
        target = tmp_path / f"{crf}.mp4"
        upscale_file(source, target, settings=UpscaleSettings(short_side=144, blend=0, crf=crf), engine=engine)
        bits.append(video_bits(target))
    assert all(before > 1.5 * after for before, after in pairwise(bits))


def test_a_slower_preset_makes_another_file(tmp_path: Path, engine: Engine, source: Path) -> None:
    for preset in ("ultrafast", "medium"):
        settings = UpscaleSettings(short_side=144, blend=0, preset=preset)
        upscale_file(source, tmp_path / f"{preset}.mp4", settings=settings, engine=engine)
    assert video_bits(tmp_path / "ultrafast.mp4") > 1.2 * video_bits(tmp_path / "medium.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_reported_rate_is_the_files(tmp_path: Path, engine: Engine, source: Path, suffix: str) -> None:
    target = tmp_path / f"target{suffix}"
    report = upscale_file(source, target, settings=UpscaleSettings(short_side=144, blend=0), engine=engine)
    assert report.duration_s == pytest.approx(24 / 25)
    assert report.video_kbps == pytest.approx(video_bits(target) / 1000 / (24 / 25), rel=0.05)


def test_the_same_clip_twice_gives_the_same_file(tmp_path: Path, engine: Engine, source: Path) -> None:
    """So that a clip that is done again after a kill is the clip that would have been."""
    settings = UpscaleSettings(short_side=144, encoder="x264")
    for name in ("one.mp4", "two.mp4"):
        upscale_file(source, tmp_path / name, settings=settings, engine=engine)
    assert packets(tmp_path / "one.mp4", "video") == packets(tmp_path / "two.mp4", "video")


def test_auto_takes_nvenc_where_it_works_and_x264_elsewhere(tmp_path: Path, engine: Engine, source: Path) -> None:
    report = upscale_file(
        source, tmp_path / "target.mp4", settings=UpscaleSettings(short_side=144, blend=0), engine=engine
    )
    assert report.encoder == ("libx264" if nvenc_complaint() else "h264_nvenc")


def test_nvenc_is_obeyed_or_refused_with_what_is_wrong(tmp_path: Path, engine: Engine, source: Path) -> None:
    settings, target = UpscaleSettings(short_side=256, blend=0, encoder="nvenc"), tmp_path / "target.mp4"
    complaint = nvenc_complaint()
    if complaint is None:
        assert upscale_file(source, target, settings=settings, engine=engine).encoder == "h264_nvenc"
        return
    with pytest.raises(UpscalingError) as caught:
        upscale_file(source, target, settings=settings, engine=engine)
    assert str(caught.value) == f"NVENC cannot encode here: {complaint}; take x264, or auto."
    assert folder(tmp_path) == []


def test_nvenc_is_not_given_ten_bits(tmp_path: Path, engine: Engine) -> None:
    source, target = render(tmp_path / "source.mp4", options=TEN_BITS, frames=2), tmp_path / "target.mp4"
    asked = UpscaleSettings(short_side=72, blend=0, encoder="nvenc")
    with pytest.raises(UpscalingError, match=r"NVENC cannot encode here: it writes 8-bit H\.264 only"):
        upscale_file(source, target, settings=asked, engine=engine)
    assert folder(tmp_path) == ["source.mp4"]
    report = upscale_file(source, target, settings=UpscaleSettings(short_side=72, blend=0), engine=engine)
    assert (report.encoder, video_of(target).bit_depth) == ("libx264", 10)
