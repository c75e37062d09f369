"""What a vendor's billing says of a job: booked as a correction, once, with what was booked before still there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import Bill, Job, JobState, Ledger, SpendCategory
from video_pipeline.ledger.schema import spend
from video_pipeline_tests.ledger.rows import DAY, a_job, all_money, move, submitted

LIST_USD = Decimal("0.022")
_NUMBERS = count()


def _bought(ledger: Ledger, name: str, *, ended: bool = True, **fields: object) -> Job:
    job = move(ledger, submitted(ledger, a_job(name, **fields)), JobState.RENDERED, bill=Bill(LIST_USD, 1.0))
    return move(ledger, move(ledger, job, JobState.STORED), JobState.ACCEPTED) if ended else job


def test_a_bill_that_differs_corrects_what_is_booked_and_keeps_what_was(ledger: Ledger):
    job = _bought(ledger, "dear", attempt=1)
    assert ledger.jobs.vendor_billed(job.key, Decimal("0.035"), answer={"lines": 1})
    after = ledger.jobs.get(job.key)
    assert (after.billed_usd, after.vendor_usd, after.state) == (Decimal("0.035"), Decimal("0.035"), job.state)
    assert ledger.spend.settled([job.key, "another"]) == {job.key: LIST_USD, "another": 0}
    assert ledger.spend.by_clip(DAY) == {job.clip_id: {SpendCategory.RETRY: Decimal("0.035")}}
    event = ledger.jobs.events(job.key)[-1]
    assert (event["from_state"], event["to_state"], event["answer"]) == (job.state, job.state, {"lines": 1})
    assert event["note"] == "the provider's billing says 0.035 US dollars; it was booked at 0.022000"
    with ledger.engine.connect() as connection:
        days = set(connection.execute(select(spend.c.spent_on).where(spend.c.job_key == job.key)).scalars())
    assert len(days) == 1


def test_a_bill_that_is_as_booked_is_noted_and_moves_no_money(ledger: Ledger):
    job = _bought(ledger, "usual")
    before = all_money(ledger)
    assert ledger.jobs.vendor_billed(job.key, LIST_USD)
    assert (ledger.jobs.get(job.key).vendor_usd, all_money(ledger)) == (LIST_USD, before)


@settings(max_examples=15)
@given(bills=st.lists(st.decimals(min_value=0, max_value=9, places=6), min_size=1, max_size=5))
def test_after_any_bills_however_often_they_are_told_the_last_one_is_booked(ledger_of_module: Ledger, bills):
    ledger = ledger_of_module
    job = _bought(ledger, f"any {next(_NUMBERS)}")
    before = all_money(ledger)
    for usd in bills:
        ledger.jobs.vendor_billed(job.key, usd)
        assert not ledger.jobs.vendor_billed(job.key, usd)
        assert all_money(ledger) - before == usd - LIST_USD
    assert ledger.jobs.get(job.key).billed_usd == bills[-1]
    assert ledger.spend.settled([job.key]) == {job.key: LIST_USD}


def test_a_bill_that_many_tell_at_once_is_booked_once(ledger: Ledger):
    job = _bought(ledger, "crowd")
    before = all_money(ledger)
    with ThreadPoolExecutor(8) as pool:
        news = list(pool.map(lambda _: ledger.jobs.vendor_billed(job.key, Decimal(1)), range(16)))
    assert (sum(news), all_money(ledger) - before) == (1, 1 - LIST_USD)


def test_a_job_that_has_not_ended_is_left_alone_and_nothing_costs_less_than_nothing(ledger: Ledger):
    job = _bought(ledger, "under way", ended=False)
    assert not ledger.jobs.vendor_billed(job.key, Decimal(1))
    assert not ledger.jobs.vendor_billed("nobody's", Decimal(1))
    assert ledger.jobs.get(job.key) == job
    with pytest.raises(LedgerError):
        ledger.jobs.vendor_billed(job.key, Decimal(-1))


def test_jobs_are_found_by_when_they_were_bought_and_by_their_requests(ledger: Ledger):
    job = _bought(ledger, "found")
    assert job.submitted_at is not None and job.provider_job_id is not None
    ledger.jobs.plan(a_job("never bought"))
    later = job.submitted_at + timedelta(seconds=1)
    assert ledger.jobs.bought_between("fal", job.submitted_at, later) == [job]
    assert ledger.jobs.bought_between("fal", later, later + timedelta(days=1)) == []
    assert ledger.jobs.bought_between("another", job.submitted_at, later) == []
    assert ledger.jobs.of_requests("fal", [job.provider_job_id, "a stranger's"]) == {job.provider_job_id: job}
