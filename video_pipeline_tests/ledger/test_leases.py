"""Leases: one worker at a time, and a dead worker's work is taken over."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import select, text

from video_pipeline.ledger import Ledger
from video_pipeline.ledger.leases import new_owner
from video_pipeline.ledger.schema import leases

_LONG_S = 3600
# A worker that holds the lease, says so, and hangs.
_WORKER = """
import sys, time
from pathlib import Path
from video_pipeline.ledger import open_ledger

with open_ledger(sys.argv[1], embedded_dir=Path("unused")).leases.held("gpu", ttl_s=3600) as mine:
    print(mine, flush=True)
    time.sleep(600)
"""


def _until(ledger: Ledger, resource: str) -> datetime | None:
    with ledger.engine.connect() as connection:
        return connection.execute(select(leases.c.until).where(leases.c.resource == resource)).scalar_one_or_none()


def _expire(ledger: Ledger, resource: str) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(
            text("UPDATE leases SET until = clock_timestamp() - interval '1 s' WHERE resource = :resource"),
            {"resource": resource},
        )


def test_a_lease_is_one_owners(ledger: Ledger):
    assert ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)
    assert not ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)
    assert ledger.leases.acquire("another gpu", new_owner(), ttl_s=_LONG_S)


def test_of_many_who_ask_at_once_one_gets_it(ledger: Ledger):
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S), range(24)))
    assert sum(got) == 1


def test_of_many_who_ask_for_an_expired_one_at_once_one_gets_it(ledger: Ledger):
    ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)
    _expire(ledger, "gpu")
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S), range(24)))
    assert sum(got) == 1


def test_its_owner_renews_it(ledger: Ledger):
    owner = new_owner()
    ledger.leases.acquire("gpu", owner, ttl_s=10)
    before = _until(ledger, "gpu")
    assert ledger.leases.acquire("gpu", owner, ttl_s=_LONG_S)
    after = _until(ledger, "gpu")
    assert before is not None and after is not None and (after - before).total_seconds() > 3000


def test_an_expired_lease_is_taken_over(ledger: Ledger):
    first, second = new_owner(), new_owner()
    ledger.leases.acquire("gpu", first, ttl_s=_LONG_S)
    _expire(ledger, "gpu")
    assert ledger.leases.acquire("gpu", second, ttl_s=_LONG_S)
    assert not ledger.leases.acquire("gpu", first, ttl_s=_LONG_S)


def test_a_released_lease_is_free(ledger: Ledger):
    owner = new_owner()
    ledger.leases.acquire("gpu", owner, ttl_s=_LONG_S)
    ledger.leases.release("gpu", owner)
    assert ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)


def test_nobody_releases_the_lease_of_another(ledger: Ledger):
    ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)
    ledger.leases.release("gpu", new_owner())
    assert not ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)


@pytest.mark.crash
def test_the_lease_of_a_killed_process_is_taken_over_at_once(ledger: Ledger, ledger_url: str):
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, ledger_url], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None and worker.stdout.readline() == "True\n"
    assert not ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate(timeout=30)
    assert ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)


def test_a_worker_on_another_machine_is_not_thought_dead(ledger: Ledger):
    ledger.leases.acquire("gpu", "another-host:999999:cafe0000", ttl_s=_LONG_S)
    assert not ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)


def test_a_block_holds_its_lease_and_gives_it_back(ledger: Ledger):
    with ledger.leases.held("gpu", ttl_s=_LONG_S) as mine:
        assert mine
        with ledger.leases.held("gpu", ttl_s=_LONG_S) as second:
            assert not second
        assert not ledger.leases.acquire("gpu", new_owner(), ttl_s=_LONG_S)
    assert _until(ledger, "gpu") is None


def test_a_block_that_fails_gives_its_lease_back(ledger: Ledger):
    with pytest.raises(ZeroDivisionError), ledger.leases.held("gpu", ttl_s=_LONG_S):
        _ = 1 / 0
    assert _until(ledger, "gpu") is None


def test_a_block_that_outlives_its_time_keeps_its_lease_by_its_heartbeat(ledger: Ledger):
    with ledger.leases.held("gpu", ttl_s=0.6) as mine:
        assert mine
        first = _until(ledger, "gpu")
        assert first is not None
        deadline = time.monotonic() + 30
        while (renewed := _until(ledger, "gpu")) == first:
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.02)
        assert renewed is not None and renewed > first


def test_no_heartbeat_is_left_behind(ledger: Ledger):
    with ledger.leases.held("gpu", ttl_s=_LONG_S):
        assert "lease gpu" in {thread.name for thread in threading.enumerate()}
    assert "lease gpu" not in {thread.name for thread in threading.enumerate()}
