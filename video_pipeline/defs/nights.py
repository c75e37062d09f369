"""Which nights were never scored, as Dagster's own records tell: nothing of it is remembered elsewhere."""

from datetime import UTC, date, datetime

import dagster as dg

from video_pipeline.defs.jobs import nightly_scoring
from video_pipeline.defs.partitions import is_partition
from video_pipeline.ledger import Ledger, Wait
from video_pipeline.policy import Policy
from video_pipeline.waiting import nights_due, unscored_night

# What a night comes to; all else of it is upstream of these.
ENDS = ("tier_status", "model_standings")


def unscored_nights(instance: dg.DagsterInstance, ledger: Ledger, policy: Policy, at: datetime) -> list[Wait]:
    """The nights that were due by `at` and are not scored, oldest first; taken up where a run is under way."""
    due = [day for day in nights_due(ledger, policy, at) if is_partition(day)]
    if not due:
        return []
    scored = set[str].intersection(*(instance.get_materialized_partitions(dg.AssetKey(end)) for end in ENDS))
    return [_unscored(instance, day) for day in due if day.isoformat() not in scored]


def _unscored(instance: dg.DagsterInstance, day: date) -> Wait:
    own = dg.RunsFilter(job_name=nightly_scoring.name, tags={"dagster/partition": day.isoformat()})
    records = instance.get_run_records(own)
    return unscored_night(
        day,
        # One that has succeeded in part, or whose outcome was wiped, has had its try.
        [_ended_at(record) for record in records if record.dagster_run.is_finished],
        under_way_since=min(
            (record.create_timestamp for record in records if not record.dagster_run.is_finished), default=None
        ),
    )


def _ended_at(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp
