"""The probe states what files are, by what is in them and not by their names."""

import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path

import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import probe, run_ffmpeg
from video_pipeline_tests.media.clips import big_buck_bunny, render, trim, without_a_codec


def test_a_real_clips_facts_are_read() -> None:
    info = probe(big_buck_bunny())
    assert info.size_bytes == 1_055_736
    assert info.duration_s == pytest.approx(5.312)
    video = info.video
    assert video is not None
    assert (video.codec, video.size, video.frames, video.rate) == ("h264", (1280, 720), 132, Fraction(25))
    assert (video.pixel_format, video.bit_depth, video.sample_aspect_ratio) == ("yuv420p", 8, Fraction(1))
    assert (video.color_matrix, video.color_primaries, video.color_transfer, video.color_range) == (None,) * 4
    assert video.duration_s == pytest.approx(5.28)
    (sound,) = info.audio
    assert (sound.codec, sound.sample_rate, sound.channels) == ("aac", 48000, 6)
    assert sound.duration_s == pytest.approx(5.312, abs=0.03)


@pytest.mark.parametrize(("name", "options"), [("a.mkv", ()), ("a.mp4", ("-movflags", "frag_keyframe+empty_moov"))])
def test_a_container_that_states_no_frame_count_still_has_its_length(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    info = probe(trim(big_buck_bunny(), tmp_path / name, 10, *options))
    assert info.video is not None and info.video.frames is None
    assert info.duration_s == pytest.approx(0.4, abs=0.03)
    assert info.video.duration_s == pytest.approx(0.4, abs=0.03)


def test_a_stream_written_without_any_length_is_measured(tmp_path: Path) -> None:
    """What a recorder leaves that writes to a pipe: no length in the header at all."""
    live = tmp_path / "live.mkv"
    clip = render(tmp_path / "clip.mkv", frames=10)
    run_ffmpeg(["-i", str(clip), "-c", "copy", "-live", "1", str(live)], timeout_s=20, what="recording")
    info = probe(live)
    assert info.duration_s == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_clip_has_the_size_that_a_player_shows(tmp_path: Path, degrees: int) -> None:
    upright = render(tmp_path / "upright.mp4")
    turned = tmp_path / "turned.mp4"
    turn = ["-display_rotation", str(degrees), "-i", str(upright), "-c", "copy", str(turned)]
    run_ffmpeg(turn, timeout_s=20, what="turning")
    video = probe(turned).video
    assert video is not None
    assert video.rotation == degrees
    assert video.coded_size == (64, 36)
    assert video.size == ((64, 36) if degrees == 180 else (36, 64))


def test_film_rate_pixel_shape_depth_and_colour_tags_are_exact(tmp_path: Path) -> None:
    tags = ("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "pc")
    clip = render(
        tmp_path / "tagged.mp4",
        rate="24000/1001",
        filters="setsar=16/15,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=pc",
        options=("-pix_fmt", "yuv420p10le", *tags),
    )
    video = probe(clip).video
    assert video is not None
    assert video.rate == Fraction(24000, 1001)
    assert video.sample_aspect_ratio == Fraction(16, 15)
    assert (video.pixel_format, video.bit_depth) == ("yuv420p10le", 10)
    assert (video.color_matrix, video.color_primaries, video.color_transfer, video.color_range) == (
        "bt709",
        "bt709",
        "bt709",
        "pc",
    )


def test_a_codec_has_its_own_name_and_not_its_decoders(tmp_path: Path) -> None:
    options = ("-c:v", "libsvtav1", "-c:a", "libmp3lame")
    info = probe(render(tmp_path / "clip.mkv", size=(64, 64), frames=2, sound=True, options=options))
    assert info.video is not None and info.video.codec == "av1"
    assert [stream.codec for stream in info.audio] == ["mp3"]


@pytest.mark.parametrize(
    "within", [(b"moov",), (b"moov", b"trak"), (b"moov", b"trak", b"mdia", b"minf", b"stbl"), (b"moof", b"traf")]
)
def test_boxes_without_end_are_damage_and_take_no_memory(tmp_path: Path, within: tuple[bytes, ...]) -> None:
    """Each with a name of its own, as a list of them all would be the longest."""
    content = b"".join(struct.pack(">II", 8, number) for number in range(300_000))
    for name in reversed(within):
        content = struct.pack(">I4s", 8 + len(content), name) + content
    (tmp_path / "boxes.mp4").write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + content)
    del content
    tracemalloc.start()
    with pytest.raises(
        MediaError, match=r"boxes\.mp4 is damaged or hostile: one of its boxes holds more than 10,000"
    ):
        probe(tmp_path / "boxes.mp4")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The head itself has 2.4 MB.
    assert most < 3_000_000


def test_an_ffmpeg_that_is_killed_is_no_film_without_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    clip = render(tmp_path / "clip.mp4", frames=1)
    monkeypatch.setattr("video_pipeline.media.headers.ffmpeg_exe", lambda: str(tmp_path / "ffmpeg"))
    with pytest.raises(MediaError, match=r"ffmpeg told nothing of .*clip\.mp4 \(exit status -9\)"):
        probe(clip)


def test_a_file_with_sound_only_has_no_video(tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    tone = ["-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac", str(sound)]
    run_ffmpeg(tone, timeout_s=20, what="making a tone")
    info = probe(sound)
    assert info.video is None
    assert [stream.codec for stream in info.audio] == ["aac"]


def test_sound_without_a_decoder_is_unknown_and_refused_only_where_there_is_no_other(tmp_path: Path) -> None:
    """As of iPhones, which put spatial sound beside AAC."""
    one = render(tmp_path / "one.mp4", sound=True)
    both = ["-i", str(one), "-map", "0", "-map", "0:a", "-c", "copy", str(tmp_path / "two.mp4")]
    run_ffmpeg(both, timeout_s=20, what="muxing")
    for track, codecs in ((0, ["unknown", "aac"]), (1, ["aac", "unknown"])):
        info = probe(without_a_codec(tmp_path / "two.mp4", tmp_path / "source.mp4", track))
        assert [(stream.index, stream.codec) for stream in info.audio] == [*enumerate(codecs, 1)]
        assert info.sound is not None and info.sound.codec == "aac"
    with pytest.raises(MediaError, match="the codec of its audio stream is unknown"):
        probe(without_a_codec(one, tmp_path / "source.mp4", 0))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"Once upon a time there was a text.\n" * 40, id="text"),
        pytest.param(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nclip.mkv\n#EXT-X-ENDLIST\n", id="playlist"),
        pytest.param(b"ffconcat version 1.0\nfile clip.mkv\n", id="concat list"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", id="svg"),
        pytest.param(b"\x00" * 4096, id="zeros"),
    ],
)
def test_an_impostor_named_mp4_is_refused(tmp_path: Path, content: bytes) -> None:
    render(tmp_path / "clip.mkv")
    impostor = tmp_path / "impostor.mp4"
    impostor.write_bytes(content)
    with pytest.raises(MediaError, match=r"impostor\.mp4 is not a readable MP4"):
        probe(impostor)


def test_a_missing_an_empty_and_a_truncated_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        probe(tmp_path / "missing.mp4")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(MediaError, match="is empty"):
        probe(empty)
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(big_buck_bunny().read_bytes()[:300_000])
    with pytest.raises(MediaError, match="is not a readable"):
        probe(truncated)
