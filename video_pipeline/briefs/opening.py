"""Opening what lies in the inbox: never what lies outside, never what could block, and never more than a file has."""

import hashlib
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from video_pipeline.briefs.bounds import MAX_FILE_BYTES, NotRead

LEADS_OUT = "it is a link that leads out of the inbox; put the file itself there"
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a pipe would wait for its other end.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def bytes_of(path: Path, inbox: Path | None, *, most: int = MAX_FILE_BYTES) -> bytes:
    """What is in a file of `inbox`, at `most` so many bytes; with None, of any folder.

    Raises NotRead for what is no file, cannot be read or is too large, and FileNotFoundError.
    """
    try:
        with _opened(path, inbox) as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it leads nowhere"
        raise NotRead(f"the file cannot be read: {said}") from None
    if len(data) > most:
        raise NotRead(f"the file is larger than {most:,} bytes")
    return data


def sha256_of(path: Path, inbox: Path) -> str:
    """The SHA-256 of a file of `inbox`; of one that is too large to be read, of its beginning, size and times.

    Raises NotRead and OSError.
    """
    with _opened(path, inbox) as file:
        data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            status = os.fstat(file.fileno())
            data += f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _opened(path: Path, inbox: Path | None) -> Generator[BinaryIO]:
    """`path`, which is a file in `inbox` when it is opened, whatever it was when it was listed."""
    found = path.resolve(strict=True)
    descriptor = os.open(found, _FILE) if inbox is None else _within(found, inbox.resolve(strict=True))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRead("it is no file")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _within(found: Path, inbox: Path) -> int:
    """Opened folder by folder: none of them can have become a link meanwhile."""
    if not found.is_relative_to(inbox):
        raise NotRead(LEADS_OUT)
    *folders, name = found.relative_to(inbox).parts
    at = os.open(inbox, _FOLDER)
    try:
        for folder in folders:
            above, at = at, os.open(folder, _FOLDER, dir_fd=at)
            os.close(above)
        return os.open(name, _FILE, dir_fd=at)
    finally:
        os.close(at)
