"""Briefs as documents: a sound one with fields laid over it, and strategies for sound and unsound ones."""

from typing import Any

import hypothesis.strategies as st

from video_pipeline.briefs import Brief

PLATFORMS = ("youtube_shorts", "instagram_reels", "tiktok")


def a_document(brief_id: str = "a-brief", **fields: Any) -> dict[str, Any]:
    """A sound brief as it stands in a file; a field given as None is left out."""
    document = {
        "brief_id": brief_id,
        "title": "A title",
        "platforms": ["youtube_shorts"],
        "prompt": "A red scarf in the snow",
        "duration_s": 5,
        "quality": "draft",
        "visual_complexity": 0.4,
    } | fields
    return {name: value for name, value in document.items() if value is not None}


def a_brief(brief_id: str = "a-brief", **fields: Any) -> Brief:
    return Brief.model_validate(a_document(brief_id, **fields))


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    str.strip
)


def _short_enough(shots: list[dict[str, Any]]) -> bool:
    return sum(shot["duration_s"] for shot in shots) <= 180


SHOTS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": st.sampled_from(["Hands typing", "A wide skyline", "A man running"]),
            "duration_s": st.integers(10, 1200).map(lambda tenths: tenths / 10),
        },
        optional={"broll": st.lists(WORDS, max_size=2)},
    ),
    min_size=1,
    max_size=4,
).filter(_short_enough)
_STORIES = st.one_of(
    st.fixed_dictionaries({"prompt": WORDS, "duration_s": st.floats(1, 120)}),
    st.fixed_dictionaries({"shots": SHOTS}),
)
BRIEFS = st.builds(
    lambda story, rest: Brief.model_validate({"brief_id": "a-brief", "title": "A title", **rest, **story}),
    _STORIES,
    st.fixed_dictionaries(
        {"platforms": st.lists(st.sampled_from(PLATFORMS), min_size=1)},
        optional={
            "brief_id": st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
            "quality": st.sampled_from(["draft", "standard", "premium"]),
            "visual_complexity": st.floats(0, 1),
            "native_audio": st.booleans(),
            "orientation": st.sampled_from(["portrait", "landscape", "square"]),
            "broll": st.lists(WORDS, max_size=2),
            "bible": st.lists(WORDS, max_size=2),
            "style": st.sampled_from(["", "wide", "warm"]),
        },
    ),
)
