"""Everything beside the picture, packet for packet and in its time."""

from pathlib import Path

import av
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import probe, run_ffmpeg
from video_pipeline.upscaling import Engine, upscale_file
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, SMALL, folder, packets


def test_a_clip_without_sound_stays_without(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert probe(tmp_path / "target.mp4").audio == ()


def test_two_languages_late_sound_subtitles_chapters_and_titles_pass(tmp_path: Path, engine: Engine) -> None:
    clip = render(tmp_path / "clip.mp4", frames=50, sound=True)
    (tmp_path / "words.srt").write_text("1\n00:00:00,200 --> 00:00:01,000\nGood morning.\n")
    (tmp_path / "extra.txt").write_text(
        ";FFMETADATA1\ntitle=Dawn\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=One\n"
    )
    source = tmp_path / "source.mp4"
    inputs = ["-i", str(clip), "-itsoffset", "0.4", "-i", str(clip), "-i", str(tmp_path / "words.srt")]
    inputs += ["-i", str(tmp_path / "extra.txt"), "-map_metadata", "3", "-map_chapters", "3"]
    maps = ["-map", "0:v", "-map", "0:a", "-map", "1:a", "-map", "2", "-c", "copy", "-c:s", "mov_text"]
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"]
    run_ffmpeg([*inputs, *maps, *tags, str(source)], timeout_s=20, what="muxing")
    target = tmp_path / "target.mp4"
    upscale_file(source, target, settings=PLAIN, engine=engine)
    assert packets(target, "audio") == packets(source, "audio")
    assert packets(target, "subtitle") == packets(source, "subtitle")
    assert [sound.start_s for sound in probe(target).audio] == [sound.start_s for sound in probe(source).audio]
    assert probe(target).audio[1].start_s == pytest.approx(0.4, abs=0.03)
    with av.open(str(target)) as after:
        assert [stream.language for stream in after.streams.audio] == ["eng", "deu"]
        assert after.metadata["title"] == "Dawn"
        assert [chapter["metadata"]["title"] for chapter in after.chapters()] == ["One"]


def test_sound_that_the_container_cannot_hold_is_refused_and_matroska_takes_it(
    tmp_path: Path, engine: Engine
) -> None:
    clip = render(tmp_path / "clip.mkv", frames=4, sound=True)
    source = tmp_path / "source.mkv"
    convert = ["-i", str(clip), "-c:v", "copy", "-c:a", "wavpack", str(source)]
    run_ffmpeg(convert, timeout_s=20, what="converting")
    with pytest.raises(MediaError, match=r"audio stream of .*wavpack.* cannot be copied into a mp4 file"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    upscale_file(source, tmp_path / "target.mkv", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["clip.mkv", "source.mkv", "target.mkv"]
