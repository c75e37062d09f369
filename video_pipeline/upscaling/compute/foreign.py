"""Super-resolution networks of other architectures, through the optional package `spandrel`. Imports torch."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from video_pipeline.upscaling.compute.weights import WeightsError

if TYPE_CHECKING:
    # An extra, which is not in every environment.
    from spandrel import ImageModelDescriptor  # pyright: ignore[reportMissingImports]


class ForeignNetwork(nn.Module):
    """Any network that spandrel knows, with our networks' interface: RGB 0..1 (N, 3, H, W), enlarged `scale` times.

    It is not known how far a pixel's influence reaches, so a picture is never cut into strips (`cuttable`).
    """

    bfloat16_on_cpu = False
    cuttable = False
    halo = 0
    features = 0
    values_per_pixel = 0

    def __init__(self, described: "ImageModelDescriptor") -> None:
        super().__init__()
        self.scale = described.scale
        self.multiple = described.size_requirements.multiple_of or 1
        self.float16_on_gpu = described.supports_half
        self._network = described.model

    def forward(self, x: Tensor) -> Tensor:
        return self._network(x.to(next(self._network.parameters()).dtype)).to(x.dtype)


def read_foreign(path: Path) -> ForeignNetwork:
    """The network in a .pth or .safetensors file. No code in the file is run.

    Raises WeightsError when spandrel is not installed or does not know the network, or the network is not RGB to RGB.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader  # pyright: ignore[reportMissingImports]  # an extra
    # A torchvision that does not belong to this build of torch fails with a RuntimeError.
    except (ImportError, RuntimeError) as error:
        raise WeightsError(
            f"{path} holds neither of the Real-ESRGAN networks, and the package spandrel, which knows many others, "
            "cannot be imported; install video-pipeline[spandrel]."
        ) from error
    try:
        described = ModelLoader("cpu").load_from_file(path)
    # For a damaged file it raises any error of torch, pickle or safetensors.
    except Exception as error:
        raise WeightsError(f"{path} holds no network that spandrel can read ({error}).") from error
    if (
        not isinstance(described, ImageModelDescriptor)
        or described.input_channels != 3
        or described.output_channels != 3
    ):
        raise WeightsError(f"{path} holds a network that does not make RGB pictures of RGB pictures.")
    return ForeignNetwork(described)
