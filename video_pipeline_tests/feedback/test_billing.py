"""Bills beside the ledger: what is matched with what, whatever order it comes in, and what people are told."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_pipeline import days
from video_pipeline.errors import ConfigurationError
from video_pipeline.feedback import DayBill, Match, billing_alert, days_to_compare, reconcile
from video_pipeline.feedback.billing import Bought, bills_of, matched
from video_pipeline.generation import BilledLine, Enquiries, Provider
from video_pipeline.ledger import FailureKind, JobState, Ledger
from video_pipeline.policy import Policy
from video_pipeline_tests.ledger.rows import DAY, a_job, submitted

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIST_USD = Decimal("0.044")


def a_line(request_id: str, usd: str | Decimal, *, hours: float = 0, **fields: Any) -> BilledLine:
    return BilledLine(request_id, Decimal(usd), NOON + timedelta(hours=hours), **fields)


def bought(request_id: str, state: JobState = JobState.ACCEPTED, usd: Decimal = LIST_USD, **fields: Any) -> Bought:
    return Bought(a_job(request_id, state=state, provider_job_id=request_id, **fields), usd)


def compared(lines: Sequence[BilledLine], *jobs: Bought, known: Sequence[str] = (), over: bool = False) -> DayBill:
    ids = [one.job.provider_job_id or "" for one in jobs]
    return matched(DAY, "fal", bills_of(lines), jobs, [*ids, *known], over=over)


def matches(bill: DayBill) -> Mapping[str, Match]:
    return {one.request_id: one.match for one in bill.differences}


def refused(kind: FailureKind = FailureKind.MODERATION, usd: Decimal = Decimal(0)) -> Bought:
    return bought("a", JobState.FAILED, usd, failure_kind=kind)


@pytest.mark.parametrize(
    ("job", "usd", "over", "match"),
    [
        (bought("a"), ["0.044"], False, None),
        (bought("a"), ["0.02", "0.024"], False, None),
        (bought("a"), ["0.0440000004"], False, None),
        (bought("a"), ["0.05"], False, Match.OTHERWISE),
        (bought("a"), ["0.044", "-0.044"], False, Match.OTHERWISE),
        (bought("a"), [], False, Match.NOT_YET),
        (bought("a"), [], True, Match.NEVER),
        (bought("a", vendor_usd=LIST_USD), [], True, None),
        (bought("a", vendor_usd=Decimal("0.05")), [], True, Match.OTHERWISE),
        (bought("a", JobState.PROCESSING), ["0.044"], True, Match.UNDER_WAY),
        (bought("a", JobState.STORED), [], True, Match.UNDER_WAY),
        (refused(), [], True, None),
        (refused(), ["0.044"], False, Match.REFUSAL),
        (refused(usd=LIST_USD), ["0.05"], False, Match.OTHERWISE),
        (refused(FailureKind.GENERATION), ["0.044"], False, Match.OTHERWISE),
    ],
)
def test_what_the_bill_of_a_job_says(job: Bought, usd: list[str], over: bool, match: Match | None):
    bill = compared([a_line("a", one) for one in usd], job, over=over)
    assert matches(bill) == ({} if match is None else {"a": match})
    assert (bill.requests, bill.equal) == (1, int(match is None))


def test_what_no_job_knows_is_a_leak_of_the_day_that_it_was_billed_on():
    lines = [
        a_line("ours", LIST_USD),
        a_line("of another day", LIST_USD),
        a_line("leak", "0.5", hours=1, what="an endpoint", buyer="key b"),
        a_line("leak", "0.5", hours=13, what="an endpoint", buyer="key b"),
        a_line("tomorrow's leak", "0.5", hours=12),
        a_line("taken back", "0.5"),
        a_line("taken back", "-0.5"),
    ]
    bill = compared(lines, bought("ours"), known=["of another day"])
    [leak] = bill.differences
    assert (leak.match, leak.request_id, leak.billed_usd) == (Match.LEAK, "leak", 1)
    assert (leak.what, leak.buyer, leak.job_key) == ("an endpoint", "key b", "")
    assert (bill.booked_usd, bill.billed_usd, bill.off_usd) == (LIST_USD, LIST_USD + 1, 1)


_IDS = st.sampled_from("abcdef")
_LINES = st.lists(
    st.builds(
        a_line,
        _IDS,
        st.decimals(min_value=-2, max_value=2, places=6),
        hours=st.integers(min_value=-30, max_value=30),
        what=st.sampled_from(["x", "y"]),
    ),
    max_size=12,
)
_JOBS = st.lists(
    st.builds(
        bought,
        _IDS,
        st.sampled_from([JobState.ACCEPTED, JobState.FAILED, JobState.PROCESSING]),
        st.decimals(min_value=0, max_value=2, places=6),
    ),
    unique_by=lambda one: one.job.provider_job_id,
)


@given(lines=_LINES, jobs=_JOBS, over=st.booleans(), data=st.data())
def test_neither_the_order_nor_the_pages_of_lines_and_jobs_matter(lines, jobs, over, data):
    shuffled, of_jobs = data.draw(st.permutations(lines)), data.draw(st.permutations(jobs))
    assert compared(shuffled, *of_jobs, over=over) == compared(lines, *jobs, over=over)


@given(lines=_LINES, jobs=_JOBS, over=st.booleans())
def test_every_request_is_one_thing_and_the_sums_are_those_of_the_lines(lines, jobs, over):
    bill = compared(lines, *jobs, over=over)
    ours = {one.job.provider_job_id for one in jobs}
    assert bill.equal + sum(one.request_id in ours for one in bill.differences) == bill.requests == len(jobs)
    assert len(matches(bill)) == len(bill.differences)
    assert {one.request_id for one in bill.of(Match.LEAK)}.isdisjoint(ours)
    ended = {one.job.provider_job_id for one in jobs if one.job.state is not JobState.PROCESSING}
    counted = ended | {one.request_id for one in bill.of(Match.LEAK)}
    assert bill.billed_usd == sum((line.usd for line in lines if line.provider_job_id in counted), Decimal(0))


def test_nobody_bills_the_own_gpu(ledger: Ledger, policy: Policy):
    def nobody(client: object) -> dict[str, Provider]:
        raise ConfigurationError("no provider is connected")

    for provider in ("comfyui", "fal"):
        submitted(ledger, a_job(provider, provider=provider))
    rows = reconcile(ledger, Enquiries(nobody), policy.reconcile, days_to_compare(days.today(), policy.reconcile))
    assert [(row.provider, row.requests) for row in rows] == [("fal", 1)]


def test_a_night_looks_at_its_own_day_and_at_those_whose_bills_may_be_late(policy: Policy):
    rules = policy.reconcile.model_copy(update={"again_days": 2})
    assert days_to_compare(date(2026, 11, 21), rules) == [date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 21)]


def test_a_day_is_one_message_and_another_one_only_when_it_differs_otherwise(policy: Policy):
    dear = [a_line("a", "0.06"), a_line("b", "0.06"), a_line("leak", "0.1", buyer="key b")]
    jobs = [bought("a"), bought("b"), bought("late")]
    alert = billing_alert(compared(dear, *jobs), policy.reconcile)
    assert alert is not None and alert.once
    assert alert.title == f"fal has billed otherwise than was booked on {DAY}"
    assert "has billed $0.2200 for what was booked at $0.0880" in alert.text and "key b" in alert.text
    assert alert.fields == {
        "billed otherwise": "2 requests, $+0.0320 (+36%)",
        "not in the ledger": "1 request, $+0.1000",
    }
    # One that comes late and is as booked is no news; one that is never billed is.
    same = billing_alert(compared([*dear, a_line("late", LIST_USD)], *jobs), policy.reconcile)
    never = billing_alert(compared(dear, *jobs, over=True), policy.reconcile)
    assert same is not None and never is not None
    assert same.cause == alert.cause != never.cause


@pytest.mark.parametrize(
    ("usd", "told"), [("0.044", False), ("0.045", False), ("0.0465", True), ("0.04", True)], ids=str
)
def test_a_difference_of_little_money_is_nobodys_message(policy: Policy, usd: str, told: bool):
    assert (billing_alert(compared([a_line("a", usd)], bought("a")), policy.reconcile) is not None) is told


def test_much_money_is_told_whatever_its_share(policy: Policy):
    lines = [a_line("a", "100"), a_line("leak", "1.01")]
    assert billing_alert(compared(lines, bought("a", usd=Decimal(100))), policy.reconcile) is not None
    assert (
        billing_alert(compared([lines[0], a_line("leak", "1")], bought("a", usd=Decimal(100))), policy.reconcile)
        is None
    )
