"""ffmpeg's failures become sentences, and its guards hold."""

from pathlib import Path

import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import INPUT_GUARD, run_ffmpeg
from video_pipeline_tests.media.clips import render


def test_a_failed_run_says_what_failed_and_repeats_ffmpegs_own_words(tmp_path: Path) -> None:
    missing = tmp_path / "missing.mp4"
    with pytest.raises(MediaError, match=r"failed at reading nothing .*No such file"):
        run_ffmpeg(["-i", str(missing), "-f", "null", "-"], timeout_s=20, what="reading nothing")


def test_a_run_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    endless = ["-re", "-f", "lavfi", "-i", "testsrc2", "-f", "null", "-"]
    with pytest.raises(MediaError, match=r"did not finish waiting for ever within 0\.5 s"):
        run_ffmpeg(endless, timeout_s=0.5, what="waiting for ever")


def test_the_input_guard_refuses_a_list_of_other_files_and_takes_a_clip(tmp_path: Path) -> None:
    clip = render(tmp_path / "a clip.mp4")
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    run_ffmpeg([*INPUT_GUARD, "-i", str(clip), "-f", "null", "-"], timeout_s=20, what="decoding")
    with pytest.raises(MediaError, match="whitelist"):
        run_ffmpeg([*INPUT_GUARD, "-i", str(playlist), "-f", "null", "-"], timeout_s=20, what="decoding")


def test_the_input_guard_refuses_more_pixels_than_8k(tmp_path: Path) -> None:
    huge = render(tmp_path / "huge.mp4", size=(7696, 4336), frames=1, options=("-preset", "ultrafast"))
    with pytest.raises(MediaError):
        run_ffmpeg([*INPUT_GUARD, "-xerror", "-i", str(huge), "-f", "null", "-"], timeout_s=20, what="decoding")
