"""What became of a submit, known to a process that stops before it can write it down: it is written all the same.

Otherwise the next run would find the intent alone, and would have to ask a person where the provider does not list
the request, although nothing was sent, or the receipt was there.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event

from video_pipeline import checkpoints
from video_pipeline.clips import ClipStatus
from video_pipeline.ledger import FailureKind, JobState, LeaseLost
from video_pipeline.ledger.leases import Lease
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage

BRIEF = brief_of("a barn at dawn")
# Its submit was not sent, and the next run buys it; or it was, and the next run goes on with it.
UNSENT, SENT = [JobState.FAILED, JobState.ACCEPTED], [JobState.ACCEPTED]


@pytest.fixture(autouse=True)
def unlisted(stage: Stage) -> None:
    """The provider's history shows the next request too late, so that what was sent cannot be looked up."""
    stage.edge.fault("listing_lag", value=3600)


@pytest.fixture
def lose(stage: Stage) -> Iterator[Callable[[JobState], None]]:
    """Ends the connection of the next move to a state when it is committed, before the answer has come."""
    engine, wanted = stage.ledger.engine, list[JobState]()

    def note(connection: Connection, _: Any, __: str, given: Any, *___: Any) -> None:
        moves = given.get("moves", "") if isinstance(given, dict) else ""
        connection.info["lost"] = [state for state in wanted if f'"state": "{state}"' in moves]

    def end(connection: Connection) -> None:
        for state in connection.info.pop("lost", ()):
            wanted.remove(state)
            driven = connection.connection.dbapi_connection
            assert driven is not None
            driven.commit()
            driven.close()

    event.listen(engine, "after_cursor_execute", note)
    event.listen(engine, "commit", end)
    yield wanted.append
    event.remove(engine, "after_cursor_execute", note)
    event.remove(engine, "commit", end)
    assert not wanted, f"no answer was lost to {wanted}"


def _end(stage: Stage, ends: list[JobState]) -> None:
    """Nobody is asked, and the next run ends it."""
    assert not stage.ledger.reviews.waiting()
    [job, *_] = stage.jobs()
    assert job.failure_kind is (FailureKind.NOT_SENT if ends is UNSENT else None)
    assert stage.one(BRIEF).status is ClipStatus.GENERATED
    assert [job.state for job in stage.jobs()] == ends
    assert len(stage.requests) == 1


@pytest.mark.parametrize(
    ("lost", "ends"), [(JobState.SUBMITTING, UNSENT), (JobState.SUBMITTED, SENT)], ids=["unsent", "sent"]
)
def test_an_intent_or_a_receipt_of_which_the_ledgers_answer_is_lost(
    stage: Stage, lose: Callable[[JobState], None], lost: JobState, ends: list[JobState]
) -> None:
    lose(lost)
    clip = stage.one(BRIEF)
    assert (clip.status, "cannot be reached" in (clip.reason or "")) == (ClipStatus.WAITING, True)
    _end(stage, ends)


def test_a_word_whose_own_answer_is_lost_is_not_said_twice(stage: Stage, lose: Callable[[JobState], None]) -> None:
    lose(JobState.SUBMITTING)
    lose(JobState.FAILED)
    assert stage.one(BRIEF).status is ClipStatus.WAITING
    [job] = stage.jobs()
    assert [event["to_state"] for event in stage.ledger.jobs.events(job.key)].count("failed") == 1
    _end(stage, UNSENT)


@pytest.mark.parametrize(("point", "ends"), [("submitting", UNSENT), ("accepted", SENT)], ids=["unsent", "sent"])
def test_a_run_that_is_stopped(
    stage: Stage, point: str, ends: list[JobState], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(name: str) -> None:
        task = asyncio.current_task()
        if name == f"generation.{point}" and task is not None:
            task.cancel()

    with monkeypatch.context() as patch, pytest.raises(asyncio.CancelledError):
        patch.setattr(checkpoints, "on_reach", stop)
        stage.one(BRIEF)
    _end(stage, ends)


def test_a_run_that_is_stopped_while_its_intent_is_on_its_way(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[asyncio.Task[Any]] = []

    def note(name: str) -> None:
        task = asyncio.current_task()
        if name == "generation.reserved" and task is not None:
            tasks.append(task)

    def stop(_: Connection, __: Any, ___: str, given: Any, *____: Any) -> None:
        if tasks and '"state": "submitting"' in str(given):
            task = tasks.pop()
            task.get_loop().call_soon_threadsafe(task.cancel)
            while not task.done() and not task.cancelling():
                time.sleep(0.001)

    monkeypatch.setattr(checkpoints, "on_reach", note)
    event.listen(stage.ledger.engine, "before_cursor_execute", stop)
    with pytest.raises(asyncio.CancelledError):
        stage.one(BRIEF)
    event.remove(stage.ledger.engine, "before_cursor_execute", stop)
    _end(stage, UNSENT)


@pytest.mark.parametrize(("point", "ends"), [("submitting", UNSENT), ("accepted", SENT)], ids=["unsent", "sent"])
def test_a_lease_that_was_not_renewed_in_time(
    stage: Stage, point: str, ends: list[JobState], monkeypatch: pytest.MonkeyPatch
) -> None:
    def let_go(name: str) -> None:
        if name == f"generation.{point}":
            patch.setattr(Lease, "check", lambda lease: _raise(lease.lost()))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "on_reach", let_go)
        clip = stage.one(BRIEF)
    assert (clip.status, "taken this clip over" in (clip.reason or "")) == (ClipStatus.WAITING, True)
    _end(stage, ends)


def _raise(error: LeaseLost) -> None:
    raise error
