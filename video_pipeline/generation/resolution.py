"""A person's word on a paid call whose answer was lost: it is at the provider, or it never arrived."""

from decimal import Decimal
from typing import TYPE_CHECKING

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import FailureKind, Job, JobState

if TYPE_CHECKING:
    from video_pipeline.generation.providers import Provider
    from video_pipeline.ledger import Ledger


def resolve_unknown(ledger: "Ledger", provider: "Provider", job: Job, *, request_id: str | None) -> Job:
    """Go on with the provider's request `request_id`, or, with None, free the money: nothing was bought."""
    if request_id is not None and job.state is not JobState.UNKNOWN:
        raise LedgerError(f"Job {job.key[:16]} is {job.state} under {job.provider_job_id}; nothing is in doubt.")
    if request_id is not None:
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
    return ledger.jobs.settle(
        job,
        JobState.FAILED,
        billed_usd=Decimal(0),
        billed_s=0.0,
        note="a person found nothing at the provider",
        failure_kind=FailureKind.NOT_SENT,
        failure_reason="never reached the provider",
    )


def find_unknown(ledger: "Ledger", key_start: str) -> Job:
    """The one job in doubt, or still at its provider, whose key starts so; LedgerError when it is not just one."""
    doubtful = ledger.jobs.in_state(JobState.UNKNOWN, JobState.SUBMITTED, JobState.PROCESSING)
    found = [job for job in doubtful if job.key.startswith(key_start)]
    if len(found) != 1:
        raise LedgerError(
            f"{len(found)} jobs in doubt have a key that starts with {key_start}; `video-pipeline review` lists them."
        )
    return found[0]
