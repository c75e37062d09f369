"""A shot over the cap: segments that go on from each other's last frame, or are rendered side by side."""

import base64
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from video_pipeline.clips import ClipStatus
from video_pipeline.errors import StorageError
from video_pipeline.generation import GenerationEngine
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.own_pictures import is_kept
from video_pipeline.generation.requests import build_job
from video_pipeline.ledger import Job, JobState
from video_pipeline.media import last_frame
from video_pipeline.policy import Continuation
from video_pipeline.routing import ClipPlan, Decision
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, quick

PRICE = Decimal("0.022")  # A second of the cheapest model.
LONG = brief_of("a harbour at dawn", duration_s=3)


@pytest.fixture
def stage(stage: Stage) -> Stage:
    """Shots are cut into segments of a second and a half, of which models render two seconds."""
    stage.policy = quick(stage.policy, max_segment_s=1.5)
    return stage


def _routed(stage: Stage, when: Continuation) -> None:
    routing = stage.policy.routing.model_copy(update={"continue_segments": when})
    stage.policy = stage.policy.model_copy(update={"routing": routing})


def _frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _starts(jobs: Sequence[Job]) -> list[str | None]:
    return [job.order.start_image for job in jobs]


def test_a_segment_starts_from_the_last_frame_that_is_used_of_the_one_before(stage: Stage) -> None:
    clip = stage.one(LONG)
    assert (clip.status, clip.segments, clip.billed_usd) == (ClipStatus.GENERATED, 2, 4 * PRICE)
    first, second = stage.jobs()
    kept = (second.order.start_image or "").removeprefix("store:")
    assert (first.order.start_image, kept.partition("/")[0]) == (None, "frames")
    with stage.store.local_copy(first.media_key or "") as path:
        frames, wanted = _frames(path), np.asarray(last_frame(path, 1.5))
    stored = np.asarray(Image.open(io.BytesIO(stage.store.read_bytes(kept))))
    assert (stored == wanted).all()
    # Of two seconds, a second and a half are used.
    assert (stored == frames[round(len(frames) * 0.75) - 1]).all()
    # The vendor gets the picture; the ledger has its name.
    sent = stage.requests[1]["input"]["image_url"]
    assert base64.b64decode(sent.removeprefix("data:image/png;base64,")) == stage.store.read_bytes(kept)
    assert second.request["arguments"]["image_url"] == second.order.start_image
    # In the clip both show it, and it is there once.
    assert (clip.seams, clip.seam_faults) == (("segments 1 and 2: 1 repeated frame dropped",), ())
    with stage.store.local_copy(clip.media_key or "") as path:
        assert len(_frames(path)) == 2 * round(len(frames) * 0.75) - 1


def test_the_plan_says_how_segments_follow_each_other_and_why(stage: Stage) -> None:
    def told() -> tuple[list[bool], str]:
        [plan] = stage.plan(LONG)
        return [decision.continues for decision in plan.decisions], plan.decisions[1].reasons[-1]

    assert told() == (
        [False, True],
        "segment 2 of 2 of its shot goes on from the last frame of segment 1, at no extra price",
    )
    _routed(stage, Continuation.NEVER)
    assert told() == (
        [False, False],
        "segment 2 of 2 of its shot is rendered beside the others, as routing.continue_segments is never",
    )
    _routed(stage, Continuation.WHERE_FREE)
    models = [model.model_copy(update={"image_to_video": False}) for model in stage.catalogue.models]
    stage.catalogue = stage.catalogue.model_copy(update={"models": tuple(models)})
    assert told()[1].endswith("rendered beside the others, as sandbox/sprint starts from no picture")


def test_a_frame_to_start_from_that_costs_is_taken_only_where_the_policy_says_so(stage: Stage) -> None:
    dearer = {"price": stage.catalogue.models[0].price.model_copy(update={"start_image_usd": Decimal("0.01")})}
    models = (stage.catalogue.models[0].model_copy(update=dearer), *stage.catalogue.models[1:])
    stage.catalogue = stage.catalogue.model_copy(update={"models": models})
    [apart] = stage.plan(LONG)
    _routed(stage, Continuation.ALWAYS)
    [on] = stage.plan(LONG)
    prices = [[decision.attempt_usd for decision in plan.decisions] for plan in (apart, on)]
    assert prices == [[2 * PRICE, 2 * PRICE], [2 * PRICE, 2 * PRICE + Decimal("0.01")]]
    assert on.decisions[1].reasons[-1].endswith("for $0.0100 more")
    assert "costs $0.0100" in apart.decisions[1].reasons[-1]


def test_segments_that_are_rendered_apart_meet_in_a_cut_that_is_told(stage: Stage) -> None:
    _routed(stage, Continuation.NEVER)
    clip = stage.one(LONG)
    assert (clip.status, clip.seam_faults) == (ClipStatus.GENERATED, ())
    assert clip.seams == ("segments 1 and 2: a cut, as the segments were rendered apart",)
    assert _starts(stage.jobs()) == [None, None]


def test_nothing_is_bought_after_a_segment_that_waits(stage: Stage) -> None:
    stage.edge.fault("submit_503", match="Part 1 of 2", times=99)
    waiting = stage.one(LONG)
    assert (waiting.status, stage.requests) == (ClipStatus.WAITING, [])
    stage.edge.clear_faults()
    assert stage.one(LONG).status is ClipStatus.GENERATED
    assert len(stage.requests) == 2


def test_after_a_refusal_the_frame_is_not_sent_again(stage: Stage) -> None:
    stage.edge.fault("refuse_input", match="Part 2 of 2", times=1)
    clip = stage.one(LONG)
    assert clip.status is ClipStatus.GENERATED
    first, refused, *others = stage.jobs()
    assert is_kept(refused.order.start_image)
    assert others and not any(is_kept(job.order.start_image) for job in others)
    assert first.state is JobState.ACCEPTED


def test_a_lost_submit_is_found_by_the_frame_that_was_sent(stage: Stage) -> None:
    stage.edge.fault("drop_after_accept", match="Part 2 of 2")
    stage.edge.fault("listing_lag", match="Part 2 of 2", value=0.05)
    clip = stage.one(LONG)
    assert (clip.status, len(stage.requests)) == (ClipStatus.GENERATED, 2)
    assert [job.attempt for job in stage.jobs()] == [0, 0]


def test_only_what_is_not_bought_yet_is_planned_anew_for_another_frame(stage: Stage) -> None:
    [plan] = stage.plan(LONG)
    older = _reserved(stage, plan, "store:frames/another.png")
    clip = stage.run([plan])[0]
    assert (clip.status, len(stage.requests)) == (ClipStatus.GENERATED, 2)
    closed = stage.ledger.jobs.get(older.key)
    assert (closed.state, closed.failure_reason) == (
        JobState.FAILED,
        "not bought: the segment before it is another now",
    )


def test_an_error_at_a_segment_leaves_no_later_one_unattended_and_buys_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, seen = GenerationEngine._shot, list[int]()

    async def shot(engine: GenerationEngine, plan: ClipPlan, decision: Decision, *others: Any) -> Any:
        seen.append(decision.shot)
        if decision.shot == 0:
            raise StorageError("the store is away")
        return await plain(engine, plan, decision, *others)

    monkeypatch.setattr(GenerationEngine, "_shot", shot)
    waiting = stage.one(LONG)
    assert (waiting.status, waiting.reason, seen) == (ClipStatus.WAITING, "StorageError: the store is away", [0, 1])
    assert stage.requests == []


def test_what_is_bought_is_used_whatever_it_starts_from(stage: Stage) -> None:
    _routed(stage, Continuation.NEVER)
    first = stage.one(LONG)
    _routed(stage, Continuation.ALWAYS)
    assert stage.one(LONG) == first
    assert len(stage.requests) == 2


def _reserved(stage: Stage, plan: ClipPlan, frame: str) -> Job:
    """The second segment as a run leaves it that is killed before the submit."""
    attempt = Attempt(0, Strategy.ORIGINAL, plan.storyboard.shots[1].prompt, frame=frame)
    job = build_job(plan, plan.decisions[1], attempt, stage.catalogue, run_id="killed")
    assert job.order.start_image == frame
    stage.ledger.jobs.plan(job)
    assert stage.ledger.jobs.reserve(job, ceiling_usd=Decimal(25)).granted
    return job
