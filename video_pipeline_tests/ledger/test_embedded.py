"""The embedded server when it, or whoever makes it, is killed: the next who asks gets one that works."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline_tests.conftest import stop_embedded

_ASK = (
    "import sys; from pathlib import Path; from video_pipeline.ledger.embedded import embedded_url; "
    "embedded_url(Path(sys.argv[1]))"
)


@pytest.fixture
def folder(embedded_folder: Path) -> Iterator[Path]:
    """A place for a server, where nothing is yet."""
    place = Path(tempfile.mkdtemp(prefix="killed-", dir=embedded_folder))
    place.chmod(0o755)
    yield place / "ledger"
    if (place / "ledger" / "PG_VERSION").exists():
        stop_embedded(place / "ledger")


@pytest.fixture(scope="module")
def kept(embedded_folder: Path) -> Iterator[Path]:
    """A server that holds one row, for the tests that kill it."""
    folder = embedded_folder / "kept-over-kills"
    engine = create_engine(embedded_url(folder))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept AS SELECT 1 AS number"))
    engine.dispose()
    yield folder
    stop_embedded(folder)


def _rows(folder: Path) -> int:
    engine = create_engine(embedded_url(folder))
    with engine.connect() as connection:
        number = connection.execute(text("SELECT count(*) FROM kept")).scalar_one()
    engine.dispose()
    return number


def _kill_server(folder: Path) -> None:
    server = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    server.kill()
    psutil.wait_procs([server], timeout=10)


@pytest.mark.crash
@pytest.mark.parametrize(
    ("moment", "kill"),
    [
        pytest.param("ledger.making", os.killpg, id="before anything is made"),
        pytest.param("ledger.making/PG_VERSION", os.killpg, id="half-way"),
        pytest.param("ledger.making/PG_VERSION", os.kill, id="half-way, what it started works on"),
        pytest.param("ledger/postmaster.pid", os.killpg, id="when the server starts"),
    ],
)
def test_whoever_is_killed_at_the_first_start_leaves_nothing_in_the_way(
    folder: Path, moment: str, kill: Callable[[int, int], None]
):
    process = subprocess.Popen([sys.executable, "-c", _ASK, str(folder)], start_new_session=True)
    while not (folder.parent / moment).exists():
        assert process.poll() is None
        time.sleep(0.001)
    kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    engine = create_engine(embedded_url(folder))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()
    assert not (folder.parent / "ledger.making").exists()


@pytest.mark.crash
@pytest.mark.parametrize(
    "left",
    [
        pytest.param(None, id="as it is"),
        pytest.param("", id="empty"),
        pytest.param("-4242\n/anywhere\n1764000000\n5432\n", id="of a server without connections"),
    ],
)
def test_a_killed_server_is_started_again_whatever_its_lock_file_says(kept: Path, left: str | None):
    _kill_server(kept)
    if left is not None:
        (kept / "postmaster.pid").write_text(left)
    assert _rows(kept) == 1


def test_files_that_are_no_database_are_never_removed(folder: Path):
    folder.mkdir()
    (folder / "base").mkdir()
    with pytest.raises(LedgerError, match="if no ledger was ever kept there, remove the folder"):
        embedded_url(folder)
    assert (folder / "base").is_dir()
