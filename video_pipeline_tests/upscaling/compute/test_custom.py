"""A network of the caller's own: ours in another size runs as it is, others need the extra, and nonsense is named."""

from pathlib import Path

import numpy as np
import pytest
import torch

from video_pipeline.upscaling import Engine, WeightsError, download_weights
from video_pipeline.upscaling.compute.networks import SRVGGNetCompact

FRAME = np.random.default_rng(7).integers(0, 256, (1, 24, 32, 3), np.uint8)


def test_a_compact_network_of_another_scale_is_read_from_its_shapes(tmp_path: Path) -> None:
    torch.manual_seed(7)
    network = SRVGGNetCompact(features=8, convolutions=3, scale=2).eval()
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    engine = Engine("custom", device="cpu", precision="float32", weights_path=tmp_path / "mine.pth")
    with torch.inference_mode():
        expected = network(torch.from_numpy(FRAME).permute(0, 3, 1, 2) / 255).clamp(0, 1)
    expected = (expected * 255).round().permute(0, 2, 3, 1).numpy()
    found = engine.upscale_rgb(FRAME, keep_colour=False)
    assert found.shape == (1, 48, 64, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1
    # 3/2 of a network that doubles is folded as 3/2 of one that quadruples is.
    assert engine.upscale_rgb(FRAME, size=(48, 36)).shape == (1, 36, 48, 3)


def test_a_network_that_is_none_of_ours_is_named_with_what_could_read_it(tmp_path: Path) -> None:
    torch.save({"params": {"layer.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth holds n(either of the Real-ESRGAN networks|o network)"):
        Engine("custom", weights_path=tmp_path / "other.pth")


def test_a_custom_network_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="name its weights file"):
        Engine("custom")
    with pytest.raises(WeightsError, match=r"nowhere\.pth for custom does not exist\.$"):
        Engine("custom", weights_path=tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="nothing to fetch for custom"):
        download_weights("custom", tmp_path)
