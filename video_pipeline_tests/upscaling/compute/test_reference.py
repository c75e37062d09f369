"""The engine `realesrgan` beside ours. Where the package is not installed, as in `make test`: what it says.

`make bench-reference-env` installs it and runs this file there.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Engine, ReferenceEngine, UpscaleSettings, UpscalingError, upscale_file
from video_pipeline.upscaling.compute.networks import SRVGGNetCompact

DROPPED = "torchvision.transforms.functional_tensor"


def clip(path: Path) -> Path:
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25", "-frames:v", "2", "-pix_fmt", "yuv420p", str(path)]
    run_ffmpeg(["-y", *source], timeout_s=30, what="rendering")
    return path


def scene() -> np.ndarray:
    """A picture of soft edges, (1, 32, 48, 3)."""
    y, x = np.mgrid[:32, :48]
    waves = [128 + 90 * np.sin(x / (3 + c)) * np.cos(y / (4 - c)) + 30 * (x > 20) for c in range(3)]
    return np.clip(np.stack(waves, 2), 0, 255).astype(np.uint8)[None]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


if find_spec("realesrgan") is None:

    def test_without_the_package_a_sentence_says_what_to_install() -> None:
        with pytest.raises(
            UpscalingError, match=r"realesrgan is not here .*pip install 'video-pipeline\[realesrgan\]'"
        ):
            ReferenceEngine(device="cpu")
        assert DROPPED not in sys.modules

else:

    @pytest.mark.parametrize("model", ["realesr-animevideov3", "RealESRGAN_x4plus_anime_6B"])
    def test_it_gives_the_pictures_that_ours_gives(model: str) -> None:
        """By the network's own factor to within a rounding. By another, OpenCV's Lanczos is coarser than averages."""
        theirs = ReferenceEngine(model, device="cpu")
        ours = Engine(model, device="cpu", precision="float32", execution="plain")
        same = ours.upscale_rgb(scene(), keep_colour=False)
        assert np.abs(theirs.upscale_rgb(scene()).astype(int) - same).max() <= 1
        smaller = ours.upscale_rgb(scene(), size=(72, 48), keep_colour=False)
        assert psnr(theirs.upscale_rgb(scene(), size=(72, 48)), smaller) > 25
        half = ours.upscale_rgb(scene(), size=(72, 48), blend=0.5, keep_colour=False)
        assert psnr(theirs.upscale_rgb(scene(), size=(72, 48), blend=0.5), half) > 30
        assert DROPPED not in sys.modules

    def test_a_network_of_the_callers_own_is_read_too(tmp_path: Path) -> None:
        torch.manual_seed(7)
        torch.save(SRVGGNetCompact(features=8, convolutions=3, scale=2).state_dict(), tmp_path / "mine.pth")
        theirs = ReferenceEngine("custom", device="cpu", weights_path=tmp_path / "mine.pth")
        ours = Engine("custom", device="cpu", precision="float32", weights_path=tmp_path / "mine.pth")
        difference = theirs.upscale_rgb(scene()).astype(int) - ours.upscale_rgb(scene(), keep_colour=False)
        assert np.abs(difference).max() <= 1

    def test_a_film_goes_through_it(tmp_path: Path) -> None:
        settings = UpscaleSettings(engine="realesrgan", short_side=72)
        report = upscale_file(clip(tmp_path / "source.mp4"), tmp_path / "target.mp4", settings=settings)
        assert (report.execution, report.frames, report.target_size) == ("RealESRGANer", 2, (128, 72))


def test_an_engine_that_the_settings_do_not_ask_for_is_refused(tmp_path: Path) -> None:
    settings = UpscaleSettings(engine="realesrgan", short_side=72)
    with pytest.raises(UpscalingError, match="engine is own, and the settings ask for realesrgan"):
        upscale_file(tmp_path / "source.mp4", tmp_path / "target.mp4", settings=settings, engine=Engine(device="cpu"))
    assert settings.fingerprint() != UpscaleSettings(short_side=72).fingerprint()
