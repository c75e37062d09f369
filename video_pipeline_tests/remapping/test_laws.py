"""What holds for every prompt, whatever stands in it, and for every word of every lexicon."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from video_pipeline.policy import RiskCategory, load_policy
from video_pipeline.remapping import remapper_for
from video_pipeline.remapping.lexicon import Role, load_languages
from video_pipeline.remapping.tokens import keys_of

REMAPPER = remapper_for(load_policy().generation.remapping)
LANGUAGES = load_languages(None)
# What a prompt is at least allowed to be long, whatever it was.
SHORTEST_LIMIT = 500

WORDS = {
    code: sorted({" ".join(keys) for found in one.phrases.values() for keys, _ in found})
    for code, one in LANGUAGES.items()
}
FILLERS = [
    "harbour",
    "rojo",
    "Fenster",
    "plage",
    "janela",
    "窗外",
    "Zoë",
    "4K",
    "—",
    "8",
    "’s",
    "的",
    "\N{COMBINING ACUTE ACCENT}",
    "😀",
    "\x00",
]
JOINTS = st.sampled_from([" ", " ", " ", ", ", ". ", "-", "'", "", "\n", "，", " (", ") ", '"'])


@st.composite
def prompts(draw: st.DrawFn) -> str:
    """Words of one lexicon and others, joined anyhow."""
    listed = WORDS[draw(st.sampled_from(sorted(WORDS)))]
    words = st.one_of(st.sampled_from(listed), st.sampled_from(listed), st.sampled_from(FILLERS), st.text(max_size=6))
    parts: list[str] = []
    for word in draw(st.lists(words, min_size=1, max_size=14)):
        parts += [draw(st.sampled_from([word, word.capitalize(), word.upper()])), draw(JOINTS)]
    return "".join(parts)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(prompts(), st.text(max_size=80)))
@example("")
@example("A woman crying. " * 40)
@example("woman's woman's woman's face")
def test_variants_are_new_and_the_last_one_has_no_risk(prompt: str) -> None:
    variants = REMAPPER.variants(prompt)
    said = [one.prompt for one in variants]
    assert (said == []) == (REMAPPER.risks(prompt) == ())
    assert len({*said, prompt}) == len(said) + 1
    assert all(any(letter.isalnum() for letter in one) for one in said)
    assert all(len(one) <= max(len(prompt), SHORTEST_LIMIT) for one in said)
    assert all(one.degree < other.degree for one, other in pairwise(variants))
    assert all(one.changes for one in variants)
    assert variants == REMAPPER.variants(prompt)
    softest = REMAPPER.softest(prompt)
    assert REMAPPER.risks(softest) == ()
    assert REMAPPER.softest(softest) == softest
    if not said:
        assert softest == prompt


SAYS_SO = {
    "en": "{} by the window",
    "es": "{} junto a la ventana",
    "de": "{} am Fenster",
    "fr": "{} près de la fenêtre",
    "pt": "{} perto da janela",
    "zh": "{}在窗边",
}


@pytest.mark.parametrize("code", sorted(SAYS_SO))
def test_no_word_for_a_person_at_risk_is_left(code: str) -> None:
    """Every word of a name, an age or a profession, each in a sentence of its own."""
    personal = {RiskCategory.NAME, RiskCategory.AGE, RiskCategory.PROFESSION}
    left: list[str] = []
    for found in LANGUAGES[code].phrases.values():
        for keys, entry in found:
            if entry.category not in personal or not entry.roles & {Role.NOUN, Role.PERSON} or entry.cased:
                continue
            words = ("" if code == "zh" else " ").join(keys)
            softest = keys_of(REMAPPER.softest(SAYS_SO[code].format(words)))
            if any(softest[at : at + len(keys)] == keys for at in range(len(softest))):
                left.append(words)
    assert left == []


def test_every_language_is_told_by_its_own_words() -> None:
    """A word for a child is found in the language that the sentence is in."""
    for prompt in (
        "a child in the garden",
        "un niño en el jardín",
        "ein Kind im Garten",
        "un enfant dans le jardin",
        "uma criança no jardim",
        "一个孩子在花园里",
    ):
        assert [risk.category for risk in REMAPPER.risks(prompt)] == [RiskCategory.AGE], prompt


def test_sentences_of_several_languages_are_each_read_in_their_own() -> None:
    prompt = "A lighthouse at dawn. Eine weinende Frau am Fenster. Une tasse de café."
    assert REMAPPER.variants(prompt)[0].prompt == (
        "A lighthouse at dawn. Eine Frau am Fenster, zurückhaltende Stimmung. Une tasse de café."
    )


def test_a_long_prompt_takes_no_time_that_grows_by_its_square() -> None:
    """The longest that an author may write, of phrases that lean on one another."""
    for words in ("the woman's ", "sad and ", "close-up of ", "smile of ", "a-", "of ", "((", "女人的"):
        assert REMAPPER.risks(REMAPPER.softest((words * 2000)[:2000] + " woman crying")) == ()
