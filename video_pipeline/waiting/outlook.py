"""Whether something that waits may go on now: a pure function of its cause and of what that hinges on."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from video_pipeline.ledger import BREAKER, Standing, Wait, WaitCause, What


@dataclass(frozen=True)
class Now:
    """All that waits hinge on, as it stands at `at`: money in US dollars, `frozen` tiers, the version of routing.

    `left_alone` are the breakers that are not closed, as waits name them. `thinner` are the days of which files that
    were taken in are gone, or are other ones.
    """

    at: datetime
    standing: Standing = field(default_factory=Standing)
    committed_usd: Decimal = Decimal(0)
    ceiling_usd: Decimal = Decimal(0)
    plan_cap_usd: Decimal = Decimal(0)
    frozen: frozenset[str] = frozenset()
    left_alone: frozenset[str] = frozenset()
    routing: str = ""
    thinner: frozenset[date] = frozenset()


def may_go_on(wait: Wait, now: Now) -> bool:
    """Whether a run of its day, now, could bring it on."""
    why, standing = wait.why, now.standing
    if wait.taken_up_at is not None:
        return wait.subject not in standing.at_work
    match why.cause:
        case WaitCause.CEILING:
            # What is left of a plan that has lost briefs costs less than was noted; its next run says how much.
            thinner = why.hinges_on == "plan" and wait.day in now.thinner
            return thinner or _fits(why.usd or Decimal(0), why.hinges_on, now)
        case WaitCause.FROZEN:
            return why.hinges_on not in now.frozen or _is_over(why.until, now)
        case WaitCause.MODEL:
            return why.hinges_on != now.routing or _is_over(why.until, now)
        case WaitCause.PERSON:
            return _is_answered(wait, standing)
        case WaitCause.LEASE:
            return wait.subject not in standing.at_work
        case WaitCause.TWIN:
            return why.hinges_on not in standing.jobs_open
        case WaitCause.PROVIDER:
            return _is_served(wait, now)
        case WaitCause.PRICE | WaitCause.QUOTA | WaitCause.RESULT | WaitCause.RETRY | WaitCause.RUN:
            return why.until is None or _is_over(why.until, now)


def _fits(usd: Decimal, ceiling: str, now: Now) -> bool:
    if ceiling == "plan":
        return usd <= now.plan_cap_usd
    return now.committed_usd + usd <= now.ceiling_usd


def _is_answered(wait: Wait, standing: Standing) -> bool:
    """Whether the person has answered; a brief that has to be changed goes on when its file arrives anew."""
    if wait.why.hinges_on == "brief":
        return False
    return wait.subject not in (standing.in_doubt if wait.what is What.PUBLICATION else standing.asked)


def _is_served(wait: Wait, now: Now) -> bool:
    """Whether some adequate model may be asked again: from `until` on, and where nobody knows, by backoff.

    A breaker may close before that, by a job of another clip.
    """
    return is_closed(wait, now) or wait.why.until is None or _is_over(wait.why.until, now)


def is_closed(wait: Wait, now: Now) -> bool:
    """Whether it waits for a breaker that is closed by now."""
    hinges_on = wait.why.hinges_on
    waits = wait.why.cause is WaitCause.PROVIDER and hinges_on.startswith(BREAKER)
    return waits and hinges_on not in now.left_alone


def _is_over(until: datetime | None, now: Now) -> bool:
    return until is not None and until <= now.at
