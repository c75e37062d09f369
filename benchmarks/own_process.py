"""What the process that asks has used: CPU and memory (Linux). Nothing large is imported here, for it would count."""

import os
from pathlib import Path


def cpu_with_children_s() -> float:
    """CPU that this process and the programs it has run have taken, in seconds."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def peak_mib() -> float:
    """This process's peak resident memory, since its start or the last `forget_peak`."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> None:
    """Take the peak of resident memory from here on; see proc(5). Raises OSError where that is not allowed."""
    Path("/proc/self/clear_refs").write_text("5")
