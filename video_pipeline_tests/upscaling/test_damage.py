"""Broken, hostile and too large files, a full disk, a killed process: a sentence, and never half a file."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Engine, Progress, upscale_file
from video_pipeline_tests.media.clips import big_buck_bunny, render, trim
from video_pipeline_tests.upscaling.measures import PLAIN, folder


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

    def stop(progress: Progress) -> None:
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
