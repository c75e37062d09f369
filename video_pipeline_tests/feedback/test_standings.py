"""The edge of the standings: what the nights say is put in force once; what people and older releases said holds."""

from collections.abc import Sequence
from datetime import date, timedelta

from video_pipeline.feedback import (
    ClipFact,
    ModelStanding,
    judge_standings,
    learn,
    put_learned_in_force,
    routing_state,
    score_models,
    told_by_ledger,
    transition_alerts,
)
from video_pipeline.ledger import Actor, ByHand, HandAct, Ledger, Preference, StandingStatus, TierState
from video_pipeline.policy import Policy
from video_pipeline.routing import Belief, Prior, RoutingState, load_catalogue
from video_pipeline_tests.feedback.rows import DAY, tries

CATALOGUE = load_catalogue(sandbox=True)
_ACTIVE, _DEMOTED, _PROMOTED = StandingStatus.ACTIVE, StandingStatus.DEMOTED, StandingStatus.PROMOTED
_SPRINT, _DASH = "sandbox/sprint", "sandbox/dash"


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


def _night(ledger: Ledger, policy: Policy, facts: Sequence[ClipFact], day: date) -> dict[str, ModelStanding]:
    """Judge `day` on the facts of the trailing days, as the nightly assets do; model -> standing."""
    trailing = [fact for fact in facts if day - timedelta(days=policy.scoring.trailing_days) < fact.day <= day]
    told = told_by_ledger(ledger, day, policy.scoring)
    learned = learn(day, trailing, [], CATALOGUE, policy.scoring, told.by_hand, told.earlier)
    scores = score_models(trailing, learned, policy.scoring)
    standings = judge_standings(ledger, policy.scoring, learned=learned, scores=scores)
    put_learned_in_force(ledger, learned)
    return {standing.model: standing for standing in standings}


def _bad(day: date) -> list[ClipFact]:
    """A night on which a new model is refused two times in three, and another is not."""
    return [*tries(_SPRINT, refused=12, accepted=6, day=day), *tries(_DASH, accepted=12, day=day)]


def test_a_fall_is_put_in_force_and_told_with_its_numbers(ledger: Ledger, policy: Policy):
    standings = _night(ledger, policy, _bad(DAY), DAY)
    standing = standings[_SPRINT]
    assert (standing.status, standing.changed) == (_DEMOTED, True)
    assert standing.reason.startswith("refused 12 of 18 first tries since 21 November (67%), where ")
    assert (standing.attempts, round(standing.refusal_rate, 2)) == (18, 0.65)
    state = routing_state(ledger, policy.scoring)
    assert state.demoted == {_SPRINT}
    assert state.beliefs[_SPRINT].acceptance < 0.6 < state.beliefs[_DASH].acceptance
    assert ledger.governance.standings()[_SPRINT].evidence["bad"] == 12
    (alert,) = transition_alerts(list(standings.values()))
    assert (alert.title, alert.fields["attempts"]) == ("Sandbox/sprint is demoted", "18")


def test_what_never_was_good_rests_between_its_nights_of_probation(ledger: Ledger, policy: Policy):
    usual = [fact for night in range(9) for fact in tries(_DASH, accepted=12, day=_day(night))]
    awful = [fact for night in range(6) for fact in tries(_SPRINT, accepted=1, refused=4, day=_day(night))]
    probation = tries(_SPRINT, accepted=1, refused=1, day=_day(8))
    for number in range(9):
        _night(ledger, policy, [*usual, *awful, *probation], _day(number))
    state = routing_state(ledger, policy.scoring)
    assert ledger.governance.standings()[_SPRINT].day < _day(8)
    proving = [number for number in range(9, 13) if state.out_of_quarantine(_day(number), 2)]
    assert proving == [11, 12]


def test_judging_a_day_again_changes_nothing(ledger: Ledger, policy: Policy):
    changed = [_night(ledger, policy, _bad(DAY), DAY)[_SPRINT].changed for _ in range(3)]
    assert changed == [True, False, False]
    assert len(ledger.governance.standing_history()[_SPRINT]) == 1


def test_a_re_run_of_an_older_day_changes_nothing(ledger: Ledger, policy: Policy):
    facts = [*tries(_SPRINT, accepted=20), *_bad(_day(1)), *_bad(_day(2))]
    _night(ledger, policy, facts, _day(2))
    standing = _night(ledger, policy, facts, DAY)[_SPRINT]
    assert (standing.status, standing.changed) == (_DEMOTED, False)
    assert "a later day has been judged" in standing.reason


def test_days_that_are_judged_in_another_order_end_in_the_same_state(ledger: Ledger, policy: Policy):
    facts = [
        fact
        for number in range(4)
        for fact in (_bad(_day(number)) if number > 1 else tries(accepted=9, day=_day(number)))
    ]
    for number in (0, 1, 2, 3):
        _night(ledger, policy, facts, _day(number))
    in_order = (routing_state(ledger, policy.scoring).demoted, ledger.governance.preference(Preference.BELIEFS))
    for number in (3, 1, 0, 2, 3):
        _night(ledger, policy, facts, _day(number))
    assert (
        routing_state(ledger, policy.scoring).demoted,
        ledger.governance.preference(Preference.BELIEFS),
    ) == in_order


def test_a_new_version_of_a_fallen_model_starts_anew(ledger: Ledger, policy: Policy):
    old = [
        fact for number in range(2) for fact in tries(_SPRINT, refused=12, accepted=6, version="0", day=_day(number))
    ]
    facts = [*old, *tries(_DASH, accepted=30)]
    ledger.governance.set_standing(
        _SPRINT, _DEMOTED, model_version="0", tier="preview", by=Actor.SCORE, day=DAY, evidence={"over_nights": 60}
    )
    facts += tries(_SPRINT, accepted=3, version="1", day=_day(2))
    standing = _night(ledger, policy, facts, _day(2))[_SPRINT]
    assert (standing.model_version, standing.status, standing.changed) == ("1", _ACTIVE, True)


def test_what_a_person_has_set_holds_until_it_is_lifted_or_over(ledger: Ledger, policy: Policy):
    def said(act: HandAct, until: date | None = None) -> tuple[StandingStatus, bool]:
        tier = "preview" if act is HandAct.PIN else ""
        ledger.governance.set_by_hand(ByHand(_SPRINT, act, DAY, tier, until), model_version="1", own_tier="preview")
        standing = _night(ledger, policy, _bad(DAY), DAY)[_SPRINT]
        return standing.status, standing.changed

    assert said(HandAct.BENCH) == (_DEMOTED, False)
    assert said(HandAct.PIN) == (_ACTIVE, False)
    assert said(HandAct.PIN, until=_day(-1)) == (_DEMOTED, True)
    assert said(HandAct.PIN) == (_ACTIVE, False)
    assert said(HandAct.RELEASE) == (_DEMOTED, True)


def test_a_standing_of_an_older_release_is_taken_over(ledger: Ledger, policy: Policy):
    ledger.governance.set_standing(
        _DASH, _DEMOTED, model_version="1", tier="preview", by=Actor.SCORE, day=DAY, evidence={"attempts": 12}
    )
    standing = _night(ledger, policy, tries(_SPRINT, accepted=3), _day(1))[_DASH]
    assert (standing.status, standing.changed, standing.reason) == (_DEMOTED, False, "demoted since 21 November 2026")


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
