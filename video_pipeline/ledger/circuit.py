"""The breaker as a state machine: what opens it, when it is probed, what closes it. Pure; no clock and no database.

closed -> open -> half-open -> closed, or open again for longer. `breakers.py` keeps the rows and counts the evidence.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from video_pipeline.intervals import wilson_interval
from video_pipeline.policy import BreakerCause, BreakerPolicy


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True)
class Trouble:
    """One failed conversation, after its retries: a submit that was turned away, or polls that were not answered."""

    provider: str
    model: str
    cause: BreakerCause
    job_key: str
    reason: str
    polling: bool = False


@dataclass(frozen=True)
class Breaker:
    """A row of `breakers`. Without `model` it is the provider's as a whole.

    `since` is when it came into its state, `opened_at` when it was first opened and not closed again since.
    `failed_jobs` have failed in a row, on `failed_models`. `openings` count until it has stayed closed for long.
    `seen` is the newest event of the ledger's jobs at the last failure: what came after it is news.
    """

    provider: str
    since: datetime
    model: str = ""
    state: BreakerState = BreakerState.CLOSED
    cause: BreakerCause | None = None
    polling: bool = False
    failed_jobs: tuple[str, ...] = ()
    failed_models: tuple[str, ...] = ()
    failed_at: datetime | None = None
    seen: int = 0
    openings: int = 0
    opened_at: datetime | None = None
    next_probe_at: datetime | None = None
    probes_left: int = 0
    probe_key: str | None = None
    reason: str = ""
    numbers: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def failures(self) -> int:
        """How many jobs have failed in a row."""
        return len(self.failed_jobs)

    @property
    def subject(self) -> str:
        """The model, or the provider as a whole."""
        return self.model or self.provider

    @property
    def why(self) -> str:
        """In words, for a decision and for people."""
        words = {
            BreakerCause.OUTAGE: "does not work",
            BreakerCause.CREDIT: "is out of credit",
            BreakerCause.AUTH: "refuses our key",
            BreakerCause.REFUSALS: "refuses too much",
            BreakerCause.SLOW: "is too slow",
        }
        return f"{self.subject} {words[self.cause]}" if self.cause else f"{self.subject} works"

    @property
    def sentence(self) -> str:
        """All of it in words: why, since when, and when it is probed."""
        since = f"{self.opened_at or self.since:%Y-%m-%d %H:%M} UTC"
        then = f"asked again from {self.next_probe_at:%H:%M:%S} UTC on" if self.next_probe_at else "not left alone"
        if self.state is BreakerState.HALF_OPEN:
            then = "one job is asking now"
        return f"{self.why} since {since} ({self.reason or 'no reason given'}); {then}"

    def is_due(self, now: datetime) -> bool:
        """Whether a probe may be sent now, if nobody else is sending one."""
        if self.state is BreakerState.HALF_OPEN:
            return self.probes_left > 0
        return self.state is BreakerState.OPEN and self.next_probe_at is not None and now >= self.next_probe_at


def failed(
    breaker: Breaker, trouble: Trouble, now: datetime, *, answered: bool, seen: int, rules: BreakerPolicy
) -> Breaker:
    """The breaker after a failure; `answered` says that it has worked since the failure before."""
    if breaker.state is BreakerState.HALF_OPEN:
        return _open(breaker, now, rules, seen=seen) if trouble.job_key == breaker.probe_key else breaker
    if breaker.state is BreakerState.OPEN or (trouble.job_key in breaker.failed_jobs and not answered):
        # Of a job that was on its way, or that every run meets anew: it says nothing new.
        return breaker
    window = timedelta(seconds=rules.failure_window_s)
    goes_on = (
        not answered
        and breaker.cause is trouble.cause
        and breaker.failed_at is not None
        and now - breaker.failed_at <= window
    )
    models, jobs = (breaker.failed_models, breaker.failed_jobs) if goes_on else ((), ())
    counted = replace(
        breaker,
        cause=trouble.cause,
        polling=trouble.polling or (goes_on and breaker.polling),
        failed_jobs=(*jobs, trouble.job_key),
        failed_models=tuple(sorted({*models, trouble.model})),
        failed_at=now,
        seen=seen,
        reason=trouble.reason,
        numbers={},
    )
    return _open(counted, now, rules, seen=seen) if _is_enough(counted, rules) else counted


def refused(
    breaker: Breaker, refusals: int, clips: int, now: datetime, *, seen: int, rules: BreakerPolicy
) -> Breaker:
    """A model's breaker after one more refusal: `refusals` of the last `clips`, each counted by its first attempt."""
    if breaker.state is not BreakerState.CLOSED:
        return breaker
    low, _ = wilson_interval(refusals, clips, confidence=rules.refusal_confidence)
    if low < rules.refusal_share:
        return breaker
    numbers = {"refusals": refusals, "clips": clips, "at_least": round(low, 4)}
    reason = f"{refusals} of {clips} clips refused, which is at least {low:.0%} of all"
    opened = replace(breaker, cause=BreakerCause.REFUSALS, reason=reason, numbers=numbers, failed_at=now)
    return _open(opened, now, rules, seen=seen)


def probing(breaker: Breaker, job_key: str, now: datetime, rules: BreakerPolicy) -> Breaker:
    """Half-open, with `job_key` as its probe; only for one that `is_due`."""
    if breaker.state is BreakerState.OPEN:
        half_open = replace(breaker, state=BreakerState.HALF_OPEN, since=now)
        return replace(half_open, probes_left=rules.probes - 1, probe_key=job_key)
    return replace(breaker, probes_left=breaker.probes_left - 1, probe_key=job_key)


def answered(breaker: Breaker, good: int, bad: int, now: datetime, *, seen: int, rules: BreakerPolicy) -> Breaker:
    """The breaker after `good` and `bad` answers that are news to it; only refusals have bad ones."""
    if breaker.state is BreakerState.CLOSED:
        return breaker
    if breaker.cause is BreakerCause.REFUSALS:
        if bad:
            return _open(breaker, now, rules, seen=seen)
        return _closed(breaker, now) if good >= rules.probes else breaker
    return _closed(breaker, now) if good else breaker


def exhausted(breaker: Breaker, now: datetime, rules: BreakerPolicy) -> Breaker:
    """Open again, for as long as before: its probes have come to nothing, neither good nor bad."""
    return _opened(breaker, now, rules, openings=breaker.openings)


def absorbed(breaker: Breaker, now: datetime) -> Breaker:
    """A model's breaker when its provider's was opened by the same outage: what failed is not the model's."""
    return replace(_closed(breaker, now), reason=f"it is {breaker.provider} as a whole")


def wait_s(cause: BreakerCause, openings: int, rules: BreakerPolicy) -> float:
    """Seconds from the `openings`-th opening to its probe; twice as long each time, up to a limit."""
    return min(rules.longest_wait_s[cause], rules.first_wait_s[cause] * 2 ** min(openings - 1, 40))


def _is_enough(breaker: Breaker, rules: BreakerPolicy) -> bool:
    # One model that fails is that model's matter; a top-up is the account's, and a key may be good for other models.
    several = len(breaker.failed_models) > 1
    match breaker.cause:
        case BreakerCause.CREDIT:
            return not breaker.model
        case BreakerCause.AUTH:
            return bool(breaker.model) or several
        case BreakerCause.SLOW:
            return bool(breaker.model) and breaker.failures >= rules.slow_jobs
        case _:
            return (bool(breaker.model) or several) and breaker.failures >= rules.outage_failures


def _open(breaker: Breaker, now: datetime, rules: BreakerPolicy, *, seen: int) -> Breaker:
    assert breaker.cause is not None, "something has opened it"
    openings = breaker.openings
    if breaker.state is BreakerState.CLOSED:
        # One that opens again soon after it was closed is flapping: its waits go on growing.
        calm = timedelta(seconds=rules.longest_wait_s[breaker.cause])
        openings = 0 if now - breaker.since > calm else openings
        breaker = replace(breaker, opened_at=now)
    return _opened(replace(breaker, seen=seen), now, rules, openings=openings + 1)


def _opened(breaker: Breaker, now: datetime, rules: BreakerPolicy, *, openings: int) -> Breaker:
    assert breaker.cause is not None, "something has opened it"
    return replace(
        breaker,
        state=BreakerState.OPEN,
        since=now,
        openings=openings,
        next_probe_at=now + timedelta(seconds=wait_s(breaker.cause, openings, rules)),
        probes_left=0,
        probe_key=None,
    )


def _closed(breaker: Breaker, now: datetime) -> Breaker:
    return replace(
        breaker,
        state=BreakerState.CLOSED,
        cause=None,
        polling=False,
        since=now,
        failed_jobs=(),
        failed_models=(),
        failed_at=None,
        next_probe_at=None,
        probes_left=0,
        probe_key=None,
        reason="",
        numbers={},
    )
