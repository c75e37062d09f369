"""Money: lines that always add up to what was billed, and a ceiling that holds under any number of buyers."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from sqlalchemy import func, select, update

from video_pipeline.ledger import Bill, Hold, Job, JobState, Ledger, SpendCategory
from video_pipeline.ledger.schema import spend
from video_pipeline_tests.ledger.rows import CEILING_USD, DAY, a_job, accepted, all_money, move, reserved, submitted

_BUYER = Path(__file__).with_name("buyer.py")
_CENT = Decimal("0.000001")
_NUMBERS = count()

# Every way through the protocol that the engine takes; `!` marks the change that settles the bill.
_LIVES = {
    "served from the cache": "accepted",
    "known to be refused": "failed!",
    "accepted": "reserved submitting submitted processing rendered! stored accepted",
    "rejected": "reserved submitting submitted rendered! stored rejected",
    "turned away": "reserved submitting failed!",
    "failed while rendering": "reserved submitting submitted processing failed!",
    "lost after rendering": "reserved submitting submitted rendered! failed",
    "lost and found": "reserved submitting unknown submitted rendered! stored accepted",
    "lost for good": "reserved submitting unknown failed!",
    "lost": "reserved submitting unknown",
    "under way": "reserved submitting submitted",
}
_A_LIFE = st.tuples(
    st.sampled_from(sorted(_LIVES)),
    st.decimals(min_value=0, max_value=3, places=6),
    st.sampled_from([Decimal("0.5"), Decimal(1), Decimal("1.2")]),
)


def _lines(ledger: Ledger, job: Job) -> dict[str, Decimal]:
    """line -> sum, for one job."""
    sums = select(spend.c.line, func.sum(spend.c.usd).label("usd")).group_by(spend.c.line)
    with ledger.engine.connect() as connection:
        return {row.line: row.usd for row in connection.execute(sums.where(spend.c.job_key == job.key))}


def _move_lines(ledger: Ledger, *, days: int) -> date:
    """As if every line had been written some days later or, negative, earlier; the last such day."""
    with ledger.engine.begin() as connection:
        moved = connection.execute(update(spend).values(spent_on=spend.c.spent_on + days).returning(spend.c.spent_on))
        return max(row.spent_on for row in moved)


def _step(ledger: Ledger, job: Job, step: str, billed_usd: Decimal) -> Job:
    if step == "reserved":
        assert ledger.jobs.reserve(job, ceiling_usd=CEILING_USD).granted
        return ledger.jobs.get(job.key)
    return move(ledger, job, JobState(step.removesuffix("!")), bill=Bill(billed_usd, 1.0))


@settings(max_examples=25)
@given(lives=st.lists(_A_LIFE, min_size=1, max_size=4))
def test_at_every_moment_a_jobs_lines_are_what_it_was_billed_or_what_is_set_aside(ledger_of_module: Ledger, lives):
    ledger = ledger_of_module
    example = next(_NUMBERS)
    committed = all_money(ledger)
    for number, (life, expected_usd, share) in enumerate(lives):
        job = ledger.jobs.plan(a_job(f"{example} {number}", expected_usd=expected_usd))
        holds = settled = False
        for step in _LIVES[life].split():
            job = _step(ledger, job, step, (expected_usd * share).quantize(_CENT) if holds else Decimal(0))
            settled = settled or step.endswith("!")
            holds = holds or step == "reserved"
            total = sum(_lines(ledger, job).values(), Decimal(0))
            assert total == job.billed_usd + (expected_usd if holds and not settled else 0)
        lines = _lines(ledger, job)
        assert lines.get("release", Decimal(0)) == (-lines.get("reserve", Decimal(0)) if settled else 0)
        committed += sum(lines.values(), Decimal(0))
    assert all_money(ledger) == committed


def test_threads_that_buy_at_once_never_pass_the_ceiling(ledger: Ledger):
    jobs = [ledger.jobs.plan(a_job(f"job {number}", expected_usd=Decimal("0.07"))) for number in range(40)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda job: ledger.jobs.reserve(job, ceiling_usd=Decimal("1.00")), jobs))
    assert sum(answer.granted for answer in answers) == 14
    assert all_money(ledger) == Decimal("0.98")
    assert max(answer.committed_usd for answer in answers) == Decimal("0.98")


def test_processes_that_buy_at_once_never_pass_the_ceiling(ledger: Ledger, ledger_url: str):
    for number in range(40):
        ledger.jobs.plan(a_job(f"job {number}", expected_usd=Decimal("0.07")))
    buyers = [
        subprocess.Popen([sys.executable, _BUYER, ledger_url, "1.00"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    granted = [line for buyer in buyers for line in buyer.communicate(timeout=60)[0].split()]
    assert [buyer.returncode for buyer in buyers] == [0, 0, 0]
    # All three ask for all forty; each is set aside once.
    assert len(set(granted)) == 14
    assert len(ledger.jobs.in_state(JobState.RESERVED)) == 14
    assert all_money(ledger) == Decimal("0.98")


def test_of_identical_jobs_asked_for_at_once_one_is_bought(ledger: Ledger):
    jobs = [ledger.jobs.plan(a_job(f"job {number}", request_sha256="f" * 64)) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda job: ledger.jobs.reserve(job, ceiling_usd=CEILING_USD), jobs))
    assert sum(answer.granted for answer in answers) == 1
    assert sum(answer.hold is Hold.IDENTICAL_IN_FLIGHT for answer in answers) == 11


def test_identical_jobs_of_two_days_asked_for_at_once_are_bought_once(ledger: Ledger):
    jobs = [
        ledger.jobs.plan(a_job(f"job {number}", day=DAY.replace(day=1 + number % 2), request_sha256="f" * 64))
        for number in range(12)
    ]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda job: ledger.jobs.reserve(job, ceiling_usd=CEILING_USD), jobs))
    assert sum(answer.granted for answer in answers) == 1


def test_a_job_that_two_workers_settle_is_settled_once(ledger: Ledger):
    job = submitted(ledger, a_job())

    def settle(_: int) -> bool:
        try:
            move(ledger, job, JobState.RENDERED, bill=Bill(job.expected_usd, 2.0))
        except Exception as error:
            assert "another worker has moved it" in str(error)
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(settle, range(6))) == 1
    assert all_money(ledger) == job.expected_usd


def test_a_first_attempt_is_generation_and_a_later_one_a_retry(ledger: Ledger):
    accepted(ledger, a_job("first", clip_id="2026-11-21/clip"))
    accepted(ledger, a_job("second", clip_id="2026-11-21/clip", attempt=1, expected_usd=Decimal("0.07")))
    assert ledger.spend.by_clip(DAY) == {
        "2026-11-21/clip": {"generation": Decimal("0.044"), "retry": Decimal("0.07")}
    }


def test_money_that_is_only_set_aside_is_committed_and_not_spent(ledger: Ledger):
    reserved(ledger, a_job())
    assert all_money(ledger) == Decimal("0.044")
    assert ledger.spend.by_clip(DAY) == {}


def test_a_ceiling_is_the_calendar_days_whatever_day_the_clips_are_of(ledger: Ledger):
    for number in range(3):
        job = ledger.jobs.plan(a_job(f"job {number}", day=DAY + timedelta(number), expected_usd=Decimal("0.45")))
        answer = ledger.jobs.reserve(job, ceiling_usd=Decimal(1))
        assert answer.hold == (Hold.CEILING if number == 2 else None)
        assert ledger.spend.committed_usd(answer.on) == answer.committed_usd == min(2, number + 1) * Decimal("0.45")


def test_money_of_another_calendar_day_is_not_counted(ledger: Ledger):
    reserved(ledger, a_job("yesterday", expected_usd=Decimal("0.9")))
    _move_lines(ledger, days=-1)
    job = ledger.jobs.plan(a_job("today", expected_usd=Decimal("0.9")))
    answer = ledger.jobs.reserve(job, ceiling_usd=Decimal(1))
    assert answer.granted and answer.committed_usd == Decimal("0.9")


def test_a_job_that_ends_after_midnight_counts_against_the_day_it_was_reserved_on(ledger: Ledger):
    job = submitted(ledger, a_job())
    yesterday = _move_lines(ledger, days=-1)
    move(ledger, job, JobState.RENDERED, bill=Bill(Decimal("0.05"), 2.0))
    assert ledger.spend.committed_usd(yesterday) == all_money(ledger) == Decimal("0.05")


@pytest.mark.parametrize("callers", [1, 8])
def test_a_cost_is_booked_once_a_cause(ledger: Ledger, callers: int):
    def book(_: int) -> bool:
        return ledger.spend.book_once(
            "audio 2026-11-21/clip",
            day=DAY,
            clip_id="2026-11-21/clip",
            tier="preview",
            category=SpendCategory.AUDIO,
            usd=Decimal("0.004"),
            note="an estimate",
        )

    with ThreadPoolExecutor(callers) as pool:
        assert sorted(pool.map(book, range(8))) == [False] * 7 + [True]
    assert ledger.spend.by_clip(DAY) == {"2026-11-21/clip": {"audio": Decimal("0.004")}}
    assert all_money(ledger) == Decimal("0.004")


def test_a_clips_lines_of_a_category_are_added_up_exactly(ledger: Ledger):
    for number in range(10):
        ledger.spend.book_once(
            f"upscaling {number}",
            day=DAY,
            clip_id="2026-11-21/clip",
            tier="preview",
            category=SpendCategory.UPSCALING,
            usd=Decimal("0.000001"),
            note="",
        )
    assert ledger.spend.by_clip(DAY)["2026-11-21/clip"][SpendCategory.UPSCALING] == Decimal("0.000010")
