"""Briefs: what a team asks for, validated; the inbox they come from; their storyboards."""

from video_pipeline.briefs.brief import Brief, Quality, Shot, ShotKind, clip_id_of
from video_pipeline.briefs.inbox import (
    InboxReading,
    Quarantined,
    arrived_days,
    claim_day_files,
    example_files,
    files_by_day,
    read_files,
)
from video_pipeline.briefs.intake import DayIntake, take_in
from video_pipeline.briefs.storyboard import Storyboard, StoryboardShot, storyboard_of

__all__ = [
    "Brief",
    "DayIntake",
    "InboxReading",
    "Quality",
    "Quarantined",
    "Shot",
    "ShotKind",
    "Storyboard",
    "StoryboardShot",
    "arrived_days",
    "claim_day_files",
    "clip_id_of",
    "example_files",
    "files_by_day",
    "read_files",
    "storyboard_of",
    "take_in",
]
