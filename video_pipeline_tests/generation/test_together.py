"""Many jobs at once: what is asked of the ledger goes together, and polls are so many a second and not too early."""

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from video_pipeline.errors import LedgerError
from video_pipeline.generation import cadence, ledger_threads
from video_pipeline.generation.cadence import Cadence
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.ledger import JobState, LeaseLost, Ledger, Receipt, new_owner
from video_pipeline_tests.ledger.rows import CEILING_USD, a_job, all_money, receipt_of, reserved


def test_moves_asked_for_together_are_few_statements_and_each_has_its_own_outcome(ledger: Ledger) -> None:
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    jobs = [reserved(ledger, a_job(f"job {number}")) for number in range(40)]
    moved_before = ledger.jobs.submitting(jobs[0])
    lease = ledger.leases.acquire("a clip", new_owner(), ttl_s=60)
    assert lease is not None
    ledger.leases.release(lease)
    db = LedgerThreads()

    async def move() -> list[Any]:
        moves = [db(ledger.jobs.submitting, job) for job in jobs[:-1]]
        return await asyncio.gather(*moves, db(ledger.jobs.under(lease).submitting, jobs[-1]), return_exceptions=True)

    event.listen(ledger.engine, "before_cursor_execute", note)
    outcomes = asyncio.run(move())
    assert len(statements) <= 2
    assert isinstance(outcomes[0], LedgerError) and "no longer reserved" in str(outcomes[0])
    assert isinstance(outcomes[-1], LeaseLost)
    assert [job.state for job in outcomes[1:-1]] == [JobState.SUBMITTING] * 38
    assert ledger.jobs.get(jobs[0].key) == moved_before
    assert ledger.jobs.get(jobs[-1].key) == jobs[-1]


def test_one_move_that_cannot_be_made_takes_no_other_with_it(ledger: Ledger) -> None:
    jobs = [ledger.jobs.submitting(reserved(ledger, a_job(f"job {number}"))) for number in range(6)]
    receipts = [receipt_of(job) for job in jobs[:-1]]
    # The provider says that it is the first one's request, which can be true of one of them only.
    receipts.append(Receipt(receipts[0].provider_job_id, {}))
    db = LedgerThreads()

    async def move() -> list[Any]:
        pairs = zip(jobs, receipts, strict=True)
        return await asyncio.gather(
            *(db(ledger.jobs.submitted, job, receipt) for job, receipt in pairs), return_exceptions=True
        )

    outcomes = asyncio.run(move())
    assert [ledger.jobs.get(job.key).state for job in jobs] == [JobState.SUBMITTED] * 5 + [JobState.SUBMITTING]
    assert isinstance(outcomes[-1], Exception)
    assert len(ledger.jobs.events(jobs[1].key)) == 3


def test_reservations_together_pass_no_ceiling_and_buy_no_twin(ledger: Ledger) -> None:
    planned = [ledger.jobs.plan(a_job(f"job {number}", expected_usd=CEILING_USD / 4)) for number in range(6)]
    twin = ledger.jobs.plan(replace(a_job("twin"), request_sha256=planned[0].request_sha256))
    db = LedgerThreads()

    async def reserve() -> list[Any]:
        return await asyncio.gather(
            *(db(ledger.jobs.reserve, job, ceiling_usd=CEILING_USD) for job in [*planned, twin])
        )

    answers = asyncio.run(reserve())
    assert [answer.granted for answer in answers] == [True] * 4 + [False] * 3
    assert answers[-1].twin == planned[0].key
    assert [answer.job.state for answer in answers[:6]] == [JobState.RESERVED] * 4 + [JobState.REFUSED] * 2
    assert all_money(ledger) == CEILING_USD


def test_a_job_is_left_alone_until_its_model_has_ever_ended_one() -> None:
    cadence = Cadence(4)
    assert cadence.wait_s("slow", 3.0, 2.0, early=False) == 2.0
    for took_s in (30.0, 31.0, 40.0, 60.0):
        cadence.rendered("slow", took_s)
    assert cadence.wait_s("slow", 20.0, 2.0, early=False) == pytest.approx(7.0)
    assert cadence.wait_s("slow", 3.0, 2.0, early=False) == 15.0
    assert cadence.wait_s("slow", 300.0, 2.0, early=False) == 15.0
    assert cadence.wait_s("another", 20.0, 2.0, early=False) == 2.0


def test_polls_are_so_many_a_second() -> None:
    async def turns(number: int) -> float:
        cadence, loop = Cadence(4), asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.gather(*(cadence.turn("any", 1.0) for _ in range(number)))
        return loop.time() - begun

    assert asyncio.run(turns(31)) >= 0.3


def test_a_job_that_ends_sooner_than_its_model_ever_did_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cadence, "_LONGEST_S", 1.0)

    async def turns() -> list[float]:
        polls, loop = Cadence(4), asyncio.get_running_loop()
        polls.rendered("slow", 3600.0)
        took: list[float] = []
        for told in (False, True):
            began = loop.time()
            await polls.turn("slow", 1.0, told=told)
            took.append(loop.time() - began)
        return took

    patience_s, told_s = asyncio.run(turns())
    assert 1.0 <= patience_s < 30
    assert told_s < 1.0


def test_a_run_that_is_stopped_ends_with_all_that_its_clips_still_had_to_do() -> None:
    """A task that cleans up asks for more while the lot that is out is cancelled."""
    sent: list[int] = []

    async def clip(queue: Any, number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await queue.put(number)

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def send(items: list[int]) -> asyncio.Future[list[int]]:
            def slowly() -> list[int]:
                time.sleep(0.05)
                sent.extend(items)
                return items

            return loop.run_in_executor(None, slowly)

        queue = ledger_threads._Queue(send)
        clips = [asyncio.create_task(clip(queue, number)) for number in range(50)]
        queue.put(-1)
        await asyncio.wait(clips, timeout=0.02)
        raise KeyboardInterrupt

    def stopped() -> None:
        with suppress(KeyboardInterrupt):
            asyncio.run(run())

    thread = threading.Thread(target=stopped, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert {*range(50)} <= {*sent}
