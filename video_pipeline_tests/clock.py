"""The production day of the tests: one for as long as a process of theirs runs, whatever midnight it passes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from video_pipeline import days

_LAST_MOMENT = days.begins_at(days.today() + timedelta(days=1)) - timedelta(microseconds=1)

ZONE = "Etc/GMT+12" if _LAST_MOMENT - datetime.now(UTC) < timedelta(hours=3) else "UTC"
"""The time zone of houses that run in processes of their own, whose clock nobody stops: midnight is far there."""


class _Clock(datetime):
    """What `days` takes for the time; it gives plain moments."""

    combine = staticmethod(datetime.combine)  # pyright: ignore[reportAssignmentType]

    @classmethod
    def now(cls, tz: object = UTC) -> datetime:  # pyright: ignore[reportIncompatibleMethodOverride]
        return min(datetime.now(UTC), _LAST_MOMENT)


def stay_in_the_day() -> None:
    """From now on `days.today()` is the day that this module was imported on."""
    days.datetime = _Clock


def today() -> date:
    """The production day in `ZONE`."""
    return datetime.now(ZoneInfo(ZONE)).date()
