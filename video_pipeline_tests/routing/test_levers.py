"""What routing's levers do and what they say that they save, with the levers one by one."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from video_pipeline.briefs import Brief, ShotKind, storyboard_of
from video_pipeline.policy import Policy, RoutingThresholds
from video_pipeline.routing import (
    Catalogue,
    Decision,
    Lever,
    RoutingState,
    Tier,
    decide,
    plan_clip,
    price_day,
    upscaling_usd,
)
from video_pipeline.routing.options import Question
from video_pipeline.routing.tree import weigh
from video_pipeline_tests.briefs.documents import BRIEFS, a_brief
from video_pipeline_tests.routing.catalogues import RANDOM_CATALOGUES

DAY = date(2026, 11, 21)
_SHOT = {"prompt": "A red scarf in the snow"}
_A_VIDEO = {
    "resolutions": [{"name": "1080p", "short_side": 1080}],
    "price": {"per": "video", "silent": {"1080p": "0.05"}},
}


def _model(name: str, tier: Tier, silent: Mapping[str, str], **fields: Any) -> dict[str, Any]:
    return {
        "model": name,
        "version": "1",
        "provider": "fal",
        "tier": tier,
        "wire": {},
        "durations": {"max_s": 15},
        "resolutions": [{"name": size, "short_side": int(size.rstrip("p"))} for size in silent],
        "price": {"silent": silent},
        "fidelity": dict.fromkeys(ShotKind, 0.9),
        "acceptance_prior": 1.0,
        "price_source": "nobody's",
        "price_checked_on": DAY,
    } | fields


def _catalogue(*models: dict[str, Any]) -> Catalogue:
    return Catalogue.model_validate({"name": "few", "anchor": None, "models": models})


def _levers(policy: Policy, **levers: object) -> RoutingThresholds:
    return policy.routing.model_copy(update={"levers": policy.routing.levers.model_copy(update=levers)})


def _decided(catalogue: Catalogue, routing: RoutingThresholds, **fields: Any) -> Decision:
    brief = a_brief(**fields)
    [shot] = storyboard_of(brief, DAY, cap_s=15).shots
    return decide(shot, brief, catalogue, routing, RoutingState())


def test_the_size_costs_least_with_its_upscaling(policy: Policy) -> None:
    catalogue = _catalogue(_model("one", Tier.PREVIEW, {"480p": "0.02", "720p": "0.03", "1080p": "0.05"}))
    small = _decided(catalogue, policy.routing)
    # 480x854 at 24 frames a second for 5 s are 49.2 megapixels.
    assert (small.resolution, small.upscale_usd) == ("480p", Decimal("0.000369"))
    assert small.saves == {Lever.SMALL_THEN_UPSCALE: Decimal("0.149631")}
    assert small.reasons[-1] == (
        "rendered at 480x854, upscaled 2.2x on our own GPU for $0.0004 of electricity, which saves $0.1496 against "
        "its largest size"
    )
    tiny = _decided(_catalogue(_model("one", Tier.PREVIEW, {"108p": "0.02"})), policy.routing)
    assert "10.0x on our own GPU for under $0.0001 of electricity" in tiny.reasons[-1]
    plain = _decided(catalogue, _levers(policy, small_then_upscale=False))
    assert (plain.resolution, plain.upscale_usd, plain.saves) == ("1080p", 0, {})
    assert plain.reasons[-1] == "rendered at 1080x1920, which needs no upscaling"


def test_dear_electricity_makes_the_larger_size_the_cheaper_one(policy: Policy) -> None:
    catalogue = _catalogue(_model("one", Tier.PREVIEW, {"480p": "0.020", "1080p": "0.021"}))
    assert _decided(catalogue, policy.routing).resolution == "480p"
    dear = _levers(policy, upscale_usd_per_megapixel=Decimal("0.001"))
    assert _decided(catalogue, dear).resolution == "1080p"


def test_without_it_a_model_that_renders_no_delivered_size_is_asked_for_its_largest(policy: Policy) -> None:
    catalogue = _catalogue(_model("one", Tier.PREVIEW, {"480p": "0.02", "720p": "0.03"}))
    assert _decided(catalogue, _levers(policy, small_then_upscale=False)).resolution == "720p"


def test_a_dearer_tiers_model_serves_where_it_costs_less_and_says_what_that_saves(policy: Policy) -> None:
    catalogue = _catalogue(
        _model("own", Tier.PREVIEW, {"1080p": "0.05"}, durations={"min_s": 6, "max_s": 15}),
        _model("dearer", Tier.PRODUCTION, {"1080p": "0.055"}),
    )
    taken = _decided(catalogue, policy.routing)
    assert (taken.model, taken.attempt_usd) == ("dearer", Decimal("0.275"))
    assert taken.saves == {Lever.ANY_TIER: Decimal("0.025")}
    assert _decided(catalogue, _levers(policy, any_tier=False)).model == "own"


@pytest.mark.parametrize(("size", "usd"), [((1080, 1920), "0"), ((1920, 1080), "0"), ((480, 854), "0.000074")])
def test_upscaling_is_paid_by_the_megapixel_below_the_delivered_size(
    policy: Policy, size: tuple[int, int], usd: str
) -> None:
    assert upscaling_usd(size, 1.0, policy.routing) == Decimal(usd)
    assert upscaling_usd(size, 2.0, policy.routing, fps=12) == Decimal(usd)


@given(catalogue=RANDOM_CATALOGUES, brief=BRIEFS)
def test_what_the_levers_save_is_the_difference_to_doing_without(
    policy: Policy, catalogue: Catalogue, brief: Brief
) -> None:
    board = storyboard_of(brief, DAY, cap_s=15)
    plan = plan_clip(board, catalogue, policy.routing, RoutingState(), max_attempts=4)
    for shot, decision in zip(board.shots, plan.decisions, strict=True):
        assert all(usd > 0 for usd in decision.saves.values())
        for lever in (Lever.ANY_TIER, Lever.SMALL_THEN_UPSCALE):
            routing = _levers(policy, **{lever.value: False})
            other = decide(shot, brief, catalogue, routing, RoutingState())
            same_model = other.model == decision.model
            if lever is Lever.ANY_TIER or same_model:
                more = other.accepted_usd - decision.accepted_usd
                assert float(decision.saves.get(lever, Decimal(0))) == pytest.approx(max(more, 0), abs=2e-6)
    day = price_day(DAY, [plan], max_attempts=4)
    total = sum((usd for one in plan.decisions for usd in one.saves.values()), Decimal(0))
    assert sum(day.saves.values(), Decimal(0)) == (0 if plan.held else total)


def test_a_draft_that_is_cut_short_says_so_and_what_that_saves(policy: Policy) -> None:
    by_second = _catalogue(_model("one", Tier.PREVIEW, {"1080p": "0.05"}))
    by_video = _catalogue(_model("one", Tier.PREVIEW, {}, **_A_VIDEO))
    board = storyboard_of(a_brief(duration_s=6), DAY, cap_s=15, draft_s=4)
    assert ([shot.duration_s for shot in board.shots], [shot.duration_s for shot in board.uncut]) == ([4], [6])
    plan = plan_clip(board, by_second, policy.routing, RoutingState(), max_attempts=1)
    [decision] = plan.decisions
    assert plan.expected_usd == Decimal("0.20") and decision.saves == {Lever.DRAFT_SECONDS: Decimal("0.10")}
    assert decision.reasons[-1] == "the draft is cut from 6 s to 4 s, which saves $0.1000"
    [decision] = plan_clip(board, by_video, policy.routing, RoutingState(), max_attempts=1).decisions
    assert decision.saves == {}
    assert decision.reasons[-1] == "the draft is cut from 6 s to 4 s, which saves nothing"


@pytest.mark.parametrize(
    ("fields", "lengths_s"),
    [
        ({"duration_s": 4}, None),
        ({"quality": "standard", "duration_s": 6}, None),
        ({"prompt": None, "duration_s": None, "shots": [_SHOT | {"duration_s": 3}] * 2}, [3, 1]),
        ({"prompt": None, "duration_s": None, "shots": [_SHOT | {"duration_s": 3.5}] * 2}, [3.5]),
    ],
    ids=["short enough", "no draft", "in its second shot", "less than a second of it"],
)
def test_only_drafts_are_cut_and_no_shot_to_less_than_a_second(
    fields: dict[str, Any], lengths_s: list[float] | None
) -> None:
    brief = a_brief(**fields)
    board = storyboard_of(brief, DAY, cap_s=15, draft_s=4)
    if lengths_s is None:
        assert board == storyboard_of(brief, DAY, cap_s=15)
        return
    assert [shot.duration_s for shot in board.shots] == lengths_s
    assert board.brief.total_s == sum(lengths_s) <= 4


def test_without_any_tier_nothing_is_drawn_for_a_dearer_tiers_model_either(policy: Policy) -> None:
    catalogue = _catalogue(
        _model("own", Tier.PREVIEW, {"1080p": "0.05"}), _model("dearer", Tier.PRODUCTION, {"1080p": "0.055"})
    )
    brief = a_brief()
    [shot] = storyboard_of(brief, DAY, cap_s=15).shots
    for routing, open_to in ((policy.routing, ["dearer"]), (_levers(policy, any_tier=False), [])):
        serving = weigh(Question.of(shot, brief, catalogue, routing, RoutingState()))
        assert [option.model.model for option in serving.dearer] == open_to
