"""How a network is executed: plain, rewritten (`rewrites`), fused (`fused`), compiled (by torch); which is chosen.

Every execution gives the plain float32 result, within the accuracy of its number format. This is checked on a small
picture before an execution is used; otherwise only the published clip would show a miscompiled kernel. Imports torch.
"""

import copy
import logging
import math
import time
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from video_pipeline.errors import UpscalingError
from video_pipeline.upscaling.compute.foreign import ForeignNetwork, read_foreign
from video_pipeline.upscaling.compute.memory import out_of_memory
from video_pipeline.upscaling.compute.networks import RealEsrganNetwork, RRDBNet, SRVGGNetCompact, build_network
from video_pipeline.upscaling.compute.resample import cached_taps, resized
from video_pipeline.upscaling.compute.rewrites import FoldedCompact, foldable, fusable, push_form
from video_pipeline.upscaling.compute.weights import CUSTOM, Weights, WeightsError

_LOG = logging.getLogger(__name__)

Plain = RealEsrganNetwork | ForeignNetwork
Network = Plain | FoldedCompact

# glibc maps a buffer of 32 MiB or more again on each allocation, and the page faults cost as much as the arithmetic.
CPU_BUFFER_BYTES = 31 * 2**20
# On a GPU, compiling takes half a minute and more, which about so many frames regain. On the CPU it takes longer than
# most clips and needs a C++ compiler, so it is done only when it is asked for.
_COMPILED_UNASKED = ("cuda",)
_FRAMES_BEFORE_COMPILING = 500
# Short number formats agree with float32 to 55 dB and more; a broken kernel is far below that.
_LEAST_AGREEMENT_DB = 48.0
_CHECK_SIDE = 48
_TIMED_RUNS = 3


class Executions:
    """One model's executions on one device, each built when it is first needed."""

    def __init__(self, weights: Weights, device: str, precision: str, execution: str) -> None:
        self._weights = weights
        self._device = device
        self._asked = execution
        self.reference = _reference(weights)
        """The plain network in float32 on the CPU: what every other execution is compared with."""
        self.scale = self.reference.scale
        self.precision = _number_format(precision, device, self.reference)
        self.name = execution
        self._chosen: dict[Fraction, _Built] = {}
        self._compared: dict[_Shape, _Built] = {}
        self._seen: Counter[_Shape] = Counter()

    def network(
        self, frames: int, source: tuple[int, int], target: tuple[int, int], *, whole: bool = True
    ) -> Network:
        """The network for the next `frames` pictures of size `source`, (width, height) in pixels.

        It enlarges to `target` itself where it can. `whole` tells whether it is given whole pictures or strips of
        them. Raises UpscalingError when the execution that was asked for does not work here.
        """
        enlargement = self._enlargement(source, target)
        if enlargement not in self._chosen:
            self._chosen[enlargement] = self._choose(enlargement)
        built = self._chosen[enlargement]
        if whole and self._asked == "auto" and self._device in _COMPILED_UNASKED and built.name != "fused":
            built = self._perhaps_compiled(built, _Shape(enlargement, frames, source))
        self.name = built.name
        return built.network

    def fall_back_to_float32(self) -> bool:
        """Use float32 from now on. Returns False when it is in use already."""
        if self.precision == "float32":
            return False
        _LOG.warning("%s overflows in %s; it goes on in float32.", self._weights.model.name, self.precision)
        self.precision = "float32"
        self._chosen.clear()
        self._compared.clear()
        return True

    @property
    def picture_type(self) -> torch.dtype:
        """The number format of a network's input and output. Inside, the format of its weights is used."""
        return torch.float16 if self.precision == "float16" else torch.float32

    @property
    def value_bytes(self) -> int:
        """Bytes of a number inside a network."""
        return getattr(torch, self.precision).itemsize

    def unusable(self) -> UpscalingError:
        """The error to raise when the result is unusable even in float32."""
        model, source = self._weights.model.name, self._weights.source
        return UpscalingError(f"{model} gave no picture even in float32; its weights ({source}) are not usable.")

    def _enlargement(self, source: tuple[int, int], target: tuple[int, int]) -> Fraction:
        across, down = Fraction(target[0], source[0]), Fraction(target[1], source[1])
        fits = across == down and foldable(self.reference, across)
        return across if fits and self._asked != "plain" else Fraction(self.scale)

    def _choose(self, enlargement: Fraction) -> "_Built":
        """The execution that was asked for, or the first one that gives the float32 result."""
        for name in self._at_once() if self._asked == "auto" else (self._asked,):
            built = self._checked(name, enlargement)
            if built is not None:
                self._say(built)
                return built
        if self.fall_back_to_float32():
            return self._choose(enlargement)
        raise self.unusable()

    def _at_once(self) -> tuple[str, ...]:
        """What is tried without timing. The next is used when one cannot be built here or gives another picture."""
        if self._device == "cpu" and isinstance(self.reference, RRDBNet):
            # Push form saves copies, at the price of wider convolutions; on a CPU the copies cost less (measured).
            return ("plain",)
        return ("fused", "rewritten", "plain") if self._fuses() else ("rewritten", "plain")

    def _fuses(self) -> bool:
        return self._device == "cuda" and self.precision != "float32" and fusable(self.reference)

    def _perhaps_compiled(self, current: "_Built", shape: "_Shape") -> "_Built":
        """The compiled execution, when it is faster and there were enough frames of this shape for it to pay."""
        self._seen[shape] += shape.frames
        if shape not in self._compared and self._seen[shape] >= _FRAMES_BEFORE_COMPILING:
            self._compared[shape] = self._faster(current, shape)
        return self._compared.get(shape, current)

    def _faster(self, current: "_Built", shape: "_Shape") -> "_Built":
        """`current` compiled, when torch can compile it, the result agrees, and it is measured to be faster."""
        width, height = (side + -side % current.network.multiple for side in shape.source)
        picture = torch.rand(shape.frames, 3, height, width, device=self._device, dtype=self.picture_type)
        picture = picture.contiguous(memory_format=torch.channels_last)
        compiled = _Built("compiled", _compiled(current.network))
        try:
            with torch.inference_mode():
                agreement = _psnr(compiled.network(picture), current.network(picture))
                before, after = self._seconds(current.network, picture), self._seconds(compiled.network, picture)
        except Exception as error:
            # Any error in compiling, loading or launching is only logged: nobody asked for this execution.
            _LOG.warning("%s It goes on as it is.", self._not_built("torch", error))
            return current
        _LOG.info(
            "%d frames of %dx%d: %.2f ms %s, %.2f ms compiled, %.1f dB between them.",
            *(shape.frames, width, height, before * 1e3, current.name, after * 1e3, agreement),
        )
        if after >= before or agreement < _LEAST_AGREEMENT_DB:
            return current
        self._say(compiled)
        return compiled

    def _not_built(self, compiler: str, error: Exception) -> str:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{compiler} cannot compile {self._weights.model.name} on this machine ({reason})."

    def _say(self, built: "_Built") -> None:
        model = self._weights.model.name
        _LOG.info("%s is run %s, in %s on the %s.", model, built.name, self.precision, self._device)

    def _checked(self, name: str, enlargement: Fraction) -> "_Built | None":
        """Build one execution. Returns None when its result is not the float32 one.

        Raises UpscalingError when it was asked for and cannot be built here; when memory runs out, that error.
        """
        model = self._weights.model.name
        try:
            built = self._made(name, enlargement)
            agreement = self._agreement(built.network)
        except Exception as error:
            if out_of_memory(error):
                raise
            if name == "fused" and self._asked == "auto":
                # A driver, a C compiler or shared memory that Triton lacks; torch's own kernels need none of it.
                _LOG.warning("%s It goes on without.", self._not_built("Triton", error))
                return None
            if name == "fused" or (name == "compiled" and isinstance(error, _compiler_errors())):
                raise UpscalingError(self._not_built("Triton" if name == "fused" else "torch", error)) from error
            raise
        if agreement < _LEAST_AGREEMENT_DB:
            _LOG.warning("%s, %s in %s, is %.1f dB from float32: not used.", model, name, self.precision, agreement)
            return None
        return built

    def _made(self, name: str, enlargement: Fraction) -> "_Built":
        """Build the execution `name`. Without a rewrite for this enlargement it is plain, and named so."""
        network: Network = copy.deepcopy(self.reference)
        done = "plain"
        if name != "plain" and foldable(network, enlargement):
            assert isinstance(network, SRVGGNetCompact)
            network, done = FoldedCompact(network, enlargement), "rewritten"
        elif name not in ("plain", "fused") and isinstance(network, RRDBNet):
            network, done = push_form(network), "rewritten"
        _place(network, self._device, getattr(torch, self.precision))
        if name == "fused" and self._fuses():
            return _Built(name, _fused(network))
        if name == "compiled":
            return _Built(name, _compiled(network))
        return _Built(done, network)

    def _agreement(self, network: Network) -> float:
        """PSNR in dB between `network` and the plain one in float32, on a small picture of edges and noise."""
        picture = _test_picture()
        with torch.inference_mode():
            # Every execution copies the picture itself; only what the network adds to it can go wrong.
            expected = self.reference(picture)
            found = network(picture.to(self._device, self.picture_type)).float().cpu()
        height, width = found.shape[2:]
        vertical, horizontal = cached_taps(expected.shape[2], height), cached_taps(expected.shape[3], width)
        return _psnr(found, resized(expected, vertical, horizontal))

    def _seconds(self, network: Network, picture: Tensor) -> float:
        """Seconds that the device takes for `picture`, after a warm-up."""
        network(picture)
        self._wait()
        started = time.perf_counter()
        for _ in range(_TIMED_RUNS):
            network(picture)
        self._wait()
        return (time.perf_counter() - started) / _TIMED_RUNS

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


class _Shape(NamedTuple):
    """What a network is compiled for. The last batch of a clip has another shape."""

    enlargement: Fraction
    frames: int
    source: tuple[int, int]


@dataclass(frozen=True)
class _Built:
    name: str
    network: Network


def _compiled(network: Network) -> Network:
    # torch.compile returns another type, which passes attributes and calls through. Without `isolate_recompiles`, new
    # in torch 2.12, the shapes of all models together would soon exceed what it compiles of one function.
    known = signature(torch.compile).parameters
    isolated: dict[str, Any] = {"isolate_recompiles": True} if "isolate_recompiles" in known else {}
    return cast(Network, torch.compile(network, dynamic=False, **isolated))


def _fused(network: Network) -> Network:
    # Triton is there only where torch has a GPU to offer.
    from video_pipeline.upscaling.compute.fused import fused

    assert isinstance(network, FoldedCompact | SRVGGNetCompact | RRDBNet)
    return fused(network)


def _psnr(a: Tensor, b: Tensor) -> float:
    """PSNR in dB between two pictures 0..1; waits for the device."""
    error = (a.float() - b.float()).square().mean().item()
    if error == 0:
        return math.inf
    return -10 * math.log10(error) if math.isfinite(error) else -math.inf


def _compiler_errors() -> tuple[type[Exception], ...]:
    """The errors that torch.compile raises. Imported only after an error, because the import takes a second."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    return TorchDynamoException, InductorError


def _reference(weights: Weights) -> Plain:
    try:
        network = build_network(weights.state)
    except (ValueError, RuntimeError, KeyError, IndexError) as error:
        if weights.model.name == CUSTOM:
            return read_foreign(Path(weights.source))
        raise WeightsError(f"{weights.source} does not hold a Real-ESRGAN network: {error}.") from error
    if network.scale != weights.model.scale and weights.model.name != CUSTOM:
        raise WeightsError(
            f"{weights.source} enlarges {network.scale} times and {weights.model.name} {weights.model.scale} times; "
            "they are not the same model."
        )
    return network


def _place(network: Network, device: str, dtype: torch.dtype) -> None:
    """Move to the device: weights in `dtype`, channels last. Fixed tables stay in float32."""
    network.to(device)
    for weight in network.parameters():
        layout = torch.channels_last if weight.dim() == 4 else torch.preserve_format
        weight.data = weight.data.to(dtype=dtype, memory_format=layout)
    if device == "cpu" and isinstance(network, RRDBNet):
        network.tail_bytes = CPU_BUFFER_BYTES
        # Their input or output is the picture, for which 8 bits of precision are too few.
        network.conv_first.float()
        network.conv_last.float()


def _number_format(precision: str, device: str, network: Plain) -> str:
    if precision != "auto":
        return precision
    if device == "cuda":
        return "float16" if network.float16_on_gpu else "float32"
    return "bfloat16" if network.bfloat16_on_cpu and _computes_bfloat16() else "float32"


def _computes_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself. On others, torch only emulates it, slowly."""
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def _test_picture() -> Tensor:
    """(1, 3, 48, 48): a slope, a sharp edge and fixed noise."""
    noise = torch.rand(1, 3, _CHECK_SIDE, _CHECK_SIDE, generator=torch.Generator().manual_seed(0))
    slope = torch.linspace(0.2, 0.8, _CHECK_SIDE).expand(_CHECK_SIDE, -1)
    edge = (torch.arange(_CHECK_SIDE) > _CHECK_SIDE // 2).float().unsqueeze(1) * 0.2
    return (slope + edge + (noise - 0.5) * 0.1).clamp(0, 1)
