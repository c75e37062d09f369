"""A Real-ESRGAN network held in memory that turns batches of pictures into larger ones, on a GPU or the CPU.

Everything about the hardware is decided here: the device, the number format, the frames or rows at a time, and what
to do when memory runs out. Pictures come and go as numpy arrays. How a network is executed is decided in `execution`.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from video_pipeline.errors import UpscalingError
from video_pipeline.upscaling.compute.memory import out_of_memory
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.power import PowerMeter
from video_pipeline.upscaling.compute.weights import load_weights

if TYPE_CHECKING:
    import numpy as np
    import torch

    from video_pipeline.upscaling.compute.device_queue import QueuedBatch
    from video_pipeline.upscaling.compute.execution import Network
    from video_pipeline.upscaling.compute.planes import Planes

_LOG = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
Execution = Literal["auto", "plain", "rewritten", "fused", "compiled"]

# What torch says of a device or a driver that fails, whatever it is given to compute.
_DEVICE_WORDS = ("CUDA", "cuDNN", "CUBLAS")
# For the light networks. A single frame of the others fills a GPU.
_GPU_FRAMES_AT_ONCE = 4


def describe_device(device: Device = "auto") -> str:
    """One sentence about where upscaling runs, and that it is slow without a GPU (G3.5).

    Raises UpscalingError when "cuda" is asked for and there is no GPU.
    """
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


@dataclass(frozen=True, slots=True)
class Enlargement:
    """How a batch of planes is enlarged.

    `source` and `target` tell how to read and write the planes. `cropping` is cut from the source (left, right, top,
    bottom). What is left is rotated counter-clockwise by `rotation` (degrees, a multiple of 90), then `mirrored` left
    to right, and then enlarged. `blend` is the network's share; the rest is the
    source enlarged by Lanczos, and 0 leaves the network out. The networks brighten a picture by 1 to 3 steps of 255.
    `keep_colour` restores the source's mean in every region of about 32x32 source pixels. That brings the result 0.3
    to 3 dB nearer to the truth.
    """

    source: PlaneFormat
    target: PlaneFormat
    cropping: tuple[int, int, int, int] = (0, 0, 0, 0)
    rotation: int = 0
    mirrored: bool = False
    blend: float = 1.0
    keep_colour: bool = True


class Engine:
    """One network on one device. Make one and keep it: loading and warming up take seconds. Threads may share it.

    `precision` "auto" is float16 on a GPU. On the CPU it is bfloat16 where the processor computes in it (54 dB and
    more to the float32 result), else float32. `execution` is how the network is run (see the module `execution`);
    "auto" takes the fastest on this machine.

    A picture that does not fit into memory is cut into strips of rows. Each strip is computed with `halo` more rows
    on both sides, so that the result equals the uncut one. It is exact for the realesr-* networks (18 and 34 rows)
    and RealESRGAN_x4plus_anime_6B (94), and within 0.01 of an 8-bit step for the deeper ones (96). When memory runs
    out, the batch is halved, then the strips; at last the engine continues on the CPU (G3.3).
    """

    def __init__(
        self,
        model: str = "realesr-animevideov3",
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        execution: Execution = "auto",
        weights_path: Path | None = None,
        weights_dir: Path | None = None,
        denoise: float = 1.0,
        threads: int | None = None,
        strip_rows: int | None = None,
    ) -> None:
        """Load `model` onto `device`.

        `threads` limits torch's CPU threads in the whole process. `strip_rows` limits the source rows that are
        computed at once, by default to what memory seems to allow. Raises WeightsError (see `weights.load_weights`),
        and UpscalingError when the device is not there.
        """
        import torch

        resolved = _resolve(device)
        if threads is not None:
            torch.set_num_threads(threads)
        if resolved == "cuda":
            torch.backends.cudnn.benchmark = True
        self._weights = load_weights(model, path=weights_path, weights_dir=weights_dir, denoise=denoise)
        self.denoise = denoise
        """The share of the denoising weights, 0..1."""
        self._place(resolved, precision, execution)
        # Like `frames_at_once`, it gets smaller when memory runs out.
        self.strip_rows = strip_rows
        self._lock = threading.Lock()

    name = "own"
    """What the settings call it."""

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._weights.model.name

    @property
    def scale(self) -> int:
        """The factor by which the network itself enlarges."""
        return self._executions.scale

    @property
    def precision(self) -> str:
        """The number format in use. After the first overflow of a shorter one it is float32."""
        return self._executions.precision

    @property
    def execution(self) -> str:
        """How the network is run: "auto" until a batch has decided it."""
        return self._executions.name

    @property
    def weights_sha256(self) -> str:
        """Checksum of the weights file in use."""
        return self._weights.sha256

    def submit(self, batch: "Sequence[Planes]", work: Enlargement) -> "Pending":
        """Start a batch of pictures, given as planes. Call `result` on what is returned.

        On a GPU this returns while the device is at work; keep two or three batches at a time. Raises UpscalingError
        when even a thin strip of one picture does not fit into memory, or the asked execution does not work here.
        """
        import torch

        from video_pipeline.upscaling.compute.colour import from_rgb, to_rgb

        width, height = work.source.size
        left, right, top, bottom = work.cropping

        def compute(planes: "Sequence[torch.Tensor]") -> "list[torch.Tensor]":
            rgb = to_rgb(planes, work.source)[:, :, top : height - bottom, left : width - right]
            if work.rotation:
                rgb = torch.rot90(rgb, work.rotation // 90, (2, 3))
            if work.mirrored:
                rgb = rgb.flip(3)
            rgb = rgb.contiguous()
            picture, usable = self._picture(rgb, work.target.size, work.blend, work.keep_colour)
            return [*from_rgb(picture, work.target), usable]

        shown = (width - left - right, height - top - bottom)
        turned = (shown[1], shown[0]) if work.rotation % 180 else shown
        return self._submit(batch, compute, turned)

    def upscale_rgb(
        self,
        frames: "np.ndarray",
        *,
        size: tuple[int, int] | None = None,
        blend: float = 1.0,
        keep_colour: bool = True,
    ) -> "np.ndarray":
        """Enlarge uint8 RGB frames of shape (N, H, W, 3) to `size` (width, height), or by the network's own scale.

        `blend` and `keep_colour` are `Enlargement`'s. Raises UpscalingError as `submit` does.
        """
        import numpy as np
        import torch

        height, width = frames.shape[1:3]
        target = size or (width * self.scale, height * self.scale)

        def compute(batch: "Sequence[torch.Tensor]") -> "list[torch.Tensor]":
            rgb = batch[0].permute(0, 3, 1, 2).float() / 255
            picture, usable = self._picture(rgb, target, blend, keep_colour)
            return [picture.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1), usable]

        pending = self._submit([(frame,) for frame in frames], compute, (width, height))
        return np.stack([picture for (picture,) in pending.result()])

    def _submit(
        self,
        batch: "Sequence[tuple[np.ndarray, ...]]",
        compute: "Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]",
        size: tuple[int, int],
    ) -> "Pending":
        with self._lock:
            precision = self.precision
            parts: list[QueuedBatch] = []
            done = 0
            while done < len(batch):
                some = batch[done : done + self.frames_at_once]
                try:
                    parts.append(self._start(some, compute))
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                    self._shrink(len(some), *size)
                    continue
                done += len(some)
        return Pending(parts, lambda: self._again(batch, compute, size, precision))

    def _start(
        self,
        batch: "Sequence[tuple[np.ndarray, ...]]",
        compute: "Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]",
    ) -> "QueuedBatch":
        """Stack a batch into host memory, plane by plane, and queue it."""
        import torch

        stacked: list[torch.Tensor] = []
        for planes in zip(*batch, strict=True):
            first = torch.from_numpy(planes[0])
            stack = self._queue.empty((len(planes), *first.shape), first.dtype)
            for place, plane in zip(stack.numpy(), planes, strict=True):
                place[:] = plane
            stacked.append(stack)

        def quietly(placed: "Sequence[torch.Tensor]") -> "Sequence[torch.Tensor]":
            with torch.inference_mode():
                return compute(placed)

        return self._queue.run(stacked, quietly)

    def _again(
        self,
        batch: "Sequence[tuple[np.ndarray, ...]]",
        compute: "Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]",
        size: tuple[int, int],
        precision: str,
    ) -> "Pending":
        """Compute the batch again in float32 after a shorter format (`precision`) overflowed, and stay in float32."""
        with self._lock:
            # Another batch that was on the device may have changed it already.
            if self.precision == precision and not self._executions.fall_back_to_float32():
                raise self._executions.unusable()
        return self._submit(batch, compute, size)

    def _picture(
        self, source: "torch.Tensor", size: tuple[int, int], blend: float, keep_colour: bool
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """RGB 0..1 (N, 3, H, W) at `size` (width, height). The second value is False when the result is unusable."""
        from video_pipeline.upscaling.compute.strips import enlarge

        height, width = source.shape[2:]
        network, rows = None, height
        if blend > 0:
            rows = self._rows_at_once(self._executions.reference, width, height)
            network = self._executions.network(len(source), (width, height), size, whole=rows == height)
        picture_type = self._executions.picture_type
        return enlarge(
            source, size, network, rows=rows, picture_type=picture_type, blend=blend, keep_colour=keep_colour
        )

    def _rows_at_once(self, network: "Network", width: int, height: int) -> int:
        """Source rows of a strip: all on a GPU, what suits memory on the CPU, fewer after memory ran out."""
        from video_pipeline.upscaling.compute.strips import rows_for_cpu

        if not network.cuttable:
            return height
        suits = height if self.device == "cuda" else rows_for_cpu(network, width, self._executions.value_bytes)
        return min(self.strip_rows or height, suits, height)

    def _shrink(self, frames: int, width: int, height: int) -> None:
        """Use less memory from now on: half the frames, then half the rows, then the CPU."""
        import torch

        from video_pipeline.upscaling.compute.strips import FEWEST_ROWS

        if self.device == "cuda":
            torch.cuda.empty_cache()
        if frames > 1:
            self.frames_at_once = frames // 2
            return
        network = self._executions.reference
        rows = self._rows_at_once(network, width, height) // 2
        if rows >= FEWEST_ROWS and network.cuttable:
            self.strip_rows = rows
        elif self.device == "cuda":
            self._leave_gpu()
        else:
            raise UpscalingError(
                f"There is not enough memory to upscale {width}x{height} with {self.model}, even "
                f"{2 * rows} rows at a time; free some, or choose a lighter model."
            )

    def _leave_gpu(self) -> None:
        _LOG.warning(
            "The GPU has too little free memory even for a strip; %s goes on, slowly, on the CPU.", self.model
        )
        self._place("cpu", "auto", "auto")
        self.strip_rows = None

    def _place(self, device: str, precision: Precision, execution: Execution) -> None:
        from video_pipeline.upscaling.compute.device_queue import queue_of
        from video_pipeline.upscaling.compute.execution import Executions
        from video_pipeline.upscaling.compute.networks import SRVGGNetCompact

        self.device = device
        self._executions = Executions(self._weights, device, precision, execution)
        self._queue = queue_of(device)
        self.meter = PowerMeter(device)
        """Measures the device's time and energy for each clip."""
        light = isinstance(self._executions.reference, SRVGGNetCompact)
        self.frames_at_once = _GPU_FRAMES_AT_ONCE if light and device == "cuda" else 1


class Pending:
    """A batch that an engine is working on."""

    def __init__(self, parts: "Sequence[QueuedBatch]", again: "Callable[[], Pending]") -> None:
        self._parts = parts
        self._again = again
        self.seconds = 0.0
        """Seconds that the device computed for it; known after `result`."""

    def result(self) -> "list[tuple[np.ndarray, ...]]":
        """Wait for the pictures, each as its planes (views of the batch's memory).

        Raises UpscalingError when the network's result is unusable even in float32.
        """
        pictures: list[tuple[np.ndarray, ...]] = []
        for part in self._parts:
            (*planes, usable), seconds = part.wait()
            self.seconds += seconds
            if not usable:
                again = self._again()
                pictures = again.result()
                self.seconds += again.seconds
                break
            pictures += zip(*(plane.numpy() for plane in planes), strict=True)
        return pictures


def is_the_machines(error: Exception) -> bool:
    """Whether it is memory or a device that failed, which the next clip would meet too."""
    return out_of_memory(error) or any(words in str(error) for words in _DEVICE_WORDS)


def _resolve(device: Device) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UpscalingError(
            "A GPU was asked for, but torch finds none; check the driver, or ask for the CPU or auto."
        )
    return device
