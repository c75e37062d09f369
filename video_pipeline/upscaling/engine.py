"""A Real-ESRGAN network held in memory that turns batches of RGB frames into larger ones, on a GPU or the CPU.

The hardware's business ends here: which device, which number format, how many frames or rows at a time, and what to
do when memory runs out. Frames come and go as numpy arrays; files and colours are `video`'s.
"""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from video_pipeline.errors import VideoPipelineError
from video_pipeline.upscaling.weights import Weights, load_weights

if TYPE_CHECKING:
    import numpy as np
    import torch

    from video_pipeline.upscaling.networks import Network
    from video_pipeline.upscaling.resample import Taps

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]

_GPU_FRAMES_AT_ONCE = {"compact": 4, "rrdb": 1}
# What a strip on the CPU may hold while a network runs over it.
_CPU_BYTES = 2 * 2**30
# glibc maps any larger buffer anew on each allocation, and the page faults cost as much as the arithmetic.
_CPU_BUFFER_BYTES = 28 * 2**20
# Below this, the picture is not what fills the memory.
_FEWEST_ROWS = 8
# Source pixels across a region whose mean colour is kept: larger than any detail, smaller than a scene's parts.
_REGION = 32
# A frame is suspect when the source is brighter than this and the result is black all over.
_VISIBLE = 32


class UpscalingError(VideoPipelineError):
    """The upscaler cannot run here, or cannot do what was asked."""


def describe_device(device: Device = "auto") -> str:
    """One sentence on where upscaling runs, and that it is slow where there is no GPU (G3.5)."""
    import torch

    if _resolve(device) == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        return f"Upscaling runs on the GPU {gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)."
    if device == "auto":
        return (
            f"No GPU was found: upscaling runs on the CPU ({torch.get_num_threads()} threads), "
            "which takes seconds a frame instead of milliseconds."
        )
    return f"Upscaling runs on the CPU ({torch.get_num_threads()} threads), as asked; that takes seconds a frame."


class Engine:
    """One network on one device; make one and keep it, for loading and warming up cost seconds. Not for two threads.

    `precision` "auto" is float16 on a GPU, and on the CPU bfloat16 where the processor computes in it and the network
    keeps 60 dB of the float32 result (realesr-*), else float32. A picture that does not fit into memory is cut into
    strips of rows; each is computed with `halo` rows more on both sides, which makes the result equal to the uncut
    one: exactly for the realesr-* networks (18 and 34 rows) and for RealESRGAN_x4plus_anime_6B (94), and within 0.01
    of an 8-bit step for the deeper ones (96). Out-of-memory halves the batch, then the strips, and goes on (G3.3).
    """

    def __init__(
        self,
        model: str = "realesr-animevideov3",
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        weights_path: Path | None = None,
        weights_dir: Path | None = None,
        threads: int | None = None,
        strip_rows: int | None = None,
    ) -> None:
        """Load `model` onto `device`; `threads` bounds the CPU threads of the whole process's torch, and
        `strip_rows` the source rows that are computed at once (by default as many as memory seems to allow).

        Raises WeightsError (see `weights.load_weights`) and UpscalingError (no such device).
        """
        import torch

        self.device: str = _resolve(device)
        if threads is not None:
            torch.set_num_threads(threads)
        if self.device == "cuda":
            torch.backends.cudnn.benchmark = True
        self._weights = load_weights(model, path=weights_path, weights_dir=weights_dir)
        self._network: Network = _network(self._weights)
        self.precision: str = _number_format(precision, self.device, self._network)
        self._place()
        self.frames_at_once = _GPU_FRAMES_AT_ONCE[self._weights.model.architecture] if self.device == "cuda" else 1
        # Both get smaller when memory runs out.
        self.strip_rows = strip_rows

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._weights.model.name

    @property
    def scale(self) -> int:
        """By how much the network itself enlarges."""
        return self._network.scale

    @property
    def weights_sha256(self) -> str:
        """Checksum of the weights file in use."""
        return self._weights.sha256

    def upscale_rgb(
        self,
        frames: "np.ndarray",
        *,
        size: tuple[int, int] | None = None,
        blend: float = 1.0,
        keep_colour: bool = True,
    ) -> "np.ndarray":
        """Enlarge uint8 RGB frames of shape (N, H, W, 3) to `size` (width, height), or by the network's own scale.

        The network's output is averaged down (or, for more than its scale, grown by Lanczos) to `size`. `blend` is
        the network's share; the rest is the source grown by Lanczos, and 0 leaves the network out. The networks
        brighten what they see by 1 to 3 steps of 255; `keep_colour` gives every region of about 32x32 source pixels
        its source's mean back, which brings the result 0.3 to 3 dB nearer to the truth. Raises UpscalingError when
        not even a thin strip of one frame fits into memory.
        """
        import numpy as np

        count, height, width = frames.shape[:3]
        target = size or (width * self.scale, height * self.scale)
        try:
            result = np.empty((count, target[1], target[0], 3), np.uint8)
        except MemoryError as error:
            raise UpscalingError(f"There is no memory for {count} frames of {target[0]}x{target[1]}.") from error
        done = 0
        while done < count:
            batch = frames[done : done + self.frames_at_once]
            try:
                result[done : done + len(batch)] = self._guarded(batch, target, blend, keep_colour)
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                self._shrink(len(batch), width, height)
                continue
            done += len(batch)
        return result

    def _guarded(self, frames: "np.ndarray", size: tuple[int, int], blend: float, keep_colour: bool) -> "np.ndarray":
        """Compute a batch; once more, and from then on, in float32 where a shorter format overflowed."""
        result, finite = self._compute(frames, size, blend, keep_colour)
        lit = frames.reshape(len(frames), -1).max(1) > _VISIBLE
        black = result.reshape(len(result), -1).max(1) == 0
        if finite and not (lit & black).any():
            return result
        if self.precision == "float32":
            raise UpscalingError(
                f"{self.model} gave no picture even in float32; its weights ({self._weights.source}) are not usable."
            )
        self.precision = "float32"
        self._network = _network(self._weights)
        self._place()
        return self._guarded(frames, size, blend, keep_colour)

    def _compute(
        self, frames: "np.ndarray", size: tuple[int, int], blend: float, keep_colour: bool
    ) -> tuple["np.ndarray", bool]:
        """A batch, strip by strip; the second value is False when a number overflowed."""
        import torch

        with torch.inference_mode():
            source = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2)
            picture = torch.empty((len(frames), 3, size[1], size[0]), device=self.device)
            finite = torch.ones((), dtype=torch.bool, device=self.device)
            for start, stop in self._strips(frames.shape[2], frames.shape[1], size[1]):
                if blend > 0:
                    picture[:, :, start:stop], all_finite = self._network_rows(source, size, start, stop)
                    finite &= all_finite
                if blend == 0:
                    picture[:, :, start:stop] = _plain_rows(source, size, start, stop)
                elif blend < 1:
                    picture[:, :, start:stop].lerp_(_plain_rows(source, size, start, stop), 1 - blend)
            if keep_colour and blend > 0:
                _restore_means(picture, source)
            pixels = picture.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
            return pixels.permute(0, 2, 3, 1).cpu().numpy(), bool(finite)

    def _network_rows(
        self, source: "torch.Tensor", size: tuple[int, int], start: int, stop: int
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Rows start..stop of the network's result at `size`, float32 0..1, and whether all numbers were finite."""
        import torch

        height, width = source.shape[2:]
        scale, multiple = self.scale, self._network.multiple
        vertical, horizontal = _taps(height * scale, size[1]), _taps(width * scale, size[0])
        first, last = vertical.span(start, stop)
        halo = self._network.halo
        top = max(0, first // scale - halo) // multiple * multiple
        bottom = min(height, -(-last // scale) + halo)
        strip = source[:, :, top:bottom]
        if multiple > 1:
            # Even sizes only: the last row and column are repeated, and what grows out of them is cut off.
            edges = (0, -strip.shape[3] % multiple, 0, -strip.shape[2] % multiple)
            strip = torch.nn.functional.pad(strip.float(), edges, mode="replicate")
        picture_type = torch.float16 if self.precision == "float16" else torch.float32
        strip = strip.to(picture_type).div_(255)
        large = self._network(strip.contiguous(memory_format=torch.channels_last))
        large = large[:, :, first - top * scale : last - top * scale, : width * scale].float()
        finite = large.isfinite().all()
        rows = vertical.rows(large.clamp_(0, 1), start, stop, first)
        return horizontal.columns(rows), finite

    def _strips(self, width: int, height: int, target_height: int) -> list[tuple[int, int]]:
        """Cut the target's rows into strips, as even as can be, that stay inside the limits."""
        rows = min(self.strip_rows or height, self._rows_that_suit(width, height), height)
        count = -(-height // rows)
        cuts = [target_height * i // count for i in range(count + 1)]
        return [(start, stop) for start, stop in pairwise(cuts) if start < stop]

    def _rows_that_suit(self, width: int, height: int) -> int:
        """Source rows of a strip before any trouble: the whole frame on a GPU, what memory likes on the CPU."""
        if self.device == "cuda":
            return height
        import torch

        network, value = self._network, getattr(torch, self.precision).itemsize
        halo = 2 * network.halo
        cached = _CPU_BUFFER_BYTES // (width * network.features * value) - halo
        if cached >= halo:
            return cached
        return max(_FEWEST_ROWS, _CPU_BYTES // (width * network.values_per_pixel * value) - halo)

    def _shrink(self, frames: int, width: int, height: int) -> None:
        """Ask for less at once after memory ran out: half the frames, then half the rows."""
        import torch

        if self.device == "cuda":
            torch.cuda.empty_cache()
        if frames > 1:
            self.frames_at_once = frames // 2
            return
        rows = min(self.strip_rows or height, self._rows_that_suit(width, height), height) // 2
        if rows < _FEWEST_ROWS:
            raise UpscalingError(
                f"There is not enough memory on the {self.device} to upscale {width}x{height} with {self.model}, "
                f"even in strips of {2 * rows} rows; free some, or choose a lighter model."
            )
        self.strip_rows = rows

    def _place(self) -> None:
        import torch

        dtype = getattr(torch, self.precision)
        # nn.Module.to has no overload for a memory format beside a type.
        self._network = self._network.to(self.device, dtype).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _resolve(device: Device) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UpscalingError(
            "A GPU was asked for, but torch finds none; check the driver, or ask for the CPU or auto."
        )
    return device


def _number_format(precision: Precision, device: str, network: "Network") -> str:
    if precision != "auto":
        return precision
    if device == "cuda":
        return "float16"
    return "bfloat16" if network.bfloat16_on_cpu and _computes_bfloat16() else "float32"


def _computes_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; torch would only imitate it elsewhere, slowly."""
    import torch

    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def _network(weights: Weights) -> "Network":
    from video_pipeline.upscaling.networks import build_network
    from video_pipeline.upscaling.weights import WeightsError

    try:
        network = build_network(weights.state)
    except (ValueError, RuntimeError, KeyError, IndexError) as error:
        raise WeightsError(f"{weights.source} does not hold a Real-ESRGAN network: {error}.") from error
    if network.scale != weights.model.scale:
        raise WeightsError(
            f"{weights.source} enlarges {network.scale} times and {weights.model.name} {weights.model.scale} times; "
            "they are not the same model."
        )
    return network


@lru_cache(maxsize=32)
def _taps(source: int, target: int) -> "Taps":
    from video_pipeline.upscaling.resample import taps

    return taps(source, target)


def _plain_rows(source: "torch.Tensor", size: tuple[int, int], start: int, stop: int) -> "torch.Tensor":
    """Rows start..stop of the source resized without a network, float32 0..1."""
    vertical, horizontal = _taps(source.shape[2], size[1]), _taps(source.shape[3], size[0])
    first, last = vertical.span(start, stop)
    rows = vertical.rows(source[:, :, first:last].float() / 255, start, stop, first)
    # Lanczos overshoots at edges; what no display shows shall not count in a blend.
    return horizontal.columns(rows).clamp_(0, 1)


def _restore_means(picture: "torch.Tensor", source: "torch.Tensor") -> None:
    """Shift `picture` (float 0..1), smoothly, so that its regions have the means that the source's (uint8) have."""
    import torch.nn.functional as F

    height, width = source.shape[2:]
    grid = (max(1, round(height / _REGION)), max(1, round(width / _REGION)))
    drift = F.adaptive_avg_pool2d(source.float() / 255, grid) - F.adaptive_avg_pool2d(picture, grid)
    picture += F.interpolate(drift, size=picture.shape[2:], mode="bilinear", align_corners=False)


def _out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The CPU's allocator and oneDNN have no error type of their own.
    return any(words in str(error) for words in ("can't allocate memory", "could not create a "))
