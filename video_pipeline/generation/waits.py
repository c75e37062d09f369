"""Why a clip waits, for whoever wakes it: each sentence with its cause, and with what that hinges on."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from video_pipeline.days import begins_at, today
from video_pipeline.generation import ladder
from video_pipeline.generation.serving import Unserved
from video_pipeline.ledger import Hold, Job, Ledger, Reservation, TierState, WaitCause, Why, breaker_of
from video_pipeline.routing import ClipPlan, OverCap


def why_held(ledger: Ledger, plan: ClipPlan) -> Why:
    """Why a plan is held: its tier is frozen, no model can serve one of its shots, or it costs less later."""
    held = next(decision for decision in plan.decisions if decision.held)
    states = ledger.governance.tier_states()
    change = states.get(held.tier)
    if change is not None and change.state is TierState.FROZEN:
        return Why(WaitCause.FROZEN, held.held or "", held.tier)
    if held.until is not None:
        return Why(WaitCause.PRICE, held.held or "", held.model or "", until=held.until)
    return Why(WaitCause.MODEL, held.held or "", ledger.governance.version(), until=_next_day())


def why_over_cap(over: OverCap) -> Why:
    """Why nothing of a day's plan is bought."""
    return Why(WaitCause.CEILING, over.reason, "plan", over.to_buy_usd)


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


def why_stopped(stop: ladder.Stop) -> Why:
    """Why a shot has no next step in this run."""
    return Why(WaitCause.PERSON if stop.person else WaitCause.RETRY, stop.reason)


def why_unserved(unserved: Unserved, gone: Sequence[Job]) -> Why:
    """Why no model can serve a shot now; a person is asked where it has paid for jobs that are `gone`."""
    if gone:
        return Why(WaitCause.PERSON, ladder.outlived(gone[0]))
    if unserved.person:
        return Why(WaitCause.PERSON, unserved.reason)
    hinges_on = breaker_of(unserved.breaker) if unserved.breaker else unserved.provider
    return Why(WaitCause.PROVIDER, unserved.reason, hinges_on, until=unserved.until)


def why_unfinished(job: Job, *, outlived: bool, look_again_at: datetime | None) -> Why:
    """Why a job that was bought, or may have been, has not come to its end in this run.

    `look_again_at` is there when its provider does not answer.
    """
    if outlived:
        return Why(WaitCause.PERSON, ladder.outlived(job))
    if look_again_at is not None:
        reason = f"{job.provider} does not tell what became of its job; it is asked again"
        return Why(WaitCause.PROVIDER, reason, job.provider, until=look_again_at)
    reason = f"{job.provider} has not handed the clip over yet; the next run asks again"
    return Why(WaitCause.RESULT, reason, job.provider)


def _next_day() -> datetime:
    """When the next calendar day begins, and with it its budget."""
    return begins_at(today() + timedelta(days=1))
