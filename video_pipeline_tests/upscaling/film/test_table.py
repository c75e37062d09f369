"""The table of docs/upscaling.md that says what becomes of a source's pictures: every row, tried."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Batch, Engine, Task, upscale_file
from video_pipeline_tests.media.clips import cropped, render, turned, with_record
from video_pipeline_tests.upscaling.measures import PLAIN

PAPER = Path(__file__).parents[3] / "docs" / "upscaling.md"
TAGGED = "format=yuv420p,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
FIELDS = ("-flags", "+ildct+ilme", "-x264-params", "tff=1")

Make = Callable[[Path], Path]


def rows() -> dict[str, str]:
    """What becomes of it, by what it is."""
    table = PAPER.read_text().split("| of the source's pictures |")[1].split("\n\n")[0]
    return dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE))


def coded(ending: str, *options: str, filters: str = "null") -> Make:
    return lambda place: render(place / f"source.{ending}", size=(64, 48), filters=filters, options=options, frames=2)


def from_plain(make: Callable[[Path, Path], Path], *options: str, ending: str = "mp4", filters: str = TAGGED) -> Make:
    def made(place: Path) -> Path:
        plain = render(place / "plain.mp4", size=(64, 48), filters=filters, options=options, frames=2)
        return make(plain, place / f"source.{ending}")

    return made


def muxed(*words: str, ending: str = "mkv") -> Make:
    def remuxed(plain: Path, source: Path) -> Path:
        said = [str(PAPER) if word == "paper" else str(plain) if word == "plain" else word for word in words]
        run_ffmpeg(["-y", "-i", str(plain), *said, "-c", "copy", str(source)], timeout_s=20, what="muxing")
        return source

    return from_plain(remuxed, ending=ending)


X265 = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params")
DOLBY = bytes.fromhex("01000a0d00") + bytes(19)

# For the beginning of each row, clips that it is about.
CLIPS: dict[str, list[Make]] = {
    "quarter turns": [from_plain(lambda plain, source: turned(plain, source, 90, hflip=True))],
    "any other display matrix": [from_plain(lambda plain, source: turned(plain, source, 10))],
    "what the container crops": [from_plain(lambda plain, source: cropped(plain, source, (0, 0, 6, 6)))],
    "pixels that are": [coded("mkv", filters="setsar=4/3")],
    "chroma at": [coded("mkv", filters="setparams=chroma_location=topleft")],
    "4:2:0": [coded("mkv", "-c:v", "ffv1", "-pix_fmt", name) for name in ("yuv411p", "yuv422p10le", "yuv444p")],
    "more than 10 bits": [coded("mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p12le")],
    "RGB": [coded("mkv", "-c:v", "ffv1", "-pix_fmt", "gbrp"), coded("mov", "-c:v", "png", "-pix_fmt", "rgb24")],
    "transparency": [
        coded("mkv", "-c:v", "ffv1", "-pix_fmt", "yuva420p"),
        coded("webm", "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    ],
    "HDR by its transfer": [coded("mp4", "-pix_fmt", "yuv420p10le", filters="setparams=color_trc=smpte2084")],
    "HDR by what stands": [
        from_plain(lambda plain, source: with_record(plain, source, b"dvvC", DOLBY)),
        coded("mkv", *X265, "log-level=none:max-cll=1000,400", filters="setparams=color_trc=bt709"),
    ],
    "fields, by": [coded("mp4", *FIELDS)],
    "HEVC with each field": [coded("mp4", *X265, "log-level=none:interlace=bff")],
    "several picture tracks": [muxed("-i", "plain", "-map", "0", "-map", "1")],
    "fonts and other": [muxed("-attach", "paper", "-metadata:s:t", "mimetype=text/markdown")],
    "cover art": [muxed("-metadata:s:v", "stereo_mode=top_bottom")],
    "tags that hold": [muxed("-metadata:s:v", "ALPHA_MODE=1")],
}


def test_every_row_is_tried() -> None:
    for row in rows():
        assert len([begin for begin in CLIPS if row.startswith(begin)]) == 1, row
    assert len(rows()) == len(CLIPS)


@pytest.mark.parametrize(
    ("begin", "make"), [pytest.param(begin, make, id=begin) for begin, makes in CLIPS.items() for make in makes]
)
def test_what_the_table_says_is_what_becomes_of_it(tmp_path: Path, engine: Engine, begin: str, make: Make) -> None:
    """And the plan says so, too."""
    (becomes,) = (becomes for row, becomes in rows().items() if row.startswith(begin))
    source, target = make(tmp_path), tmp_path / "target.mp4"
    (plan,) = Batch([Task(source, target)], PLAIN).plan()
    if becomes.startswith("refused"):
        with pytest.raises(MediaError):
            upscale_file(source, target, settings=PLAIN, engine=engine)
        assert plan.action == "refuse"
        return
    report = upscale_file(source, target, settings=PLAIN, engine=engine)
    assert plan.action == "resize"
    assert (report.source_size, report.target_size, report.notes) == (plan.source_size, plan.target_size, plan.notes)
    assert bool(report.notes) == ("said" in becomes)
