"""The decision tree: total, cheap, never dearer than the dial, and it says why."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from video_pipeline.briefs import Bible, Bibles, Brief, Quality, Scene, ShotKind, StoryboardShot, storyboard_of
from video_pipeline.policy import Policy, RoutingThresholds
from video_pipeline.routing import (
    Catalogue,
    Decision,
    Lever,
    Model,
    Promotion,
    RoutingState,
    Tier,
    decide,
    load_catalogue,
    plan_clip,
)
from video_pipeline.routing.decision import MAX_ALTERNATIVES
from video_pipeline_tests.briefs.documents import BRIEFS, a_brief, a_document
from video_pipeline_tests.routing.catalogues import RANDOM_CATALOGUES, states_of

DAY = date(2026, 11, 21)
PACKAGED = [load_catalogue(sandbox=True), load_catalogue(sandbox=False)]
_ORDER = list(Tier)
_DIAL = {Quality.DRAFT: Tier.PREVIEW, Quality.STANDARD: Tier.PRODUCTION, Quality.PREMIUM: Tier.CINEMATIC}
_MODELS = [model.model for catalogue in PACKAGED for model in catalogue.models]

CATALOGUES = st.sampled_from(PACKAGED)
STATES = states_of(*PACKAGED)
# Both packaged catalogues and random ones, each with a state of its own models.
WORLDS = st.one_of(CATALOGUES, RANDOM_CATALOGUES).flatmap(lambda one: st.tuples(st.just(one), states_of(one)))
_OPEN = RoutingState()


def _shots(brief: Brief) -> tuple[StoryboardShot, ...]:
    return storyboard_of(brief, DAY, cap_s=15).shots


def _decide(brief: Brief, catalogue: Catalogue, policy: Policy, state: RoutingState = _OPEN) -> list[Decision]:
    return [decide(shot, brief, catalogue, policy.routing, state) for shot in _shots(brief)]


def _one(brief: Brief, catalogue: Catalogue, policy: Policy, state: RoutingState = _OPEN) -> Decision:
    (decision,) = _decide(brief, catalogue, policy, state)
    return decision


def _rank(decisions: Iterable[Decision]) -> int:
    return max(_ORDER.index(decision.tier) for decision in decisions)


def _with(catalogue: Catalogue, **changes: dict) -> Catalogue:
    """The sandbox's catalogue with fields of some models (named without `sandbox/`) replaced."""
    document = catalogue.model_dump()
    for entry in document["models"]:
        entry |= changes.get(entry["model"].removeprefix("sandbox/"), {})
    return Catalogue.model_validate(document)


_BY_SECOND = (
    "fal-ai/minimax/h3",
    "fal-ai/ltx-2.3-fast",
    "fal-ai/vidu-q3",
    "fal-ai/wan-2.7",
    "bytedance/seedance-2.0",
    "fal-ai/kling-3-standard",
)


def _of_list(names: Iterable[str]) -> Catalogue:
    """The list prices' catalogue with these models alone."""
    return PACKAGED[1].model_copy(update={"models": tuple(PACKAGED[1].named(name) for name in names)})


def _only(catalogue: Catalogue, tier: Tier) -> Catalogue:
    return catalogue.model_copy(update={"models": catalogue.of_tier(tier)})


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_every_shot_gets_a_decision_or_the_reason_why_there_is_none(policy: Policy, brief, catalogue, state):
    for shot, decision in zip(_shots(brief), _decide(brief, catalogue, policy, state), strict=True):
        assert decision.shot == shot.index
        assert decision.reasons and all(decision.reasons)
        assert (decision.model is None) is (decision.held is not None)
        if decision.model is not None:
            model = catalogue.named(decision.model)
            promoted = model.tier.above is decision.tier and model.model in state.promoted
            dearer = decision.tier in model.tier.cheaper and model.model not in state.demoted
            assert model.tier is decision.tier or promoted or dearer
            assert model.version == decision.model_version
            assert decision.requested_s >= shot.duration_s * (1 - policy.routing.duration_tolerance) - 1e-6
            assert decision.wanted_s == shot.duration_s
            assert decision.size is not None and all(side > 0 and side % 2 == 0 for side in decision.size)
            assert 0 <= decision.acceptance <= 1


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_a_decisions_price_is_the_catalogues_for_what_it_says(policy: Policy, brief, catalogue, state):
    for decision in _decide(brief, catalogue, policy, state):
        if decision.model is None:
            frozen = decision.tier.value in state.frozen
            assert frozen or decision.attempt_usd == 0
            continue
        sizes = {resolution.name: resolution for resolution in catalogue.named(decision.model).resolutions}
        resolution = sizes[decision.resolution or ""]
        model = catalogue.named(decision.model)
        length = model.durations.at(decision.requested_s)
        assert length.seconds == decision.requested_s
        usd = model.usd(resolution, brief.orientation, length, audio=decision.audio)
        assert decision.attempt_usd == usd and (resolution.name in model.price.sound or not decision.audio)
        assert decision.size == resolution.size(brief.orientation)


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_the_same_question_always_gets_the_same_answer(policy: Policy, brief, catalogue, state):
    assert _decide(brief, catalogue, policy, state) == _decide(brief, catalogue, policy, state)


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_no_tier_is_dearer_than_the_dial_says(policy: Policy, brief, catalogue, state):
    assert _rank(_decide(brief, catalogue, policy, state)) <= _ORDER.index(_DIAL[brief.quality])


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_a_higher_dial_never_gets_a_lower_tier(policy: Policy, brief, catalogue, state):
    ranks = []
    for quality in Quality:
        dialled = Brief.model_validate(brief.model_dump(exclude_unset=True) | {"quality": quality})
        ranks.append(_rank(_decide(dialled, catalogue, policy, state)))
    assert ranks == sorted(ranks)


@given(brief=BRIEFS, catalogue=CATALOGUES, complexities=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_more_complex_brief_never_gets_a_lower_tier(policy: Policy, brief, catalogue, complexities):
    ranks = []
    for complexity in sorted(complexities):
        said = Brief.model_validate(brief.model_dump(exclude_unset=True) | {"visual_complexity": complexity})
        ranks.append(_rank(_decide(said, catalogue, policy)))
    assert ranks == sorted(ranks)


@given(brief=BRIEFS, catalogue=CATALOGUES, quality=st.sampled_from(Quality))
def test_a_brief_without_its_quality_is_a_preview(policy: Policy, brief, catalogue, quality):
    document = brief.model_dump(exclude_unset=True)
    document.pop("quality", None)
    decisions = _decide(Brief.model_validate(document), catalogue, policy)
    assert {decision.tier for decision in decisions} == {Tier.PREVIEW}
    assert all("does not say its quality" in " ".join(decision.reasons) for decision in decisions)
    said = _decide(Brief.model_validate(document | {"quality": quality}), catalogue, policy)
    assert _rank(decisions) <= _rank(said)


@pytest.mark.parametrize("quality", Quality)
def test_leaving_the_complexity_out_never_gets_a_dearer_tier_than_saying_it(
    policy: Policy, sandbox_catalogue: Catalogue, quality: Quality
):
    left_out = _one(a_brief(quality=quality, visual_complexity=None), sandbox_catalogue, policy)
    plain = _one(a_brief(quality=quality, visual_complexity=0.0), sandbox_catalogue, policy)
    assert _rank([left_out]) <= _rank([plain])


def test_a_plain_silent_premium_brief_is_served_by_production(policy: Policy, sandbox_catalogue: Catalogue):
    decision = _one(a_brief(quality="premium", visual_complexity=0.2), sandbox_catalogue, policy)
    assert decision.tier is Tier.PRODUCTION
    assert "production is good enough for youtube_shorts" in " ".join(decision.reasons)
    for more in ({"native_audio": True}, {"visual_complexity": 0.35}):
        brief = Brief.model_validate(a_document(quality="premium", visual_complexity=0.2) | more)
        assert _one(brief, sandbox_catalogue, policy).tier is Tier.CINEMATIC


@pytest.mark.parametrize(
    ("platforms", "tier"),
    [
        (["tiktok"], Tier.PRODUCTION),
        (["youtube_shorts"], Tier.CINEMATIC),
        (["youtube_shorts", "tiktok"], Tier.CINEMATIC),
        (["one_without_a_line_in_the_policy"], Tier.CINEMATIC),
    ],
)
def test_how_plain_a_premium_brief_must_be_is_the_platforms_word(
    policy: Policy, sandbox_catalogue: Catalogue, platforms: list[str], tier: Tier
):
    brief = a_brief(quality="premium", visual_complexity=0.38, platforms=platforms)
    assert _one(brief, sandbox_catalogue, policy).tier is tier


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_there_is_sound_only_where_it_was_asked_for(policy: Policy, brief, catalogue, state):
    for decision in _decide(brief, catalogue, policy, state):
        assert not decision.audio or brief.native_audio


def test_sound_is_priced_as_sound(policy: Policy, sandbox_catalogue: Catalogue):
    silent, heard = (
        _one(a_brief(quality="standard", duration_s=5, native_audio=audio), sandbox_catalogue, policy)
        for audio in (False, True)
    )
    assert (silent.audio, silent.attempt_usd) == (False, Decimal("0.35"))
    assert (heard.audio, heard.attempt_usd) == (True, Decimal("0.50"))


def test_sound_that_no_model_of_the_tier_has_is_said_to_be_missing(policy: Policy, sandbox_catalogue: Catalogue):
    decision = _one(a_brief(quality="draft", native_audio=True), sandbox_catalogue, policy)
    assert not decision.audio and decision.held is None
    assert any("the clip will be silent" in reason for reason in decision.reasons)


def test_a_size_without_sound_is_not_chosen_where_sound_is_asked_for(policy: Policy, sandbox_catalogue: Catalogue):
    sizes = [
        {"name": "180p", "short_side": 180, "usd_per_s": "0.05"},
        {"name": "360p", "short_side": 360, "usd_per_s": "0.08", "usd_per_s_audio": "0.12"},
    ]
    catalogue = _with(sandbox_catalogue, steady={"resolutions": sizes}, motion={"resolutions": sizes})
    decision = _one(a_brief(quality="standard", duration_s=5, native_audio=True), catalogue, policy)
    assert (decision.audio, decision.resolution, decision.attempt_usd) == (True, "360p", Decimal("0.60"))


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_a_frozen_tier_buys_nothing_and_says_so(policy: Policy, brief, catalogue, state):
    for decision in _decide(brief, catalogue, policy, state):
        if decision.tier.value in state.frozen:
            assert (
                decision.held
                == f"the {decision.tier} tier is frozen for new generation; the clip waits until it thaws"
            )


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES, frozen=st.frozensets(st.sampled_from(Tier)))
def test_a_freeze_never_sends_a_shot_to_another_tier(policy: Policy, brief, catalogue, state, frozen):
    opened, closed = (replace(state, frozen=frozenset(tiers)) for tiers in ((), frozen))
    before, after = (_decide(brief, catalogue, policy, each) for each in (opened, closed))
    assert [decision.tier for decision in before] == [decision.tier for decision in after]


@given(brief=BRIEFS, catalogue=CATALOGUES, demoted=st.frozensets(st.sampled_from(_MODELS)))
def test_a_demoted_model_serves_only_what_no_other_of_its_tier_can(policy: Policy, brief, catalogue, demoted):
    decisions = _decide(brief, catalogue, policy, RoutingState(demoted=demoted))
    for shot, decision in zip(_shots(brief), decisions, strict=True):
        if decision.model in demoted:
            assert any("is demoted" in reason for reason in decision.reasons)
            for other in catalogue.of_tier(decision.tier):
                too_long = other.durations.rendered(shot.duration_s, within=policy.routing.round_within) is None
                silent = decision.audio and not other.offers_audio
                misshapen = brief.orientation not in other.orientations
                unable = too_long or silent or misshapen or not other.suits(shot.kind)
                assert other.model in demoted or unable


@given(brief=BRIEFS, catalogue=CATALOGUES, demoted=st.frozensets(st.sampled_from(_MODELS)))
@example(brief=a_brief(native_audio=True), catalogue=PACKAGED[1], demoted=frozenset({"fal-ai/ltx-2.3-fast"}))
@example(brief=a_brief(duration_s=12), catalogue=PACKAGED[1], demoted=frozenset({"fal-ai/minimax/h3"}))
def test_a_demotion_never_stops_a_shot_that_could_be_served(policy: Policy, brief, catalogue, demoted):
    before = _decide(brief, catalogue, policy)
    after = _decide(brief, catalogue, policy, RoutingState(demoted=demoted))
    assert [decision.held for decision in after] == [decision.held for decision in before]


@given(brief=BRIEFS, state=STATES)
def test_the_cheapest_adequate_model_serves_an_ordinary_shot(policy: Policy, sandbox_catalogue, brief, state):
    state = RoutingState(acceptance=state.acceptance)
    for shot, decision in zip(_shots(brief), _decide(brief, sandbox_catalogue, policy, state), strict=True):
        if brief.visual_complexity >= policy.routing.complex_complexity and brief.quality is not Quality.DRAFT:
            continue
        chosen = sandbox_catalogue.named(decision.model or "")
        needed = policy.routing.adequate_fidelity[decision.tier]
        assert chosen.fidelity[shot.kind] >= needed
        for other in sandbox_catalogue.models:
            if decision.tier not in other.tier.cheaper and decision.tier is not other.tier:
                continue
            if other.suits(shot.kind) and other.fidelity[shot.kind] >= needed:
                assert _usd_per_accepted(chosen, decision, state) <= _usd_per_accepted(other, decision, state) + 1e-12


def _usd_per_accepted(model: Model, decision: Decision, state: RoutingState) -> float:
    (rate,) = (model.price.sound if decision.audio else model.price.silent).values()
    acceptance = state.acceptance.get(model.model, model.acceptance_prior)
    return float(rate) * decision.requested_s / max(acceptance, 0.05)


def test_a_complex_shot_gets_the_tiers_strongest_model_for_its_kind(policy: Policy, sandbox_catalogue: Catalogue):
    action = {"prompt": "A trail runner jumping over rocks", "quality": "standard"}
    plain = _one(a_brief(**action, visual_complexity=0.5), sandbox_catalogue, policy)
    complicated = _one(a_brief(**action, visual_complexity=0.8), sandbox_catalogue, policy)
    assert (plain.model, complicated.model) == ("sandbox/steady", "sandbox/motion")
    draft = _one(a_brief(**action | {"quality": "draft"}, visual_complexity=0.8), sandbox_catalogue, policy)
    assert draft.model == "sandbox/sprint"


def test_without_an_adequate_model_the_best_of_the_tier_serves(policy: Policy, sandbox_catalogue: Catalogue):
    weak = dict.fromkeys(ShotKind, 0.1)
    catalogue = _with(sandbox_catalogue, sprint={"fidelity": weak}, dash={"fidelity": weak | {ShotKind.DEFAULT: 0.2}})
    decision = _one(a_brief(), catalogue, policy)
    assert decision.model == "sandbox/dash"
    assert any("none reaches 0.40" in reason for reason in decision.reasons)


@settings(max_examples=200)
@given(
    usd=st.tuples(*[st.integers(10, 40)] * 2),
    acceptance=st.tuples(*[st.floats(0.05, 1)] * 2),
    affinity=st.tuples(*[st.floats(-100, 100)] * 2),
)
def test_an_affinity_never_pays_for_more_than_the_limit(policy: Policy, sandbox_catalogue, usd, acceptance, affinity):
    names, limit = ("sandbox/sprint", "sandbox/dash"), policy.routing.preference_limit
    catalogue = _with(
        sandbox_catalogue,
        **{
            name.removeprefix("sandbox/"): {
                "resolutions": [{"name": "108p", "short_side": 108, "usd_per_s": str(Decimal(cents) / 1000)}],
                "fidelity": dict.fromkeys(ShotKind, 0.5),
            }
            for name, cents in zip(names, usd, strict=True)
        },
    )
    catalogue = _only(catalogue, Tier.PREVIEW)
    state = RoutingState(
        acceptance=dict(zip(names, acceptance, strict=True)),
        affinity={"warm": dict(zip(names, affinity, strict=True))},
    )
    cost = {name: cents / share for name, cents, share in zip(names, usd, acceptance, strict=True)}
    chosen = _one(a_brief(style="warm"), catalogue, policy, state).model or ""
    assert cost[chosen] <= min(cost.values()) * (1 + limit) / (1 - limit) * (1 + 1e-9)
    # What another style likes has no say.
    assert cost[_one(a_brief(style="wide"), catalogue, policy, state).model or ""] == pytest.approx(
        min(cost.values())
    )


def test_an_affinity_decides_between_models_that_cost_nearly_the_same(policy: Policy, sandbox_catalogue: Catalogue):
    catalogue = _with(
        sandbox_catalogue,
        dash={
            "resolutions": [{"name": "108p", "short_side": 108, "usd_per_s": "0.0224"}],
            "acceptance_prior": 0.85,
        },
    )
    liked = RoutingState(affinity={"warm": {"sandbox/dash": 0.05}})
    assert _one(a_brief(style="warm"), catalogue, policy).model == "sandbox/sprint"
    assert _one(a_brief(style="warm"), catalogue, policy, liked).model == "sandbox/dash"
    # A style that guidance gave steers as one that was written.
    given = storyboard_of(a_brief(style=None), DAY, cap_s=15, defaults={"style": "warm"})
    (decision,) = plan_clip(given, catalogue, policy.routing, liked, max_attempts=4).decisions
    assert decision.model == "sandbox/dash"


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        pytest.param(10.0, "small", id="every size can be upscaled to the delivered one"),
        pytest.param(4.0, "middle", id="the smallest is too small to be upscaled"),
        pytest.param(1.0, "large", id="only the largest is as large as the delivered one"),
    ],
)
def test_the_cheapest_size_that_upscaling_can_bring_up_is_rendered(
    policy: Policy, sandbox_catalogue: Catalogue, factor: float, expected: str
):
    sizes = [
        {"name": "large", "short_side": 1080, "usd_per_s": "0.15"},
        {"name": "middle", "short_side": 480, "usd_per_s": "0.05"},
        {"name": "small", "short_side": 180, "usd_per_s": "0.02"},
    ]
    catalogue = _only(sandbox_catalogue, Tier.PREVIEW)
    catalogue = _with(catalogue, sprint={"resolutions": sizes}, dash={"resolutions": sizes})
    routing = policy.routing.model_copy(update={"max_upscale_factor": factor})
    (shot,) = _shots(a_brief())
    decision = decide(shot, a_brief(), catalogue, routing, _OPEN)
    assert decision.resolution == expected
    assert any("upscal" in reason for reason in decision.reasons)


def test_of_two_sizes_at_one_price_the_larger_is_rendered(policy: Policy, sandbox_catalogue: Catalogue):
    sizes = [
        {"name": "small", "short_side": 180, "usd_per_s": "0.02"},
        {"name": "large", "short_side": 720, "usd_per_s": "0.02"},
    ]
    catalogue = _with(sandbox_catalogue, sprint={"resolutions": sizes}, dash={"resolutions": sizes})
    assert _one(a_brief(), catalogue, policy).resolution == "large"


def test_a_model_that_cannot_render_so_long_is_left_out_and_said_so(policy: Policy, sandbox_catalogue: Catalogue):
    short = {"durations": {"min_s": 1, "max_s": 8}}
    catalogue = _with(sandbox_catalogue, sprint=short)
    decision = _one(a_brief(duration_s=9), catalogue, policy)
    assert decision.model == "sandbox/dash"
    assert "sandbox/sprint renders at most 8 s" in decision.reasons
    held = _one(a_brief(duration_s=9), _with(catalogue, dash=short), policy)
    assert held.held == "no model of the preview tier can serve this shot"


@pytest.mark.parametrize(
    ("orientation", "size"), [("portrait", (180, 320)), ("landscape", (320, 180)), ("square", (180, 180))]
)
def test_the_size_is_in_the_briefs_orientation(policy: Policy, sandbox_catalogue: Catalogue, orientation, size):
    assert _one(a_brief(quality="standard", orientation=orientation), sandbox_catalogue, policy).size == size


# Rounding to what is billed


def _rounding(policy: Policy, on: bool):
    levers = policy.routing.levers.model_copy(update={"round_to_billed": on})
    return policy.routing.model_copy(update={"levers": levers})


def _decided(brief: Brief, catalogue: Catalogue, routing: RoutingThresholds) -> Decision:
    (shot,) = _shots(brief)
    return decide(shot, brief, catalogue, routing, _OPEN)


def test_a_shot_is_bought_a_little_shorter_and_the_decision_says_what_that_saves(policy: Policy, sandbox_catalogue):
    brief = a_brief(duration_s=5.2)
    on, off = (_decided(brief, sandbox_catalogue, _rounding(policy, switch)) for switch in (True, False))
    assert (on.requested_s, on.wanted_s, on.attempt_usd) == (5, 5.2, Decimal("0.110"))
    assert (off.requested_s, off.wanted_s, off.attempt_usd) == (6, 5.2, Decimal("0.132"))
    # 85 of 100 attempts are expected to be accepted.
    assert "5.2 s are bought as 5 s, which saves $0.0259 an accepted clip" in on.reasons
    assert on.saves[Lever.ROUND_TO_BILLED] == Decimal("0.025882")
    assert not any("bought as" in reason for reason in off.reasons) and Lever.ROUND_TO_BILLED not in off.saves


def test_a_model_of_one_length_serves_what_is_longer_by_no_more_than_the_tolerance(policy: Policy, sandbox_catalogue):
    fixed = {"durations": {"frames": {"min": 81, "max": 81, "fps": 16}}}
    catalogue = _with(_only(sandbox_catalogue, Tier.PREVIEW), sprint=fixed, dash=fixed)
    rounded = _decided(a_brief(duration_s=5.5), catalogue, _rounding(policy, True))
    assert rounded.requested_s == 5.0625
    assert "5.5 s are bought as 5.0625 s, the longest that sandbox/sprint renders" in rounded.reasons
    for duration_s, on in ((5.5, False), (5.7, True)):
        decision = _decided(a_brief(duration_s=duration_s), catalogue, _rounding(policy, on))
        assert decision.held and "sandbox/sprint renders at most 5.0625 s" in decision.reasons


@given(brief=BRIEFS, catalogue=CATALOGUES)
def test_rounding_never_makes_a_shot_dearer_nor_too_short(policy: Policy, brief: Brief, catalogue: Catalogue):
    for shot in _shots(brief):
        on, off = (decide(shot, brief, catalogue, _rounding(policy, switch), _OPEN) for switch in (True, False))
        if off.held is None and on.held is None and on.model == off.model:
            assert on.attempt_usd <= off.attempt_usd
            assert on.requested_s <= off.requested_s
        assert on.held is None or off.held is not None


# Promoted models


def _promoted(
    name: str = "sandbox/sprint", kinds: Iterable[str] = tuple(ShotKind), tier: str = "preview", version: str = "1"
) -> dict[str, Promotion]:
    return {name: Promotion(tier, version, frozenset(kinds), "accepted 96 of 100 against 88% of sandbox/steady")}


def test_a_promoted_model_serves_the_tier_above_where_it_is_cheaper_and_says_why(
    policy: Policy, sandbox_catalogue: Catalogue
):
    brief = a_brief(quality="standard")
    before = _one(brief, sandbox_catalogue, policy)
    after = _one(brief, sandbox_catalogue, policy, RoutingState(promoted=_promoted()))
    assert (before.model, before.attempt_usd) == ("sandbox/steady", Decimal("0.35"))
    assert (after.tier, after.model, after.attempt_usd) == (Tier.PRODUCTION, "sandbox/sprint", Decimal("0.110"))
    assert (
        "sandbox/sprint is the cheapest for a default shot: $0.1100 an attempt, 85% of attempts accepted; promoted "
        "from preview: accepted 96 of 100 against 88% of sandbox/steady"
    ) in after.reasons


@pytest.mark.parametrize(
    "promoted",
    [
        pytest.param(_promoted(kinds=["action"]), id="proven on another kind"),
        pytest.param(_promoted(version="0"), id="another version"),
        pytest.param(_promoted(tier="cinematic"), id="it was of another tier then"),
        pytest.param(_promoted("sandbox/grand", tier="cinematic"), id="a dearer model"),
    ],
)
def test_a_promotion_holds_only_for_what_has_earned_it(policy: Policy, sandbox_catalogue: Catalogue, promoted):
    decision = _one(a_brief(quality="standard"), sandbox_catalogue, policy, RoutingState(promoted=promoted))
    assert decision.model == "sandbox/steady"


def test_a_promotion_is_one_step(policy: Policy, sandbox_catalogue: Catalogue):
    state = RoutingState(promoted=_promoted())
    assert _one(a_brief(quality="premium"), sandbox_catalogue, policy, state).model == "sandbox/grand"
    state = RoutingState(promoted=_promoted("sandbox/steady", tier="production"))
    assert _one(a_brief(quality="premium"), sandbox_catalogue, policy, state).model == "sandbox/steady"


@pytest.mark.parametrize(
    ("changes", "brief", "said"),
    [
        pytest.param({}, {"native_audio": True}, "sandbox/sprint has no sound", id="sound"),
        pytest.param({"durations": {"min_s": 1, "max_s": 3}}, {}, "sandbox/sprint renders at most 3 s", id="length"),
        pytest.param(
            {"resolutions": [{"name": "tiny", "short_side": 90, "usd_per_s": "0.001"}]},
            {},
            "sandbox/sprint renders too small to be upscaled to 1080 lines",
            id="size",
        ),
    ],
)
def test_a_promoted_model_bypasses_nothing_that_the_tier_above_asks(
    policy: Policy, sandbox_catalogue: Catalogue, changes: dict, brief: dict, said: str
):
    catalogue = _with(sandbox_catalogue, sprint=changes)
    state = RoutingState(promoted=_promoted())
    decision = _one(a_brief(quality="standard", **brief), catalogue, policy, state)
    assert decision.model == "sandbox/steady" and said in decision.reasons


def test_a_complex_shot_is_left_to_the_strongest_of_the_tier(policy: Policy, sandbox_catalogue: Catalogue):
    brief = a_brief(quality="standard", visual_complexity=0.8)
    assert _one(brief, sandbox_catalogue, policy, RoutingState(promoted=_promoted())).model == "sandbox/steady"


def test_a_freeze_is_of_the_clips_tier_not_of_the_models_own(policy: Policy, sandbox_catalogue: Catalogue):
    for frozen, held in (("preview", False), ("production", True)):
        state = RoutingState(frozen=frozenset({frozen}), promoted=_promoted())
        decision = _one(a_brief(quality="standard"), sandbox_catalogue, policy, state)
        assert (decision.held is not None) is held
        assert decision.model == (None if held else "sandbox/sprint")


def test_a_demoted_model_serves_when_nobody_else_can(policy: Policy, sandbox_catalogue: Catalogue):
    out: dict[str, str] = {}
    served: list[str | None] = []
    while not served or served[-1] is not None:
        state = RoutingState(demoted=frozenset({"sandbox/sprint"}), unavailable=dict(out), dearest=4.0)
        decision = _one(a_brief(), sandbox_catalogue, policy, state)
        served.append(decision.model)
        out[decision.model or ""] = "it has refused this shot"
    assert served == ["sandbox/dash", "sandbox/steady", "sandbox/motion", "sandbox/sprint", None]


@pytest.mark.parametrize(
    ("steady", "serve"),
    [
        pytest.param(0.7, ["sandbox/sprint", "sandbox/steady", None], id="one is as good as the tier asks"),
        pytest.param(0.5, ["sandbox/sprint", "sandbox/motion", "sandbox/steady", None], id="none is"),
    ],
)
def test_of_a_tier_that_is_demoted_whole_none_stands_in_that_is_not_as_good_as_another_of_it(
    policy: Policy, sandbox_catalogue: Catalogue, steady: float, serve: list[str | None]
):
    cheap = [{"name": "180p", "short_side": 180, "usd_per_s": "0.05"}]
    motion = {"resolutions": cheap, "fidelity": dict.fromkeys(ShotKind, 0.5)}
    catalogue = _with(sandbox_catalogue, motion=motion, steady={"fidelity": dict.fromkeys(ShotKind, steady)})
    demoted = frozenset({"sandbox/steady", "sandbox/motion"})
    out: dict[str, str] = dict.fromkeys(("sandbox/grand", "sandbox/vista"), "it is down")
    served: list[str | None] = []
    while not served or served[-1] is not None:
        state = RoutingState(demoted=demoted, promoted=_promoted(), unavailable=dict(out), dearest=4.0)
        decision = _one(a_brief(quality="standard"), catalogue, policy, state)
        served.append(decision.model)
        out[decision.model or ""] = "it has refused this shot"
    assert served == serve


def test_a_promoted_model_serves_before_a_tier_that_is_demoted_whole(policy: Policy, sandbox_catalogue: Catalogue):
    demoted = frozenset({"sandbox/steady", "sandbox/motion"})
    brief = a_brief(quality="standard")
    assert _one(brief, sandbox_catalogue, policy, RoutingState(demoted=demoted)).model == "sandbox/steady"
    state = RoutingState(demoted=demoted, promoted=_promoted())
    assert _one(brief, sandbox_catalogue, policy, state).model == "sandbox/sprint"


@given(brief=BRIEFS, catalogue=CATALOGUES, state=STATES)
def test_a_promotion_never_stops_a_shot_silences_it_or_makes_it_worse_value(policy: Policy, brief, catalogue, state):
    limit = policy.routing.preference_limit
    without, with_them = (_decide(brief, catalogue, policy, one) for one in (replace(state, promoted={}), state))
    for shot, before, after in zip(_shots(brief), without, with_them, strict=True):
        assert after.tier is before.tier
        if before.model is None:
            continue
        assert after.model is not None and after.audio == before.audio
        if before.model not in state.demoted:
            usd = [_value_usd(one, shot, catalogue, state) for one in (before, after)]
            assert usd[1] <= usd[0] * (1 + limit) / (1 - limit) * (1 + 1e-9)


# Models of dearer tiers


def _dialled(brief: Brief, quality: Quality) -> Brief:
    return Brief.model_validate(brief.model_dump(exclude_unset=True) | {"quality": quality})


def _value_usd(decision: Decision, shot: StoryboardShot, catalogue: Catalogue, state: RoutingState) -> float:
    """What an accepted clip that is worth as much as any is expected to cost."""
    believed = state.estimate_of(catalogue.named(decision.model or ""), shot.kind)
    return decision.accepted_usd / believed.worth


@settings(max_examples=300)
@given(brief=BRIEFS, world=WORLDS)
def test_a_preview_never_costs_more_than_the_clip_that_it_previews(policy: Policy, brief, world):
    """Whatever was measured. A clip by a demoted model is no measure, nor one without the sound of its preview."""
    catalogue, state = world
    state = replace(state, frozen=frozenset())
    previews = _decide(_dialled(brief, Quality.DRAFT), catalogue, policy, state)
    for dial in (Quality.STANDARD, Quality.PREMIUM):
        clips = _decide(_dialled(brief, dial), catalogue, policy, state)
        for shot, preview, clip in zip(_shots(brief), previews, clips, strict=True):
            if clip.model is None or clip.model in state.demoted or (preview.audio and not clip.audio):
                continue
            if preview.model is not None:
                usd = [_value_usd(one, shot, catalogue, state) for one in (preview, clip)]
                assert usd[0] <= usd[1] * (1 + 1e-9)


@settings(max_examples=200)
@given(brief=BRIEFS, world=WORLDS)
def test_a_dearer_tiers_model_serves_only_what_it_is_good_enough_for_and_the_tier_has_dearer(
    policy: Policy, brief, world
):
    catalogue, state = world
    for shot, decision in zip(_shots(brief), _decide(brief, catalogue, policy, state), strict=True):
        model = catalogue.find(decision.model or "")
        if model is None or decision.tier not in model.tier.cheaper:
            continue
        assert model.model not in state.demoted
        own = catalogue.model_copy(
            update={"models": [one for one in catalogue.models if decision.tier not in one.tier.cheaper]}
        )
        alone = decide(shot, brief, own, policy.routing, state)
        assert alone.model is not None and alone.audio == decision.audio
        if alone.model not in state.demoted:
            assert _value_usd(decision, shot, catalogue, state) < _value_usd(alone, shot, catalogue, state)
        reasons = " ".join(decision.reasons)
        assert f"{model.model} of the {model.tier} tier costs less" in reasons
        assert f"than the {decision.tier} tier's own choice" in reasons


@pytest.mark.parametrize(
    ("duration_s", "model", "usd"),
    [
        # Billed by the second from the first one on: 1 s and 2 s at $0.07.
        (1, "fal-ai/vidu-q3", "0.07"),
        (2, "fal-ai/vidu-q3", "0.14"),
        # As 2 s, which are short by less than the tolerance.
        (2.1, "fal-ai/vidu-q3", "0.14"),
        # 4 s at least at $0.05, which holds against 3 s at $0.07 and 6 s at $0.06.
        (2.5, "fal-ai/minimax/h3", "0.20"),
        (4, "fal-ai/minimax/h3", "0.20"),
        # 5 s at $0.05, which holds against 6 s at least at $0.06.
        (4.5, "fal-ai/minimax/h3", "0.25"),
    ],
)
def test_a_draft_at_list_prices_goes_to_who_bills_least_for_its_length(policy: Policy, duration_s, model, usd):
    catalogue = _of_list(_BY_SECOND[:3])
    decision = _one(a_brief(duration_s=duration_s), catalogue, policy)
    assert (decision.tier, decision.model, decision.attempt_usd) == (Tier.PREVIEW, model, Decimal(usd))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        pytest.param({"fidelity": dict.fromkeys(ShotKind, 0.35)}, _OPEN, id="fidelity"),
        pytest.param({"durations": {"max_s": 1}}, _OPEN, id="length"),
        # Good enough for a preview and not for cinematic, where it would serve for want of a larger one.
        pytest.param(
            {
                "resolutions": [{"name": "tiny", "short_side": 90, "usd_per_s": "0.001"}],
                "fidelity": dict.fromkeys(ShotKind, 0.5),
            },
            _OPEN,
            id="size",
        ),
        pytest.param({}, RoutingState(demoted=frozenset({"sandbox/grand"})), id="demoted"),
        pytest.param({}, RoutingState(acceptance={"sandbox/grand": 0.04}), id="hardly ever accepted"),
    ],
)
def test_a_dearer_tiers_model_bypasses_nothing_that_the_tier_asks(
    policy: Policy, sandbox_catalogue: Catalogue, changes: dict, state: RoutingState
):
    bargain = {"resolutions": [{"name": "180p", "short_side": 180, "usd_per_s": "0.005"}]}
    serving = _one(a_brief(), _with(sandbox_catalogue, grand=bargain), policy)
    assert (serving.tier, serving.model) == (Tier.PREVIEW, "sandbox/grand")
    catalogue = _with(sandbox_catalogue, grand=bargain | changes)
    assert _one(a_brief(), catalogue, policy, state).model == "sandbox/sprint"


def test_a_complex_shot_goes_to_a_dearer_tier_only_for_what_is_no_weaker(
    policy: Policy, sandbox_catalogue: Catalogue
):
    brief = a_brief(quality="standard", visual_complexity=0.8)
    bargain = {"resolutions": [{"name": "180p", "short_side": 180, "usd_per_s": "0.05"}]}
    for fidelity, model in ((0.65, "sandbox/steady"), (0.70, "sandbox/grand")):
        catalogue = _with(sandbox_catalogue, grand=bargain | {"fidelity": dict.fromkeys(ShotKind, fidelity)})
        assert _one(brief, catalogue, policy).model == model


def test_an_affinity_moves_nothing_between_tiers(policy: Policy, sandbox_catalogue: Catalogue):
    same = {"resolutions": [{"name": "180p", "short_side": 180, "usd_per_s": "0.022"}], "acceptance_prior": 0.85}
    catalogue = _with(sandbox_catalogue, steady=same)
    loved = RoutingState(affinity={"warm": {"sandbox/steady": 0.05}})
    assert _one(a_brief(style="warm"), catalogue, policy, loved).model == "sandbox/sprint"


def test_a_freeze_of_previews_holds_those_that_a_dearer_tiers_model_would_serve(policy: Policy):
    for frozen, held in (("preview", True), ("production", False)):
        decision = _one(a_brief(duration_s=2), PACKAGED[1], policy, RoutingState(frozen=frozenset({frozen})))
        assert (decision.tier, decision.held is not None) == (Tier.PREVIEW, held)


# What the alternatives would have cost


def test_a_decision_tells_what_others_would_have_cost_and_why_not(policy: Policy):
    state = RoutingState(demoted=frozenset({"fal-ai/ltx-2.3-fast"}))
    decision = _one(a_brief(duration_s=2), _of_list(_BY_SECOND), policy, state)
    told = [(one.model, one.tier, one.usd, one.why_not) for one in decision.alternatives]
    assert told == [
        ("fal-ai/wan-2.7", "production", Decimal("0.20"), "dearer: $0.2276 an accepted clip"),
        ("fal-ai/minimax/h3", "preview", Decimal("0.20"), "dearer: $0.2354 an accepted clip"),
        ("fal-ai/kling-3-standard", "cinematic", Decimal("0.252"), "dearer: $0.2968 an accepted clip"),
        ("fal-ai/ltx-2.3-fast", "preview", Decimal("0.36"), "demoted"),
        ("bytedance/seedance-2.0", "cinematic", Decimal("0.5384"), "dearer: $0.6336 an accepted clip"),
    ]
    assert "fal-ai/minimax/h3 $0.2000 (dearer: $0.2354 an accepted clip)" in decision.instead


def test_a_model_that_is_not_good_enough_is_told_with_its_price(policy: Policy, sandbox_catalogue: Catalogue):
    weak = _with(sandbox_catalogue, sprint={"fidelity": dict.fromkeys(ShotKind, 0.3)})
    first = _one(a_brief(), weak, policy).alternatives[0]
    assert (first.model, first.usd) == ("sandbox/sprint", Decimal("0.110"))
    assert first.why_not == "not good enough for a default shot: 0.30 of 0.40"


@given(brief=BRIEFS, world=WORLDS)
def test_the_alternatives_are_few_others_with_a_price_and_a_reason(policy: Policy, brief, world):
    catalogue, state = world
    for decision in _decide(brief, catalogue, policy, state):
        names = [one.model for one in decision.alternatives]
        assert len(names) == len(set(names)) <= MAX_ALTERNATIVES
        assert decision.model not in names
        for one in decision.alternatives:
            assert catalogue.named(one.model).tier is one.tier and one.usd > 0 and one.why_not


def test_a_model_that_renders_another_shape_is_left_out_and_said_so(policy: Policy, sandbox_catalogue: Catalogue):
    catalogue = _with(sandbox_catalogue, sprint={"orientations": ["landscape"]})
    decision = _one(a_brief(orientation="portrait"), catalogue, policy)
    assert decision.model == "sandbox/dash" and "sandbox/sprint renders only landscape" in decision.reasons
    assert _one(a_brief(orientation="landscape"), catalogue, policy).model == "sandbox/sprint"


@pytest.mark.parametrize(
    ("brief", "model", "usd"),
    [
        ({"quality": "draft"}, "fal-ai/fast-wan-2.2-5b", "0.0125"),
        ({"quality": "standard"}, "fal-ai/wan-2.2-a14b-turbo", "0.05"),
        ({"quality": "premium", "visual_complexity": 0.5}, "fal-ai/veo-3.1-lite", "0.18"),
        ({"quality": "standard", "native_audio": True}, "fal-ai/minimax/h3-max-turbo", "0.125"),
    ],
    ids=["draft", "standard", "premium", "with sound"],
)
def test_the_articles_clip_at_list_prices(policy: Policy, brief: dict, model: str, usd: str):
    decision = _one(a_brief(duration_s=5.2, **brief), PACKAGED[1], policy)
    assert (decision.model, decision.attempt_usd) == (model, Decimal(usd))


def test_what_a_prompt_limit_leaves_out_of_the_bibles_is_a_reason(sandbox_catalogue: Catalogue, policy: Policy):
    harbour = Bible[Scene](id="harbour", file="", entry=Scene(lighting="soft low light " * 6, camera="handheld"))
    brief = a_brief(prompt="A quay at dawn", scene="harbour")
    [shot] = storyboard_of(brief, DAY, cap_s=15, bibles=Bibles(scenes={"harbour": harbour})).shots
    catalogue = _with(sandbox_catalogue, sprint={"prompt_limit": 100}, dash={"prompt_limit": 100})
    assert decide(shot, brief, catalogue, policy.routing, _OPEN).reasons[-1] == (
        "sandbox/sprint takes 100 characters of a prompt, which leaves out the end of harbour's lighting, "
        "harbour's camera"
    )
    whole = decide(shot, brief, sandbox_catalogue, policy.routing, _OPEN)
    assert not any("leaves out" in reason for reason in whole.reasons)
