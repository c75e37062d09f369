"""How the project runs the ffmpeg program: which binary, under which guards, and how a failure is told."""

import subprocess
from collections.abc import Sequence
from functools import cache

from video_pipeline.errors import MediaError

# Containers that hold their own data: no playlists, subtitles or pictures, which may refer to other files.
FORMAT_WHITELIST = "mov,mp4,matroska,webm"
PROTOCOL_WHITELIST = "file,pipe"
# 8K UHD; more is a decompression bomb rather than a clip.
MAX_PIXELS = 7680 * 4320

INPUT_GUARD: tuple[str, ...] = (
    "-protocol_whitelist",
    PROTOCOL_WHITELIST,
    "-format_whitelist",
    FORMAT_WHITELIST,
    "-max_pixels",
    str(MAX_PIXELS),
)
"""Input options for a file from outside, to be put right before its `-i`."""

_STDERR_TAIL = 600


@cache
def ffmpeg_exe() -> str:
    """Path of the ffmpeg program: the static build that `imageio-ffmpeg` brings, with x264 and libvmaf."""
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


def run_ffmpeg(args: Sequence[str], *, timeout_s: float, what: str) -> str:
    """Run ffmpeg with `args` (everything after the program's name), quietly and without a terminal.

    `what` names the work in the error's sentence ("trimming clip.mp4"). Returns the errors that ffmpeg told of and
    got over. Raises MediaError, with the end of ffmpeg's own words, when it exits with an error or does not finish
    within `timeout_s` seconds.
    """
    command = [ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "error", *args]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise MediaError(
            f"ffmpeg did not finish {what} within {timeout_s:g} s; allow it more time or check the input."
        ) from None
    words = done.stderr.decode(errors="replace").strip()[-_STDERR_TAIL:]
    if done.returncode != 0:
        reason = "; ".join(words.splitlines()) or "it gave no reason"
        raise MediaError(f"ffmpeg failed at {what} (exit status {done.returncode}): {reason}")
    return words
