"""An approved preview as the clip that it is a preview of: nothing is bought, once, whatever happens in between."""

import hashlib
from datetime import timedelta
from decimal import Decimal

import pytest

from video_pipeline import checkpoints
from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus
from video_pipeline.ledger import Actor, JobState, ReviewState, TierState
from video_pipeline.policy import Policy
from video_pipeline.routing import ClipPlan, Decision, RoutingState
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage

HARBOUR = "a harbour at dawn, take"
PRICE = Decimal("0.022")


@pytest.fixture
def stage(stage: Stage) -> Stage:
    """The previews' model is good enough for production here."""
    routing = stage.policy.routing
    fidelity = routing.adequate_fidelity | {"production": 0.45}
    stage.policy = _with(stage.policy, adequate_fidelity=fidelity)
    return stage


def _with(policy: Policy, **routing: object) -> Policy:
    return policy.model_copy(update={"routing": policy.routing.model_copy(update=routing)})


def _pair(stage: Stage, **fields: object) -> tuple[Brief, Brief]:
    prompt = f"{HARBOUR} {stage.day}"
    preview = brief_of(prompt, brief_id="a-preview")
    return preview, brief_of(
        prompt, **{"brief_id": "a-clip", "quality": "standard", "preview_of": "a-preview"} | fields
    )


def _planned(stage: Stage, brief: Brief) -> tuple[ClipPlan, Decision]:
    [plan] = stage.plan(brief, day=stage.day + timedelta(days=1))
    return plan, plan.decisions[0]


def test_an_approved_preview_is_the_clip_and_nothing_is_bought(stage: Stage) -> None:
    preview, brief = _pair(stage)
    first = stage.one(preview)
    plan, decision = _planned(stage, brief)
    assert decision.tier == "production" and decision.serving == "sandbox/sprint"
    assert "serves, made by sandbox/sprint: nothing is bought, which saves $0.07" in decision.reasons[-1]
    assert (plan.expected_usd, plan.p90_usd) == (0, 0)
    [clip] = stage.run([plan])
    assert (clip.status, clip.tier, clip.model, clip.strategy) == (
        ClipStatus.GENERATED,
        "production",
        "sandbox/sprint",
        "approved_preview",
    )
    assert clip.media_sha256 == first.media_sha256
    assert (clip.billed_usd, clip.saved_usd, clip.cached, clip.attempts) == (0, Decimal("0.07"), True, 0)
    # Again, and the plan again: it stays what it is.
    again, decision = _planned(stage, brief)
    assert decision.reuse is not None and again.expected_usd == 0
    assert stage.run([again]) == [clip]
    assert len(stage.requests) == 1


def test_it_costs_nothing_where_the_ceiling_is_reached_and_the_tier_is_frozen(stage: Stage) -> None:
    preview, brief = _pair(stage)
    stage.one(preview)
    stage.ledger.governance.set_tier("production", TierState.FROZEN, by=Actor.PERSON, day=stage.day, evidence={})
    frozen = RoutingState(frozen=frozenset({"production"}))
    [plan] = stage.plan(brief, day=stage.day + timedelta(days=1), state=frozen)
    budget = stage.policy.budget.model_copy(update={"daily_ceiling_usd": PRICE})
    [clip] = stage.run([plan], policy=stage.policy.model_copy(update={"budget": budget}))
    assert (clip.status, clip.billed_usd) == (ClipStatus.GENERATED, 0)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"duration_s": 2}, "more than the brief's quality was changed"),
        ({"native_audio": True}, "more than the brief's quality was changed"),
        ({"preview_of": "another"}, "no clip of the preview another has been made"),
        ({"visual_complexity": 0.9}, "not good enough for a default shot: 0.50 of 0.70"),
    ],
    ids=["longer", "with sound", "unknown", "complex"],
)
def test_what_is_not_the_same_or_not_good_enough_is_bought(stage: Stage, fields: dict[str, object], why: str) -> None:
    preview, brief = _pair(stage, **fields)
    stage.one(preview)
    plan, decision = _planned(stage, brief)
    assert decision.reuse is None and plan.expected_usd > 0
    assert decision.reasons[-1].startswith("the preview does not serve: ") and why in decision.reasons[-1]


def test_a_model_that_is_not_good_enough_for_the_tier_serves_no_clip_of_it(stage: Stage, policy: Policy) -> None:
    preview, brief = _pair(stage)
    stage.one(preview)
    stage.policy = _with(stage.policy, adequate_fidelity=policy.routing.adequate_fidelity)
    _, decision = _planned(stage, brief)
    assert decision.reuse is None and "0.50 of 0.60" in decision.reasons[-1]


def test_the_lever_can_be_switched_off(stage: Stage) -> None:
    preview, brief = _pair(stage)
    stage.one(preview)
    levers = stage.policy.routing.levers.model_copy(update={"reuse_previews": False})
    stage.policy = _with(stage.policy, levers=levers)
    _, decision = _planned(stage, brief)
    assert decision.reuse is None and "the policy does not reuse previews" in decision.reasons[-1]


def test_a_preview_that_was_rejected_serves_nothing(stage: Stage) -> None:
    preview, brief = _pair(stage)
    clip = stage.one(preview)
    stage.ledger.reviews.open(clip.clip_id, "technical x", "is it good?")
    stage.ledger.reviews.decide(clip.clip_id, "technical x", ReviewState.REJECTED, by="somebody")
    _, decision = _planned(stage, brief)
    assert decision.reuse is None and "was rejected: is it good?" in decision.reasons[-1]


def test_a_preview_of_which_only_the_words_were_refused_serves(stage: Stage) -> None:
    preview, brief = _pair(stage)
    clip = stage.one(preview)
    stage.ledger.reviews.open(clip.clip_id, "wording x", "are they good?")
    stage.ledger.reviews.decide(clip.clip_id, "wording x", ReviewState.REJECTED, by="somebody")
    stage.one(brief)
    assert len(stage.requests) == 1, "nothing is bought a second time"


def test_a_run_that_ends_in_between_leaves_nothing_to_buy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    preview, brief = _pair(stage)
    stage.one(preview)
    plan, _ = _planned(stage, brief)

    def stop(name: str) -> None:
        if name == "generation.reusing":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoints, "on_reach", stop)
        stage.run([plan])
    [begun] = stage.ledger.jobs.of_day(plan.storyboard.day)
    assert begun.state is JobState.PLANNED
    [clip] = stage.run([_planned(stage, brief)[0]])
    assert (clip.status, clip.billed_usd) == (ClipStatus.GENERATED, 0)
    assert [job.key for job in stage.ledger.jobs.of_day(plan.storyboard.day)] == [begun.key]
    assert len(stage.requests) == 1


def test_a_preview_whose_file_is_gone_is_bought_once_as_planned(stage: Stage) -> None:
    preview, brief = _pair(stage)
    first = stage.one(preview)
    plan, _ = _planned(stage, brief)
    stage.store.delete(first.media_key or "")
    [clip] = stage.run([plan])
    assert (clip.status, clip.model, clip.attempts) == (ClipStatus.GENERATED, "sandbox/steady", 1)
    again, decision = _planned(stage, brief)
    assert decision.reuse is None and "its preview's file is gone" in decision.reasons[-1]
    assert stage.run([again]) == [clip]
    assert len(stage.requests) == 2


def test_a_draft_has_no_preview() -> None:
    with pytest.raises(ValueError, match="a draft has no preview"):
        brief_of("anything", preview_of="a-preview")


def test_a_brief_of_before_keeps_its_hash() -> None:
    brief = brief_of("anything", quality="standard")
    later = {"preview_of", "plan_broll", "characters", "scene", "script", "presenter"}
    before = hashlib.sha256(brief.model_dump_json(exclude=later).encode()).hexdigest()
    assert brief.sha256 == before != brief.model_copy(update={"preview_of": "x"}).sha256
