"""A person's word on a paid call whose answer was lost: it is at the provider, or it never arrived."""

from video_pipeline.errors import LedgerError
from video_pipeline.generation.providers import Provider
from video_pipeline.generation.questions import withdraw_doubt
from video_pipeline.ledger import Failure, FailureKind, Job, JobState, Ledger
from video_pipeline.policy import GenerationPolicy
from video_pipeline.wire import Bounds


def clip_lease(clip_id: str) -> str:
    """The lease that whoever moves a clip's jobs holds, a worker or a person."""
    return f"generate {clip_id}"


def resolve_unknown(
    ledger: Ledger, provider: Provider, job: Job, *, request_id: str | None, policy: GenerationPolicy
) -> Job:
    """Go on with the provider's request `request_id`, or, with None, free the money: nothing was bought.

    Raises LedgerError, with the moment to ask again, while a worker is at the clip, and while what a worker has sent
    may still arrive.
    """
    with ledger.leases.for_a_person(clip_lease(job.clip_id)) as lease:
        jobs = ledger.jobs.under(lease)
        job = jobs.get(job.key)
        # Whoever sent it held a lease then and had this long for an answer; the doubt was noted afterwards.
        ledger.leases.settled(jobs.moved_at(job.key), after_s=policy.lease_s + Bounds().total_s)
        if request_id is None:
            resolved = jobs.failed(job, Failure(FailureKind.NOT_SENT, "a person found nothing at the provider"))
        elif job.state is JobState.UNKNOWN:
            resolved = jobs.submitted(job, provider.receipt(job, request_id), note="found by a person")
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
