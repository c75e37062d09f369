"""The first command on a machine where nothing is yet, by several at once."""

import os
from multiprocessing.synchronize import Barrier

from video_pipeline.launcher import dagster_instance
from video_pipeline.services import Services
from video_pipeline.settings import get_settings
from video_pipeline_tests.end_to_end.conftest import NewMachine
from video_pipeline_tests.processes import preloaded

_TOGETHER = 3


def test_three_who_start_at_once_where_nothing_is_all_come_up(new_machine: NewMachine) -> None:
    machine, context = new_machine(embedded=True), preloaded()
    line = context.Barrier(_TOGETHER)
    processes = [context.Process(target=_begin, args=(machine.environment, line)) for _ in range(_TOGETHER)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=90)
    assert [process.exitcode for process in processes] == [0] * _TOGETHER
    machine.ledger().close()


def _begin(environment: dict[str, str], line: Barrier) -> None:
    """What every command does first, and one question to each part."""
    os.environ.update(environment)
    settings = get_settings()
    line.wait(timeout=60)
    with dagster_instance(settings) as instance:
        assert list(instance.get_runs()) == []
        ledger = Services(settings).ledger
        assert ledger.reviews.waiting() == []
        ledger.close()
