"""What sensors tell people: an alert for each thing that is wrong with a day, a run or the pipeline."""

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal

from video_pipeline.alerts import Alert


def committed_today(day: date, committed_usd: Decimal, ceiling_usd: Decimal) -> str:
    """How much of the ceiling of `day` is committed, without a full stop."""
    share = committed_usd / ceiling_usd
    return f"${committed_usd:.2f} of ${ceiling_usd} ({share:.0%}) is committed on {day}"


def ceiling_reached(day: date, said: str) -> Alert:
    """All of what a day may cost is committed; `said` is `committed_today`'s."""
    cause, title = f"ceiling reached {day}", "The daily ceiling is reached"
    return Alert(cause, title, f"{said}. Nothing is bought.", severity="critical")


def ceiling_near(day: date, said: str) -> Alert:
    """Most of what a day may cost is committed; `said` is `committed_today`'s."""
    return Alert(f"ceiling near {day}", "The daily ceiling is near", f"{said}.", severity="warning")


def silence(today: date, last_finished: datetime) -> Alert:
    """No job has finished for long; once a day."""
    text = f"No job has finished since {last_finished:%Y-%m-%d %H:%M} UTC."
    return Alert(f"silence {today}", "The pipeline is silent", text, severity="warning")


def work_stuck(today: date, days: Collection[date], since: datetime) -> Alert:
    """Production days that nobody moves; once a day for the same ones."""
    shown = ", ".join(str(day) for day in sorted(days))
    text = f"Work on {shown} has not moved since {since:%H:%M} UTC; it is continued."
    return Alert(f"stuck {shown} {today}", "Work is stuck", text, severity="warning")


def run_failed(run_id: str, job: str, partition: str, reason: str) -> Alert:
    """A run has failed, which no bad clip can cause; once a run."""
    text = f"{job} ({partition}), run {run_id[:8]}: {reason}"
    return Alert(f"run {run_id}", "A run failed", text, severity="critical")
