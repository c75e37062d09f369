"""A hidden file that a result is written to before it is moved into place, and names that file systems take.

It is locked while its writer lives. The next writer of the same target deletes what a killed one left.
"""

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What Linux, macOS and Windows take for one name; Linux counts bytes.
_LONGEST_NAME = 255
# Follows the target's name in those of its partial files, with digits that no other writer has.
_ENDING = ".00000000.part"


def fitted_name(stem: str, ending: str) -> str:
    """`stem` and `ending` as one name; of a name too long for a file system, the stem's end is cut off."""
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending


@contextmanager
def partial_file(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to. The caller moves it into place; otherwise it is deleted at the end.

    Partial files of the same target whose writers were killed are deleted. One that another process writes is kept.
    """
    stem = fitted_name(f".{target.name}", _ENDING).removesuffix(_ENDING)
    for left in target.parent.glob(f"{glob.escape(stem)}.*.part"):
        _delete_unless_locked(left)
    while True:
        part = target.with_name(f"{stem}.{secrets.token_hex(4)}.part")
        with part.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Before it was locked, another writer may have deleted it as left over.
            if not part.exists():
                continue
            try:
                yield part
            finally:
                part.unlink(missing_ok=True)
            return


def _delete_unless_locked(part: Path) -> None:
    try:
        handle = os.open(part, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink(missing_ok=True)
    except BlockingIOError:
        return
    finally:
        os.close(handle)
