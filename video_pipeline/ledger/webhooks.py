"""What providers' webhooks have told. A call changes no job: it wakes whoever waits for one, and names a lost one."""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.records import Job
from video_pipeline.ledger.schema import jobs, webhook_calls


class CallStanding(StrEnum):
    """What a verified call is to the ledger."""

    NEWS = "news"
    """It may well be true: the job is waited for under this request, or under none yet."""
    ANOTHER_JOBS = "another job's"
    """The request belongs to another job; nothing is kept."""
    ANOTHER_REQUEST = "another request"
    """The job is known under another request; the call is kept, and nothing follows from it."""
    NO_JOB = "no job"
    """The ledger has no such job at this provider; nothing is kept."""


class WebhookCalls:
    """The rows of `webhook_calls`: one for each request that was named for a job; repeats are counted."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @tried_again
    def keep(self, provider: str, job_key: str, provider_job_id: str, *, account: str = "") -> CallStanding:
        """Keep a verified call once, and count its repeats.

        `account` is whose request it is, in the provider's words; empty where the provider does not say.
        """
        values = {"provider": provider, "job_key": job_key, "provider_job_id": provider_job_id, "account": account}
        statement = insert(webhook_calls).values(**values)
        statement = statement.on_conflict_do_update(
            index_elements=["provider", "job_key", "provider_job_id"], set_={"count": webhook_calls.c.count + 1}
        )
        with self._engine.begin() as connection:
            job = connection.execute(
                select(jobs.c.provider_job_id).where(jobs.c.key == job_key, jobs.c.provider == provider)
            ).one_or_none()
            if job is None:
                return CallStanding.NO_JOB
            owner = connection.execute(
                select(jobs.c.key).where(jobs.c.provider == provider, jobs.c.provider_job_id == provider_job_id)
            ).scalar_one_or_none()
            if owner not in (None, job_key):
                return CallStanding.ANOTHER_JOBS
            connection.execute(statement)
            other = connection.execute(
                select(webhook_calls.c.id)
                .where(
                    webhook_calls.c.provider == provider,
                    webhook_calls.c.job_key == job_key,
                    webhook_calls.c.provider_job_id != provider_job_id,
                )
                .limit(1)
            ).first()
        known = job.provider_job_id
        second = known != provider_job_id if known else other is not None
        return CallStanding.ANOTHER_REQUEST if second else CallStanding.NEWS

    def count(self, job: Job) -> int:
        """How many calls have named `job`, repeats counted; a higher number than before is news of it."""
        with self._engine.connect() as connection:
            return connection.execute(
                select(func.coalesce(func.sum(webhook_calls.c.count), 0)).where(
                    webhook_calls.c.provider == job.provider, webhook_calls.c.job_key == job.key
                )
            ).scalar_one()

    def named(self, job: Job) -> Sequence[str]:
        """Requests that calls have named for `job` and that are no other job's, the first named first.

        Where earlier jobs show which accounts are ours, requests of other accounts are left out.
        """
        calls, provider = webhook_calls, webhook_calls.c.provider == job.provider
        ours = (
            select(calls.c.account)
            .join(
                jobs,
                (jobs.c.key == calls.c.job_key)
                & (jobs.c.provider == calls.c.provider)
                & (jobs.c.provider_job_id == calls.c.provider_job_id),
            )
            .where(provider, calls.c.account != "")
        )
        taken = select(jobs.c.provider_job_id).where(
            jobs.c.provider == job.provider, jobs.c.provider_job_id.is_not(None), jobs.c.key != job.key
        )
        statement = (
            select(calls.c.provider_job_id)
            .where(
                provider,
                calls.c.job_key == job.key,
                calls.c.provider_job_id.not_in(taken),
                calls.c.account.in_(ours) | ~ours.exists(),
            )
            .order_by(calls.c.received_at, calls.c.id)
        )
        with self._engine.connect() as connection:
            return connection.execute(statement).scalars().all()
