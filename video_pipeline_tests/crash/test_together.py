"""Two or three processes on the same day at the same time, with and without a kill: the books are those of one."""

import pytest

from video_pipeline_tests.crash.conftest import Trial


@pytest.mark.parametrize("number", [2, 3])
def test_processes_buy_and_publish_everything_once(trial: Trial, number: int) -> None:
    workers = [trial.start() for _ in range(number)]
    assert [trial.ended(worker) for worker in workers] == [False] * number
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
