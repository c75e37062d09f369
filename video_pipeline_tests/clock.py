"""The production day of the tests, which may run past midnight: none of them begins right before it."""

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from video_pipeline import days

# No test of a day takes longer. What began on one day and went on on the next would fail for that.
_LONGEST = timedelta(minutes=3)

ZONE = "Etc/GMT+12" if datetime.now(UTC).hour >= 21 else "UTC"
"""The time zone of houses that run in processes of their own for many minutes: midnight is far there."""


def today() -> date:
    """The production day in `ZONE`."""
    return datetime.now(ZoneInfo(ZONE)).date()


def wait_for_midnight() -> None:
    """Wait it out where a test that begins now would not end before."""
    left = days.begins_at(days.today() + timedelta(days=1)) - datetime.now(UTC)
    if left < _LONGEST:
        time.sleep(left.total_seconds() + 0.01)
