"""Briefs in which somebody says something: how long that takes, what is refused as they come in, and their shots."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from video_pipeline.briefs import Brief, Presenter, ShotKind, storyboard_of
from video_pipeline.briefs.brief import KnownNames
from video_pipeline.briefs.speech import spoken_s
from video_pipeline_tests.briefs.documents import PLATFORMS, a_brief, a_document

DAY = date(2026, 11, 21)
SCRIPT = "In this video I will show you three simple ways to save money on your energy bill, starting tonight."
ONLY = {"prompt": None, "duration_s": None, "script": SCRIPT}


@pytest.mark.parametrize(
    ("script", "least_s", "most_s"),
    [
        (SCRIPT, 6, 9),
        ("Wir freuen uns sehr, Ihnen heute unsere neueste Waschmaschinengeneration vorzustellen.", 4, 7),
        ("大家好，欢迎来到我们的新产品发布会。", 3, 6),
        ("Hi.", 1, 1),
        ("word " * 150, 50, 65),
    ],
)
def test_an_estimate_is_what_people_take(script: str, least_s: float, most_s: float):
    assert least_s <= spoken_s(script) <= most_s


def _coming_in(**fields: Any) -> Brief:
    return Brief.model_validate(a_document(**fields), context=KnownNames(PLATFORMS))


@pytest.mark.parametrize("duration_s", [3, 30])
def test_a_script_that_is_far_from_its_time_is_told_when_it_comes_in_and_not_when_it_is_there(duration_s: int):
    for fields in (
        {"script": SCRIPT, "duration_s": duration_s},
        {
            "prompt": None,
            "duration_s": None,
            "shots": [{"prompt": "A desk", "script": SCRIPT, "duration_s": duration_s}],
        },
    ):
        with pytest.raises(ValidationError, match=rf"takes about 6.6 s to say, far \w+ than the {duration_s} s"):
            _coming_in(**fields)
        assert a_brief(**fields).total_s == duration_s
    assert _coming_in(script=SCRIPT, duration_s=8).total_s == 8


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (ONLY | {"shots": [{"prompt": "A desk", "duration_s": 3}]}, "give the script to those of the shots"),
        ({"presenter": "anna"}, "a presenter needs a script"),
        (ONLY | {"script": "word " * 900}, "the clip would be .* over 180 s"),
        (
            {"prompt": None, "duration_s": None, "shots": [{"prompt": "A", "duration_s": 3, "kind": "talking"}]},
            "a talking shot needs a script",
        ),
        (
            {"prompt": None, "duration_s": None, "shots": [{"prompt": "A", "script": SCRIPT, "kind": "action"}]},
            "a shot with a script is a talking one, not action",
        ),
        ({"prompt": None, "duration_s": None}, "a prompt, a script or a list of shots is needed"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        _coming_in(**fields)


def test_a_name_alone_is_that_of_avatar_and_voice():
    assert _coming_in(**ONLY, presenter="anna").presenter == Presenter(avatar="anna", voice="anna")
    assert _coming_in(**ONLY, presenter={"voice": "warm"}).presenter == Presenter(voice="warm")


def test_a_script_alone_is_one_shot_of_its_own_length_however_short_drafts_are_cut():
    long = " ".join([SCRIPT] * 4)
    board = storyboard_of(a_brief(**ONLY | {"script": long}, presenter="anna"), DAY, cap_s=15, draft_s=4)
    [shot] = board.shots
    assert (shot.kind, shot.script, shot.presenter) == (
        ShotKind.TALKING,
        long,
        Presenter(avatar="anna", voice="anna"),
    )
    assert shot.duration_s == spoken_s(long) == board.brief.total_s
    assert board.uncut == ()


def test_a_shot_says_its_script_by_its_own_presenter_else_by_the_briefs():
    shots = [
        {"prompt": "A desk", "script": SCRIPT},
        {"prompt": "A desk", "script": SCRIPT, "presenter": "ben"},
        {"prompt": "A river", "duration_s": 3},
    ]
    first, second, third = storyboard_of(
        a_brief(prompt=None, duration_s=None, shots=shots, presenter="anna"), DAY, cap_s=15
    ).shots
    assert [shot.presenter and shot.presenter.avatar for shot in (first, second, third)] == ["anna", "ben", None]
    assert (third.kind, third.script) == (ShotKind.DEFAULT, None)


def test_a_draft_of_which_nothing_can_be_left_out_is_not_cut_short():
    shots = [{"prompt": "A river", "duration_s": 3}, {"prompt": "A desk", "script": SCRIPT}]
    board = storyboard_of(a_brief(prompt=None, duration_s=None, shots=shots), DAY, cap_s=15, draft_s=4)
    assert (board.brief.total_s > 4, board.uncut) == (True, ())


def test_a_draft_that_is_cut_short_keeps_a_script_whole():
    shots = [{"prompt": "A river", "duration_s": 3}, {"prompt": "A desk", "script": SCRIPT}]
    board = storyboard_of(a_brief(prompt=None, duration_s=None, shots=shots), DAY, cap_s=15, draft_s=5)
    assert [shot.duration_s for shot in board.shots] == [3, spoken_s(SCRIPT)]


def test_another_script_or_presenter_is_another_shot_and_another_brief():
    briefs = [
        a_brief(**ONLY | fields)
        for fields in ({}, {"presenter": "anna"}, {"presenter": "ben"}, {"script": SCRIPT + " Go."})
    ]
    boards = [storyboard_of(brief, DAY, cap_s=15) for brief in briefs]
    assert len({board.shot_sha256(board.shots[0]) for board in boards}) == len({one.sha256 for one in briefs}) == 4


def test_what_was_there_before_there_were_scripts_keeps_its_hash():
    several = [{"prompt": "a", "duration_s": 3}, {"prompt": "b", "duration_s": 3}]
    plain, in_shots = a_brief(), a_brief(prompt=None, duration_s=None, shots=several)
    assert plain.sha256 == "4fa6550b04c66f44260472c379bfa0a2136072cb5d5238109025c24e779aa5ac"
    assert in_shots.sha256 == "eb0580f99c92e177867ba675439b4f90f5a1afa5ffb6c5e305e68a2839498b7e"
