"""What Dagster's UI calls stale: a plan and briefs, once the state that they were made on has changed, not before."""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from video_pipeline import days
from video_pipeline.definitions import build_defs
from video_pipeline.defs.external import report_editorial_guidance, report_routing_policy
from video_pipeline.ledger import Actor, TierState
from video_pipeline.settings import Mode
from video_pipeline_tests.integration.conftest import House, NewHouse

DAY = days.today()


@pytest.fixture(autouse=True)
def day_of_the_test() -> None:
    """Collected before midnight, it may be run after it."""
    global DAY
    DAY = days.today()


@pytest.fixture
def house(new_house: NewHouse, monkeypatch: pytest.MonkeyPatch) -> House:
    """A live pipeline that has run a day without briefs, so that nobody is called."""
    monkeypatch.setenv("FAL_KEY", "x")
    built = new_house(mode=Mode.LIVE)
    built.run("production_day", DAY)
    return built


def test_what_a_newcomers_first_day_made_is_fresh_and_stays_so_while_nothing_changes(house: House) -> None:
    assert _statuses(house) == {"briefs": StaleStatus.FRESH, "generation_plan": StaleStatus.FRESH}
    report_routing_policy(house.instance, house.services.ledger)
    report_editorial_guidance(house.instance, house.services.ledger)
    assert _statuses(house) == {"briefs": StaleStatus.FRESH, "generation_plan": StaleStatus.FRESH}
    for external in ("routing_policy", "editorial_guidance"):
        assert len(house.instance.fetch_materializations(dg.AssetKey(external), limit=9).records) == 1


def test_a_plan_made_on_an_older_policy_is_stale_until_it_is_made_again(house: House) -> None:
    ledger = house.services.ledger
    ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.PERSON, day=DAY, evidence={})
    report_routing_policy(house.instance, ledger)
    assert _statuses(house)["generation_plan"] is StaleStatus.STALE
    house.run("production_day", DAY)
    assert _statuses(house)["generation_plan"] is StaleStatus.FRESH


def test_a_plan_is_fresh_although_it_was_the_first_to_see_a_change_made_by_hand(house: House) -> None:
    house.services.ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.PERSON, day=DAY, evidence={})
    house.run("production_day", DAY)
    assert _statuses(house)["generation_plan"] is StaleStatus.FRESH


def _statuses(house: House) -> dict[str, StaleStatus]:
    graph = build_defs().resolve_asset_graph()
    resolver = CachingStaleStatusResolver(house.instance, graph, LoadingContextForTest(house.instance))
    return {name: resolver.get_status(dg.AssetKey(name), str(DAY)) for name in ("briefs", "generation_plan")}
