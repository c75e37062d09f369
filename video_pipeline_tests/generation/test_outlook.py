"""What a run would still buy, against what the next run does buy."""

from video_pipeline.clips import ClipStatus
from video_pipeline.generation import shots_not_to_buy
from video_pipeline.routing import RoutingState
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, quick

HARBOUR = "a harbour at dawn"
TWO_SHOTS = ({"prompt": "a barn", "duration_s": 1}, {"prompt": "a sea", "duration_s": 1})


def left_alone(stage: Stage, *briefs) -> set[tuple[str, int]]:
    """The shots that a new run would not buy, as (brief, shot)."""
    found = shots_not_to_buy(stage.ledger, stage.plan(*briefs), stage.policy, stage.catalogue, RoutingState())
    return {(clip_id.split("/")[1], shot) for clip_id, shot in found}


def test_nothing_is_bought_before_the_first_run(stage: Stage) -> None:
    assert left_alone(stage, brief_of(shots=TWO_SHOTS)) == set()


def test_what_is_made_is_not_bought_again(stage: Stage) -> None:
    stage.one(brief_of(shots=TWO_SHOTS))
    assert left_alone(stage, brief_of(shots=TWO_SHOTS)) == {("a-clip", 0), ("a-clip", 1)}


def test_what_is_at_the_provider_is_not_bought_again(stage: Stage) -> None:
    stage.edge.fault("status_500", times=40)
    assert stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_timeout_s=0.5)).status is ClipStatus.WAITING
    assert left_alone(stage, brief_of(HARBOUR)) == {("a-clip", 0)}
    stage.edge.clear_faults()
    stage.one(brief_of(HARBOUR))
    assert len(stage.requests) == 1


def test_what_waits_for_a_person_is_not_bought(stage: Stage) -> None:
    stage.one(brief_of("A casino night"))
    assert left_alone(stage, brief_of("A casino night")) == {("a-clip", 0)}


def test_what_failed_outside_the_shot_or_for_want_of_money_is_still_to_buy(stage: Stage) -> None:
    stage.edge.fault("submit_503", match="the broken one", times=99)
    briefs = brief_of("the broken one", brief_id="broken"), brief_of(HARBOUR, brief_id="dear", duration_s=5)
    stage.generate(*briefs, policy=quick(stage.policy, ceiling_usd="0.05"))
    assert stage.requests == []
    assert left_alone(stage, *briefs) == set()


def test_what_was_edited_is_still_to_buy(stage: Stage) -> None:
    stage.one(brief_of(HARBOUR))
    assert left_alone(stage, brief_of("a harbour at dusk")) == set()
