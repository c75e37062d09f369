"""What a person is told of tracks, attachments and marks, and which tags the result has."""

from pathlib import Path

import av
import pytest

from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Batch, Engine, Task, upscale_file
from video_pipeline_tests.media.clips import render, without_a_codec
from video_pipeline_tests.upscaling.measures import PLAIN


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, a picture, a font that is none, and a title of a chapter."""
    place = tmp_path_factory.mktemp("parts")
    render(place / "film.mp4", frames=2)
    render(place / "picture.png", frames=1, options=("-c:v", "png", "-pix_fmt", "rgb24"))
    (place / "font.ttf").write_bytes(b"a font")
    (place / "chapters.txt").write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=80\ntitle=one\n")
    return place


def muxed(parts: Path, target: Path, *words: str) -> Path:
    """The words may name the parts."""
    named = [str(parts / word) if (parts / word).is_file() else word for word in words]
    run_ffmpeg(["-y", *named, "-c", "copy", str(target)], timeout_s=20, what="muxing")
    return target


def notes(source: Path, target: Path, engine: Engine) -> str:
    """What the plan says and the report says; they are the same."""
    (plan,) = Batch([Task(source, target)], PLAIN).plan()
    report = upscale_file(source, target, settings=PLAIN, engine=engine)
    assert plan.notes == report.notes
    return " ".join(report.notes)


def test_nothing_is_said_of_a_plain_film(tmp_path: Path, engine: Engine, parts: Path) -> None:
    """Its timecode is a tag as well, and its chapter's title comes along."""
    words = ("-i", "film.mp4", "-i", "chapters.txt", "-map_chapters", "1", "-timecode", "01:00:00:00")
    source = muxed(parts, tmp_path / "source.mov", *words)
    with av.open(str(source)) as clip:
        assert len(clip.streams) == 3
    assert notes(source, tmp_path / "target.mov", engine) == ""
    with av.open(str(tmp_path / "target.mov")) as clip:
        assert clip.streams.video[0].metadata["timecode"] == "01:00:00:00"
        assert [chapter["metadata"]["title"] for chapter in clip.chapters()] == ["one"]


@pytest.mark.parametrize(
    ("ending", "cover"),
    [
        ("mp4", ("-i", "picture.png", "-map", "0", "-map", "1", "-map", "2", "-disposition:v:2", "attached_pic")),
        ("mkv", ("-map", "0", "-map", "1", "-attach", "picture.png", "-metadata:s:t", "mimetype=image/png")),
    ],
)
def test_covers_and_other_picture_tracks_are_left_out_and_told(
    tmp_path: Path, engine: Engine, parts: Path, ending: str, cover: tuple[str, ...]
) -> None:
    inputs = ("-i", "film.mp4", "-i", "film.mp4", *cover)
    flags = ("-disposition:v:0", "0", "-disposition:v:1", "default")
    source = muxed(parts, tmp_path / f"source.{ending}", *inputs, *flags)
    assert notes(source, tmp_path / "target.mkv", engine) == (
        "Of 2 picture tracks, number 2 is the film; the others do not come along. Not in the result: cover art."
    )
    with av.open(str(tmp_path / "target.mkv")) as clip:
        assert len(clip.streams) == 1


def test_fonts_come_along_into_matroska_and_are_told_of_elsewhere(
    tmp_path: Path, engine: Engine, parts: Path
) -> None:
    words = ("-i", "film.mp4", "-attach", "font.ttf", "-metadata:s:t", "mimetype=font/ttf")
    source = muxed(parts, tmp_path / "source.mkv", *words, "-metadata:s:t", "filename=Sans [1].ttf")
    assert notes(source, tmp_path / "target.mkv", engine) == ""
    with av.open(str(tmp_path / "target.mkv")) as clip:
        (font,) = clip.streams.attachments
        assert (font.name, font.mimetype, font.data) == ("Sans [1].ttf", "font/ttf", b"a font")
    said = notes(source, tmp_path / "target.mp4", engine)
    assert said == "Not in the result: 1 attachment (Sans [1].ttf)."


def test_a_stereoscopic_mark_is_told_of(tmp_path: Path, engine: Engine, parts: Path) -> None:
    source = muxed(parts, tmp_path / "source.mkv", "-i", "film.mp4", "-metadata:s:v", "stereo_mode=left_right")
    said = notes(source, tmp_path / "target.mkv", engine)
    assert said == "Not in the result: the mark of a stereoscopic picture."
    assert b"stereo_mode" not in (tmp_path / "target.mkv").read_bytes().lower()


def test_sound_and_subtitles_that_cannot_be_decoded_are_left_out_and_told(
    tmp_path: Path, engine: Engine, parts: Path
) -> None:
    (tmp_path / "said.srt").write_text("1\n00:00:00,000 --> 00:00:00,080\nHello\n\n")
    film = render(tmp_path / "film.mp4", frames=4, sound=True)
    inputs = ("-i", str(film), "-i", str(tmp_path / "said.srt"), "-map", "0", "-map", "0:a", "-map", "1")
    words = ["-y", *inputs, "-c", "copy", "-c:s", "ttml", str(tmp_path / "two.mp4")]
    run_ffmpeg(words, timeout_s=20, what="muxing")
    source = without_a_codec(tmp_path / "two.mp4", tmp_path / "source.mp4", 1)
    said = "Not in the result: 1 sound track of an unknown codec, 1 subtitle track of an unknown codec."
    for name in ("target.mp4", "target.mkv"):
        assert notes(source, tmp_path / name, engine) == said
        with av.open(str(tmp_path / name)) as clip:
            assert [stream.type for stream in clip.streams] == ["video", "audio"]
            assert clip.streams.audio[0].codec_context.name == "aac"


# What was true of the source's pictures or its container only, and what is of the film.
UNTRUE = {
    "alpha_mode": "1",
    "ROTATE": "90",
    "BPS": "1000",
    "BPS-eng": "1000",
    "NUMBER_OF_FRAMES": "9",
    "_STATISTICS_TAGS": "BPS",
    "DOVI_PROFILE": "5",
    "ENCODER_OPTIONS": "crf=1",
    "ENCODER_SETTINGS": "crf=1",
    "variant_bitrate": "800000",
    "FPS": "25",
    "FRAMERATE": "25",
    "FRAME_RATE": "25",
    "DISPLAY_WIDTH": "64",
    "DISPLAY_HEIGHT": "36",
}
TRUE = {"TITLE": "A title", "COMMENT": "rotate", "DATE": "2026"}


@pytest.mark.parametrize("ending", ["mkv", "mov", "mp4"])
def test_only_tags_that_are_still_true_are_copied(tmp_path: Path, engine: Engine, parts: Path, ending: str) -> None:
    tags = [
        word
        for name, text in (UNTRUE | TRUE | {"ENCODING_TO_L": "any"}).items()
        for word in ("-metadata:s:v", f"{name}={text}")
    ]
    source = muxed(
        parts, tmp_path / "source.mkv", "-i", "film.mp4", *tags, "-write_crc32", "0", "-metadata", "title=Film"
    )
    # ffmpeg itself writes none of that name.
    source.write_bytes(source.read_bytes().replace(b"ENCODING_TO_L", b"ENCODING_TOOL"))
    target = tmp_path / f"target.{ending}"
    assert notes(source, target, engine) == ""
    with av.open(str(source)) as before, av.open(str(target)) as after:
        names = {name.lower() for name in before.streams.video[0].metadata}
        untrue = {"encoding_tool", *(name.lower() for name in UNTRUE)}
        assert untrue <= names
        found = {name.lower(): text for name, text in after.streams.video[0].metadata.items()}
        assert not untrue & set(found)
        # MP4 and MOV have no place for the others.
        assert ending != "mkv" or {name.lower(): text for name, text in TRUE.items()}.items() <= found.items()
        assert after.metadata["title"] == "Film"


def test_the_brands_of_an_mp4_are_no_tags_of_a_matroska_file(tmp_path: Path, engine: Engine, parts: Path) -> None:
    upscale_file(parts / "film.mp4", tmp_path / "target.mkv", settings=PLAIN, engine=engine)
    with av.open(str(tmp_path / "target.mkv")) as clip:
        assert set(clip.metadata) == {"ENCODER"}
