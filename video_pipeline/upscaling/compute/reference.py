"""The yardstick that a user can choose: RealESRGANer of the package `realesrgan`, with the same film around it.

The package is not in the pipeline's own environment; the extra `realesrgan`, with a torchvision that fits torch,
brings it. It imports a module that torchvision has dropped, so that is there while it is imported, and gone after.
"""

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_pipeline.errors import UpscalingError
from video_pipeline.scratch import scratch_folder
from video_pipeline.upscaling.compute.engine import Device, Engine

if TYPE_CHECKING:
    import torch

# basicsr 1.4.2 imports it for one function, which torchvision 0.17 moved.
_DROPPED, _MOVED_TO, _FUNCTION = (
    "torchvision.transforms.functional_tensor",
    "torchvision.transforms.functional",
    "rgb_to_grayscale",
)


class ReferenceEngine(Engine):
    """RealESRGANer as `enhance` has it: picture by picture, from and to 8 bits, half precision on a GPU only.

    It takes the same weights as the other engine. What it enlarges by its own factor it resizes itself, with OpenCV's
    Lanczos. Colours are not restored to the source's means.
    """

    name = "realesrgan"

    def __init__(
        self,
        model: str = "realesr-animevideov3",
        *,
        device: Device = "auto",
        weights_path: Path | None = None,
        weights_dir: Path | None = None,
        denoise: float = 1.0,
    ) -> None:
        """Raises UpscalingError when the package is not there, and otherwise as `Engine` does."""
        # First: without the package, nothing else is worth waiting for.
        parts = _imported()
        super().__init__(
            model,
            device=device,
            execution="plain",
            weights_path=weights_path,
            weights_dir=weights_dir,
            denoise=denoise,
        )
        self._upsampler = _upsampler(parts, self._weights.state, self.scale, self.device)
        self.frames_at_once = 1

    @property
    def precision(self) -> str:
        """The number format of its network."""
        return "float16" if self._upsampler.half else "float32"

    @property
    def execution(self) -> str:
        """That it is the package's."""
        return "RealESRGANer"

    def _picture(
        self, source: "torch.Tensor", size: tuple[int, int], blend: float, keep_colour: bool
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch

        from video_pipeline.upscaling.compute.resample import plain_rows

        width, height = size
        plain = plain_rows(source, size, 0, height) if blend < 1 else None
        if plain is not None and blend == 0:
            return plain, torch.tensor(True)
        codes = (source.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        outscale = max(width / source.shape[3], height / source.shape[2])
        # It works on OpenCV's pictures: blue comes first.
        enlarged = [self._upsampler.enhance(picture[..., ::-1], outscale=outscale)[0][..., ::-1] for picture in codes]
        pictures = torch.stack([torch.from_numpy(picture.copy()) for picture in enlarged])
        result = pictures.to(source.device).permute(0, 3, 1, 2).float() / 255
        if result.shape[2:] != (height, width):
            result = plain_rows(result, size, 0, height)
        if plain is not None:
            result = blend * result + (1 - blend) * plain
        return result, torch.tensor(True)


def _imported() -> dict[str, Any]:
    """RealESRGANer and the two kinds of network, by their names."""
    try:
        with _as_it_was():
            return {
                name: getattr(importlib.import_module(module), name)
                for module, name in (
                    ("realesrgan", "RealESRGANer"),
                    ("basicsr.archs.rrdbnet_arch", "RRDBNet"),
                    ("realesrgan.archs.srvgg_arch", "SRVGGNetCompact"),
                )
            }
    except (ImportError, RuntimeError, OSError) as error:
        raise UpscalingError(
            f"The engine realesrgan is not here ({error}): pip install "
            "'video-pipeline[realesrgan]' and a torchvision that fits torch."
        ) from error


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """What torchvision has dropped is there meanwhile."""
    if _DROPPED in sys.modules:
        yield
        return
    dropped = types.ModuleType(_DROPPED)
    dropped.__dict__[_FUNCTION] = getattr(importlib.import_module(_MOVED_TO), _FUNCTION)
    sys.modules[_DROPPED] = dropped
    try:
        yield
    finally:
        del sys.modules[_DROPPED]


def _upsampler(parts: dict[str, Any], state: "dict[str, torch.Tensor]", scale: int, device: str) -> Any:
    """Set up as its own scripts do, with a network as large as the weights."""
    import torch

    if "conv_first.weight" in state:
        blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("body."))
        features = len(state["conv_first.bias"])
        growth = len(state["body.0.rdb1.conv1.bias"])
        network = parts["RRDBNet"](3, 3, scale=scale, num_feat=features, num_block=blocks, num_grow_ch=growth)
    else:
        # A convolution and its activation by turns, the last without.
        layers = 1 + max(int(name.split(".")[1]) for name in state)
        features = len(state["body.0.bias"])
        network = parts["SRVGGNetCompact"](3, 3, num_feat=features, num_conv=(layers - 3) // 2, upscale=scale)
    with scratch_folder("weights") as folder:
        weights = folder / "weights.pth"
        torch.save({"params": state}, weights)
        return parts["RealESRGANer"](
            scale=scale,
            model_path=str(weights),
            model=network,
            tile=0,
            tile_pad=10,
            pre_pad=0,
            half=device == "cuda",
            device=torch.device(device),
        )
