"""The technical checks on real footage, and on one fault at a time."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from video_pipeline.media import run_ffmpeg
from video_pipeline.policy import TechnicalThresholds, load_policy
from video_pipeline.quality import CHECKS, ClipVerdict, Consequence, Expectation, Gate
from video_pipeline.quality import check_clip as check_against
from video_pipeline_tests.quality.conftest import Make

THRESHOLDS = load_policy().quality.technical.model_copy(update={"min_bytes": 1})
ORDER = Expectation(size=(320, 180), duration_s=2.0, audio=True)
MOVING = ("-f", "lavfi", "testsrc2=size=320x180:rate=24")
NAMES = ["playable", "resolution", "duration", "file_size", "audio", "black", "frozen", "garbled", "seams"]


def check_clip(path: Path, expected: Expectation, thresholds: TechnicalThresholds = THRESHOLDS) -> ClipVerdict:
    """The check as a finished clip's; small files are none of its business here."""
    return check_against(path, expected, thresholds)


def _failed(verdict: ClipVerdict) -> list[str]:
    return [check.name for check in verdict.failures]


@pytest.mark.parametrize(
    ("name", "size", "duration_s", "audio"),
    [
        ("bigbuckbunny.mp4", (1280, 720), 5.28, True),
        ("bikes.mp4", (640, 272), 10.0, False),
        ("carphone_pristine.mp4", (176, 144), 4.0, False),
    ],
)
def test_real_footage_passes(footage: Path, name: str, size: tuple[int, int], duration_s: float, audio: bool):
    verdict = check_clip(footage / name, Expectation(size=size, duration_s=duration_s, audio=audio))
    assert verdict.passed, verdict.failures
    assert [check.name for check in verdict.checks] == NAMES


def test_heavy_grain_passes(footage: Path, make: Make):
    grainy = make("grain.mp4", "-r", "25", str(footage / "bikes.mp4"), audio=None, length_s=1.5)
    noisy = grainy.with_name("noisy.mp4")
    run_ffmpeg(
        [*("-i", str(grainy), "-vf", "scale=640:-2,noise=alls=40:allf=t", "-c:v", "libx264"), "-y", str(noisy)],
        timeout_s=60,
        what="adding grain",
    )
    assert _failed(check_clip(noisy, Expectation(size=(640, 272), duration_s=1.5, audio=False))) == []


def test_animation_on_threes_and_fast_cuts_pass(make: Make, footage: Path):
    threes = make("threes.mp4", "-f", "lavfi", "testsrc2=size=320x180:rate=8,fps=24")
    assert _failed(check_clip(threes, ORDER)) == []
    # A cut to another place of the street every eighth of a second.
    cuts = make(
        "cuts.mp4",
        *("-f", "lavfi"),
        f"movie={footage / 'bikes.mp4'},fps=24,select='lt(mod(n\\,24)\\,4)',setpts=N/24/TB,scale=426:180",
        length_s=1.5,
    )
    assert _failed(check_clip(cuts, ORDER.model_copy(update={"duration_s": 1.5}))) == []


def _at_night(folder: Path, *, remembered: bool) -> str:
    """Two seconds of a city at night, as ffmpeg's pattern of pictures: lit windows that stay, lights that drive by.

    With `remembered` False every picture has its lights elsewhere, as decoding gone wrong has.
    """
    folder.mkdir()
    dice = random.Random(7)

    def windows() -> list[tuple[int, int, int]]:
        return [(dice.randrange(320), dice.randrange(30, 140), dice.randrange(110, 256)) for _ in range(700)]

    lit = windows()
    cars = [(dice.randrange(320), dice.randrange(145, 178), dice.choice((-5, -3, 3, 5))) for _ in range(40)]
    for number in range(48):
        picture = Image.new("RGB", (320, 180), (4, 5, 9))
        draw = ImageDraw.Draw(picture)
        for left, top, bright in lit if remembered else windows():
            draw.rectangle((left, top, left + 1, top + 1), fill=(bright, bright * 9 // 10, bright * 6 // 10))
        for left, top, speed in cars:
            draw.ellipse(
                ((left + speed * number) % 320, top, (left + speed * number) % 320 + 2, top + 2), fill="white"
            )
        picture.save(folder / f"{number:03d}.png")
    return str(folder / "%03d.png")


def test_the_lights_of_a_city_at_night_pass(make: Make, tmp_path: Path):
    path = make("night.mp4", "-framerate", "24", _at_night(tmp_path / "night", remembered=True))
    assert _failed(check_clip(path, ORDER)) == []
    # The night is what lets them pass: by themselves they look like noise.
    strict = THRESHOLDS.model_copy(update={"night_pixels": 1.0})
    assert _failed(check_clip(path, ORDER, strict)) == ["garbled"]


def test_speckles_in_the_dark_that_no_picture_shares_with_the_next_are_garbled(make: Make, tmp_path: Path):
    path = make("speckles.mp4", "-framerate", "24", _at_night(tmp_path / "speckles", remembered=False))
    assert _failed(check_clip(path, ORDER)) == ["garbled"]


def test_a_night_without_any_light_is_black(make: Make):
    dark = make("dark.mp4", "-f", "lavfi", "color=0x040509:size=320x180:rate=24,noise=alls=8:allf=t")
    assert _failed(check_clip(dark, ORDER)) == ["black"]


@pytest.mark.parametrize(
    ("video", "failed"),
    [
        ("color=black:size=320x180:rate=24", ["black"]),
        ("testsrc2=size=320x180:rate=24,loop=-1:1", ["frozen"]),
        ("nullsrc=size=320x180:rate=24,geq=random(1)*255:128:128", ["garbled"]),
        ("testsrc2=size=320x180:rate=24,trim=end=1,tpad=stop_mode=clone:stop_duration=1", ["frozen"]),
        ("testsrc2=size=320x180:rate=24,trim=end=1,tpad=stop=-1:color=black", ["black"]),
        ("testsrc2=size=240x180:rate=24", ["resolution"]),
        ("testsrc2=size=180x320:rate=24", ["resolution"]),
    ],
)
def test_a_faulty_picture_fails_its_own_check_only(make: Make, video: str, failed: list[str]):
    path = make(f"fault-{abs(hash(video))}.mp4", "-f", "lavfi", video)
    assert _failed(check_clip(path, ORDER)) == failed


def test_a_frozen_picture_under_coarse_coding_is_still_frozen(make: Make, footage: Path):
    path = make(
        "frozen-real.mp4",
        *("-f", "lavfi"),
        f"movie={footage / 'bikes.mp4'},loop=-1:1,noise=alls=10,scale=640:272",
    )
    coarse = path.with_name("frozen-coarse.mp4")
    arguments = ("-i", str(path), "-c:v", "libx264", "-crf", "38", "-g", "24", "-c:a", "copy", "-y", str(coarse))
    run_ffmpeg(arguments, timeout_s=60, what="coding coarsely")
    assert _failed(check_clip(coarse, ORDER)) == ["frozen"]


def test_torn_lines_are_garbled(make: Make, footage: Path):
    torn = "lum='lum(mod(X+mod(Y*37,W),W),Y)':cb=128:cr=128"
    path = make(
        "torn.mp4", "-f", "lavfi", f"movie={footage / 'bikes.mp4'},scale=426:180,fps=24,geq={torn}", length_s=1
    )
    assert _failed(check_clip(path, ORDER.model_copy(update={"duration_s": 1.0}))) == ["garbled"]


@pytest.mark.parametrize(
    ("audio", "length_s", "failed"),
    [
        (None, 2.0, ["audio"]),
        ("anullsrc=channel_layout=stereo:sample_rate=48000", 2.0, ["audio"]),
        ("sine=duration=0.5", 2.0, ["audio"]),
        ("sine=frequency=440", 1.7, ["duration"]),
        ("sine=frequency=440", 1.85, []),
        ("sine=frequency=440", 2.3, ["duration"]),
    ],
)
def test_sound_and_length_are_compared_with_the_order(
    make: Make, audio: str | None, length_s: float, failed: list[str]
):
    path = make(f"sound-{audio and audio[:8]}-{length_s}.mp4", *MOVING, audio=audio, length_s=length_s)
    assert _failed(check_clip(path, ORDER)) == failed


@pytest.mark.parametrize("codec", ["flac", "aac"])
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_every_channel_is_heard_and_no_other_memory(tmp_path: Path, make: Make, codec: str, channels: int):
    """Sound of eight planes had no end to PyAV, and ended the process."""
    path, layout = tmp_path / "clip.mp4", {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[channels]
    tones = "|".join([*["0"] * (channels - 1), "0.5*sin(2*PI*440*t)"])
    sound = ["-f", "lavfi", "-i", f"aevalsrc=exprs={tones}:channel_layout={layout}:sample_rate=48000", "-c:a", codec]
    mute = str(make("mute.mp4", *MOVING, audio=None))
    run_ffmpeg(
        ["-i", mute, *sound, "-strict", "-2", "-c:v", "copy", "-t", "2", str(path)], timeout_s=30, what="adding"
    )
    verdict = check_clip(path, ORDER)
    assert verdict.passed
    peak = float(next(check for check in verdict.checks if check.name == "audio").measured.rpartition(" ")[2])
    assert peak == pytest.approx(0.5, abs=0.01 if codec == "flac" else 0.4)


def test_more_channels_than_can_be_told_apart_are_a_failed_check(tmp_path: Path, make: Make):
    path, mute = tmp_path / "clip.mkv", str(make("mute.mp4", *MOVING, audio=None))
    noise = ["-f", "lavfi", "-i", f"aevalsrc=exprs={'|'.join(['random(0)'] * 12)}:channel_layout=12c"]
    coded = ["-c:v", "copy", "-c:a", "libvorbis", "-t", "2", str(path)]
    run_ffmpeg(["-i", mute, *noise, *coded], timeout_s=30, what="adding twelve channels")
    verdict = check_clip(path, ORDER)
    assert _failed(verdict) == ["playable"]
    assert "has sound of 12 channels; mix it down to 8" in verdict.checks[0].message


def test_sound_that_was_not_ordered_is_not_missed(make: Make):
    path = make("mute.mp4", *MOVING, audio=None)
    assert check_clip(path, ORDER.model_copy(update={"audio": False})).passed


def test_a_small_file_fails_by_its_size(make: Make):
    path = make("small.mp4", *MOVING)
    strict = THRESHOLDS.model_copy(update={"min_bytes": path.stat().st_size + 1})
    assert _failed(check_clip(path, ORDER, strict)) == ["file_size"]


@pytest.mark.parametrize("share", [0.95, 0.5])
def test_a_truncated_file_is_not_playable(make: Make, tmp_path: Path, share: float):
    whole = make("whole.mp4", *MOVING)
    front = tmp_path / "front.mp4"
    copy = ("-i", str(whole), "-c", "copy", "-movflags", "+faststart", str(front))
    run_ffmpeg(copy, timeout_s=60, what="moving the index to the front")
    for source in (whole, front):
        cut = tmp_path / f"cut-{source.name}"
        cut.write_bytes(source.read_bytes()[: int(source.stat().st_size * share)])
        assert _failed(check_clip(cut, ORDER))[0] == "playable"


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_are_not_playable(footage: Path, tmp_path: Path, seed: int):
    data = bytearray((footage / "bikes.mp4").read_bytes())
    start = data.index(b"mdat") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    dice = random.Random(seed)
    for _ in range(5):
        data[start + dice.randrange(length)] ^= 1 << dice.randrange(8)
    path = tmp_path / "flipped.mp4"
    path.write_bytes(data)
    verdict = check_clip(path, Expectation(size=(640, 272), duration_s=10.0, audio=False))
    assert _failed(verdict) == ["playable"]
    assert "Decoding went wrong" in verdict.failures[0].message


@pytest.mark.parametrize(
    "content",
    [b"", b"<!doctype html><title>502</title>" * 3000, b"#EXTM3U\nfile:///etc/passwd\n" * 3000, b"\0" * 60_000],
    ids=["empty", "html", "playlist", "zeros"],
)
def test_a_file_that_is_no_media_is_a_verdict(tmp_path: Path, content: bytes):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    verdict = check_clip(path, Expectation(size=(320, 180), duration_s=2.0, audio=False))
    assert _failed(verdict) == ["playable"] if content else ["playable", "file_size"]
    assert "clip.mp4" in verdict.failures[0].message


def test_a_missing_file_and_sound_alone_are_verdicts(tmp_path: Path):
    assert _failed(check_clip(tmp_path / "gone.mp4", ORDER)) == ["playable", "file_size"]
    sound = tmp_path / "sound.mp4"
    run_ffmpeg(("-f", "lavfi", "-i", "sine", "-t", "2", str(sound)), timeout_s=60, what="making sound")
    assert _failed(check_clip(sound, ORDER)) == ["playable"]


def test_a_turned_picture_is_measured_as_it_is_shown(make: Make, tmp_path: Path):
    portrait = tmp_path / "portrait.mp4"
    turn = ("-display_rotation", "90", "-i", str(make("landscape.mp4", *MOVING)), "-c", "copy", str(portrait))
    run_ffmpeg(turn, timeout_s=60, what="turning")
    assert check_clip(portrait, ORDER.model_copy(update={"size": (180, 320)})).passed
    assert _failed(check_clip(portrait, ORDER)) == ["resolution"]


@pytest.mark.parametrize(
    "coding",
    [
        ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "coded.mp4"),
        ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus", "coded.webm"),
        ("-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov", "coded.mp4"),
        ("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=12:bframes=3", "-c:a", "pcm_s16le", "coded.mov"),
    ],
    ids=["hevc", "vp9", "fragmented", "open-gop"],
)
def test_other_ways_of_coding_are_no_errors(make: Make, tmp_path: Path, coding: tuple[str, ...]):
    path = tmp_path / coding[-1]
    source = make("source.mp4", *MOVING, length_s=2.1)
    run_ffmpeg(("-i", str(source), *coding[:-1], str(path)), timeout_s=60, what="coding")
    assert _failed(check_clip(path, ORDER)) == []


def test_a_clip_cut_without_coding_it_again_is_no_error(make: Make, tmp_path: Path):
    """Such a file hides its first frames by an edit list."""
    path = tmp_path / "cut.mp4"
    source = make("source.mp4", *MOVING, length_s=2.1)
    run_ffmpeg(("-ss", "0.2", "-i", str(source), "-c", "copy", str(path)), timeout_s=60, what="cutting")
    assert _failed(check_clip(path, ORDER)) == []


def test_decoding_stops_at_its_time_limit(make: Make):
    verdict = check_clip(make("slow.mp4", *MOVING), ORDER, THRESHOLDS.model_copy(update={"max_decode_s": 1e-6}))
    assert _failed(verdict)[0] == "playable"
    assert "was stopped" in verdict.failures[0].message


def test_a_verdict_survives_json(make: Make):
    verdict = check_clip(make("json.mp4", *MOVING), ORDER)
    assert ClipVerdict.model_validate(json.loads(verdict.model_dump_json())) == verdict


def test_importing_the_room_loads_no_decoder():
    script = "import sys, video_pipeline.quality; print(sorted({'av', 'numpy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("wanted_s", "failed"), [(4.4, []), (4.5, ["duration"]), (0.0, []), (2.0, [])])
def test_a_render_that_was_ordered_shorter_must_be_long_enough_for_the_brief(footage: Path, wanted_s: float, failed):
    expected = Expectation(size=(176, 144), duration_s=4.0, wanted_s=wanted_s, audio=False)
    assert _failed(check_clip(footage / "carphone_pristine.mp4", expected)) == failed


@pytest.mark.parametrize(
    ("asked", "made", "passes"),
    [
        ((480, 854), (480, 848), True),
        ((480, 854), (480, 854), True),
        ((480, 854), (480, 832), True),
        ((768, 1366), (768, 1344), True),
        ((720, 1280), (704, 1280), True),
        ((720, 1280), (1080, 1920), True),
        ((480, 854), (432, 768), False),
        ((480, 854), (854, 480), False),
        ((480, 854), (960, 960), False),
    ],
)
def test_a_raw_clip_has_the_size_and_shape_that_its_model_rounds_to(make: Make, asked, made, passes: bool):
    path = make(f"{made[0]}x{made[1]}.mp4", "-f", "lavfi", f"testsrc2=size={made[0]}x{made[1]}:rate=8", length_s=0.5)
    expected = Expectation(size=asked, shaped=True, duration_s=0.5, audio=True)
    [check] = [
        one for one in check_against(path, expected, THRESHOLDS, gate=Gate.RAW).checks if one.name == "resolution"
    ]
    assert (check.passed, check.follows) == (passes, None if passes else Consequence.NEW_SEED)


def test_every_threshold_of_the_table_stands_in_the_policy():
    document = load_policy().model_dump()
    for row in CHECKS:
        assert row.thresholds and Gate.FINAL in row.follows, row.name
        for name in row.thresholds:
            section = document
            for part in name.split("."):
                section = section[part]


def test_what_follows_is_said_by_the_gate(make: Make):
    path = make("black.mp4", "-f", "lavfi", "color=black:size=320x180:rate=24")
    said = {gate: check_against(path, ORDER, THRESHOLDS, gate=gate) for gate in Gate}
    assert [one.follows for one in said[Gate.RAW].failures] == [Consequence.CORRECTED_PROMPT]
    assert [one.follows for one in said[Gate.FINAL].failures] == [Consequence.PERSON]
    asked = {gate: [check.name for check in said[gate].checks] for gate in Gate}
    assert (asked[Gate.FINAL], asked[Gate.RAW]) == (NAMES, NAMES[:-1]), "raw files meet no others yet"
    assert (said[Gate.RAW].useless, said[Gate.FINAL].useless) == (True, False)


def test_a_verdict_of_an_earlier_release_is_read():
    old = {"name": "black", "passed": False, "measured": "1", "expected": "0", "message": "It is black."}
    assert ClipVerdict.model_validate({"checks": [old]}).useless


def test_a_fault_where_segments_meet_is_the_clips(make: Make) -> None:
    path = make("clip.mp4", *MOVING)
    order = ORDER.model_copy(update={"seam_faults": ("between segments 1 and 2 the picture jumps",)})
    [failed] = check_clip(path, order).failures
    assert (failed.name, failed.follows) == ("seams", Consequence.PERSON)
    assert failed.message == "Where segments of a shot meet: between segments 1 and 2 the picture jumps."
