"""Cost drift: two dear days that drift freeze the preview tier, and only that; the freeze ends by itself."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from benchmarks.drift import WORLDS, live, the_rule
from video_pipeline.feedback import TierSpending, TierStatus, judge_drift, transition_alerts
from video_pipeline.ledger import Actor, Ledger, TierState
from video_pipeline.policy import Policy
from video_pipeline.routing import load_catalogue
from video_pipeline_tests.feedback.rows import DAY, a_report, a_tier

Day = Sequence[TierSpending]
Night = Callable[..., TierStatus]


def _clips(previews: int, others: int, *, waiting: int = 0, **fields: Any) -> Day:
    """A day of previews of $0.10 and production clips of $0.40; `fields` are the previews'."""
    return (
        a_tier("preview", made=previews, waiting=waiting, **fields),
        a_tier("production", made=others, planned="0.40"),
    )


def _leaking(previews: int, others: int, *, waiting: int = 0) -> Day:
    """The same, but each preview cost $0.40: production's model made it."""
    usd = Decimal("0.40") * previews
    leak = Decimal("0.30") * previews
    return _clips(previews, others, waiting=waiting, compared_usd=usd, leak_usd=leak)


CALM, LEAKING = _clips(20, 10), _leaking(20, 10)
CHEAP = _clips(30, 0)
HELD, HELD_LEAKING = _clips(3, 10, waiting=17), _leaking(3, 10, waiting=17)
NOTHING: Day = ()


@pytest.fixture
def night(ledger: Ledger, policy: Policy) -> Night:
    """Judge the last of some days, counted from the first."""

    def judge(*days: Day, missing: tuple[int, ...] = ()) -> TierStatus:
        reports = [
            a_report(DAY + timedelta(days=number), *rows) for number, rows in enumerate(days) if number not in missing
        ]
        day = DAY + timedelta(days=len(days) - 1)
        trailing = [report for report in reports if day - report.day < timedelta(policy.drift.trailing_days)]
        statuses = judge_drift(ledger, policy.drift, day=day, reports=trailing)
        assert [status.tier for status in statuses] == ["preview", "production", "cinematic"]
        assert all(status.state is TierState.OPEN and not status.changed for status in statuses[1:])
        return statuses[0]

    return judge


def _by_hand(ledger: Ledger, state: TierState, day: date) -> None:
    ledger.governance.set_tier("preview", state, by=Actor.PERSON, day=day, evidence={"why": "it is corrected"})


def test_one_drifting_day_freezes_nothing(night: Night):
    status = night(LEAKING)
    assert (status.state, status.changed) == (TierState.OPEN, False)


def test_two_in_a_row_freeze_the_preview_tier_and_name_the_cause_with_its_share(ledger: Ledger, night: Night):
    night(LEAKING)
    status = night(LEAKING, LEAKING)
    assert (status.state, status.changed) == (TierState.FROZEN, True)
    assert status.evidence["2026-11-22"] == "$0.4000 a clip, $0.2000 planned"
    assert status.evidence["causes"] == "leak 100%; 100% more than expected"
    assert status.causes["leak"] == pytest.approx(1)
    in_force = ledger.governance.tier_states()
    assert set(in_force) == {"preview"} and in_force["preview"].by == "drift"
    assert in_force["preview"].evidence["causes"]["leak"] == pytest.approx(1)
    (alert,) = transition_alerts([status])
    assert alert.title == "The preview tier is frozen" and "$0.15 a clip" in alert.text and "leak 100%" in alert.text


def test_a_price_that_rose_is_named(night: Night):
    dearer = _clips(20, 10, compared_usd=Decimal("5.00"), price_usd=Decimal("3.00"))
    night(dearer)
    assert "price 100%" in night(dearer, dearer).reason


def test_attempts_that_fail_are_named_when_they_are_no_luck(night: Night):
    failing = _clips(20, 10, compared_usd=Decimal("4.00"), attempts=40, accepted=20, expected_accepted=36.0)
    night(failing)
    assert "retries 100%" in night(failing, failing).reason


def test_a_few_unlucky_attempts_freeze_nothing(night: Night):
    unlucky = _clips(2, 1, compared_usd=Decimal("0.40"), attempts=4, accepted=2, expected_accepted=3.6)
    assert [night(*[unlucky] * nights).state for nights in (1, 2)] == [TierState.OPEN] * 2


def test_a_mix_that_is_dear_at_its_own_prices_is_told_once_and_freezes_nothing(night: Night):
    told = [night(*[CALM] * nights) for nights in range(1, 20)]
    assert {status.state for status in told} == {TierState.OPEN}
    assert [bool(status.warning) for status in told] == [True] + [False] * 18
    (alert,) = transition_alerts(told[:1])
    assert "the cause is mix: 67% of the clips are of the preview tier" in alert.text
    assert "as their own plans expected" in told[1].reason


def test_list_prices_that_are_dear_are_named(night: Night):
    status = night((a_tier(made=20, planned="0.24"),))
    assert "the cause is list prices: a clip of the preview tier alone is expected to cost $0.24" in status.warning


def test_a_drift_under_the_limit_freezes_nothing(night: Night):
    cheap = (a_tier(made=20, planned="0.05", compared_usd=Decimal("2.00"), leak_usd=Decimal("1.00")),)
    assert [night(*[cheap] * nights).state for nights in (1, 2, 3)] == [TierState.OPEN] * 3


@pytest.mark.parametrize("between", [CALM, CHEAP, NOTHING])
def test_drifting_days_with_another_between_are_not_consecutive(night: Night, between: Day):
    assert night(LEAKING, between, LEAKING).state is TierState.OPEN


def test_a_day_without_a_report_is_a_gap_and_is_named(night: Night):
    status = night(LEAKING, LEAKING, LEAKING, missing=(1,))
    assert status.state is TierState.OPEN
    assert "there is no report for 2026-11-22" in status.reason
    assert status.evidence["2026-11-22"] == "no report"


def test_the_tier_stays_frozen_while_its_probes_drift(night: Night):
    """Three probes and seventeen clips that wait are as bad as twenty probes."""
    night(LEAKING, LEAKING)
    status = night(LEAKING, LEAKING, HELD_LEAKING)
    assert (status.state, status.changed) == (TierState.FROZEN, False)
    assert "17 waiting at their planned price" in status.evidence["2026-11-23"]
    assert status.causes["leak"] == pytest.approx(1)


def test_it_stays_frozen_on_days_that_tell_nothing(night: Night):
    night(LEAKING, LEAKING)
    assert night(LEAKING, LEAKING, NOTHING).state is TierState.FROZEN
    assert night(LEAKING, LEAKING, NOTHING, _clips(0, 0, waiting=20)).state is TierState.FROZEN


@pytest.mark.parametrize("after", [HELD, CALM, CHEAP], ids=["held", "calm", "cheap"])
def test_the_first_day_without_the_drift_thaws_it_however_dear_its_mix(ledger: Ledger, night: Night, after: Day):
    night(LEAKING, LEAKING)
    status = night(LEAKING, LEAKING, after)
    assert (status.state, status.changed) == (TierState.OPEN, True)
    assert ledger.governance.tier_states()["preview"].state == TierState.OPEN
    # Another single drifting day does not freeze it again.
    assert night(LEAKING, LEAKING, after, LEAKING).state is TierState.OPEN


def test_the_longest_freeze_opens_the_tier_and_that_drift_is_only_told_from_then_on(night: Night, policy: Policy):
    days: list[Day] = [LEAKING, LEAKING]
    night(*days)
    for _ in range(policy.drift.longest_freeze_days - 1):
        days.append(HELD_LEAKING)
        assert night(*days).state is TierState.FROZEN
    days.append(HELD_LEAKING)
    opened = night(*days)
    assert (opened.state, opened.changed) == (TierState.OPEN, True)
    assert "the longest" in opened.reason and "leak 100%" in opened.reason
    for _ in range(20):
        days.append(LEAKING)
        status = night(*days)
        assert status.state is TierState.OPEN
    assert "has outlasted the longest freeze" in status.reason
    # A day without it, and the next drift is another one.
    days += [CALM, LEAKING, LEAKING]
    assert night(*days).state is TierState.FROZEN


def test_previews_that_come_as_production_are_a_leak(night: Night):
    shifted = _clips(2, 28)
    days = [CALM] * 10
    status = night(*days, shifted, shifted)
    assert status.state is TierState.FROZEN and "leak 100%" in status.reason
    assert night(*days, shifted, shifted, CALM, CALM).state is TierState.OPEN


def test_when_their_briefs_lack_metadata_too_the_cause_is_the_schema(night: Night):
    shifted = (a_tier(made=2, assumed=2), a_tier("production", made=28, planned="0.40", assumed=20))
    status = night(*[CALM] * 10, shifted, shifted)
    assert status.state is TierState.FROZEN and "schema 100%" in status.reason


def test_a_mix_that_comes_back_every_week_is_no_leak(night: Night):
    days = [_clips(2, 28) if number % 7 >= 5 else CALM for number in range(40)]
    states = [night(*days[: number + 1]).state for number in range(14, 40)]
    assert set(states) == {TierState.OPEN}


def test_judging_a_day_again_changes_nothing(night: Night):
    assert [night(LEAKING, LEAKING).changed for _ in range(3)] == [True, False, False]


def test_a_thaw_by_hand_starts_the_count_anew(ledger: Ledger, night: Night):
    night(LEAKING, LEAKING)
    _by_hand(ledger, TierState.OPEN, DAY + timedelta(days=1))
    assert [night(*[LEAKING] * nights).state for nights in (2, 3, 4)] == [
        TierState.OPEN,
        TierState.OPEN,
        TierState.FROZEN,
    ]


def test_a_re_run_of_an_older_day_changes_nothing(night: Night):
    night(LEAKING, LEAKING)
    night(LEAKING, LEAKING, CALM)
    status = night(LEAKING, LEAKING)
    assert (status.state, status.changed) == (TierState.OPEN, False)
    assert "a later day has been judged" in status.reason


def test_a_report_of_an_earlier_version_is_no_evidence(ledger: Ledger, policy: Policy):
    reports = [
        a_report(DAY + timedelta(days=number), *LEAKING).model_copy(update={"spending": ()}) for number in range(2)
    ]
    (preview, *_) = judge_drift(ledger, policy.drift, day=DAY + timedelta(days=1), reports=reports)
    assert preview.state is TierState.OPEN
    assert preview.evidence["2026-11-21"] == "$0.4000 a clip"


@pytest.mark.parametrize("clips_a_day", [4, 20])
@pytest.mark.parametrize("world", [*WORLDS[:3], WORLDS[5]], ids=lambda world: world.name)
def test_sixty_days_freeze_what_drifts_and_nothing_else(policy: Policy, world, clips_a_day: int):
    """The quick form of `benchmarks/drift.py`."""
    catalogue = load_catalogue(sandbox=world.sandbox_prices)
    house = live(world, clips_a_day, 0, policy=policy, catalogue=catalogue, rule=the_rule)
    assert all(world.drifts(night) for night in house.freezes)
    assert any(night < world.starts + 3 for night in house.freezes) is bool(world.cause)
    assert set(house.causes) == ({world.cause} if world.cause else set())
    assert sum(house.frozen[world.ends :]) <= 2
    assert house.most_probes <= policy.drift.probes_a_day
