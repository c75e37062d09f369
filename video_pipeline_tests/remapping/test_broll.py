"""What can stand in for a shot: of its own place and things, in its language, without anybody and without a risk."""

import pytest

from video_pipeline.policy import load_policy
from video_pipeline.remapping import BrollKind, remapper_for
from video_pipeline.remapping.lexicon import load_languages
from video_pipeline_tests.remapping.sentences import SOFTENED

REMAPPER = remapper_for(load_policy().generation.remapping)
LANGUAGES = load_languages(None)


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_no_words_of_broll_have_a_risk(code: str) -> None:
    words = LANGUAGES[code].data.broll
    assert words is not None
    assert {phrase: REMAPPER.risks(phrase) for phrase in words.phrases if REMAPPER.risks(phrase)} == {}


@pytest.mark.parametrize("code", sorted(SOFTENED))
def test_every_sentence_has_three_shots_that_stand_in_and_none_has_a_risk(code: str) -> None:
    for said in SOFTENED[code]:
        found = REMAPPER.broll(said.prompt)
        assert set(found) == set(BrollKind), said.prompt
        assert len(set(found.values())) == len(BrollKind)
        assert [prompt for prompt in found.values() if REMAPPER.risks(prompt)] == []


@pytest.mark.parametrize(
    ("prompt", "hands", "wide", "detail"),
    [
        (
            "Close-up of CEO speaking with confidence in a glass office, city skyline behind her",
            "Hands typing on a keyboard, in a glass office",
            "Wide establishing shot, in a glass office, city skyline",
            "Detail shot, city skyline, in a glass office",
        ),
        (
            "Close-up of CEO speaking with confidence",
            "Hands typing on a keyboard",
            "Wide establishing shot",
            "Detail shot, an everyday object on a table",
        ),
        (
            # No lexicon knows the verb: what stands in front of the last thing is not taken.
            "Slow push toward an old widow, bawling in a laundromat, neon signs",
            "Hands at work, in a laundromat",
            "Wide establishing shot, in a laundromat, neon signs",
            "Detail shot, neon signs, in a laundromat",
        ),
        (
            # Nor the man: a close-up of nobody knows what leaves its place alone.
            "Close-up of a lad in a football shirt bawling in a laundromat, neon signs",
            "Hands at work, in a laundromat",
            "Wide establishing shot, in a laundromat, neon signs",
            "Detail shot, neon signs, in a laundromat",
        ),
        (
            "Una niña llora en un invernadero, un paraguas rojo",
            "Manos trabajando, en un invernadero",
            "Plano general del lugar, en un invernadero, un paraguas rojo",
            "Detalle, un paraguas rojo, en un invernadero",
        ),
        (
            "疲惫的护士在渡轮甲板上哭泣，霓虹灯",
            "戴手套的双手整理器械，在渡轮甲板上",
            "全景镜头，在渡轮甲板上，霓虹灯",
            "细节镜头，霓虹灯，在渡轮甲板上",
        ),
    ],
)
def test_it_is_made_of_the_shots_own_place_and_things(prompt: str, hands: str, wide: str, detail: str) -> None:
    assert list(REMAPPER.broll(prompt).values()) == [hands, wide, detail]


def test_what_a_shot_lacks_is_taken_from_the_nearest_one_beside_it() -> None:
    beside = ["The Aurora lamp on an oak desk, a brick wall behind, in a loft", "A ferry in the fog"]
    found = REMAPPER.broll("A founder smiles", beside=beside)
    # Where nobody is, the first thing is what a shot is about.
    assert found[BrollKind.OBJECT] == "Detail shot, The Aurora lamp on an oak desk, in a loft"
    assert REMAPPER.broll("She walks on stage", beside=beside)[BrollKind.HANDS] == "Hands at work, on stage"
    assert REMAPPER.broll("A lamp on an oak desk")[BrollKind.OBJECT] == "Detail shot, A lamp on an oak desk"


def test_each_has_the_look_and_a_look_with_a_risk_is_left_out() -> None:
    bible = "Mara: 34, red coat, warm smile. The workshop: brick walls, warm tungsten light, slow pace"
    assert REMAPPER.look(bible) == ("warm tungsten light", "slow pace")
    found = REMAPPER.broll("A founder smiles", look=["warm light", "a crying child"])
    assert found[BrollKind.WIDE] == "Wide establishing shot"
    assert REMAPPER.broll("A founder smiles", look=["warm light"])[BrollKind.WIDE].endswith("shot, warm light")


@pytest.mark.parametrize(
    ("prompt", "unsure"),
    [
        ("Close-up of a barrister", True),
        ("Tight on the face of a gran", True),
        ("Close-up of the hands of a clock", False),
        ("A harbour at dawn", False),
        ("The face of a mountain", False),
    ],
)
def test_what_is_shown_close_may_be_somebody_that_no_lexicon_knows(prompt: str, unsure: bool) -> None:
    assert REMAPPER.unsure(prompt) is unsure
