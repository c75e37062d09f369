"""What stands beside a house while it is measured: the world's vendors, and its ledger's server when it is over."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from video_pipeline.sandbox import is_running

_START_S = 60.0


def start_vendors(folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    """The vendors of the world that the environment names, as the sandbox in `folder`; the caller ends them."""
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("a") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bottle.vendors", "--state-dir", str(folder), "--idle-exit-s", "86400"],
            stdout=written,
            stderr=written,
        )
    until = time.monotonic() + _START_S
    while True:
        assert process.poll() is None and time.monotonic() < until, f"the vendors did not start; see {log}"
        time.sleep(0.1)
        if is_running(folder):
            return process


def stop_postgres(folder: Path) -> None:
    """End the embedded server of the ledger in `folder`, if there is one, and wait for its end."""
    lock_file = folder / "postmaster.pid"
    if not lock_file.exists():
        return
    pid = int(lock_file.read_text().split()[0])
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.1)
