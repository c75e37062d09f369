"""One partition a production day; the day is today, so every linked asset ends one partition later."""

from datetime import date

import dagster as dg

from video_pipeline.days import FIRST_DAY, today
from video_pipeline.settings import get_settings

# Dagster has to know it when assets are declared. It is read and not kept, so that settings are read when asked for.
_ZONE = get_settings.__wrapped__().time_zone

DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone=_ZONE, end_offset=1)
# Weeks start on Monday; a week is learned from when it is over.
WEEKLY = dg.WeeklyPartitionsDefinition(start_date="2026-01-05", timezone=_ZONE, day_offset=1)


def day_of(partition_key: str) -> date:
    """The production day of a daily partition, or the first day of a weekly one."""
    return date.fromisoformat(partition_key)


def is_partition(day: date) -> bool:
    """Whether a production day can be run: none of before the first, and none to come."""
    return FIRST_DAY <= day <= today()


def trailing(count: int) -> dg.TimeWindowPartitionMapping:
    """The `count` days, or weeks, that end with the downstream's own; at the start of time there are fewer."""
    return dg.TimeWindowPartitionMapping(start_offset=-(count - 1), end_offset=0)


# Offsets count in the downstream's units: its own day before, and a week's own seven days.
DAY_BEFORE = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
OWN_WEEK = dg.TimeWindowPartitionMapping()
