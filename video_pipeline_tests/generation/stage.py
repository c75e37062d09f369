"""A stage for the engine: a ledger, a store and a sandbox, on which days are run and the books are compared."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
from sqlalchemy import func, select, update

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import NO_BIBLES, Bibles, Brief, storyboard_of
from video_pipeline.clips import GeneratedClip
from video_pipeline.generation import NO_WEBHOOKS, PROVIDERS, GenerationEngine, Provider, Webhooks
from video_pipeline.ledger import Job, JobState, Ledger
from video_pipeline.ledger.schema import breakers, jobs, spend
from video_pipeline.policy import Policy, ProviderLimits
from video_pipeline.routing import Catalogue, ClipPlan, RoutingState, plan_day
from video_pipeline.storage import ObjectStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import DAY, MAX_ATTEMPTS
from video_pipeline_tests.quality.stand_in import with_stand_in

_STAGES = count()
_OPEN = (JobState.RESERVED, JobState.SUBMITTING, JobState.SUBMITTED, JobState.PROCESSING, JobState.UNKNOWN)


def quick(policy: Policy, *, ceiling_usd: str = "25", concurrency: int | None = None, **generation: Any) -> Policy:
    """The policy with short waits and free electricity, and with what a test is about.

    `concurrency` is each provider's. What the sandbox bills is all that is booked then.
    """
    limits = ProviderLimits(concurrency=concurrency, poll_interval_s=0.05)
    waits = {
        "providers": dict.fromkeys(PROVIDERS, limits),
        "poll_timeout_s": 20.0,
        "moderation_verdict_s": 0.2,
        "backoff_s": (0.05, 0.05, 0.05),
        "lookup_wait_s": 0.2,
        "lease_s": 5.0,
        "poll_patience_s": 5.0,
    }
    causes = tuple(policy.breaker.first_wait_s)
    breaker = policy.breaker.model_copy(
        update={
            "first_wait_s": dict.fromkeys(causes, 0.05),
            "longest_wait_s": dict.fromkeys(causes, 0.2),
            "probe_patience_s": 2.0,
        }
    )
    # Tests that are about something else do not pay for a real classifier.
    return with_stand_in(policy).model_copy(
        update={
            "breaker": breaker,
            "upscaling": policy.upscaling.model_copy(update={"usd_per_kwh": Decimal(0)}),
            "generation": policy.generation.model_copy(update=waits | generation),
            "budget": policy.budget.model_copy(update={"daily_ceiling_usd": Decimal(ceiling_usd)}),
        }
    )


@dataclass
class Stage:
    """`requests` are those that the sandbox accepted since the stage was set up.

    Each stage has a `day` of its own: the sandbox remembers what earlier tests have bought, and the same clip on the
    same day would be the same purchase.
    """

    ledger: Ledger
    store: ObjectStore
    edge: Edge
    catalogue: Catalogue
    policy: Policy
    providers: tuple[str, ...] = ("fal",)
    webhooks: Webhooks = NO_WEBHOOKS
    day: date = field(default_factory=lambda: DAY + timedelta(days=20 * next(_STAGES)))
    timeout_s: float = 10.0
    _runs: count = field(default_factory=lambda: count(1))
    _before: int = 0

    def __post_init__(self) -> None:
        self._before = len(self.edge.requests())

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.edge.requests()[self._before :]

    def plan(
        self,
        *briefs: Brief,
        day: date | None = None,
        state: RoutingState | None = None,
        bibles: Bibles = NO_BIBLES,
    ) -> list[ClipPlan]:
        """The day's plans as production makes them; nothing is frozen or demoted unless `state` says so."""
        cap_s = self.policy.generation.max_segment_s
        boards = [storyboard_of(brief, day or self.day, cap_s=cap_s, bibles=bibles) for brief in briefs]
        return plan_day(
            self.ledger,
            boards,
            self.catalogue,
            self.policy.routing,
            state or RoutingState(),
            max_attempts=MAX_ATTEMPTS,
        )

    def connect(self, client: httpx.AsyncClient) -> dict[str, Provider]:
        """The providers as the engine meets them."""
        return {name: PROVIDERS[name].connect_sandbox(self.edge.base_url, client) for name in self.providers}

    def run(
        self,
        plans: Sequence[ClipPlan],
        *,
        policy: Policy | None = None,
        limit_s: float = 60.0,
        days: Collection[date] = (),
    ) -> list[GeneratedClip]:
        """One run of the engine over `plans`; TimeoutError when it does not come to an end."""

        async def run() -> list[GeneratedClip]:
            async with (
                asyncio.timeout(limit_s),
                httpx.AsyncClient(timeout=self.timeout_s, trust_env=False, verify=False) as client,
            ):
                engine = GenerationEngine(
                    ledger=self.ledger,
                    store=self.store,
                    providers=self.connect(client),
                    client=client,
                    catalogue=self.catalogue,
                    policy=policy or self.policy,
                    notifier=Notifier([], self.ledger.alerts),
                    webhooks=self.webhooks,
                    run_id=f"run-{next(self._runs)}",
                )
                return await engine.generate(plans, days)

        return asyncio.run(run())

    def generate(self, *briefs: Brief, day: date | None = None, **options: Any) -> list[GeneratedClip]:
        """Plan and run."""
        return self.run(self.plan(*briefs, day=day), **options)

    def one(self, brief: Brief, **options: Any) -> GeneratedClip:
        [clip] = self.generate(brief, **options)
        return clip

    def jobs(self) -> list[Job]:
        """The day's jobs, by clip, shot and attempt; a picture before the clip made from it."""
        return sorted(
            self.ledger.jobs.of_day(self.day), key=lambda job: (job.clip_id, job.shot, job.attempt, job.kind)
        )

    def alerts(self) -> dict[str, str]:
        """cause -> text of everything that was alerted."""
        return {alert["cause"]: alert["text"] for alert in self.ledger.alerts.latest()}

    def check_books(self) -> None:
        check_books(self.ledger, self.ledger.jobs.in_state(*JobState), self.requests)


def let_settle(ledger: Ledger, job: Job) -> None:
    """As if `job` had come to where it is long ago, so that nothing of it can still be on its way."""
    with ledger.engine.begin() as connection:
        moved_at = jobs.c.updated_at - timedelta(days=1)
        connection.execute(update(jobs).where(jobs.c.key == job.key).values(updated_at=moved_at))


def let_probe(ledger: Ledger) -> None:
    """As if the waits of all breakers were over."""
    with ledger.engine.begin() as connection:
        connection.execute(update(breakers).values(next_probe_at=func.clock_timestamp()))


def sent(job: Job) -> dict[str, Any]:
    """What a provider's books show as the input of a job."""
    return job.request.get("arguments", job.request)


def check_books(ledger: Ledger, jobs: Sequence[Job], requests: Sequence[dict[str, Any]]) -> None:
    """The sandbox billed what the ledger says, request by request; every request is one job's, or in doubt.

    One that was refused at the submit, and billed, has no id here. `jobs` are all those of their production days.
    """
    ours = {job.provider_job_id: job for job in jobs if job.provider_job_id}
    assert len(ours) == sum(job.provider_job_id is not None for job in jobs), "two jobs share a request"
    doubtful = [job for job in jobs if job.state is JobState.UNKNOWN]
    charged = [job for job in jobs if job.provider_job_id is None and job.billed_usd]
    strangers = [request for request in requests if request["request_id"] not in ours]
    for request in strangers:
        matching = [job for job in (*charged, *doubtful) if sent(job) == request["input"]]
        assert matching, f"the sandbox billed {request['usd']} for {request['input']}, which no job knows"
        if matching[0] in charged:
            charged.remove(matching[0])
            ours[request["request_id"]] = matching[0]
            strangers = [other for other in strangers if other is not request]
        else:
            doubtful.remove(matching[0])
    assert charged == [], "billed for what the sandbox does not know"
    billed = {request["request_id"]: Decimal(request["usd"]) for request in requests if request not in strangers}
    assert {key: job.billed_usd for key, job in ours.items()} == billed
    days = {job.day for job in jobs}
    costs = [
        usd for day in days for by_category in ledger.spend.by_clip(day).values() for usd in by_category.values()
    ]
    assert sum(costs, Decimal(0)) == sum(billed.values(), Decimal(0)), "the line items say something else"
    held = sum((job.expected_usd for job in jobs if job.state in _OPEN), Decimal(0))
    with ledger.engine.connect() as connection:
        committed = connection.execute(select(func.sum(spend.c.usd)).where(spend.c.day.in_(days))).scalar_one()
    assert (committed or 0) == sum(costs, held), "a reservation was kept or lost"
