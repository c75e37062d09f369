"""One partition a production day, in UTC; the day is today, so every linked asset ends one partition later."""

from datetime import UTC, date, datetime

import dagster as dg

from video_pipeline.days import FIRST_DAY

DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)
# Weeks start on Monday; a week is learned from when it is over.
WEEKLY = dg.WeeklyPartitionsDefinition(start_date="2026-01-05", timezone="UTC", day_offset=1)


def day_of(partition_key: str) -> date:
    """The production day of a daily partition, or the first day of a weekly one."""
    return date.fromisoformat(partition_key)


def is_partition(day: date) -> bool:
    """Whether a production day can be run: none of before the first, and none to come."""
    return FIRST_DAY <= day <= datetime.now(UTC).date()


def trailing(days: int) -> dg.TimeWindowPartitionMapping:
    """The `days` days that end with the downstream's own; at the start of time there are fewer."""
    return dg.TimeWindowPartitionMapping(start_offset=-(days - 1), end_offset=0)


# Offsets count in the downstream's units: its own day before, and a week's own seven days.
DAY_BEFORE = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
OWN_WEEK = dg.TimeWindowPartitionMapping()
