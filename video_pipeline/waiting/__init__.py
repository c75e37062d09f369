"""What waits, why, and which days can go on now: asked by the night watch, by `waiting` and by `run-day --all`."""

from video_pipeline.waiting.nights import (
    LEARNING_HOUR,
    SCORING_HOUR,
    next_night,
    nights_due,
    unlearned_week,
    unscored_night,
    weeks_due,
)
from video_pipeline.waiting.outlook import Now, may_go_on
from video_pipeline.waiting.watch import Outlook, look
from video_pipeline.waiting.words import waker

__all__ = [
    "LEARNING_HOUR",
    "SCORING_HOUR",
    "Now",
    "Outlook",
    "look",
    "may_go_on",
    "next_night",
    "nights_due",
    "unlearned_week",
    "unscored_night",
    "waker",
    "weeks_due",
]
