"""The night watch's look at the ledger and the inbox: what waits, what of it can go on, and which days to run."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from video_pipeline.briefs import arrived_days, files_by_day
from video_pipeline.days import day_at
from video_pipeline.ledger import Ledger, TierState, Wait, WaitCause, What, Why, breaker_of
from video_pipeline.policy import Policy
from video_pipeline.waiting.outlook import Now, is_closed, may_go_on


@dataclass(frozen=True)
class Outlook:
    """What waits at `at`: what a run of its day could bring on, and what it could not."""

    at: datetime
    can: tuple[Wait, ...]
    cannot: tuple[Wait, ...]

    @property
    def counts(self) -> Mapping[WaitCause, int]:
        """Cause -> how many things wait for it."""
        return Counter(wait.cause for wait in (*self.can, *self.cannot))

    def days(self) -> list[date]:
        """The days that can go on, oldest first, whenever they were tried last."""
        return sorted({wait.day for wait in self.can})

    def due(self, backoff_s: Sequence[float], *, among: Callable[[date], bool]) -> dict[date, list[Wait]]:
        """The days of `among` to run now and what for, those first that were tried least, then the oldest.

        What has said the same again after a run is left alone for a while, and keeps no other thing waiting.
        """
        due: dict[date, list[Wait]] = {}
        for wait in self.can:
            if among(wait.day) and is_rested(wait, backoff_s, self.at):
                due.setdefault(wait.day, []).append(wait)
        order = sorted(due, key=lambda day: (min(wait.tries for wait in due[day]), day))
        return {day: due[day] for day in order}

    def stuck(self, after_s: float, *, under_way: Collection[date]) -> list[Wait]:
        """What could have gone on for `after_s` seconds, and nobody has moved it or said why it waits."""
        limit = self.at - timedelta(seconds=after_s)
        return [
            wait
            for wait in self.can
            if wait.day not in under_way and wait.woken_at is not None and wait.woken_at < limit
        ]


def is_rested(wait: Wait, backoff_s: Sequence[float], at: datetime) -> bool:
    """Whether its last try is so long ago that it may be tried again at `at`."""
    if wait.tried_at is None:
        return True
    # Also what a run has brought on to another cause: it had its run just now.
    pause_s = backoff_s[min(max(wait.tries, 1), len(backoff_s)) - 1]
    return wait.tried_at + timedelta(seconds=pause_s) <= at


def look(ledger: Ledger, policy: Policy, inbox: Path, *, at: datetime | None = None) -> Outlook:
    """What waits, and what of it can go on; notes files that nobody has taken in, and since when things can go on."""
    at = at or datetime.now(UTC)
    ledger.waits.adopt()
    waits = ledger.waits.all()
    claimed, taken_in = ledger.intake.claimed_files(), ledger.waits.taken_in()
    arrived = arrived_days(inbox, day_at(at), claimed=claimed, taken_in=taken_in, settle_s=policy.intake.settle_s)
    if _note_arrivals(ledger, inbox, arrived, waits):
        waits = ledger.waits.all()
    over = {wait.day for wait in waits if wait.why.cause is WaitCause.CEILING and wait.why.hinges_on == "plan"}
    # The days over the cap of a plan of which files that were taken in are gone, or are other ones.
    thinner = frozenset(
        day
        for day in over
        if set(taken_in.get(day) or ()).difference(files_by_day(inbox, day_at(at), claimed, only=day).get(day, ()))
    )
    now = replace(_stand(ledger, policy, at), thinner=thinner)
    can: list[Wait] = []
    cannot: list[Wait] = []
    for wait in waits:
        if is_closed(wait, now):
            # While only probes were let through, its tries said nothing of it.
            wait = replace(wait, tries=min(wait.tries, 1))
        (can if may_go_on(wait, now) else cannot).append(wait)
    ledger.waits.woken(can, cannot)
    return Outlook(at, tuple(can), tuple(cannot))


def _stand(ledger: Ledger, policy: Policy, at: datetime) -> Now:
    states = ledger.governance.tier_states()
    left_alone = ledger.breakers.not_closed()
    for one in left_alone:
        # It is closed by whoever asks and finds that its jobs have come to a good end; that may be nobody else.
        ledger.breakers.in_the_way(one.provider, one.model, policy.breaker)
    if left_alone:
        left_alone = ledger.breakers.not_closed()
    return Now(
        at=at,
        standing=ledger.waits.standing(),
        committed_usd=ledger.spend.committed_usd(day_at(at)),
        ceiling_usd=policy.budget.daily_ceiling_usd,
        plan_cap_usd=policy.budget.plan_cap_usd,
        frozen=frozenset(tier for tier, change in states.items() if change.state is TierState.FROZEN),
        left_alone=frozenset(breaker_of(one.subject) for one in left_alone),
        routing=ledger.governance.version(),
    )


def _note_arrivals(ledger: Ledger, inbox: Path, arrived: Mapping[date, str], waits: Sequence[Wait]) -> bool:
    """A row for each day whose files have arrived or changed since it was taken in, and for no other.

    Whether that changed anything in `waits`.
    """
    known = {wait.subject: wait.why.hinges_on for wait in waits if wait.what is What.INTAKE}
    gone = [subject for subject in known if date.fromisoformat(subject) not in arrived]
    ledger.waits.end(What.INTAKE, gone)
    reason = f"files in {inbox} are new or changed, and no run has taken them in"
    new = [
        Wait(What.INTAKE, day.isoformat(), day, Why(WaitCause.RUN, reason, fingerprint))
        for day, fingerprint in arrived.items()
        if known.get(day.isoformat()) != fingerprint
    ]
    ledger.waits.note(new)
    return bool(gone or new)
