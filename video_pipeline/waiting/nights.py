"""Nights: the production days to score and the weeks to learn from by now, and which of those left out comes next."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from video_pipeline.days import day_at, strikes_at
from video_pipeline.ledger import Ledger, Wait, WaitCause, What, Why
from video_pipeline.policy import Policy
from video_pipeline.waiting.watch import is_rested

SCORING_HOUR = 2
"""At this hour the production day that has just ended is scored."""

LEARNING_HOUR = 6
"""At this hour of a Monday the week that has just ended is learned from."""


def nights_due(ledger: Ledger, policy: Policy, at: datetime) -> list[date]:
    """The days with work whose scoring was due by `at` and still counts, scored or not, oldest first.

    Those are as many as scores and standings look back on.
    """
    newest = _newest_night(at)
    return ledger.waits.days_with_work(newest - timedelta(days=policy.scoring.trailing_days - 1), newest)


def weeks_due(ledger: Ledger, policy: Policy, at: datetime) -> list[date]:
    """The Mondays of the weeks with work whose learning was due by `at`, oldest first.

    As far back as all nights of a week are due, and the last one always.
    """
    newest = day_at(at) - timedelta(days=day_at(at).weekday())
    while strikes_at(newest + timedelta(days=7), LEARNING_HOUR) > at:
        newest -= timedelta(days=7)
    oldest = newest
    # What is learned of a week is of all its nights, so those are due, too.
    while oldest - timedelta(days=7) > _newest_night(at) - timedelta(days=policy.scoring.trailing_days):
        oldest -= timedelta(days=7)
    days = ledger.waits.days_with_work(oldest, newest + timedelta(days=6))
    return sorted({day - timedelta(days=day.weekday()) for day in days})


def _newest_night(at: datetime) -> date:
    """The last day whose scoring was due by `at`."""
    newest = day_at(at)
    while strikes_at(newest + timedelta(days=1), SCORING_HOUR) > at:
        newest -= timedelta(days=1)
    return newest


def unscored_night(day: date, ended: Sequence[datetime], *, under_way_since: datetime | None = None) -> Wait:
    """A night that waits; `ended` are the ends of its runs, none of which has scored it."""
    due_at = strikes_at(day + timedelta(days=1), SCORING_HOUR)
    return _overdue("nightly_scoring", f"nightly scoring of {day}", day, due_at, ended, under_way_since)


def unlearned_week(week: date, ended: Sequence[datetime], *, under_way_since: datetime | None = None) -> Wait:
    """The same of the week that begins with `week`."""
    due_at = strikes_at(week + timedelta(days=7), LEARNING_HOUR)
    return _overdue("weekly_learning", f"weekly learning from {week}", week, due_at, ended, under_way_since)


def _overdue(
    job: str, subject: str, day: date, due_at: datetime, ended: Sequence[datetime], under_way_since: datetime | None
) -> Wait:
    reason = f"{len(ended)} runs of `{job}` have ended without all of it" if ended else f"no run of `{job}` was made"
    return Wait(
        What.NIGHT,
        subject,
        day,
        Why(WaitCause.RUN, reason, job),
        since=due_at,
        taken_up_at=under_way_since,
        tries=len(ended),
        # Its schedule has the first try.
        tried_at=max(ended, default=due_at),
    )


def next_night(nights: Sequence[Wait], backoff_s: Sequence[float], at: datetime) -> Wait | None:
    """The one of `nights`, in the order of their hours, to run now; none while one is under way.

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
