"""Interlaced clips become whole pictures, as ffmpeg's own bwdif makes them; others are left as they are."""

from pathlib import Path

import av
import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Engine, UpscaleReport, UpscaleSettings, upscale_file
from video_pipeline_tests.media.clips import big_buck_bunny, render
from video_pipeline_tests.upscaling.measures import luma, pictures, psnr, timestamps, video_of

SIZE = (160, 96)
TWICE = UpscaleSettings(short_side=192, blend=0, crf=6)


def fielded(target: Path, first: str, *options: str, flagged: bool = True) -> Path:
    """Ten pictures of a film that moves, in fields at 50 a second."""
    said = {"top": "tff", "bottom": "bff"}[first]
    filters = f"setpts=PTS/2,fps=50,scale={SIZE[0]}:{SIZE[1]},setsar=1,interlace=scan={said}"
    filters += "" if flagged else ",setfield=prog"
    codec = options or ("-c:v", "libx264", "-crf", "6")
    arguments = ["-y", "-ss", "2", "-i", str(big_buck_bunny()), "-an", "-vf", filters, "-frames:v", "10", *codec]
    run_ffmpeg([*arguments, str(target)], timeout_s=30, what="interlacing")
    return target


def deinterlaced(source: Path, target: Path, first: str) -> Path:
    """By the ffmpeg program, which is told which field is first."""
    said = {"top": "tff", "bottom": "bff"}[first]
    filters = ["-vf", f"bwdif=mode=send_frame:parity={said}:deint=all"]
    run_ffmpeg(["-y", "-i", str(source), *filters, "-c:v", "ffv1", str(target)], timeout_s=30, what="deinterlacing")
    return target


def upscaled(source: Path, target: Path, engine: Engine) -> UpscaleReport:
    report = upscale_file(source, target, settings=TWICE, engine=engine)
    assert timestamps(target) == timestamps(source)
    with av.open(str(target)) as clip:
        assert not any(frame.interlaced_frame for frame in clip.decode(video=0))
    assert video_of(target).first_field is None
    return report


H264 = ("-c:v", "libx264", "-crf", "6", "-flags", "+ildct+ilme", "-x264-params")


@pytest.mark.parametrize(
    ("ending", "first", "options", "flagged"),
    [
        ("mp4", "top", (*H264, "tff=1"), True),
        ("mkv", "bottom", (*H264, "bff=1"), True),
        ("mov", "top", ("-c:v", "mpeg2video", "-q:v", "1", "-flags", "+ildct+ilme"), True),
        ("mov", "bottom", ("-c:v", "prores_ks", "-flags", "+ildct"), True),
        ("mkv", "bottom", ("-c:v", "ffv1", "-flags", "+ildct"), True),
        # Of these, only the container knows, and then nobody.
        ("mkv", "top", ("-c:v", "utvideo", "-field_order", "tt"), True),
        ("mov", "bottom", ("-c:v", "libx264", "-crf", "6"), False),
        ("mp4", "top", ("-c:v", "libx264", "-crf", "6", "-pix_fmt", "yuv422p10le"), False),
        ("webm", "top", ("-c:v", "libvpx-vp9", "-crf", "6"), False),
    ],
)
def test_fields_become_whole_pictures(
    tmp_path: Path, engine: Engine, ending: str, first: str, options: tuple[str, ...], flagged: bool
) -> None:
    source = fielded(tmp_path / f"source.{ending}", first, *options, flagged=flagged)
    report = upscaled(source, tmp_path / "target.mkv", engine)
    assert report.deinterlaced_frames == report.frames == 10
    expected = pictures(deinterlaced(source, tmp_path / "expected.mkv", first), SIZE)
    found = pictures(tmp_path / "target.mkv", SIZE)
    assert psnr(luma(found), luma(expected)) > 33
    assert psnr(luma(found), luma(expected)) > psnr(luma(found), luma(pictures(source, SIZE))) + 5


# A test picture that shrinks to patterns of one line, a film, and noise: none of them has a comb.
@pytest.mark.parametrize(
    ("picture", "filters"),
    [
        ("testsrc2", "null"),
        ("mandelbrot", "null"),
        ("color", "noise=alls=80:allf=t,format=yuv420p"),
        ("life", "scroll=vertical=0.0111,format=yuv420p"),
        ("testsrc2", "scroll=horizontal=0.02,drawgrid=h=2:w=0:t=1:c=black@0.5"),
    ],
)
def test_whole_pictures_are_left_as_they_are(tmp_path: Path, engine: Engine, picture: str, filters: str) -> None:
    source = render(tmp_path / "source.mp4", size=SIZE, picture=picture, filters=filters, frames=20)
    assert upscaled(source, tmp_path / "target.mp4", engine).deinterlaced_frames == 0


def test_a_film_of_whole_pictures_is_left_as_it_is(tmp_path: Path, engine: Engine) -> None:
    source = tmp_path / "source.mp4"
    scale = ["-vf", f"scale={SIZE[0]}:{SIZE[1]},setsar=1", "-an", "-frames:v", "40", str(source)]
    run_ffmpeg(["-y", "-i", str(big_buck_bunny()), *scale], timeout_s=30, what="shrinking")
    report = upscaled(source, tmp_path / "target.mp4", engine)
    assert (report.frames, report.deinterlaced_frames) == (40, 0)


def test_fields_that_come_late_are_made_whole_too(tmp_path: Path, engine: Engine) -> None:
    """Where none of the pictures is that are looked at before."""
    options = ("-c:v", "mpeg2video", "-q:v", "1", "-g", "1", "-bf", "0")
    before, after = (
        render(tmp_path / f"{frames}.ts", size=SIZE, frames=frames, options=options) for frames in (18, 62)
    )
    fields = fielded(tmp_path / "fields.ts", "top", *options, "-flags", "+ildct+ilme")
    source = tmp_path / "source.mkv"
    joined = f"concat:{before}|{fields}|{after}"
    run_ffmpeg(["-y", "-i", joined, "-c", "copy", str(source)], timeout_s=20, what="joining")
    report = upscaled(source, tmp_path / "target.mkv", engine)
    assert (report.frames, report.deinterlaced_frames) == (90, 10)


def test_hevc_with_each_field_a_picture_of_its_own_is_refused(tmp_path: Path, engine: Engine) -> None:
    params = ("-c:v", "libx265", "-x265-params", "log-level=none:interlace=tff")
    source = render(tmp_path / "source.mp4", frames=4, options=params)
    with pytest.raises(MediaError, match="interlaced HEVC"):
        upscale_file(source, tmp_path / "target.mp4", settings=TWICE, engine=engine)


def test_a_result_has_no_combs(tmp_path: Path, engine: Engine) -> None:
    """A bar that moves 8 columns a field: in the source, rows alternate between black and white."""
    bar = "geq=lum='if(between(X-8*N,0,23),235,16)':cb=128:cr=128,interlace=scan=tff:lowpass=off,setfield=prog"
    source = render(tmp_path / "source.mp4", size=SIZE, rate="50", picture="color", filters=f"format=yuv420p,{bar}")
    upscaled(source, tmp_path / "target.mp4", engine)

    def teeth(path: Path, step: int) -> float:
        rows = luma(pictures(path, (SIZE[0], step * SIZE[1])))[1:-1]
        return float(np.abs(rows[:, : -2 * step] - 2 * rows[:, step:-step] + rows[:, 2 * step :]).mean())

    assert teeth(source, 1) > 20 * teeth(tmp_path / "target.mp4", 1)
