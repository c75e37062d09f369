"""Why a clip waits, for whoever wakes it: each sentence with its cause, and with what that hinges on."""

from datetime import UTC, datetime, timedelta

from video_pipeline.generation import ladder
from video_pipeline.ledger import FailureKind, Hold, Job, Ledger, Reservation, TierState, WaitCause, Why
from video_pipeline.routing import ClipPlan

_PROVIDERS_OWN = (FailureKind.TRANSIENT, FailureKind.AUTH, FailureKind.QUOTA)


def why_held(ledger: Ledger, plan: ClipPlan) -> Why:
    """Why a plan is held: its tier is frozen, or no model can serve one of its shots."""
    held = next(decision for decision in plan.decisions if decision.held)
    states = ledger.governance.tier_states()
    change = states.get(held.tier)
    if change is not None and change.state is TierState.FROZEN:
        return Why(WaitCause.FROZEN, held.held or "", held.tier)
    return Why(WaitCause.MODEL, held.held or "", ledger.governance.version(), until=_next_day())


def why_held_back(job: Job, reservation: Reservation | None) -> Why:
    """Why the budget guard did not let a job be bought."""
    reason = reservation.reason if reservation is not None else job.failure_reason or "it was not bought"
    match reservation.hold if reservation is not None else None:
        case Hold.CEILING:
            return Why(WaitCause.CEILING, reason, "day", job.expected_usd, until=_next_day())
        case Hold.FROZEN:
            # The next calendar day lets a few clips through again.
            return Why(WaitCause.FROZEN, reason, job.tier, until=_next_day())
        case Hold.IDENTICAL_IN_FLIGHT:
            twin = reservation.twin if reservation is not None else ""
            return Why(WaitCause.TWIN, "an identical job of another run has not ended", twin)
        case None:
            return Why(WaitCause.RETRY, reason)


def why_stopped(stop: ladder.Stop, last: Job) -> Why:
    """Why a shot has no next step in this run, after `last`."""
    if stop.person:
        return Why(WaitCause.PERSON, stop.reason)
    if last.failure_kind in _PROVIDERS_OWN:
        return Why(WaitCause.PROVIDER, stop.reason, last.provider)
    return Why(WaitCause.RETRY, stop.reason)


def why_unfinished(job: Job, *, outlived: bool) -> Why:
    """Why a job that was bought, or may have been, has not come to its end in this run."""
    if outlived:
        return Why(WaitCause.PERSON, ladder.outlived(job))
    reason = f"{job.provider} has not handed the clip over yet; the next run asks again"
    return Why(WaitCause.RESULT, reason, job.provider)


def _next_day() -> datetime:
    """When the next calendar day begins (UTC), and with it its budget."""
    return datetime.combine(datetime.now(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
