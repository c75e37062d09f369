"""A provider whose list of tasks does not tell what they were for: a lost submit is found once its task has ended."""

from dataclasses import replace

import pytest

from video_pipeline.clips import ClipStatus
from video_pipeline.generation.providers import Ambiguous
from video_pipeline.generation.providers.dashscope import DashScopeProvider
from video_pipeline.ledger import Job, JobState, Receipt
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.contract.vendors import sold_by
from video_pipeline_tests.generation.stage import Stage, let_probe


@pytest.fixture
def dashscope(stage: Stage) -> Stage:
    return replace(stage, catalogue=sold_by(stage.catalogue, "dashscope"), providers=("dashscope",))


def test_a_lost_submit_is_found_and_bought_once(dashscope: Stage) -> None:
    dashscope.edge.fault("drop_after_accept")
    brief = brief_of("A lighthouse in the fog")
    # While its task is at work nobody can tell whose it is, and the next run asks again.
    for _ in range(20):
        clip = dashscope.one(brief)
        if clip.status is ClipStatus.GENERATED:
            break
        assert {job.state for job in dashscope.jobs()} == {JobState.SUBMITTING}
        let_probe(dashscope.ledger)
    assert clip.status is ClipStatus.GENERATED
    assert len(dashscope.requests) == 1
    dashscope.check_books()


def test_a_lost_submit_that_may_be_another_teams_is_a_persons_at_once(
    dashscope: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(provider: DashScopeProvider, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise Ambiguous("2 requests at DashScope may be this one: a, b")

    monkeypatch.setattr(DashScopeProvider, "find", find)
    dashscope.edge.fault("drop_before_accept")
    assert dashscope.one(brief_of("A mole in the rain")).status is ClipStatus.REVIEW
    [job] = dashscope.jobs()
    assert job.state is JobState.UNKNOWN
    assert "2 requests at DashScope may be this one: a, b" in dashscope.alerts()[f"unknown {job.key}"]


def test_a_submit_that_never_arrived_is_a_persons(dashscope: Stage) -> None:
    dashscope.edge.fault("drop_before_accept")
    assert dashscope.one(brief_of("A pier at dusk")).status is ClipStatus.REVIEW
    [job] = dashscope.jobs()
    assert job.state is JobState.UNKNOWN
    assert dashscope.requests == []
