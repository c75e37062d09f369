"""Quality gates: whether a clip's file is what was ordered, told as data (Q1).

A bad clip raises nothing: each check says what was measured, what was expected, and a sentence. `CHECKS` is the table
of them. Importing this package loads neither a decoder nor numpy; `check_clip` and `measure_seam` do when called.
"""

from video_pipeline.quality.checks import CHECKS, CheckRow
from video_pipeline.quality.gate import check_clip, pass_gate
from video_pipeline.quality.review import ask_about_words, review_clip, review_raw, review_stage
from video_pipeline.quality.seams import Seam, measure_seam
from video_pipeline.quality.verdict import Check, CheckName, ClipVerdict, Consequence, Expectation, Gate
from video_pipeline.quality.wording import check_rules

__all__ = [
    "CHECKS",
    "Check",
    "CheckName",
    "CheckRow",
    "ClipVerdict",
    "Consequence",
    "Expectation",
    "Gate",
    "Seam",
    "ask_about_words",
    "check_clip",
    "check_rules",
    "measure_seam",
    "pass_gate",
    "review_clip",
    "review_raw",
    "review_stage",
]
