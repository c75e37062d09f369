"""What befalls the servers and the disk in the middle of a command: at a checkpoint, or as a stage begins.

The command's own process does it in the very moment that it comes there, so that no trial is a matter of luck.
"""

import os
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from video_pipeline import checkpoints, launcher
from video_pipeline.ledger import connecting
from video_pipeline.wire import waiting

TELL_EVERY_S = 0.3
SILENCE_S = 1.0


@dataclass(frozen=True)
class Outage:
    """`act` is called when a command first comes to `at`, a checkpoint or a stage; then the file `told` is there.

    In this command the ledger is waited for, and long calls are told of, after moments.
    """

    at: str
    act: Callable[[], None]
    told: Path

    def arm(self) -> None:
        """Prepare this process, which is to become the command."""
        run_job = launcher.run_job

        def reach(name: str) -> None:
            if name == self.at and not self.told.exists():
                self.act()
                self.told.touch()

        def watched(*arguments: Any, on_progress: Any, **options: Any) -> dict[str, float]:
            def listen(progress: launcher.StageProgress) -> None:
                on_progress(progress)
                if progress.message == "started":
                    reach(progress.step)

            return run_job(*arguments, on_progress=listen, **options)

        checkpoints.on_reach = reach
        launcher.run_job = watched
        waiting.TELL_EVERY_S = TELL_EVERY_S
        connecting._PATIENCE_S = connecting._Bounded.patience_s = SILENCE_S


def send(sign: int, server: int) -> None:
    """Send a signal to a server's process and to those that it has started."""
    for process in _with_children(server):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(sign)


def no_more_bytes(servers: Iterable[int]) -> None:
    """Let neither this process nor the servers write to any file, as if there was no room for a byte."""
    for process in (psutil.Process(os.getpid()), *(each for server in servers for each in _with_children(server))):
        _limit(process, 0)


def bytes_again(servers: Iterable[int]) -> None:
    """Take back what `no_more_bytes` has done to those of the servers that are still there."""
    for server in servers:
        with suppress(psutil.NoSuchProcess):
            for process in _with_children(server):
                _limit(process, None)


def _limit(process: psutil.Process, size: int | None) -> None:
    # A server that runs as another user cannot be limited by everybody; it then has room that the others have not.
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        _, most = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (most if size is None else size, most))


def _with_children(server: int) -> list[psutil.Process]:
    process = psutil.Process(server)
    return [process, *process.children(recursive=True)]
