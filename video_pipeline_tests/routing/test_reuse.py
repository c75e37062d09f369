"""What of a preview serves a brief: it never costs more, and never serves what its tier would not take."""

from datetime import date
from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import given

from video_pipeline.briefs import Brief, Quality, Storyboard, storyboard_of
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, Model, Preview, RoutingState, plan_clip
from video_pipeline_tests.briefs.documents import BRIEFS
from video_pipeline_tests.ledger.rows import a_job
from video_pipeline_tests.routing.catalogues import RANDOM_CATALOGUES

DAY = date(2026, 11, 21)


def _rendered(board: Storyboard, model: Model, resolution: str, *, audio: bool) -> Preview:
    """A preview of the board's brief that is the same but for its quality, made by one model."""
    shown = board.model_copy(update={"brief": board.brief.model_copy(update={"quality": Quality.DRAFT})})
    order = RenderOrder(
        prompt="x", duration_s=2, orientation=Orientation.PORTRAIT, resolution=resolution, audio=audio
    )
    job = a_job(model=model.model, model_version=model.version, order=order)
    return Preview("2026-11-20/shown", {shown.shot_sha256(shot): job for shot in board.shots})


@given(data=st.data(), catalogue=RANDOM_CATALOGUES, brief=BRIEFS, frozen=st.booleans(), audio=st.booleans())
def test_a_preview_only_ever_saves_and_is_as_good_as_the_tier_asks(
    policy: Policy, data: st.DataObject, catalogue: Catalogue, brief: Brief, frozen: bool, audio: bool
) -> None:
    quality = data.draw(st.sampled_from([Quality.STANDARD, Quality.PREMIUM]))
    board = storyboard_of(brief.model_copy(update={"quality": quality}), DAY, cap_s=15)
    model = data.draw(st.sampled_from(catalogue.models))
    preview = _rendered(board, model, data.draw(st.sampled_from(model.resolutions)).name, audio=audio)
    tiers = frozenset({"preview", "production", "cinematic"}) if frozen else frozenset[str]()
    state = RoutingState(frozen=tiers)
    routing = policy.routing
    bought = plan_clip(board, catalogue, routing, state, max_attempts=4)
    served = plan_clip(board, catalogue, routing, state, max_attempts=4, preview=preview)
    free = plan_clip(board, catalogue, routing, RoutingState(), max_attempts=4)
    assert served.expected_usd <= free.expected_usd
    for shot, before, after in zip(board.shots, bought.decisions, served.decisions, strict=True):
        assert after.tier is before.tier
        if after.reuse is None:
            assert after.reasons[:-1] == before.reasons and after.held == before.held
            continue
        assert after.held is None and after.reuse.usd == after.attempt_usd
        assert model.fidelity[shot.kind] >= routing.adequate_fidelity[after.tier]
        assert audio or not after.audio
    if all(decision.reuse for decision in served.decisions):
        assert (served.expected_usd, served.p90_usd) == (Decimal(0), Decimal(0))
