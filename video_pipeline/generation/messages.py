"""What generation tells people: an alert for each thing that may go wrong, in words that say what to do."""

from decimal import Decimal

from video_pipeline.alerts import Alert
from video_pipeline.ledger import (
    BreakerCause,
    BreakerState,
    BreakerTransition,
    Failure,
    Hold,
    Job,
    Reservation,
    Review,
)

# What a person can do about a breaker; the rest ends by itself.
_TO_DO = {
    BreakerCause.CREDIT: "Top the account up.",
    BreakerCause.AUTH: "Check its key and what the account may use.",
}


def clip_stopped(clip_id: str, reason: str) -> Alert:
    """Something that nobody foresaw; the other clips go on."""
    return Alert(f"stopped {clip_id} {reason}", "A clip stopped", f"{clip_id}: {reason}", severity="critical")


def person_needed(question: Review) -> Alert:
    """A clip that cannot go on without a person; once a question, so that one asked anew is told anew."""
    cause = f"review {question.clip_id} {question.opened_at.isoformat()}"
    return Alert(cause, "A clip needs a person", f"{question.clip_id}: {question.reason}", severity="warning")


def submit_in_doubt(job: Job, why: str) -> Alert:
    """A submit whose answer was lost, and that only a person can find."""
    return Alert(
        f"unknown {job.key}",
        "A paid call may have been made twice if it were sent again",
        f"{_shot(job)}: {why}. It is not sent again. Look at {job.provider}, "
        f"then run `video-pipeline resolve {job.key[:16]} --found REQUEST_ID` or `--not-found`.",
        severity="critical",
    )


def submit_unanswered(job: Job, why: str) -> Alert:
    """A submit that stays without an answer although it may be sent again."""
    text = f"{_shot(job)}: {why}. The next run sends it again; it is bought once at most."
    return Alert(f"unanswered {job.key}", "A paid call is not answered", text, severity="warning")


def submit_untold(job: Job, why: str) -> Alert:
    """A submit of which the provider cannot be asked what became of it."""
    text = f"{_shot(job)}: {why}. The next run asks {job.provider} again; nothing is bought meanwhile."
    return Alert(f"untold {job.key}", "A paid call is not answered", text, severity="warning")


def job_late(job: Job, waited_s: float) -> Alert:
    """A job that the provider has not ended in the time allowed."""
    text = (
        f"{_shot(job)}: no result from {job.model} after {waited_s:.0f} s; the next run asks again. "
        f"If {job.provider} has lost it: `video-pipeline resolve {job.key[:16]} --not-found`."
    )
    return Alert(f"timeout {job.key}", "A job takes too long", text, severity="warning")


def download_failing(job: Job, reason: str) -> Alert:
    """A paid file that cannot be fetched now."""
    text = (
        f"{_shot(job)} is paid for (${job.billed_usd}) and not downloaded yet: {reason}. The next run asks again; if "
        f"{job.provider} has lost the file: `video-pipeline resolve {job.key[:16]} --lost`."
    )
    return Alert(f"download {job.key}", "A paid clip could not be downloaded", text, severity="critical")


def provider_failing(job: Job, failure: Failure) -> Alert:
    """Trouble with the provider rather than with a shot; once a provider, kind and day."""
    text = f"{_shot(job)} on {job.model}: {failure.reason}"
    title = f"{job.provider}: {failure.kind} failure"
    return Alert(f"{failure.kind} {job.provider} {job.day}", title, text, severity="critical")


def provider_silent(job: Job, reason: str) -> Alert:
    """A provider that does not tell of a job that was bought; once a provider and day."""
    text = (
        f"{_shot(job)} is bought and not given up: {reason}. Every later run asks again; "
        f"if {job.provider} has lost it: `video-pipeline resolve {job.key[:16]} --lost`."
    )
    return Alert(
        f"silent {job.provider} {job.day}", f"{job.provider} does not answer for its jobs", text, severity="warning"
    )


def breaker_moved(transition: BreakerTransition) -> Alert | None:
    """A provider or model is left alone from now on, or works again; None of what is no news (yet).

    That is a probe, and a model whose trouble has turned out to be its provider's.

    One that opens again and again is one cause, so that it is told once and then by the day.
    """
    breaker, cause = transition.after, transition.cause
    numbers = {
        "since": f"{breaker.opened_at or breaker.since:%Y-%m-%d %H:%M:%S} UTC",
        "failures": str(breaker.failures),
        **{name: f"{value:g}" for name, value in breaker.numbers.items()},
    }
    named = f"breaker {breaker.provider} {breaker.model} {breaker.opened_at and breaker.opened_at.isoformat()}"
    if breaker.state is BreakerState.HALF_OPEN or (breaker.state is BreakerState.CLOSED and breaker.reason):
        return None
    if breaker.state is BreakerState.CLOSED:
        text = f"{breaker.subject} serves again. Cause was: {cause}."
        return Alert(f"{named} closed", f"{breaker.subject} works again", text, fields=numbers, severity="info")
    then = f"It is asked again with one job from {breaker.next_probe_at:%Y-%m-%d %H:%M:%S} UTC on."
    text = " ".join(
        filter(None, (f"{breaker.why}: {breaker.reason}.", "Other models serve meanwhile.", then, _TO_DO.get(cause)))
    )
    severity = "critical" if cause in _TO_DO else "warning"
    return Alert(named, f"{breaker.subject} is left alone ({cause})", text, fields=numbers, severity=severity)


def ceiling_near(reservation: Reservation, ceiling_usd: Decimal) -> Alert:
    """Most of what a day may cost is committed."""
    text = f"${reservation.committed_usd:.2f} of ${ceiling_usd} is committed on {reservation.on}."
    return Alert(f"ceiling near {reservation.on}", "The daily ceiling is near", text, severity="warning")


def not_bought(job: Job, reservation: Reservation) -> Alert:
    """The budget guard's refusal."""
    if reservation.hold is Hold.FROZEN:
        cause, title = f"frozen {job.tier} {job.day}", f"The {job.tier} tier is frozen"
    else:
        cause, title = f"ceiling reached {reservation.on}", "The daily ceiling is reached"
    again = "The night watch goes on with it when that ends."
    return Alert(cause, title, f"{job.clip_id} was not bought: {reservation.reason}. {again}", severity="critical")


def _shot(job: Job) -> str:
    return f"{job.clip_id} shot {job.shot}"
