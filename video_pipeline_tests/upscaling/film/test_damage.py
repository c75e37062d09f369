"""Broken, hostile and too large files, and a full disk: a sentence, and never half a file."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from av.error import err_check, tag_to_code

from video_pipeline.errors import MediaError
from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Engine, UpscaleProgress, UpscalingError, upscale_file
from video_pipeline_tests.media.clips import big_buck_bunny, render, trim
from video_pipeline_tests.upscaling.measures import PLAIN, folder, timestamps


def _cut(clip: bytes) -> bytes:
    return clip[: len(clip) * 6 // 10]


def _scratch(clip: bytes) -> bytes:
    """Overwrite a stretch in the middle of the pictures."""
    middle = len(clip) // 2
    return clip[:middle] + np.random.default_rng(3).bytes(400) + clip[middle + 400 :]


@pytest.mark.parametrize(("suffix", "options"), [(".mp4", ("-movflags", "+faststart")), (".mkv", ())])
@pytest.mark.parametrize("damage", [_cut, _scratch])
def test_a_damaged_source_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, engine: Engine, suffix: str, options: tuple[str, ...], damage: Callable[[bytes], bytes]
) -> None:
    whole = trim(big_buck_bunny(), tmp_path / f"whole{suffix}", 40, *options)
    source = tmp_path / f"source{suffix}"
    source.write_bytes(damage(whole.read_bytes()))
    with pytest.raises(MediaError, match=r"(is damaged|is cut off)"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == sorted([source.name, whole.name])


def test_a_text_and_a_sound_file_are_refused(tmp_path: Path, engine: Engine) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("Not a film.")
    with pytest.raises(MediaError, match="is not a readable"):
        upscale_file(text, tmp_path / "target.mp4", engine=engine)
    sound = tmp_path / "sound.mp4"
    tone = ["-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac", str(sound)]
    run_ffmpeg(tone, timeout_s=20, what="making a tone")
    with pytest.raises(MediaError, match="has no video"):
        upscale_file(sound, tmp_path / "target.mp4", engine=engine)


def test_a_failure_leaves_the_earlier_result_as_it_was(tmp_path: Path, engine: Engine) -> None:
    target = tmp_path / "target.mp4"
    upscale_file(render(tmp_path / "good.mp4", frames=2), target, settings=PLAIN, engine=engine)
    before = target.read_bytes()
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(_cut((tmp_path / "good.mp4").read_bytes()))
    with pytest.raises(MediaError):
        upscale_file(bad, target, settings=PLAIN, engine=engine)
    assert target.read_bytes() == before
    assert folder(tmp_path) == ["bad.mp4", "good.mp4", "target.mp4"]


def test_an_error_in_the_callers_progress_ends_the_work_cleanly(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=30)

    def stop(progress: UpscaleProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine, progress=stop)
    assert folder(tmp_path) == ["source.mp4"]


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from video_pipeline.upscaling import UpscaleSettings, UpscalingError, upscale_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    upscale_file(Path(sys.argv[1]), Path(sys.argv[2]), settings=UpscaleSettings(short_side=144, blend=0))
except UpscalingError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of a file stands in for the full disk: the same call fails in the same way."""
    source = render(tmp_path / "source.mp4", size=(128, 72), frames=60)
    target = tmp_path / "target.mp4"
    command = [sys.executable, "-c", _FULL_DISK, str(source), str(target), "20000"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "did not take the upscaled clip" in said
    assert folder(tmp_path) == ["source.mp4"]


def _bare_h264(target: Path, size: tuple[int, int]) -> Path:
    """Ten pictures without a container, whose parameter sets come with them."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}:rate=25", "-frames:v", "10"]
    encode = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "h264", str(target)]
    run_ffmpeg([*picture, *encode], timeout_s=30, what=f"rendering {target.name}")
    return target


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (tag_to_code(b"INDA"), MediaError),
        (tag_to_code(b"PAWE"), MediaError),
        (errno.EINVAL, MediaError),
        (errno.ENOSPC, UpscalingError),
        (tag_to_code(b"EXT "), UpscalingError),
    ],
)
def test_what_a_muxer_does_not_take_is_the_clips_fault_and_a_full_disk_is_not(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        err_check(-number)

    source = render(tmp_path / "source.mp4", frames=1)
    monkeypatch.setattr("video_pipeline.upscaling.film.target.frame_of", fail)
    with pytest.raises(kind):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["source.mp4"]


def test_a_clip_whose_size_changes_midway_is_refused_and_leaves_nothing(tmp_path: Path, engine: Engine) -> None:
    small, large = _bare_h264(tmp_path / "small", (64, 36)), _bare_h264(tmp_path / "large", (128, 72))
    both, source = tmp_path / "both", tmp_path / "source.mp4"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    run_ffmpeg(["-f", "h264", "-i", str(both), "-c", "copy", str(source)], timeout_s=20, what="muxing")
    before = folder(tmp_path)
    with pytest.raises(MediaError, match="changes its picture's size on the way"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == before


@pytest.mark.parametrize("left", [0.5, 0.75, 0.95])
def test_a_fragmented_file_that_breaks_off_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, engine: Engine, left: float
) -> None:
    """What is cut off between two fragments nobody can miss: the file says nowhere how many there are."""
    clip, source = render(tmp_path / "clip.mp4", frames=40, sound=True), tmp_path / "source.mp4"
    fragments = ["-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000"]
    run_ffmpeg(["-i", str(clip), "-c", "copy", *fragments, str(source)], timeout_s=20, what="making fragments")
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * left)])
    with pytest.raises(MediaError, match=r"(is damaged|is cut off)"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["clip.mp4", "source.mp4"]


def test_a_cut_webm_is_a_sentence_and_leaves_nothing(tmp_path: Path, engine: Engine) -> None:
    clip, source = render(tmp_path / "clip.mp4", frames=60, sound=True), tmp_path / "source.webm"
    codecs = ["-c:v", "libvpx", "-c:a", "libopus"]
    run_ffmpeg(["-i", str(clip), *codecs, str(source)], timeout_s=20, what="making webm")
    source.write_bytes(_cut(source.read_bytes()))
    with pytest.raises(MediaError, match=r"(is damaged|is cut off)"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["clip.mp4", "source.webm"]


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_pictures_missing_in_the_middle_of_matroska_are_told_and_leave_nothing(
    tmp_path: Path, engine: Engine, suffix: str
) -> None:
    """At an element that makes no sense the demuxer goes on at the next cluster, and tells no caller of it."""
    clip, source = render(tmp_path / "clip.mp4", frames=60, sound=True), tmp_path / f"source{suffix}"
    codecs = ["-c:v", "libvpx", "-c:a", "libopus", "-cluster_time_limit", "300"]
    run_ffmpeg(["-i", str(clip), *codecs, str(source)], timeout_s=20, what="making Matroska")
    upscale_file(source, tmp_path / "whole.mp4", settings=PLAIN, engine=engine)
    content = bytearray(source.read_bytes())
    # The head of a block of pictures in the third cluster: its length becomes one that no file has.
    cluster = b"\x1f\x43\xb6\x75"
    at = content.index(b"\xa3", content.index(cluster, content.index(cluster, content.index(cluster) + 4) + 4) + 20)
    content[at + 1 : at + 9] = b"\x01" + b"\x7f" * 7
    source.write_bytes(content)
    with pytest.raises(MediaError, match="damaged: pictures or sound are missing in its middle"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["clip.mp4", f"source{suffix}", "whole.mp4"]


def test_a_small_file_with_a_huge_picture_is_refused(tmp_path: Path, engine: Engine) -> None:
    """A flat picture over 8K UHD takes a few kilobytes, and 53 MB for each of its frames once it is decoded."""
    source = render(
        tmp_path / "source.mp4",
        size=(8192, 4352),
        picture="color",
        frames=1,
        options=("-preset", "ultrafast", "-threads", "1"),
    )
    assert source.stat().st_size < 500_000
    with pytest.raises(MediaError, match="picture of 8192x4352, more than 8K UHD"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["source.mp4"]


@pytest.mark.parametrize("side", [16000, 16383])
def test_a_picture_that_lies_about_its_size_is_refused(tmp_path: Path, engine: Engine, side: int) -> None:
    """A VP8 picture holds its own size, which the container knows nothing of."""
    clip, source = render(tmp_path / "clip.mp4", frames=3), tmp_path / "source.webm"
    run_ffmpeg(["-i", str(clip), "-c:v", "libvpx", str(source)], timeout_s=20, what="making webm")
    content = bytearray(source.read_bytes())
    size_at = content.index(b"\x9d\x01\x2a") + 3
    assert content[size_at : size_at + 4] == (64).to_bytes(2, "little") + (36).to_bytes(2, "little")
    content[size_at : size_at + 4] = side.to_bytes(2, "little") * 2
    source.write_bytes(content)
    with pytest.raises(MediaError):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["clip.mp4", "source.webm"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_any_damage_ends_in_a_sentence_or_in_a_clip_that_holds_what_was_counted(
    tmp_path: Path, engine: Engine, suffix: str
) -> None:
    """Flipped bytes among the pictures and cuts at any place; never another error, and never a file left over."""
    whole = trim(big_buck_bunny(), tmp_path / f"whole{suffix}", 8).read_bytes()
    source, target = tmp_path / f"source{suffix}", tmp_path / "target.mkv"
    rng = np.random.default_rng(12)
    refused = 0
    for number in range(16):
        if number % 2:
            damaged = whole[: rng.integers(1, len(whole))]
        else:
            places = rng.integers(len(whole) // 10, len(whole) // 2, 4)
            damaged = bytearray(whole)
            for place in places:
                damaged[place] ^= int(rng.integers(1, 256))
        source.write_bytes(damaged)
        target.unlink(missing_ok=True)
        try:
            report = upscale_file(source, target, settings=PLAIN, engine=engine)
        except MediaError:
            refused += 1
            assert not target.exists()
        else:
            assert report.frames == len(timestamps(target))
        assert not list(tmp_path.glob(".*"))
    assert refused >= 6


AWKWARD = [
    "two words.mp4",
    "it's.mp4",
    'the "best".mp4',
    "Füße 映画 🎬.mp4",
    "-i.mp4",
    "12:30.mp4",
    "100%d.mp4",
    "a;b&c.mp4",
]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_is_a_name_whatever_is_in_it(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As a path from the folder that the user is in, where no slash comes before it."""
    clip = render(tmp_path / "clip.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    source, target = Path(name), Path(f"-{name}")
    shutil.move(clip, source)
    upscale_file(source, target, settings=PLAIN, engine=engine)
    assert len(timestamps(target)) == 2
    assert folder(tmp_path) == sorted([str(source), str(target)])
    with pytest.raises(MediaError, match="is empty"):
        Path("empty.mp4").touch()
        upscale_file(Path("empty.mp4"), target, settings=PLAIN, engine=engine)
