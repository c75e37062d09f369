"""A person's word on a paid call whose answer was lost: it is at the provider, or it never arrived."""

from decimal import Decimal

from video_pipeline.errors import LedgerError
from video_pipeline.generation.providers import Provider
from video_pipeline.generation.questions import withdraw_doubt
from video_pipeline.ledger import FailureKind, Job, JobState, Ledger


def resolve_unknown(ledger: Ledger, provider: Provider, job: Job, *, request_id: str | None) -> Job:
    """Go on with the provider's request `request_id`, or, with None, free the money: nothing was bought."""
    if request_id is None:
        resolved = _not_sent(ledger, job)
    elif job.state is JobState.UNKNOWN:
        resolved = _found(ledger, provider, job, request_id)
    else:
        raise LedgerError(f"Job {job.key[:16]} is {job.state} under {job.provider_job_id}; nothing is in doubt.")
    withdraw_doubt(ledger, resolved)
    return resolved


def find_unknown(ledger: Ledger, key_start: str) -> Job:
    """The one job in doubt, or still at its provider, whose key starts so; LedgerError when it is not just one."""
    doubtful = ledger.jobs.in_state(JobState.UNKNOWN, JobState.SUBMITTED, JobState.PROCESSING)
    found = [job for job in doubtful if job.key.startswith(key_start)]
    if len(found) != 1:
        raise LedgerError(
            f"{len(found)} jobs in doubt have a key that starts with {key_start}; `video-pipeline review` lists them."
        )
    return found[0]


def _found(ledger: Ledger, provider: Provider, job: Job, request_id: str) -> Job:
    receipt = provider.receipt(job, request_id)
    return ledger.jobs.advance(
        job,
        JobState.SUBMITTED,
        note="found by a person",
        failure_reason=None,
        provider_job_id=receipt.provider_job_id,
        status_url=receipt.status_url,
        response_url=receipt.response_url,
        cancel_url=receipt.cancel_url,
    )


def _not_sent(ledger: Ledger, job: Job) -> Job:
    return ledger.jobs.settle(
        job,
        JobState.FAILED,
        billed_usd=Decimal(0),
        billed_s=0.0,
        note="a person found nothing at the provider",
        failure_kind=FailureKind.NOT_SENT,
        failure_reason="never reached the provider",
    )
