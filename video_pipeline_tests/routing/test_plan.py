"""The price of a day before it is bought: moments, totals, the cap, and decisions that stick."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from statistics import fmean, pvariance

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from video_pipeline.briefs import (
    Brief,
    Quality,
    ShotKind,
    Storyboard,
    example_bibles,
    example_files,
    read_files,
    storyboard_of,
)
from video_pipeline.errors import BudgetExceeded
from video_pipeline.ledger import JobState, Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import (
    Catalogue,
    Decision,
    RoutingState,
    Tier,
    check_cap,
    load_catalogue,
    plan_clip,
    plan_day,
    price_day,
)
from video_pipeline.routing.plan import cost_moments
from video_pipeline_tests.briefs.documents import BRIEFS, PLATFORMS, a_brief
from video_pipeline_tests.ledger.rows import a_job
from video_pipeline_tests.routing.catalogues import RANDOM_CATALOGUES

DAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
_OPEN = RoutingState()
_ATTEMPTS = st.integers(1, 6)
# As measured: in ten-thousandths.
_SHARES = st.integers(0, 10_000).map(lambda share: share / 10_000)


def _decision(usd: str = "0.10", acceptance: float = 0.8, held: str | None = None) -> Decision:
    return Decision(shot=0, tier=Tier.PREVIEW, attempt_usd=Decimal(usd), acceptance=acceptance, held=held)


def _board(brief_id: str = "a-brief", **fields: object) -> Storyboard:
    return storyboard_of(a_brief(brief_id, **fields), DAY, cap_s=15)


def _examples() -> list[Storyboard]:
    bibles = example_bibles()
    briefs = read_files(example_files(), platforms=PLATFORMS, bibles=bibles).briefs
    return [storyboard_of(brief, DAY, cap_s=15, bibles=bibles) for brief in briefs]


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.6, 0.85, 1.0])
@pytest.mark.parametrize("max_attempts", [1, 2, 4])
def test_the_moments_are_those_of_simulated_buying(acceptance: float, max_attempts: int):
    draw = random.Random(2026)

    def buy() -> float:
        attempts = 1
        while attempts < max_attempts and draw.random() >= acceptance:
            attempts += 1
        return 0.10 * attempts

    costs = [buy() for _ in range(20_000)]
    mean, variance = cost_moments(_decision(acceptance=acceptance), max_attempts)
    # Four standard errors of the mean; the variance of a bounded thing is as sure within a few percent.
    assert mean == pytest.approx(fmean(costs), abs=4 * (variance / len(costs)) ** 0.5 + 1e-9)
    assert variance == pytest.approx(pvariance(costs), rel=0.06, abs=1e-9)


@given(acceptance=_SHARES, max_attempts=_ATTEMPTS)
def test_a_shot_costs_at_least_one_attempt_and_at_most_all(acceptance: float, max_attempts: int):
    mean, variance = cost_moments(_decision("1", acceptance), max_attempts)
    assert 1 - 1e-9 <= mean <= max_attempts + 1e-9
    assert variance >= 0


@given(acceptance=st.tuples(_SHARES, _SHARES), max_attempts=_ATTEMPTS)
def test_a_better_accepted_model_is_never_expected_to_cost_more(acceptance: tuple[float, float], max_attempts: int):
    worse, better = (cost_moments(_decision("1", share), max_attempts)[0] for share in sorted(acceptance))
    assert better <= worse + 1e-9


def test_a_held_shot_costs_nothing():
    assert cost_moments(_decision(held="frozen"), 4) == (0.0, 0.0)


@given(briefs=st.lists(BRIEFS, max_size=4), max_attempts=_ATTEMPTS)
def test_a_days_plan_adds_up(policy: Policy, sandbox_catalogue: Catalogue, briefs, max_attempts: int):
    plans = [
        plan_clip(
            storyboard_of(brief, DAY, cap_s=15), sandbox_catalogue, policy.routing, _OPEN, max_attempts=max_attempts
        )
        for brief in briefs
    ]
    day = price_day(DAY, plans, max_attempts=max_attempts)
    shots = sum(len(plan.decisions) for plan in plans)
    rounding = Decimal("0.000001") * (shots + 1)
    assert (day.clips, day.held) == (len(plans), 0)
    assert all(plan.p90_usd >= plan.expected_usd >= 0 for plan in plans)
    assert day.p90_usd >= day.expected_usd
    for parts in ([plan.expected_usd for plan in plans], day.by_tier.values(), day.by_model.values()):
        assert abs(sum(parts, Decimal(0)) - day.expected_usd) <= rounding
    # A day's shots do not all go wrong at once.
    assert day.p90_usd <= sum((plan.p90_usd for plan in plans), Decimal(0)) + rounding


def test_the_examples_cost_what_the_price_list_says(policy: Policy, sandbox_catalogue: Catalogue):
    plan = plan_clip(_board(duration_s=2), sandbox_catalogue, policy.routing, _OPEN, max_attempts=1)
    assert (plan.expected_usd, plan.p90_usd) == (Decimal("0.044000"), Decimal("0.044000"))
    # 0.85 of attempts accepted, at most two: 1.15 attempts.
    plan = plan_clip(_board(duration_s=2), sandbox_catalogue, policy.routing, _OPEN, max_attempts=2)
    assert plan.expected_usd == Decimal("0.050600")


def test_an_empty_day_costs_nothing():
    day = price_day(DAY, [], max_attempts=4)
    assert (day.clips, day.held, day.expected_usd, day.p90_usd) == (0, 0, Decimal(0), Decimal(0))
    check_cap(day, cap_usd=Decimal("0.01"))


def test_a_clip_that_is_held_is_in_no_price(policy: Policy, sandbox_catalogue: Catalogue):
    document = sandbox_catalogue.model_dump()
    for entry in document["models"]:
        entry["durations"] = {"min_s": 1, "max_s": 5}
    shots = [{"prompt": "One", "duration_s": 3}, {"prompt": "Two", "duration_s": 9}]
    plan = plan_clip(
        _board(prompt=None, duration_s=None, shots=shots),
        Catalogue.model_validate(document),
        policy.routing,
        _OPEN,
        max_attempts=4,
    )
    day = price_day(DAY, [plan], max_attempts=4)
    assert plan.held == "no model of the preview tier can serve this shot"
    assert (day.held, plan.expected_usd, day.expected_usd) == (1, Decimal(0), Decimal(0))


def test_a_frozen_tier_is_counted_as_held_and_costs_nothing(policy: Policy, sandbox_catalogue: Catalogue):
    state = RoutingState(frozen=frozenset({"preview"}))
    plans = [
        plan_clip(board, sandbox_catalogue, policy.routing, state, max_attempts=4)
        for board in (_board("a"), _board("b", quality="standard"))
    ]
    day = price_day(DAY, plans, max_attempts=4)
    assert (day.clips, day.held, plans[0].expected_usd) == (2, 1, Decimal(0))
    assert day.expected_usd == plans[1].expected_usd > 0


def test_a_plan_over_the_cap_is_refused_in_a_sentence(policy: Policy, sandbox_catalogue: Catalogue):
    plans = [plan_clip(board, sandbox_catalogue, policy.routing, _OPEN, max_attempts=4) for board in _examples()]
    day = price_day(DAY, plans, max_attempts=4)
    check_cap(day, cap_usd=day.expected_usd)
    with pytest.raises(BudgetExceeded) as caught:
        check_cap(day, cap_usd=day.expected_usd - Decimal("0.000001"))
    said = str(caught.value)
    assert f"The plan for 2026-11-21 is expected to cost ${day.expected_usd:.2f} (p90 ${day.p90_usd:.2f})" in said
    assert f"for {len(plans)} clips" in said and "Nothing of that is bought" in said and "budget.plan_cap_usd" in said


def test_what_was_bought_before_does_not_count_against_the_cap_again(policy: Policy, sandbox_catalogue: Catalogue):
    plans = [plan_clip(board, sandbox_catalogue, policy.routing, _OPEN, max_attempts=4) for board in _examples()]
    bought = frozenset((plan.clip_id, decision.shot) for plan in plans[1:] for decision in plan.decisions)
    whole = price_day(DAY, plans, max_attempts=4)
    day = price_day(DAY, plans, max_attempts=4, bought=bought)
    assert (day.expected_usd, day.to_buy_usd) == (whole.expected_usd, plans[0].expected_usd)
    check_cap(day, cap_usd=plans[0].expected_usd)
    with pytest.raises(BudgetExceeded, match=f"{day.to_buy_usd:.2f} of it to be bought yet"):
        check_cap(day, cap_usd=plans[0].expected_usd - Decimal("0.000001"))


def test_planning_again_follows_the_policy_until_money_was_spent(
    ledger: Ledger, policy: Policy, sandbox_catalogue: Catalogue
):
    board = _board()
    shot_sha256 = board.shot_sha256(board.shots[0])

    def planned(state: RoutingState) -> str | None:
        (plan,) = plan_day(ledger, [board], sandbox_catalogue, policy.routing, state, max_attempts=4)
        return plan.decisions[0].model

    demoted = RoutingState(demoted=frozenset({"sandbox/sprint"}))
    assert [planned(_OPEN), planned(demoted), planned(_OPEN)] == ["sandbox/sprint", "sandbox/dash", "sandbox/sprint"]
    ledger.jobs.plan(a_job(clip_id=board.clip_id, shot_sha256=shot_sha256, state=JobState.SUBMITTING))
    assert planned(demoted) == "sandbox/sprint"


def test_a_few_clips_of_a_tier_that_drift_has_frozen_are_planned_and_the_others_keep_their_price(
    ledger: Ledger, policy: Policy, sandbox_catalogue: Catalogue
):
    boards = [storyboard_of(a_brief(f"clip-{number}"), DAY, cap_s=15) for number in range(6)]
    frozen = frozenset({"preview"})

    def planned(probed: frozenset[str]) -> dict[str, Decision]:
        state = RoutingState(frozen=frozen, probed=probed)
        plans = plan_day(ledger, boards, sandbox_catalogue, policy.routing, state, max_attempts=4, probes=2)
        return {plan.clip_id: plan.decisions[0] for plan in plans}

    assert all(decision.held for decision in planned(frozenset()).values())
    decisions = planned(frozen)
    probing = {clip for clip, decision in decisions.items() if not decision.held}
    assert len(probing) == 2
    assert {decision.attempt_usd for decision in decisions.values()} == {Decimal("0.110")}
    # One has begun: it goes on, and counts as one of the two.
    begun = next(board for board in boards if board.clip_id not in probing)
    shot_sha256 = begun.shot_sha256(begun.shots[0])
    job = a_job(clip_id=begun.clip_id, shot_sha256="of before", state=JobState.SUBMITTING, submitted_at=NOON)
    assert shot_sha256 != job.shot_sha256
    ledger.jobs.plan(job)
    again = {clip for clip, decision in planned(frozen).items() if not decision.held}
    assert begun.clip_id in again and len(again) == 2


@settings(max_examples=20)
@given(brief=BRIEFS)
def test_a_plan_comes_back_from_the_ledger_as_it_was_made(
    ledger_of_module: Ledger, policy: Policy, sandbox_catalogue: Catalogue, brief
):
    board = storyboard_of(brief, DAY, cap_s=15)
    fresh = plan_clip(board, sandbox_catalogue, policy.routing, _OPEN, max_attempts=4)
    (kept,) = plan_day(ledger_of_module, [board], sandbox_catalogue, policy.routing, _OPEN, max_attempts=4)
    assert kept == fresh


# A preview and what it previews

_PROMPTS = {
    ShotKind.DEFAULT: "A red scarf in the snow",
    ShotKind.EMOTIONAL_CLOSE_UP: "Close-up of a smiling woman",
    ShotKind.ACTION: "A trail runner jumping over rocks",
    ShotKind.ESTABLISHING: "A wide skyline at dawn",
}


@pytest.mark.parametrize("sandbox", [True, False])
@pytest.mark.parametrize("kind", _PROMPTS)
def test_no_preview_is_shown_dearer_than_what_it_previews_in_a_packaged_catalogue(
    policy: Policy, sandbox: bool, kind: ShotKind
):
    catalogue = load_catalogue(sandbox=sandbox)
    for duration_s in range(1, 16):
        for audio in (False, True):
            for complexity in (0.1, 0.5, 0.9):
                fields = {"prompt": _PROMPTS[kind], "duration_s": duration_s, "native_audio": audio}
                boards = [_board(quality=dial, visual_complexity=complexity, **fields) for dial in Quality]
                assert {board.shots[0].kind for board in boards} == {kind}
                plans = [plan_clip(one, catalogue, policy.routing, _OPEN, max_attempts=4) for one in boards]
                draft, standard, premium = (plan.expected_usd for plan in plans)
                if plans[0].held:
                    # Nothing of the preview tier has sound for so long; what others would cost is told.
                    assert not sandbox and audio and duration_s > 10 and plans[0].decisions[0].alternatives
                else:
                    assert 0 < draft <= standard <= premium


@settings(max_examples=200)
@given(brief=BRIEFS, catalogue=RANDOM_CATALOGUES, max_attempts=_ATTEMPTS)
def test_no_preview_is_shown_dearer_than_what_it_previews(policy: Policy, brief, catalogue, max_attempts: int):
    """For a clip that is delivered: less may be spent on a dearer one whose attempts run out, but for nothing."""
    document = brief.model_dump(exclude_unset=True)
    preview, clip = (
        plan_clip(
            storyboard_of(Brief.model_validate(document | {"quality": dial}), DAY, cap_s=15),
            catalogue,
            policy.routing,
            _OPEN,
            max_attempts=max_attempts,
        )
        for dial in (Quality.DRAFT, Quality.STANDARD)
    )
    if preview.held or clip.held:
        return
    heard = any(one.audio and not other.audio for one, other in zip(preview.decisions, clip.decisions, strict=True))
    if not heard:
        worst = min(1 - (1 - decision.acceptance) ** max_attempts for decision in clip.decisions)
        assert float(preview.expected_usd) <= float(clip.expected_usd) / worst + 2e-6 / worst


def test_the_packaged_day_at_list_prices(policy: Policy):
    catalogue = load_catalogue(sandbox=False)
    plans = [plan_clip(board, catalogue, policy.routing, _OPEN, max_attempts=4) for board in _examples()]
    usd = {plan.storyboard.brief.brief_id: plan.expected_usd for plan in plans}
    # A draft and an approved clip, 2 s each, both at a price a video.
    assert usd["coffee-hook"] == Decimal("0.015228")
    assert usd["founder-story"] == Decimal("0.058794")
    assert price_day(DAY, plans, max_attempts=4).expected_usd == Decimal("1.077221")
