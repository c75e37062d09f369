"""Nights: the production days that ought to be scored by now, and which of those that are not comes next."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from video_pipeline.ledger import Ledger, Wait, WaitCause, What, Why
from video_pipeline.policy import Policy
from video_pipeline.waiting.watch import is_rested

SCORING_HOUR = 2
"""At this hour, in UTC, the production day that has just ended is scored."""


def nights_due(ledger: Ledger, policy: Policy, at: datetime) -> list[date]:
    """The days with work whose scoring was due by `at` and still counts, scored or not, oldest first.

    Those are as many as scores and standings look back on.
    """
    newest = (at - timedelta(hours=SCORING_HOUR)).date() - timedelta(days=1)
    return ledger.waits.days_with_work(newest - timedelta(days=policy.scoring.trailing_days - 1), newest)


def unscored_night(day: date, ended: Sequence[datetime], *, under_way_since: datetime | None = None) -> Wait:
    """A night that waits; `ended` are the ends of its runs, none of which has scored it."""
    due_at = datetime.combine(day + timedelta(days=1), time(SCORING_HOUR), UTC)
    return Wait(
        What.NIGHT,
        f"nightly scoring of {day}",
        day,
        Why(WaitCause.RUN, f"{len(ended)} runs have ended without scoring it" if ended else "no run has scored it"),
        since=due_at,
        taken_up_at=under_way_since,
        tries=len(ended),
        # Its schedule has the first try.
        tried_at=max(ended, default=due_at),
    )


def next_night(nights: Sequence[Wait], backoff_s: Sequence[float], at: datetime) -> Wait | None:
    """The one of `nights`, oldest first, to score now; none while one is under way.

    A night that has failed holds later ones up, as standings build on the day before, until it is tried no more
    often than the backoff's last pause says.
    """
    if any(night.taken_up_at is not None for night in nights):
        return None
    for night in nights:
        if is_rested(night, backoff_s, at):
            return night
        if night.tries < len(backoff_s):
            return None
    return None
