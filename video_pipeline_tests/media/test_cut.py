"""Cutting one clip: a frame-exact end, sound that ends with it, a picture that is not touched without need."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import cut, probe, run_ffmpeg, stitch
from video_pipeline.policy import load_policy
from video_pipeline.quality.measurement import measure
from video_pipeline_tests.media.clips import render, without_a_codec
from video_pipeline_tests.media.conftest import Make

PICTURE = "testsrc2=size=320x180:rate=24"
# Every fourth picture is coded before the three between: after 24 of them a cut is clean, after 25 it is not.
PYRAMID = ("-bf", "3", "-x264-params", "b-adapt=0:keyint=240:min-keyint=240:scenecut=0", "-g", "240")
PLAIN = ("-bf", "0")


def _pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def _packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def _sound_end_s(path: Path) -> float:
    """When the last sample is heard that is not silence."""
    with av.open(str(path)) as container:
        ends = [
            (frame.time or 0.0) + float(np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > 0.02)[-1]) / 48_000
            for frame in container.decode(audio=0)
            if np.abs(frame.to_ndarray()).max() > 0.02
        ]
    return max(ends)


@pytest.mark.parametrize(("length_s", "frames"), [(1.25, 30), (1.27, 30), (1.28, 31), (0.01, 1), (9.0, 48)])
def test_the_clip_ends_with_the_frame_that_the_length_ends_in(
    make: Make, tmp_path: Path, length_s: float, frames: int
):
    source, target = make("a.mp4", PICTURE, length_s=2, coding=PLAIN), tmp_path / "cut.mp4"
    cut(source, target, length_s=length_s, with_audio=False)
    info = probe(target)
    assert info.video is not None
    assert (info.video.frames, info.video.rate) == (frames, 24)
    assert info.duration_s == pytest.approx(frames / 24, abs=0.002)


def test_a_picture_that_is_coded_in_its_order_is_copied(make: Make, tmp_path: Path):
    source, target = make("a.mp4", PICTURE, length_s=2, audio="sine", coding=PLAIN), tmp_path / "cut.mp4"
    cut(source, target, length_s=1.25, with_audio=True)
    assert _packets(target) == _packets(source)[:30]


@pytest.mark.parametrize(
    "coding",
    [
        ("libsvtav1", "-preset", "10"),
        ("libvpx-vp9", "-deadline", "realtime"),
        ("libx265", "-x265-params", "bframes=0:log-level=none"),
    ],
    ids=lambda coding: coding[0],
)
def test_other_codecs_that_mp4_holds_are_copied_too(make: Make, tmp_path: Path, coding: tuple[str, ...]):
    """Whatever their decoders are called."""
    picture = "testsrc2=size=64x64:rate=24"
    source, target = make("a.mp4", picture, length_s=0.5, coding=("-c:v", *coding)), tmp_path / "cut.mp4"
    cut(source, target, length_s=0.25, with_audio=False)
    assert _packets(target) == _packets(source)[:6]


@pytest.mark.parametrize("frames", range(20, 30))
def test_wherever_it_is_cut_the_pictures_are_those_of_the_source(make: Make, tmp_path: Path, frames: int):
    source, target = make("a.mp4", PICTURE, length_s=2, coding=PYRAMID), tmp_path / "cut.mp4"
    cut(source, target, length_s=frames / 24, with_audio=False)
    there, here = _pictures(source)[:frames], _pictures(target)
    assert len(here) == frames
    assert max(float(np.abs(a.astype(float) - b).mean()) for a, b in zip(there, here, strict=True)) < 2


def test_where_later_pictures_are_coded_first_only_a_clean_cut_copies(make: Make, tmp_path: Path):
    source, target = make("a.mp4", PICTURE, length_s=2, coding=PYRAMID), tmp_path / "cut.mp4"
    coded, copied = _packets(source), []
    for frames in range(20, 30):
        cut(source, target, length_s=frames / 24, with_audio=False)
        copied.append(_packets(target) == coded[:frames])
    assert any(copied) and not all(copied)


@pytest.mark.parametrize("coding", [PLAIN, PYRAMID], ids=["copied", "coded again"])
def test_the_sound_ends_with_the_picture(make: Make, tmp_path: Path, coding: tuple[str, ...]):
    source, target = make("a.mp4", PICTURE, length_s=2, audio="sine", coding=coding), tmp_path / "cut.mp4"
    cut(source, target, length_s=23 / 24, with_audio=True)
    info = probe(target)
    assert [(track.codec, track.sample_rate, track.channels) for track in info.audio] == [("aac", 48_000, 2)]
    # AAC smears an edge by one of its frames (21 ms).
    assert _sound_end_s(target) == pytest.approx(23 / 24, abs=0.025)
    assert info.duration_s == pytest.approx(23 / 24, abs=0.025)


@pytest.mark.parametrize("coding", [PLAIN, PYRAMID], ids=["plain", "pyramid"])
def test_sound_is_left_out_without_touching_the_picture(make: Make, tmp_path: Path, coding: tuple[str, ...]):
    source, target = make("a.mp4", PICTURE, length_s=1, audio="sine", coding=coding), tmp_path / "cut.mp4"
    cut(source, target, with_audio=False)
    assert probe(target).audio == ()
    assert _packets(target) == _packets(source)


def test_the_same_cut_gives_the_same_bytes(make: Make, tmp_path: Path):
    source = make("a.mp4", PICTURE, length_s=1, audio="sine")
    for name in ("one.mp4", "two.mp4"):
        cut(source, tmp_path / name, length_s=0.5, with_audio=True)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_a_file_without_a_picture_is_not_cut(make: Make, tmp_path: Path):
    (tmp_path / "no.mp4").write_bytes(b"no clip")
    with pytest.raises(MediaError, match=r"no\.mp4"):
        cut(tmp_path / "no.mp4", tmp_path / "cut.mp4", length_s=1, with_audio=False)
    assert not (tmp_path / "cut.mp4").exists()


def test_segments_are_joined_as_far_as_they_are_wanted(make: Make, tmp_path: Path):
    segments = [
        make("a.mp4", "color=red:size=320x180:rate=24", length_s=1, audio="sine"),
        make("b.mp4", "color=blue:size=320x180:rate=24", length_s=1, audio="anullsrc"),
    ]
    target = tmp_path / "clip.mp4"
    stitch(segments, target, size=(320, 180), rate=Fraction(24), with_audio=True, lengths_s=[0.5, None])
    info = probe(target)
    assert info.video is not None
    assert info.video.frames == 36
    assert _sound_end_s(target) == pytest.approx(0.5, abs=0.025)


def test_of_two_sound_tracks_the_one_that_can_be_decoded_is_heard(tmp_path: Path):
    """In a cut, in a joined clip, and by whoever measures it."""
    one = render(tmp_path / "one.mp4", sound=True, options=("-bf", "0"))
    both = ["-i", str(one), "-map", "0", "-map", "0:a", "-c", "copy", str(tmp_path / "two.mp4")]
    run_ffmpeg(both, timeout_s=20, what="muxing")
    source = without_a_codec(tmp_path / "two.mp4", tmp_path / "source.mp4", 0)
    cut(source, tmp_path / "cut.mp4", length_s=0.2, with_audio=True)
    stitch([source, source], tmp_path / "joined.mp4", size=(64, 36), rate=Fraction(25), with_audio=True)
    for path, length_s in ((tmp_path / "cut.mp4", 0.2), (tmp_path / "joined.mp4", 0.48)):
        assert _sound_end_s(path) == pytest.approx(length_s, abs=0.03)
    assert measure(source, load_policy().quality.technical).audio_peak > 0.05
