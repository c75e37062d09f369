"""Rows to put into a ledger: a job and a publication with everything that a test does not care about filled in."""

import hashlib
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from video_pipeline.ledger import (
    NOTHING_BILLED,
    Bill,
    Failure,
    FailureKind,
    Job,
    JobKind,
    JobState,
    Ledger,
    Publication,
    PublicationState,
    Receipt,
)
from video_pipeline.ledger.schema import spend
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.storage import StoredObject

DAY = date(2026, 11, 21)
CEILING_USD = Decimal(1000)


def sha256(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def a_job(name: str = "one", **fields: Any) -> Job:
    """A planned job; another `name` is another shot with another request."""
    values: dict[str, Any] = {
        "key": sha256("job", name),
        "kind": JobKind.VIDEO,
        "day": DAY,
        "clip_id": f"{DAY}/{name}",
        "shot": 0,
        "shot_sha256": sha256("shot", name),
        "attempt": 0,
        "strategy": "original",
        "reason": "",
        "tier": "preview",
        "provider": "fal",
        "model": "sandbox/sprint",
        "model_version": "1",
        "order": RenderOrder(prompt=name, duration_s=2.0, orientation=Orientation.PORTRAIT),
        "request": {"prompt": name},
        "request_sha256": sha256("request", name),
        "expected_usd": Decimal("0.044"),
        "state": JobState.PLANNED,
        "run_id": "run",
    }
    return Job(**(values | fields))


def all_money(ledger: Ledger) -> Decimal:
    """The sum of every line that is in the ledger, in US dollars."""
    with ledger.engine.connect() as connection:
        return connection.execute(select(func.coalesce(func.sum(spend.c.usd), 0))).scalar_one()


def reserved(ledger: Ledger, job: Job) -> Job:
    """`job`, planned and with its money set aside."""
    ledger.jobs.plan(job)
    assert ledger.jobs.reserve(job, ceiling_usd=CEILING_USD).granted
    return ledger.jobs.get(job.key)


def submitted(ledger: Ledger, job: Job) -> Job:
    """`job`, bought: the provider has given it an id."""
    return ledger.jobs.submitted(ledger.jobs.submitting(reserved(ledger, job)), receipt_of(job))


def receipt_of(job: Job) -> Receipt:
    return Receipt(f"request of {job.key}", {})


def object_of(job: Job) -> StoredObject:
    return StoredObject("clip.mp4", 1000, sha256(job.key), "file:///clip.mp4")


def move(ledger: Ledger, job: Job, to: JobState, *, bill: Bill = NOTHING_BILLED) -> Job:
    """The named move that leads to a state; to an end without a clip, the one that leaves a settled bill alone."""
    jobs, failure = ledger.jobs, Failure(FailureKind.GENERATION, "why")
    moves: dict[JobState, Callable[[], Job]] = {
        JobState.SUBMITTING: lambda: jobs.submitting(job),
        JobState.SUBMITTED: lambda: jobs.submitted(job, receipt_of(job)),
        JobState.PROCESSING: lambda: jobs.processing(job),
        JobState.RENDERED: lambda: jobs.rendered(job, media_url="https://cdn.example/clip.mp4", bill=bill),
        JobState.STORED: lambda: jobs.stored(job, object_of(job)),
        JobState.ACCEPTED: lambda: jobs.accepted(job, None),
        JobState.REJECTED: lambda: jobs.rejected(job, None),
        JobState.FAILED: lambda: jobs.failed(job, failure, bill=bill),
        JobState.UNKNOWN: lambda: jobs.unknown(job, "why"),
    }
    if (job.state, to) == (JobState.RENDERED, JobState.FAILED):
        return jobs.given_up(job, failure)
    return moves[to]()


def accepted(ledger: Ledger, job: Job) -> Job:
    """`job`, rendered, billed as expected, stored and accepted."""
    bill = Bill(job.expected_usd, job.requested_s)
    rendered = move(ledger, submitted(ledger, job), JobState.RENDERED, bill=bill)
    return ledger.jobs.accepted(ledger.jobs.stored(rendered, object_of(job)), None)


def a_publication(name: str = "one", platform: str = "youtube_shorts", **fields: Any) -> Publication:
    values: dict[str, Any] = {
        "key": sha256("publication", name, platform),
        "day": DAY,
        "clip_id": f"{DAY}/{name}",
        "platform": platform,
        "state": PublicationState.PLANNED,
        "document": {"title": name},
        "media_key": "final.mp4",
        "media_sha256": sha256("media", name),
    }
    return Publication(**(values | fields))
