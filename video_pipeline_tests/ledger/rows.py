"""Rows to put into a ledger: a job and a publication with everything that a test does not care about filled in."""

import hashlib
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from video_pipeline.ledger import Job, JobKind, JobState, Ledger, Publication, PublicationState
from video_pipeline.ledger.schema import spend

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
        "endpoint": "sandbox/sprint/text-to-video",
        "request": {"prompt": name},
        "request_sha256": sha256("request", name),
        "requested_s": 2.0,
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
    submitting = ledger.jobs.advance(reserved(ledger, job), JobState.SUBMITTING)
    return ledger.jobs.advance(submitting, JobState.SUBMITTED, provider_job_id=f"request of {job.key}")


def accepted(ledger: Ledger, job: Job) -> Job:
    """`job`, rendered, billed as expected, stored and accepted."""
    bought = submitted(ledger, job)
    rendered = ledger.jobs.settle(bought, JobState.RENDERED, billed_usd=job.expected_usd, billed_s=job.requested_s)
    stored = ledger.jobs.advance(rendered, JobState.STORED, media_key="clip.mp4", media_sha256=sha256(job.key))
    return ledger.jobs.advance(stored, JobState.ACCEPTED)


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
