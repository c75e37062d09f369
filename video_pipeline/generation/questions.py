"""What generation asks a person about a clip, for as long as the clip cannot go on without one."""

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus
from video_pipeline.generation import messages
from video_pipeline.generation.ladder import doubt, outlived
from video_pipeline.ledger import Job, JobState, Ledger, ReviewStage, ReviewState


def ask(ledger: Ledger, notifier: Notifier, clip_id: str, reason: str) -> ClipStatus:
    """Ask once a reason; a person who has said no is not asked again."""
    asked = ledger.reviews.get(clip_id, ReviewStage.GENERATION)
    if asked is not None and asked.reason != reason:
        # What is no longer true need not be answered; a decision stays.
        ledger.reviews.withdraw(clip_id, ReviewStage.GENERATION)
    ledger.reviews.open(clip_id, ReviewStage.GENERATION, reason)
    question = ledger.reviews.get(clip_id, ReviewStage.GENERATION)
    if question is not None and question.state is ReviewState.WAITING:
        # Also when it was asked before: whoever asked may have died before telling anybody.
        notifier.notify(messages.person_needed(question))
    rejected = question is not None and question.state is ReviewState.REJECTED
    return ClipStatus.REJECTED if rejected else ClipStatus.REVIEW


def withdraw(ledger: Ledger, clip_id: str) -> None:
    """Nobody has to answer any more: the clip came out, or goes on by itself."""
    ledger.reviews.withdraw(clip_id, ReviewStage.GENERATION)


def withdraw_doubt(ledger: Ledger, job: Job) -> None:
    """It is known now what became of `job`; what else holds its clip up is found by the next run."""
    review = ledger.reviews.get(job.clip_id, ReviewStage.GENERATION)
    in_doubt = {other.clip_id for other in ledger.jobs.in_state(JobState.UNKNOWN)}
    if review is not None and review.reason in (doubt(job), outlived(job)) and job.clip_id not in in_doubt:
        withdraw(ledger, job.clip_id)
