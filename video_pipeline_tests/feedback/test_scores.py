"""Model scores: bounded, shrunk, honest at small counts."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.feedback import ClipFact, ModelAttempts, ModelScore, Verdict, learn, score_models
from video_pipeline.intervals import wilson_interval
from video_pipeline.policy import Policy
from video_pipeline.routing import load_catalogue
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts, tries

CATALOGUE = load_catalogue(sandbox=True)
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


def _scores(policy: Policy, facts: Sequence[ClipFact]) -> list[ModelScore]:
    return score_models(facts, learn(DAY, facts, [], CATALOGUE, policy.scoring), policy.scoring)


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
def test_every_estimate_lies_in_its_interval(policy: Policy, facts):
    for score in _scores(policy, facts):
        assert 0 <= score.score_low <= score.score <= score.score_high
        assert score.score <= 1 + 1e-9
        assert 0 <= score.acceptance_low <= score.acceptance <= score.acceptance_high <= 1
        assert 0 <= score.refusal_low <= score.refusal_rate + 1e-9 <= score.refusal_high + 2e-9
        assert (score.worth_low or 0) <= score.worth <= (score.worth_high or 0)
        assert score.chance is None or 0 <= score.chance <= 1


@given(facts=_FACTS)
def test_no_attempt_is_lost_or_counted_twice(policy: Policy, facts):
    scores = _scores(policy, facts)
    for name in ("attempts", "accepted", "refusals", "failures", "rejections"):
        counted = sum(getattr(entry, name) for fact in facts for entry in fact.by_model)
        assert sum(getattr(score, name) for score in scores) == counted
    assert len({(score.model, score.model_version) for score in scores}) == len(scores)


def test_three_lucky_clips_do_not_make_the_best_model(policy: Policy):
    facts = [
        *tries("lucky", accepted=3),
        *tries("proven", accepted=97, refused=3),
        *tries("poor", accepted=10, refused=10),
    ]
    scores = {score.model: score for score in _scores(policy, facts)}
    assert scores["proven"].acceptance > scores["lucky"].acceptance > scores["poor"].acceptance
    assert (scores["lucky"].enough, scores["proven"].enough, scores["lucky"].tried) == (False, True, 3)


def test_versions_are_told_apart(policy: Policy):
    facts = [*tries(accepted=10, version="1"), *tries(refused=10, version="2")]
    rates = {score.model_version: score.refusal_rate for score in _scores(policy, facts)}
    assert rates["1"] == 0.0 < 0.8 < rates["2"]


def test_the_best_value_for_money_scores_one_and_is_named_once_it_is_sure(policy: Policy):
    cheap, dear = (
        [
            fact.model_copy(update={"by_model": tuple(_billed(entry, usd) for entry in fact.by_model)})
            for fact in tries(model, accepted=60)
        ]
        for model, usd in (("sandbox/sprint", "0.02"), ("sandbox/dash", "0.05"))
    )
    first, second = _scores(policy, [*cheap, *dear])
    assert (first.model, first.score, first.verdict) == ("sandbox/sprint", 1.0, Verdict.WINNER)
    assert second.score == pytest.approx(0.4, abs=0.02)
    assert (first.chance or 0) > 0.95 > 0.05 > (second.chance or 0)
    few, other = _scores(policy, [*cheap[:3], *dear[:3]])
    assert few.verdict is Verdict.OPEN and other.verdict is Verdict.OPEN
    (alone,) = _scores(policy, cheap)
    assert (alone.chance, alone.verdict) == (1.0, Verdict.ALONE)


def test_a_score_is_of_the_models_own_tier(policy: Policy):
    upstairs = tries("sandbox/sprint", accepted=4, tier="production")
    assert [score.tier for score in _scores(policy, upstairs)] == ["preview"]
    gone = [
        fact.model_copy(
            update={"by_model": tuple(entry.model_copy(update={"own_tier": "cinematic"}) for entry in fact.by_model)}
        )
        for fact in tries("a model that is gone", accepted=4, tier="production")
    ]
    assert [score.tier for score in _scores(policy, gone)] == ["cinematic"]


def test_a_kind_is_proven_by_enough_attempts_that_do_no_worse(policy: Policy):
    def of(kind: str, attempted: int, accepted: int) -> ClipFact:
        entry = attempts(accepted=accepted, refusals=attempted - accepted)
        return a_fact(kind, entry.model_copy(update={"kinds": {kind: (attempted, accepted)}}))

    (score,) = _scores(policy, [of("default", 40, 38), of("action", 12, 2), of("establishing", 3, 3)])
    assert score.proven_kinds == ("default",)


def test_nothing_tried_is_nothing_scored(policy: Policy):
    assert _scores(policy, []) == []


def _billed(entry: ModelAttempts, usd: str) -> ModelAttempts:
    return entry.model_copy(update={"billed_usd": Decimal(usd)})
