"""The storyboard: cut at shot boundaries, nothing lost, nothing over the cap."""

from datetime import date

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.briefs import Brief, ShotKind, storyboard, storyboard_of
from video_pipeline.briefs.shot_kinds import kind_of
from video_pipeline_tests.briefs.documents import BRIEFS, a_brief

DAY = date(2026, 11, 21)
_CAPS = st.integers(2, 30).map(float)


@given(brief=BRIEFS, cap_s=_CAPS)
def test_cutting_keeps_the_length_and_no_piece_is_over_the_cap(brief: Brief, cap_s: float):
    shots = storyboard_of(brief, DAY, cap_s=cap_s).shots
    # A millisecond a piece at most is lost in rounding.
    assert sum(shot.duration_s for shot in shots) == pytest.approx(brief.total_s, abs=0.001 * len(shots))
    assert all(0 < shot.duration_s <= cap_s for shot in shots)


@given(brief=BRIEFS, cap_s=_CAPS)
def test_the_pieces_are_numbered_in_playing_order(brief: Brief, cap_s: float):
    pieces = list(storyboard_of(brief, DAY, cap_s=cap_s).shots)
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    shots = [(shot.prompt, shot.duration_s) for shot in brief.shots] or [(brief.prompt or "", brief.total_s)]
    for prompt, duration_s in shots:
        left_s = duration_s
        while left_s > 0.1:
            piece = pieces.pop(0)
            assert piece.prompt.startswith(prompt.rstrip(". "))
            left_s -= piece.duration_s
    assert pieces == []


@given(brief=BRIEFS, cap_s=_CAPS)
def test_no_shot_is_cut_that_fits_and_none_into_more_pieces_than_it_needs(brief: Brief, cap_s: float):
    pieces = len(storyboard_of(brief, DAY, cap_s=cap_s).shots)
    lengths = [shot.duration_s for shot in brief.shots] or [brief.total_s]
    assert pieces == sum(-int(-round(length / cap_s, 6) // 1) for length in lengths)


@given(brief=BRIEFS, cap_s=_CAPS)
def test_the_same_brief_is_always_cut_the_same(brief: Brief, cap_s: float):
    first, second = (storyboard_of(brief, DAY, cap_s=cap_s) for _ in range(2))
    assert first == second
    assert [first.shot_sha256(shot) for shot in first.shots] == [second.shot_sha256(shot) for shot in second.shots]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Ein Fluss im Wald bei Nacht.", "Teil 2 von 2 einer durchgehenden Einstellung"),
        ("Un río en el bosque con la luna.", "Parte 2 de 2 de una toma continua"),
        ("Une rivière dans la forêt sous la lune.", "Partie 2 sur 2 d'un plan continu"),
        ("Um rio na floresta com uma mulher.", "Parte 2 de 2 de um plano contínuo"),
        ("森林里的一条河", "一个连续镜头的第2部分，共2部分"),
    ],
)
def test_a_part_says_so_in_the_language_of_its_prompt_and_stays_the_same_shot(prompt: str, said: str):
    board = storyboard_of(a_brief(prompt=prompt, duration_s=20), DAY, cap_s=10)
    shot = board.shots[1]
    assert shot.prompt == f"{prompt.rstrip('.')}. {said}"
    # As earlier releases said it, so that what they have bought of it is found.
    english = f"{prompt.rstrip('.')}. Part 2 of 2 of one continuous shot"
    older = shot.model_copy(update={"prompt": english, "segment": 0, "segments": 1})
    assert board.shot_sha256(shot) == board.shot_sha256(older)


def test_a_part_says_so_in_english_where_its_language_has_no_words_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storyboard, "language_of", lambda prompt: "it")
    board = storyboard_of(a_brief(prompt="Un fiume", duration_s=20), DAY, cap_s=10)
    assert board.shots[1].prompt == "Un fiume. Part 2 of 2 of one continuous shot"


def test_a_long_shot_is_cut_into_equal_parts_that_say_so():
    board = storyboard_of(a_brief(prompt="A river.", duration_s=40), DAY, cap_s=15)
    assert [shot.duration_s for shot in board.shots] == [13.333] * 3
    assert [shot.prompt for shot in board.shots] == [
        f"A river. Part {part} of 3 of one continuous shot" for part in (1, 2, 3)
    ]


def test_a_shot_as_long_as_the_cap_is_one_piece():
    assert len(storyboard_of(a_brief(duration_s=15), DAY, cap_s=15).shots) == 1
    assert len(storyboard_of(a_brief(duration_s=15.1), DAY, cap_s=15).shots) == 2


@pytest.mark.parametrize("duration_s", [120.5, 180])
def test_the_longest_clip_that_may_be_asked_for_is_cut(duration_s: float):
    shots = storyboard_of(a_brief(duration_s=duration_s), DAY, cap_s=15).shots
    assert sum(shot.duration_s for shot in shots) == pytest.approx(duration_s, abs=0.001 * len(shots))


def test_every_entry_of_the_bible_is_in_every_prompt():
    brief = a_brief(
        prompt=None,
        duration_s=None,
        shots=[{"prompt": "One.", "duration_s": 2}, {"prompt": "Two", "duration_s": 20}],
        bible=["Ada wears a red coat.", "Cold light"],
    )
    for shot in storyboard_of(brief, DAY, cap_s=15).shots:
        assert shot.prompt.endswith("Ada wears a red coat. Cold light")


def test_a_shots_own_broll_goes_before_the_briefs():
    brief = a_brief(
        prompt=None,
        duration_s=None,
        broll=["of the brief"],
        shots=[{"prompt": "One", "duration_s": 2, "broll": ["of the shot"]}, {"prompt": "Two", "duration_s": 2}],
    )
    board = storyboard_of(brief, DAY, cap_s=15)
    assert [shot.broll for shot in board.shots] == [("of the shot",), ("of the brief",)]


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Close-up of CEO speaking with confidence", ShotKind.EMOTIONAL_CLOSE_UP),
        ("closeup of a woman smiling", ShotKind.EMOTIONAL_CLOSE_UP),
        ("Close up on the tears of a child running", ShotKind.EMOTIONAL_CLOSE_UP),
        ("Close-up of a coffee cup", ShotKind.DEFAULT),
        ("A woman reading", ShotKind.DEFAULT),
        ("A trail runner jumping over rocks", ShotKind.ACTION),
        ("Waves splashing, wide shot", ShotKind.ACTION),
        ("Wide aerial view of a harbour", ShotKind.ESTABLISHING),
        ("City skyline at night", ShotKind.ESTABLISHING),
        ("A worldwide known person", ShotKind.DEFAULT),
        ("Hands typing on a laptop", ShotKind.DEFAULT),
        ("Product shot of a watch", ShotKind.PRODUCT),
        ("A perfume bottle rotating on a pedestal", ShotKind.PRODUCT),
        ("Close-up of a lipstick", ShotKind.PRODUCT),
        ("A bottle floating in the sea", ShotKind.DEFAULT),
        ("Sneakers splashing through a puddle, product shot", ShotKind.ACTION),
        ("Primer plano de una mujer que sonríe", ShotKind.EMOTIONAL_CLOSE_UP),
        ("Un niño corre por la playa", ShotKind.ACTION),
        ("Plano de producto de un frasco", ShotKind.PRODUCT),
        ("Nahaufnahme: eine Frau weint", ShotKind.EMOTIONAL_CLOSE_UP),
        ("Ein Hund rennt durch den Schnee", ShotKind.ACTION),
        ("Ein Parfümflakon? Nein: ein Flakon auf einem Sockel", ShotKind.PRODUCT),
        ("Luftaufnahme der Küste", ShotKind.ESTABLISHING),
        ("Gros plan sur le visage d'une femme", ShotKind.EMOTIONAL_CLOSE_UP),
        ("Une bouteille de parfum sur fond blanc", ShotKind.PRODUCT),
        ("Plan d'ensemble d'un village", ShotKind.ESTABLISHING),
        ("Plano geral de uma cidade", ShotKind.ESTABLISHING),
        ("Uma menina pulando corda", ShotKind.ACTION),
        ("女人微笑的特写", ShotKind.EMOTIONAL_CLOSE_UP),
        ("香水瓶特写，白色背景", ShotKind.PRODUCT),
        ("少年在海边奔跑", ShotKind.ACTION),
        ("城市航拍", ShotKind.ESTABLISHING),
        ("一只猫在睡觉", ShotKind.DEFAULT),
    ],
)
def test_the_words_of_a_prompt_tell_the_kind_of_shot(prompt: str, kind: ShotKind):
    assert kind_of(prompt) is kind


@pytest.mark.parametrize(
    ("prompt", "kind", "earlier"),
    [
        ("Product shot of a perfume bottle", ShotKind.PRODUCT, ShotKind.DEFAULT),
        ("Ein Mann rennt über das Feld", ShotKind.ACTION, ShotKind.DEFAULT),
        ("Product shot of a running man", ShotKind.ACTION, ShotKind.ACTION),
        ("A river", ShotKind.DEFAULT, ShotKind.DEFAULT),
    ],
)
def test_a_shot_whose_kind_is_known_better_now_is_the_shot_that_was_bought(
    prompt: str, kind: ShotKind, earlier: ShotKind
):
    board = storyboard_of(a_brief(prompt=prompt), DAY, cap_s=15)
    [shot] = board.shots
    assert shot.kind is kind
    as_before = shot.model_copy(update={"kind": earlier, "bought_as": None})
    assert board.shot_sha256(shot) == board.shot_sha256(as_before)
    # What an author says is another shot than what was told before.
    if kind is not earlier:
        shots = [{"prompt": prompt, "duration_s": shot.duration_s, "kind": kind}]
        given = storyboard_of(a_brief(prompt=None, duration_s=None, shots=shots), DAY, cap_s=15)
        assert given.shot_sha256(given.shots[0]) != board.shot_sha256(shot)


def test_a_kind_that_the_brief_gives_is_kept():
    shots = [{"prompt": "A man running", "duration_s": 2, "kind": "establishing"}]
    board = storyboard_of(a_brief(prompt=None, duration_s=None, shots=shots), DAY, cap_s=15)
    assert board.shots[0].kind is ShotKind.ESTABLISHING


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Another"},
        {"duration_s": 6},
        {"native_audio": True},
        {"orientation": "square"},
        {"quality": "standard"},
        {"seed": 7},
        {"bible": ["Cold light"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_shot_is_another_when_what_is_rendered_is_another(change: dict):
    before, after = (storyboard_of(a_brief(**fields), DAY, cap_s=15) for fields in ({}, change))
    assert before.shot_sha256(before.shots[0]) != after.shot_sha256(after.shots[0])


@pytest.mark.parametrize("change", [{"title": "Another"}, {"caption": "Another"}, {"platforms": ["tiktok"]}])
def test_a_shot_is_the_same_when_only_words_about_it_change(change: dict):
    before, after = (storyboard_of(a_brief(**fields), DAY, cap_s=15) for fields in ({}, change))
    assert before.shot_sha256(before.shots[0]) == after.shot_sha256(after.shots[0])
