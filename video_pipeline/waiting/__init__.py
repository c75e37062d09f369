"""What waits, why, and which days can go on now: asked by the night watch, by `waiting` and by `run-day --all`."""

from video_pipeline.waiting.outlook import Now, may_go_on
from video_pipeline.waiting.watch import Outlook, look
from video_pipeline.waiting.words import waker

__all__ = ["Now", "Outlook", "look", "may_go_on", "waker"]
