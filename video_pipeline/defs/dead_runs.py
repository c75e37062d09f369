"""Runs and the processes that they live in. To Dagster, a run whose process was killed stays started.

Such a run keeps its place in its pools, so that the next one waits for it. A run is therefore marked with its host
and its process, and whoever looks next on the same host ends the runs whose process is no more. Of other hosts' runs
the ledger has signs of life: one that holds a place in a pool and gives none any more is ended, too.
"""

import logging
import os
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import BEAT_S, Beat, Ledger, place

_LOG = logging.getLogger(__name__)

_HOST_TAG, _PROCESS_TAG = "video_pipeline/host", "video_pipeline/process"
_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# The system tells a process's start to the second or better, but not always the same.
_SAME_START_S = 2.0
# A run gives its first sign of life when its process has imported everything.
_STARTING = timedelta(seconds=90)
_LOOK_S = 15.0
# A run gives signs of life all through; this bears a ledger that is away for long.
_ABANDONED_S = 1800.0


def process_tags(run_id: str) -> dict[str, str]:
    """Tags that say which process the run dies with: this one, in which all of its steps run."""
    pid = os.getpid()
    # Its start, as the system gives the same number to another process some day, a restarted container at once; the
    # run's id, as a run that is executed again takes its tags over.
    return {_HOST_TAG: place(), _PROCESS_TAG: f"{run_id} {pid} {_started_at(pid) or 0:.0f} {_boot()}"}


def mark_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on a run which process it lives in, unless it is noted already."""
    run, tags = instance.get_run_by_id(run_id), process_tags(run_id)
    if run is not None and not tags.items() <= run.tags.items():
        instance.add_run_tags(run_id, tags)


def end_dead_runs(instance: dg.DagsterInstance, ledger: Ledger) -> list[dg.DagsterRun]:
    """End the runs whose processes were killed, and give their places in the pools back; those runs.

    These are runs of this host without their process, and runs of others that hold a place and give no sign of life.
    """
    here = dg.RunsFilter(statuses=_UNDER_WAY, tags={_HOST_TAG: place()})
    ended = [run for run in instance.get_runs(filters=here) if _is_dead(run) and _end(instance, run, "was killed")]
    silent = _silent_holders(instance, ledger.run_beats.last())
    if silent:
        # A ledger that was away until just now has kept all runs from giving signs of life.
        time.sleep(BEAT_S + 2)
        silent &= _silent_holders(instance, ledger.run_beats.last())
    for run_id in silent:
        run = instance.get_run_by_id(run_id)
        if run is not None and _end(instance, run, "gives no sign of life"):
            ended.append(run)
    return ended


@contextmanager
def ending_dead_runs(instance: dg.DagsterInstance, ledger: Ledger) -> Generator[None, None, None]:
    """End dead runs before the block and all through it, as what runs in it may wait for their places."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_S):
            try:
                end_dead_runs(instance, ledger)
            except Exception as error:
                # It is looked again; what runs in the block says what is wrong with the ledger or the instance.
                _LOG.warning("Dead runs could not be looked for: %s", error)

    end_dead_runs(instance, ledger)
    looker = threading.Thread(target=look, name="dead runs", daemon=True)
    looker.start()
    try:
        yield
    finally:
        done.set()
        looker.join(timeout=_LOOK_S)


@contextmanager
def giving_signs_of_life(ledger: Ledger, run_id: str, day: date | None) -> Generator[None, None, None]:
    """Tell, all through the block, that somebody is at work for a run; `day` is its production day."""
    done = threading.Event()

    def beat() -> None:
        while True:
            try:
                ledger.run_beats.beat(run_id, day)
            except LedgerError as error:
                _LOG.warning("No sign of life of run %s could be given: %s", run_id[:8], error)
            if done.wait(BEAT_S):
                return

    heart = threading.Thread(target=beat, name=f"run {run_id[:8]}", daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join(timeout=BEAT_S)


def days_under_way(instance: dg.DagsterInstance, job: str, beats: Mapping[str, Beat]) -> dict[date, str]:
    """Day -> a run of `job` for it that is queued or under way, in this instance or, by its beats, in another.

    A run of another host that has given no sign of life for long is not: its container is gone, and nobody ends it.
    """
    waiting = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED]
    found: dict[date, str] = {}
    for run in instance.get_runs(filters=dg.RunsFilter(job_name=job, statuses=[*waiting, *_UNDER_WAY])):
        partition, beat = run.tags.get("dagster/partition"), beats.get(run.run_id)
        abandoned = (
            run.status in _UNDER_WAY
            and beat is not None
            and beat.age_s > _ABANDONED_S
            and run.tags.get(_HOST_TAG) != place()
        )
        if partition and not abandoned:
            found[date.fromisoformat(partition)] = run.run_id
    for run_id, beat in beats.items():
        if beat.day is None or beat.silent or beat.day in found:
            continue
        run = instance.get_run_by_id(run_id)
        if run is None or not run.is_finished:
            found[beat.day] = run_id
    return found


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> bool:
    """End a run, unless it has come to its own end since it was looked at."""
    found = instance.get_run_by_id(run.run_id)
    if found is None or found.is_finished:
        return False
    instance.report_run_failed(found, f"The process of this run {why}.")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return True


def _silent_holders(instance: dg.DagsterInstance, beats: Mapping[str, Beat]) -> set[str]:
    """Runs of other hosts that were given a place in a pool a while ago, and whose signs of life have ended."""
    storage, now = instance.event_log_storage, datetime.now(UTC)
    if not storage.supports_global_concurrency_limits:
        return set()
    holders: set[str] = set()
    for pool in storage.get_concurrency_keys():
        for step in storage.get_concurrency_info(pool).pending_steps:
            given_at = step.assigned_timestamp
            if given_at is not None and now - given_at.replace(tzinfo=given_at.tzinfo or UTC) > _STARTING:
                holders.add(step.run_id)
    silent = {run_id for run_id in holders if run_id in beats and beats[run_id].silent}
    found = [instance.get_run_by_id(run_id) for run_id in silent]
    return {
        run.run_id for run in found if run is not None and not run.is_finished and run.tags.get(_HOST_TAG) != place()
    }


def _is_dead(run: dg.DagsterRun) -> bool:
    run_id, _, process = run.tags.get(_PROCESS_TAG, "").partition(" ")
    if run_id != run.run_id:
        return False
    pid, started_at, boot = process.split(" ")
    if boot != _boot():
        return True
    found = _started_at(int(pid))
    return found is None or abs(found - float(started_at)) > _SAME_START_S


def _started_at(pid: int) -> float | None:
    """When a process was started, in seconds since the system was; None when it has ended, collected or not."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        # Either moves when the system's clock is set, and both alike.
        return process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return None


def _boot() -> str:
    """Tells one start of the system from another, where it says so."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return boot_id.read_text().strip() if boot_id.exists() else ""
