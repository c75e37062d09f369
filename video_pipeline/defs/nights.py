"""Which nights and weeks were left out, as Dagster's own records tell: nothing of it is remembered elsewhere."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import dagster as dg

from video_pipeline.defs.jobs import nightly_scoring, weekly_learning
from video_pipeline.defs.partitions import is_partition
from video_pipeline.ledger import Ledger, Wait
from video_pipeline.policy import Policy
from video_pipeline.waiting import nights_due, unlearned_week, unscored_night, weeks_due

# What a night and a week come to; all else of them is upstream of these.
ENDS = ("tier_status", "model_standings")
WEEK_ENDS = ("weekly_cost_report", "style_affinity", "editorial_patterns")


def unscored_nights(instance: dg.DagsterInstance, ledger: Ledger, policy: Policy, at: datetime) -> list[Wait]:
    """The nights, and weeks, that were due by `at` and have not come to their ends, in the order of their hours.

    Taken up where a run is under way.
    """
    nights = [day for day in nights_due(ledger, policy, at) if is_partition(day)]
    # The week in which time began has no partition.
    weeks = [week for week in weeks_due(ledger, policy, at) if is_partition(week)]
    return sorted(
        [
            *_left_out(instance, nightly_scoring.name, nights, ENDS, unscored_night),
            *_left_out(instance, weekly_learning.name, weeks, WEEK_ENDS, unlearned_week),
        ],
        key=lambda wait: wait.since or at,
    )


def _left_out(
    instance: dg.DagsterInstance, job: str, due: Sequence[date], ends: Sequence[str], waiting: Callable[..., Wait]
) -> list[Wait]:
    if not due:
        return []
    done = set[str].intersection(*(instance.get_materialized_partitions(dg.AssetKey(end)) for end in ends))
    return [_waiting(instance, job, day, waiting) for day in due if day.isoformat() not in done]


def _waiting(instance: dg.DagsterInstance, job: str, day: date, waiting: Callable[..., Wait]) -> Wait:
    own = dg.RunsFilter(job_name=job, tags={"dagster/partition": day.isoformat()})
    records = instance.get_run_records(own)
    return waiting(
        day,
        # One that has succeeded in part, or whose outcome was wiped, has had its try.
        [_ended_at(record) for record in records if record.dagster_run.is_finished],
        under_way_since=min(
            (record.create_timestamp for record in records if not record.dagster_run.is_finished), default=None
        ),
    )


def _ended_at(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp
