"""A person's word on a paid call whose answer was lost: it is at the provider, or it never arrived."""

from video_pipeline.errors import LedgerError
from video_pipeline.generation.providers import Provider
from video_pipeline.generation.questions import withdraw_doubt
from video_pipeline.ledger import Failure, FailureKind, Job, JobState, Ledger


def resolve_unknown(ledger: Ledger, provider: Provider, job: Job, *, request_id: str | None) -> Job:
    """Go on with the provider's request `request_id`, or, with None, free the money: nothing was bought."""
    if request_id is None:
        resolved = ledger.jobs.failed(job, Failure(FailureKind.NOT_SENT, "a person found nothing at the provider"))
    elif job.state is JobState.UNKNOWN:
        resolved = ledger.jobs.submitted(job, provider.receipt(job, request_id), note="found by a person")
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
