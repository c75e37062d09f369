"""Gate 4 back to Gate 1 over days.

Days that drift freeze a tier and hold its clips but for a probe, and a day as planned thaws it. A cheap model
that is promoted serves the tier above, until it is refused too often.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import dagster as dg
import httpx
import pytest

from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.feedback import ClipFact, CostReport, EditorialPattern, ModelStanding, StyleAffinity, TierStatus
from video_pipeline.ledger import Actor, StandingStatus, TierState
from video_pipeline.routing import ClipPlan, Decision
from video_pipeline_tests.integration.conftest import House, NewHouse
from video_pipeline_tests.integration.small_day import a_brief, drop, sandbox_books

# Each attempt costs $0.022: dear under this policy.
DEAR = {"drift": {"freeze_above_usd": "0.01", "probes_a_day": 1, "minimum_clips": 2}}
MONDAY = date(2026, 3, 9)
# A verdict from a handful of clips.
HASTY = {"scoring": {"minimum_attempts": 3, "new_false_alarms": 0.2}}
LONG_AFTER = MONDAY + timedelta(days=20)
FIRST, SECOND, THIRD, FOURTH = (MONDAY + timedelta(days=days) for days in range(4))


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Two days that have run, of a clip each, black whenever it was tried, and billed."""
    built = new_house()
    names = ((FIRST, "lantern"), (SECOND, "kettle"), (THIRD, "marble"), (THIRD, "pebble"), (FOURTH, "feather"))
    for day, name in names:
        drop(built.inbox, day, a_brief(name))
    for name in ("lantern", "kettle"):
        fault = {"fault": "black", "match": name, "times": 3}
        url = f"{built.services.sandbox.base_url}/_sandbox/faults"
        httpx.post(url, json=fault, trust_env=False).raise_for_status()
    for day in (FIRST, SECOND):
        built.run("production_day", day, DEAR)
        built.run("nightly_scoring", day, DEAR)
    return built


def test_one_drifting_day_freezes_nothing(house: House) -> None:
    status = _preview(house, FIRST)
    assert (status.state, status.changed) == (TierState.OPEN, False)


def test_two_drifting_days_in_a_row_freeze_the_tier_with_the_evidence_and_an_alert(house: House) -> None:
    status = _preview(house, SECOND)
    assert (status.state, status.changed) == (TierState.FROZEN, True)
    assert status.evidence[str(FIRST)].startswith("$0.0") and "planned" in status.evidence[str(SECOND)]
    assert "retries 100%" in status.evidence["causes"]
    titles = [alert["title"] for alert in house.services.ledger.alerts.latest()]
    assert titles.count("The preview tier is frozen") == 1


def test_the_freeze_is_logged_as_a_new_routing_policy(house: House) -> None:
    (record,) = house.instance.fetch_materializations(dg.AssetKey("routing_policy"), limit=1).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["tiers"].value == {"preview": "frozen"}


def test_the_next_day_buys_a_probe_and_holds_the_others_until_the_probe_thaws_the_tier(house: House) -> None:
    bought = len(sandbox_books(house.services.sandbox.base_url)["requests"])
    house.run("production_day", THIRD, DEAR)
    held = [plan for plan in house.rows("generation_plan", THIRD, ClipPlan) if plan.held]
    assert len(held) == 1 and "the preview tier is frozen" in (held[0].held or "")
    clips = {clip.clip_id: clip for clip in house.rows("generated_clips", THIRD, GeneratedClip)}
    waiting = clips.pop(held[0].clip_id)
    assert (waiting.status, waiting.attempts) == (ClipStatus.WAITING, 0)
    assert [clip.status for clip in clips.values()] == [ClipStatus.GENERATED]
    assert len(sandbox_books(house.services.sandbox.base_url)["requests"]) == bought + 1

    house.run("nightly_scoring", THIRD, DEAR)
    status = _preview(house, THIRD)
    assert (status.state, status.changed) == (TierState.OPEN, True)
    assert "1 waiting at their planned price" in status.evidence[str(THIRD)]
    house.run("production_day", THIRD, DEAR)
    clips = house.rows("generated_clips", THIRD, GeneratedClip)
    assert [clip.status for clip in clips] == [ClipStatus.GENERATED] * 2


def test_a_tier_frozen_between_plan_and_purchase_is_not_bought_from(house: House) -> None:
    """The plan may be older than the freeze; the hard stop is where the money is reserved."""
    house.services.ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.PERSON, day=FOURTH, evidence={})
    bought = len(sandbox_books(house.services.sandbox.base_url)["requests"])
    house.run("production_day", FOURTH)
    (clip,) = house.rows("generated_clips", FOURTH, GeneratedClip)
    assert clip.status is ClipStatus.WAITING
    assert len(sandbox_books(house.services.sandbox.base_url)["requests"]) == bought
    house.services.ledger.governance.set_tier("preview", TierState.OPEN, by=Actor.PERSON, day=FOURTH, evidence={})
    house.run("production_day", FOURTH)
    house.run("nightly_scoring", FOURTH)
    (clip,) = house.rows("generated_clips", FOURTH, GeneratedClip)
    assert clip.status is ClipStatus.GENERATED


def test_the_week_is_learned_from_its_seven_days(house: House) -> None:
    house.run("weekly_learning", MONDAY)
    (report,) = house.rows("weekly_cost_report", MONDAY, CostReport)
    days: Sequence[CostReport] = [
        report for day in (FIRST, SECOND, THIRD, FOURTH) for report in house.rows("cost_report", day, CostReport)
    ]
    assert report.day == MONDAY
    assert report.clips == sum(day.clips for day in days) > 0
    assert report.total_usd == sum(day.total_usd for day in days)
    assert set(report.by_day) <= {str(day.day) for day in days}
    affinities = house.rows("style_affinity", MONDAY, StyleAffinity)
    assert {row.style for row in affinities} <= {"light"}
    assert {row.week for row in house.rows("editorial_patterns", MONDAY, EditorialPattern)} <= {MONDAY}
    for name in ("weekly_cost_report", "style_affinity", "editorial_patterns"):
        assert house.instance.get_latest_materialization_event(dg.AssetKey(name)) is not None


@pytest.fixture(scope="module")
def hopeful(new_house: NewHouse) -> House:
    """A day of a preview model that an older release had promoted, and that is refused more later on."""
    built = new_house()
    drop(built.inbox, FIRST, *(a_brief(name) for name in ("lantern", "kettle", "marble")))
    drop(built.inbox, SECOND, a_brief("harbour", quality="standard"))
    for name in ("rally", "debate", "parade", "podium"):
        drop(built.inbox, LONG_AFTER, a_brief(name, prompt=f"A casino at the {name}", quality="standard"))
    drop(built.inbox, LONG_AFTER, a_brief("meadow", quality="standard"))
    promotion = {"tier": "preview", "serves": "production", "version": "1", "numbers": "accepted 3 of 3"}
    built.services.ledger.governance.set_standing(
        "sandbox/sprint",
        StandingStatus.PROMOTED,
        model_version="1",
        tier="preview",
        by=Actor.SCORE,
        day=FIRST,
        evidence={"promotion": promotion},
    )
    built.run("production_day", FIRST, HASTY)
    built.run("nightly_scoring", FIRST, HASTY)
    return built


def test_a_promotion_of_an_older_release_holds(hopeful: House) -> None:
    standing = _sprint(hopeful, FIRST)
    assert (standing.status, standing.changed, standing.tier) == (StandingStatus.PROMOTED, False, "preview")
    assert standing.reason == f"promoted since {FIRST:%d %B %Y}"


def test_from_the_next_day_on_it_serves_production_for_less(hopeful: House) -> None:
    hopeful.run("production_day", SECOND, HASTY)
    decision = _decision(hopeful, SECOND)
    assert (decision.tier, decision.model) == ("production", "sandbox/sprint")
    assert any("promoted from preview: accepted 3 of 3" in reason for reason in decision.reasons)
    hopeful.run("nightly_scoring", SECOND, HASTY)
    (fact,) = hopeful.rows("clip_facts", SECOND, ClipFact)
    # A second of production's own cheapest model is $0.07.
    assert (fact.tier, fact.usable, fact.generation_usd) == ("production", True, Decimal("0.022"))
    assert _sprint(hopeful, SECOND).tier == "preview"


def test_it_falls_when_it_is_refused_too_often_and_the_tiers_own_serve_again(hopeful: House) -> None:
    hopeful.run("production_day", LONG_AFTER, HASTY)
    hopeful.run("nightly_scoring", LONG_AFTER, HASTY)
    standing = _sprint(hopeful, LONG_AFTER)
    assert (standing.status, standing.changed) == (StandingStatus.DEMOTED, True)
    assert standing.reason.startswith("refused 4 of 9 first tries since 09 March (44%), where ")
    titles = [alert["title"] for alert in hopeful.services.ledger.alerts.latest()]
    assert titles.count("Sandbox/sprint is demoted") == 1
    after = LONG_AFTER + timedelta(days=1)
    drop(hopeful.inbox, after, a_brief("orchard", quality="standard"))
    hopeful.run("production_day", after, HASTY)
    decision = _decision(hopeful, after)
    assert (decision.model, decision.attempt_usd) == ("sandbox/steady", Decimal("0.07"))


def _sprint(house: House, day: date) -> ModelStanding:
    return next(row for row in house.rows("model_standings", day, ModelStanding) if row.model == "sandbox/sprint")


def _decision(house: House, day: date) -> Decision:
    (plan,) = house.rows("generation_plan", day, ClipPlan)
    (decision,) = plan.decisions
    return decision


def _preview(house: House, day: date) -> TierStatus:
    return next(row for row in house.rows("tier_status", day, TierStatus) if row.tier == "preview")
