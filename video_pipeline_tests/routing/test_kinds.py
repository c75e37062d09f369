"""What the kind of a shot changes with the real catalogue, where a source or the ledger says so, and how it tells."""

from datetime import date
from decimal import Decimal

import pytest

from video_pipeline.briefs import ShotKind, storyboard_of
from video_pipeline.policy import Policy
from video_pipeline.routing import Belief, Catalogue, Decision, RoutingState, decide, load_catalogue
from video_pipeline_tests.briefs.documents import a_brief

DAY = date(2026, 11, 21)
REAL = load_catalogue(sandbox=False)


def made(
    kind: ShotKind,
    policy: Policy,
    *,
    catalogue: Catalogue = REAL,
    state: RoutingState | None = None,
    quality: str = "draft",
    complexity: float = 0.4,
    audio: bool = False,
) -> Decision:
    shots = [{"prompt": "A red scarf in the snow", "duration_s": 5, "kind": kind}]
    brief = a_brief(
        prompt=None,
        duration_s=None,
        shots=shots,
        quality=quality,
        visual_complexity=complexity,
        native_audio=audio,
    )
    [shot] = storyboard_of(brief, DAY, cap_s=15).shots
    return decide(shot, brief, catalogue, policy.routing, state or RoutingState())


@pytest.mark.parametrize(
    ("kind", "quality", "complexity", "audio", "models"),
    [
        ("action", "draft", 0.4, True, ("xai/grok-imagine-1.5-lite", "fal-ai/ltx-2.3-distilled")),
        ("emotional_close_up", "standard", 0.8, True, ("fal-ai/minimax/h3-max", "dashscope/wan-3.0")),
        ("product", "premium", 0.8, False, ("fal-ai/kling-3-standard", "bytedance/seedance-2.0")),
    ],
)
def test_a_kind_that_a_source_names_changes_the_model_and_the_decision_says_by_how_much(
    policy: Policy, kind: str, quality: str, complexity: float, audio: bool, models: tuple[str, str]
) -> None:
    chosen = made(ShotKind(kind), policy, quality=quality, complexity=complexity, audio=audio)
    usual = made(ShotKind.DEFAULT, policy, quality=quality, complexity=complexity, audio=audio)
    assert (chosen.model, usual.model) == models
    told = chosen.by_kind
    assert told is not None and usual.by_kind is None
    assert (told.model, told.usd, told.kind) == (usual.model, usual.attempt_usd, kind)
    assert told.fidelity >= told.usual_fidelity
    assert chosen.for_its_kind in chosen.reasons
    more = chosen.attempt_usd - usual.attempt_usd
    price = f"${abs(more):.4f} {'more' if more > 0 else 'less'} an attempt" if more else "at the same price"
    assert f"as it is {ShotKind(kind).words}, {models[0]} instead of {models[1]}" in chosen.for_its_kind
    assert f"{price}, fidelity {told.fidelity:.2f} against {told.usual_fidelity:.2f}" in chosen.for_its_kind


def test_what_the_ledger_has_measured_of_a_kind_changes_the_model_too(policy: Policy) -> None:
    usual = REAL.named(made(ShotKind.ACTION, policy).model or "")
    belief = Belief(
        version=usual.version,
        accepted=80.0,
        lost=20.0,
        clips=100,
        worth=1.0,
        worth_sd=0.05,
        kinds={"action": (6.0, 94.0)},
    )
    state = RoutingState(beliefs={usual.model: belief})
    assert made(ShotKind.DEFAULT, policy, state=state).model == usual.model
    chosen = made(ShotKind.ACTION, policy, state=state)
    assert chosen.by_kind is not None
    assert (chosen.by_kind.model, chosen.by_kind.acceptance) == (usual.model, pytest.approx(0.06))
    assert chosen.accepted_usd < float(chosen.by_kind.usd) / chosen.by_kind.acceptance
    assert "against 6% accepted" in chosen.for_its_kind


def test_where_the_kind_changes_nothing_nothing_is_told(policy: Policy) -> None:
    plain = made(ShotKind.PRODUCT, policy)
    assert (plain.model, plain.by_kind, plain.for_its_kind) == (made(ShotKind.DEFAULT, policy).model, None, "")
    assert plain.attempt_usd == Decimal("0.0125")


def test_a_kind_that_no_row_names_is_as_any() -> None:
    for model in REAL.models:
        assert set(model.fidelity) == set(ShotKind)
    scarf = REAL.named("fal-ai/vidu-q3")
    assert set(scarf.fidelity.values()) == {scarf.fidelity[ShotKind.DEFAULT]}
