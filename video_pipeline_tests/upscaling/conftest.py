"""The network that the clips' tests share: loading one takes longer than most of them."""

import pytest

from video_pipeline.upscaling import Engine


@pytest.fixture(scope="package")
def engine() -> Engine:
    """realesr-animevideov3 on the CPU, as it runs by default there."""
    return Engine(device="cpu")
