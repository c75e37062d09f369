"""Guidance applied: defaults for open briefs, a holdout, and nothing that changes what was taken in."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import (
    AppliedGuidance,
    Brief,
    DayIntake,
    TakenBrief,
    applied_guidance,
    guide_in_force,
    storyboard_of,
    take_in,
)
from video_pipeline.ledger import Ledger, Preference
from video_pipeline.policy import load_policy
from video_pipeline_tests.briefs.documents import PLATFORMS, a_brief, a_document

DAY, WEEK, NEXT_WEEK = date(2026, 11, 21), date(2026, 11, 9), date(2026, 11, 16)
GUIDANCE = {
    "tiktok": {"hook": ["promise", "question"]},
    "youtube_shorts": {"hook": ["question", "countdown"], "style": ["warm"]},
}
OPEN: dict[str, Any] = {"platforms": ["youtube_shorts"], "hook": None, "style": None}


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def _learn(ledger: Ledger, guidance: dict[str, Any], week: date = WEEK) -> None:
    assert ledger.governance.set_preference(Preference.EDITORIAL_GUIDANCE, guidance, learned_from=week)


def _take(ledger: Ledger, inbox: Path, *documents: dict[str, Any], holdout_share: float = 0.0) -> DayIntake:
    (inbox / "a.json").write_text(json.dumps(documents))
    return take_in(
        ledger,
        Notifier([], ledger.alerts, load_policy().alerts),
        inbox=inbox,
        platforms=PLATFORMS,
        day=DAY,
        today=DAY,
        guide=guide_in_force(ledger, holdout_share=holdout_share),
    )


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        pytest.param({}, {"hook": "question", "style": "warm"}, id="both open"),
        pytest.param({"hook": "my own"}, {"style": "warm"}, id="a hook of its own"),
        pytest.param({"hook": "my own", "style": "mine"}, None, id="nothing open"),
        pytest.param({"platforms": ["tiktok"]}, {"hook": "promise"}, id="another platform"),
        pytest.param(
            {"platforms": ["tiktok", "youtube_shorts"]},
            {"hook": "question", "style": "warm"},
            id="what works on both",
        ),
        pytest.param({"platforms": ["instagram_reels"]}, None, id="a platform without guidance"),
    ],
)
def test_what_a_brief_leaves_open_has_the_default_of_its_platforms(
    ledger: Ledger, fields: dict[str, Any], values: dict[str, str] | None
):
    _learn(ledger, GUIDANCE)
    noted = guide_in_force(ledger, holdout_share=0.0)(a_brief(**(OPEN | fields)))
    assert (noted and noted.values) == values
    if noted:
        assert (noted.learned_from, noted.held_out) == (WEEK, False)
        assert f"by the guidance of the week of {WEEK} (version {noted.version})" in noted.sentence


def test_before_anything_is_learned_nothing_is_applied(ledger: Ledger):
    assert guide_in_force(ledger, holdout_share=0.0)(a_brief(**OPEN)) is None
    _learn(ledger, {"tiktok": {}})
    assert guide_in_force(ledger, holdout_share=0.0)(a_brief(**OPEN)) is None


def test_a_share_of_briefs_is_held_out_by_their_id_whatever_the_guidance(ledger: Ledger):
    _learn(ledger, GUIDANCE)
    briefs = [a_brief(f"brief-{number}", **OPEN) for number in range(500)]

    def held_out() -> set[str]:
        noted = {brief.brief_id: guide_in_force(ledger, holdout_share=0.2)(brief) for brief in briefs}
        return {brief_id for brief_id, note in noted.items() if note and note.held_out}

    first = held_out()
    assert 70 < len(first) < 130
    _learn(ledger, {"youtube_shorts": {"hook": ["countdown"]}}, NEXT_WEEK)
    assert held_out() == first


def test_a_brief_that_is_held_out_is_made_as_it_is_and_says_what_it_was_held_out_from(ledger: Ledger):
    _learn(ledger, GUIDANCE)
    brief = a_brief(**OPEN)
    noted = guide_in_force(ledger, holdout_share=1.0)(brief)
    assert noted and noted.held_out and noted.values == {"hook": "question", "style": "warm"}
    assert TakenBrief.of(brief, noted).defaults == {} and "held out from" in noted.sentence


def test_what_was_taken_in_stays_when_guidance_changes(ledger: Ledger, inbox: Path):
    early = a_document("early", **OPEN)
    before = _take(ledger, inbox, early)
    _learn(ledger, GUIDANCE)
    first = _take(ledger, inbox, early, a_document("one", **OPEN))
    _learn(ledger, {"youtube_shorts": {"hook": ["countdown"], "style": ["cold"]}}, NEXT_WEEK)
    again = _take(ledger, inbox, early, a_document("one", **OPEN), a_document("late", **OPEN))
    assert before.applied == {}
    assert set(first.applied) == {"one"} and again.applied["one"] == first.applied["one"]
    assert again.applied["late"].values == {"hook": "countdown", "style": "cold"}
    # Taken in before anything was known, it is left as it was.
    assert "early" not in again.applied
    assert [brief.sha256 for brief in again.briefs[:2]] == [brief.sha256 for brief in first.briefs]
    assert applied_guidance(ledger, DAY)[f"{DAY}/one"] == first.applied["one"]


def test_what_a_person_writes_later_stands_and_the_note_stays(ledger: Ledger, inbox: Path):
    _learn(ledger, GUIDANCE)
    noted = _take(ledger, inbox, a_document("one", **OPEN)).applied["one"]
    edited = _take(ledger, inbox, a_document("one", **OPEN | {"hook": "my own"}))
    assert edited.applied["one"] == noted
    assert TakenBrief.of(edited.briefs[0], noted).defaults == {"style": "warm"}
    assert edited.briefs[0].hook == "my own"


def test_a_row_of_the_briefs_keeps_the_brief_apart_from_the_note(ledger: Ledger):
    _learn(ledger, GUIDANCE)
    fields = OPEN | {"quality": None}
    brief = a_brief("one", **fields)
    row = TakenBrief.of(brief, guide_in_force(ledger, holdout_share=0.0)(brief))
    again = TakenBrief.model_validate_json(row.model_dump_json(exclude_unset=True))
    assert again == row and again.brief == brief
    assert (again.sha256, again.brief.sha256, again.brief.assumed) == (brief.sha256, brief.sha256, brief.assumed)


def test_a_person_cannot_write_the_note():
    with pytest.raises(ValueError, match="Extra inputs"):
        Brief.model_validate(a_document(applied={"hook": "question"}))


def test_defaults_change_neither_prompts_nor_a_shots_identity():
    brief = a_brief(**OPEN)
    plain, directed = (
        storyboard_of(brief, DAY, cap_s=15, defaults=defaults)
        for defaults in ({}, {"hook": "question", "style": "warm"})
    )
    assert directed.shots == plain.shots and directed.brief == plain.brief == brief
    assert directed.shot_sha256(directed.shots[0]) == plain.shot_sha256(plain.shots[0])
    assert (directed.directed.hook, directed.directed.style) == ("question", "warm")
    assert plain.directed == brief


def test_a_note_of_a_later_release_is_read_for_what_is_known():
    document = {"version": "v", "learned_from": "2026-11-09", "values": {"hook": "q"}, "held_out": False, "more": 1}
    assert AppliedGuidance.model_validate(document, extra="ignore").values == {"hook": "q"}
