"""The production day: which there are, which it is, and when one begins.

A process is in one time zone, which its settings name. All that is a day to people goes by it: production days and
the inbox's folders, the day that a ceiling holds for, the hour of the night. Moments are in UTC everywhere.
"""

from datetime import UTC, date, datetime, time, tzinfo
from zoneinfo import ZoneInfo

FIRST_DAY = date(2026, 1, 1)
"""The first production day that can be run."""

_in_use: list[tzinfo] = [UTC]


def use_zone(name: str) -> None:
    """From now on this process is in the zone of this IANA name. Raises ValueError when there is none."""
    _in_use[0] = zone_of(name)


def zone_of(name: str) -> tzinfo:
    """Raises ValueError when no zone has this IANA name."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write it like Europe/Berlin") from None


def zone_name() -> str:
    """The name of the zone that this process is in."""
    return str(_in_use[0])


def day_at(moment: datetime) -> date:
    """The day that it is at `moment`, which knows its own offset."""
    return moment.astimezone(_in_use[0]).date()


def today() -> date:
    """The day that it is now."""
    return day_at(datetime.now(UTC))


def begins_at(day: date) -> datetime:
    """When `day` begins, in UTC."""
    return datetime.combine(day, time(), _in_use[0]).astimezone(UTC)


def strikes_at(day: date, hour: int) -> datetime:
    """When a schedule of `day` at that full hour runs, in UTC.

    Of an hour that is there twice as the clocks go back, that is the second; one that is left out is an hour later.
    """
    clock = datetime.combine(day, time(hour), _in_use[0])
    return max(clock.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def named(day: date) -> str:
    """The day as people are told of it, with its zone where that is not UTC."""
    return str(day) if zone_name() == "UTC" else f"{day} ({zone_name()})"
