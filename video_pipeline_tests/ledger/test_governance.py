"""What was decided: sticky routing decisions, freezes, standings, preferences and their version; the world."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, event, func, select

from video_pipeline.ledger import Actor, JobState, Ledger, NightJudgement, Preference, StandingStatus, TierState
from video_pipeline.ledger.schema import (
    learned_preferences,
    nights_judged,
    standing_transitions,
    tier_transitions,
    world,
)
from video_pipeline.settings import Mode
from video_pipeline_tests.ledger.rows import DAY, a_job, sha256


def _count(ledger: Ledger, table: Table) -> int:
    with ledger.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _set_tier(ledger: Ledger, state: TierState, tier: str = "preview", by: Actor = Actor.DRIFT) -> bool:
    return ledger.governance.set_tier(tier, state, by=by, day=DAY, evidence={"2026-11-21": "$0.20 a clip"})


def _set_standing(ledger: Ledger, status: StandingStatus, model: str = "sandbox/dash") -> bool:
    return ledger.governance.set_standing(
        model, status, model_version="1", tier="preview", by=Actor.SCORE, day=DAY, evidence={"refusals": 9}
    )


def _stick(ledger: Ledger, document: dict[str, Any], shot_sha256: str = "") -> dict[str, Any]:
    job = a_job()
    return ledger.governance.stick(
        clip_id=job.clip_id, shot=job.shot, shot_sha256=shot_sha256 or job.shot_sha256, document=document
    )


def test_a_decision_follows_the_policy_while_nothing_was_bought(ledger: Ledger):
    assert _stick(ledger, {"model": "a"}) == {"model": "a"}
    assert _stick(ledger, {"model": "b"}) == {"model": "b"}


@pytest.mark.parametrize("state", [JobState.PLANNED, JobState.REFUSED], ids=str)
def test_a_decision_that_was_only_planned_or_refused_is_still_free(ledger: Ledger, state: JobState):
    _stick(ledger, {"model": "a"})
    ledger.jobs.plan(a_job(state=state))
    assert _stick(ledger, {"model": "b"}) == {"model": "b"}


@pytest.mark.parametrize("state", [s for s in JobState if s not in (JobState.PLANNED, JobState.REFUSED)], ids=str)
def test_a_decision_that_money_was_set_aside_for_stays(ledger: Ledger, state: JobState):
    _stick(ledger, {"model": "a"})
    ledger.jobs.plan(a_job(state=state))
    assert _stick(ledger, {"model": "b"}) == {"model": "a"}
    assert _stick(ledger, {"model": "c"}) == {"model": "a"}


def test_an_edited_shot_is_decided_anew(ledger: Ledger):
    _stick(ledger, {"model": "a"})
    ledger.jobs.plan(a_job(state=JobState.ACCEPTED))
    assert _stick(ledger, {"model": "b"}, sha256("edited")) == {"model": "b"}
    assert _stick(ledger, {"model": "c"}) == {"model": "a"}


def test_a_tier_is_open_until_it_is_frozen_and_again_when_it_is_thawed(ledger: Ledger):
    assert ledger.governance.tier_states() == {}
    assert _set_tier(ledger, TierState.FROZEN)
    frozen = ledger.governance.tier_states()["preview"]
    assert (frozen.state, frozen.by, frozen.day) == (TierState.FROZEN, Actor.DRIFT, DAY)
    assert frozen.evidence == {"2026-11-21": "$0.20 a clip"}
    assert _set_tier(ledger, TierState.OPEN, by=Actor.PERSON)
    assert ledger.governance.tier_states()["preview"].state == TierState.OPEN


def test_setting_a_tier_to_what_it_is_changes_nothing(ledger: Ledger):
    assert not _set_tier(ledger, TierState.OPEN)
    assert [_set_tier(ledger, TierState.FROZEN) for _ in range(3)] == [True, False, False]
    assert _count(ledger, tier_transitions) == 1


def test_every_transition_of_a_tier_is_kept(ledger: Ledger):
    for state in (TierState.FROZEN, TierState.OPEN, TierState.FROZEN):
        _set_tier(ledger, state)
    _set_tier(ledger, TierState.FROZEN, tier="production")
    assert _count(ledger, tier_transitions) == 4
    assert {tier: at.state for tier, at in ledger.governance.tier_states().items()} == {
        "preview": TierState.FROZEN,
        "production": TierState.FROZEN,
    }


def test_a_tier_frozen_by_many_at_once_changes_once(ledger: Ledger):
    with ThreadPoolExecutor(8) as pool:
        changed = list(pool.map(lambda number: _set_tier(ledger, TierState.FROZEN, f"tier {number // 8}"), range(80)))
    assert sum(changed) == 10
    assert _count(ledger, tier_transitions) == 10


def test_a_standing_changes_once_and_is_kept(ledger: Ledger):
    assert ledger.governance.standings() == {}
    assert not _set_standing(ledger, StandingStatus.ACTIVE)
    assert [_set_standing(ledger, StandingStatus.DEMOTED) for _ in range(3)] == [True, False, False]
    assert _set_standing(ledger, StandingStatus.ACTIVE)
    assert _count(ledger, standing_transitions) == 2
    standing = ledger.governance.standings()["sandbox/dash"]
    assert (standing.state, standing.subject, standing.evidence) == (
        StandingStatus.ACTIVE,
        "sandbox/dash",
        {"refusals": 9},
    )


def test_every_change_of_a_standing_is_in_its_history(ledger: Ledger):
    statuses = [StandingStatus.PROMOTED, StandingStatus.DEMOTED, StandingStatus.ACTIVE]
    for status in statuses:
        assert _set_standing(ledger, status)
    _set_standing(ledger, StandingStatus.PROMOTED, "sandbox/sprint")
    history = ledger.governance.standing_history()
    assert [change.state for change in history["sandbox/dash"]] == statuses
    assert [change.state for change in history["sandbox/sprint"]] == [StandingStatus.PROMOTED]
    assert {model: changes[-1] for model, changes in history.items()} == ledger.governance.standings()


def test_a_model_demoted_by_many_at_once_changes_once(ledger: Ledger):
    with ThreadPoolExecutor(8) as pool:
        changed = list(
            pool.map(lambda n: _set_standing(ledger, StandingStatus.DEMOTED, f"model {n // 8}"), range(80))
        )
    assert sum(changed) == 10
    assert _count(ledger, standing_transitions) == 10


def test_a_preference_that_was_learned_earlier_does_not_replace_a_later_one(ledger: Ledger):
    set_preference = ledger.governance.set_preference
    assert set_preference(Preference.ACCEPTANCE, {"a": 0.9}, learned_from=DAY)
    assert not set_preference(Preference.ACCEPTANCE, {"a": 0.1}, learned_from=DAY - timedelta(days=1))
    assert ledger.governance.preference(Preference.ACCEPTANCE) == {"a": 0.9}


def test_the_newest_preference_of_a_name_is_in_force(ledger: Ledger):
    governance, week = ledger.governance, date(2026, 11, 16)
    assert governance.preference(Preference.STYLE_AFFINITY) == {}
    assert governance.set_preference(Preference.STYLE_AFFINITY, {"wide": {"a": 0.05}}, learned_from=week)
    assert not governance.set_preference(Preference.STYLE_AFFINITY, {"wide": {"a": 0.05}}, learned_from=week)
    assert governance.set_preference(Preference.EDITORIAL_GUIDANCE, {"tiktok": {"hook": ["q"]}}, learned_from=week)
    assert governance.set_preference(Preference.STYLE_AFFINITY, {"wide": {"a": 0.01}}, learned_from=week)
    assert governance.preference(Preference.STYLE_AFFINITY) == {"wide": {"a": 0.01}}
    assert governance.preference(Preference.EDITORIAL_GUIDANCE) == {"tiktok": {"hook": ["q"]}}
    assert _count(ledger, learned_preferences) == 3


def test_an_empty_preference_is_put_in_force_over_one_that_is_not(ledger: Ledger):
    ledger.governance.set_preference(Preference.STYLE_AFFINITY, {"wide": {"a": 0.05}}, learned_from=DAY)
    assert ledger.governance.set_preference(Preference.STYLE_AFFINITY, {}, learned_from=DAY)
    assert ledger.governance.preference(Preference.STYLE_AFFINITY) == {}


def test_what_was_judged_for_a_later_day_is_not_judged_again_for_an_older_one(ledger: Ledger):
    judge = ledger.governance.judge_night
    drift = NightJudgement.DRIFT
    assert [judge(drift, day) for day in (DAY, DAY, DAY + timedelta(days=1))] == [True, True, True]
    assert not judge(drift, DAY)
    assert judge(NightJudgement.STANDINGS, DAY)
    assert _count(ledger, nights_judged) == 3


def test_a_ledger_belongs_to_the_mode_that_asked_first(ledger: Ledger):
    with ThreadPoolExecutor(8) as pool:
        modes = set(pool.map(lambda n: ledger.governance.claim_world((Mode.LIVE, Mode.SANDBOX)[n % 2]), range(16)))
    assert len(modes) == 1
    assert {ledger.governance.claim_world(mode) for mode in Mode} == modes
    assert _count(ledger, world) == 1


def test_a_ledger_counts_the_days_of_the_zone_that_asked_first_until_it_is_moved(ledger: Ledger):
    governance = ledger.governance
    governance.claim_world(Mode.SANDBOX)
    with ThreadPoolExecutor(8) as pool:
        zones = set(pool.map(lambda n: governance.claim_zone(("UTC", "Asia/Tokyo")[n % 2]), range(16)))
    assert len(zones) == 1
    governance.move_to_zone("Europe/Berlin")
    assert governance.claim_zone("UTC") == "Europe/Berlin"


def test_the_version_changes_when_what_steers_routing_does_and_only_then(ledger: Ledger):
    governance = ledger.governance
    changes = [
        lambda: _set_tier(ledger, TierState.FROZEN),
        lambda: _set_tier(ledger, TierState.OPEN),
        lambda: _set_standing(ledger, StandingStatus.DEMOTED),
        lambda: _set_standing(ledger, StandingStatus.ACTIVE),
        lambda: governance.set_preference(Preference.STYLE_AFFINITY, {"wide": {"a": 0.01}}, learned_from=DAY),
        lambda: governance.set_preference(Preference.PROVEN_KINDS, {"a": {"1": ["default"]}}, learned_from=DAY),
    ]
    versions = [governance.version()]
    for change in changes:
        assert change()
        versions.append(governance.version())
        change()
        governance.set_preference(Preference.EDITORIAL_GUIDANCE, {str(len(versions)): {}}, learned_from=DAY)
        governance.judge_night(NightJudgement.STANDINGS, DAY + timedelta(days=len(versions)))
        assert governance.version() == versions[-1]
    assert len(set(versions)) == len(changes) + 1


def test_a_days_decisions_are_found_without_reading_those_of_other_days(ledger: Ledger):
    asked = list[tuple[str, Any]]()

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(ledger.engine, "before_cursor_execute", note)
    assert ledger.governance.decided_on(DAY) == []
    event.remove(ledger.engine, "before_cursor_execute", note)
    statement, parameters = next((one, values) for one, values in asked if "FROM decisions" in one)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
    assert "ix_decisions_clip_prefix" in plan and f"'{DAY}/'" in plan.partition("Index Cond: ")[2]
