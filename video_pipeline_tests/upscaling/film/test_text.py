"""Titles, handler names, chapters and tags in whatever encoding: kept or replaced, and never in the film's way."""

from pathlib import Path

import av
import pytest

from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Engine, upscale_file
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, timestamps

# Bytes in a file, and the text that is written. Shift-JIS, Windows-1251, Latin-1, UTF-8 that was cut, none.
TEXTS = [
    (b"\x83\x65\x83\x58\x83\x67", "ƒeƒXƒg"),
    (b"\xce\xe1\xf0\xe0\xe1\xee\xf2", "Îáðàáîò"),
    (b"caf\xe9", "café"),
    (b"F\xc3\xbc\xc3", "FüÃ"),
    (b"\x81\x9d", "\N{REPLACEMENT CHARACTER}" * 2),
    ("映画 🎬".encode(), "映画 🎬"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("text") / "clip.mp4", frames=3, sound=True)


def _argument(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(("raw", "text"), TEXTS, ids=[repr(text) for _, text in TEXTS])
def test_text_in_any_encoding_is_read_and_written_as_utf_8(
    tmp_path: Path, engine: Engine, clip: Path, raw: bytes, text: str, suffix: str
) -> None:
    source, extra = tmp_path / f"source{suffix}", tmp_path / "extra.txt"
    chapter = b";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=100\ntitle="
    extra.write_bytes(chapter + raw + b"\n")
    inputs = ["-i", str(clip), "-i", str(extra), "-map", "0:v", "-map", "0:a", "-map_chapters", "1", "-c", "copy"]
    tags = ["-metadata", f"title={_argument(raw)}", "-metadata:s:v", f"handler_name={_argument(raw)}"]
    run_ffmpeg([*inputs, *tags, str(source)], timeout_s=20, what="writing text")
    for target in (tmp_path / f"target{kind}" for kind in (".mp4", ".mov", ".mkv")):
        upscale_file(source, target, settings=PLAIN, engine=engine)
        # PyAV raises here where a byte is no UTF-8.
        with av.open(str(target)) as written:
            tags = {name.lower(): value for name, value in written.streams.video[0].metadata.items()}
            assert written.metadata["title"] == text
            assert tags["handler_name"] == text
            assert [chapter["metadata"]["title"] for chapter in written.chapters()] == [text]
        assert len(timestamps(target)) == 3


def test_a_sound_tracks_title_is_text_too(tmp_path: Path, engine: Engine, clip: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "target.mkv"
    title = f"title={_argument(TEXTS[1][0])}"
    run_ffmpeg(
        ["-i", str(clip), "-c", "copy", "-metadata:s:a", title, str(source)], timeout_s=20, what="writing text"
    )
    upscale_file(source, target, settings=PLAIN, engine=engine)
    with av.open(str(target)) as written:
        assert written.streams.audio[0].metadata["title"] == TEXTS[1][1]
