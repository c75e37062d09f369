"""Change tests: what they find, how seldom they are wrong, and what is no model's change."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from video_pipeline.feedback.changes import Rate, change_threshold, evidence, find_rise
from video_pipeline.feedback.facts import FirstTry, Outcome
from video_pipeline.feedback.operational import Counts, Record
from video_pipeline.policy import Policy, ScoringPolicy

_MODEL, _PEER, _OTHER = ("a", "1"), ("b", "1"), ("c", "1")
_Rates = Callable[[int], float]


def _tries(draw: random.Random, rate: float, count: int) -> list[FirstTry]:
    return [
        FirstTry(model="a", model_version="1", outcome=Outcome.REFUSED if draw.random() < rate else Outcome.ACCEPTED)
        for _ in range(count)
    ]


def _nights_until_found(
    policy: ScoringPolicy, rate: _Rates, *, a_night: int, nights: int, seed: int, peers: Sequence[_Rates] = ()
) -> int | None:
    """The night in which a model with this rate of refusals is found to be refused more; None if it never is."""
    draw = random.Random(seed)
    records = {(name, "1"): Record(name, "1", "preview", 0, 0) for name in "abc"}
    tallies: dict[int, dict[tuple[str, str], Counts]] = {}
    for night in range(nights):
        rates = dict(zip(records, [rate, *peers], strict=False))
        tallies[night] = {}
        for key, of_night in rates.items():
            records[key].fade(night, policy.half_life_days)
            count = a_night if key == _MODEL else 12
            tallies[night][key] = records[key].add(night, _tries(draw, of_night(night), count))
        if find_rise(_MODEL, records[_MODEL], tallies, 0.1, policy, refused=True, after=-1):
            return night
    return None


def _usual(night: int) -> float:
    return 0.1


def _stepped(night: int) -> float:
    return 0.4 if night >= 20 else 0.1


@pytest.mark.parametrize(("usual", "raised"), [(0.05, 0.40), (0.10, 0.40), (0.30, 0.50)])
def test_the_computed_threshold_holds_its_false_alarms(usual: float, raised: float):
    """A plain CUSUM over 400 tries at the usual rate, 1,500 times."""
    threshold, draw, alarms = change_threshold(usual, raised, tries=400, false_alarms=0.10), random.Random(5), 0
    worse, better = math.log(raised / usual), math.log((1 - raised) / (1 - usual))
    for _ in range(1500):
        sum_ = 0.0
        for _ in range(400):
            sum_ = max(0.0, sum_ + (worse if draw.random() < usual else better))
            if sum_ >= threshold:
                alarms += 1
                break
    # Three standard errors of 0.10 are 0.023; the approximation errs on the careful side.
    assert 0.05 < alarms / 1500 < 0.123


def test_a_lower_chance_of_false_alarms_and_more_tries_ask_for_more_evidence():
    asked = [change_threshold(0.1, 0.4, tries=tries, false_alarms=0.01) for tries in (60, 600, 6000)]
    assert asked == sorted(asked)
    assert change_threshold(0.1, 0.4, tries=600, false_alarms=0.001) > asked[1]


def test_a_short_past_proves_less():
    well_known, hardly_known = Rate(0.1, 400), Rate(0.1, 15)
    assert evidence(8, 20, hardly_known, 0.4) < evidence(8, 20, well_known, 0.4)


def test_a_step_from_a_tenth_to_two_fifths_is_found_within_days(policy: Policy):
    found = [
        _nights_until_found(policy.scoring, _stepped, a_night=20, nights=30, seed=seed, peers=[_usual, _usual])
        for seed in range(30)
    ]
    nights = [night - 19 for night in found if night is not None and night >= 20]
    assert sum(night <= 3 for night in nights) >= 24
    assert sum(night <= 5 for night in nights) >= 28


def test_what_hits_all_models_is_no_change_of_one(policy: Policy):
    found = [
        _nights_until_found(policy.scoring, _stepped, a_night=20, nights=28, seed=seed, peers=[_stepped, _stepped])
        for seed in range(30)
    ]
    assert sum(night is not None for night in found) <= 7


def test_a_model_that_does_as_always_is_left_alone(policy: Policy):
    found = [
        _nights_until_found(policy.scoring, _usual, a_night=7, nights=60, seed=seed, peers=[_usual, _usual])
        for seed in range(40)
    ]
    assert sum(night is not None for night in found) <= 1


def test_a_new_model_of_which_most_is_refused_is_out_after_some_tries(policy: Policy):
    found = [
        _nights_until_found(policy.scoring, lambda _: 0.6, a_night=3, nights=12, seed=seed, peers=[_usual, _usual])
        for seed in range(30)
    ]
    tries = sorted(3 * (night + 1) for night in found if night is not None)
    assert len(tries) >= 28
    assert tries[len(tries) // 2] <= 15
