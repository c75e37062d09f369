"""Model scores: bounded, shrunk, honest at small counts."""

from datetime import timedelta
from statistics import stdev

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.feedback import ModelScore, score_models, with_engagement
from video_pipeline.intervals import wilson_interval
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts

_COUNTS = st.integers(0, 400)
_CONFIDENCE = st.floats(0.51, 0.999)
_ATTEMPTS = st.builds(
    lambda model, accepted, refusals, failures, rejections, cents, billed_s: attempts(
        f"model-{model}",
        accepted=accepted,
        refusals=refusals,
        failures=failures,
        rejections=rejections,
        tier=("preview", "production")[model % 2],
        usd=f"{cents / 100}",
        billed_s=billed_s,
    ),
    st.integers(0, 3),
    *[st.integers(0, 9)] * 4,
    st.integers(0, 300),
    st.integers(0, 90),
).filter(lambda entry: entry.attempts > 0)
_FACTS = st.lists(
    st.builds(
        lambda entries, views, completion, back: a_fact(
            "clip",
            *entries,
            day=DAY - timedelta(days=back),
            model=entries[0].model,
            views=views,
            completion=completion,
        ),
        st.lists(_ATTEMPTS, min_size=1, max_size=3),
        st.none() | st.integers(0, 10**7),
        st.none() | st.floats(0, 1),
        st.integers(0, 3),
    ),
    max_size=8,
)


def _score(policy: Policy, *entries, **fields) -> ModelScore:
    (score,) = score_models(DAY, [a_fact("clip", *entries, **fields)], policy.scoring)
    return score


@given(successes=_COUNTS, failures=_COUNTS, confidence=_CONFIDENCE)
def test_an_interval_is_in_bounds_and_holds_the_share(successes: int, failures: int, confidence: float):
    trials = successes + failures
    low, high = wilson_interval(successes, trials, confidence=confidence)
    assert 0 <= low <= high <= 1
    if trials:
        assert low - 1e-9 <= successes / trials <= high + 1e-9


@given(successes=_COUNTS, failures=_COUNTS, confidence=_CONFIDENCE)
def test_an_interval_of_failures_mirrors_that_of_successes(successes: int, failures: int, confidence: float):
    low, high = wilson_interval(successes, successes + failures, confidence=confidence)
    mirrored = wilson_interval(failures, successes + failures, confidence=confidence)
    assert mirrored == (pytest.approx(1 - high, abs=1e-9), pytest.approx(1 - low, abs=1e-9))


@given(successes=_COUNTS, failures=_COUNTS, confidence=_CONFIDENCE, times=st.integers(2, 20))
def test_more_trials_of_the_same_share_are_surer(successes: int, failures: int, confidence: float, times: int):
    trials = successes + failures
    low, high = wilson_interval(successes, trials, confidence=confidence)
    surer_low, surer_high = wilson_interval(successes * times, trials * times, confidence=confidence)
    assert surer_high - surer_low <= high - low + 1e-9


@given(successes=_COUNTS, failures=_COUNTS, confidences=st.tuples(_CONFIDENCE, _CONFIDENCE))
def test_more_confidence_is_a_wider_interval(successes: int, failures: int, confidences: tuple[float, float]):
    narrow, wide = (
        wilson_interval(successes, successes + failures, confidence=confidence) for confidence in sorted(confidences)
    )
    assert wide[0] <= narrow[0] + 1e-9 and narrow[1] <= wide[1] + 1e-9


def test_the_interval_is_the_published_one():
    # Newcombe 1998, table I: 81 of 263 and 15 of 148 at 95 %.
    assert wilson_interval(81, 263, confidence=0.95) == (
        pytest.approx(0.2553, abs=5e-5),
        pytest.approx(0.3662, abs=5e-5),
    )
    assert wilson_interval(15, 148, confidence=0.95) == (
        pytest.approx(0.0624, abs=5e-5),
        pytest.approx(0.1605, abs=5e-5),
    )


def test_nothing_is_known_without_a_trial():
    assert wilson_interval(0, 0, confidence=0.9) == (0.0, 1.0)


@given(facts=_FACTS)
def test_every_score_lies_in_its_interval_between_nothing_and_one(policy: Policy, facts):
    for score in score_models(DAY, facts, policy.scoring):
        assert 0 <= score.score_low <= score.score <= score.score_high <= 1
        assert 0 <= score.acceptance <= 1
        assert 0 <= score.acceptance_low <= score.acceptance_high <= 1
        assert 0 <= score.refusal_low <= score.refusal_rate + 1e-9 <= score.refusal_high + 2e-9
        assert score.engagement is None or 0 <= score.engagement <= 1


@given(facts=_FACTS)
def test_no_attempt_is_lost_or_counted_twice(policy: Policy, facts):
    scores = score_models(DAY, facts, policy.scoring)
    for name in ("attempts", "accepted", "refusals", "failures", "rejections"):
        counted = sum(getattr(entry, name) for fact in facts for entry in fact.by_model)
        assert sum(getattr(score, name) for score in scores) == counted
    assert len({(score.model, score.model_version) for score in scores}) == len(scores)


@given(facts=_FACTS)
def test_an_acceptance_is_shrunk_towards_its_tiers_and_never_past_it(policy: Policy, facts):
    scores = score_models(DAY, facts, policy.scoring)
    for tier in {score.tier for score in scores}:
        of_tier = [score for score in scores if score.tier == tier]
        pooled = sum(score.accepted for score in of_tier) / sum(score.attempts for score in of_tier)
        for score in of_tier:
            raw = score.accepted / score.attempts
            assert min(raw, pooled) - 1e-9 <= score.acceptance <= max(raw, pooled) + 1e-9


@given(facts=_FACTS)
def test_the_best_of_a_tier_comes_first(policy: Policy, facts):
    scores = score_models(DAY, facts, policy.scoring)
    assert scores == sorted(scores, key=lambda score: (score.tier, -score.score))


def test_three_lucky_attempts_do_not_make_the_best_model(policy: Policy):
    facts = [
        a_fact("lucky", attempts("lucky", accepted=3)),
        a_fact("proven", attempts("proven", accepted=95, refusals=5)),
        a_fact("poor", attempts("poor", accepted=30, refusals=30)),
    ]
    scores = {score.model: score for score in score_models(DAY, facts, policy.scoring)}
    assert scores["proven"].acceptance > scores["lucky"].acceptance > scores["poor"].acceptance
    assert scores["lucky"].acceptance_low < scores["proven"].acceptance_low


def test_too_few_attempts_are_no_verdict(policy: Policy):
    fewest = policy.scoring.minimum_attempts
    assert not _score(policy, attempts(refusals=fewest - 1)).enough
    assert _score(policy, attempts(refusals=fewest)).enough


def test_a_version_is_scored_by_itself(policy: Policy):
    facts = [a_fact("a", attempts(refusals=9, version="1")), a_fact("b", attempts(accepted=9, version="2"))]
    rates = {score.model_version: score.refusal_rate for score in score_models(DAY, facts, policy.scoring)}
    assert rates == {"1": 1.0, "2": 0.0}


def test_a_second_that_was_kept_costs_what_was_paid_for_all(policy: Policy):
    # Ten seconds billed for a dollar, half of them rejected.
    score = _score(policy, attempts(accepted=2, rejections=2, usd="1", billed_s=10))
    assert score.usd_per_accepted_s == pytest.approx(0.2)
    # Refusals that were billed make the accepted seconds dearer.
    assert _score(policy, attempts(refusals=5, usd="1", billed_s=10)).usd_per_accepted_s is None


def test_the_cheapest_of_the_tier_is_the_most_economic(policy: Policy):
    facts = [
        a_fact("a", attempts("cheap", accepted=10, usd="1", billed_s=50)),
        a_fact("b", attempts("dear", accepted=10, usd="5", billed_s=50)),
        a_fact("c", attempts("other tier", accepted=10, usd="9", billed_s=50, tier="cinematic")),
    ]
    scores = {score.model: score.score for score in score_models(DAY, facts, policy.scoring)}
    assert scores["cheap"] > scores["dear"]
    assert scores["other tier"] == pytest.approx(scores["cheap"])


def test_a_clip_that_people_watch_counts_for_its_model(policy: Policy):
    facts = [
        a_fact("a", attempts("liked", accepted=5), model="liked", views=900, completion=0.9),
        a_fact("b", attempts("passed over", accepted=5), model="passed over", views=100, completion=0.2),
        a_fact("c", attempts("unseen", accepted=5), model="unseen"),
    ]
    scores = {score.model: score for score in score_models(DAY, facts, policy.scoring)}
    assert (scores["liked"].engagement or 0) > (scores["passed over"].engagement or 0)
    assert scores["liked"].score > scores["passed over"].score
    assert (scores["unseen"].engagement, scores["unseen"].engaged_clips) == (None, 0)


@pytest.mark.parametrize(
    "mixture",
    [
        pytest.param({"model": "one+two"}, id="two models"),
        pytest.param({"model": "one", "model_version": "1+2"}, id="two versions of one"),
    ],
)
def test_a_clip_of_several_models_is_left_out_of_engagement_and_counted_as_left_out(policy: Policy, mixture):
    facts = [
        a_fact("alone", attempts("one", accepted=5), model="one", views=100, completion=0.9),
        a_fact(
            "mixed", attempts("one", accepted=1), attempts("two", accepted=1), views=100, completion=0.1, **mixture
        ),
        a_fact("unseen", attempts("one", accepted=1), **mixture),
    ]
    scores = {score.model: score for score in score_models(DAY, facts, policy.scoring)}
    assert (scores["one"].engagement, scores["one"].engaged_clips) == (pytest.approx(0.7), 1)
    assert (scores["two"].engagement, scores["two"].engaged_clips) == (None, 0)
    assert scores["one"].mixed_clips == 1
    assert scores["two"].mixed_clips == ("two" in mixture["model"])


def test_the_spread_of_engagement_is_that_between_clips(policy: Policy):
    completions = (0.2, 0.4, 0.9)
    facts = [
        a_fact(f"{share}", attempts("one", accepted=1), model="one", views=100, completion=share)
        for share in completions
    ]
    (score,) = score_models(DAY, facts, policy.scoring)
    assert score.engagement_sd == pytest.approx(stdev((0.5 + share) / 2 for share in completions))


def test_a_model_is_scored_within_its_own_tier_wherever_it_serves(policy: Policy):
    upstairs = attempts("one", accepted=5, tier="production")
    facts = [a_fact("a", upstairs), a_fact("b", attempts("one", accepted=5, tier="preview"))]
    assert score_models(DAY, facts, policy.scoring)[0].tier == "preview"
    assert score_models(DAY, facts[:1], policy.scoring, own_tiers={"one": "preview"})[0].tier == "preview"
    assert score_models(DAY, facts[:1], policy.scoring)[0].tier == "production"


def test_what_a_model_does_for_a_cheaper_tier_is_scored_within_its_own(policy: Policy):
    downstairs = a_fact("a", attempts("one", accepted=5, refusals=5, tier="preview", own_tier="production"))
    preview = a_fact("b", attempts("two", accepted=10, tier="preview", own_tier="preview"))
    # As long as it is in the catalogue, and after.
    for own_tiers in ({"one": "production", "two": "preview"}, {}):
        scores = score_models(DAY, [downstairs, preview], policy.scoring, own_tiers=own_tiers)
        assert {score.model: (score.tier, score.acceptance) for score in scores} == {
            "one": ("production", 0.5),
            "two": ("preview", 1.0),
        }


def test_engagement_that_came_later_is_laid_over_the_facts():
    facts = [a_fact("seen", views=1, completion=0.1), a_fact("unseen")]
    rows = [
        Engagement(
            clip_id=facts[0].clip_id, brief_id="seen", platform=name, day=DAY, age_days=1, views=v, completion=c
        )
        for name, v, c in (("youtube_shorts", 10, 0.4), ("tiktok", 20, 0.6))
    ]
    seen, unseen = with_engagement(facts, rows)
    assert (seen.views, seen.completion, seen.shares) == (30, pytest.approx(0.5), None)
    assert unseen == facts[1]


def test_without_facts_there_are_no_scores(policy: Policy):
    assert score_models(DAY, [], policy.scoring) == []
