"""Stop a worker at every named point, let another worker and a person do what they can, and wake it up again.

A stopped worker does not know that it was stopped. Its lease runs out while it sleeps, another worker takes the clip
over, and a person may answer what that one could not. Then it is woken in the middle of what it was doing: it must
buy, publish and write nothing any more, but for the one thing that nobody else can know: what became of its submit.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import ColumnElement, func, update

from video_pipeline.errors import LedgerError
from video_pipeline.generation import resolve_unknown
from video_pipeline.ledger import FailureKind, Job, JobState, PublicationState
from video_pipeline.ledger.schema import leases
from video_pipeline.ledger.schema import publications as rows
from video_pipeline.policy import load_policy
from video_pipeline.publishing import resolve_publication
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.crash.conftest import Trial
from video_pipeline_tests.crash.test_matrix import IN_DOUBT, POINTS
from video_pipeline_tests.generation.stage import let_settle, quick

pytestmark = pytest.mark.crash

_LEASE_S = 1.2
_GENERATION = [name for name in POINTS if name.startswith("generation.")]
_PUBLISHING = [name for name in POINTS if name.startswith("publishing.")]


@dataclass
class Stopped:
    """A worker that has been stopped at a checkpoint of a trial's day."""

    trial: Trial
    process: ForkServerProcess
    since: float

    def hold_its_leases(self) -> None:
        """Nobody gets them before they are let go, however slow this machine is."""
        self._set_leases(func.clock_timestamp() + timedelta(hours=1))

    def let_its_leases_run_out(self) -> None:
        """By its own clock too."""
        time.sleep(max(0.0, self.since + _LEASE_S - time.monotonic()))
        self._set_leases(func.clock_timestamp())

    def _set_leases(self, until: ColumnElement[Any]) -> None:
        with self.trial.ledger.engine.begin() as connection:
            connection.execute(update(leases).values(until=until))

    def wake(self) -> None:
        """Let it go on, to its end: it neither fails nor is killed."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGCONT)
        assert not self.trial.ended(self.process)


@pytest.fixture
def trial(trial: Trial) -> Trial:
    """One clip of one shot, so that a worker does one thing at a time."""
    briefs = (brief_of(f"a barn at noon, field {trial.orders.day}", platforms=(trial.orders.platform,)),)
    trial.briefs = briefs
    trial.orders = replace(
        trial.orders, briefs=tuple(brief.model_dump_json(exclude_unset=True) for brief in briefs), concurrency=1
    )
    return trial


@pytest.fixture
def unlisted(trial: Trial) -> None:
    """The provider's history shows the next request too late."""
    trial.edge.fault("listing_lag", value=3600)


@pytest.fixture
def stopped(trial: Trial, name: str) -> Iterator[Stopped]:
    orders = trial.orders
    trial.orders = replace(orders, by=signal.SIGSTOP, lease_s=_LEASE_S)
    process = trial.start(name)
    trial.orders = orders
    assert process.pid is not None
    while not _is_stopped(process.pid):
        assert process.exitcode is None, f"it has never come to {name}"
        time.sleep(0.01)
    stopped = Stopped(trial, process, time.monotonic())
    stopped.hold_its_leases()
    yield stopped
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.join(10)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _answer(trial: Trial, job: Job, request_id: str | None) -> Job:
    fal = trial.edge.fal(httpx.AsyncClient())
    policy = quick(load_policy(), lease_s=_LEASE_S).generation
    return resolve_unknown(trial.ledger, fal, job, request_id=request_id, policy=policy)


def _assert_refused(trial: Trial, job: Job, sentence: str) -> None:
    """Neither answer is taken."""
    for request_id in (None, "a-request"):
        with pytest.raises(LedgerError, match=sentence + r" until \d\d:\d\d:\d\d UTC; ask again then"):
            _answer(trial, job, request_id)


@pytest.mark.parametrize("name", [name for name in _GENERATION if name != IN_DOUBT])
def test_a_worker_that_wakes_up_after_another_has_taken_over_does_nothing_more(stopped: Stopped) -> None:
    trial = stopped.trial
    [job] = trial.jobs()
    _assert_refused(trial, job, "A worker is at it")
    stopped.let_its_leases_run_out()
    assert not trial.run()
    trial.compare_books()
    left = trial.jobs()
    stopped.wake()
    assert trial.jobs() == left, "it has gone on after all"
    trial.compare_books()


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize(
    ("name", "ends"),
    [
        (IN_DOUBT, [JobState.FAILED, JobState.ACCEPTED]),
        ("generation.accepted", [JobState.ACCEPTED]),
    ],
)
def test_who_wakes_up_after_its_submit_was_doubted_tells_what_became_of_it(
    stopped: Stopped, ends: list[JobState]
) -> None:
    trial = stopped.trial
    stopped.let_its_leases_run_out()
    assert not trial.run()
    [job] = trial.unknown()
    assert trial.ledger.reviews.waiting()
    stopped.wake()
    told = trial.ledger.jobs.get(job.key)
    assert told.state is (JobState.SUBMITTED if len(ends) == 1 else JobState.FAILED)
    assert told.failure_kind is (None if len(ends) == 1 else FailureKind.NOT_SENT)
    assert not trial.ledger.reviews.waiting()
    assert not trial.run()
    assert [job.state for job in trial.jobs()] == ends
    trial.compare_books()


@pytest.mark.parametrize("name", ["generation.submitting"])
def test_nothing_is_bought_by_who_wakes_up_after_a_person_has_not_found_it(stopped: Stopped) -> None:
    trial = stopped.trial
    stopped.let_its_leases_run_out()
    assert not trial.run()
    [job] = trial.unknown()
    _assert_refused(trial, job, "What was sent may still arrive")
    let_settle(trial.ledger, job)
    assert _answer(trial, job, None).failure_kind is FailureKind.NOT_SENT
    assert not trial.run()
    assert [job.state for job in trial.jobs()] == [JobState.FAILED, JobState.ACCEPTED]
    stopped.wake()
    trial.compare_books()


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize("name", ["generation.accepted"])
def test_nothing_is_lost_by_who_wakes_up_after_a_person_has_found_it(stopped: Stopped) -> None:
    trial = stopped.trial
    stopped.let_its_leases_run_out()
    assert not trial.run()
    [job] = trial.unknown()
    let_settle(trial.ledger, job)
    [request] = trial.requests
    assert _answer(trial, job, request["request_id"]).state is JobState.SUBMITTED
    stopped.wake()
    [found] = trial.jobs()
    assert (found.state, found.provider_job_id) == (JobState.SUBMITTED, request["request_id"])
    assert not trial.run()
    trial.compare_books()


@pytest.mark.parametrize("name", ["generation.submitting", "generation.rendered"])
def test_of_two_more_workers_one_takes_over(stopped: Stopped) -> None:
    trial = stopped.trial
    stopped.let_its_leases_run_out()
    others = [trial.start(), trial.start()]
    assert [trial.ended(other) for other in others] == [False, False]
    trial.compare_books()
    stopped.wake()
    assert not trial.run()
    trial.compare_books()


@pytest.mark.parametrize("name", ["generation.submitting"])
def test_a_worker_that_nobody_has_taken_over_from_does_nothing_before_its_lease_is_renewed(stopped: Stopped) -> None:
    """Whether its heart or its work wakes first is chance; the books are right either way."""
    stopped.let_its_leases_run_out()
    stopped.wake()
    assert not stopped.trial.run()
    stopped.trial.compare_books()


@pytest.mark.parametrize("name", _PUBLISHING)
def test_a_publisher_that_wakes_up_after_another_has_taken_over_does_nothing_more(stopped: Stopped) -> None:
    trial = stopped.trial
    [publication] = trial.ledger.publications.of_days(trial.orders.day, trial.orders.day)
    with pytest.raises(LedgerError, match=r"A worker is at it until \d\d:\d\d:\d\d UTC; ask again then"):
        resolve_publication(trial.ledger, trial.edge.youtube(), publication, found="a-video")
    stopped.let_its_leases_run_out()
    assert not trial.run()
    trial.compare_books()
    left = trial.ledger.publications.get(publication.key)
    stopped.wake()
    assert trial.ledger.publications.get(publication.key) == left, "it has gone on after all"
    trial.compare_books()


@pytest.mark.parametrize(
    ("name", "is_there"), [("publishing.session", False), ("publishing.sent", False), ("publishing.sent", True)]
)
def test_nothing_is_published_by_who_wakes_up_after_a_person_has_answered(
    stopped: Stopped, name: str, is_there: bool
) -> None:
    trial = stopped.trial
    stopped.let_its_leases_run_out()
    publications, youtube = trial.ledger.publications, trial.edge.youtube()
    [publication] = publications.of_days(trial.orders.day, trial.orders.day)
    publication = publications.unknown(publication, "its session gives no answer")
    with pytest.raises(LedgerError, match="may still arrive"):
        resolve_publication(trial.ledger, youtube, publication, found=None)
    with trial.ledger.engine.begin() as connection:
        connection.execute(update(rows).values(updated_at=rows.c.updated_at - timedelta(days=1)))
    there = trial.videos[-1]["video_id"] if is_there else None
    answered = resolve_publication(trial.ledger, youtube, publication, found=there)
    # Whatever the person has said: what the session calls public is.
    assert answered.state is (PublicationState.PUBLISHED if name == "publishing.sent" else PublicationState.FAILED)
    assert not trial.run()
    stopped.wake()
    trial.compare_books()
