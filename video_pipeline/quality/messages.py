"""What the quality gate tells people: clips that need a decision, and clips that are of no use (Q1, Q6)."""

from video_pipeline.alerts import Alert


def person_needed(clip_id: str, stage: str, reason: str) -> Alert:
    """A finished clip that failed a check; once a file."""
    return Alert(f"review {clip_id} {stage}", "A clip needs a person", f"{clip_id}: {reason}")


def clip_rejected(clip_id: str, stage: str, reason: str) -> Alert:
    """A generated file that cannot become a clip; once a file."""
    return Alert(f"rejected {clip_id} {stage}", "A clip is rejected", f"{clip_id}: {reason}")
