"""Runs and the processes that they live in. To Dagster, a run whose process was killed stays started.

Such a run keeps its place in its pools, so that the next one waits for it. A run is therefore marked with its host
and its process, and whoever looks next on the same host ends the runs whose process is no more.
"""

import multiprocessing
import os
import socket

import dagster as dg
import psutil

_HOST_TAG, _PROCESS_TAG = "video_pipeline/host", "video_pipeline/process"
_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# The system tells a process's start to the second or better, but not always the same.
_SAME_START_S = 2.0


def process_tags(run_id: str) -> dict[str, str]:
    """Tags that say which process the run dies with: this one or, for a step's own process, the run worker."""
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent is not None and parent.pid is not None else os.getpid()
    # Its start, as the system gives the same number to another process some day, a restarted container at once; the
    # run's id, as a run that is executed again takes its tags over.
    return {_HOST_TAG: socket.gethostname(), _PROCESS_TAG: f"{run_id} {pid} {_started_at(pid) or 0:.0f}"}


def mark_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on a run which process it lives in, unless it is noted already."""
    run, tags = instance.get_run_by_id(run_id), process_tags(run_id)
    if run is not None and not tags.items() <= run.tags.items():
        instance.add_run_tags(run_id, tags)


def end_dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """End the runs of this host whose process was killed, and give their places in the pools back; those runs."""
    filters = dg.RunsFilter(statuses=_UNDER_WAY, tags={_HOST_TAG: socket.gethostname()})
    dead = [run for run in instance.get_runs(filters=filters) if _is_dead(run)]
    ended = []
    for run in dead:
        # Between the two looks it may have come to its own end.
        found = instance.get_run_by_id(run.run_id)
        if found is not None and not found.is_finished:
            instance.report_run_failed(found, "The process of this run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            ended.append(found)
    return ended


def _is_dead(run: dg.DagsterRun) -> bool:
    run_id, _, process = run.tags.get(_PROCESS_TAG, "").partition(" ")
    if run_id != run.run_id:
        return False
    pid, started_at = process.split(" ")
    found = _started_at(int(pid))
    return found is None or abs(found - float(started_at)) > _SAME_START_S


def _started_at(pid: int) -> float | None:
    """When a process was started, in seconds since 1970; None when it has ended, collected by its parent or not."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
