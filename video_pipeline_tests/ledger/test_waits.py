"""What waits: one row a thing, with a since that noting it again keeps, from intake to its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from video_pipeline.ledger import JobState, Ledger, Wait, WaitCause, What, Why
from video_pipeline.waiting import Outlook
from video_pipeline_tests.ledger.rows import DAY, a_job, a_publication, move, reserved, submitted

CEILING = Why(WaitCause.CEILING, "the ceiling of $25", "day", until=datetime(2026, 11, 22, tzinfo=UTC))


def _clip(name: str = "one", why: Why = CEILING) -> Wait:
    return Wait(What.CLIP, f"{DAY}/{name}", DAY, why)


def _only(ledger: Ledger) -> Wait:
    (wait,) = ledger.waits.all()
    return wait


def test_the_same_cause_keeps_its_since_and_its_tries_and_another_begins_anew(ledger: Ledger) -> None:
    ledger.waits.note([_clip()])
    first = _only(ledger)
    assert (first.why, first.cause, first.tries) == (CEILING, WaitCause.CEILING, 0)
    ledger.waits.woken([first], [])
    ledger.waits.tried([first])
    assert _only(ledger).woken_at is not None
    ledger.waits.note([_clip(why=Why(WaitCause.CEILING, "other words", "day"))])
    again = _only(ledger)
    assert (again.since, again.tries, again.why.reason) == (first.since, 1, "other words")
    assert again.woken_at is None, "a run has said why it still waits"
    ledger.waits.note([_clip(why=Why(WaitCause.RETRY, "broke off"))])
    other = _only(ledger)
    assert other.since is not None and first.since is not None and other.since > first.since
    assert (other.tries, other.tried_at is not None) == (0, True)


def test_what_is_held_up_again_has_not_been_tried_in_vain(ledger: Ledger) -> None:
    ledger.waits.note([_clip()])
    ledger.waits.tried([_only(ledger)])
    ledger.waits.woken([], [_only(ledger)])
    assert (_only(ledger).tries, _only(ledger).tried_at) == (0, None)


def test_what_a_worker_has_in_hand_keeps_count_of_its_tries(ledger: Ledger) -> None:
    ledger.waits.take_up(DAY, [f"{DAY}/one"], files=[])
    for _ in range(3):
        ledger.waits.tried([_only(ledger)])
        ledger.waits.woken([], [_only(ledger)])
    assert _only(ledger).tries == 3, "or a run that dies at the same place each time would be run without a pause"


def test_from_intake_on_a_clip_waits_for_its_run_whatever_it_waited_for_before(ledger: Ledger) -> None:
    ledger.waits.note([_clip(), _clip("gone"), Wait(What.INTAKE, str(DAY), DAY, Why(WaitCause.RUN, "new"))])
    ledger.waits.take_up(DAY, [f"{DAY}/one", f"{DAY}/two"], files=["one.yaml 1"])
    found = {wait.subject: wait for wait in ledger.waits.all()}
    assert set(found) == {f"{DAY}/one", f"{DAY}/two"}
    assert {wait.cause for wait in found.values()} == {WaitCause.LEASE}
    assert found[f"{DAY}/one"].why.cause is WaitCause.CEILING
    assert ledger.waits.taken_in() == {DAY: ["one.yaml 1"]}
    ledger.waits.end(What.CLIP, [f"{DAY}/one", f"{DAY}/two"])
    assert ledger.waits.all() == []


def test_only_another_days_waits_are_left_alone_by_an_intake(ledger: Ledger) -> None:
    other = DAY - timedelta(days=1)
    ledger.waits.note([Wait(What.CLIP, f"{other}/one", other, CEILING)])
    ledger.waits.take_up(DAY, [], files=[])
    assert _only(ledger).day == other


def test_work_under_way_that_nobody_has_noted_is_found(ledger: Ledger) -> None:
    submitted(ledger, a_job("one"))
    submitted(ledger, a_job("noted"))
    move(ledger, submitted(ledger, a_job("ended")), JobState.FAILED)
    ledger.publications.plan(a_publication("two"))
    ledger.waits.note([_clip("noted")])
    for _ in range(2):
        ledger.waits.adopt()
    assert {(wait.what, wait.cause) for wait in ledger.waits.all()} == {
        (What.CLIP, WaitCause.LEASE),
        (What.CLIP, WaitCause.CEILING),
        (What.PUBLICATION, WaitCause.LEASE),
    }


def test_work_that_a_run_has_not_moved_is_tried_again_by_the_longest_pause(ledger: Ledger) -> None:
    submitted(ledger, a_job("one"))
    ledger.waits.adopt()
    assert (_only(ledger).tries, _only(ledger).tried_at) == (0, None), "a run that was killed is made good at once"
    ledger.waits.take_up(DAY, [f"{DAY}/one"], files=[])
    ledger.waits.end(What.CLIP, [f"{DAY}/one"])
    ledger.waits.adopt()
    left = _only(ledger)
    assert left.tried_at is not None
    outlook = Outlook(left.tried_at + timedelta(minutes=59), (left,), ())
    assert outlook.due([60, 3600], among=lambda day: True) == {}
    assert replace(outlook, at=left.tried_at + timedelta(hours=1)).due([60, 3600], among=lambda day: True)


def test_a_publication_that_nobody_wants_waits_for_a_person_while_it_is_in_doubt(ledger: Ledger) -> None:
    rows = [ledger.publications.plan(a_publication(name)) for name in ("doubted", "broken", "wanted")]
    doubted, _, wanted = rows
    sent = ledger.publications.publishing(doubted)
    ledger.publications.unknown(sent, "no answer")
    whys = (Why(WaitCause.PERSON, "no answer"), Why(WaitCause.PERSON, "too long", "brief"), CEILING)
    ledger.waits.note(Wait(What.PUBLICATION, row.key, DAY, why) for row, why in zip(rows, whys, strict=True))
    ledger.waits.end_others(What.PUBLICATION, DAY, [wanted.key])
    assert {wait.subject for wait in ledger.waits.all()} == {doubted.key, wanted.key}
    ledger.publications.published(ledger.publications.get(doubted.key), remote_id="1", url="https://p/1")
    ledger.waits.end_others(What.PUBLICATION, DAY, [wanted.key])
    assert _only(ledger).subject == wanted.key


def test_the_standing_is_of_people_leases_and_jobs_under_way(ledger: Ledger) -> None:
    under_way = submitted(ledger, a_job("one"))
    lost = ledger.jobs.unknown(ledger.jobs.submitting(reserved(ledger, a_job("lost"))), "no answer")
    ledger.reviews.open(f"{DAY}/dark", "technical", "too dark")
    doubtful = ledger.publications.publishing(ledger.publications.plan(a_publication("two")))
    ledger.publications.unknown(doubtful, "no answer")
    with ledger.leases.held(f"generate {DAY}/one", ttl_s=60):
        standing = ledger.waits.standing()
    assert standing.asked == {f"{DAY}/dark", lost.clip_id}
    assert standing.in_doubt == {doubtful.key}
    assert set(standing.at_work) == {f"{DAY}/one"}
    assert standing.jobs_open == {under_way.key, lost.key}
    ledger.reviews.withdraw(f"{DAY}/dark", "technical")
    assert ledger.waits.standing().asked == {lost.clip_id}
    assert ledger.waits.standing().at_work == frozenset()


@pytest.mark.parametrize("table", ["jobs", "publications"])
def test_what_is_open_is_found_without_reading_the_history(ledger: Ledger, table: str) -> None:
    state = "'unknown'"
    with ledger.engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(text(f"EXPLAIN SELECT key FROM {table} WHERE state IN ({state})")).scalars()
        assert f"ix_{table}_open" in "\n".join(plan)
