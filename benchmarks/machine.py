"""What a measurement was made on: the machine in words, how fast it multiplies matrices, how much memory was used."""

import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

# Large enough that nothing but the multiplying counts, and under a second each.
_MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
_REPEATS = 7


def describe() -> dict[str, str | int | float]:
    """The machine, the versions, and how busy it was before the run."""
    found: dict[str, str | int | float] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 1,
        "load_average_before": round(os.getloadavg()[0], 2),
        "torch_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": "cpu",
    }
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        found |= {"device": "cuda", "gpu": gpu.name, "gpu_gib": round(gpu.total_memory / 2**30, 1)}
        found |= {"driver": _driver(), "cuda": str(torch.version.cuda)}
    return found


def slug(machine: dict[str, str | int | float]) -> str:
    """The device's name as part of a file name."""
    name = str(machine.get("gpu") or f"cpu {machine['cpu']} {machine['cores']} cores")
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def matrix_rate(device: str, precision: str) -> float:
    """The best of several: FLOP/s of a product of two square matrices in `precision`."""
    side = _MATRIX_SIDE[device]
    a, b = (torch.rand(side, side, device=device).to(getattr(torch, precision)) for _ in range(2))
    seconds: list[float] = []
    for _ in range(_REPEATS):
        wait(device)
        started = time.perf_counter()
        torch.mm(a, b)
        wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


def wait(device: str) -> None:
    """Until the GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_rss_mib() -> float:
    """This process's peak resident memory (Linux).

    Not getrusage's, which survives exec: a child would report its parent's.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def peak_gpu_mib() -> float | None:
    """This process's peak of memory on the GPU that torch handed out; None without a GPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None


def _driver() -> str:
    """The NVIDIA driver's version; "unknown" in a container without its tools."""
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout.split()[0]


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
