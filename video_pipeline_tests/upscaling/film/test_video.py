"""Whole clips: what comes out is as large, as upright and as much the same picture as it must be."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import (
    Engine,
    UpscaleProgress,
    UpscaleReport,
    UpscaleSettings,
    UpscalingError,
    upscale_file,
)
from video_pipeline.upscaling.compute.engine import Enlargement, Pending
from video_pipeline_tests.media.clips import big_buck_bunny, render, trim
from video_pipeline_tests.upscaling.measures import (
    PLAIN,
    SMALL,
    folder,
    luma,
    packets,
    pictures,
    psnr,
    timestamps,
    video_of,
)

if TYPE_CHECKING:
    from video_pipeline.upscaling.compute.planes import Planes

Real = tuple[Path, Path, UpscaleReport, list[UpscaleProgress]]


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine
) -> tuple[Path, Path, UpscaleReport, list[UpscaleProgress]]:
    """Four frames of the real 720p clip, with their sound, at 1080p."""
    place = tmp_path_factory.mktemp("a folder with spaces")
    source = trim(big_buck_bunny(), place / "source clip.mp4", 4)
    seen: list[UpscaleProgress] = []
    report = upscale_file(source, place / "target clip.mp4", engine=engine, progress=seen.append)
    return source, place / "target clip.mp4", report, seen


def test_the_real_clip_becomes_1080p_with_every_frame_in_its_time(real: Real) -> None:
    source, target, report, seen = real
    video = video_of(target)
    assert (video.codec, video.size, video.pixel_format) == ("h264", (1920, 1080), "yuv420p")
    assert (video.rate, video.frames) == (Fraction(25), 4)
    assert timestamps(target) == timestamps(source) == [Fraction(n, 25) for n in range(4)]
    assert video.duration_s == video_of(source).duration_s
    assert folder(target.parent) == ["source clip.mp4", "target clip.mp4"]
    assert [step.frames_done for step in seen] == [1, 2, 3, 4]
    assert {step.frames_total for step in seen} == {4}
    assert (report.frames, report.source_size, report.target_size) == (4, (1280, 720), (1920, 1080))
    assert report.network_used and report.device == "cpu"


def test_the_real_clips_sound_is_copied_packet_by_packet(real: Real) -> None:
    source, target, _, _ = real
    assert len(packets(source, "audio")[0]) > 4
    assert packets(target, "audio") == packets(source, "audio")


def test_the_real_clip_still_shows_the_same_picture(real: Real) -> None:
    """Brought back to its size, the result is the source: mean colour within half a step, 30 dB over all."""
    source, target, _, _ = real
    before = pictures(source, (1280, 720), "bt709")
    after = pictures(target, (1280, 720), "bt709")
    assert np.abs(before.mean(axis=(0, 1, 2)) - after.mean(axis=(0, 1, 2))).max() < 0.5
    assert psnr(before, after) > 30


def test_the_report_adds_up(real: Real) -> None:
    _, _, report, _ = real
    assert 0 < report.decode_s < report.network_s < report.wall_s
    assert 0 < report.encode_s < report.wall_s
    assert report.fps == pytest.approx(4 / report.wall_s)
    assert report.realtime_factor == pytest.approx(0.16 / report.wall_s)
    expected = report.wall_s * 65 * 0.8 / 3_600_000 * 0.12
    assert float(report.electricity_usd) == pytest.approx(expected, abs=1e-6)
    assert report.fingerprint == UpscaleSettings().fingerprint()


@pytest.mark.parametrize(
    ("size", "expected"), [((36, 64), (72, 128)), ((48, 48), (72, 72)), ((64, 48), (96, 72)), ((66, 50), (96, 72))]
)
def test_every_orientation_gets_its_size(
    tmp_path: Path, engine: Engine, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    source = render(tmp_path / "source.mp4", size=size, frames=2)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert video_of(tmp_path / "target.mp4").size == expected


def test_an_odd_size_is_read_and_an_even_one_written(tmp_path: Path, engine: Engine) -> None:
    source = render(
        tmp_path / "source.mp4", size=(65, 37), picture="testsrc", frames=2, options=("-pix_fmt", "yuv444p")
    )
    assert video_of(source).size == (65, 37)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert video_of(tmp_path / "target.mp4").size == (126, 72)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_clip_comes_out_upright(tmp_path: Path, engine: Engine, degrees: int) -> None:
    level, source, target = (tmp_path / name for name in ("level.mp4", "source.mp4", "target.mp4"))
    render(level, frames=3)
    turn = ["-display_rotation", str(degrees), "-i", str(level), "-c", "copy", str(source)]
    run_ffmpeg(turn, timeout_s=20, what="turning")
    upscale_file(source, target, settings=PLAIN, engine=engine)
    video = video_of(target)
    size = video_of(source).size
    assert video.rotation == 0
    assert video.size == (2 * size[0], 2 * size[1])
    # ffmpeg itself turns the source as players do.
    shown, result = pictures(source, size), pictures(target, size)
    # In luma: ffmpeg turns the planes and forgets that a turned chroma sample stands elsewhere.
    assert psnr(luma(shown), luma(result)) > 25
    assert psnr(luma(shown), luma(result[:, ::-1, ::-1])) < 15


def test_wide_pixels_come_out_square(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", size=(60, 48), filters="setsar=16/15", frames=2)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    video = video_of(tmp_path / "target.mp4")
    assert (video.size, video.sample_aspect_ratio) == ((96, 72), Fraction(1))


def test_without_the_network_the_result_is_the_plain_enlargement(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    results = {}
    for blend in (0.0, 0.5, 1.0):
        target = tmp_path / f"blend {blend}.mp4"
        report = upscale_file(source, target, settings=UpscaleSettings(short_side=72, blend=blend), engine=engine)
        assert report.network_used == (blend > 0)
        results[blend] = pictures(target, (128, 72))
    lanczos = pictures(source, (128, 72))
    assert psnr(results[0.0], lanczos) > 25
    assert psnr(results[0.0], lanczos) > psnr(results[0.5], lanczos) > psnr(results[1.0], lanczos)


def test_a_clip_that_is_large_enough_is_only_resized(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", size=(256, 144), frames=2)
    report = upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert not report.network_used
    assert video_of(tmp_path / "target.mp4").size == (128, 72)


def test_a_size_that_would_distort_or_is_odd_is_refused(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    refused = [
        ((100, 100), MediaError, "would distort"),
        ((129, 72), UpscalingError, "even numbers"),
        ((17280, 9720), UpscalingError, r"17280x9720 is more than H\.264 holds"),
    ]
    for size, kind, complaint in refused:
        with pytest.raises(kind, match=complaint):
            upscale_file(source, tmp_path / "target.mp4", size=size, engine=engine)
    upscale_file(source, tmp_path / "target.mp4", size=(192, 108), engine=engine)
    assert video_of(tmp_path / "target.mp4").size == (192, 108)


def test_a_strip_that_would_become_larger_than_any_film_is_refused(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", size=(640, 16), frames=2)
    with pytest.raises(MediaError, match=r"640x16 would become too large: 43200x1080 is more than H\.264 holds"):
        upscale_file(source, tmp_path / "target.mp4", engine=engine)
    upscale_file(source, tmp_path / "target.mp4", settings=UpscaleSettings(short_side=32, blend=0), engine=engine)
    assert video_of(tmp_path / "target.mp4").size == (1280, 32)


def test_settings_for_another_model_than_the_engines_are_refused(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=1)
    settings = UpscaleSettings(model="RealESRGAN_x4plus")
    with pytest.raises(UpscalingError, match=r"holds realesr-animevideov3, .* ask for RealESRGAN_x4plus"):
        upscale_file(source, tmp_path / "target.mp4", settings=settings, engine=engine)


@pytest.mark.parametrize("name", ["target.avi", "target"])
def test_a_target_that_is_no_clips_name_is_refused(tmp_path: Path, engine: Engine, name: str) -> None:
    with pytest.raises(MediaError, match=r"it ends in \.mp4, \.mov or \.mkv"):
        upscale_file(big_buck_bunny(), tmp_path / name, engine=engine)


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    with pytest.raises(UpscalingError, match="No such file or directory"):
        upscale_file(source, tmp_path / "nowhere" / "target.mp4", settings=PLAIN, engine=engine)


class _Shrinking(Engine):
    """Another clip runs out of memory while this one's third picture waits: from then on it is two at a time."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self._answers = iter([4, 4, 4])
        super().__init__(device="cpu", precision="float32")

    @property
    def frames_at_once(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return next(self._answers, 2)

    @frames_at_once.setter
    def frames_at_once(self, value: int) -> None:
        """Only this class says it."""

    def submit(self, batch: "Sequence[Planes]", work: Enlargement) -> Pending:
        self.batches.append(len(batch))
        return super().submit(batch, work)


def test_a_batch_that_is_larger_than_what_another_clip_left_goes_off_at_once(tmp_path: Path) -> None:
    """Else it would grow to the end of the clip, and with it the memory."""
    source = trim(big_buck_bunny(), tmp_path / "source.mp4", 10)
    engine = _Shrinking()
    report = upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert (report.frames, report.repeated_frames) == (10, 0)
    assert engine.batches == [3, 2, 2, 2, 1]
