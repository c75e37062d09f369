"""Learning: the same record gives the same state, however it was judged, and each clip is heard once."""

import random
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from video_pipeline.feedback import ClipFact, Earlier, Nights, Outcome, learn
from video_pipeline.feedback.changes import Rise
from video_pipeline.feedback.facts import FirstTry
from video_pipeline.feedback.operational import Counts
from video_pipeline.feedback.probation import Fall
from video_pipeline.ledger import StandingStatus
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement
from video_pipeline.routing import load_catalogue
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts, tries

CATALOGUE = load_catalogue(sandbox=True)
_SPRINT, _DASH, _STEADY = "sandbox/sprint", "sandbox/dash", "sandbox/steady"
_ACTIVE, _DEMOTED, _PROMOTED = StandingStatus.ACTIVE, StandingStatus.DEMOTED, StandingStatus.PROMOTED


def _day(number: int) -> date:
    return DAY + timedelta(days=number)


def _seen(fact: ClipFact, *, views: int | None, completion: float | None, age: int = 2) -> Engagement:
    return Engagement(
        clip_id=fact.clip_id,
        brief_id=fact.brief_id,
        platform="youtube_shorts",
        day=fact.day + timedelta(days=age),
        age_days=age,
        views=views,
        completion=completion,
    )


def _stormy(nights: int = 14) -> list[ClipFact]:
    """Three models; from the eighth night on, half of what sprint is asked for is refused."""
    facts: list[ClipFact] = []
    for night in range(nights):
        refused = 6 if night >= 7 else 1
        facts += tries(_SPRINT, accepted=12 - refused, refused=refused, day=_day(night))
        facts += tries(_DASH, accepted=4, day=_day(night))
        facts += tries(_STEADY, accepted=4, day=_day(night), tier="production")
    return facts


def _watched(facts: list[ClipFact]) -> list[Engagement]:
    draw = random.Random(3)
    return [_seen(fact, views=draw.randrange(2000), completion=draw.random()) for fact in facts]


def test_the_order_of_the_rows_changes_nothing(policy: Policy):
    facts = _stormy()
    rows = _watched(facts)
    once = learn(_day(13), facts, rows, CATALOGUE, policy.scoring)
    draw = random.Random(8)
    draw.shuffle(facts)
    draw.shuffle(rows)
    assert learn(_day(13), facts, rows, CATALOGUE, policy.scoring) == once


def test_judged_night_for_night_or_after_a_gap_the_state_is_the_same(policy: Policy):
    facts = _stormy()
    rows = _watched(facts)
    nights = Nights(policy.scoring)
    for number in range(14):
        day = _day(number)
        today = sorted((fact for fact in facts if fact.day == day), key=lambda fact: fact.clip_id)
        read = sorted((row for row in rows if row.day == day), key=lambda row: row.clip_id)
        nights.night(day, today, read, CATALOGUE)
        nights.learned(day, CATALOGUE)
    assert nights.learned(_day(13), CATALOGUE) == learn(_day(13), facts, rows, CATALOGUE, policy.scoring)


def test_a_night_knows_nothing_of_later_ones(policy: Policy):
    facts = _stormy()
    rows = _watched(facts)
    known = [fact for fact in facts if fact.day <= _day(6)]
    read = [row for row in rows if row.day <= _day(6)]
    assert learn(_day(6), facts, rows, CATALOGUE, policy.scoring) == learn(
        _day(6), known, read, CATALOGUE, policy.scoring
    )


def test_a_model_that_is_refused_more_falls_and_says_by_which_numbers(policy: Policy):
    learned = learn(_day(13), _stormy(), [], CATALOGUE, policy.scoring)
    standing = learned.standings[_SPRINT]
    assert standing.status is _DEMOTED
    assert standing.since > _day(6)
    assert standing.reason.startswith("refused ")
    assert "where 8% is usual" in standing.reason
    assert standing.evidence["bad"] / standing.evidence["tried"] == pytest.approx(0.5, abs=0.05)
    assert {learned.standings[model].status for model in (_DASH, _STEADY)} == {_ACTIVE}
    # What routing believes is how it does now.
    assert learned.beliefs[_SPRINT].acceptance < 0.65 < 0.9 < learned.beliefs[_DASH].acceptance


def test_a_fallen_model_comes_back_by_its_probation_or_by_time(policy: Policy):
    facts = _stormy()
    fell = learn(_day(13), facts, [], CATALOGUE, policy.scoring).standings[_SPRINT].since
    proven = facts + [fact for night in range(14, 30) for fact in tries(_SPRINT, accepted=2, day=_day(night))]
    untried = facts + [fact for night in range(14, 30) for fact in tries(_DASH, accepted=2, day=_day(night))]
    bad = facts + [fact for night in range(14, 30) for fact in tries(_SPRINT, accepted=1, refused=1, day=_day(night))]
    fresh = [fact for fact in proven if not (fact.model == _SPRINT and fell < fact.day < _day(14))]
    standings = {
        name: learn(_day(29), record, [], CATALOGUE, policy.scoring).standings[_SPRINT]
        for name, record in (("proven", fresh), ("untried", untried), ("bad", bad))
    }
    assert standings["proven"].status is _ACTIVE
    assert (standings["proven"].since - _day(13)).days <= 7
    assert standings["proven"].reason.startswith("mended")
    assert standings["untried"].status is _ACTIVE
    assert standings["untried"].reason.startswith("on trial")
    assert standings["bad"].status is _DEMOTED


def test_a_model_that_never_was_good_comes_back_as_a_new_one(policy: Policy):
    usual = [fact for night in range(20) for fact in tries(_DASH, accepted=12, day=_day(night))]
    awful = [fact for night in range(6) for fact in tries(_SPRINT, accepted=1, refused=4, day=_day(night))]
    lucky = [fact for night in range(6, 20) for fact in tries(_SPRINT, accepted=2, day=_day(night))]
    learned = [learn(_day(number), usual + awful + lucky, [], CATALOGUE, policy.scoring) for number in range(5, 20)]
    assert learned[0].standings[_SPRINT].status is _DEMOTED
    back = next(one for one in learned if one.standings[_SPRINT].status is _ACTIVE)
    assert back.standings[_SPRINT].reason.startswith("mended")
    assert back.beliefs[_SPRINT].clips == 0 < back.beliefs[_DASH].clips


def test_every_relapse_asks_for_longer_rests_and_more_evidence(policy: Policy):
    rise = Rise(True, 0, 12, 20, 0.1, 0.4, 1.0, False, Counts())
    falls = [Fall(rise, 0, relapses) for relapses in range(3)]
    needed: list[int] = []
    for fall in falls:
        night = 0
        while not fall.surely_mended(policy.scoring):
            night += 1
            fall.hear(night, Counts(2, 0, 0), policy.scoring)
        needed.append(night)
    assert needed == sorted(set(needed))
    rests = [fall.rests_since() for fall in falls]
    assert rests == [None, needed[1], needed[2] + 2]


def test_a_model_that_is_still_bad_does_not_lead_again_every_two_weeks(policy: Policy):
    facts = _stormy(60)
    for number in range(60):
        status = (
            learn(_day(number), facts, [], CATALOGUE, policy.scoring).standings[_SPRINT].status
            if number % 5 == 4
            else None
        )
        if number > 14 and status is not None:
            assert status is _DEMOTED


def test_four_refusals_of_one_clip_are_one(policy: Policy):
    """What a clip's later attempts end in says nothing new of the model."""
    once = FirstTry(model=_SPRINT, model_version="1", outcome=Outcome.REFUSED)
    facts = [a_fact("hard", attempts(refusals=4), day=_day(night), firsts=(once,)) for night in range(2)] + tries(
        _SPRINT, accepted=20
    )
    belief = learn(_day(1), facts, [], CATALOGUE, policy.scoring).beliefs[_SPRINT]
    assert belief.clips == 22
    few = [
        fact.model_copy(update={"by_model": (attempts(refusals=1),)}) if not fact.usable else fact for fact in facts
    ]
    assert learn(_day(1), few, [], CATALOGUE, policy.scoring).beliefs[_SPRINT] == belief


def test_a_rescue_is_counted_and_not_held_against_a_model(policy: Policy):
    rescue = FirstTry(model=_DASH, model_version="1", outcome=Outcome.REFUSED, rescue=True)
    facts = [a_fact(f"clip {number}", firsts=(rescue,)) for number in range(30)]
    learned = learn(DAY, [*facts, *tries(_DASH, accepted=10)], [], CATALOGUE, policy.scoring)
    assert learned.standings[_DASH].status is _ACTIVE
    assert learned.beliefs[_DASH].clips == 10


def test_old_refusals_are_forgotten_little_by_little(policy: Policy):
    facts = tries(_SPRINT, accepted=10, refused=10)
    means = []
    for days in range(0, 50, 7):
        learned = learn(_day(days), [*facts, a_fact("x", day=_day(days))], [], CATALOGUE, policy.scoring)
        means.append(learned.estimates[(_SPRINT, "1")].belief.acceptance)
    steps = [after - before for before, after in pairwise(means)]
    assert all(0 < step < 0.06 for step in steps)


def test_a_new_version_starts_from_the_older_one_as_from_four_clips(policy: Policy):
    old = tries(_SPRINT, accepted=40, refused=40, version="0", day=DAY)
    new = tries(_SPRINT, accepted=1, version="1", day=_day(1))
    belief = learn(_day(1), [*old, *new], [], CATALOGUE, policy.scoring).beliefs[_SPRINT]
    prior = CATALOGUE.named(_SPRINT).acceptance_prior
    assert (belief.version, belief.clips) == ("1", 1)
    assert belief.accepted + belief.lost == pytest.approx(1 + policy.scoring.prior_strength)
    assert belief.accepted == pytest.approx(1 + 4 * prior + 4 * 0.5, abs=1e-3)


def test_a_kind_is_shrunk_to_the_models_own_rate(policy: Policy):
    def kinds(kind: str, outcome: Outcome, count: int) -> list[ClipFact]:
        first = FirstTry(model=_SPRINT, model_version="1", kind=kind, outcome=outcome)
        return [a_fact(f"{kind} {outcome} {number}", firsts=(first,)) for number in range(count)]

    facts = kinds("default", Outcome.ACCEPTED, 40) + kinds("action", Outcome.REFUSED, 2)
    belief = learn(DAY, facts, [], CATALOGUE, policy.scoring).beliefs[_SPRINT]
    accepted, lost = belief.kinds["action"]
    assert 0.4 < accepted / (accepted + lost) < belief.acceptance


# Worth.


def _audience(better: float, nights: int = 12, **fields: Any) -> tuple[list[ClipFact], list[Engagement]]:
    draw, facts, rows = random.Random(4), list[ClipFact](), list[Engagement]()
    for night in range(nights):
        for model, gain in ((_SPRINT, better), (_DASH, 0.0)):
            for fact in tries(model, accepted=5, day=_day(night)):
                facts.append(fact)
                completion = 0.5 + gain + draw.gauss(0, 0.1)
                rows.append(_seen(fact, views=round(draw.lognormvariate(6, 1)), completion=completion, **fields))
    return facts, rows


def _worths(facts: list[ClipFact], rows: list[Engagement], policy: Policy) -> tuple[float, float]:
    beliefs = learn(_day(20), facts, rows, CATALOGUE, policy.scoring).beliefs
    return beliefs[_SPRINT].worth, beliefs[_DASH].worth


def test_a_model_that_is_liked_more_is_worth_more_and_an_equal_one_as_much(policy: Policy):
    better, usual = _worths(*_audience(0.1), policy)
    assert better > 1.05 and better / usual > 1.12
    one, other = _worths(*_audience(0.0), policy)
    assert one / other == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("truly", [0.4, 0.6, 0.8, 1.2])
def test_far_worse_is_told_from_worse(policy: Policy, truly: float):
    """Completion and views of the model are so many times the others', as are clips that are worth so much."""
    draw, facts, rows = random.Random(5), list[ClipFact](), list[Engagement]()
    for night in range(16):
        for model, worth, clips in ((_SPRINT, truly, 3), (_DASH, 1.0, 12)):
            for fact in tries(model, accepted=clips, day=_day(night)):
                facts.append(fact)
                completion = max(0.01, 0.5 * worth + draw.gauss(0, 0.1))
                views = round(1500 * worth / (2 - worth) * draw.lognormvariate(0, 0.8))
                rows.append(_seen(fact, views=views, completion=min(1.0, completion)))
    found, usual = _worths(facts, rows, policy)
    assert found / usual == pytest.approx(truly, abs=0.08)


def test_one_clip_that_went_round_the_world_is_a_good_one(policy: Policy):
    facts, rows = _audience(0.0)
    famous = next(number for number, row in enumerate(rows) if "dash" in row.clip_id and number > 60)
    viral = [row.model_copy(update={"views": 10**9}) if n == famous else row for n, row in enumerate(rows)]
    assert _worths(facts, viral, policy)[1] == pytest.approx(_worths(facts, rows, policy)[1], rel=0.02)


def test_clips_that_nobody_watches_are_worth_less(policy: Policy):
    facts, rows = _audience(0.0)
    none = [row.model_copy(update={"views": 0, "completion": None}) if "dash" in row.clip_id else row for row in rows]
    usual, unwatched = _worths(facts, none, policy)
    assert unwatched < 0.5 * usual


def test_missing_is_not_dislike(policy: Policy):
    facts, rows = _audience(0.0)
    partly = [
        row.model_copy(update={"completion": None}) if "dash" in row.clip_id and number % 2 else row
        for number, row in enumerate(rows)
    ]
    usual, partly_known = _worths(facts, rows, policy)[1], _worths(facts, partly, policy)[1]
    assert partly_known == pytest.approx(usual, abs=0.04)


def test_numbers_of_a_fresh_clip_are_no_numbers_yet(policy: Policy):
    facts, rows = _audience(0.0)
    fresh = [row.model_copy(update={"day": row.day - timedelta(days=2), "age_days": 0, "views": 0}) for row in rows]
    assert _worths(facts, [*fresh, *rows], policy) == _worths(facts, rows, policy)
    beliefs = learn(_day(20), facts, fresh, CATALOGUE, policy.scoring).beliefs
    assert (beliefs[_DASH].seen, beliefs[_DASH].worth) == (0, 1.0)
    assert beliefs[_DASH].worth_sd == pytest.approx(policy.scoring.worth_prior_sd)


def test_a_clip_of_several_models_is_counted_and_says_nothing_of_one(policy: Policy):
    facts, rows = _audience(0.0)
    mixed = [fact.model_copy(update={"model": f"{_SPRINT}+{_DASH}"}) for fact in facts]
    learned = learn(_day(20), mixed, rows, CATALOGUE, policy.scoring)
    assert learned.mixed > 80
    assert learned.beliefs[_DASH].seen == 0


def test_models_of_different_tiers_are_not_compared(policy: Policy):
    """Bots watch drafts: whatever the tiers' audiences differ by, no model is worth more for it."""
    draw, facts, rows = random.Random(6), list[ClipFact](), list[Engagement]()
    for night in range(12):
        for model, tier, gain in ((_SPRINT, "preview", 0.3), (_STEADY, "production", 0.0)):
            for fact in tries(model, accepted=5, day=_day(night), tier=tier):
                facts.append(fact)
                views = round(draw.lognormvariate(6 + 5 * gain, 1))
                rows.append(_seen(fact, views=views, completion=0.5 + gain + draw.gauss(0, 0.1)))
    beliefs = learn(_day(20), facts, rows, CATALOGUE, policy.scoring).beliefs
    for model in (_SPRINT, _STEADY):
        assert beliefs[model].worth == pytest.approx(1.0, abs=0.02)
        assert beliefs[model].worth_sd > 0.8 * policy.scoring.worth_prior_sd


# Promotion.


def _tried_above(
    gain: float, *, nights: int = 16, tier: str = "production"
) -> tuple[list[ClipFact], list[Engagement]]:
    """A preview model on clips of `tier`, beside production's own."""
    draw, facts, rows = random.Random(9), list[ClipFact](), list[Engagement]()
    for night in range(nights):
        for model, more, count, of_tier in ((_SPRINT, gain, 3, tier), (_STEADY, 0.0, 6, "production")):
            for fact in tries(model, accepted=count, day=_day(night), tier=of_tier):
                facts.append(fact)
                views = round(draw.lognormvariate(6, 1))
                rows.append(_seen(fact, views=views, completion=0.5 + more + draw.gauss(0, 0.1)))
    return facts, rows


def test_a_model_that_is_surely_as_good_on_clips_of_the_tier_above_is_promoted(policy: Policy):
    facts, rows = _tried_above(0.2)
    standing = learn(_day(17), facts, rows, CATALOGUE, policy.scoring).standings[_SPRINT]
    assert standing.status is _PROMOTED
    assert standing.evidence["promotion"]["serves"] == "production"
    assert "times those of sandbox/steady" in standing.reason


@pytest.mark.parametrize(
    ("gain", "tier"), [pytest.param(0.0, "production", id="equal"), pytest.param(0.2, "preview", id="only drafts")]
)
def test_an_equal_model_or_one_that_was_only_seen_in_drafts_is_not(policy: Policy, gain: float, tier: str):
    facts, rows = _tried_above(gain, tier=tier)
    assert learn(_day(17), facts, rows, CATALOGUE, policy.scoring).standings[_SPRINT].status is _ACTIVE


def test_a_model_that_is_known_in_its_tier_may_be_tried_above(policy: Policy):
    facts = [*tries(_SPRINT, accepted=30), *tries(_DASH, accepted=3), *tries(_STEADY, accepted=3, tier="production")]
    assert learn(DAY, facts, [], CATALOGUE, policy.scoring).candidates == (_SPRINT,)


# What the record does not tell.


def test_a_persons_word_holds_and_an_older_fall_is_taken_over(policy: Policy):
    facts = tries(_DASH, accepted=5)
    by_hand = {_DASH: _DEMOTED}
    earlier = [Earlier(_STEADY, _DEMOTED, DAY - timedelta(days=2))]
    learned = learn(DAY, facts, [], CATALOGUE, policy.scoring, by_hand, earlier)
    assert (learned.standings[_DASH].status, learned.standings[_DASH].reason) == (_DEMOTED, "demoted by a person")
    assert learned.standings[_STEADY].status is _DEMOTED
    later = learn(_day(14), [*facts, a_fact("x", day=_day(14))], [], CATALOGUE, policy.scoring, by_hand, earlier)
    assert later.standings[_STEADY].status is _DEMOTED
