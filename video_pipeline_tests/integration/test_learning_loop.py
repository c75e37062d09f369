"""Gate 4 back to Gate 1 over days: dear days freeze a tier, the next plan holds its clips, a cheap day thaws it."""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg
import pytest

from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.feedback import CostReport, EditorialPattern, StyleAffinity, TierStatus
from video_pipeline.ledger import TierState
from video_pipeline.routing import ClipPlan
from video_pipeline_tests.integration.conftest import House, NewHouse
from video_pipeline_tests.integration.small_day import a_brief, drop, sandbox_books

# Each clip costs $0.022 to generate: dear under this policy.
DEAR = {"drift": {"freeze_above_usd": "0.01"}}
MONDAY = date(2026, 3, 9)
FIRST, SECOND, THIRD, FOURTH = (MONDAY + timedelta(days=days) for days in range(4))


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Two days that have run, of a clip each, both dear."""
    built = new_house()
    for day, name in ((FIRST, "lantern"), (SECOND, "kettle"), (THIRD, "marble"), (FOURTH, "feather")):
        drop(built.inbox, day, a_brief(name))
    for day in (FIRST, SECOND):
        built.run("production_day", day, DEAR)
        built.run("nightly_scoring", day, DEAR)
    return built


def test_one_dear_day_freezes_nothing(house: House) -> None:
    status = _preview(house, FIRST)
    assert (status.state, status.changed) == (TierState.OPEN, False)


def test_two_dear_days_in_a_row_freeze_the_tier_with_the_evidence_and_an_alert(house: House) -> None:
    status = _preview(house, SECOND)
    assert (status.state, status.changed) == (TierState.FROZEN, True)
    assert status.evidence == {str(FIRST): "$0.0220 a clip", str(SECOND): "$0.0220 a clip"}
    titles = [alert["title"] for alert in house.services.ledger.alerts.latest()]
    assert titles.count("The preview tier is frozen") == 1


def test_the_freeze_is_logged_as_a_new_routing_policy(house: House) -> None:
    (record,) = house.instance.fetch_materializations(dg.AssetKey("routing_policy"), limit=1).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["tiers"].value == {"preview": "frozen"}


def test_the_next_days_plan_holds_its_clips_then_a_day_without_spend_thaws_the_tier(house: House) -> None:
    bought = len(sandbox_books(house.services.sandbox.base_url)["requests"])
    house.run("production_day", THIRD, DEAR)
    (plan,) = house.rows("generation_plan", THIRD, ClipPlan)
    assert "the preview tier is frozen" in (plan.held or "")
    (clip,) = house.rows("generated_clips", THIRD, GeneratedClip)
    assert (clip.status, clip.attempts) == (ClipStatus.WAITING, 0)
    assert len(sandbox_books(house.services.sandbox.base_url)["requests"]) == bought

    house.run("nightly_scoring", THIRD, DEAR)
    status = _preview(house, THIRD)
    assert (status.state, status.changed) == (TierState.OPEN, True)
    house.run("production_day", THIRD, DEAR)
    (clip,) = house.rows("generated_clips", THIRD, GeneratedClip)
    assert clip.status is ClipStatus.GENERATED


def test_a_tier_frozen_between_plan_and_purchase_is_not_bought_from(house: House) -> None:
    """The plan may be older than the freeze; the hard stop is where the money is reserved."""
    house.services.ledger.governance.set_tier("preview", TierState.FROZEN, by="person", day=FOURTH, evidence={})
    bought = len(sandbox_books(house.services.sandbox.base_url)["requests"])
    house.run("production_day", FOURTH)
    (clip,) = house.rows("generated_clips", FOURTH, GeneratedClip)
    assert clip.status is ClipStatus.WAITING
    assert len(sandbox_books(house.services.sandbox.base_url)["requests"]) == bought
    house.services.ledger.governance.set_tier("preview", TierState.OPEN, by="person", day=FOURTH, evidence={})
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


def _preview(house: House, day: date) -> TierStatus:
    return next(row for row in house.rows("tier_status", day, TierStatus) if row.tier == "preview")
