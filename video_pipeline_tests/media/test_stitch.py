"""Joining segments: order, joins, lengths, sound in step, whole files only."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import Fitting, last_frame, probe, run_ffmpeg, stitch
from video_pipeline_tests.media.conftest import Make

RATE = Fraction(24)
SIZE = (320, 180)


def _colours(path: Path) -> list[str]:
    """The strongest channel of each frame's centre, as R, G or B."""
    with av.open(str(path)) as container:
        centres = (frame.to_ndarray(format="rgb24")[80:100, 150:170] for frame in container.decode(video=0))
        return ["RGB"[int(centre.mean(axis=(0, 1)).argmax())] for centre in centres]


def _loudness(path: Path) -> np.ndarray:
    """Peak of each 10 ms of sound, on the container's clock."""
    with av.open(str(path)) as container:
        samples = np.zeros(48_000 * 20, np.float32)
        for frame in container.decode(audio=0):
            start = round((frame.time or 0.0) * 48_000)
            block = np.abs(frame.to_ndarray()).max(axis=0)
            samples[max(start, 0) : start + len(block)] = block[max(-start, 0) :]
    return samples.reshape(-1, 480).max(axis=1)


@pytest.fixture
def segments(make: Make) -> list[Path]:
    """Different in size, rate, sound and container; their lengths at 24 frames are 36, 30 and 24 frames."""
    return [
        make("a.mp4", "color=red:size=320x180:rate=24", length_s=1.5, audio="sine=frequency=440:sample_rate=44100"),
        make("b.mkv", "color=lime:size=160x160:rate=30", length_s=1.25),
        make("c.mov", "color=blue:size=640x360:rate=25", length_s=1.0, audio="aevalsrc=0.5*sin(900*t)|0:s=48000"),
    ]


def test_segments_follow_each_other_in_the_order_given(segments: list[Path], tmp_path: Path):
    target = tmp_path / "out" / "clip.mp4"
    stitch(segments, target, size=SIZE, rate=RATE, with_audio=True)
    assert "".join(_colours(target)) == "R" * 36 + "G" * 30 + "B" * 24
    stitch(segments[::-1], target, size=SIZE, rate=RATE, with_audio=True)
    assert "".join(_colours(target)) == "B" * 24 + "G" * 30 + "R" * 36


def test_the_joined_clip_is_one_kind_of_file(segments: list[Path], tmp_path: Path):
    target = tmp_path / "clip.mp4"
    stitch(segments, target, size=SIZE, rate=RATE, with_audio=True)
    info = probe(target)
    assert info.video is not None
    assert (info.video.codec, info.video.size, info.video.pixel_format) == ("h264", SIZE, "yuv420p")
    assert (info.video.rate, info.video.sample_aspect_ratio, info.video.frames) == (RATE, 1, 90)
    assert abs(info.duration_s - 3.75) <= 1 / 24
    assert [(track.codec, track.sample_rate, track.channels) for track in info.audio] == [("aac", 48_000, 2)]
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_sound_changes_where_the_picture_does(segments: list[Path], tmp_path: Path):
    target = tmp_path / "clip.mp4"
    stitch(segments, target, size=SIZE, rate=RATE, with_audio=True)
    loud = _loudness(target) > 0.05
    # Joins at 1.50 s and 2.75 s, end at 3.75 s; AAC smears an edge by one of its frames (21 ms).
    assert loud[2:147].all()
    assert not loud[153:272].any()
    assert loud[278:372].all()
    assert not loud[378:].any()


def test_roundings_do_not_add_up_over_many_segments(make: Make, tmp_path: Path):
    rate = Fraction(30_000, 1_001)
    quiet = make("quiet.mp4", "color=red:size=64x64:rate=30000/1001", length_s=0.5, audio="anullsrc")
    loud = make("loud.mp4", "color=blue:size=64x64:rate=30000/1001", length_s=0.5, audio="sine")
    target = tmp_path / "clip.mp4"
    stitch([quiet, loud] * 6, target, size=(64, 64), rate=rate, with_audio=True)
    info = probe(target)
    assert info.video is not None
    join_s = float(info.video.duration_s) * 11 / 12
    rising = [index / 100 for index in np.flatnonzero(np.diff((_loudness(target) > 0.02).astype(int)) == 1)]
    assert len(rising) == 6
    assert abs(rising[-1] - join_s) < 0.035


def test_without_sound_there_is_no_audio_track(segments: list[Path], tmp_path: Path):
    stitch(segments, tmp_path / "clip.mp4", size=SIZE, rate=RATE, with_audio=False)
    assert probe(tmp_path / "clip.mp4").audio == ()


def test_a_segment_of_another_shape_is_shown_whole_between_bars(segments: list[Path], tmp_path: Path):
    target = tmp_path / "clip.mp4"
    stitch(segments[1:], target, size=SIZE, rate=RATE, with_audio=False)
    with av.open(str(target)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert picture[:, :60].max() < 30
    assert picture[:, -60:].max() < 30
    assert picture[5:-5, 80:240, 1].min() > 200


def _tagged(make: Make, matrix: str) -> Path:
    """Saturated red, whose luma is 82 in BT.601 and 63 in BT.709."""
    tags = ("-colorspace", matrix, "-color_primaries", matrix, "-color_trc", matrix)
    picture = f"color=red:size=320x180:rate=24,scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    return make(f"{matrix}.mp4", picture, length_s=0.5, coding=tags)


def _lumas(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [int(frame.to_ndarray(format="yuv420p")[90, 160]) for frame in container.decode(video=0)]


def test_differently_tagged_segments_keep_their_colour(make: Make, tmp_path: Path):
    target = tmp_path / "clip.mp4"
    segments = [_tagged(make, "smpte170m"), _tagged(make, "bt709")]
    stitch(segments, target, size=SIZE, rate=RATE, with_audio=False)
    assert all(abs(luma - 63) <= 2 for luma in _lumas(target))
    info = probe(target)
    assert info.video is not None
    assert info.video.color_matrix == "bt709"


@pytest.mark.parametrize(("matrix", "luma"), [("smpte170m", 82), ("bt709", 63)])
def test_segments_tagged_alike_keep_their_tag(make: Make, tmp_path: Path, matrix: str, luma: int):
    target = tmp_path / "clip.mp4"
    stitch([_tagged(make, matrix)] * 2, target, size=SIZE, rate=RATE, with_audio=False)
    assert all(abs(value - luma) <= 2 for value in _lumas(target))
    info = probe(target)
    assert info.video is not None
    assert info.video.color_matrix == matrix


def test_the_same_segments_give_the_same_bytes(segments: list[Path], tmp_path: Path):
    for name in ("one.mp4", "two.mp4"):
        stitch(segments, tmp_path / name, size=SIZE, rate=RATE, with_audio=True)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_a_single_segment_is_copied_as_it_is(segments: list[Path], tmp_path: Path):
    stitch(segments[:1], tmp_path / "clip.mp4", size=(64, 64), rate=Fraction(12), with_audio=False)
    assert (tmp_path / "clip.mp4").read_bytes() == segments[0].read_bytes()


def test_a_bad_segment_leaves_nothing_behind(segments: list[Path], make: Make, tmp_path: Path):
    folder = tmp_path / "out"
    broken, missing = tmp_path / "broken.mp4", tmp_path / "missing.mp4"
    broken.write_bytes(segments[0].read_bytes()[:600])
    for bad in (broken, missing):
        with pytest.raises(MediaError, match=bad.name):
            stitch([segments[0], bad], folder / "clip.mp4", size=SIZE, rate=RATE, with_audio=True)
    with pytest.raises(MediaError, match="no segment"):
        stitch([], folder / "clip.mp4", size=SIZE, rate=RATE, with_audio=True)
    assert list(folder.iterdir()) == []


# --- fittings ------------------------------------------------------------------------------------------------------


def _samples(path: Path) -> np.ndarray:
    """The left channel, on the picture's clock."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def _luma(path: Path, frame: int) -> float:
    with av.open(str(path)) as container:
        return [float(one.to_ndarray(format="yuv420p")[:180].mean()) for one in container.decode(video=0)][frame]


def test_what_repeats_is_dropped_with_its_sound(make: Make, tmp_path: Path):
    # Two red frames before the green, and a noise that begins with the green.
    red, green = (make(f"{name}.mp4", f"color={name}:size=320x180:rate=24", length_s=0.5) for name in ("red", "lime"))
    stitch([red, green], tmp_path / "second.mp4", size=SIZE, rate=RATE, with_audio=False, lengths_s=[2 / 24, None])
    sound = "aevalsrc=if(lt(t\\,1/12)\\,0\\,0.5*sin(2000*t)):s=48000"
    second = tmp_path / "heard.mp4"
    run_ffmpeg(
        [*("-i", str(tmp_path / "second.mp4"), "-f", "lavfi", "-i", sound), "-shortest", "-c:v", "copy", str(second)],
        timeout_s=60,
        what="adding sound",
    )
    first = make("first.mp4", "color=red:size=320x180:rate=24", length_s=1.0, audio="anullsrc=r=48000")
    target = tmp_path / "clip.mp4"
    stitch([first, second], target, size=SIZE, rate=RATE, with_audio=True, fittings=[Fitting(), Fitting(dropped=2)])
    assert "".join(_colours(target)) == "R" * 24 + "G" * 12
    loud = _loudness(target) > 0.1
    # The sound begins with the green, at 1 s, within a frame of 42 ms.
    assert abs(int(np.flatnonzero(loud)[0]) - 100) <= 4
    with av.open(str(target)) as container:
        stamps = sorted(packet.pts for packet in container.demux(video=0) if packet.pts is not None)
    assert len(stamps) == 36
    assert len(set(np.diff(stamps))) == 1


@pytest.mark.parametrize(
    ("lengths_s", "fittings"),
    [
        pytest.param([None, None], [Fitting(), Fitting(dropped=1)], id="over what is dropped"),
        pytest.param([0.5, None], [Fitting(), Fitting()], id="over what was cut off"),
        pytest.param([None, None], [Fitting(), Fitting()], id="to zero"),
    ],
)
def test_no_click_is_heard_at_a_join(
    make: Make, tmp_path: Path, lengths_s: list[float | None], fittings: list[Fitting]
):
    # At their ends both are at their loudest, with opposite signs.
    one = make("one.mp4", "testsrc=size=64x64:rate=24", length_s=1.0, audio="aevalsrc=0.5*cos(400*PI*t):s=48000")
    two = make("two.mp4", "testsrc=size=64x64:rate=24", length_s=1.0, audio="aevalsrc=-0.5*cos(400*PI*t):s=48000")
    target = tmp_path / "clip.mp4"
    stitch([one, two], target, size=(64, 64), rate=RATE, with_audio=True, lengths_s=lengths_s, fittings=fittings)
    info = probe(target)
    assert info.video is not None and info.sound is not None
    assert abs(info.sound.duration_s - info.video.duration_s) <= 1 / 24
    around = _samples(target)[2400:-2400]
    # What the tone of 200 Hz has at its steepest, and what coding and fading add; a click would be ten times that.
    assert np.abs(np.diff(around)).max() < 0.5 * 2 * np.pi * 200 / 48_000 * 2.5


def test_colour_and_level_are_brought_to_those_before(make: Make, tmp_path: Path):
    one = make("one.mp4", "color=gray:size=320x180:rate=24", length_s=0.5, audio="aevalsrc=0.5*sin(2000*t):s=48000")
    two = make(
        "two.mp4", "color=0x404040:size=320x180:rate=24", length_s=0.5, audio="aevalsrc=0.1*sin(2000*t):s=48000"
    )
    have, want = _luma(two, 3), _luma(one, 3)
    target = tmp_path / "clip.mp4"
    fitting = Fitting(luma_gain=(want - 16) / (have - 16), gain_db=20 * float(np.log10(5)))
    stitch([one, two], target, size=SIZE, rate=RATE, with_audio=True, fittings=[Fitting(), fitting])
    assert abs(_luma(target, 2) - _luma(target, 20)) < 1.5
    samples = _samples(target)
    assert np.abs(samples[36_000:45_000]).max() == pytest.approx(np.abs(samples[4_800:18_000]).max(), rel=0.1)


def test_the_last_frame_is_the_last_that_is_joined(make: Make, tmp_path: Path):
    parts = [make(f"{name}.mp4", f"color={name}:size=320x180:rate=24", length_s=0.5) for name in ("red", "lime")]
    stitch(parts, tmp_path / "both.mp4", size=SIZE, rate=RATE, with_audio=False)
    # One frame more than the first half is the first of the green.
    shown = [last_frame(tmp_path / "both.mp4", length_s) for length_s in (0.5, 0.5 + 1 / 24, None)]
    strongest = ["RGB"[int(np.asarray(picture)[80:100, 150:170].mean(axis=(0, 1)).argmax())] for picture in shown]
    assert strongest == ["R", "G", "G"]
