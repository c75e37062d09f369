"""Schedules, in the time zone of production days. Off until switched on: a new machine starts nothing by itself."""

from datetime import timedelta

import dagster as dg

from video_pipeline.defs.jobs import nightly_scoring, weekly_learning
from video_pipeline.defs.partitions import DAILY
from video_pipeline.waiting import LEARNING_HOUR, SCORING_HOUR


@dg.schedule(cron_schedule=f"0 {SCORING_HOUR} * * *", job=nightly_scoring, execution_timezone=DAILY.timezone)
def nightly_scoring_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """At 02:00, score the production day that has just ended."""
    day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
    return dg.RunRequest(run_key=f"nightly-{day}", partition_key=day)


@dg.schedule(cron_schedule=f"0 {LEARNING_HOUR} * * 1", job=weekly_learning, execution_timezone=DAILY.timezone)
def weekly_learning_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """On Monday at 06:00, learn from the week that has just ended."""
    week = (context.scheduled_execution_time - timedelta(days=7)).date().isoformat()
    return dg.RunRequest(run_key=f"weekly-{week}", partition_key=week)


ALL = [nightly_scoring_schedule, weekly_learning_schedule]
