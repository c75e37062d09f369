"""`model` on a real ledger: what a person sets holds for routing and for the nights until it is released."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from video_pipeline import days
from video_pipeline.cli.app import app
from video_pipeline.errors import ConfigurationError
from video_pipeline.feedback import routing_state
from video_pipeline.ledger import Actor, Ledger, StandingStatus
from video_pipeline.policy import Policy
from video_pipeline.routing import Pin, RoutingState
from video_pipeline.services import get_services

SPRINT, DASH = "sandbox/sprint", "sandbox/dash"


@pytest.fixture
def house(ledger_of_module: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A house whose commands this process runs, and in which nothing is set by hand afterwards."""
    monkeypatch.setitem(vars(get_services()), "ledger", ledger_of_module)
    yield ledger_of_module
    for one in ledger_of_module.governance.by_hand():
        _said("release", one.model)


def _said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["model", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def _state(ledger: Ledger, policy: Policy) -> RoutingState:
    return routing_state(ledger, policy.scoring)


def test_a_pin_holds_up_to_its_last_day_and_the_newest_of_a_tier_counts(house: Ledger, policy: Policy):
    last = days.today() + timedelta(days=3)
    assert f"is pinned to the preview tier until {last}" in _said(
        "pin", DASH, "--tier", "preview", "--until", str(last)
    )
    assert "pinned so already" in _said("pin", DASH, "--tier", "preview", "--until", str(last))
    state = _state(house, policy)
    assert state.on(last).pinned == {"preview": Pin(DASH, last)}
    assert state.on(last + timedelta(days=1)).pinned == {}
    _said("pin", SPRINT, "--tier", "preview")
    assert _state(house, policy).pinned == {"preview": Pin(SPRINT)}
    assert "Nothing is set by hand" in _said("release", DASH)


def test_a_benched_model_is_out_until_it_is_released(house: Ledger, policy: Policy):
    before = house.governance.version()
    assert "is benched until" in _said("bench", SPRINT)
    assert house.governance.version() != before
    state = _state(house, policy)
    assert (state.benched, state.demoted) == ({SPRINT}, {SPRINT})
    change = house.governance.standings()[SPRINT]
    assert (change.state, change.by) == (StandingStatus.DEMOTED, Actor.PERSON)
    assert "was benched already" in _said("bench", SPRINT)
    assert "is released" in _said("release", SPRINT)
    assert (_state(house, policy).benched, _state(house, policy).demoted) == (frozenset(), frozenset())


def test_the_list_tells_where_each_model_stands(house: Ledger, policy: Policy):
    _said("bench", SPRINT)
    _said("pin", DASH, "--tier", "production")
    rows = {row["model"]: row for row in json.loads(_said("list", "--json"))}
    assert (rows[SPRINT]["stands"], rows[DASH]["stands"]) == ("benched", "active")
    assert rows[DASH]["by_hand"] == f"pin to production since {days.today()}"
    assert (rows[DASH]["known"], rows[DASH]["worth_sd"]) == (False, None)
    assert "sandbox/dash" in _said("list")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench", "nobody"], "There is no model nobody in the catalogue; there are sandbox/sprint"),
        (["pin", SPRINT, "--tier", "best"], "There is no tier best; there are preview, production, cinematic"),
        (["pin", SPRINT, "--tier", "preview", "--until", "2026-11-22"], "is over; a pin ends today or later"),
        (["pin", SPRINT, "--tier", "preview", "--until", "soon"], "soon is not a day"),
    ],
    ids=["model", "tier", "day that is over", "no day"],
)
def test_what_cannot_be_is_said(house: Ledger, arguments: list[str], said: str):
    with pytest.raises(ConfigurationError, match=said):
        _said(*arguments)
