"""What webhooks have told: kept once, counted, and believed only as far as the ledger's own rows go."""

import pytest

from video_pipeline.ledger import CallStanding, Ledger
from video_pipeline_tests.ledger.rows import a_job, receipt_of, reserved, submitted


@pytest.fixture
def ledger(ledger_of_module: Ledger) -> Ledger:
    return ledger_of_module


def test_a_repeated_call_is_only_counted(ledger: Ledger):
    job = ledger.jobs.submitting(reserved(ledger, a_job("repeated")))
    calls = ledger.webhook_calls
    assert (calls.count(job), calls.named(job)) == (0, [])
    for told in (1, 2, 3):
        assert calls.keep("fal", job.key, "r1") is CallStanding.NEWS
        assert calls.count(job) == told
    assert calls.named(job) == ["r1"]
    assert ledger.jobs.get(job.key) == job


def test_a_call_for_no_job_is_not_kept(ledger: Ledger):
    job = reserved(ledger, a_job("elsewhere", provider="kiln"))
    assert ledger.webhook_calls.keep("fal", job.key, "r2") is CallStanding.NO_JOB
    assert ledger.webhook_calls.keep("fal", "0" * 64, "r2") is CallStanding.NO_JOB
    assert ledger.webhook_calls.count(job) == 0


def test_a_request_of_another_job_is_not_kept(ledger: Ledger):
    owner = submitted(ledger, a_job("owner"))
    lost = ledger.jobs.submitting(reserved(ledger, a_job("lost")))
    theirs = receipt_of(owner).provider_job_id
    assert ledger.webhook_calls.keep("fal", lost.key, theirs) is CallStanding.ANOTHER_JOBS
    assert (ledger.webhook_calls.count(lost), ledger.webhook_calls.named(lost)) == (0, [])


def test_a_request_that_another_job_has_got_since_is_not_named_any_more(ledger: Ledger):
    lost = ledger.jobs.submitting(reserved(ledger, a_job("too late")))
    owner = a_job("quicker")
    assert ledger.webhook_calls.keep("fal", lost.key, receipt_of(owner).provider_job_id) is CallStanding.NEWS
    submitted(ledger, owner)
    assert ledger.webhook_calls.named(lost) == []


def test_a_second_request_for_one_job_is_kept_and_said(ledger: Ledger):
    known = submitted(ledger, a_job("bought twice"))
    assert ledger.webhook_calls.keep("fal", known.key, "r3") is CallStanding.ANOTHER_REQUEST
    assert ledger.webhook_calls.keep("fal", known.key, receipt_of(known).provider_job_id) is CallStanding.NEWS
    lost = ledger.jobs.submitting(reserved(ledger, a_job("named twice")))
    assert ledger.webhook_calls.keep("fal", lost.key, "r4") is CallStanding.NEWS
    assert ledger.webhook_calls.keep("fal", lost.key, "r5") is CallStanding.ANOTHER_REQUEST
    assert ledger.webhook_calls.named(lost) == ["r4", "r5"]


def test_where_our_account_is_known_requests_of_others_are_left_out(ledger: Ledger):
    lost = ledger.jobs.submitting(reserved(ledger, a_job("accounts", provider="plain")))
    calls = ledger.webhook_calls
    calls.keep("plain", lost.key, "theirs", account="someone else")
    calls.keep("plain", lost.key, "ours", account="us")
    assert calls.named(lost) == ["theirs", "ours"]
    known = submitted(ledger, a_job("of our account", provider="plain"))
    calls.keep("plain", known.key, receipt_of(known).provider_job_id, account="us")
    assert calls.named(lost) == ["ours"]
