"""Measures time and energy of the device, divided among the clips that share it (G3.1)."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

# NVML's own reading is a mean over about this many seconds.
_READING_S = 0.2


@dataclass(slots=True)
class Share:
    """One clip's part. While n clips are at work at the same time, each gets 1/n of the time and energy."""

    seconds: float = 0.0
    joules: float | None = None
    """None when the device's power cannot be read."""


class PowerMeter:
    """Meters one device ("cpu" or "cuda"); threads may share it.

    The power of a GPU is read from NVML where the GPU reports it. The CPU's power is not read, because RAPL needs
    root on most machines.
    """

    def __init__(self, device: str) -> None:
        self._watts = _nvml_watts() if device == "cuda" else None
        self._reads_power = self._watts is not None and device == "cuda"
        self._lock = threading.Lock()
        self._active: list[Share] = []
        self._since = self._read_at = time.perf_counter()

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """A clip's share, measured until the end of the `with` block."""
        mine = Share(joules=0.0 if self._reads_power else None)
        with self._lock:
            self._divide()
            self._active.append(mine)
        try:
            yield mine
        finally:
            with self._lock:
                self._divide()
                self._active.remove(mine)

    def tick(self) -> None:
        """Read the power again if the last reading is old. Call it a few times a second during the work."""
        if self._reads_power and time.perf_counter() - self._read_at > _READING_S:
            with self._lock:
                self._divide()
                self._watts = _nvml_watts() or self._watts
                self._read_at = time.perf_counter()

    def _divide(self) -> None:
        now = time.perf_counter()
        passed, self._since = now - self._since, now
        for share in self._active:
            share.seconds += passed / len(self._active)
            if share.joules is not None and self._watts is not None:
                share.joules += self._watts * passed / len(self._active)


def _nvml_watts() -> float | None:
    """Watts that the current GPU draws, or None when they cannot be read."""
    import pynvml
    import torch

    try:
        return torch.cuda.power_draw() / 1000
    except (RuntimeError, pynvml.NVMLError):
        # No driver, or a GPU that does not report its power.
        return None
