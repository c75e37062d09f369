"""Prompts with bibles in them: what comes first, where one is cut, and what is told of the rest."""

from datetime import date
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.briefs import Bibles, BrollPlanner, Storyboard, fitted, left_out, read_bibles, storyboard_of
from video_pipeline.briefs.prompts import prompt_length
from video_pipeline.policy import load_policy
from video_pipeline_tests.briefs.documents import a_brief
from video_pipeline_tests.briefs.test_bibles import HARBOUR, MARA, write_bible, write_picture

DAY = date(2026, 11, 21)
TOM: dict[str, Any] = {"name": "Tom", "appearance": "a boy of ten", "voice": "high", "emotional_range": "curious"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bible(tmp_path, "characters/mara.yaml", MARA | {"references": ["a.png", "b.png"]})
    write_bible(tmp_path, "characters/tom.yaml", TOM | {"references": ["c.png"]})
    write_bible(tmp_path, "scenes/harbour.yaml", HARBOUR | {"approved_frames": ["d.png"]})
    write_bible(tmp_path, "scenes/office.yaml", {"setting": "an office"})
    for name, colour in (("a", "red"), ("b", "green"), ("c", "blue")):
        write_picture(tmp_path / "characters" / f"{name}.png", colour=colour)
    write_picture(tmp_path / "scenes/d.png", colour="white")
    return tmp_path


@pytest.fixture
def bibles(folder: Path) -> Bibles:
    return read_bibles(folder)


def _board(bibles: Bibles, **fields: Any) -> Storyboard:
    return storyboard_of(a_brief(**fields), DAY, cap_s=15, bibles=bibles)


def test_the_shot_comes_first_then_who_is_seen_then_light_and_colours_then_the_camera(bibles: Bibles):
    board = _board(
        bibles, prompt="She ties a rope.", characters=["mara", "tom"], scene="harbour", bible=["No logos"], seed=1
    )
    assert board.shots[0].prompt == (
        "She ties a rope. Mara: a woman with short grey hair; wears a red oilskin coat. Tom: a boy of ten. No logos. "
        "a fishing harbour. low side light. cold blue. handheld. slow. Tom's emotional range: curious"
    )


def test_a_voice_is_told_only_where_there_is_sound(bibles: Bibles):
    silent, heard = (_board(bibles, characters=["tom"], native_audio=audio).shots[0] for audio in (False, True))
    assert "voice" not in silent.prompt
    assert heard.prompt.endswith("Tom's voice: high")


def test_a_shot_has_its_own_characters_and_scene_and_may_have_none(bibles: Bibles):
    shots = [
        {"prompt": "One", "duration_s": 2},
        {"prompt": "Two", "duration_s": 2, "characters": ["tom"], "scene": "office"},
        {"prompt": "Three", "duration_s": 2, "characters": [], "scene": ""},
    ]
    board = _board(bibles, prompt=None, duration_s=None, shots=shots, characters=["mara"], scene="harbour")
    assert [[used.id for used in shot.bibles] for shot in board.shots] == [["mara", "harbour"], ["tom", "office"], []]
    assert board.shots[2].prompt == "Three"
    assert "a navy pullover" not in board.shots[0].prompt


def test_pictures_go_by_turns_so_that_few_of_them_show_everybody(bibles: Bibles):
    [shot] = _board(bibles, characters=["mara", "tom"], scene="harbour").shots
    assert [one.of for one in shot.references] == ["mara", "tom", "mara", "harbour"]
    assert [one.kind for one in shot.references] == [*["characters"] * 3, "scenes"]


def test_a_changed_bible_is_a_new_shot_only_where_it_is_used(folder: Path):
    shots = [{"prompt": "One", "duration_s": 2}, {"prompt": "Two", "duration_s": 2, "characters": ["mara"]}]

    def hashes() -> list[str]:
        board = _board(read_bibles(folder), prompt=None, duration_s=None, shots=shots)
        return [board.shot_sha256(shot) for shot in board.shots]

    first = hashes()
    write_picture(folder / "characters/b.png", colour="black")
    second = hashes()
    assert (second[0] == first[0], second[1] == first[1]) == (True, False)
    write_bible(
        folder, "characters/mara.yaml", MARA | {"appearance": "a tall woman", "references": ["a.png", "b.png"]}
    )
    assert hashes()[1] not in (first[1], second[1])
    assert hashes()[0] == first[0]


def test_hashes_of_shots_without_bibles_are_those_of_before(bibles: Bibles):
    board = _board(bibles, bible=["Cold light"])
    assert board == storyboard_of(a_brief(bible=["Cold light"]), DAY, cap_s=15)
    assert board.shot_sha256(board.shots[0]) == "9411e137a06b1f0d56c6e43f1af5599126bde81400b734d37e5cbff06dc75c09"


@given(prompt=st.text(max_size=200), most=st.integers(1, 80))
def test_what_is_kept_fits_and_with_the_rest_is_the_whole_prompt(prompt: str, most: int):
    kept, rest = fitted(prompt, most)
    assert kept + rest == prompt
    assert prompt_length(kept) <= most


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (None, "A quay at dawn. Mara: grey hair; wears red. Low light"),
        (52, "A quay at dawn. Mara: grey hair; wears red."),
        (31, "A quay at dawn. Mara: grey hair"),
        (18, "A quay at dawn."),
        (14, "A quay at dawn"),
        (13, "A quay at"),
        (5, "A"),
    ],
)
def test_a_prompt_is_cut_behind_a_sentence_or_a_word(most: int | None, kept: str):
    assert fitted("A quay at dawn. Mara: grey hair; wears red. Low light", most)[0] == kept


def test_scripts_without_spaces_are_cut_behind_a_letter():
    assert fitted("港口的早晨一个女人站在码头上", 6)[0] == "港口的早晨一"


def test_what_is_left_out_is_told_by_its_name(bibles: Bibles):
    [shot] = _board(bibles, prompt="She ties a rope", characters=["mara"], scene="harbour").shots
    assert left_out(shot.parts, None) == []
    scene = [f"harbour's {what}" for what in ("setting", "lighting", "palette", "camera", "pace")]
    assert left_out(shot.parts, 90) == scene
    assert left_out(shot.parts, 70) == ["the end of mara's appearance", *scene]


def test_what_is_planned_as_b_roll_has_the_looks_of_the_scene(bibles: Bibles):
    brief = a_brief(prompt="Close-up of a smiling woman in a bakery", scene="harbour")
    board = storyboard_of(brief, DAY, cap_s=15, bibles=bibles, broll=BrollPlanner(load_policy().generation.remapping))
    assert board.shots[0].planned
    assert all("cold blue" in prompt and "handheld" in prompt for prompt in board.shots[0].planned)
