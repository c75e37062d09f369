"""Small file systems to fill up."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_FILE_AT_ALL = Path("/dev/full")
"""A place below which nothing can be written; stands in for a full disk where nobody may mount."""


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[bool]:
    """Mount a file system of its own at the empty `folder`, such as with `size=20m`; False where nobody may."""
    mounted = mount(folder, options)
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(folder: Path, options: str) -> bool:
    """Mount, or with `remount` in the options change what is mounted; whether that was possible."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill(ballast: Path) -> None:
    """Write to `ballast` until its disk is full, to the last page."""
    for size in (1024 * 1024, 4096):
        with ballast.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
