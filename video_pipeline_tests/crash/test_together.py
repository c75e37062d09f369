"""Two or three processes on the same day at the same time, with and without a kill: the books are those of one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import make_url, text

from video_pipeline_tests.crash.conftest import Trial


@pytest.mark.parametrize("number", [2, 3])
def test_processes_buy_and_publish_everything_once(trial: Trial, number: int) -> None:
    workers = [trial.start() for _ in range(number)]
    assert [trial.ended(worker) for worker in workers] == [False] * number
    assert not trial.run()
    trial.compare_books()
    assert trial.unknown() == []


@pytest.fixture
def crowded(trial: Trial) -> Iterator[None]:
    """The ledger of the trial is open to a user who may have four connections at once, over all processes."""
    url = make_url(trial.orders.ledger_url)
    few = f"few_of_{url.database}"
    with trial.ledger.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {few} LOGIN PASSWORD 'few' CONNECTION LIMIT 4"))
        for kind in ("TABLES", "SEQUENCES"):
            connection.execute(text(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {few}"))
    address = url.set(username=few, password="few").render_as_string(hide_password=False)
    trial.orders = replace(trial.orders, ledger_url=address)
    yield
    with trial.ledger.engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {few}"))
        connection.execute(text(f"DROP ROLE {few}"))


@pytest.mark.usefixtures("crowded")
def test_processes_that_share_too_few_connections_wait_for_each_other(trial: Trial) -> None:
    workers = [trial.start() for _ in range(3)]
    assert [trial.ended(worker) for worker in workers] == [False] * 3
    assert not trial.run()
    trial.compare_books()
    assert trial.unknown() == []


@pytest.mark.crash
@pytest.mark.parametrize(
    "name", ["generation.accepted", "generation.submitted", "generation.stored", "publishing.session"]
)
def test_the_other_process_is_not_disturbed_by_a_kill(trial: Trial, name: str) -> None:
    workers = [trial.start(name, 1), trial.start(name, 2)]
    for worker in workers:
        trial.ended(worker)
    assert not trial.run()
    trial.compare_books()
