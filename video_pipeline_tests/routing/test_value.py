"""Value for money: what is believed, how likely an option is the best, and what share of clips that earns it."""

import math
from datetime import date
from statistics import NormalDist

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from video_pipeline.routing import Belief
from video_pipeline.routing.value import Option, Prior, chances_of_best, drawn, estimate, point_of, weights

DAY = date(2026, 11, 27)
PRIOR = Prior(clips=8, worth_sd=0.15)
_USD = st.integers(1, 4000).map(lambda thousandths: thousandths / 1000)
_SD = st.integers(0, 100).map(lambda hundredths: hundredths / 100)
_OPTIONS = st.lists(st.tuples(_USD, _SD), min_size=1, max_size=6).map(
    lambda rows: [Option(f"model {number}", usd, sd) for number, (usd, sd) in enumerate(rows)]
)


def _weights(options: list[Option]) -> dict[str, float]:
    return weights(options, floor=0.02, dearest=1.5)


def test_of_two_options_the_chance_is_that_of_a_difference_of_normals():
    sure, unsure = Option("sure", 1.0, 0.1), Option("unsure", 1.1, 0.3)
    # The medians of the logarithms are half a variance over those of the expected values.
    apart = math.log(1.1) + 0.3**2 / 2 - 0.1**2 / 2
    expected = NormalDist().cdf(apart / math.hypot(0.1, 0.3))
    assert chances_of_best([sure, unsure])["sure"] == pytest.approx(expected, abs=0.005)


@given(options=_OPTIONS)
def test_the_shares_add_up_to_one_and_only_what_is_far_too_dear_has_none(options):
    least = min(option.usd for option in options)
    for shares in (chances_of_best(options), _weights(options)):
        assert math.fsum(shares.values()) == pytest.approx(1)
        assert set(shares) == {option.name for option in options} and min(shares.values()) >= 0
    for option in options:
        share = _weights(options)[option.name]
        assert (share >= 0.02 - 1e-12) if option.usd <= 1.5 * least else share == 0


@given(options=_OPTIONS, which=st.integers(0, 5), more=st.integers(1, 300))
@example(options=[Option("model 0", 1.0, 0.1), Option("model 1", 1.0, 0.1)], which=0, more=1)
@example(options=[Option(f"model {number}", 1.0, 0.3) for number in range(3)], which=1, more=5)
def test_a_dearer_option_never_gains(options, which: int, more: int):
    which %= len(options)
    before = options[which]
    dearer = [
        *options[:which],
        Option(before.name, before.usd * (1 + more / 100), before.log_sd),
        *options[which + 1 :],
    ]
    for shares in (chances_of_best, _weights):
        assert shares(dearer)[before.name] <= shares(options)[before.name] + 1e-9


@given(options=_OPTIONS, seed=st.randoms(use_true_random=False), point=st.floats(0, 1, exclude_max=True))
def test_the_order_of_the_options_says_nothing(options, seed, point: float):
    shuffled = list(options)
    seed.shuffle(shuffled)
    assert _weights(shuffled) == _weights(options)
    assert drawn(_weights(shuffled), point) == drawn(_weights(options), point)


def test_what_is_open_is_looked_at_more_often_than_it_is_believed_in_and_seldom_once_it_is_sure():
    open_, closed = ([Option("a", 1.0, sd), Option("b", 1.1, sd)] for sd in (0.10, 0.02))
    assert chances_of_best(open_)["b"] < _weights(open_)["b"] < 0.5
    assert _weights(closed)["b"] == pytest.approx(0.02, abs=0.005)


@given(options=_OPTIONS)
def test_every_option_is_drawn_as_often_as_its_share_says(options):
    shares = _weights(options)
    hits = [drawn(shares, (number + 0.5) / 1000) for number in range(1000)]
    for name, share in shares.items():
        assert hits.count(name) / 1000 == pytest.approx(share, abs=0.002)


def test_chance_is_a_number_of_the_brief_the_day_and_the_purpose():
    points = [point_of(DAY, f"brief-{number}", "preview") for number in range(1000)]
    assert all(0 <= point < 1 for point in points) and len(set(points)) == 1000
    # The mean of 1000 even numbers: 0.05 is over five standard errors.
    assert sum(points) / 1000 == pytest.approx(0.5, abs=0.05)
    assert point_of(DAY, "a", "preview") != point_of(DAY, "a", "production")


def test_what_is_believed_of_a_kind_of_shot_goes_before_the_whole_and_nothing_known_is_unsure():
    known = Belief(version="1", accepted=30, lost=10, worth=1.2, worth_sd=0.02, kinds={"action": (2.0, 8.0)})
    new, found = estimate("default", None, PRIOR, 0.85), estimate("default", known, PRIOR, 0.85)
    assert (new.acceptance, new.worth) == (pytest.approx(0.85), 1.0)
    assert (found.acceptance, found.worth) == (0.75, 1.2) and found.log_sd < new.log_sd
    assert estimate("action", known, PRIOR, 0.85).acceptance == pytest.approx(0.2)
