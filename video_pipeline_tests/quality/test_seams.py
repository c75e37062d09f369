"""Seams on real files: a shot parted at a frame, with one fault at a time planted in its second half."""

from collections.abc import Callable
from pathlib import Path

import pytest

from video_pipeline.media import run_ffmpeg
from video_pipeline.policy import load_policy
from video_pipeline.quality import Seam, measure_seam

RULES = load_policy().quality.seams
HALF = 24
Part = Callable[..., Path]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """Frames from `first` on of one shot of even motion, with its sound, coded by themselves."""
    folder = tmp_path_factory.mktemp("seams")
    shot = folder / "shot.mkv"
    run_ffmpeg(
        [
            *("-f", "lavfi", "-i", "mandelbrot=size=180x320:rate=24:end_scale=0.01:end_pts=400"),
            *("-f", "lavfi", "-i", "anoisesrc=color=pink:amplitude=0.3:seed=1:r=48000"),
            *("-t", "3", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-pix_fmt", "yuv420p", str(shot)),
        ],
        timeout_s=60,
        what="making a shot",
    )

    def cut(name: str, first: int, *, frames: int = HALF, picture: str = "null", sound: str | None = "anull") -> Path:
        path, start_s, end_s = folder / f"{name}.mp4", first / 24, (first + frames) / 24
        filters = f"trim=start_frame={first}:end_frame={first + frames},setpts=PTS-STARTPTS,{picture}"
        heard = ("-an",) if sound is None else ("-af", f"atrim={start_s}:{end_s},asetpts=PTS-STARTPTS,{sound}")
        coding = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-pix_fmt", "yuv420p")
        run_ffmpeg(
            ["-i", str(shot), "-vf", filters, *heard, *coding, "-y", str(path)], timeout_s=60, what=f"cutting {name}"
        )
        return path

    return cut


@pytest.fixture(scope="module")
def before(part: Part) -> Path:
    return part("before", 0)


def test_a_clean_seam_has_no_fault(part: Part, before: Path) -> None:
    seam = measure_seam(before, part("clean", HALF), RULES)
    assert (seam.told, seam.repeated, seam.jump, seam.gain_db, seam.luma_gain) == ("clean", 0, False, 0.0, 1.0)
    assert seam.least_step * 0.8 < seam.step < seam.largest_step * 1.2


def test_only_what_is_used_of_the_first_segment_counts(part: Part) -> None:
    longer = part("longer", 0, frames=HALF + 12)
    assert measure_seam(longer, part("after_longer", HALF), RULES, length_s=1.0).told == "clean"
    # All of it is twelve frames too much.
    assert measure_seam(longer, part("after_longer", HALF), RULES).jump


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_frames_that_are_shown_again_are_counted(part: Part, before: Path, frames: int) -> None:
    seam = measure_seam(before, part("again", HALF - frames), RULES)
    assert (seam.repeated, seam.jump, seam.faults) == (frames, False, ())
    assert seam.told == f"{frames} repeated frame{'s' * (frames > 1)} dropped"


def test_what_continues_begins_with_the_frame_that_it_was_given(part: Part, before: Path) -> None:
    seam = measure_seam(before, part("given", HALF - 1), RULES, continued=True)
    assert (seam.repeated, seam.faults) == (1, ())


@pytest.mark.parametrize(
    ("first", "picture"),
    [
        pytest.param(HALF + 4, "null", id="frames are missing"),
        pytest.param(HALF, "hflip,vflip", id="another picture"),
    ],
)
def test_a_jump_is_a_fault_of_what_was_to_continue(part: Part, before: Path, first: int, picture: str) -> None:
    after = part("jump", first, picture=picture)
    continued, apart = (measure_seam(before, after, RULES, continued=continued) for continued in (True, False))
    assert continued.jump and continued.repeated == 0
    [fault] = continued.faults
    assert fault.startswith("the picture jumps: a step of ")
    assert (apart.jump, apart.faults, apart.told) == (True, (), "a cut, as the segments were rendered apart")


def test_a_small_colour_shift_is_corrected_and_a_large_one_told(part: Part, before: Path) -> None:
    def shifted(by: float) -> Seam:
        return measure_seam(before, part("shifted", HALF, picture=f"lutyuv=u='val+{by}':v='val-{by}'"), RULES)

    small, large = shifted(6), shifted(20)
    assert small.faults == () and small.colour and 2 < small.colour < 12
    assert small.chroma_shift == pytest.approx((-6, 6), abs=1.5)
    assert large.chroma_shift == (0.0, 0.0)
    assert [fault.partition(" by ")[0] for fault in large.faults] == ["the colour shifts"]


@pytest.mark.parametrize(("by_db", "gain_db", "faults"), [(1, 0, 0), (5, -5, 0), (-5, 5, 0), (-15, 0, 1)])
def test_a_step_of_the_level_is_corrected_or_told(
    part: Part, before: Path, by_db: int, gain_db: int, faults: int
) -> None:
    seam = measure_seam(before, part("level", HALF, sound=f"volume={by_db}dB"), RULES)
    assert seam.loudness_db == pytest.approx(by_db, abs=1)
    assert seam.gain_db == pytest.approx(gain_db, abs=1)
    assert len(seam.faults) == faults


@pytest.mark.parametrize("sound", [None, "volume=0"])
def test_silence_has_no_level_to_compare(part: Part, before: Path, sound: str | None) -> None:
    seam = measure_seam(before, part("silent", HALF, sound=sound), RULES)
    assert (seam.loudness_db, seam.gain_db, seam.faults) == (None, 0.0, ())


def test_where_the_picture_stands_nothing_is_said_to_repeat(tmp_path: Path) -> None:
    still = tmp_path / "still.mp4"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    source = "testsrc=size=180x320:rate=24:duration=0.04,loop=loop=23:size=1"
    run_ffmpeg(["-f", "lavfi", "-i", source, "-t", "1", *coding, str(still)], timeout_s=60, what="making a still")
    apart, continued = (measure_seam(still, still, RULES, continued=continued) for continued in (False, True))
    assert (apart.repeated, apart.told) == (0, "clean")
    # One that continues begins with the frame that it was given all the same.
    assert (continued.repeated, continued.faults) == (1, ())
