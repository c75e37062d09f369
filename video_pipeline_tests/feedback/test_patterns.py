"""Weekly learning: patterns and affinities that are told apart from luck, and put in force."""

from datetime import date

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.feedback import (
    EditorialPattern,
    editorial_patterns_of,
    put_acceptance_in_force,
    put_affinity_in_force,
    put_guidance_in_force,
    score_models,
    style_affinity_of,
)
from video_pipeline.feedback.patterns import MINIMUM_CLIPS
from video_pipeline.ledger import Ledger, Preference
from video_pipeline.policy import Policy
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts

_WEEK = date(2026, 11, 16)
_FACTS = st.lists(
    st.builds(
        lambda hook, style, model, usable, tried, completion, platforms: a_fact(
            "clip",
            hook=hook,
            style=style,
            model=model,
            usable=usable,
            attempts=tried,
            completion=completion,
            platforms=tuple(platforms),
        ),
        st.sampled_from(["", "question", "countdown"]),
        st.sampled_from(["", "warm", "wide"]),
        st.sampled_from([None, "a", "b"]),
        st.booleans(),
        st.integers(0, 2),
        st.none() | st.floats(0, 1),
        st.lists(st.sampled_from(["youtube_shorts", "tiktok"]), unique=True),
    ),
    max_size=40,
)


def _clips(count: int, completion: float, **fields) -> list:
    return [a_fact(f"clip-{number}", completion=completion, **fields) for number in range(count)]


def _hooks(facts: list, platform: str = "youtube_shorts") -> dict[str, EditorialPattern]:
    patterns = editorial_patterns_of(_WEEK, facts)
    return {each.value: each for each in patterns if (each.platform, each.parameter) == (platform, "hook")}


def test_a_hook_that_did_better_than_usual_is_preferred():
    hooks = _hooks(_clips(5, 0.8, hook="question") + _clips(5, 0.4, hook="countdown"))
    assert hooks["question"].preferred and not hooks["countdown"].preferred
    assert hooks["question"].against_average == pytest.approx(0.2)
    assert (hooks["question"].completion, hooks["question"].clips) == (pytest.approx(0.8), 5)


def test_a_few_clips_that_did_better_are_not_told_apart_from_luck():
    hooks = _hooks(_clips(MINIMUM_CLIPS - 1, 0.9, hook="question") + _clips(20, 0.4, hook="countdown"))
    assert hooks["question"].against_average > 0 and not hooks["question"].preferred


def test_a_pattern_is_a_platforms_own():
    facts = (
        _clips(5, 0.9, hook="question", platforms=("tiktok",))
        + _clips(5, 0.1, hook="question")
        + _clips(5, 0.5, hook="countdown", platforms=("tiktok", "youtube_shorts"))
    )
    assert _hooks(facts, "tiktok")["question"].preferred
    assert not _hooks(facts)["question"].preferred


def test_clips_that_nobody_has_measured_are_no_pattern():
    facts = [a_fact("a", hook="question"), a_fact("b", completion=0.5)]
    assert editorial_patterns_of(_WEEK, facts[:1]) == []
    assert _hooks(facts) == {}


@given(facts=_FACTS)
def test_what_is_preferred_is_better_than_average_and_seen_often_enough(facts):
    for pattern in editorial_patterns_of(_WEEK, facts):
        assert pattern.value and 0 <= pattern.completion <= 1
        assert pattern.preferred is (pattern.against_average > 0 and pattern.clips >= MINIMUM_CLIPS)


@given(facts=_FACTS)
def test_the_patterns_of_a_platform_cannot_all_be_better_than_its_average(facts):
    named = [fact for fact in facts if fact.hook and fact.completion is not None]
    for platform in ("youtube_shorts", "tiktok"):
        if all(fact in named for fact in facts if platform in fact.platforms and fact.completion is not None):
            hooks = _hooks(facts, platform).values()
            weighted = sum(hook.against_average * hook.clips for hook in hooks)
            assert weighted == pytest.approx(0, abs=1e-9)


@given(facts=_FACTS, limit=st.floats(0, 0.2))
def test_an_affinity_is_within_the_limit_and_needs_enough_clips(facts, limit: float):
    for row in style_affinity_of(_WEEK, facts, limit=limit):
        assert -limit <= row.affinity <= limit
        assert row.clips >= MINIMUM_CLIPS or row.affinity == 0


def test_a_style_likes_the_model_whose_clips_are_used():
    facts = [
        a_fact(f"{model}-{number}", style="warm", model=model, usable=number < usable)
        for model, usable in (("good", 10), ("bad", 2))
        for number in range(10)
    ]
    rows = {row.model: row.affinity for row in style_affinity_of(_WEEK, facts, limit=0.05)}
    assert rows == {"good": 0.05, "bad": -0.05}


def test_clips_that_were_never_tried_say_nothing_of_a_model():
    facts = [a_fact(str(number), style="warm", attempts=0, usable=False) for number in range(9)]
    assert style_affinity_of(_WEEK, facts, limit=0.05) == []


def test_guidance_in_force_names_the_preferred_of_each_platform(ledger: Ledger):
    rows = editorial_patterns_of(
        _WEEK, _clips(6, 0.8, hook="question", style="warm") + _clips(6, 0.4, hook="countdown", style="wide")
    )
    assert [put_guidance_in_force(ledger, rows, learned_from=_WEEK) for _ in range(2)] == [True, False]
    assert ledger.governance.preference(Preference.EDITORIAL_GUIDANCE) == {
        "youtube_shorts": {"hook": ["question"], "style": ["warm"]}
    }


def test_affinities_in_force_are_those_that_shift_anything(ledger: Ledger):
    facts = [
        a_fact(f"{model}-{number}", style="warm", model=model, usable=number < usable)
        for model, usable, count in (("good", 10, 10), ("bad", 2, 10), ("new", 1, 1))
        for number in range(count)
    ]
    rows = style_affinity_of(_WEEK, facts, limit=0.05)
    before = ledger.governance.version()
    assert [put_affinity_in_force(ledger, rows, learned_from=_WEEK) for _ in range(2)] == [True, False]
    assert ledger.governance.preference(Preference.STYLE_AFFINITY) == {"warm": {"good": 0.05, "bad": -0.05}}
    assert ledger.governance.version() != before


def test_an_acceptance_in_force_was_measured_often_enough(ledger: Ledger, policy: Policy):
    facts = [
        a_fact("a", attempts("tried", accepted=90, refusals=10)),
        a_fact("b", attempts("new", accepted=3)),
    ]
    scores = score_models(DAY, facts, policy.scoring)
    assert put_acceptance_in_force(ledger, scores, learned_from=DAY)
    (model, acceptance), *rest = ledger.governance.preference(Preference.ACCEPTANCE).items()
    assert (model, rest) == ("tried", []) and acceptance == pytest.approx(0.90, abs=0.01)
