"""Clips that a GPU of the team's own renders: they cost electricity, and a server that forgets loses nothing."""

from decimal import Decimal

import pytest

from video_pipeline.clips import ClipStatus
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.requests import build_job
from video_pipeline.ledger import FailureKind, JobState, Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.contract.vendors import rendered_by_comfyui
from video_pipeline_tests.generation.stage import Stage, let_probe, quick


@pytest.fixture
def stage(
    ledger: Ledger, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    catalogue = rendered_by_comfyui(sandbox_catalogue)
    return Stage(ledger, store, edge, catalogue, quick(policy), providers=("comfyui",))


def test_a_clip_costs_the_electricity_of_its_seconds(stage: Stage, policy: Policy) -> None:
    electricity = policy.upscaling
    dear = stage.policy.model_copy(update={"upscaling": electricity.model_copy(update={"usd_per_kwh": Decimal(100)})})
    clip = stage.one(brief_of("a harbour at dawn"), policy=dear)
    assert clip.status is ClipStatus.GENERATED
    [job] = stage.jobs()
    assert Decimal(0) < job.billed_usd < dear.upscaling.gpu_usd(20)
    assert job.billed_usd != job.expected_usd
    lines = stage.ledger.spend.by_clip(stage.day)[job.clip_id]
    assert sum(lines.values()) == job.billed_usd == clip.billed_usd


def test_electricity_is_seconds_times_watts(policy: Policy) -> None:
    # 450 W at 80 % for 100 s are 0.01 kWh.
    assert policy.upscaling.gpu_usd(100.0) == Decimal("0.001200")


def test_a_prompt_that_others_refuse_is_rendered_at_once(stage: Stage) -> None:
    assert stage.one(brief_of("Close-up of CEO speaking with confidence")).status is ClipStatus.GENERATED
    assert len(stage.requests) == 1
    stage.check_books()


def test_a_server_that_was_restarted_renders_again_and_nothing_is_in_doubt(stage: Stage) -> None:
    stage.edge.fault("restarted")
    brief = brief_of("rain on a roof")
    clip = stage.one(brief)
    if clip.status is not ClipStatus.GENERATED:
        let_probe(stage.ledger)
        clip = stage.one(brief)
    assert clip.status is ClipStatus.GENERATED
    lost, made = stage.jobs()
    assert (lost.state, lost.failure_kind, lost.billed_usd) == (JobState.FAILED, FailureKind.TRANSIENT, 0)
    assert made.state is JobState.ACCEPTED
    stage.check_books()


@pytest.mark.parametrize("fault", ["drop_before_accept", "drop_after_accept", "submit_503"])
def test_a_submit_that_is_lost_is_looked_for_and_rendered_once(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault)
    assert stage.one(brief_of(f"snow on a hill, {fault}")).status is ClipStatus.GENERATED
    assert len(stage.requests) == 1
    stage.check_books()


def test_a_lost_submit_that_nobody_wants_any_more_is_not_rendered(stage: Stage) -> None:
    [plan] = stage.plan(brief_of("hail on a car"))
    attempt = Attempt(0, Strategy.ORIGINAL, plan.storyboard.shots[0].prompt)
    left = build_job(plan, plan.decisions[0], attempt, stage.catalogue, run_id="killed")
    stage.ledger.jobs.plan(left)
    reserved = stage.ledger.jobs.reserve(left, ceiling_usd=Decimal(25)).job
    stage.ledger.jobs.submitting(reserved)
    assert stage.run([], days=[stage.day]) == []
    [job] = stage.jobs()
    assert (job.state, job.failure_kind, stage.requests) == (JobState.FAILED, FailureKind.CANCELED, [])
    stage.check_books()


def test_a_shot_does_not_wait_for_a_server_that_goes_down_at_its_submit(stage: Stage) -> None:
    stage.edge.fault("drop_before_accept", times=5)
    assert stage.one(brief_of("fog on a lake")).status is ClipStatus.GENERATED
    lost, made = stage.jobs()
    assert (lost.state, lost.failure_kind, lost.billed_usd) == (JobState.FAILED, FailureKind.TRANSIENT, 0)
    assert (made.state, len(stage.requests)) == (JobState.ACCEPTED, 1)
    stage.check_books()
