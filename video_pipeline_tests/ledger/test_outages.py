"""The ledger's server is killed, stopped, crowded, locked up or full: work waits for it, and never for ever."""

import itertools
import logging
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import Ledger, connecting, open_ledger
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline_tests.conftest import stop_embedded
from video_pipeline_tests.disks import NO_FILE_AT_ALL, fill, mount, small_disk


@pytest.fixture(scope="module")
def home(embedded_folder: Path) -> Iterator[Path]:
    """The folder of a server that only this module's tests know."""
    folder = embedded_folder / "outages"
    open_ledger(None, embedded_dir=folder).close()
    yield folder
    stop_embedded(folder)


@pytest.fixture
def own(home: Path) -> Iterator[Ledger]:
    opened = open_ledger(None, embedded_dir=home)
    yield opened
    opened.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of moments, in the order of the real ones."""
    monkeypatch.setattr(connecting, "_PATIENCE_S", 1.0)
    monkeypatch.setattr(connecting._Bounded, "patience_s", 1.0)
    monkeypatch.setattr(connecting, "_BOUNDED", connecting._bounds(0.2, 0.4, 0.6, 0))


def _servers(home: Path) -> list[psutil.Process]:
    postmaster = psutil.Process(int((home / "postmaster.pid").read_text().split()[0]))
    return [postmaster, *postmaster.children()]


def _sentence(work: Callable[[], object]) -> str:
    with pytest.raises(LedgerError) as caught:
        work()
    said = str(caught.value)
    assert "\n" not in said and said.endswith("Run again: the work goes on where it stopped.")
    return said


def _number(ledger: Ledger) -> int:
    with ledger.engine.connect() as connection:
        return connection.execute(text("SELECT 1 FROM pg_sleep(0.02)")).scalar_one()


def test_the_real_waits_end_within_a_minute_and_in_their_order():
    assert connecting.IDLE_S < connecting.LOCK_S < connecting.STATEMENT_S < connecting.SILENCE_S
    assert connecting.SILENCE_S + connecting._PATIENCE_S < 60


def test_what_needs_long_has_no_bounds(own: Ledger):
    with own.engine.connect() as connection:
        connecting.without_bounds(connection)
        for name in (
            "idle_in_transaction_session_timeout",
            "lock_timeout",
            "statement_timeout",
            "idle_session_timeout",
        ):
            assert connection.execute(text(f"SHOW {name}")).scalar_one() == "0"


@pytest.mark.crash
def test_a_server_that_was_killed_is_started_again_by_whoever_needs_it(home: Path, own: Ledger):
    assert _number(own) == 1
    postmaster = _servers(home)[0]
    postmaster.kill()
    postmaster.wait(timeout=10)
    assert _number(own) == 1


@pytest.mark.crash
def test_a_server_that_dies_in_the_middle_of_a_change_is_one_sentence(home: Path, own: Ledger):
    with own.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        for server in _servers(home):
            server.kill()
        _sentence(lambda: connection.execute(text("SELECT 1")))
    assert _number(own) == 1


@pytest.mark.crash
def test_a_server_that_was_stopped_ends_a_call_with_a_sentence(home: Path, short: None):
    with closing(open_ledger(None, embedded_dir=home)) as own, own.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        servers = _servers(home)
        for server in servers:
            server.suspend()
        try:
            assert "does not answer" in _sentence(lambda: connection.execute(text("SELECT 1")))
            assert "does not answer" in _sentence(lambda: _number(own))
        finally:
            for server in servers:
                server.resume()
        assert _number(own) == 1


def test_a_shortage_of_connections_is_waited_out(home: Path, own: Ledger, caplog: pytest.LogCaptureFixture):
    own.engine.dispose()
    log = logging.getLogger(connecting.__name__)
    with ExitStack() as others:
        _fill(others, home)

        def let_go(record: logging.LogRecord) -> bool:
            others.close()
            return True

        log.addFilter(let_go)
        try:
            assert _number(own) == 1
        finally:
            log.removeFilter(let_go)
    assert "takes no connection now, trying again" in caplog.text


def test_in_a_shortage_the_connections_of_a_process_go_round(
    home: Path, own: Ledger, caplog: pytest.LogCaptureFixture
):
    """It has one, which four of its threads want at once; the server has none for a second."""
    assert _number(own) == 1
    with ExitStack() as others, ThreadPoolExecutor(4) as threads:
        _fill(others, home)
        assert list(threads.map(_number, [own] * 8)) == [1] * 8
    assert caplog.text.count("takes no connection now, trying again") == 1


def test_a_connection_that_is_not_used_is_given_back(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connecting, "_BOUNDED", connecting._bounds(5, 5, 5, 0.1))
    with closing(open_ledger(None, embedded_dir=home)) as own:
        with own.engine.connect() as connection:
            backend = psutil.Process(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        backend.wait(10)
        assert _number(own) == 1


def test_a_shortage_that_lasts_is_a_sentence(home: Path, own: Ledger, short: None):
    own.engine.dispose()
    with ExitStack() as others:
        _fill(others, home)
        said = _sentence(lambda: _number(own))
    assert "has no connection left" in said and "max_connections" in said


def _fill(others: ExitStack, home: Path) -> None:
    """Take every connection that the server has."""
    url = embedded_url(home).replace("postgresql+psycopg", "postgresql")
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        while True:
            others.enter_context(closing(psycopg.connect(url)))


def test_who_stops_in_the_middle_of_a_change_does_not_hold_the_others_up(home: Path, short: None):
    with closing(open_ledger(None, embedded_dir=home)) as own:
        own.reviews.open("2026-11-21/a", "quality", "dark")
        hold = text("SELECT 1 FROM reviews FOR UPDATE")
        with own.engine.connect() as stopped:
            stopped.execute(hold)
            with own.engine.connect() as other:
                other.execute(hold)
            assert "left open" in _sentence(lambda: stopped.execute(hold))


def test_who_waits_behind_a_change_that_does_not_end_gives_up(home: Path, short: None):
    with closing(open_ledger(None, embedded_dir=home)) as own:
        own.reviews.open("2026-11-21/a", "quality", "dark")
        hold = text("SELECT 1 FROM reviews FOR UPDATE")
        with own.engine.connect() as busy, own.engine.connect() as other:
            busy.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            busy.execute(hold)
            assert "behind a worker" in _sentence(lambda: other.execute(hold))


def test_who_waits_behind_a_stopped_process_goes_on_by_itself(
    home: Path, short: None, caplog: pytest.LogCaptureFixture
):
    """All its connections are in line for the row, and get it one after the other without it."""
    log, again = logging.getLogger(connecting.__name__), "behind a worker that does not go on. It is made again."
    with closing(open_ledger(None, embedded_dir=home)) as own, ExitStack() as first, ExitStack() as stopped:
        own.reviews.open("2026-11-21/waits", "quality", "dark")
        busy = first.enter_context(own.engine.connect())
        busy.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        busy.execute(text("SELECT 1 FROM reviews FOR UPDATE"))
        for place in range(2):
            _stop_in_line(stopped, own, place)

        def let_go(record: logging.LogRecord) -> bool:
            if again in record.getMessage():
                first.close()
            return True

        log.addFilter(let_go)
        try:
            own.reviews.withdraw("2026-11-21/waits", "quality")
        finally:
            log.removeFilter(let_go)
        assert own.reviews.get("2026-11-21/waits", "quality") is None
    assert caplog.text.count(again) in (1, 2)


def _stop_in_line(stopped: ExitStack, own: Ledger, place: int) -> None:
    """A connection that has asked for the reviews after `place` others, and whose process does nothing any more."""
    connection = stopped.enter_context(own.engine.connect()).connection.driver_connection
    assert connection is not None
    patient = b"SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0"
    hold = b"SELECT 1 FROM reviews WHERE clip_id = '2026-11-21/waits' FOR UPDATE"
    connection.pgconn.send_query(b"BEGIN; " + patient + b"; " + hold)
    asked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with own.engine.connect() as watcher:
        while watcher.execute(asked).scalar_one() <= place:
            watcher.rollback()


def test_who_was_slow_in_the_middle_of_a_change_makes_it_again(home: Path, short: None):
    with closing(open_ledger(None, embedded_dir=home)) as own:
        backends: list[int] = []

        @connecting.tried_again
        def change() -> int:
            with own.engine.begin() as connection:
                backends.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
                if len(backends) == 1:
                    psutil.Process(backends[0]).wait(10)
                return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

        assert change() == backends[1] != backends[0]


def test_a_statement_that_does_not_end_is_ended(home: Path, short: None):
    with closing(open_ledger(None, embedded_dir=home)) as own, own.engine.connect() as connection:
        assert "did not finish" in _sentence(lambda: connection.execute(text("SELECT pg_sleep(9)")))


@pytest.fixture
def disk(embedded_folder: Path) -> Iterator[Path]:
    """A file system of its own, too small for a database; where nobody may mount, a place for no file at all."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-", dir=embedded_folder))
    with small_disk(folder, "size=20m,mode=755") as mounted:
        yield folder if mounted else NO_FILE_AT_ALL
        if mounted:
            stop_embedded(folder / "ledger")


@pytest.mark.crash
def test_a_full_disk_is_a_sentence_and_with_room_the_work_goes_on(disk: Path):
    folder = disk / "ledger"
    with pytest.raises(LedgerError, match=r"did not start: (the disk or quota is full\. |.*Not a directory)"):
        open_ledger(None, embedded_dir=folder)
    if not mount(disk, "remount,size=150m"):
        return
    with closing(open_ledger(None, embedded_dir=folder)) as own:
        own.reviews.open("2026-11-21/a", "quality", "dark")
        ballast = disk / "ballast"
        fill(ballast)
        number = itertools.count()

        def work() -> None:
            with own.engine.begin() as connection:
                connection.execute(
                    text(f"CREATE TABLE t{next(number)} AS SELECT repeat('x', 99) FROM generate_series(1, 9999)")
                )

        with pytest.raises(
            LedgerError, match=r"disk or quota is full|no room left on its disk|cannot be reached|cannot work"
        ):
            while True:
                work()
        ballast.unlink()
        assert [review.reason for review in own.reviews.waiting()] == ["dark"]
        work()
