"""What waits, why, and which days can go on now: asked by the night watch, by `waiting` and by `run-day --all`."""

from video_pipeline.waiting.nights import SCORING_HOUR, next_night, nights_due, unscored_night
from video_pipeline.waiting.outlook import Now, may_go_on
from video_pipeline.waiting.watch import Outlook, look
from video_pipeline.waiting.words import waker

__all__ = [
    "SCORING_HOUR",
    "Now",
    "Outlook",
    "look",
    "may_go_on",
    "next_night",
    "nights_due",
    "unscored_night",
    "waker",
]
