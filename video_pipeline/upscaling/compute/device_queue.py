"""Moves batches to the device and back: beside the computing on a GPU, at once on the CPU. Imports torch.

On a GPU, uploads, computing and downloads are queued on three streams that wait for one another by events. The host
waits only when it asks for a result. Host memory is pinned; torch's caching allocator reuses the same blocks when
their copies are done.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

Compute = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class QueuedBatch(Protocol):
    """A batch that was submitted to a device."""

    def wait(self) -> tuple[Sequence[Tensor], float]:
        """Wait for the results in host memory, and the seconds that the device computed for them."""
        ...


class CpuQueue:
    """Computes on the CPU, without any transfer."""

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Host memory for a batch."""
        return torch.empty(tuple(shape), dtype=dtype)

    def run(self, batch: Sequence[Tensor], compute: Compute) -> QueuedBatch:
        """Compute now. The result is ready when this returns."""
        started = time.perf_counter()
        return _Computed(compute(batch), time.perf_counter() - started)


class _Computed:
    def __init__(self, results: Sequence[Tensor], seconds: float) -> None:
        self._results = results
        self._seconds = seconds

    def wait(self) -> tuple[Sequence[Tensor], float]:
        return self._results, self._seconds


class CudaQueue:
    """Three streams of one GPU, used by one thread, because cuDNN chooses its kernels again in every thread."""

    def __init__(self) -> None:
        self._upload, self._compute, self._download = (torch.cuda.Stream() for _ in range(3))
        self._feeder = ThreadPoolExecutor(1, thread_name_prefix="gpu")

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Pinned host memory for a batch."""
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def run(self, batch: Sequence[Tensor], compute: Compute) -> QueuedBatch:
        """Queue the batch and return. Raises torch.OutOfMemoryError here, never in `wait`."""
        return self._feeder.submit(self._queue, batch, compute).result()

    def _queue(self, batch: Sequence[Tensor], compute: Compute) -> QueuedBatch:
        with torch.cuda.stream(self._upload):
            placed = [tensor.to("cuda", non_blocking=True) for tensor in batch]
        self._compute.wait_stream(self._upload)
        started, computed = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        # A thread that waits for it sleeps, and leaves its core to the encoder.
        arrived = torch.cuda.Event(blocking=True)
        with torch.cuda.stream(self._compute):
            started.record()
            results = [result.contiguous() for result in compute(placed)]
            computed.record()
        self._download.wait_stream(self._compute)
        with torch.cuda.stream(self._download):
            hosted = [self.empty(result.shape, result.dtype) for result in results]
            for host, result in zip(hosted, results, strict=True):
                host.copy_(result, non_blocking=True)
            arrived.record()
        # Memory that one stream allocated and another uses must not be reused before that use.
        for tensor in placed:
            tensor.record_stream(self._compute)
        for result in results:
            result.record_stream(self._download)
        return _Downloading(hosted, started, computed, arrived)


class _Downloading:
    def __init__(
        self,
        hosted: Sequence[Tensor],
        started: torch.cuda.Event,
        computed: torch.cuda.Event,
        arrived: torch.cuda.Event,
    ) -> None:
        self._hosted = hosted
        self._started, self._computed, self._arrived = started, computed, arrived

    def wait(self) -> tuple[Sequence[Tensor], float]:
        self._arrived.synchronize()
        return self._hosted, self._started.elapsed_time(self._computed) / 1000


def queue_of(device: str) -> "CpuQueue | CudaQueue":
    """The queue of "cpu" or "cuda"."""
    return CudaQueue() if device == "cuda" else CpuQueue()
