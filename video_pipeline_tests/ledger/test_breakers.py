"""The rows of the breakers: evidence of several workers and of the jobs themselves, one probe at a time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import update

from video_pipeline.ledger import (
    Breaker,
    BreakerCause,
    BreakerState,
    Failure,
    FailureKind,
    Job,
    JobState,
    Ledger,
    Trouble,
)
from video_pipeline.ledger.schema import breakers, job_events
from video_pipeline.policy import load_policy
from video_pipeline_tests.ledger.rows import a_job, accepted, move, sha256, submitted

RULES = load_policy().breaker
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
_JOBS = count()
SPRINT, DASH, STEADY = "sandbox/sprint", "sandbox/dash", "sandbox/steady"


def report(ledger: Ledger, model: str = SPRINT, cause: BreakerCause = BreakerCause.OUTAGE, **more: Any) -> None:
    fields: dict[str, Any] = {"job_key": sha256("job", next(_JOBS)), "reason": "HTTP 503"} | more
    ledger.breakers.report(Trouble("fal", model, cause, **fields), RULES)


def states(ledger: Ledger) -> dict[str, BreakerState]:
    return {one.model: one.state for one in ledger.breakers.not_closed()}


def let_pass(ledger: Ledger, seconds: float) -> None:
    """As if so much time had gone by since whatever the breakers have seen."""
    moments = {
        name: breakers.c[name] - timedelta(seconds=seconds)
        for name in ("since", "failed_at", "opened_at", "next_probe_at")
    }
    with ledger.engine.begin() as connection:
        connection.execute(update(breakers).values(**moments))


def refuse(ledger: Ledger, name: str, **fields: Any) -> Job:
    job = submitted(ledger, a_job(name, **fields))
    return ledger.jobs.failed(job, Failure(FailureKind.MODERATION, "no"))


def test_failures_of_two_workers_are_one_row(ledger: Ledger) -> None:
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(lambda number: report(ledger, (SPRINT, DASH)[number % 2]), range(3)))
    assert states(ledger) == {"": OPEN}
    [told] = ledger.breakers.untold()
    assert (told.before, told.after.state, told.cause) == (CLOSED, OPEN, BreakerCause.OUTAGE)
    assert (told.after.failures, set(told.after.failed_models)) == (3, {SPRINT, DASH})
    ledger.breakers.told(told)
    assert ledger.breakers.untold() == []
    assert ledger.breakers.transitions(since=told.at) == [told]


def test_what_works_in_between_begins_the_row_anew(ledger: Ledger) -> None:
    report(ledger)
    report(ledger, DASH)
    submitted(ledger, a_job("works"))
    report(ledger)
    report(ledger, DASH)
    assert states(ledger) == {}
    report(ledger)
    # Three of one model, and the fourth of two models.
    assert states(ledger) == {"": OPEN}


def test_an_outage_of_the_provider_is_not_held_against_its_models(ledger: Ledger) -> None:
    for _ in range(3):
        report(ledger)
    assert states(ledger) == {SPRINT: OPEN}
    report(ledger, DASH)
    assert states(ledger) == {"": OPEN}
    submitted(ledger, a_job("works"))
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) == []
    moves = [(one.after.model, one.after.state, one.after.reason) for one in ledger.breakers.untold()[1:]]
    assert moves == [("", OPEN, "HTTP 503"), (SPRINT, CLOSED, "it is fal as a whole"), ("", CLOSED, "")]


def test_polls_that_fail_are_no_row_only_when_polls_are_answered(ledger: Ledger) -> None:
    for model in (SPRINT, DASH):
        report(ledger, model, polling=True)
        submitted(ledger, a_job(f"works {model}"))
    report(ledger, polling=True)
    assert states(ledger) == {"": OPEN}
    # It takes jobs, which is not what it failed in.
    submitted(ledger, a_job("taken"))
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) != []
    job = submitted(ledger, a_job("told of"))
    ledger.jobs.processing(job)
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) == []


def test_no_credit_opens_the_provider_at_once(ledger: Ledger) -> None:
    report(ledger, cause=BreakerCause.CREDIT)
    [breaker] = ledger.breakers.in_the_way("fal", DASH, RULES)
    assert (breaker.model, breaker.state, breaker.cause) == ("", OPEN, BreakerCause.CREDIT)
    assert ledger.breakers.in_the_way("kiln", DASH, RULES) == []


def test_a_key_that_one_model_refuses_opens_the_model_and_with_a_second_one_the_provider_too(
    ledger: Ledger,
) -> None:
    report(ledger, cause=BreakerCause.AUTH)
    [breaker] = ledger.breakers.in_the_way("fal", SPRINT, RULES)
    assert (breaker.model, breaker.state, breaker.cause) == (SPRINT, OPEN, BreakerCause.AUTH)
    assert ledger.breakers.in_the_way("fal", DASH, RULES) == []
    report(ledger, DASH, BreakerCause.AUTH)
    assert states(ledger) == {"": OPEN, SPRINT: OPEN, DASH: OPEN}
    # With a new key a job that is made leaves nothing in its model's way; another model has its own probe.
    let_pass(ledger, RULES.first_wait_s["auth"])
    works = a_job("works")
    for model in ("", SPRINT):
        assert ledger.breakers.probe("fal", model, works.key, RULES)
    accepted(ledger, works)
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) == []
    assert states(ledger) == {DASH: OPEN}


def test_two_models_that_refuse_our_key_do_not_take_away_a_third_that_takes_it(ledger: Ledger) -> None:
    submitted(ledger, a_job("works", model=STEADY))
    for _ in range(2):
        for model in (SPRINT, DASH):
            report(ledger, model, BreakerCause.AUTH)
    assert states(ledger) == {SPRINT: OPEN, DASH: OPEN}
    assert ledger.breakers.in_the_way("fal", STEADY, RULES) == []
    # When that refuses it too, nothing is left that takes it.
    report(ledger, STEADY, BreakerCause.AUTH)
    assert states(ledger) == {"": OPEN, SPRINT: OPEN, DASH: OPEN, STEADY: OPEN}


def test_a_key_that_was_taken_long_ago_is_not_taken(ledger: Ledger) -> None:
    submitted(ledger, a_job("worked", model=STEADY))
    with ledger.engine.begin() as connection:
        long_ago = job_events.c.at - timedelta(seconds=RULES.failure_window_s + 60)
        connection.execute(update(job_events).values(at=long_ago))
    for model in (SPRINT, DASH):
        report(ledger, model, BreakerCause.AUTH)
    assert states(ledger) == {"": OPEN, SPRINT: OPEN, DASH: OPEN}


def test_a_job_that_is_accepted_closes_the_provider_whoever_sent_it(ledger: Ledger) -> None:
    report(ledger, cause=BreakerCause.CREDIT)
    submitted(ledger, a_job("sent by another"))
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) == []
    assert [one.after.state for one in ledger.breakers.untold()] == [OPEN, CLOSED]


def test_one_probe_at_a_time_from_its_hour_on_and_a_failed_one_waits_longer(ledger: Ledger) -> None:
    report(ledger, cause=BreakerCause.CREDIT)
    assert not ledger.breakers.probe("fal", "", "early", RULES)
    let_pass(ledger, RULES.first_wait_s["credit"])
    assert ledger.breakers.probe("fal", "", "probe", RULES)
    [half_open] = ledger.breakers.not_closed()
    assert (half_open.state, half_open.probe_key, half_open.probes_left) == (HALF_OPEN, "probe", RULES.probes - 1)
    report(ledger, cause=BreakerCause.CREDIT, job_key="straggler")
    assert states(ledger) == {"": HALF_OPEN}
    report(ledger, cause=BreakerCause.CREDIT, job_key="probe")
    [again] = ledger.breakers.not_closed()
    assert again.state is OPEN
    assert again.next_probe_at == again.since + 2 * timedelta(seconds=RULES.first_wait_s["credit"])


def test_two_workers_never_probe_at_once(ledger: Ledger) -> None:
    """Each takes the lease on the probe first, as the engine does."""
    report(ledger, cause=BreakerCause.CREDIT)
    let_pass(ledger, RULES.first_wait_s["credit"])

    def probes(name: str) -> bool:
        lease = ledger.leases.acquire("probe fal", name, ttl_s=60)
        return lease is not None and ledger.breakers.probe("fal", "", name, RULES)

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(probes, ["host:1:a", "host:2:b", "host:3:c", "host:4:d"])) == 1


def test_probes_whose_senders_were_killed_are_spent_and_then_it_waits_again(ledger: Ledger) -> None:
    report(ledger, cause=BreakerCause.CREDIT)
    let_pass(ledger, RULES.first_wait_s["credit"])
    sent = [ledger.breakers.probe("fal", "", f"killed {number}", RULES) for number in range(RULES.probes + 1)]
    assert sent == [True] * RULES.probes + [False]
    [waits] = ledger.breakers.not_closed()
    assert (waits.state, waits.openings) == (OPEN, 1)
    assert [one.after.state for one in ledger.breakers.untold()] == [OPEN, HALF_OPEN, OPEN]


def test_a_model_that_refuses_clip_after_clip_is_left_alone_until_three_probes_go_well(ledger: Ledger) -> None:
    for number in range(7):
        refuse(ledger, f"clip {number}")
    # Attempts at one clip are one clip.
    for attempt in range(1, 4):
        refuse(ledger, f"again {attempt}", clip_id=a_job("clip 0").clip_id, attempt=attempt)
    ledger.breakers.judge_refusals("fal", SPRINT, RULES)
    assert states(ledger) == {}
    refuse(ledger, "clip 7")
    ledger.breakers.judge_refusals("fal", SPRINT, RULES)
    [breaker] = ledger.breakers.in_the_way("fal", SPRINT, RULES)
    assert (breaker.state, breaker.cause) == (OPEN, BreakerCause.REFUSALS)
    assert breaker.numbers == {"refusals": 8, "clips": 8, "at_least": pytest.approx(0.42, abs=0.01)}
    assert ledger.breakers.in_the_way("fal", DASH, RULES) == []
    let_pass(ledger, RULES.first_wait_s["refusals"])
    for number in range(RULES.probes):
        job = a_job(f"probe {number}")
        assert ledger.breakers.probe("fal", SPRINT, job.key, RULES)
        accepted(ledger, job)
        assert len(ledger.breakers.in_the_way("fal", SPRINT, RULES)) == (number + 1 < RULES.probes)
    # What it was opened for is forgotten with that.
    refuse(ledger, "one more")
    ledger.breakers.judge_refusals("fal", SPRINT, RULES)
    assert states(ledger) == {}


def test_a_model_that_is_only_sent_what_another_has_refused_is_not_held_to_refuse_everything(ledger: Ledger) -> None:
    for number in range(8):
        clip_id = refuse(ledger, f"clip {number}", model=DASH).clip_id
        refuse(ledger, f"at another {number}", clip_id=clip_id, attempt=1)
    ledger.breakers.judge_refusals("fal", SPRINT, RULES)
    assert states(ledger) == {}
    ledger.breakers.judge_refusals("fal", DASH, RULES)
    assert states(ledger) == {DASH: OPEN}


def test_a_model_that_is_only_asked_after_others_comes_back_when_it_makes_what_they_refused(ledger: Ledger) -> None:
    for number in range(8):
        refuse(ledger, f"clip {number}")
    ledger.breakers.judge_refusals("fal", SPRINT, RULES)
    let_pass(ledger, RULES.first_wait_s["refusals"])
    elsewhere = [refuse(ledger, f"elsewhere {number}", model=DASH).clip_id for number in range(RULES.probes + 1)]
    probes = [a_job(f"probe {number}", clip_id=clip_id, attempt=1) for number, clip_id in enumerate(elsewhere)]
    # What two models refuse says nothing of the second one.
    assert ledger.breakers.probe("fal", SPRINT, probes[0].key, RULES)
    ledger.jobs.failed(submitted(ledger, probes[0]), Failure(FailureKind.MODERATION, "no"))
    [breaker] = ledger.breakers.in_the_way("fal", SPRINT, RULES)
    assert (breaker.state, breaker.openings) == (HALF_OPEN, 1)
    for number, job in enumerate(probes[1:], 1):
        accepted(ledger, job)
        assert len(ledger.breakers.in_the_way("fal", SPRINT, RULES)) == (number < RULES.probes)


def test_of_a_burst_of_clips_the_refusals_are_known_first_and_prove_nothing(ledger: Ledger) -> None:
    for number in range(40):
        submitted(ledger, a_job(f"under way {number}"))
    for number in range(8):
        refuse(ledger, f"clip {number}")
    ledger.breakers.judge_refusals("fal", SPRINT, RULES)
    assert states(ledger) == {}


def test_a_refused_probe_opens_it_again(ledger: Ledger) -> None:
    for number in range(8):
        refuse(ledger, f"clip {number}")
    ledger.breakers.judge_refusals("fal", SPRINT, RULES)
    let_pass(ledger, RULES.first_wait_s["refusals"])
    assert ledger.breakers.probe("fal", SPRINT, sha256("job", "probe"), RULES)
    refuse(ledger, "probe")
    [again] = ledger.breakers.in_the_way("fal", SPRINT, RULES)
    assert (again.state, again.openings) == (OPEN, 2)


def test_a_slow_model_comes_back_when_a_probe_is_made_in_time(ledger: Ledger) -> None:
    late = submitted(ledger, a_job("late"))
    for _ in range(3):
        report(ledger, cause=BreakerCause.SLOW)
    assert states(ledger) == {SPRINT: OPEN}
    # It was bought before, so it shows nothing.
    move(ledger, late, JobState.RENDERED)
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) != []
    let_pass(ledger, RULES.first_wait_s["slow"])
    probe = a_job("probe")
    assert ledger.breakers.probe("fal", SPRINT, probe.key, RULES)
    accepted(ledger, probe)
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) == []


def test_without_trouble_there_is_nothing(ledger: Ledger) -> None:
    accepted(ledger, a_job())
    assert ledger.breakers.in_the_way("fal", SPRINT, RULES) == []
    assert ledger.breakers.not_closed() == []
    assert ledger.breakers.transitions(since=datetime.now(UTC) - timedelta(days=1)) == []
    assert Breaker("fal", datetime.now(UTC)).why == "fal works"
