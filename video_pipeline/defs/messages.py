"""What sensors tell people: an alert for each thing that is wrong with a day, a run or the pipeline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from video_pipeline.alerts import Alert
from video_pipeline.days import day_at
from video_pipeline.defs.beside import listed
from video_pipeline.ledger import Wait, WaitCause

_SHOWN = 10


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


def over_cap(day: date, said: str) -> Alert:
    """A day that has begun is expected to cost more than a plan may; `said` is the refusal."""
    return Alert(f"over the cap {day}", "A day's plan is over the cap", said, severity="critical")


def silence(today: date, last_finished: datetime) -> Alert:
    """No job has finished for long; once a day."""
    text = f"No job has finished since {last_finished:%Y-%m-%d %H:%M} UTC."
    return Alert(f"silence {today}", "The pipeline is silent", text, severity="warning")


def work_stuck(at: datetime, waits: Sequence[Wait]) -> Alert:
    """Things that could go on and that nobody moves; once a day for the same days."""
    days = sorted({wait.day for wait in waits})
    shown = listed((str(day) for day in days), separator=", ", most=_SHOWN)
    since = min(wait.woken_at for wait in waits if wait.woken_at is not None)
    causes = Counter(wait.cause.value for wait in waits)
    text = (
        f"{len(waits)} on {shown} could have gone on since {since:%Y-%m-%d %H:%M} UTC and have not moved "
        f"({_counted(causes)}). They are tried again; `video-pipeline waiting` lists them."
    )
    return Alert(f"stuck {shown} {day_at(at)}", "Work is stuck", text, severity="warning")


def what_waits(
    counts: Mapping[WaitCause, int], days: Sequence[date], later: int, ended: Sequence[str], *, night: Wait | None
) -> str:
    """What a look of the night watch has come to: what waits, which days are run, and which is scored."""
    parts = [f"Waiting: {_counted(counts)}." if counts else "Nothing waits."]
    if days:
        parts.append(f"Asked for runs of {', '.join(str(day) for day in days)}.")
    if night:
        parts.append(f"Asked for the {night.subject}.")
    if later:
        parts.append(f"{later} more days can go on and come after the runs under way.")
    if ended:
        parts.append(f"Ended, as their processes are no more: {', '.join(run_id[:8] for run_id in ended)}.")
    return " ".join(parts)


def _counted(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in sorted(counts.items(), key=lambda item: -item[1]))


def run_failed(run_id: str, job: str, partition: str, reason: str) -> Alert:
    """A run has failed, which no bad clip can cause; its repeats, as the day is tried again, are counted."""
    text = f"{job} ({partition}), run {run_id[:8]}: {reason}"
    return Alert(f"run {job} {partition}", "A run failed", text, severity="critical")
