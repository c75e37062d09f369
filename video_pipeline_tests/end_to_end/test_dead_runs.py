"""A run worker that is killed, as the daemon's and the UI's are: its run is ended and its place is free again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psutil
import pytest
from sqlalchemy import text

from video_pipeline.defs.dead_runs import (
    end_dead_runs,
    ending_dead_runs,
    mark_run,
    process_tags,
)
from video_pipeline.ledger import Ledger, place
from video_pipeline_tests.clock import today
from video_pipeline_tests.end_to_end.conftest import Machine, NewMachine
from video_pipeline_tests.integration.small_day import a_brief, drop
from video_pipeline_tests.processes import kill_group

pytestmark = pytest.mark.crash

POOL = "provider_api"
_PATIENCE_S = 90.0


@pytest.fixture
def machine(new_machine: NewMachine) -> Machine:
    """A machine with a Dagster instance in files, under the packaged configuration."""
    machine = new_machine()
    home = Path(machine.environment["DAGSTER_HOME"])
    home.mkdir()
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", home)
    return machine


@pytest.fixture
def instance(machine: Machine) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(machine.environment["DAGSTER_HOME"]) as opened:
        yield opened


@pytest.fixture
def ledger(machine: Machine) -> Iterator[Ledger]:
    with closing(machine.ledger()) as opened:
        yield opened


@pytest.fixture
def worker(machine: Machine, instance: dg.DagsterInstance) -> Iterator[subprocess.Popen[Any]]:
    """A run worker, a process of its own, at a clip that its provider does not finish."""
    drop(machine.inbox, today(), a_brief("lantern"))
    fault = {"fault": "stuck", "times": 10_000}
    httpx.post(f"{machine.sandbox_url()}/_sandbox/faults", json=fault, trust_env=False).raise_for_status()
    day = json.dumps({"dagster/partition": str(today())})
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "dagster", "job", "execute", "-m", "video_pipeline.definitions"),
            *("-j", "production_day", "--tags", day),
        ],
        cwd=machine.folder,
        env=machine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(lambda: _holders(instance) and _asked(machine))
        yield process
    finally:
        kill_group(process)


def test_a_run_whose_worker_was_killed_is_ended_and_its_place_is_free(
    worker: subprocess.Popen[Any], instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    (run_id,) = _holders(instance)
    assert _ended(instance, ledger) == [], "a run that lives is left alone"
    assert _holders(instance) == {run_id}

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(timeout=30)
    assert _status(instance, run_id) is dg.DagsterRunStatus.STARTED, "Dagster itself does not notice"

    with ending_dead_runs(instance, ledger):
        assert _status(instance, run_id) is dg.DagsterRunStatus.FAILURE
        assert _holders(instance) == set()
    assert _ended(instance, ledger) == []


def test_whoever_waits_for_a_place_gets_it_when_its_holder_dies(
    worker: subprocess.Popen[Any], instance: dg.DagsterInstance, machine: Machine
) -> None:
    yesterday = today() - timedelta(days=1)
    # Another clip: one that is under way would be waited for without a place.
    drop(machine.inbox, yesterday, a_brief("kettle"))
    waiting = machine.start("run-day", str(yesterday))
    try:
        _wait_for(lambda: instance.event_log_storage.get_concurrency_info(POOL).pending_run_ids)
        (holder,) = _holders(instance)
        # Nobody collects it, so that its number still is a process's.
        os.kill(worker.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        _wait_for(lambda: _holders(instance) - {holder})
        assert time.monotonic() - killed_at < 60, "the one that waits looks by itself"
        assert _status(instance, holder) is dg.DagsterRunStatus.FAILURE
    finally:
        kill_group(waiting)


@pytest.mark.parametrize(("silent", "elsewhere"), [(True, True), (False, True), (True, False)])
def test_of_another_host_a_holder_that_gives_no_sign_of_life_is_ended(
    instance: dg.DagsterInstance, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, silent: bool, elsewhere: bool
) -> None:
    monkeypatch.setattr("video_pipeline.defs.dead_runs.BEAT_S", -2.0)
    monkeypatch.setattr("video_pipeline.defs.dead_runs._STARTING", timedelta(0))
    host = "elsewhere" if elsewhere else place()
    run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED, tags={"video_pipeline/host": host})
    instance.add_run(run)
    pools = instance.event_log_storage
    pools.initialize_concurrency_limit_to_default(POOL)
    assert pools.claim_concurrency_slot(POOL, run.run_id, "generated_clips").is_claimed
    ledger.run_beats.beat(run.run_id, today())
    if silent:
        with ledger.engine.begin() as connection:
            connection.execute(text("UPDATE run_beats SET beat_at = now() - interval '1 minute'"))
    dies = silent and elsewhere
    assert _ended(instance, ledger) == ([run.run_id] if dies else [])
    assert _holders(instance) == (set() if dies else {run.run_id})


def test_the_tags_of_another_run_say_nothing_of_this_one(ledger: Ledger) -> None:
    """A run that is executed again takes over the tags of the one that was killed."""
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {**process_tags("another"), "video_pipeline/process": "another 999999999 0"}
        run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED, tags=tags)
        instance.add_run(run)
        assert end_dead_runs(instance, ledger) == []
        mark_run(instance, run.run_id)
        marked = instance.get_run_by_id(run.run_id)
        assert marked is not None and process_tags(run.run_id).items() <= marked.tags.items()


def test_another_process_under_the_same_number_is_not_the_runs(ledger: Ledger) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED)
        tags = process_tags(run.run_id)
        *_, boot = tags["video_pipeline/process"].split(" ")
        before_it = f"{run.run_id} {os.getpid()} 1 {boot}"
        instance.add_run(run.with_tags({**tags, "video_pipeline/process": before_it}))
        assert [ended.run_id for ended in end_dead_runs(instance, ledger)] == [run.run_id]


def test_a_clock_that_is_set_ends_no_run(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run.with_tags(process_tags(run.run_id)))
        boot = psutil.boot_time()
        # What the system makes of its start when its clock is put on by an hour.
        monkeypatch.setattr("psutil._psplatform.boot_time", lambda: boot + 3600)
        assert end_dead_runs(instance, ledger) == []


def test_a_run_from_before_the_systems_start_is_ended_whatever_has_its_number_now(ledger: Ledger) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED)
        tags = process_tags(run.run_id)
        process = tags["video_pipeline/process"].rpartition(" ")[0]
        instance.add_run(run.with_tags({**tags, "video_pipeline/process": f"{process} before"}))
        assert [ended.run_id for ended in end_dead_runs(instance, ledger)] == [run.run_id]


def test_a_container_of_the_same_name_is_another_place(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED)
        tags = {"video_pipeline/host": place(), "video_pipeline/process": f"{run.run_id} 999999999 0 now"}
        instance.add_run(run.with_tags(tags))
        monkeypatch.setattr(Path, "readlink", lambda self: Path("pid:[1]"))
        assert end_dead_runs(instance, ledger) == []


def test_a_run_of_another_host_is_not_ours_to_judge_by_its_process(ledger: Ledger) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED)
        tags = {"video_pipeline/host": "elsewhere", "video_pipeline/process": f"{run.run_id} 999999999 0 now"}
        instance.add_run(run.with_tags(tags))
        assert end_dead_runs(instance, ledger) == []


def _ended(instance: dg.DagsterInstance, ledger: Ledger) -> list[str]:
    return [run.run_id for run in end_dead_runs(instance, ledger)]


def _holders(instance: dg.DagsterInstance) -> set[str]:
    """The runs that hold a place in the providers' pool."""
    return instance.event_log_storage.get_concurrency_info(POOL).active_run_ids


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def _asked(machine: Machine) -> bool:
    books = httpx.get(f"{machine.sandbox_url()}/_sandbox/books", trust_env=False).json()
    return bool(books["requests"])


def _wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)
