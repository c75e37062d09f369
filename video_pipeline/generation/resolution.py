"""A person's word on a paid call that the ledger cannot tell the end of: found, never arrived, or lost."""

from video_pipeline.errors import LedgerError
from video_pipeline.generation.providers import Provider
from video_pipeline.generation.questions import withdraw_doubt
from video_pipeline.ledger import Bill, Failure, FailureKind, Job, JobState, Ledger
from video_pipeline.policy import GenerationPolicy
from video_pipeline.wire import Bounds

# What a person may know more of than the ledger does.
_DOUBTFUL = (
    JobState.UNKNOWN,
    JobState.SUBMITTING,
    JobState.SUBMITTED,
    JobState.PROCESSING,
    JobState.RENDERED,
)


def list_price(job: Job) -> Bill:
    """What a job that is charged for costs: the price that it was ordered at."""
    return Bill(job.expected_usd, job.requested_s)


def clip_lease(clip_id: str) -> str:
    """The lease that whoever moves a clip's jobs holds, a worker or a person."""
    return f"generate {clip_id}"


def resolve_unknown(
    ledger: Ledger,
    provider: Provider,
    job: Job,
    *,
    request_id: str | None = None,
    lost: bool = False,
    policy: GenerationPolicy,
) -> Job:
    """Go on with the provider's request `request_id`. Without one, nothing was bought, and the money is free again.

    `lost`: it was bought, and the provider will never hand a file over; it is paid for and counts as failed. Raises
    LedgerError, with the moment to ask again, while a worker is at the clip, and while what a worker has sent may
    still arrive; and when nothing is to have been bought, and a webhook has told of it.
    """
    with ledger.leases.for_a_person(clip_lease(job.clip_id)) as lease:
        jobs = ledger.jobs.under(lease)
        job = jobs.get(job.key)
        told = ledger.webhook_calls.named(job)
        if told and request_id is None and not lost:
            raise LedgerError(
                f"{job.provider} has told by a webhook that job {job.key[:16]} is its request {told[0]}. Materialise "
                f"{job.day} again: it goes on by itself. If its file will never be had, answer "
                f"`video-pipeline resolve {job.key[:16]} --lost`."
            )
        # Whoever sends it, for the first time or again, holds a lease then, and has this long for an answer.
        last_sent_at = max(filter(None, (jobs.moved_at(job.key), lease.taken_from)))
        ledger.leases.settled(last_sent_at, after_s=policy.lease_s + Bounds().total_s)
        if request_id is not None and job.state is JobState.UNKNOWN:
            resolved = jobs.submitted(job, provider.receipt(job, request_id), note="found by a person")
        elif request_id is not None or job.state not in _DOUBTFUL:
            raise LedgerError(f"Job {job.key[:16]} is {job.state} under {job.provider_job_id}; nothing is in doubt.")
        elif lost:
            failure = Failure(FailureKind.LOST, "a person says that its file will not be had")
            rendered = job.state is JobState.RENDERED
            resolved = jobs.given_up(job, failure) if rendered else jobs.failed(job, failure, bill=list_price(job))
        elif job.state is JobState.RENDERED:
            raise LedgerError(
                f"Job {job.key[:16]} is paid for: {job.provider} has rendered it. If its file will never be had, "
                f"answer `video-pipeline resolve {job.key[:16]} --lost`."
            )
        else:
            resolved = jobs.failed(job, Failure(FailureKind.NOT_SENT, "a person found nothing at the provider"))
        withdraw_doubt(ledger, resolved)
    return resolved


def find_unknown(ledger: Ledger, key_start: str) -> Job:
    """The one job in doubt, or still at its provider, whose key starts so; LedgerError when it is not just one."""
    found = [job for job in ledger.jobs.in_state(*_DOUBTFUL) if job.key.startswith(key_start)]
    if len(found) != 1:
        raise LedgerError(
            f"{len(found)} jobs in doubt have a key that starts with {key_start}; `video-pipeline review` lists them."
        )
    return found[0]
