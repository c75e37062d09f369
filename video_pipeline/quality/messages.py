"""What the quality gate tells people: clips that need a decision, and clips that are of no use (Q1, Q6)."""

from datetime import date

from video_pipeline.alerts import Alert


def person_needed(clip_id: str, stage: str, reason: str) -> Alert:
    """A clip that a check has a person look at; once a file, or its brief's words."""
    return Alert(f"review {clip_id} {stage}", "A clip needs a person", f"{clip_id}: {reason}")


def cannot_look(day: date, trouble: str) -> Alert:
    """Safety classifiers that cannot look at a day's clips; once a cause and day."""
    text = (
        f"Nobody can tell whether clips of {day} are safe to publish: {trouble}. They wait, and none of them is "
        f"published. Mend it and run `video-pipeline run-day {day}`, or look at each and `decide`."
    )
    return Alert(f"cannot look {day} {trouble}", "Clips cannot be looked at", text, severity="critical", once=True)


def clip_rejected(clip_id: str, stage: str, reason: str) -> Alert:
    """A generated file that cannot become a clip; once a file."""
    return Alert(f"rejected {clip_id} {stage}", "A clip is rejected", f"{clip_id}: {reason}")
