"""The file a result is written to before it is one: hidden, locked while its writer lives, and never left over."""

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def partial_file(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to and then move into place; afterwards nothing else is left.

    Parts of the same target whose writers were killed are deleted; one that is being written elsewhere is left alone.
    """
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        _delete_unless_locked(left)
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        with part.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another writer may have taken it for a dead one's before it was locked.
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
