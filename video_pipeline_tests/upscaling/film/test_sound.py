"""Everything beside the picture, packet for packet and in its time."""

from pathlib import Path

import av
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import probe, run_ffmpeg
from video_pipeline.upscaling import Engine, upscale_file
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, SMALL, folder, packets, timestamps


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


# Later than the picture, earlier (an edit list, or a picture that starts late), and a picture that is late itself.
OFFSETS = [("0.35", "0"), ("-0.35", "0"), ("0", "0.4"), ("0.1", "0.25")]


@pytest.mark.parametrize(("sound_s", "picture_s"), OFFSETS, ids=str)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_starts_at_another_time_than_the_picture_still_does(
    tmp_path: Path, engine: Engine, sound_s: str, picture_s: str, suffix: str
) -> None:
    clip = str(render(tmp_path / "clip.mp4", frames=50, sound=True))
    source, target = tmp_path / f"source{suffix}", tmp_path / f"target{suffix}"
    inputs = ["-itsoffset", picture_s, "-i", clip, "-itsoffset", sound_s, "-i", clip]
    run_ffmpeg([*inputs, "-map", "0:v", "-map", "1:a", "-c", "copy", str(source)], timeout_s=20, what="shifting")
    upscale_file(source, target, settings=PLAIN, engine=engine)
    assert timestamps(target) == timestamps(source)
    # Matroska rounds the length of the packet before a gap away.
    before, after = packets(source, "audio")[0], packets(target, "audio")[0]
    assert [(time, content) for time, _, content in after] == [(time, content) for time, _, content in before]
    assert probe(target).audio[0].start_s == probe(source).audio[0].start_s
    assert before[0][0] is not None
    apart = float(before[0][0] - timestamps(source)[0])
    assert apart == pytest.approx(float(sound_s) - float(picture_s), abs=0.03)
    assert abs(probe(target).duration_s - probe(source).duration_s) < 1 / 25


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("pcm_s16le", ".mov"), ("pcm_s16le", ".mkv"), ("libopus", ".mkv"), ("flac", ".mkv"), ("ac3", ".mov")],
)
def test_other_sound_is_copied_to_the_byte_into_its_own_container(
    tmp_path: Path, engine: Engine, codec: str, suffix: str
) -> None:
    clip = render(tmp_path / "clip.mp4", frames=25, sound=True)
    source, target = tmp_path / f"source{suffix}", tmp_path / f"target{suffix}"
    run_ffmpeg(["-i", str(clip), "-c:v", "copy", "-c:a", codec, str(source)], timeout_s=20, what=f"making {codec}")
    upscale_file(source, target, settings=PLAIN, engine=engine)
    assert packets(target, "audio") == packets(source, "audio")
    assert [sound.codec for sound in probe(target).audio] == [sound.codec for sound in probe(source).audio]


def test_opus_is_copied_from_matroska_into_mp4(tmp_path: Path, engine: Engine) -> None:
    clip = render(tmp_path / "clip.mp4", frames=25, sound=True)
    source, target = tmp_path / "source.mkv", tmp_path / "target.mp4"
    run_ffmpeg(["-i", str(clip), "-c:v", "copy", "-c:a", "libopus", str(source)], timeout_s=20, what="making opus")
    upscale_file(source, target, settings=PLAIN, engine=engine)
    before, after = packets(source, "audio")[0], packets(target, "audio")[0]
    assert [(time, content) for time, _, content in after] == [(time, content) for time, _, content in before]


def test_sound_that_a_muxer_refuses_only_when_it_writes_is_told_before_that(tmp_path: Path, engine: Engine) -> None:
    """QuickTime has no Opus; and audio packets that two share one time fit nowhere."""
    clip = str(render(tmp_path / "clip.mp4", frames=25, sound=True))
    opus, doubled = tmp_path / "opus.mkv", tmp_path / "doubled.mp4"
    run_ffmpeg(["-i", clip, "-c:v", "copy", "-c:a", "libopus", str(opus)], timeout_s=20, what="making opus")
    flags = ["-movflags", "frag_every_frame+empty_moov+default_base_moof"]
    run_ffmpeg(["-i", clip, "-c", "copy", *flags, str(doubled)], timeout_s=20, what="making fragments")
    with pytest.raises(MediaError, match=r"A stream of .*opus\.mkv \(audio opus\) cannot be copied into a mov file"):
        upscale_file(opus, tmp_path / "target.mov", settings=PLAIN, engine=engine)
    with pytest.raises(
        MediaError, match=r"Two packets of .*doubled\.mp4 \(audio\) have one time, .* remux the source"
    ):
        upscale_file(doubled, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["clip.mp4", "doubled.mp4", "opus.mkv"]


def test_subtitles_of_matroska_stay_in_matroska_and_are_refused_for_mp4(tmp_path: Path, engine: Engine) -> None:
    clip = render(tmp_path / "clip.mp4", frames=50, sound=True)
    words, source = tmp_path / "words.srt", tmp_path / "source.mkv"
    words.write_text("1\n00:00:00,200 --> 00:00:01,000\nGood morning.\n")
    run_ffmpeg(["-i", str(clip), "-i", str(words), "-c", "copy", str(source)], timeout_s=20, what="muxing")
    with pytest.raises(MediaError, match=r"subtitle stream .* cannot be copied into a mp4 file .* write a \.mkv"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    upscale_file(source, tmp_path / "target.mkv", settings=PLAIN, engine=engine)
    assert packets(tmp_path / "target.mkv", "subtitle") == packets(source, "subtitle")
    assert len(packets(source, "subtitle")[0]) == 1
