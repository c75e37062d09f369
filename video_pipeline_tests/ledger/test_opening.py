"""Opening a ledger: migrations, many processes at once, and sentences for what can go wrong."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, create_engine, inspect, make_url, text

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import Ledger, open_ledger
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline.ledger.ledger import migrate
from video_pipeline.ledger.schema import metadata
from video_pipeline_tests.conftest import NewDatabase, stop_embedded

_OPEN = (
    "import sys; from pathlib import Path; from video_pipeline.ledger import open_ledger; sys.stdin.readline(); "
    "open_ledger(sys.argv[1], embedded_dir=Path('unused')).close()"
)


@pytest.fixture(scope="module")
def guarded_url(embedded_folder: Path) -> Iterator[URL]:
    """A server that asks the user `visitor` for a password (`right-word`), and says no to anyone else."""
    folder = embedded_folder / "guarded"
    url = make_url(embedded_url(folder))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE visitor LOGIN PASSWORD 'right-word'"))
        rules = Path(connection.execute(text("SHOW hba_file")).scalar_one())
        rules.write_text(f"local all visitor scram-sha-256\n{rules.read_text()}")
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
    yield url.set(username="visitor")
    stop_embedded(folder)


def _refusal(url: str) -> str:
    with pytest.raises(LedgerError) as caught:
        open_ledger(url, embedded_dir=Path("unused"))
    return str(caught.value)


def test_the_migrations_make_exactly_the_schema(ledger: Ledger):
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_opening_again_changes_nothing(ledger: Ledger):
    migrate(ledger.engine)
    with ledger.engine.connect() as connection:
        assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1


def test_many_processes_may_open_a_new_ledger_at_once(new_database: NewDatabase):
    url = new_database()
    processes = [
        subprocess.Popen([sys.executable, "-c", _OPEN, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    engine = create_engine(url)
    assert set(inspect(engine).get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_the_embedded_server_keeps_its_data_between_openings(embedded_folder: Path):
    folder = embedded_folder / "kept"
    first = open_ledger(None, embedded_dir=folder)
    first.reviews.open("2026-11-21/a", "quality", "dark")
    first.close()
    again = open_ledger(None, embedded_dir=folder)
    assert [review.reason for review in again.reviews.waiting()] == ["dark"]
    again.close()
    stop_embedded(folder)


def test_a_ledger_whose_folder_was_closed_is_never_left_for_an_empty_one(embedded_folder: Path):
    folder = embedded_folder / "closed" / "ledger"
    folder.parent.mkdir()
    first = open_ledger(None, embedded_dir=folder)
    first.reviews.open("2026-11-21/a", "quality", "dark")
    first.close()
    stop_embedded(folder)
    folder.parent.chmod(0o700)
    try:
        again = open_ledger(None, embedded_dir=folder)
    except LedgerError as error:
        # As root: Postgres runs as another user, who is kept out.
        assert str(folder.parent) in str(error) and "chmod o+x" in str(error)
    else:
        assert [review.reason for review in again.reviews.waiting()] == ["dark"]
        again.close()
        stop_embedded(folder)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_spelling_of_a_postgres_url_opens(ledger_url: str, scheme: str):
    url = scheme + ledger_url.removeprefix("postgresql+psycopg")
    open_ledger(url, embedded_dir=Path("unused")).close()


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "sqlite:///ledger.db", "ledger"])
def test_another_kind_of_url_is_refused_with_an_example(url: str):
    said = _refusal(url)
    assert "VIDEO_PIPELINE_LEDGER_URL" in said and "postgresql://user:password@host:5432/video_pipeline" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://u:hunter2@127.0.0.1:1/d?connect_timeout=1", id="nobody listens"),
        pytest.param("postgresql://u:hunter2@no-such-host.invalid/d", id="no such host"),
        pytest.param(
            "postgresql://127.0.0.1:1/d?connect_timeout=1&user=u&password=hunter2", id="password as an option"
        ),
        pytest.param("postgresql://u:hun@ter2@127.0.0.1:1/d?connect_timeout=1", id="an @ in the password"),
        pytest.param("postgresql://u:hunter2@127.0.0.1:port/d", id="port is a word"),
        pytest.param("postgresql://u:hunter2@127.0.0.1:1/d?no_such_option=1", id="unknown option"),
    ],
)
def test_a_server_that_cannot_be_reached_is_a_sentence_without_the_password(url: str):
    said = _refusal(url)
    assert "VIDEO_PIPELINE_LEDGER_URL" in said and "\n" not in said
    assert "hunter2" not in said and "ter2" not in said


def test_a_wrong_password_is_a_sentence_that_holds_no_password(guarded_url: URL):
    said = _refusal(guarded_url.set(password="wrong-word").render_as_string(hide_password=False))
    assert 'password authentication failed for user "visitor"' in said
    assert "wrong-word" not in said and "right-word" not in said


def test_a_database_that_does_not_exist_is_named(ledger_server: URL):
    assert '"nowhere" does not exist' in _refusal(ledger_server.set(database="nowhere").render_as_string(False))


def test_a_user_who_may_not_make_tables_is_told_so(guarded_url: URL):
    said = _refusal(guarded_url.set(password="right-word").render_as_string(hide_password=False))
    assert "permission denied" in said and "right-word" not in said
