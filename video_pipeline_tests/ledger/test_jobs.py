"""The job protocol: states, what may follow what, the cache, and refusals that are remembered."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import (
    Actor,
    Bill,
    Failure,
    FailureKind,
    FirstAnswer,
    Hold,
    Job,
    JobState,
    Ledger,
    TierState,
)
from video_pipeline.ledger.records import JOB_TRANSITIONS
from video_pipeline_tests.ledger.rows import (
    CEILING_USD,
    DAY,
    a_job,
    accepted,
    all_money,
    move,
    receipt_of,
    reserved,
    sha256,
    submitted,
)

_IN_FLIGHT = [
    JobState.RESERVED,
    JobState.SUBMITTING,
    JobState.SUBMITTED,
    JobState.PROCESSING,
    JobState.RENDERED,
    JobState.STORED,
]


# What no move but a reservation leads to, and where every job begins.
_MOVED_TO = [state for state in JobState if state not in (JobState.PLANNED, JobState.RESERVED, JobState.REFUSED)]


def _in(ledger: Ledger, state: JobState, name: str | None = None) -> Job:
    """A job that stands in `state`."""
    return ledger.jobs.plan(a_job(name or f"in {state}", state=state))


def test_first_attempts_tell_what_was_refused_and_what_was_made(ledger: Ledger):
    since = datetime.now(UTC)
    accepted(ledger, a_job("made"))
    refused = submitted(ledger, a_job("refused"))
    ledger.jobs.failed(refused, Failure(FailureKind.MODERATION, "no"))
    ledger.jobs.failed(submitted(ledger, a_job("broken")), Failure(FailureKind.GENERATION, "no"))
    ledger.jobs.failed(submitted(ledger, a_job("again", attempt=1)), Failure(FailureKind.MODERATION, "no"))
    submitted(ledger, a_job("under way"))
    expected = [FirstAnswer(name, refused.model, refused=name == "refused") for name in ("made", "refused")]
    assert sorted(ledger.jobs.first_answers(since), key=lambda one: one.refused) == expected
    assert ledger.jobs.first_answers(datetime.now(UTC) + timedelta(minutes=1)) == []


def test_planning_again_gives_the_row_that_is_there(ledger: Ledger):
    first = ledger.jobs.plan(a_job())
    assert first.created_at is not None
    assert ledger.jobs.plan(a_job(strategy="remapped", expected_usd=Decimal(9))) == first


def test_a_planned_job_comes_back_as_it_was_written(ledger: Ledger):
    job = a_job(
        request={"prompt": "a ≠ b", "nested": [1, None, {"x": 0.5}]}, retry_allowed=False, saved_usd=Decimal(1)
    )
    written = ledger.jobs.plan(job)
    differing = {name for name in Job.__dataclass_fields__ if getattr(written, name) != getattr(job, name)}
    assert differing == {"created_at"}


@pytest.mark.parametrize(
    ("before", "after"),
    [(before, after) for before in JobState for after in _MOVED_TO],
    ids=lambda state: str(state),
)
def test_a_job_goes_only_where_the_protocol_leads(ledger_of_module: Ledger, before: JobState, after: JobState):
    job = _in(ledger_of_module, before, f"{before} to {after}")
    if after in JOB_TRANSITIONS[before]:
        assert move(ledger_of_module, job, after).state is after
        (event,) = ledger_of_module.jobs.events(job.key)
        assert (event["from_state"], event["to_state"]) == (before, after)
    else:
        with pytest.raises(LedgerError, match=f"cannot go from {before} to {after}"):
            move(ledger_of_module, job, after)
        assert ledger_of_module.jobs.get(job.key) == job
        assert ledger_of_module.jobs.events(job.key) == []


def test_no_job_leaves_an_end_except_by_a_persons_word_or_another_try():
    left = {state for state in JobState if state.final and JOB_TRANSITIONS[state]}
    assert left == {JobState.UNKNOWN, JobState.REFUSED}


def test_every_state_but_the_first_can_be_reached():
    reached = set().union(*JOB_TRANSITIONS.values())
    assert set(JobState) - reached == {JobState.PLANNED}


def test_a_job_that_another_worker_has_moved_is_not_moved(ledger: Ledger):
    mine = submitted(ledger, a_job())
    ledger.jobs.processing(mine)
    with pytest.raises(LedgerError, match="another worker has moved it"):
        move(ledger, mine, JobState.RENDERED, bill=Bill(Decimal(1), 1.0))
    assert ledger.jobs.get(mine.key).billed_usd == 0
    assert all_money(ledger) == mine.expected_usd


def test_a_job_that_is_not_there_is_said_to_be_missing(ledger: Ledger):
    with pytest.raises(LedgerError, match="no job"):
        ledger.jobs.get(sha256("nothing"))
    with pytest.raises(LedgerError, match="no job"):
        ledger.jobs.reserve(a_job(), ceiling_usd=CEILING_USD)


def test_a_providers_job_is_never_two_of_ours(ledger: Ledger):
    submitted(ledger, a_job("one"))
    submitting = ledger.jobs.submitting(reserved(ledger, a_job("two")))
    with pytest.raises(Exception, match="uq_jobs_provider_job"):
        ledger.jobs.submitted(submitting, receipt_of(a_job("one")))
    assert ledger.jobs.get(submitting.key).state is JobState.SUBMITTING


@pytest.mark.parametrize("doubted", [False, True])
def test_who_wrote_an_intent_ends_it_and_no_other(ledger: Ledger, doubted: bool):
    job = ledger.jobs.submitting(reserved(ledger, a_job()))
    job = ledger.jobs.unknown(job, "no answer") if doubted else job
    assert job.submitted_at is not None
    ended = Failure(FailureKind.NOT_SENT, "nothing went out")
    with pytest.raises(LedgerError, match="another worker has moved it"):
        ledger.jobs.of_intent(job.submitted_at + timedelta(microseconds=1)).failed(job, ended)
    assert ledger.jobs.settled(job.key) == job
    assert ledger.jobs.of_intent(job.submitted_at).failed(job, ended).failure_kind is FailureKind.NOT_SENT
    assert all_money(ledger) == 0


def test_reserving_twice_reserves_once(ledger: Ledger):
    job = reserved(ledger, a_job())
    assert ledger.jobs.reserve(job, ceiling_usd=CEILING_USD).granted
    assert all_money(ledger) == job.expected_usd


@pytest.mark.parametrize("state", [state for state in JobState if JobState.RESERVED not in JOB_TRANSITIONS[state]])
def test_money_is_never_set_aside_for_a_job_that_is_past_it(ledger: Ledger, state: JobState):
    job = _in(ledger, state)
    if state is JobState.RESERVED:
        assert ledger.jobs.reserve(job, ceiling_usd=CEILING_USD).granted
    else:
        with pytest.raises(LedgerError, match="cannot go from"):
            ledger.jobs.reserve(job, ceiling_usd=CEILING_USD)
    assert all_money(ledger) == 0


def test_a_job_over_the_ceiling_is_refused_and_may_ask_again(ledger: Ledger):
    job = ledger.jobs.plan(a_job(expected_usd=Decimal("0.50")))
    refused = ledger.jobs.reserve(job, ceiling_usd=Decimal("0.499999"))
    assert not refused.granted and refused.hold is Hold.CEILING
    assert "ceiling of $0.499999 would be passed" in refused.reason and "$0.5000" in refused.reason
    row = ledger.jobs.get(job.key)
    assert (row.state, row.failure_reason) == (JobState.REFUSED, refused.reason)
    assert not ledger.jobs.reserve(job, ceiling_usd=Decimal("0.4")).granted
    assert ledger.jobs.reserve(job, ceiling_usd=Decimal("0.50")).granted
    row = ledger.jobs.get(job.key)
    assert (row.state, row.failure_reason) == (JobState.RESERVED, None)


def test_a_frozen_tier_buys_nothing_and_the_others_do(ledger: Ledger):
    ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=DAY, evidence={})
    preview, production = ledger.jobs.plan(a_job("a")), ledger.jobs.plan(a_job("b", tier="production"))
    refused = ledger.jobs.reserve(preview, ceiling_usd=CEILING_USD)
    assert (refused.granted, refused.reason) == (False, "the preview tier is frozen for new generation")
    assert ledger.jobs.reserve(production, ceiling_usd=CEILING_USD).granted
    ledger.governance.set_tier("preview", TierState.OPEN, by=Actor.PERSON, day=DAY, evidence={})
    assert ledger.jobs.reserve(preview, ceiling_usd=CEILING_USD).granted


def test_a_freeze_by_drift_lets_a_few_clips_a_day_through_with_all_their_attempts(ledger: Ledger):
    def granted(name: str, attempt: int = 0) -> bool:
        job = ledger.jobs.plan(a_job(f"{name} {attempt}", clip_id=f"{DAY}/{name}", attempt=attempt))
        return ledger.jobs.reserve(job, ceiling_usd=CEILING_USD, probes=2).granted

    assert granted("before")
    ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=DAY, evidence={})
    assert [granted(name) for name in ("a", "b", "c")] == [True, True, False]
    assert not granted("before", attempt=1)
    assert granted("a", attempt=1)
    ledger.governance.set_tier("preview", TierState.OPEN, by=Actor.DRIFT, day=DAY, evidence={})
    ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.PERSON, day=DAY, evidence={})
    assert not granted("d"), "a person's freeze holds all"


@pytest.mark.parametrize("state", _IN_FLIGHT, ids=str)
def test_a_job_waits_for_an_identical_one_in_flight(ledger: Ledger, state: JobState):
    _in(ledger, state, "first")
    twin = ledger.jobs.plan(a_job("twin", request_sha256=a_job("first").request_sha256))
    answer = ledger.jobs.reserve(twin, ceiling_usd=CEILING_USD)
    assert answer.hold is Hold.IDENTICAL_IN_FLIGHT
    assert ledger.jobs.get(twin.key).state is JobState.PLANNED
    assert all_money(ledger) == 0


def test_a_job_looks_at_the_cache_again_when_an_identical_one_was_accepted_meanwhile(ledger: Ledger):
    _in(ledger, JobState.ACCEPTED, "first")
    twin = ledger.jobs.plan(a_job("twin", request_sha256=a_job("first").request_sha256))
    assert ledger.jobs.reserve(twin, ceiling_usd=CEILING_USD).hold is Hold.IDENTICAL_IN_FLIGHT
    assert ledger.jobs.reserve(twin, ceiling_usd=CEILING_USD, cache_lost=True).granted


@pytest.mark.parametrize("state", _IN_FLIGHT, ids=str)
def test_a_lost_cache_is_no_reason_to_buy_beside_one_in_flight(ledger: Ledger, state: JobState):
    _in(ledger, state, "first")
    twin = ledger.jobs.plan(a_job("twin", request_sha256=a_job("first").request_sha256))
    assert not ledger.jobs.reserve(twin, ceiling_usd=CEILING_USD, cache_lost=True).granted


_OVER = [state for state in JobState if state not in (*_IN_FLIGHT, JobState.ACCEPTED)]


@pytest.mark.parametrize("state", _OVER, ids=str)
def test_a_job_does_not_wait_for_an_identical_one_that_will_give_nothing(ledger: Ledger, state: JobState):
    _in(ledger, state, "first")
    twin = ledger.jobs.plan(a_job("twin", request_sha256=a_job("first").request_sha256))
    assert ledger.jobs.reserve(twin, ceiling_usd=CEILING_USD).granted


def test_only_an_accepted_job_serves_the_same_request_again(ledger: Ledger):
    for state in JobState:
        _in(ledger, state)
    served = [state for state in JobState if ledger.jobs.cached(a_job(f"in {state}").request_sha256)]
    assert served == [JobState.ACCEPTED]
    assert ledger.jobs.cached(sha256("another request")) is None


def test_the_cache_names_the_job_that_made_the_clip(ledger: Ledger):
    twin = ledger.jobs.plan(a_job("twin", request_sha256=a_job("maker").request_sha256))
    maker = accepted(ledger, a_job("maker"))
    served = ledger.jobs.served_from_cache(twin, maker)
    assert (served.state, served.cached_from, served.saved_usd) == (JobState.ACCEPTED, maker.key, twin.expected_usd)
    assert (served.media_key, served.media_sha256) == (maker.media_key, maker.media_sha256)
    found = ledger.jobs.cached(maker.request_sha256)
    assert found is not None and found.key == maker.key
    assert all_money(ledger) == maker.billed_usd


def test_a_refusal_that_must_not_be_retried_is_known(ledger: Ledger):
    for name, kind, retry_allowed in (
        ("final", FailureKind.MODERATION, False),
        ("again", FailureKind.MODERATION, True),
        ("invalid", FailureKind.INVALID, False),
    ):
        failure = Failure(kind, "no faces", retry_allowed=retry_allowed)
        ledger.jobs.failed(submitted(ledger, a_job(name)), failure)
    known = ledger.jobs.known_refusal(a_job("final").request_sha256)
    assert known is not None and (known.failure_kind, known.failure_reason) == (FailureKind.MODERATION, "no faces")
    assert known.retry_allowed is False
    assert ledger.jobs.known_refusal(a_job("again").request_sha256) is None
    assert ledger.jobs.known_refusal(a_job("invalid").request_sha256) is None


def test_a_history_is_of_one_shot_as_it_is_written_now(ledger: Ledger):
    shot = {"clip_id": f"{DAY}/clip", "shot_sha256": sha256("as written")}
    for attempt in (2, 0, 1):
        ledger.jobs.plan(a_job(f"attempt {attempt}", attempt=attempt, **shot))
    ledger.jobs.plan(a_job("edited", clip_id=shot["clip_id"], shot_sha256=sha256("edited")))
    ledger.jobs.plan(a_job("next shot", shot=1, **shot))
    ledger.jobs.plan(a_job("other clip", shot_sha256=shot["shot_sha256"]))
    history = ledger.jobs.history(shot["clip_id"], 0, shot["shot_sha256"])
    assert [job.attempt for job in history] == [0, 1, 2]


def test_jobs_are_found_by_day_state_and_rest(ledger: Ledger):
    planned = _in(ledger, JobState.PLANNED)
    processing = _in(ledger, JobState.PROCESSING)
    _in(ledger, JobState.FAILED)
    yesterday = ledger.jobs.plan(a_job("yesterday", day=DAY - timedelta(days=1)))
    assert [job.key for job in ledger.jobs.of_day(yesterday.day)] == [yesterday.key]
    assert len(ledger.jobs.of_day(DAY)) == 3
    assert {job.key for job in ledger.jobs.in_state(JobState.PLANNED, JobState.PROCESSING)} == {
        planned.key,
        processing.key,
        yesterday.key,
    }


def test_a_providers_own_ids_are_known_over_all_days(ledger: Ledger):
    ids = {submitted(ledger, a_job(name, day=day)).provider_job_id for name, day in (("a", DAY), ("b", date.min))}
    submitted(ledger, a_job("other", provider="runway"))
    ledger.jobs.plan(a_job("never sent"))
    assert ledger.jobs.provider_ids("fal") == ids


def test_the_last_end_of_a_job_is_known(ledger: Ledger):
    assert ledger.jobs.last_finished_at() is None
    ended = move(ledger, submitted(ledger, a_job()), JobState.FAILED)
    assert ended.finished_at is not None and ledger.jobs.last_finished_at() == ended.finished_at


def test_what_was_billed_in_a_span_is_found_by_its_submit(ledger: Ledger):
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    billed = {"billed_usd": Decimal("0.04"), "state": JobState.RENDERED}
    inside = ledger.jobs.plan(a_job("inside", submitted_at=noon, **billed))
    ledger.jobs.plan(a_job("later", submitted_at=noon + timedelta(hours=1), **billed))
    ledger.jobs.plan(a_job("unbilled", submitted_at=noon))
    found = ledger.jobs.billed_between(noon, noon + timedelta(hours=1))
    assert [job.key for job in found] == [inside.key]


def test_a_fresher_address_of_a_file_changes_nothing_else(ledger: Ledger):
    job = _in(ledger, JobState.RENDERED)
    noted = ledger.jobs.note_media(job, "https://cdn.example/new.mp4", 1_000)
    assert (noted.media_url, noted.media_bytes, noted.state) == (
        "https://cdn.example/new.mp4",
        1_000,
        JobState.RENDERED,
    )
    assert ledger.jobs.events(job.key) == []


def test_a_bill_is_settled_once(ledger: Ledger):
    rendered = move(ledger, submitted(ledger, a_job()), JobState.RENDERED, bill=Bill(Decimal("0.05"), 2.0))
    with pytest.raises(LedgerError, match="settled already"):
        ledger.jobs.failed(rendered, Failure(FailureKind.INVALID, "no file"))
    lost = ledger.jobs.given_up(rendered, Failure(FailureKind.INVALID, "no file"))
    assert (lost.state, lost.billed_usd) == (JobState.FAILED, Decimal("0.05"))
    assert all_money(ledger) == Decimal("0.05")


def test_a_reservation_is_not_forgotten_by_giving_up(ledger: Ledger):
    bought = submitted(ledger, a_job())
    with pytest.raises(LedgerError, match="not settled yet"):
        ledger.jobs.given_up(bought, Failure(FailureKind.INVALID, "no file"))
    assert ledger.jobs.get(bought.key) == bought


def test_the_trail_of_a_job_tells_its_whole_way(ledger: Ledger):
    job = accepted(ledger, a_job())
    trail = [(event["from_state"], event["to_state"]) for event in ledger.jobs.events(job.key)]
    way = ["planned", "reserved", "submitting", "submitted", "rendered", "stored", "accepted"]
    assert trail == list(pairwise(way))


def test_what_decides_nothing_is_kept_once_for_as_long_as_it_is_said(ledger: Ledger):
    job = _in(ledger, JobState.SUBMITTED)
    for said in ("HTTP 404", "HTTP 404", "HTTP 500", "HTTP 404"):
        assert ledger.jobs.noted(job, said, {"status": int(said[-3:])}) == job
    told = [(event["from_state"], event["to_state"], event["answer"]) for event in ledger.jobs.events(job.key)]
    assert told == [("submitted", "submitted", {"status": status}) for status in (404, 500, 404)]
