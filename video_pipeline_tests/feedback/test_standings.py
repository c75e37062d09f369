"""Standings: a model that is refused too often falls, and comes back when it has proven itself since."""

import random
from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from video_pipeline.feedback import (
    ClipFact,
    ModelStanding,
    judge_standings,
    routing_state,
    score_models,
    transition_alerts,
)
from video_pipeline.ledger import Actor, Ledger, Preference, StandingStatus, TierState
from video_pipeline.policy import Policy
from video_pipeline.routing import Belief, Prior, RoutingState, load_catalogue
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts

CATALOGUE = load_catalogue(sandbox=True)
_ACTIVE, _DEMOTED = StandingStatus.ACTIVE, StandingStatus.DEMOTED
_MODELS = 200
_ATTEMPTS_A_DAY = 12


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


def _night(ledger: Ledger, policy: Policy, facts: Sequence[ClipFact], day: date) -> dict[str, ModelStanding]:
    """Judge `day` on the facts of the trailing days, as the nightly assets do; model -> standing."""
    trailing = [fact for fact in facts if day - timedelta(days=policy.scoring.trailing_days) < fact.day <= day]
    scores = score_models(day, trailing, policy.scoring, own_tiers=CATALOGUE.tiers)
    standings = judge_standings(ledger, policy.scoring, day=day, scores=scores, facts=trailing, catalogue=CATALOGUE)
    return {standing.model: standing for standing in standings}


def _simulate(ledger: Ledger, policy: Policy, refusal_rate: float, nights: int, seed: int) -> float:
    """Share of many models refused at `refusal_rate` that have fallen after some nights of twelve attempts each."""
    draw = random.Random(seed)
    facts: list[ClipFact] = []
    fallen: set[str] = set()
    for number in range(nights):
        for model in range(_MODELS):
            refusals = sum(draw.random() < refusal_rate for _ in range(_ATTEMPTS_A_DAY))
            entry = attempts(f"model-{model}", refusals=refusals, accepted=_ATTEMPTS_A_DAY - refusals)
            facts.append(a_fact(f"{model}", entry, day=_day(number)))
        standings = _night(ledger, policy, facts, _day(number))
        fallen |= {model for model, standing in standings.items() if standing.status is _DEMOTED}
    return len(fallen) / _MODELS


def test_a_model_that_is_refused_two_times_in_five_falls_within_three_days(ledger: Ledger, policy: Policy):
    # The exact chance is 0.876 (sums of binomials over the three nights); 0.78 is four standard errors below.
    assert _simulate(ledger, policy, 0.40, nights=3, seed=1) >= 0.78


def test_a_model_that_is_refused_one_time_in_ten_practically_never_falls(ledger: Ledger, policy: Policy):
    # The exact chance over five nights is 0.0046; 0.025 is over four standard errors above.
    assert _simulate(ledger, policy, 0.10, nights=5, seed=2) <= 0.025


def test_a_fall_is_put_in_force_and_told_with_its_numbers(ledger: Ledger, policy: Policy):
    standings = _night(ledger, policy, [a_fact("a", attempts(refusals=8, accepted=4))], DAY)
    standing = standings["sandbox/sprint"]
    assert (standing.status, standing.changed) == (_DEMOTED, True)
    assert standing.reason.startswith("refused 8 of 12 (67%, at least ")
    assert routing_state(ledger, policy.scoring).demoted == {"sandbox/sprint"}
    assert ledger.governance.standings()["sandbox/sprint"].evidence["refusals"] == 8
    (alert,) = transition_alerts(list(standings.values()))
    assert (alert.title, alert.fields["attempts"], alert.fields["refused"]) == (
        "Sandbox/sprint is demoted",
        "12",
        "67%",
    )


def test_too_few_attempts_are_no_verdict(ledger: Ledger, policy: Policy):
    fewest = policy.scoring.minimum_attempts
    standing = _night(ledger, policy, [a_fact("a", attempts(refusals=fewest - 1))], DAY)["sandbox/sprint"]
    assert (standing.status, standing.changed) == (_ACTIVE, False)
    assert "not enough data" in standing.reason


def test_a_rate_that_could_be_luck_is_no_verdict(ledger: Ledger, policy: Policy):
    # 3 of 10 is at the limit, but 30 % of so few could be 12 %.
    standing = _night(ledger, policy, [a_fact("a", attempts(refusals=3, accepted=7))], DAY)["sandbox/sprint"]
    assert (standing.status, standing.refusal_rate) == (_ACTIVE, 0.3)


def test_failures_and_rejections_are_not_refusals(ledger: Ledger, policy: Policy):
    fact = a_fact("a", attempts(failures=10, rejections=10, accepted=10))
    assert _night(ledger, policy, [fact], DAY)["sandbox/sprint"].status is _ACTIVE


def test_judging_a_day_again_changes_nothing(ledger: Ledger, policy: Policy):
    facts = [a_fact("a", attempts(refusals=10, accepted=2))]
    changed = [_night(ledger, policy, facts, DAY)["sandbox/sprint"].changed for _ in range(3)]
    assert changed == [True, False, False]


def test_a_re_run_of_an_older_day_changes_nothing(ledger: Ledger, policy: Policy):
    _night(ledger, policy, [a_fact("a", attempts(refusals=10, accepted=2), day=_day(2))], _day(2))
    standing = _night(ledger, policy, [a_fact("b", attempts(accepted=50))], DAY)["sandbox/sprint"]
    assert (standing.status, standing.changed) == (_DEMOTED, False)
    assert "a later day has been judged" in standing.reason


def test_attempts_before_the_fall_do_not_bring_a_model_back(ledger: Ledger, policy: Policy):
    facts = [a_fact("a", attempts(accepted=30)), a_fact("b", attempts(refusals=25, accepted=5), day=_day(1))]
    assert _night(ledger, policy, facts, _day(1))["sandbox/sprint"].status is _DEMOTED
    standing = _night(ledger, policy, facts, _day(2))["sandbox/sprint"]
    assert (standing.status, standing.reason) == (_DEMOTED, "0 of 8 attempts since the demotion")


@pytest.mark.parametrize(
    ("refusals", "accepted", "status"),
    [
        pytest.param(0, 7, _DEMOTED, id="too few"),
        pytest.param(0, 8, _ACTIVE, id="enough and clean"),
        pytest.param(1, 8, _DEMOTED, id="over a tenth"),
        pytest.param(1, 10, _DEMOTED, id="under a tenth, but it could be a third"),
        pytest.param(2, 28, _ACTIVE, id="under a tenth and surely under the limit"),
    ],
)
def test_a_model_comes_back_on_what_it_did_since_its_fall(
    ledger: Ledger, policy: Policy, refusals: int, accepted: int, status: StandingStatus
):
    facts = [a_fact("a", attempts(refusals=10, accepted=10))]
    assert _night(ledger, policy, facts, DAY)["sandbox/sprint"].status is _DEMOTED
    facts.append(a_fact("b", attempts(refusals=refusals, accepted=accepted), day=_day(1)))
    standing = _night(ledger, policy, facts, _day(1))["sandbox/sprint"]
    assert (standing.status, standing.changed) == (status, status is _ACTIVE)
    assert ("sandbox/sprint" in routing_state(ledger, policy.scoring).demoted) is (status is _DEMOTED)


def test_a_model_that_came_back_does_not_fall_again_for_its_old_refusals(ledger: Ledger, policy: Policy):
    facts = [
        a_fact("a", attempts(refusals=16, accepted=20)),
        a_fact("b", attempts(accepted=8), day=_day(1)),
        a_fact("c", attempts(accepted=4), day=_day(2)),
    ]
    statuses = [
        _night(ledger, policy, [fact for fact in facts if fact.day <= _day(number)], _day(number))[
            "sandbox/sprint"
        ].status
        for number in range(3)
    ]
    assert statuses == [_DEMOTED, _ACTIVE, _ACTIVE]


def test_a_model_that_came_back_falls_again_for_new_refusals(ledger: Ledger, policy: Policy):
    facts = [
        a_fact("a", attempts(refusals=16, accepted=20)),
        a_fact("b", attempts(accepted=8), day=_day(1)),
        a_fact("c", attempts(refusals=20), day=_day(2)),
    ]
    for number in range(3):
        night = _night(ledger, policy, [fact for fact in facts if fact.day <= _day(number)], _day(number))
    assert night["sandbox/sprint"].status is _DEMOTED


def test_a_new_version_of_a_fallen_model_has_to_prove_itself_and_then_stands(ledger: Ledger, policy: Policy):
    facts = [a_fact("a", attempts(refusals=16, accepted=20, version="1"))]
    assert _night(ledger, policy, facts, DAY)["sandbox/sprint"].status is _DEMOTED
    facts.append(a_fact("b", attempts(accepted=3, version="2"), day=_day(1)))
    _night(ledger, policy, facts, _day(1))
    assert "sandbox/sprint" in routing_state(ledger, policy.scoring).demoted
    facts.append(a_fact("c", attempts(accepted=9, version="2"), day=_day(2)))
    for number in (2, 3):
        _night(ledger, policy, facts, _day(number))
        assert "sandbox/sprint" not in routing_state(ledger, policy.scoring).demoted


def test_what_is_in_force_is_what_routing_is_told(ledger: Ledger, policy: Policy):
    assert routing_state(ledger, policy.scoring).frozen == frozenset()
    ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=DAY, evidence={})
    ledger.governance.set_tier("cinematic", TierState.FROZEN, by=Actor.PERSON, day=DAY, evidence={})
    ledger.governance.set_tier("cinematic", TierState.OPEN, by=Actor.PERSON, day=DAY, evidence={})
    ledger.governance.set_preference(Preference.ACCEPTANCE, {"sandbox/dash": 0.5}, learned_from=DAY)
    ledger.governance.set_preference(Preference.STYLE_AFFINITY, {"wide": {"sandbox/dash": 0.05}}, learned_from=DAY)
    state = routing_state(ledger, policy.scoring)
    assert state.frozen == {"preview"}
    assert (state.acceptance, state.affinity) == ({"sandbox/dash": 0.5}, {"wide": {"sandbox/dash": 0.05}})


def test_a_belief_is_of_one_version_and_takes_the_place_of_what_was_measured_before(ledger: Ledger, policy: Policy):
    model = CATALOGUE.named("sandbox/dash")
    belief = Belief(version=model.version, accepted=6, lost=2, worth_sd=0.1)
    ledger.governance.set_preference(Preference.ACCEPTANCE, {model.model: 0.5}, learned_from=DAY)
    document = {model.model: belief.model_dump(mode="json")}
    ledger.governance.set_preference(Preference.BELIEFS, document, learned_from=DAY)
    state = routing_state(ledger, policy.scoring)
    assert (state.belief_in(model), state.estimate_of(model, "default").acceptance, state.acceptance) == (
        belief,
        0.75,
        {},
    )
    newer = model.model_copy(update={"version": "of tomorrow"})
    assert (state.belief_in(newer), state.estimate_of(newer, "default").acceptance) == (None, model.acceptance_prior)


def test_what_routing_was_told_when_a_past_day_was_planned(ledger: Ledger, policy: Policy):
    governance, before, after = ledger.governance, DAY - timedelta(days=1), DAY + timedelta(days=1)
    for night, tried in ((before, 0.6), (DAY, 0.5), (after, 0.4)):
        governance.set_preference(Preference.ACCEPTANCE, {"sandbox/dash": tried}, learned_from=night)
    governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=before, evidence={})
    governance.set_tier("preview", TierState.OPEN, by=Actor.PERSON, day=after, evidence={})
    weeks = DAY - timedelta(days=7)
    governance.set_preference(Preference.STYLE_AFFINITY, {"wide": {"sandbox/dash": 0.05}}, learned_from=weeks)
    governance.set_standing(
        "sandbox/dash",
        StandingStatus.DEMOTED,
        model_version="1",
        tier="preview",
        by=Actor.SCORE,
        day=DAY,
        evidence={},
    )

    def told(day: date) -> RoutingState:
        return routing_state(ledger, policy.scoring, for_day=day)

    assert told(before) == RoutingState(prior=Prior(policy.scoring.prior_strength, policy.scoring.worth_prior_sd))
    assert (told(DAY).acceptance, told(after).acceptance) == ({"sandbox/dash": 0.6}, {"sandbox/dash": 0.5})
    assert (told(DAY).demoted, told(after).demoted) == (frozenset(), {"sandbox/dash"})
    # A person's word holds on its own day, a night's from the next day on, a week's from the next week on.
    assert (told(DAY).frozen, told(after).frozen) == ({"preview"}, frozenset())
    assert (told(before).affinity, told(DAY).affinity) == ({}, {"wide": {"sandbox/dash": 0.05}})
