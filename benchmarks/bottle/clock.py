"""The wall clock of all processes of a month: `clock.c` in LD_PRELOAD, moved by whoever holds the file."""

import os
import shutil
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

VARIABLE = "BOTTLE_CLOCK"


class NoClock(Exception):
    """This machine cannot have a clock that is set for some processes only."""


def build(folder: Path) -> Path:
    """Compile the library into `folder`. Raises NoClock with what is missing."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.uname().sysname != "Linux":
        raise NoClock("The month needs Linux and a C compiler (Debian and Ubuntu: apt-get install gcc libc6-dev).")
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        raise NoClock(f"The month's clock could not be compiled: {built.stderr.strip()[-500:]}")
    # The embedded Postgres runs as a user of its own.
    library.chmod(0o755)
    return library


class Clock:
    """The time that every process sees which was started under it; between two settings it runs on by itself."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def start(self, moment: datetime) -> None:
        """Begin at `moment`, UTC, before any other process is started: here time may go back."""
        self._move(moment)

    def set(self, moment: datetime) -> None:
        """Go on to `moment`, UTC; one that is past already is left alone."""
        if moment > datetime.now(UTC):
            self._move(moment)

    def _move(self, moment: datetime) -> None:
        with self._file.open("r+b") as file:
            offset = struct.unpack("<q", file.read(8))[0] + round((moment - datetime.now(UTC)).total_seconds() * 1e9)
            file.seek(0)
            file.write(struct.pack("<q", offset))


def new_file(file: Path) -> None:
    """The file of a clock that tells the real time as yet."""
    file.write_bytes(struct.pack("<q", 0))
    file.chmod(0o644)
