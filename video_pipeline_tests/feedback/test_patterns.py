"""Weekly learning: patterns and affinities that are told apart from luck, and put in force."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import NormalDist
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from video_pipeline.briefs import AppliedGuidance
from video_pipeline.feedback import (
    ClipFact,
    EditorialPattern,
    Measure,
    Parameter,
    PatternVerdict,
    StyleAffinity,
    editorial_patterns_of,
    put_affinity_in_force,
    put_guidance_in_force,
    style_affinity_of,
)
from video_pipeline.ledger import Ledger, Preference
from video_pipeline.policy import load_policy
from video_pipeline.publishing import Engagement
from video_pipeline_tests.feedback.rows import a_fact

_WEEK = date(2026, 11, 16)
_POLICY = load_policy().guidance
_LIMIT = 0.05


@dataclass
class Channel:
    """Clips and what their audience has done; a clip's day is in the week unless said."""

    facts: list[ClipFact] = field(default_factory=list)
    engagement: list[Engagement] = field(default_factory=list)

    def add(
        self,
        count: int,
        mean: float,
        *,
        platforms: Sequence[str] = ("youtube_shorts",),
        seen_on: Sequence[str] | None = None,
        age_days: int = 2,
        day: date = _WEEK,
        **fields: Any,
    ) -> "Channel":
        """Clips whose completion lies around `mean`, on the platforms that they are `seen_on`, at an age."""
        apart = [0.05 * NormalDist().inv_cdf((at + 0.5) / count) for at in range(count)]
        random.Random(f"{count} {mean} {fields}").shuffle(apart)
        for shift in apart:
            name = f"clip-{len(self.facts)}"
            self.facts.append(a_fact(name, day=day, platforms=tuple(platforms), **fields))
            for platform in platforms if seen_on is None else seen_on:
                self.see(name, day, platform, age_days, completion=min(1, max(0, mean + shift)))
        return self

    def see(self, name: str, day: date, platform: str, age_days: int, **told: Any) -> None:
        row = {"clip_id": f"{day}/{name}", "brief_id": name, "platform": platform, "age_days": age_days}
        self.engagement.append(Engagement(**row, day=day + timedelta(days=age_days), views=100, **told))

    def patterns(self, week: date = _WEEK) -> dict[tuple[str, Parameter, str], EditorialPattern]:
        rows = editorial_patterns_of(week, self.facts, self.engagement, _POLICY)
        return {(row.platform, row.parameter, row.value): row for row in rows}

    def hooks(self, platform: str = "youtube_shorts", week: date = _WEEK) -> dict[str, EditorialPattern]:
        return {
            value: row
            for (where, parameter, value), row in self.patterns(week).items()
            if (where, parameter) == (platform, Parameter.HOOK)
        }

    def affinities(self, limit: float = _LIMIT) -> dict[tuple[str, str], StyleAffinity]:
        rows = style_affinity_of(_WEEK, self.facts, self.engagement, _POLICY, limit=limit)
        return {(row.style, row.model): row for row in rows}


def _good_question() -> Channel:
    return Channel().add(40, 0.7, hook="question").add(40, 0.5, hook="countdown").add(41, 0.5, hook="open")


def test_a_hook_that_does_better_than_the_others_works_with_how_much_and_how_sure():
    hooks = _good_question().hooks()
    row = hooks["question"]
    assert (row.verdict, row.clips, row.others) == (PatternVerdict.WINNER, 40, 81)
    assert row.low < row.gain < row.high and row.low > 0
    assert row.probability > 0.95 and row.best > 0.95 and row.evidence > row.needed > 0
    assert row.mean == pytest.approx(0.7, abs=0.03)
    assert row.reason.startswith(f"{row.gain:+.3f} (")
    assert not hooks["countdown"].verdict.works and not hooks["open"].verdict.works


def test_two_that_work_equally_are_preferred_and_neither_is_the_winner():
    hooks = (
        Channel()
        .add(40, 0.7, hook="question")
        .add(41, 0.7, hook="promise")
        .add(60, 0.5, hook="open")
        .add(61, 0.5, hook="countdown")
        .hooks()
    )
    assert {value: row.verdict for value, row in hooks.items() if row.verdict.works} == {
        "question": PatternVerdict.PREFERRED,
        "promise": PatternVerdict.PREFERRED,
    }


def test_a_hook_and_a_style_that_always_come_together_are_not_told_apart():
    together = Channel().add(40, 0.7, hook="question", style="warm").add(40, 0.5, hook="open", style="wide")
    assert not any(row.verdict.works for row in together.patterns().values())


def test_a_few_clips_that_did_better_are_not_told_apart_from_luck():
    few = _POLICY.minimum_clips - 1
    row = Channel().add(few, 0.9, hook="question").add(60, 0.4, hook="countdown").hooks()["question"]
    assert row.gain > 0 and row.verdict is PatternVerdict.NOT_ENOUGH
    assert row.reason == f"{few} of {_POLICY.minimum_clips} clips to compare"


def test_what_is_sure_of_one_value_may_be_luck_among_many():
    """The same two hooks alone, and with eight styles looked at beside them."""

    def question(styles: int) -> EditorialPattern:
        channel = Channel()
        for hook, mean in (("question", 0.537), ("open", 0.5)):
            channel.add(40, mean, hook=hook)
        channel.facts = [
            fact.model_copy(update={"style": f"style {number % styles}"}) for number, fact in enumerate(channel.facts)
        ]
        return channel.hooks()["question"]

    alone, among = question(1), question(8)
    assert alone.probability > 0.95 and among.probability > 0.95
    assert (alone.verdict, among.verdict) == (PatternVerdict.WINNER, PatternVerdict.NOT_ENOUGH)
    assert (alone.needed, among.needed) == (2 / _POLICY.false_rate, 10 / _POLICY.false_rate)
    assert "that may be luck" in among.reason


def test_a_pattern_is_a_platforms_own():
    """What everybody on YouTube watches says nothing of TikTok, where the same clips are watched otherwise."""
    both = ("tiktok", "youtube_shorts")
    channel = Channel()
    for hook, youtube, tiktok in (("question", 0.8, 0.4), ("countdown", 0.5, 0.6), ("open", 0.5, 0.4)):
        for number in range(40):
            name = f"{hook}-{number}"
            channel.facts.append(a_fact(name, day=_WEEK, platforms=both, hook=hook))
            shift = 0.04 * (number % 5 - 2)
            channel.see(name, _WEEK, "youtube_shorts", 2, completion=youtube + shift)
            channel.see(name, _WEEK, "tiktok", 2, completion=tiktok + shift)
    assert {value for value, row in channel.hooks("youtube_shorts").items() if row.verdict.works} == {"question"}
    assert {value for value, row in channel.hooks("tiktok").items() if row.verdict.works} == {"countdown"}


def test_a_platform_that_tells_nothing_has_no_patterns():
    channel = Channel().add(
        40, 0.7, platforms=("tiktok", "youtube_shorts"), seen_on=("youtube_shorts",), hook="question"
    )
    assert channel.hooks("tiktok") == {} and channel.hooks()["question"].clips == 40


def test_clips_that_nobody_has_measured_are_no_pattern():
    assert editorial_patterns_of(_WEEK, [a_fact("a", day=_WEEK, hook="question")], [], _POLICY) == []


@pytest.mark.parametrize("age_days", [0, 1, 6, 13], ids=lambda age: f"{age} days")
def test_only_what_was_seen_at_the_same_age_is_compared(age_days: int):
    channel = Channel().add(40, 0.5, hook="open").add(40, 0.9, hook="question", age_days=age_days)
    assert list(channel.hooks()) == ["open"]


def test_the_first_look_at_the_age_counts_and_no_later_one():
    channel = Channel().add(20, 0.5, hook="open")
    again = [row.model_copy(update={"age_days": 3, "completion": 1.0}) for row in channel.engagement]
    mean = channel.hooks()["open"].mean
    channel.engagement = again + channel.engagement
    assert channel.hooks()["open"].mean == mean


def test_where_a_platform_tells_no_completion_views_are_compared():
    channel = Channel()
    for hook, views in (("question", 900), ("countdown", 300), ("open", 300)):
        for number in range(40):
            name = f"{hook}-{number}"
            channel.facts.append(a_fact(name, day=_WEEK, hook=hook))
            row = {"clip_id": f"{_WEEK}/{name}", "brief_id": name, "platform": "tiktok", "age_days": 2}
            channel.engagement.append(Engagement(**row, day=_WEEK, views=views + 20 * (number % 7)))
    hooks = channel.hooks("tiktok")
    assert {row.measure for row in hooks.values()} == {Measure.VIEWS}
    assert hooks["question"].verdict is PatternVerdict.WINNER


def test_what_a_kind_of_shot_or_a_model_brings_is_not_the_hooks():
    channel = Channel()
    for hook, kind, count in (("question", "action", 60), ("question", "default", 15)):
        channel.add(count, 0.7 if kind == "action" else 0.5, hook=hook, kind=kind)
    channel.add(15, 0.7, hook="open", kind="action").add(60, 0.5, hook="open", kind="default")
    hooks = channel.hooks()
    assert hooks["question"].mean - hooks["open"].mean > 0.1
    assert not any(row.verdict.works for row in hooks.values())


def test_several_weeks_count_and_old_ones_less():
    long_ago, too_old = _WEEK - timedelta(weeks=6), _WEEK - timedelta(weeks=_POLICY.weeks)
    hooks = (
        Channel()
        .add(40, 0.4, hook="question", day=long_ago)
        .add(40, 0.6, hook="question")
        .add(40, 0.5, hook="open", day=long_ago)
        .add(40, 0.5, hook="open")
        .add(40, 0.9, hook="forgotten", day=too_old)
        .hooks()
    )
    assert set(hooks) == {"question", "open"}
    assert hooks["question"].clips == 80 and hooks["question"].gain > 0.02


def test_a_week_knows_nothing_of_later_ones():
    channel = _good_question()
    before = channel.patterns()
    channel.add(80, 0.9, hook="countdown", day=_WEEK + timedelta(days=7))
    assert channel.patterns() == before
    # Its last clips are seen at their age in the week after.
    late = Channel().add(40, 0.5, hook="open", day=_WEEK + timedelta(days=6))
    assert late.hooks() == {} and late.hooks(week=_WEEK + timedelta(days=7))["open"].clips == 40


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rng: random.Random):
    channel = _good_question()
    rows = {key: (row.verdict, round(row.gain, 9)) for key, row in channel.patterns().items()}
    rng.shuffle(channel.facts)
    rng.shuffle(channel.engagement)
    assert {key: (row.verdict, round(row.gain, 9)) for key, row in channel.patterns().items()} == rows


def _noted(held_out: bool) -> AppliedGuidance:
    return AppliedGuidance(version="v", learned_from=_WEEK, values={"hook": "question"}, held_out=held_out)


def test_what_was_applied_is_measured_against_what_was_held_out():
    channel = (
        Channel()
        .add(80, 0.5, hook="question")
        .add(80, 0.56, applied=_noted(held_out=False))
        .add(20, 0.5, applied=_noted(held_out=True))
    )
    (row,) = [row for row in channel.patterns().values() if row.parameter is Parameter.GUIDANCE]
    assert (row.value, row.clips, row.others) == ("applied", 80, 20)
    assert row.gain == pytest.approx(0.06, abs=0.02) and row.low < row.gain < row.high
    assert row.verdict is PatternVerdict.PREFERRED
    # The defaults that were given are not counted for the hook: nobody wrote them into the clip.
    assert channel.hooks()["question"].clips == 80


def test_what_a_default_does_by_the_model_that_it_leads_to_is_its_doing():
    channel = (
        Channel()
        .add(80, 0.6, model="liked", applied=_noted(held_out=False))
        .add(80, 0.5, model="usual", applied=_noted(held_out=True))
        .add(80, 0.6, model="liked", hook="open")
        .add(81, 0.5, model="usual", hook="open")
    )
    (row,) = [row for row in channel.patterns().values() if row.parameter is Parameter.GUIDANCE]
    assert row.gain == pytest.approx(0.1, abs=0.02)


def test_an_effect_of_guidance_is_no_guidance(ledger: Ledger):
    row = EditorialPattern(
        week=_WEEK,
        platform="tiktok",
        parameter=Parameter.GUIDANCE,
        value="applied",
        clips=40,
        verdict=PatternVerdict.PREFERRED,
    )
    assert not put_guidance_in_force(ledger, [row], learned_from=_WEEK)


def test_a_style_likes_the_model_whose_clips_of_it_are_watched_and_not_the_one_whose_clips_are_used():
    channel = Channel()
    for style, model, mean, usable in (
        ("warm", "a", 0.6, False),
        ("warm", "b", 0.5, True),
        ("wide", "a", 0.5, False),
        ("wide", "b", 0.6, True),
    ):
        channel.add(60, mean, style=style, model=model, usable=usable)
    rows = channel.affinities()
    assert rows["warm", "a"].affinity > 0.02 and rows["warm", "b"].affinity < -0.02
    assert rows["wide", "a"].affinity < -0.02 and rows["wide", "b"].affinity > 0.02
    assert all(row.low < row.gain < row.high for row in rows.values())


def test_a_model_that_is_better_in_every_style_is_liked_by_none():
    """That it is worth more is told elsewhere, and would count twice."""
    channel = Channel()
    for style in ("warm", "wide"):
        channel.add(60, 0.6, style=style, model="a").add(60, 0.5, style=style, model="b")
    assert all(abs(row.affinity) < 0.01 for row in channel.affinities().values())


@given(
    limit=st.floats(0, 0.2),
    groups=st.lists(
        st.tuples(st.sampled_from(["", "warm", "wide"]), st.sampled_from(["a", "b", "a+b"]), st.integers(1, 15)),
        max_size=4,
    ),
)
@settings(max_examples=20)
def test_an_affinity_is_within_the_limit_and_needs_enough_clips_of_one_model(
    limit: float, groups: list[tuple[str, str, int]]
):
    channel = Channel()
    for number, (style, model, count) in enumerate(groups):
        channel.add(count, 0.3 + 0.1 * number, style=style, model=model)
    for row in channel.affinities(limit).values():
        assert row.style and row.model != "a+b"
        assert abs(row.affinity) <= limit + 1e-4
        assert row.clips >= _POLICY.minimum_clips or row.affinity == 0


def test_clips_that_were_never_seen_say_nothing_of_a_model():
    assert style_affinity_of(_WEEK, [a_fact("a", day=_WEEK, style="warm")], [], _POLICY, limit=_LIMIT) == []


def test_guidance_in_force_names_what_works_on_each_platform_the_best_first(ledger: Ledger):
    found = (
        ("tiktok", Parameter.HOOK, "question", 0.03, PatternVerdict.PREFERRED),
        ("tiktok", Parameter.HOOK, "promise", 0.05, PatternVerdict.WINNER),
        ("tiktok", Parameter.STYLE, "warm", 0.09, PatternVerdict.NOT_ENOUGH),
        ("youtube_shorts", Parameter.STYLE, "wide", 0.02, PatternVerdict.PREFERRED),
    )
    rows = [
        EditorialPattern(
            week=_WEEK, platform=platform, parameter=parameter, value=value, clips=40, gain=gain, verdict=verdict
        )
        for platform, parameter, value, gain, verdict in found
    ]
    assert [put_guidance_in_force(ledger, rows, learned_from=_WEEK) for _ in range(2)] == [True, False]
    assert ledger.governance.preference(Preference.EDITORIAL_GUIDANCE) == {
        "tiktok": {"hook": ["promise", "question"]},
        "youtube_shorts": {"style": ["wide"]},
    }


def test_affinities_in_force_are_those_that_shift_anything(ledger: Ledger):
    rows = [
        StyleAffinity(week=_WEEK, style="warm", model=model, clips=20, affinity=affinity)
        for model, affinity in (("good", 0.05), ("bad", -0.05), ("new", 0.0))
    ]
    before = ledger.governance.version()
    assert [put_affinity_in_force(ledger, rows, learned_from=_WEEK) for _ in range(2)] == [True, False]
    assert ledger.governance.preference(Preference.STYLE_AFFINITY) == {"warm": {"good": 0.05, "bad": -0.05}}
    assert ledger.governance.version() != before
