"""Offers and off-peak hours: what they cost, which clip waits for them and until when."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from video_pipeline.briefs import ShotKind, Storyboard, storyboard_of
from video_pipeline.days import begins_at
from video_pipeline.generation.waits import why_held
from video_pipeline.ledger import Ledger, Wait, WaitCause, What
from video_pipeline.policy import Policy, RoutingThresholds
from video_pipeline.routing import Catalogue, ClipPlan, Lever, RoutingState, plan_day
from video_pipeline.routing.hours import buying_moments
from video_pipeline.routing.value import LEAST_ACCEPTANCE
from video_pipeline.waiting.outlook import Now, may_go_on
from video_pipeline.waiting.words import waker
from video_pipeline_tests.briefs.documents import a_brief
from video_pipeline_tests.ledger.rows import CEILING_USD, a_job

DAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEN_PM = datetime(2026, 11, 21, 22, tzinfo=UTC)


def _model(name: str, usd: str, **price: Any) -> dict[str, Any]:
    return {
        "model": name,
        "version": "1",
        "provider": "fal",
        "tier": "preview",
        "wire": {},
        "durations": {"max_s": 15},
        "resolutions": [{"name": "1080p", "short_side": 1080}],
        "price": {"silent": {"1080p": usd}} | price,
        "fidelity": dict.fromkeys(ShotKind, 0.9),
        "acceptance_prior": 1.0,
        "price_source": "nobody's",
        "price_checked_on": DAY,
    }


NIGHTS = {"off_peak": {"share": "0.5", "from_hour": 22, "until_hour": 6}}
CATALOGUE = Catalogue.model_validate(
    {"name": "two", "anchor": None, "models": [_model("owl", "0.10", **NIGHTS), _model("lark", "0.06")]}
)


def _levers(policy: Policy, **levers: Any) -> RoutingThresholds:
    return policy.routing.model_copy(update={"levers": policy.routing.levers.model_copy(update=levers)})


def _board(brief_id: str = "a-brief", day: date = DAY) -> Storyboard:
    return storyboard_of(a_brief(brief_id, duration_s=2, prompt="A red scarf"), day, cap_s=15)


@pytest.fixture
def plan(ledger_of_module: Ledger, policy: Policy):
    def make(now: datetime | None, *, board: Storyboard | None = None, **levers: Any) -> ClipPlan:
        thresholds = _levers(policy, **levers)
        (made,) = plan_day(
            ledger_of_module, [board or _board()], CATALOGUE, thresholds, RoutingState(), max_attempts=4, now=now
        )
        return made

    return make


def test_a_clip_waits_for_the_hours_in_which_it_costs_less_and_is_bought_in_them(plan: Any) -> None:
    at_once = plan(NOON)
    assert (at_once.held, at_once.decisions[0].model) == (None, "lark")
    waits = plan(NOON, off_peak_wait_h=12)
    [decision] = waits.decisions
    assert (decision.model, decision.until, waits.expected_usd) == ("owl", TEN_PM, 0)
    assert waits.held == (
        "the clip waits until 22:00 UTC: owl is bought at 50% of its list price from 22:00 to 06:00 UTC, which saves "
        "$0.1000 an accepted clip"
    )
    [bought] = plan(TEN_PM + timedelta(minutes=5), off_peak_wait_h=12).decisions
    assert (bought.model, bought.held, bought.attempt_usd) == ("owl", None, Decimal("0.10"))
    assert bought.saves[Lever.PRICE_OF_THE_HOUR] == Decimal("0.100000")


def test_who_comes_too_late_for_the_hours_buys_at_once(plan: Any) -> None:
    # The hours are over, and the next ones are another day's.
    [decision] = plan(datetime(2026, 11, 22, 7, tzinfo=UTC), off_peak_wait_h=24).decisions
    assert (decision.model, decision.held) == ("lark", None)


def test_hours_that_are_too_far_off_are_not_waited_for(plan: Any) -> None:
    assert plan(NOON, off_peak_wait_h=9.5).held is None
    assert plan(NOON, off_peak_wait_h=10).held is not None


def test_list_prices_hold_without_the_lever_and_without_a_moment(plan: Any) -> None:
    midnight = datetime(2026, 11, 21, 23, tzinfo=UTC)
    assert plan(midnight).decisions[0].model == "owl"
    for listed in (plan(midnight, price_of_the_hour=False, off_peak_wait_h=12), plan(None, off_peak_wait_h=12)):
        assert (listed.decisions[0].model, listed.held, listed.decisions[0].saves) == ("lark", None, {})


def test_an_offer_is_told_with_its_end(ledger_of_module: Ledger, policy: Policy) -> None:
    offer = {"offer": {"share": "0.25", "until": DAY}}
    catalogue = Catalogue.model_validate({"name": "one", "anchor": None, "models": [_model("owl", "0.10", **offer)]})
    for now, usd, said in ((NOON, "0.05", 1), (NOON + timedelta(days=1), "0.20", 0)):
        (made,) = plan_day(
            ledger_of_module, [_board()], catalogue, policy.routing, RoutingState(), max_attempts=4, now=now
        )
        [decision] = made.decisions
        assert decision.attempt_usd == Decimal(usd)
        told = [one for one in decision.reasons if "at 25% of its list price until 2026-11-21" in one]
        assert len(told) == said


def test_a_model_that_was_never_accepted_is_planned_at_the_price_of_the_hour_all_the_same(
    ledger_of_module: Ledger, policy: Policy
) -> None:
    never = RoutingState(acceptance={"owl": 0.0, "lark": 0.0})
    night = TEN_PM + timedelta(minutes=5)
    (made,) = plan_day(
        ledger_of_module, [_board("never")], CATALOGUE, policy.routing, never, max_attempts=4, now=night
    )
    [decision] = made.decisions
    assert decision.acceptance == 0
    assert decision.saves[Lever.PRICE_OF_THE_HOUR] == Decimal("0.10") / Decimal(str(LEAST_ACCEPTANCE))


def test_a_clip_that_money_was_spent_on_waits_no_more(plan: Any, ledger_of_module: Ledger) -> None:
    board = _board("begun")
    plan(NOON, board=board)
    job = a_job("begun", clip_id=board.clip_id, shot_sha256=board.shot_sha256(board.shots[0]), day=DAY)
    jobs = ledger_of_module.jobs
    jobs.plan(job)
    reserved = jobs.reserve(job, ceiling_usd=CEILING_USD).job
    jobs.submitting(reserved)
    [decision] = plan(NOON, board=board, off_peak_wait_h=12).decisions
    assert (decision.model, decision.held) == ("lark", None)


def test_its_wait_says_until_when_and_what_wakes_it(plan: Any, ledger_of_module: Ledger) -> None:
    held = plan(NOON, off_peak_wait_h=12)
    why = why_held(ledger_of_module, held)
    assert (why.cause, why.hinges_on, why.until, why.reason) == (WaitCause.PRICE, "owl", TEN_PM, held.held)
    wait = Wait(What.CLIP, held.clip_id, DAY, why)
    assert waker(wait) == "the off-peak hours of owl"
    assert [may_go_on(wait, Now(at=at)) for at in (TEN_PM - timedelta(seconds=1), TEN_PM)] == [False, True]


@given(
    now=st.datetimes(datetime(2026, 11, 20), datetime(2026, 11, 24)).map(lambda at: at.replace(tzinfo=UTC)),
    wait_h=st.floats(0, 24),
)
def test_nobody_waits_longer_than_asked_nor_over_the_end_of_the_day(now: datetime, wait_h: float) -> None:
    first, *later = buying_moments(_board(), CATALOGUE, now, wait_h=wait_h)
    assert first == now
    assert later == sorted(later)
    for moment in later:
        assert now < moment <= now + timedelta(hours=wait_h)
        assert moment < begins_at(DAY + timedelta(days=1))
