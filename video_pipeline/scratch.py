"""Folders for work under way: gone when the work ends, and swept by the next process when this one was killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

_PREFIX = "video-pipeline-work-"
_LOCK = ".lock"


@contextmanager
def scratch_folder(name: str) -> Generator[Path]:
    """An empty folder for the length of the block; `name` stands in its own, for people.

    A lock beside it is held for as long as its process lives. The first folder of a process sweeps those of the dead.
    """
    root = Path(tempfile.gettempdir())
    _sweep(os.getpid(), root)
    lock, held = _locked(root, name)
    folder = lock.with_name(lock.name.removesuffix(_LOCK))
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(held)


def _locked(root: Path, name: str) -> tuple[Path, int]:
    """A new lock file and its descriptor, locked."""
    while True:
        held, place = tempfile.mkstemp(prefix=f"{_PREFIX}{name}-", suffix=_LOCK, dir=root)
        fcntl.flock(held, fcntl.LOCK_EX)
        if os.fstat(held).st_nlink:
            return Path(place), held
        # Another process swept it in the moment before it was locked.
        os.close(held)


@lru_cache(maxsize=1)
def _sweep(pid: int, root: Path) -> None:
    """Remove the folders of processes that are no more; once a process, as one that was forked off is another."""
    for lock in root.glob(f"{_PREFIX}*{_LOCK}"):
        # What is another user's, or is being swept by somebody else, is left to them.
        with suppress(OSError), lock.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_name(lock.name.removesuffix(_LOCK)), ignore_errors=True)
            lock.unlink(missing_ok=True)
