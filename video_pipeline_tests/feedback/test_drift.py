"""Cost drift: two consecutive dear days freeze the preview tier, and only that; the first cheap one thaws it."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from video_pipeline.feedback import TierStatus, judge_drift, transition_alerts
from video_pipeline.ledger import Actor, Ledger, TierState
from video_pipeline.policy import Policy
from video_pipeline_tests.feedback.rows import DAY, a_report

_DEAR, _CHEAP = "0.16", "0.15"
Night = Callable[..., TierStatus]


@pytest.fixture
def night(ledger: Ledger, policy: Policy) -> Night:
    """Judge a day, counted from the first, by the average costs of the days up to it; None is a day without any."""

    def judge(*usd_per_clip: str | None, missing: tuple[int, ...] = ()) -> TierStatus:
        reports = [
            a_report(DAY + timedelta(days=number), usd)
            for number, usd in enumerate(usd_per_clip)
            if number not in missing
        ]
        day = DAY + timedelta(days=len(usd_per_clip) - 1)
        statuses = judge_drift(ledger, policy.drift, day=day, reports=reports)
        assert [status.tier for status in statuses] == ["preview", "production", "cinematic"]
        assert all(status.state is TierState.OPEN and not status.changed for status in statuses[1:])
        return statuses[0]

    return judge


def _by_hand(ledger: Ledger, state: TierState, day: date) -> None:
    ledger.governance.set_tier("preview", state, by=Actor.PERSON, day=day, evidence={"why": "it is corrected"})


def test_one_dear_day_freezes_nothing(night: Night):
    status = night(_DEAR)
    assert (status.state, status.changed) == (TierState.OPEN, False)


def test_two_consecutive_dear_days_freeze_the_preview_tier_with_their_numbers(ledger: Ledger, night: Night):
    night(_DEAR)
    status = night(_DEAR, "0.2")
    assert (status.state, status.changed) == (TierState.FROZEN, True)
    assert status.evidence == {"2026-11-21": "$0.1600 a clip", "2026-11-22": "$0.2000 a clip"}
    in_force = ledger.governance.tier_states()
    assert set(in_force) == {"preview"} and in_force["preview"].by == "drift"
    (alert,) = transition_alerts([status])
    assert alert.title == "The preview tier is frozen" and "$0.15 a clip" in alert.text


def test_a_day_at_the_limit_is_not_dear(night: Night):
    assert night(_CHEAP, _CHEAP).state is TierState.OPEN


@pytest.mark.parametrize("between", [_CHEAP, None, "0.01"])
def test_dear_days_with_another_between_are_not_consecutive(night: Night, between: str | None):
    assert night(_DEAR, between, _DEAR).state is TierState.OPEN


def test_a_day_without_a_report_is_a_gap_and_is_named(night: Night):
    status = night(_DEAR, _DEAR, _DEAR, missing=(1,))
    assert status.state is TierState.OPEN
    assert "there is no report for 2026-11-22" in status.reason
    assert status.evidence["2026-11-22"] == "no report"


def test_the_tier_stays_frozen_while_days_are_dear(night: Night):
    night(_DEAR, _DEAR)
    status = night(_DEAR, _DEAR, _DEAR)
    assert (status.state, status.changed) == (TierState.FROZEN, False)


@pytest.mark.parametrize("usd", [_CHEAP, "0.02", None], ids=["at the limit", "cheap", "nothing generated"])
def test_the_first_day_that_is_not_dear_thaws_it(ledger: Ledger, night: Night, usd: str | None):
    night(_DEAR, _DEAR)
    status = night(_DEAR, _DEAR, usd)
    assert (status.state, status.changed) == (TierState.OPEN, True)
    assert ledger.governance.tier_states()["preview"].state == TierState.OPEN
    # Another single dear day does not freeze it again.
    assert night(_DEAR, _DEAR, usd, _DEAR).state is TierState.OPEN


def test_judging_a_day_again_changes_nothing(night: Night):
    assert [night(_DEAR, _DEAR).changed for _ in range(3)] == [True, False, False]


def test_a_thaw_by_hand_starts_the_count_anew(ledger: Ledger, night: Night):
    night(_DEAR, _DEAR)
    _by_hand(ledger, TierState.OPEN, DAY + timedelta(days=1))
    assert night(_DEAR, _DEAR).state is TierState.OPEN
    assert night(_DEAR, _DEAR, _DEAR).state is TierState.OPEN
    assert night(_DEAR, _DEAR, _DEAR, _DEAR).state is TierState.FROZEN


def test_a_re_run_of_an_older_day_changes_nothing(night: Night):
    night(_DEAR, _DEAR)
    night(_DEAR, _DEAR, _CHEAP)
    status = night(_DEAR, _DEAR)
    assert (status.state, status.changed) == (TierState.OPEN, False)
    assert "a later day has been judged" in status.reason


def test_an_older_day_that_turns_out_dear_does_not_freeze_what_a_newer_day_left_open(night: Night):
    night(_CHEAP, _CHEAP)
    night(_CHEAP, _CHEAP, _CHEAP)
    # The second day is materialised again, and late bills have made it and the one before dear.
    status = night(_DEAR, _DEAR)
    assert (status.state, status.changed) == (TierState.OPEN, False)
