"""Briefs: what a team asks for, validated; the inbox they come from; their storyboards."""

from video_pipeline.briefs.bibles import (
    NO_BIBLES,
    SCENES,
    Bible,
    Bibles,
    BiblesFolder,
    BrokenBible,
    Character,
    Picture,
    Scene,
    read_bibles,
)
from video_pipeline.briefs.brief import Brief, Presenter, Quality, Shot, ShotKind, clip_id_of
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
from video_pipeline.briefs.in_force import BiblesInForce, bibles_in_force, keep_pictures
from video_pipeline.briefs.inbox import (
    InboxReading,
    Quarantined,
    Refusals,
    arrived_days,
    example_bibles,
    example_files,
    files_by_day,
    read_files,
    unread,
    wait_until_settled,
)
from video_pipeline.briefs.intake import DayIntake, days_not_taken_in, read_day, take_in
from video_pipeline.briefs.messages import inbox_left_out, said_of
from video_pipeline.briefs.prompts import PromptPart, fitted, left_out, prompt_length
from video_pipeline.briefs.refused_kinds import broll_planner, refused_kinds
from video_pipeline.briefs.storyboard import Reference, Storyboard, StoryboardShot, UsedBible, storyboard_of
from video_pipeline.briefs.texts import seen_letters, shown_text

__all__ = [
    "NO_BIBLES",
    "SCENES",
    "AppliedGuidance",
    "Bible",
    "Bibles",
    "BiblesFolder",
    "BiblesInForce",
    "Brief",
    "BrokenBible",
    "BrollPlanner",
    "Character",
    "DayIntake",
    "Guide",
    "InboxReading",
    "Picture",
    "Presenter",
    "PromptPart",
    "Quality",
    "Quarantined",
    "Reference",
    "Refusals",
    "Scene",
    "Shot",
    "ShotKind",
    "Storyboard",
    "StoryboardShot",
    "TakenBrief",
    "UsedBible",
    "applied_guidance",
    "arrived_days",
    "bibles_in_force",
    "broll_planner",
    "clip_id_of",
    "days_not_taken_in",
    "example_bibles",
    "example_files",
    "files_by_day",
    "fitted",
    "guidance_version",
    "guide_in_force",
    "inbox_left_out",
    "keep_pictures",
    "left_out",
    "no_guidance",
    "prompt_length",
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
