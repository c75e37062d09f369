"""Shrunken effects: what is told apart, from what, and how surely."""

import math
import random
from collections.abc import Iterable

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.feedback.shrinkage import Difference, Sample, Scale, effects_of

_SCALES = {"hook": Scale(0.05, learned=True), "kind": Scale(0.1)}
_SD = st.floats(0.001, 1)


def _samples(count: int, mean: float, hook: str, kind: str = "plain", sd: float = 0.1) -> list[Sample]:
    rng = random.Random(f"{hook} {kind} {count}")
    return [Sample(rng.gauss(mean, sd), 1.0, {"hook": hook, "kind": kind}) for _ in range(count)]


def _between(samples: Iterable[Sample], one: str = "good", other: str = "usual") -> Difference:
    return effects_of(list(samples), _SCALES).difference({("hook", one): 1, ("hook", other): -1})


def test_a_difference_is_found_where_there_are_many_samples():
    found = _between(_samples(2000, 0.6, "good") + _samples(2000, 0.5, "usual"))
    low, high = found.interval(0.95)
    assert found.mean == pytest.approx(0.1, abs=0.01)
    assert low < 0.1 < high and found.positive > 0.999 and found.evidence > 1e6


def test_a_difference_of_few_samples_is_shrunken_and_not_sure():
    found = _between(_samples(3, 0.6, "good") + _samples(200, 0.5, "usual"))
    assert 0 < found.mean < 0.08
    assert found.interval(0.95)[0] < 0


def test_what_goes_with_a_kind_of_shot_is_not_the_hooks():
    samples = (
        _samples(200, 0.4, "good", "hard")
        + _samples(40, 0.5, "good")
        + _samples(40, 0.4, "usual", "hard")
        + _samples(200, 0.5, "usual")
    )
    plain = sum(sample.outcome for sample in samples[:240]) - sum(sample.outcome for sample in samples[240:])
    assert plain / 240 < -0.05
    assert abs(_between(samples).mean) < 0.02


def test_one_wild_sample_moves_little():
    calm = _samples(40, 0.5, "good") + _samples(40, 0.5, "usual")
    wild = [*calm, Sample(50.0, 1.0, {"hook": "good", "kind": "plain"})]
    assert _between(wild).mean == pytest.approx(_between(calm).mean, abs=0.02)


def test_what_is_half_forgotten_makes_less_sure():
    fresh = _samples(50, 0.6, "good") + _samples(50, 0.5, "usual")
    old = [Sample(sample.outcome, 0.2, sample.levels) for sample in fresh]
    assert _between(old).sd > _between(fresh).sd
    assert 0 < _between(old).mean < _between(fresh).mean


def test_equal_levels_are_shrunken_further_than_unequal_ones():
    """How far effects lie apart is learned from all of them."""

    def difference(apart: float) -> float:
        others = [
            sample for at in range(8) for sample in _samples(60, 0.5 + apart * (-1) ** at, f"other {at}", sd=0.05)
        ]
        return _between(_samples(20, 0.53, "good", sd=0.05) + _samples(20, 0.5, "usual", sd=0.05) + others).mean

    assert 0 < difference(0.0) < difference(0.1)


def test_nothing_to_fit_is_an_error():
    with pytest.raises(ValueError, match="samples"):
        effects_of([], _SCALES)


@given(mean=st.floats(-1, 1), more=st.floats(0, 1), sd=_SD, prior_sd=_SD)
def test_evidence_grows_with_the_difference_and_none_is_none(mean: float, more: float, sd: float, prior_sd: float):
    prior_sd = max(sd, prior_sd)
    evidence = Difference(mean, sd, prior_sd).evidence
    assert 0 <= evidence < math.inf
    assert Difference(mean + more, sd, prior_sd).evidence >= evidence or mean < 0
    assert Difference(0.0, sd, prior_sd).evidence <= 1.0
