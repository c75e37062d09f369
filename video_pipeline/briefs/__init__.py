"""Briefs: what a team asks for, validated; the inbox they come from; their storyboards."""

from video_pipeline.briefs.bibles import Bible, Bibles, BrokenBible, Character, Picture, Scene, read_bibles
from video_pipeline.briefs.brief import Brief, Quality, Shot, ShotKind, clip_id_of
from video_pipeline.briefs.broll import BrollPlanner
from video_pipeline.briefs.guidance import (
    AppliedGuidance,
    Guide,
    TakenBrief,
    applied_guidance,
    guidance_version,
    guide_in_force,
    no_guidance,
)
from video_pipeline.briefs.inbox import (
    InboxReading,
    Quarantined,
    Refusals,
    arrived_days,
    example_files,
    files_by_day,
    read_files,
    unread,
    wait_until_settled,
)
from video_pipeline.briefs.intake import DayIntake, days_not_taken_in, read_day, take_in
from video_pipeline.briefs.messages import inbox_left_out, said_of
from video_pipeline.briefs.refused_kinds import broll_planner, refused_kinds
from video_pipeline.briefs.storyboard import Storyboard, StoryboardShot, storyboard_of
from video_pipeline.briefs.texts import seen_letters, shown_text

__all__ = [
    "AppliedGuidance",
    "Bible",
    "Bibles",
    "Brief",
    "BrokenBible",
    "BrollPlanner",
    "Character",
    "DayIntake",
    "Guide",
    "InboxReading",
    "Picture",
    "Quality",
    "Quarantined",
    "Refusals",
    "Scene",
    "Shot",
    "ShotKind",
    "Storyboard",
    "StoryboardShot",
    "TakenBrief",
    "applied_guidance",
    "arrived_days",
    "broll_planner",
    "clip_id_of",
    "days_not_taken_in",
    "example_files",
    "files_by_day",
    "guidance_version",
    "guide_in_force",
    "inbox_left_out",
    "no_guidance",
    "read_bibles",
    "read_day",
    "read_files",
    "refused_kinds",
    "said_of",
    "seen_letters",
    "shown_text",
    "storyboard_of",
    "take_in",
    "unread",
    "wait_until_settled",
]
