"""Sensors: they start runs, explain and alert. None is a safety: the hard stop is the budget guard in the engine."""

from collections import Counter

import dagster as dg

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import arrived_days, inbox_left_out, said_of, unread
from video_pipeline.days import day_at, named, today
from video_pipeline.defs import messages
from video_pipeline.defs.dead_runs import days_under_way, end_dead_runs
from video_pipeline.defs.external import is_news, routing_policy_materialization
from video_pipeline.defs.jobs import cost_drift, nightly_scoring, production_day, weekly_learning
from video_pipeline.defs.nights import unscored_nights
from video_pipeline.defs.partitions import is_partition
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.services import Inbox
from video_pipeline.waiting import look, next_night

# Dagster ends an evaluation after 60 s, and the last message may take 20 more than this.
_DELIVERING_S = 20.0


@dg.sensor(job=production_day, minimum_interval_seconds=5)
def brief_arrival_sensor(
    context: dg.SensorEvaluationContext, inbox: dg.ResourceParam[Inbox], ledger: dg.ResourceParam[Ledger]
) -> dg.SensorResult | dg.SkipReason:
    """Briefs have arrived in the inbox: run today's production day."""
    day = today()
    arrived = arrived_days(
        inbox.folder,
        day,
        claimed=ledger.intake.claimed_files(),
        taken_in=ledger.waits.taken_in(),
        only=day,
        settle_s=inbox.settle_s,
    )
    fingerprint = arrived.get(day)
    if fingerprint is None:
        beside = said_of(unread(inbox.folder, day, only=day, settle_s=inbox.settle_s, watched=True))
        none = f"No briefs for {named(day)} in {inbox.folder} that are complete and not taken in."
        return dg.SkipReason(" ".join([none, *beside]))
    run_key = f"briefs-{day}-{fingerprint[:16]}"
    if context.cursor == run_key:
        return dg.SkipReason(f"A run for the new briefs of {day} was asked for already.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=run_key, partition_key=day.isoformat())], cursor=run_key
    )


@dg.sensor(job=cost_drift, minimum_interval_seconds=60)
def cost_drift_sensor(
    context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger]
) -> dg.SensorResult | dg.SkipReason:
    """A cost report is new: judge the drift. Also logs a routing policy that was changed by hand."""
    in_force = routing_policy_materialization(ledger)
    asset_events = [in_force] if is_news(context.instance, in_force) else []
    after = int(context.cursor) if context.cursor else None
    new = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey("cost_report"), after_storage_id=after), limit=50, ascending=True
    ).records
    days = sorted({record.partition_key for record in new if record.partition_key})
    if not days and not asset_events:
        return dg.SkipReason("There is no new cost report.")
    cursor = str(new[-1].storage_id) if new else context.cursor
    requests = [dg.RunRequest(run_key=f"drift-{day}-{cursor}", partition_key=day) for day in days]
    return dg.SensorResult(run_requests=requests, cursor=cursor, asset_events=asset_events)


@dg.sensor(minimum_interval_seconds=60, target=dg.AssetSelection.assets("generated_clips"))
def spend_ceiling_sensor(
    context: dg.SensorEvaluationContext,
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
) -> dg.SkipReason:
    """Says how much of today's ceiling is committed; alerts once at the alert share and once at the ceiling."""
    day = today()
    budget = policy.budget
    committed = ledger.spend.committed_usd(day)
    share = float(committed / budget.daily_ceiling_usd)
    said = messages.committed_today(day, committed, budget.daily_ceiling_usd)
    if share >= 1:
        notifier.notify(messages.ceiling_reached(day, said))
    elif share >= budget.alert_share:
        notifier.notify(messages.ceiling_near(day, said))
    return dg.SkipReason(f"{said}.")


@dg.sensor(jobs=[production_day, nightly_scoring, weekly_learning], minimum_interval_seconds=30)
def night_watch(
    context: dg.SensorEvaluationContext,
    inbox: dg.ResourceParam[Inbox],
    ledger: dg.ResourceParam[Ledger],
    policy: dg.ResourceParam[Policy],
    notifier: dg.ResourceParam[Notifier],
) -> dg.SensorResult | dg.SkipReason:
    """Runs the days on which something waits that can go on now, whatever their age, and missed nights and weeks.

    It frees dead runs' places. The ledger knows what waits, also of runs that were killed; which days are not scored,
    Dagster knows. Stuck work and silence are alerted.
    """
    ended = end_dead_runs(context.instance, ledger)
    ledger.run_beats.forget()
    outlook = look(ledger, policy, inbox.folder)
    if left_out := unread(inbox.folder, day_at(outlook.at), settle_s=inbox.settle_s).left_out:
        notifier.notify(inbox_left_out(left_out))
    last = ledger.jobs.last_finished_at()
    if last is not None and (outlook.at - last).total_seconds() > policy.alerts.silence_after_s:
        notifier.notify(messages.silence(day_at(outlook.at), last))
    under_way = days_under_way(context.instance, production_day.name, ledger.run_beats.last())
    # A day that cannot be run has files that nobody takes in.
    stuck = outlook.stuck(policy.alerts.stuck_after_s, under_way=under_way)
    stuck = [wait for wait in stuck if is_partition(wait.day)]
    if stuck:
        notifier.notify(messages.work_stuck(outlook.at, stuck))
    due = outlook.due(policy.watch.backoff_s, among=lambda day: day not in under_way and is_partition(day))
    nights = unscored_nights(context.instance, ledger, policy, outlook.at)
    places = policy.watch.runs_at_once - len(under_way) - sum(night.taken_up_at is not None for night in nights)
    # Before the days, which may be many for long; it takes one place of theirs at most.
    night = next_night(nights, policy.watch.backoff_s, outlook.at) if places > 0 else None
    days = list(due)[: max(0, places - (night is not None))]
    ledger.waits.tried([wait for day in days for wait in due[day]])
    said = messages.what_waits(
        Counter(outlook.counts) + Counter(night.cause for night in nights),
        days,
        len(due) - len(days),
        [run.run_id for run in ended],
        night=night,
    )
    if not days and night is None:
        return dg.SkipReason(said)
    context.log.info(said)
    moment = f"{outlook.at:%Y%m%dT%H%M%S}"
    wanted = [(night.why.hinges_on, night.day)] if night else []
    wanted += [(production_day.name, day) for day in days]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"watch-{job}-{day}-{moment}", job_name=job, partition_key=day.isoformat())
            for job, day in wanted
        ]
    )


@dg.sensor(minimum_interval_seconds=30)
def alert_outbox_sensor(context: dg.SensorEvaluationContext, notifier: dg.ResourceParam[Notifier]) -> dg.SkipReason:
    """Delivers the alerts that other processes have left, as theirs ended or their channels were down."""
    progress = notifier.deliver(_DELIVERING_S)
    return dg.SkipReason(f"{progress.messages} messages went out or were tried; {progress.waiting} alerts wait.")


@dg.run_failure_sensor(monitor_all_code_locations=False)
def run_failure_alert(context: dg.RunFailureSensorContext, notifier: dg.ResourceParam[Notifier]) -> None:
    """A run has failed, which no bad clip can cause: somebody should look."""
    run = context.dagster_run
    partition = run.tags.get("dagster/partition", "no partition")
    reason = context.failure_event.message or "no reason was given"
    notifier.notify(messages.run_failed(run.run_id, run.job_name, partition, reason))


ALL = [
    brief_arrival_sensor,
    cost_drift_sensor,
    spend_ceiling_sensor,
    night_watch,
    alert_outbox_sensor,
    run_failure_alert,
]
