"""Leases: one worker at a time, a dead worker's work is taken over, and a worker who slept too long is kept out."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, select, text

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import Failure, FailureKind, JobState, Lease, LeaseLost, Ledger
from video_pipeline.ledger.leases import fenced, new_owner
from video_pipeline.ledger.schema import leases
from video_pipeline_tests.ledger.rows import a_job, a_publication

_LONG_S = 3600
# A worker that holds the lease, says so, and hangs.
_WORKER = """
import sys, time
from pathlib import Path
from video_pipeline.ledger import open_ledger

with open_ledger(sys.argv[1], embedded_dir=Path("unused")).leases.held("gpu", ttl_s=3600) as mine:
    print(mine is not None, flush=True)
    time.sleep(600)
"""


def _until(ledger: Ledger, resource: str) -> datetime | None:
    with ledger.engine.connect() as connection:
        return connection.execute(select(leases.c.until).where(leases.c.resource == resource)).scalar_one_or_none()


def _take(ledger: Ledger, resource: str) -> Lease:
    """Another worker's hold on it, in one step: a heartbeat between an end and a take-over would renew it."""
    with ledger.engine.begin() as connection:
        token = connection.execute(
            text(
                "UPDATE leases SET owner = 'another-host:1:cafe0000', token = nextval('lease_tokens') "
                "WHERE resource = :resource RETURNING token"
            ),
            {"resource": resource},
        ).scalar_one()
    return Lease(resource, "another-host:1:cafe0000", token, ttl_s=_LONG_S, asked_at=0)


def _acquire(ledger: Ledger, resource: str = "gpu", *, ttl_s: float = _LONG_S) -> Lease:
    lease = ledger.leases.acquire(resource, new_owner(), ttl_s=ttl_s)
    assert lease is not None
    return lease


def _is_free(ledger: Ledger, resource: str = "gpu") -> bool:
    """Whether somebody else gets it now, who then has it."""
    return ledger.leases.acquire(resource, new_owner(), ttl_s=_LONG_S) is not None


def _expire(ledger: Ledger, resource: str) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(
            text("UPDATE leases SET until = clock_timestamp() - interval '1 s' WHERE resource = :resource"),
            {"resource": resource},
        )


def test_a_lease_is_one_owners(ledger: Ledger):
    _acquire(ledger)
    assert not _is_free(ledger)
    assert _is_free(ledger, "another gpu")


def test_of_many_who_ask_at_once_one_gets_it(ledger: Ledger):
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: _is_free(ledger), range(24)))
    assert sum(got) == 1


def test_of_many_who_ask_for_an_expired_one_at_once_one_gets_it(ledger: Ledger):
    _acquire(ledger)
    _expire(ledger, "gpu")
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: _is_free(ledger), range(24)))
    assert sum(got) == 1


def test_its_owner_renews_it(ledger: Ledger):
    lease = _acquire(ledger, ttl_s=10)
    before = _until(ledger, "gpu")
    lease.ttl_s = _LONG_S
    ledger.leases.renew(lease)
    after = _until(ledger, "gpu")
    assert before is not None and after is not None and (after - before).total_seconds() > 3000


def test_an_expired_lease_is_taken_over_under_a_later_token(ledger: Ledger):
    first = _acquire(ledger)
    _expire(ledger, "gpu")
    ran_out_at = _until(ledger, "gpu")
    second = _acquire(ledger)
    assert second.token > first.token
    assert (first.taken_from, second.taken_from) == (None, ran_out_at)
    assert not _is_free(ledger)


def test_a_released_lease_is_free(ledger: Ledger):
    ledger.leases.release(_acquire(ledger))
    assert _is_free(ledger)


def test_nobody_releases_the_lease_of_another(ledger: Ledger):
    slept = _acquire(ledger)
    _expire(ledger, "gpu")
    _acquire(ledger)
    ledger.leases.release(slept)
    assert not _is_free(ledger)


@pytest.mark.crash
def test_the_lease_of_a_killed_process_is_taken_over_at_once(ledger: Ledger, ledger_url: str):
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, ledger_url], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None and worker.stdout.readline() == "True\n"
    assert not _is_free(ledger)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate(timeout=30)
    assert _is_free(ledger)


def test_a_worker_on_another_machine_is_not_thought_dead(ledger: Ledger):
    ledger.leases.acquire("gpu", "another-host:999999:cafe0000", ttl_s=_LONG_S)
    assert not _is_free(ledger)


def test_a_block_holds_its_lease_and_gives_it_back(ledger: Ledger):
    with ledger.leases.held("gpu", ttl_s=_LONG_S) as mine:
        assert mine is not None and mine.resource == "gpu"
        mine.check()
        with ledger.leases.held("gpu", ttl_s=_LONG_S) as second:
            assert second is None
        assert not _is_free(ledger)
    assert _until(ledger, "gpu") is None


def test_a_block_that_fails_gives_its_lease_back(ledger: Ledger):
    with pytest.raises(ZeroDivisionError), ledger.leases.held("gpu", ttl_s=_LONG_S):
        _ = 1 / 0
    assert _until(ledger, "gpu") is None


def test_a_block_that_outlives_its_time_keeps_its_lease_by_its_heartbeat(ledger: Ledger):
    with ledger.leases.held("gpu", ttl_s=0.6) as mine:
        assert mine is not None
        first = _until(ledger, "gpu")
        assert first is not None
        deadline = time.monotonic() + 30
        while (renewed := _until(ledger, "gpu")) == first:
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.02)
        assert renewed is not None and renewed > first


def test_one_heartbeat_renews_all_leases_at_once_and_none_is_left_behind(ledger: Ledger):
    renewals: list[str] = []

    def note(*given: Any) -> None:
        if given[2].startswith("WITH ours") and "UPDATE leases" in given[2]:
            renewals.append(given[2])

    event.listen(ledger.engine, "before_cursor_execute", note)
    names = [f"gpu {number}" for number in range(40)]
    with ExitStack() as stack:
        mine = [stack.enter_context(ledger.leases.held(name, ttl_s=3)) for name in names]
        [beat] = _heartbeats()
        first = {name: _until(ledger, name) for name in names}
        deadline = time.monotonic() + 30
        while any(_until(ledger, name) == first[name] for name in names):
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.02)
        assert len(renewals) < len(names)
        for lease in mine:
            assert lease is not None
            lease.check()
    beat.join(10)
    assert not _heartbeats()


def _heartbeats() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "leases"]


# --- a worker who slept ------------------------------------------------------------------------------------------


def test_nobody_renews_what_has_been_released(ledger: Ledger):
    slept = _acquire(ledger)
    _expire(ledger, "gpu")
    with ledger.leases.for_a_person("gpu"):
        pass
    with pytest.raises(LeaseLost):
        ledger.leases.renew(slept)
    assert _until(ledger, "gpu") is None
    with pytest.raises(LeaseLost, match="The lease on gpu is lost"):
        slept.check()


def test_nobody_renews_what_another_has(ledger: Ledger):
    slept = _acquire(ledger)
    _expire(ledger, "gpu")
    now_holds = _acquire(ledger)
    until = _until(ledger, "gpu")
    with pytest.raises(LeaseLost):
        ledger.leases.renew(slept)
    assert _until(ledger, "gpu") == until
    now_holds.check()


def test_a_lease_that_ran_out_and_that_nobody_took_is_renewed(ledger: Ledger):
    slept = _acquire(ledger)
    _expire(ledger, "gpu")
    ledger.leases.renew(slept)
    slept.check()
    assert not _is_free(ledger)


def test_a_heartbeat_that_finds_its_lease_gone_marks_it_lost(ledger: Ledger):
    with ledger.leases.held("gpu", ttl_s=0.9) as mine:
        assert mine is not None
        [beat] = _heartbeats()
        _take(ledger, "gpu")
        beat.join(10)
        with pytest.raises(LeaseLost):
            mine.check()
    assert _until(ledger, "gpu") is not None, "it gave back what is another's"


def test_a_lease_is_asked_by_a_clock_that_counts_sleep_and_that_nobody_sets(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    lease = _acquire(ledger, ttl_s=100)
    asked, real = [], time.clock_gettime

    def slept(s: float) -> None:
        asked.clear()
        monkeypatch.setattr(time, "clock_gettime", lambda clock: asked.append(clock) or real(clock) + s)

    # A wall clock that jumps, either way.
    for jumped in (-1e6, 1e6):
        monkeypatch.setattr(time, "time", lambda jumped=jumped: jumped)
        lease.check()
    slept(80)
    lease.check()
    assert asked == [time.CLOCK_BOOTTIME]
    slept(91)
    with pytest.raises(LeaseLost):
        lease.check()


def test_a_renewal_counts_from_before_it_was_asked_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    lease = _acquire(ledger, ttl_s=100)
    real, after_s = time.clock_gettime, iter((50.0, 139.0, 141.0))
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + next(after_s))
    ledger.leases.renew(lease)
    lease.check()
    with pytest.raises(LeaseLost):
        lease.check()


def test_what_is_written_under_a_lease_is_written_while_it_is_held(ledger: Ledger):
    lease = _acquire(ledger)
    mine = ledger.jobs.under(lease)
    job = mine.reserve(mine.plan(a_job()), ceiling_usd=Decimal(25))
    assert job.granted
    reserved = mine.get(a_job().key)
    _expire(ledger, "gpu")
    for write in (
        lambda: mine.plan(a_job()),
        lambda: mine.reserve(reserved, ceiling_usd=Decimal(25)),
        lambda: mine.submitting(reserved),
        lambda: mine.failed(reserved, Failure(FailureKind.CANCELED, "")),
        lambda: mine.noted(reserved, ""),
    ):
        with pytest.raises(LeaseLost):
            write()
    with pytest.raises(LeaseLost):
        lease.check()
    assert ledger.jobs.get(reserved.key) == reserved
    # Who has no lease to lose, as a person's answer in a test, is not asked for one.
    assert ledger.jobs.submitting(reserved).state is JobState.SUBMITTING


def test_publications_are_written_under_a_lease_as_jobs_are(ledger: Ledger):
    lease = _acquire(ledger)
    mine = ledger.publications.under(lease)
    planned = mine.plan(a_publication())
    publishing = mine.publishing(planned)
    _take(ledger, "gpu")
    for write in (
        lambda: mine.plan(planned),
        lambda: mine.with_session(publishing, {}),
        lambda: mine.published(publishing, remote_id="", url=""),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert ledger.publications.get(planned.key) == publishing


def test_nobody_takes_a_lease_over_in_the_middle_of_a_write(ledger: Ledger):
    lease = _acquire(ledger, ttl_s=1)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with fenced(ledger.engine, lease) as connection:
            connection.execute(text("SELECT pg_sleep_until(until) FROM leases"))
            taking = pool.submit(_is_free, ledger)
            while not connection.execute(waiting).scalar_one():
                assert not taking.done()
        assert taking.result(10)


# --- a person ----------------------------------------------------------------------------------------------------


def test_a_person_is_told_until_when_a_worker_is_at_it(ledger: Ledger):
    _acquire(ledger)
    with pytest.raises(LedgerError) as told, ledger.leases.for_a_person("gpu"):
        pass
    until = _until(ledger, "gpu")
    assert until is not None
    assert f"{until.astimezone(UTC) + timedelta(milliseconds=999):%H:%M:%S} UTC; ask again then" in str(told.value)


def test_a_worker_leaves_alone_what_a_person_is_at(ledger: Ledger):
    with ledger.leases.for_a_person("gpu"), ledger.leases.held("gpu", ttl_s=_LONG_S) as worker:
        assert worker is None


def test_what_was_sent_lately_is_not_settled(ledger: Ledger):
    sent_at = ledger.jobs.moved_at(ledger.jobs.plan(a_job()).key)
    with pytest.raises(LedgerError, match=r"may still arrive until \d\d:\d\d:\d\d UTC; ask again then"):
        ledger.leases.settled(sent_at, after_s=_LONG_S)
    ledger.leases.settled(sent_at, after_s=0)


def test_a_lease_that_cannot_be_given_back_does_not_hide_why_its_work_ended(ledger: Ledger):
    def gone(*given: Any) -> None:
        if "DELETE FROM leases" in given[2]:
            raise LedgerError("The database is gone.")

    event.listen(ledger.engine, "before_cursor_execute", gone)
    with pytest.raises(ZeroDivisionError), ledger.leases.held("gpu", ttl_s=_LONG_S):
        _ = 1 / 0
