"""Quality gates: whether a clip's file is what was ordered, told as data (Q1).

A bad clip raises nothing: each check says what was measured, what was expected, and a sentence.
Importing this package loads neither a decoder nor numpy; `check_clip` does when it is called.
"""

from video_pipeline.quality.review import review_clip, review_stage
from video_pipeline.quality.technical import (
    Check,
    CheckName,
    Expectation,
    TechnicalThresholds,
    TechnicalVerdict,
    check_clip,
)

__all__ = [
    "Check",
    "CheckName",
    "Expectation",
    "TechnicalThresholds",
    "TechnicalVerdict",
    "check_clip",
    "review_clip",
    "review_stage",
]
