"""What is computed on a GPU stays there, never makes the host wait, and gets there and back in order; without one.

torch's fake tensors know a device, a shape and a number format and hold no numbers. An operation on tensors of two
devices is an error to them, and so is a question about a number that the host would have to wait for.
"""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

from video_pipeline.upscaling import Execution
from video_pipeline.upscaling.compute import colour, resample
from video_pipeline.upscaling.compute.colour import from_rgb, to_rgb
from video_pipeline.upscaling.compute.device_queue import CudaQueue
from video_pipeline.upscaling.compute.execution import Executions, Network
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.strips import enlarge
from video_pipeline.upscaling.compute.weights import load_weights

# Made once and kept on their device: none of the fake ones may be left for other tests, nor theirs be used here.
_TABLES = [kept for module in (colour, resample) for kept in vars(module).values() if hasattr(kept, "cache_clear")]


class _ImaginaryGpu(TorchFunctionMode):
    """Makes whatever is put on "cuda" a fake tensor; the CPU's tensors stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = FakeTensorMode(allow_non_fake_inputs=True)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.to:
            device, dtype, _, _ = torch._C._nn._parse_to(*args[1:], **kwargs)  # pyright: ignore
            if isinstance(args[0], FakeTensor) if device is None else device.type == "cuda":
                with self.memory:
                    return torch.empty_like(args[0], device=device, dtype=dtype)
        placed = torch.device(kwargs.get("device") or "cpu").type == "cuda"
        if placed or any(isinstance(arg, FakeTensor) for arg in args):
            # Fake convolutions do not look at their weights' device.
            devices = {arg.device.type for arg in args if isinstance(arg, Tensor) and arg.dim()}
            moving = func is torch._has_compatible_shallow_copy_type  # pyright: ignore[reportPrivateImportUsage]
            assert len(devices) < 2 or moving, f"{func} on {devices}"
            with self.memory:
                # Written so that a build of torch without CUDA is not asked for the device.
                if func is Tensor.contiguous:
                    return torch.empty_like(
                        args[0], memory_format=kwargs.get("memory_format", torch.contiguous_format)
                    )
                if func is Tensor.__invert__:
                    return args[0].logical_not()
                if func is Tensor.__getitem__:
                    return _part(*args)
                if func is Tensor.__setitem__:
                    return _part(*args[:2]).add_(args[2])
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _part(tensor: Tensor, key: int | slice | tuple[int | slice, ...]) -> Tensor:
    """tensor[key]."""
    dim = 0
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, int):
            tensor = tensor.select(dim, part)
            continue
        start, stop, _ = part.indices(tensor.shape[dim])
        tensor = tensor.narrow(dim, start, stop - start)
        dim += 1
    return tensor


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The check of an execution's picture reads numbers, once, before the first clip.
    monkeypatch.setattr(Executions, "_agreement", lambda executions, network: math.inf)
    for table in _TABLES:
        table.cache_clear()
    with _ImaginaryGpu(), torch.inference_mode():
        yield
    for table in _TABLES:
        table.cache_clear()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Small networks of both kinds, and of both scales of the deep one."""
    folder = tmp_path_factory.mktemp("weights")
    networks = {
        "realesr-animevideov3": SRVGGNetCompact(features=8, convolutions=2, scale=4),
        "RealESRGAN_x4plus": RRDBNet(features=8, growth=4, blocks=1, scale=4),
        "RealESRGAN_x2plus": RRDBNet(features=8, growth=4, blocks=1, scale=2),
    }
    for name, network in networks.items():
        torch.save({"params": network.state_dict()}, folder / name)
    return {name: folder / name for name in networks}


@pytest.mark.usefixtures("gpu")
def test_the_stand_in_notices_a_tensor_left_on_the_cpu_and_a_host_that_waits() -> None:
    picture = torch.rand(1, 3, 8, 8).to("cuda")
    assert (picture.device.type, picture.half().device.type) == ("cuda", "cuda")
    with pytest.raises(AssertionError, match="conv2d"):
        torch.conv2d(picture, torch.rand(3, 3, 1, 1))
    with pytest.raises(DataDependentOutputException):
        bool(picture.isfinite().all())


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "yuv444p"])
@pytest.mark.parametrize("blend", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(96, 72), (90, 50)], ids=["folded", "any ratio"])
@pytest.mark.parametrize("execution", ["plain", "rewritten"])
@pytest.mark.parametrize("model", ["realesr-animevideov3", "RealESRGAN_x4plus", "RealESRGAN_x2plus"])
def test_a_batch_is_enlarged_without_leaving_the_gpu_or_waiting_for_it(
    weights: Mapping[str, Path], model: str, execution: Execution, size: tuple[int, int], blend: float, pixels: str
) -> None:
    source = PlaneFormat((64, 48), pixels, "bt709", full_range=False)
    target = PlaneFormat(size, "yuv420p10le" if pixels.endswith("10le") else "yuv420p", "bt709", full_range=False)
    executions = Executions(load_weights(model, path=weights[model]), "cuda", "auto", execution)
    assert executions.precision == "float16"
    network: Network | None = executions.network(2, source.size, size) if blend > 0 else None
    across, down = source.subsampling
    shapes = [(48, 64), (-(-48 // down), -(-64 // across)), (-(-48 // down), -(-64 // across))]
    planes = [torch.zeros(2, *shape, dtype=torch.uint8).to("cuda") for shape in shapes]

    rgb = torch.rot90(to_rgb(planes, source), 2, (2, 3)).contiguous()
    picture, usable = enlarge(
        rgb, size, network, rows=20, picture_type=executions.picture_type, blend=blend, keep_colour=True
    )
    results = [*from_rgb(picture, target), usable]
    assert {tensor.device.type for tensor in results} == {"cuda"}
    assert [tuple(tensor.shape) for tensor in results[:2]] == [(2, size[1], size[0]), (2, size[1] // 2, size[0] // 2)]


class _Streams:
    """Stands for `torch.cuda`: notes what is queued on which stream, and does it at once, on the CPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queued: list[tuple[str, str]] = []
        self.threads: set[str] = set()
        self._names = iter(["upload", "compute", "download"])
        self._current = "default"
        empty = torch.empty
        monkeypatch.setattr(torch, "empty", lambda *args, pin_memory=False, **kwargs: empty(*args, **kwargs))
        monkeypatch.setattr(Tensor, "to", lambda tensor, *args, **kwargs: self.note("upload", tensor.clone()))
        copy = Tensor.copy_
        monkeypatch.setattr(Tensor, "copy_", lambda to, *args, **kwargs: self.note("download", copy(to, *args)))
        monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: self.note(f"kept for {stream.name}"))
        monkeypatch.setattr(torch.cuda, "Stream", lambda: _Stream(self, next(self._names)))
        monkeypatch.setattr(torch.cuda, "Event", lambda **kwargs: _Event(self))
        monkeypatch.setattr(torch.cuda, "stream", self._on)

    def note(self, what: str, result: Any = None) -> Any:
        self.queued.append((self._current, what))
        self.threads.add(threading.current_thread().name)
        return result

    @contextmanager
    def _on(self, stream: "_Stream") -> Iterator[None]:
        self._current = stream.name
        yield
        self._current = "default"


class _Stream:
    def __init__(self, streams: _Streams, name: str) -> None:
        self._streams, self.name = streams, name

    def wait_stream(self, other: "_Stream") -> None:
        self._streams.note(f"{self.name} waits for {other.name}")


class _Event:
    def __init__(self, streams: _Streams) -> None:
        self._streams = streams

    def record(self) -> None:
        self._streams.note("event")

    def synchronize(self) -> None:
        """All of it is done already."""

    def elapsed_time(self, later: "_Event") -> float:
        return 5.0


def test_a_batch_goes_up_and_comes_down_in_order_whatever_the_shape_of_its_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among the results is one number without any dimension: whether the rest is a picture."""
    streams = _Streams(monkeypatch)
    queue = CudaQueue()
    batch = queue.empty((2, 3), torch.uint8)
    batch[:] = torch.tensor([[1, 2, 3], [4, 5, 6]])
    streams.queued.clear()

    def compute(placed: Sequence[Tensor]) -> list[Tensor]:
        streams.note("computing")
        return [placed[0].t() * 2, torch.tensor(True)]

    (doubled, usable), seconds = queue.run([batch], compute).wait()
    assert doubled.tolist() == [[2, 8], [4, 10], [6, 12]] and bool(usable) and seconds == 0.005
    assert streams.queued == [
        ("upload", "upload"),
        ("default", "compute waits for upload"),
        ("compute", "event"),
        ("compute", "computing"),
        ("compute", "event"),
        ("default", "download waits for compute"),
        ("download", "download"),
        ("download", "download"),
        ("download", "event"),
        ("default", "kept for compute"),
        ("default", "kept for download"),
        ("default", "kept for download"),
    ]


def test_whichever_clip_a_batch_is_of_one_thread_feeds_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN measures its kernels anew in each thread that it is called from."""
    streams = _Streams(monkeypatch)
    queue = CudaQueue()

    def clip() -> None:
        queue.run([torch.zeros(1)], lambda placed: [streams.note("computing", placed[0])]).wait()

    for _ in range(3):
        thread = threading.Thread(target=clip)
        thread.start()
        thread.join()
    assert streams.threads == {"gpu_0"} and streams.queued.count(("compute", "computing")) == 3


def test_memory_that_runs_out_while_a_batch_is_queued_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _Streams(monkeypatch)

    def compute(placed: Sequence[Tensor]) -> list[Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        CudaQueue().run([torch.zeros(1)], compute)
