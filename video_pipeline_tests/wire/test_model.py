"""No sequence of answers, kills, sleeps and people's answers buys twice, or buys what is not in the ledger.

The provider is a model with books of its own. The driver, the ledger and the leases are the real ones. A worker may
be killed or put to sleep at every checkpoint, and its request may arrive long after it has given up.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, text, update

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.errors import LedgerError
from video_pipeline.generation import NO_WEBHOOKS, media_collector, resolve_unknown
from video_pipeline.generation.download import Downloaded, NotFetched
from video_pipeline.generation.job_driver import JobDriver
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.generation.providers import (
    Ending,
    JobFailed,
    NotAccepted,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
    Undecided,
)
from video_pipeline.generation.resolution import clip_lease
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState, Lease, Ledger, Receipt
from video_pipeline.ledger.leases import new_owner
from video_pipeline.ledger.schema import jobs, leases, spend
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, Decision
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.orders import brief_of, job_of, plan_of
from video_pipeline_tests.generation.stage import quick

_EXAMPLES = count()
# An example is a database, an event loop and a file server away from quick.
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
_DAY = timedelta(days=1)
_LASTING = frozenset({JobState.ACCEPTED, JobState.REJECTED, JobState.FAILED})
_HELD = frozenset({JobState.RESERVED, JobState.SUBMITTING, JobState.SUBMITTED, JobState.PROCESSING, JobState.UNKNOWN})
_CHECKPOINTS = [
    "generation.reserved",
    "generation.submitting",
    "generation.accepted",
    "generation.submitted",
    "generation.processing",
    "generation.rendered",
    "generation.downloaded",
    "generation.stored",
]
# What becomes of a submit. What is late arrives when its sender has given up.
_SUBMITS = ["yes", "no", "busy", "late", "late", "lost after", "lost before", "killed before", "killed after"]
_ENDINGS = ["a file", "failed", "output refused"]
_READS = ["tells", "says nothing"]


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass
class Request:
    """One purchase in the provider's books."""

    request_id: str
    key: str
    day: int
    ending: str
    usd: Decimal


@dataclass
class ModelProvider:
    """A provider with books; what it answers next is told to it. It counts time in days."""

    recovery: Recovery
    name: str = "fal"
    trusted_origins: frozenset[str] = frozenset()
    media_origins: frozenset[str] = frozenset()
    books: list[Request] = field(default_factory=list)
    under_way: list[Job] = field(default_factory=list)
    submits: list[str] = field(default_factory=list)
    ending: str = "a file"
    reads: str = "tells"
    listed: bool = True
    day: int = 0
    gone: bool = False

    @property
    def terms(self) -> Terms:
        return Terms(
            recovery=self.recovery,
            billed=frozenset({Ending.OUTPUT_REFUSED}),
            concurrency=1,
            poll_interval_s=0.001,
            url_lifetime_s=_DAY.total_seconds() * 7,
            key_lifetime_s=_DAY.total_seconds() * 1.5,
        )

    def arrive(self, job: Job) -> Request:
        """A submit has come in; under a key that is remembered it is the one before."""
        if self.recovery is Recovery.IDEMPOTENCY_KEY:
            for request in self.books:
                if request.key == job.key and self.day - request.day <= 1:
                    return request
        usd = Decimal(0) if self.ending == "failed" else job.expected_usd
        self.books.append(Request(f"{job.key[:8]}-{len(self.books)}", job.key, self.day, self.ending, usd))
        return self.books[-1]

    async def reach(self) -> None:
        """It answers whoever asks nothing of it."""

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        if before is not None:
            before()
        becomes = self.submits.pop(0) if self.submits else "yes"
        match becomes:
            case "no":
                raise NotAccepted(FailureKind.QUOTA, "no credit")
            case "busy":
                raise NotAccepted(FailureKind.TRANSIENT, "busy", documented=False)
            case "lost before":
                raise SubmitUnknown("lost")
            case "killed before":
                raise Killed
            case "late":
                self.under_way.append(job)
                raise SubmitUnknown("lost")
            case _:
                request = self.arrive(job)
        if becomes == "killed after":
            raise Killed
        if becomes == "lost after":
            raise SubmitUnknown("lost")
        return self.receipt(job, request.request_id)

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        if self.reads == "says nothing":
            raise Undecided("nonsense")
        found = self.of(job.key)
        if not self.listed or not found or found[0].request_id in known_ids:
            return None
        return self.receipt(job, found[0].request_id)

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(provider_job_id, {})

    async def poll(self, job: Job) -> bool:
        if self.reads == "says nothing":
            raise Undecided("nonsense")
        return True

    async def result(self, job: Job) -> Rendered:
        if self.reads == "says nothing" or self.gone:
            raise Undecided("nonsense")
        [request] = [request for request in self.books if request.request_id == job.provider_job_id]
        if request.ending == "failed":
            raise JobFailed(FailureKind.GENERATION, "failed", ending=Ending.FAILED)
        if request.ending == "output refused":
            raise JobFailed(FailureKind.MODERATION, "refused", ending=Ending.OUTPUT_REFUSED)
        return Rendered("https://model.invalid/file")

    async def cancel(self, job: Job) -> None:
        raise AssertionError("nobody cancels here")

    def of(self, key: str) -> list[Request]:
        return [request for request in self.books if request.key == key]


@dataclass
class Worker:
    """A process of ours as far as it matters: a thread that drives the job under a lease of its own."""

    house: "House"
    kill_at: str = ""
    sleep_at: str = ""
    lease: Lease | None = None
    error: BaseException | None = None
    asleep: threading.Event = field(default_factory=threading.Event)
    woken: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Let it run until it has ended or sleeps."""
        self._moved = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()
        self._wait()

    def wake(self) -> None:
        """Let it run to its end."""
        self.sleep_at = ""
        self.asleep.clear()
        self.woken.set()
        self._wait()

    def reached(self, name: str) -> None:
        """A checkpoint has been reached by this worker's own thread."""
        if name == self.kill_at:
            raise Killed
        if name == self.sleep_at:
            with self._moved:
                self.asleep.set()
                self._moved.notify_all()
            assert self.woken.wait(30)

    def _wait(self) -> None:
        with self._moved:
            assert self._moved.wait_for(lambda: self.asleep.is_set() or self.ended.is_set(), 30)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        _HERE.worker = self
        try:
            asyncio.run(self._work())
        except Killed:
            # Its lease stays; whoever comes next on this machine sees that its process is dead.
            self.house.expire_leases()
        except LedgerError:
            self._give_back()
        except BaseException as error:
            self.error = error
        else:
            self._give_back()
        with self._moved:
            self.ended.set()
            self._moved.notify_all()

    def _give_back(self) -> None:
        if self.lease is not None:
            self.house.ledger.leases.release(self.lease)

    async def _work(self) -> None:
        house = self.house
        self.lease = house.ledger.leases.acquire(clip_lease(house.job().clip_id), new_owner(), ttl_s=3600)
        if self.lease is None:
            return
        job = house.job()
        if job.state.final:
            return
        async with httpx.AsyncClient(verify=False) as client:
            driver = JobDriver(
                ledger=house.ledger,
                threads=house.threads,
                store=house.store,
                providers={"fal": house.provider},
                client=client,
                catalogue=house.catalogue,
                policy=house.policy,
                notifier=Notifier([], house.ledger.alerts),
                webhooks=NO_WEBHOOKS,
            )
            await driver.under(self.lease).drive(job, house.decision)


_HERE = threading.local()


@dataclass
class House:
    """One job, its ledger and its provider."""

    ledger: Ledger
    store: LocalStore
    policy: Policy
    catalogue: Catalogue
    threads: LedgerThreads
    provider: ModelProvider
    key: str = ""
    decision: Decision = field(init=False)

    def plan(self) -> None:
        brief = brief_of(f"A lighthouse, number {next(_EXAMPLES)}", brief_id=f"model-{next(_EXAMPLES)}")
        self.decision = plan_of(brief, self.catalogue, self.policy).decisions[0]
        # A picture is not judged by its looks, which takes time and is no part of this.
        job = replace(job_of(brief, self.catalogue, self.policy), kind=JobKind.IMAGE)
        self.key = self.ledger.jobs.plan(job).key

    def job(self) -> Job:
        return self.ledger.jobs.get(self.key)

    def expire_leases(self) -> None:
        with self.ledger.engine.begin() as connection:
            connection.execute(update(leases).values(until=func.clock_timestamp() - text("interval '1 second'")))

    def a_day_passes(self, asleep: Worker | None) -> None:
        """Whatever is on its way arrives; everything in the ledger and every lease is a day older."""
        for job in self.provider.under_way:
            self.provider.arrive(job)
        self.provider.under_way.clear()
        self.provider.day += 1
        self.provider.listed = True
        self.expire_leases()
        if asleep is not None and asleep.lease is not None:
            asleep.lease.renewed(-1e9)
        with self.ledger.engine.begin() as connection:
            connection.execute(
                update(jobs)
                .where(jobs.c.key == self.key)
                .values(updated_at=jobs.c.updated_at - _DAY, submitted_at=jobs.c.submitted_at - _DAY)
            )

    def a_person_answers(self) -> None:
        """What a person finds who looks at the provider; refused while something may still be on its way."""
        job, there = self.job(), self.provider.of(self.key)
        lost = job.state is JobState.RENDERED and self.provider.gone
        asked: dict[str, Any] = {"lost": True} if lost else {"request_id": there[0].request_id if there else None}
        if not lost and there and job.state is not JobState.UNKNOWN:
            return
        with suppress(LedgerError):
            resolve_unknown(self.ledger, self.provider, job, policy=self.policy.generation, **asked)


class Books(RuleBasedStateMachine):
    """The law of money over every sequence of events; `house` is set by the test."""

    make: Callable[[Recovery], House]

    def __init__(self) -> None:
        super().__init__()
        self.asleep: Worker | None = None
        self.lasting: JobState | None = None
        self.house: House | None = None

    # At a server of one's own nothing is bought, and a job may be rendered twice: that is no law of money.
    @initialize(
        recovery=st.sampled_from([each for each in Recovery if each is not Recovery.REPEAT]), listed=st.booleans()
    )
    def begin(self, recovery: Recovery, listed: bool) -> None:
        self.house = type(self).make(recovery)
        self.house.plan()
        # A history may be late: what was bought is not listed before the next day.
        self.house.provider.listed = listed

    @rule(
        submits=st.lists(st.sampled_from(_SUBMITS), max_size=4),
        ending=st.sampled_from(_ENDINGS),
        reads=st.sampled_from(_READS),
        kill_at=st.sampled_from(["", "", *_CHECKPOINTS]),
    )
    def a_worker_runs(self, submits: list[str], ending: str, reads: str, kill_at: str) -> None:
        self._work(Worker(self._house, kill_at=kill_at), submits, ending, reads)

    @precondition(lambda self: self.asleep is None)
    @rule(
        submits=st.lists(st.sampled_from(_SUBMITS), max_size=4),
        ending=st.sampled_from(_ENDINGS),
        reads=st.sampled_from(_READS),
        sleep_at=st.sampled_from(_CHECKPOINTS),
    )
    def a_worker_falls_asleep(self, submits: list[str], ending: str, reads: str, sleep_at: str) -> None:
        worker = Worker(self._house, sleep_at=sleep_at)
        self._work(worker, submits, ending, reads)
        if worker.asleep.is_set():
            self.asleep = worker

    @precondition(lambda self: self.asleep is not None)
    @rule(submits=st.lists(st.sampled_from(_SUBMITS), max_size=2))
    def it_wakes(self, submits: list[str]) -> None:
        assert self.asleep is not None
        self._house.provider.submits = submits
        worker, self.asleep = self.asleep, None
        worker.wake()

    @rule()
    def a_day_passes(self) -> None:
        self._house.a_day_passes(self.asleep)

    @rule()
    def a_person_answers(self) -> None:
        self._house.a_person_answers()

    @rule()
    def the_file_is_gone(self) -> None:
        self._house.provider.gone = True

    @invariant()
    def the_money_is_in_the_ledger(self) -> None:
        if self.house is None:
            return
        house, job = self.house, self.house.job()
        bought = house.provider.of(job.key)
        assert len(bought) <= 1, "bought twice"
        theirs = sum((request.usd for request in bought), Decimal(0))
        held = job.expected_usd if job.state in _HELD else Decimal(0)
        assert theirs <= job.billed_usd + held, f"{job.state}: {theirs} was billed there"
        with house.ledger.engine.connect() as connection:
            lines = select(func.sum(spend.c.usd)).where(spend.c.job_key == job.key)
            committed = connection.execute(lines).scalar_one() or Decimal(0)
        assert committed == job.billed_usd + held
        assert self.lasting in (None, job.state), "a final state was left"
        if job.state in _LASTING:
            self.lasting = job.state

    def teardown(self) -> None:
        """With good answers and people who look, every job comes to its end, and the books are equal."""
        if self.house is None:
            return
        provider = self.house.provider
        provider.submits, provider.reads = [], "tells"
        if self.asleep is not None:
            self.asleep.wake()
        for _ in range(6):
            if self.house.job().state in _LASTING:
                break
            self._work(Worker(self.house), [], provider.ending, "tells")
            self.house.a_day_passes(None)
            self.house.a_person_answers()
        self.the_money_is_in_the_ledger()
        job = self.house.job()
        assert job.state in _LASTING or provider.gone, f"it ends as {job.state}"
        if job.state in _LASTING:
            assert job.billed_usd == sum((request.usd for request in provider.of(job.key)), Decimal(0))

    @property
    def _house(self) -> House:
        assert self.house is not None
        return self.house

    def _work(self, worker: Worker, submits: list[str], ending: str, reads: str) -> None:
        provider = self._house.provider
        provider.submits, provider.ending, provider.reads = list(submits), ending, reads
        worker.start()


@pytest.fixture
def make_house(
    ledger_of_module: Ledger,
    tmp_path: Path,
    policy: Policy,
    sandbox_catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Recovery], House]:
    """Makes houses whose providers hand over a file without asking the network."""
    providers: list[ModelProvider] = []

    async def download(client: httpx.AsyncClient, url: str, target: Path, **more: Any) -> Downloaded:
        if providers[-1].gone:
            raise NotFetched("gone")
        target.write_bytes(b"a picture")
        return Downloaded(target, 9, "0" * 64)

    monkeypatch.setattr(media_collector, "download", download)
    monkeypatch.setattr(media_collector, "flaw_of", lambda *_: None)
    monkeypatch.setattr(checkpoints, "on_reach", lambda name: _HERE.worker.reached(name))
    hasty = quick(policy, ceiling_usd="100000", backoff_s=(0.0, 0.0), lookup_wait_s=0.0, poll_timeout_s=0.0)
    threads, store = LedgerThreads(), LocalStore(tmp_path)

    def make(recovery: Recovery) -> House:
        providers.append(ModelProvider(recovery))
        return House(ledger_of_module, store, hasty, sandbox_catalogue, threads, providers[-1])

    return make


@pytest.mark.parametrize("recovery", [Recovery.SEARCH, Recovery.NONE])
def test_a_person_who_looks_too_early_is_not_believed(
    make_house: Callable[[Recovery], House], recovery: Recovery
) -> None:
    house = make_house(recovery)
    house.plan()
    house.provider.submits = ["late"]
    Worker(house).start()
    house.a_person_answers()
    assert (house.job().state, house.provider.books) == (JobState.UNKNOWN, [])
    house.a_day_passes(None)
    house.a_person_answers()
    Worker(house).start()
    job, [bought] = house.job(), house.provider.books
    assert (job.state, job.billed_usd) == (JobState.ACCEPTED, bought.usd)


def test_no_sequence_of_events_buys_twice_or_beside_the_ledger(
    make_house: Callable[[Recovery], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Books, "make", staticmethod(make_house), raising=False)
    run_state_machine_as_test(
        Books,
        settings=settings(max_examples=60, stateful_step_count=12, deadline=None, suppress_health_check=_SLOW),
    )
