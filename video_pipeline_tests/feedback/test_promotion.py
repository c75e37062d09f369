"""Promotion: a model is compared with the best of the tier above, in both measures and with margins."""

import pytest

from video_pipeline.feedback.promotion import compare, promotion_in_force
from video_pipeline.policy import Policy
from video_pipeline.routing import Belief

_KEYS = [("cheap", "1"), ("dear", "1"), ("best", "1")]


def _beliefs(*accepted: float) -> list[Belief]:
    return [Belief(version="1", accepted=100 * share, lost=100 * (1 - share), worth_sd=0.1) for share in accepted]


def _apart(sd: float) -> list[list[float]]:
    return [[sd * sd if one == other else 0.0 for other in range(3)] for one in range(3)]


@pytest.mark.parametrize(
    ("worths", "accepted", "sd", "as_good"),
    [
        pytest.param([0.2, 0.0, 0.0], [0.9, 0.9, 0.9], 0.04, True, id="worth more, accepted as often"),
        pytest.param([0.0, 0.0, 0.0], [0.9, 0.9, 0.9], 0.04, False, id="worth as much"),
        pytest.param([0.2, 0.0, 0.2], [0.9, 0.9, 0.9], 0.04, False, id="worth more than one of two"),
        pytest.param([0.2, 0.0, 0.0], [0.9, 0.9, 0.9], 0.10, False, id="not surely worth more"),
        pytest.param([0.2, 0.0, 0.0], [0.7, 0.9, 0.9], 0.04, False, id="accepted less often"),
    ],
)
def test_it_has_to_match_every_rival_in_both_measures(
    policy: Policy, worths: list[float], accepted: list[float], sd: float, as_good: bool
):
    rivalry = compare(_KEYS, _beliefs(*accepted), worths, _apart(sd), policy.scoring)
    assert rivalry.is_as_good(policy.scoring) is as_good


def test_a_promotion_ends_by_less_evidence_than_it_began_with(policy: Policy):
    worse = compare(_KEYS[:2], _beliefs(0.9, 0.9), [-0.1, 0.0], _apart(0.04), policy.scoring)
    assert worse.is_worse(policy.scoring)
    doubtful = compare(_KEYS[:2], _beliefs(0.9, 0.9), [0.02, 0.0], _apart(0.04), policy.scoring)
    assert not doubtful.is_worse(policy.scoring) and not doubtful.is_as_good(policy.scoring)


def test_the_numbers_tell_of_the_hardest_rival(policy: Policy):
    rivalry = compare(_KEYS, _beliefs(0.9, 0.8, 0.95), [0.2, 0.0, 0.1], _apart(0.04), policy.scoring)
    assert rivalry.numbers.startswith("its clips are worth 1.11 times those of best (")
    assert "accepted 90% against 95% of best" in rivalry.numbers


def test_routing_is_told_the_kinds_that_are_proven_of_this_version():
    evidence = {"tier": "preview", "serves": "production", "version": "2", "numbers": "as good"}
    promotion = promotion_in_force(evidence, {"1": ["action"], "2": ["default"]})
    assert (promotion.tier, promotion.version, promotion.kinds) == ("preview", "2", {"default"})
