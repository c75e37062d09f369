"""Promotion: a cheaper model that is surely as good as the tier above serves there, and only as long as it is."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from statistics import fmean, stdev
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.feedback import (
    ClipFact,
    ModelScore,
    ModelStanding,
    judge_standings,
    put_proven_kinds_in_force,
    routing_state,
    score_models,
    transition_alerts,
)
from video_pipeline.feedback.promotion import bar_of, judge_promotion
from video_pipeline.intervals import mean_interval
from video_pipeline.ledger import Ledger, StandingStatus
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, Tier, load_catalogue
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts

_ACTIVE, _PROMOTED, _DEMOTED = StandingStatus.ACTIVE, StandingStatus.PROMOTED, StandingStatus.DEMOTED
CATALOGUE = load_catalogue(sandbox=True)
CHEAP, DEAR, OTHER = "sandbox/sprint", "sandbox/steady", "sandbox/motion"
# One night of a model: attempts, of which a share is accepted, and clips that were seen.
ATTEMPTS_A_NIGHT, CLIPS_A_NIGHT = 12, 6
HOUSES = 300


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


def _clips(
    model: str,
    tier: str,
    *,
    completion: float | None,
    accepted: int = 58,
    refusals: int = 2,
    clips: int = 30,
    day: date = DAY,
    **fields: Any,
) -> list[ClipFact]:
    """A day of one model: its attempts, and seen clips whose completion swings by a twentieth around a mean.

    All clips have the same views, so that engagement is the mean of a half and the completion.
    """
    spent = attempts(model, accepted=accepted, refusals=refusals, tier=tier, version=fields.get("model_version", "1"))
    facts = [a_fact(f"{model} attempts", spent, day=day, tier=tier, model=model, **fields)]
    for number in range(clips if completion is not None else 0):
        seen = (completion or 0.0) + (0.05 if number % 2 else -0.05)
        facts.append(a_fact(f"{model} {number}", day=day, model=model, views=100, completion=seen, **fields))
    return facts


def _as_good(**fields: Any) -> list[ClipFact]:
    """A preview model that is clearly accepted more often, and watched longer, than production's best."""
    cheap = {"completion": 0.8, **fields}
    return [
        *_clips(CHEAP, "preview", **cheap),
        *_clips(DEAR, "production", completion=0.5, accepted=50, refusals=10),
    ]


def _night(
    ledger: Ledger, policy: Policy, facts: Sequence[ClipFact], day: date = DAY, catalogue: Catalogue = CATALOGUE
) -> dict[str, ModelStanding]:
    trailing = [fact for fact in facts if day - timedelta(days=policy.scoring.trailing_days) < fact.day <= day]
    scores = score_models(day, trailing, policy.scoring, own_tiers=catalogue.tiers)
    standings = judge_standings(ledger, policy.scoring, day=day, scores=scores, facts=trailing, catalogue=catalogue)
    put_proven_kinds_in_force(ledger, scores, learned_from=day)
    return {standing.model: standing for standing in standings}


def _with(**changes: dict[str, Any]) -> Catalogue:
    document = CATALOGUE.model_dump()
    for entry in document["models"]:
        entry |= changes.get(entry["model"].removeprefix("sandbox/"), {})
    return Catalogue.model_validate(document)


# How sure is it?


def _measured(template: ModelScore, nights: Sequence[tuple[int, list[float]]]) -> ModelScore:
    seen = [value for _, values in nights for value in values]
    return template.model_copy(
        update={
            "attempts": ATTEMPTS_A_NIGHT * len(nights),
            "accepted": sum(accepted for accepted, _ in nights),
            "engagement": fmean(seen),
            "engagement_sd": stdev(seen),
            "engaged_clips": len(seen),
        }
    )


def _nights_until_promoted(
    policy: Policy, draw: random.Random, cheap: tuple[float, float], dear: tuple[float, float], nights: int
) -> int | None:
    """Nights until one house promotes a model of this (acceptance, engagement) over one of that; None if it does not.

    Engagement varies between clips with a standard deviation of 0.12.
    """
    templates = score_models(
        DAY,
        [a_fact("a", attempts(CHEAP, accepted=1)), a_fact("b", attempts(DEAR, accepted=1, tier="production"))],
        policy.scoring,
    )
    worth = {CHEAP: cheap, DEAR: dear}
    kept: dict[str, list[tuple[int, list[float]]]] = {CHEAP: [], DEAR: []}
    for night in range(1, nights + 1):
        for model, (acceptance, engagement) in worth.items():
            accepted = sum(draw.random() < acceptance for _ in range(ATTEMPTS_A_NIGHT))
            seen = [min(1.0, max(0.0, draw.gauss(engagement, 0.12))) for _ in range(CLIPS_A_NIGHT)]
            kept[model] = [*kept[model], (accepted, seen)][-policy.scoring.trailing_days :]
        scores = [_measured(template, kept[template.model]) for template in templates]
        bar = bar_of(Tier.PRODUCTION, scores, CATALOGUE, policy.scoring, demoted=())
        (score,) = [score for score in scores if score.model == CHEAP]
        if judge_promotion(score, None, bar, CATALOGUE, policy.scoring).status is _PROMOTED:
            return night
    return None


def test_an_equal_model_is_hardly_ever_promoted(policy: Policy):
    draw = random.Random(4)
    equal = (0.88, 0.55)
    nights = [_nights_until_promoted(policy, draw, equal, equal, 30) for _ in range(HOUSES)]
    # 2.3 % over thirty nights of looking, from 2000 houses; 0.06 is over four standard errors above.
    assert sum(night is not None for night in nights) / HOUSES <= 0.06


def test_a_worse_model_is_not_promoted(policy: Policy):
    draw = random.Random(5)
    nights = [_nights_until_promoted(policy, draw, (0.80, 0.50), (0.88, 0.55), 30) for _ in range(HOUSES)]
    assert nights == [None] * HOUSES


@pytest.mark.parametrize("better", [pytest.param((0.97, 0.45), id="accepted"), pytest.param((0.80, 0.70), id="seen")])
def test_a_model_that_is_better_in_one_measure_and_worse_in_the_other_is_not_promoted(policy: Policy, better):
    draw = random.Random(6)
    nights = [_nights_until_promoted(policy, draw, better, (0.88, 0.55), 30) for _ in range(HOUSES)]
    assert nights == [None] * HOUSES


def test_a_clearly_as_good_model_is_promoted_within_two_weeks(policy: Policy):
    draw = random.Random(7)
    nights = [_nights_until_promoted(policy, draw, (0.97, 0.65), (0.88, 0.55), 14) for _ in range(HOUSES)]
    assert sum(night is not None for night in nights) / HOUSES >= 0.80


@pytest.mark.parametrize(
    ("confidence", "count", "quantile"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, upper critical values of Student's t.
    [(0.90, 20, 1.729), (0.95, 11, 2.228), (0.98, 21, 2.528), (0.98, 41, 2.423), (0.98, 101, 2.364)],
)
def test_the_interval_of_a_mean_is_students(confidence: float, count: int, quantile: float):
    low, high = mean_interval(0.5, 0.1, count, confidence=confidence)
    assert (high - low) / 2 == pytest.approx(quantile * 0.1 / count**0.5, rel=1e-3)
    assert (low + high) / 2 == pytest.approx(0.5)


@given(mean=st.floats(0, 1), sd=st.floats(0, 0.5), count=st.integers(0, 500), confidence=st.floats(0.51, 0.999))
def test_the_interval_of_a_mean_is_in_bounds_and_holds_it(mean: float, sd: float, count: int, confidence: float):
    low, high = mean_interval(mean, sd, count, confidence=confidence)
    assert 0 <= low <= mean <= high <= 1
    assert count > 1 or (low, high) == (0, 1)


# Who is promoted


def test_a_promotion_is_put_in_force_and_told_with_its_numbers(ledger: Ledger, policy: Policy):
    standings = _night(ledger, policy, _as_good())
    standing = standings[CHEAP]
    assert (standing.status, standing.changed, standing.tier) == (_PROMOTED, True, "preview")
    numbers = (
        f"accepted 58 of 60 (at least 86.4%) against 83.3% of {DEAR}, "
        f"engagement 0.650 over 30 clips (at least 0.639) against 0.500 of {DEAR}"
    )
    assert standing.reason == f"refused 2 of 60 (3%, at least 1%); as good as production: {numbers}"
    evidence = ledger.governance.standings()[CHEAP].evidence
    assert evidence["reason"] == standing.reason
    assert evidence["promotion"]["acceptance"]["bar"] == {"value": 50 / 60, "model": DEAR}
    assert evidence["promotion"]["engagement"]["bar"]["model"] == DEAR
    promotion = routing_state(ledger, policy.scoring).promoted[CHEAP]
    assert (promotion.tier, promotion.version, promotion.reason) == ("preview", "1", numbers)
    (alert,) = transition_alerts(list(standings.values()))
    assert alert.title == "Sandbox/sprint is promoted" and numbers in alert.text
    assert standings[DEAR].status is _ACTIVE


@pytest.mark.parametrize(
    ("cheap", "said"),
    [
        pytest.param({"completion": None}, "60 attempts and 0 seen clips of", id="nobody has seen it"),
        pytest.param({"clips": 19}, "60 attempts and 19 seen clips of", id="few have seen it"),
        pytest.param({"accepted": 29, "refusals": 0}, "29 attempts and 30 seen clips of", id="few attempts"),
        pytest.param({"completion": 0.51}, "not surely as good", id="no better watched"),
        pytest.param({"accepted": 54, "refusals": 6}, "not surely as good", id="no better accepted"),
    ],
)
def test_without_proof_in_both_measures_there_is_no_promotion(ledger: Ledger, policy: Policy, cheap, said: str):
    standing = _night(ledger, policy, _as_good(**cheap))[CHEAP]
    assert (standing.status, standing.changed) == (_ACTIVE, False)
    assert said in standing.reason and "not promoted" in standing.reason


@pytest.mark.parametrize(
    "dear",
    [
        pytest.param({"accepted": 20, "refusals": 9}, id="few attempts"),
        pytest.param({"clips": 19}, id="few seen clips"),
        pytest.param({"accepted": 30, "refusals": 30}, id="demoted tonight"),
        pytest.param({"model_version": "0"}, id="a version that serves no more"),
    ],
)
def test_without_a_measured_model_in_the_tier_above_there_is_no_promotion(ledger: Ledger, policy: Policy, dear):
    above = {"completion": 0.5, "accepted": 50, "refusals": 10} | dear
    facts = [*_clips(CHEAP, "preview", completion=0.8), *_clips(DEAR, "production", **above)]
    standing = _night(ledger, policy, facts)[CHEAP]
    assert standing.status is _ACTIVE
    assert "no model of production has 30 attempts and 20 seen clips" in standing.reason


def test_the_bar_is_the_best_of_the_tier_above_in_each_measure(ledger: Ledger, policy: Policy):
    facts = [*_as_good(), *_clips(OTHER, "production", completion=0.9, accepted=45, refusals=15)]
    standing = _night(ledger, policy, facts)[CHEAP]
    assert standing.status is _ACTIVE
    assert f"against 83.3% of {DEAR}" in standing.reason and f"against 0.700 of {OTHER}" in standing.reason


def test_the_dearest_tier_has_none_above(ledger: Ledger, policy: Policy):
    standing = _night(ledger, policy, _clips("sandbox/grand", "cinematic", completion=0.9))["sandbox/grand"]
    assert (standing.status, standing.reason) == (_ACTIVE, "refused 2 of 60 (3%, at least 1%)")


def test_what_a_promoted_model_does_upstairs_is_its_own_and_no_bar_for_itself(ledger: Ledger, policy: Policy):
    facts = _as_good()
    _night(ledger, policy, facts)
    facts += _clips(CHEAP, "production", completion=0.8, day=_day(1))
    scores = score_models(_day(1), facts, policy.scoring, own_tiers=CATALOGUE.tiers)
    (score,) = [score for score in scores if score.model == CHEAP]
    assert (score.tier, score.attempts, score.engaged_clips) == ("preview", 120, 60)
    standing = _night(ledger, policy, facts, _day(1))[CHEAP]
    assert (standing.status, standing.changed) == (_PROMOTED, False)
    assert (
        f"stays promoted to production: accepted 116 of 120 (at most 98.9%) against 83.3% of {DEAR}"
        in standing.reason
    )


# How it ends


def test_what_could_be_luck_takes_no_promotion_back(ledger: Ledger, policy: Policy):
    _night(ledger, policy, _as_good())
    # As a newcomer it would not be promoted on these numbers, which are production's own.
    standing = _night(ledger, policy, _as_good(completion=0.5, accepted=50, refusals=10, clips=30), _day(1))[CHEAP]
    assert (standing.status, standing.changed) == (_PROMOTED, False)


@pytest.mark.parametrize(
    "cheap",
    [
        pytest.param({"completion": 0.3}, id="surely less watched"),
        pytest.param({"accepted": 38, "refusals": 11}, id="surely less accepted"),
    ],
)
def test_a_model_that_is_surely_worse_loses_its_promotion_and_it_is_told(ledger: Ledger, policy: Policy, cheap):
    _night(ledger, policy, _as_good())
    worse = _clips(CHEAP, "preview", **{"completion": 0.8, **cheap})
    worse += _clips(DEAR, "production", completion=0.5, accepted=58, refusals=2)
    standings = _night(ledger, policy, worse, _day(1))
    assert (standings[CHEAP].status, standings[CHEAP].changed) == (_ACTIVE, True)
    assert "no longer as good as production: accepted" in standings[CHEAP].reason
    assert routing_state(ledger, policy.scoring).promoted == {}
    assert [alert.title for alert in transition_alerts(list(standings.values()))] == ["Sandbox/sprint is active"]


def test_with_nobody_left_above_to_compare_with_it_is_held_against_what_it_was_promoted_over(
    ledger: Ledger, policy: Policy
):
    _night(ledger, policy, _as_good())
    alone = _clips(CHEAP, "production", completion=0.8, day=_day(20))
    standing = _night(ledger, policy, alone, _day(20))[CHEAP]
    assert standing.status is _PROMOTED and f"against 83.3% of {DEAR}" in standing.reason
    alone = _clips(CHEAP, "production", completion=0.8, accepted=40, refusals=5, failures=0, day=_day(40))
    alone += [a_fact("failed", attempts(CHEAP, failures=25, tier="production"), day=_day(40))]
    standing = _night(ledger, policy, alone, _day(40))[CHEAP]
    assert (standing.status, standing.changed) == (_ACTIVE, True)


def test_a_promoted_model_that_is_refused_too_often_is_demoted_outright(ledger: Ledger, policy: Policy):
    facts = _as_good()
    _night(ledger, policy, facts)
    facts += [a_fact("refused", attempts(CHEAP, refusals=60, tier="production"), day=_day(1))]
    standing = _night(ledger, policy, facts, _day(1))[CHEAP]
    assert (standing.status, standing.changed) == (_DEMOTED, True)
    state = routing_state(ledger, policy.scoring)
    assert state.demoted == {CHEAP} and state.promoted == {}


def test_a_promotion_forgives_no_refusals(ledger: Ledger, policy: Policy):
    facts = _as_good()
    _night(ledger, policy, facts)
    standing = _night(ledger, policy, facts, _day(1))[CHEAP]
    assert standing.reason.startswith("refused 2 of 60")


def test_a_promotion_is_the_versions_that_has_earned_it(ledger: Ledger, policy: Policy):
    _night(ledger, policy, _as_good())
    newer = _with(sprint={"version": "2"})
    standing = _night(ledger, policy, _as_good(), _day(1), newer)[CHEAP]
    assert (standing.status, standing.changed) == (_ACTIVE, True)
    assert "it was as version 1 of the preview tier" in standing.reason
    earned = _night(ledger, policy, _as_good(model_version="2"), _day(2), newer)[CHEAP]
    assert (earned.status, earned.changed) == (_PROMOTED, True)


def test_a_model_that_a_person_moves_to_the_tier_above_is_not_promoted_a_second_step(ledger: Ledger, policy: Policy):
    _night(ledger, policy, _as_good())
    moved = _with(sprint={"tier": "production"})
    assert _night(ledger, policy, _as_good(), _day(1), moved)[CHEAP].status is _ACTIVE


# When it is judged


def test_judging_a_night_again_changes_nothing(ledger: Ledger, policy: Policy):
    assert [_night(ledger, policy, _as_good())[CHEAP].changed for _ in range(3)] == [True, False, False]
    assert len(ledger.governance.standing_history()[CHEAP]) == 1


def test_two_runs_of_one_night_make_one_transition(ledger: Ledger, policy: Policy):
    facts = _as_good()
    with ThreadPoolExecutor(4) as pool:
        nights = list(pool.map(lambda _: _night(ledger, policy, facts)[CHEAP], range(4)))
    assert sum(night.changed for night in nights) == 1
    assert {night.status for night in nights} == {_PROMOTED}
    assert len(ledger.governance.standing_history()[CHEAP]) == 1


def test_a_re_run_of_an_older_day_promotes_nobody_and_takes_nothing_back(ledger: Ledger, policy: Policy):
    _night(ledger, policy, _clips(DEAR, "production", completion=0.5, day=_day(2)), _day(2))
    standing = _night(ledger, policy, _as_good())[CHEAP]
    assert (standing.status, standing.changed) == (_ACTIVE, False)
    _night(ledger, policy, [fact.model_copy(update={"day": _day(3)}) for fact in _as_good()], _day(3))
    standing = _night(ledger, policy, _as_good(completion=0.1), _day(1))[CHEAP]
    assert (standing.status, standing.changed) == (_PROMOTED, False)
    assert "a later day has been judged" in standing.reason


# On which shots


def test_a_kind_of_shot_is_proven_by_enough_attempts_that_go_no_worse_than_others(ledger: Ledger, policy: Policy):
    kinds = {"default": (30, 30), "action": (20, 10), "establishing": (7, 7), "emotional_close_up": (8, 7)}
    spent = attempts(CHEAP, accepted=54, refusals=11).model_copy(update={"kinds": kinds})
    (score,) = score_models(DAY, [a_fact("a", spent)], policy.scoring)
    assert score.proven_kinds == ("default", "emotional_close_up")


def test_kinds_of_shot_are_added_up_over_clips(policy: Policy):
    spent = attempts(CHEAP, accepted=5).model_copy(update={"kinds": {"default": (4, 4), "action": (1, 1)}})
    facts = [a_fact("a", spent), a_fact("b", spent)]
    assert score_models(DAY, facts, policy.scoring)[0].proven_kinds == ("default",)


def test_a_promotion_holds_on_the_kinds_that_its_version_is_proven_on(ledger: Ledger, policy: Policy):
    facts = _as_good()
    spent = facts[0].by_model[0].model_copy(update={"kinds": {"default": (40, 38), "action": (3, 3)}})
    facts[0] = facts[0].model_copy(update={"by_model": (spent,)})
    _night(ledger, policy, facts)
    assert routing_state(ledger, policy.scoring).promoted[CHEAP].kinds == {"default"}
