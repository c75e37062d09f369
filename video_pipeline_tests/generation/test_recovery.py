"""A submit whose answer was lost: bought once where the provider knows our key, in doubt where it knows nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from video_pipeline.clips import ClipStatus
from video_pipeline.generation.providers import NotAccepted, Recovery, TooDear
from video_pipeline.ledger import FailureKind, Job, JobState, Ledger, Receipt, ReviewStage, ReviewState
from video_pipeline.ledger.schema import jobs
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.kiln import KilnProvider
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.contract.vendors import sold_by_kiln
from video_pipeline_tests.generation.stage import Stage, quick

HARBOUR = "a harbour at dawn"


@pytest.fixture
def stage(
    vendors_from_outside: None,
    ledger: Ledger,
    edge: Edge,
    sandbox_catalogue: Catalogue,
    policy: Policy,
    tmp_path: Path,
) -> Iterator[Stage]:
    """Every model is bought through the provider that has idempotency keys; the books are compared at the end."""
    store, catalogue = LocalStore(tmp_path / "store"), sold_by_kiln(sandbox_catalogue)
    stage = Stage(ledger, store, edge, catalogue, quick(policy), providers=("kiln",))
    yield stage
    stage.check_books()


@pytest.mark.parametrize("fault", ["drop_after_accept", "drop_before_accept", "submit_500"])
def test_a_lost_submit_is_sent_again_under_its_key_and_bought_once(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault, match=HARBOUR)
    clip = stage.one(brief_of(HARBOUR))
    assert clip.status is ClipStatus.GENERATED
    [job], [request] = stage.jobs(), stage.requests
    assert (job.state, job.provider_job_id) == (JobState.ACCEPTED, request["request_id"])
    assert "sent again under its key" in " ".join(event["note"] for event in stage.ledger.jobs.events(job.key))


def test_a_submit_that_is_never_answered_is_sent_again_by_the_next_run(stage: Stage) -> None:
    stage.edge.fault("drop_before_accept", match=HARBOUR, times=5)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, stage.requests) == (ClipStatus.WAITING, [])
    [job] = stage.jobs()
    assert job.state is JobState.SUBMITTING
    assert "sends it again; it is bought once at most" in stage.alerts()[f"unanswered {job.key}"]
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED
    assert len(stage.requests) == 1


@pytest.mark.parametrize("by", ["a brief that is withdrawn", "a person"])
def test_a_lost_submit_that_nobody_wants_any_more_is_not_sent_again(stage: Stage, by: str) -> None:
    """Sent again to be called off, one that has never arrived would be bought."""
    stage.edge.fault("drop_before_accept", match=HARBOUR, times=5)
    clip = stage.one(brief_of(HARBOUR))
    assert clip.status is ClipStatus.WAITING
    stage.edge.clear_faults()
    if by == "a person":
        stage.ledger.reviews.open(clip.clip_id, ReviewStage.GENERATION, "is it wanted?")
        stage.ledger.reviews.decide(clip.clip_id, ReviewStage.GENERATION, ReviewState.REJECTED, by="maria")
        assert stage.one(brief_of(HARBOUR)).status is ClipStatus.REJECTED
    else:
        assert stage.run([], days=[stage.day]) == []
    [job] = stage.jobs()
    assert (job.state, stage.requests) == (JobState.UNKNOWN, [])
    assert "nobody wants it any more" in stage.alerts()[f"unknown {job.key}"]


def test_a_provider_that_is_busy_when_asked_again_may_have_taken_it_before(stage: Stage) -> None:
    stage.edge.fault("drop_after_accept", match=HARBOUR)
    plan = stage.plan(brief_of(HARBOUR))

    async def busy_after_the_first(provider: KilnProvider, job: Job, **more: Any) -> Receipt:
        asked.append(job.key)
        if len(asked) > 1:
            raise NotAccepted(FailureKind.QUOTA if len(asked) % 2 else FailureKind.TRANSIENT, "busy")
        return await submit(provider, job, **more)

    asked: list[str] = []
    submit = KilnProvider.submit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KilnProvider, "submit", busy_after_the_first)
        [clip] = stage.run(plan)
    assert clip.status is ClipStatus.WAITING
    [job] = stage.jobs()
    assert (job.state, len(asked), len(stage.requests)) == (JobState.SUBMITTING, 5, 1)
    [clip] = stage.run(plan)
    assert (clip.status, len(stage.requests)) == (ClipStatus.GENERATED, 1)


def test_a_provider_that_has_become_dearer_may_have_taken_it_at_the_old_price(stage: Stage) -> None:
    stage.edge.fault("drop_after_accept", match=HARBOUR)
    plan = stage.plan(brief_of(HARBOUR))

    async def dearer_after_the_first(provider: KilnProvider, job: Job, **more: Any) -> Receipt:
        asked.append(job.key)
        if len(asked) > 1:
            raise TooDear(FailureKind.INVALID, "it would bill $9 for it")
        return await submit(provider, job, **more)

    asked: list[str] = []
    submit = KilnProvider.submit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KilnProvider, "submit", dearer_after_the_first)
        [clip] = stage.run(plan)
    assert (clip.status, len(stage.requests)) == (ClipStatus.REVIEW, 1)
    [job] = stage.jobs()
    assert (job.state, len(asked)) == (JobState.UNKNOWN, 2)
    assert "it would bill $9 for it" in (job.failure_reason or "")


def test_a_job_at_a_provider_that_is_not_connected_any_more_says_so(stage: Stage) -> None:
    stage.edge.fault("drop_before_accept", match=HARBOUR, times=5)
    stage.one(brief_of(HARBOUR))
    stage.providers = ("fal",)
    clip = stage.one(brief_of(HARBOUR))
    assert clip.status is ClipStatus.WAITING
    assert "is bought from kiln, which is not connected" in clip.reason
    [job] = stage.jobs()
    assert job.state is JobState.SUBMITTING
    stage.providers = ("kiln",)
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED


def test_a_key_that_the_provider_may_have_forgotten_is_never_sent_again(stage: Stage) -> None:
    stage.edge.fault("drop_before_accept", match=HARBOUR, times=5)
    stage.one(brief_of(HARBOUR))
    long_ago = datetime.now(UTC) - timedelta(seconds=KilnProvider.terms.key_lifetime_s + 1)
    with stage.ledger.engine.begin() as connection:
        connection.execute(update(jobs).values(submitted_at=long_ago))
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.REVIEW
    [job] = stage.jobs()
    assert (job.state, stage.requests) == (JobState.UNKNOWN, [])


def test_where_nothing_can_be_recovered_a_person_is_asked_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = replace(KilnProvider.terms, recovery=Recovery.NONE)
    monkeypatch.setattr(KilnProvider, "terms", forgetful)
    stage.edge.fault("drop_after_accept", match=HARBOUR)
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.REVIEW
    [job] = stage.jobs()
    assert job.state is JobState.UNKNOWN


def test_what_a_provider_charges_for_is_in_its_terms(stage: Stage) -> None:
    """Kiln bills a refused prompt; the packaged provider does not."""
    prompt = "a famous casino on a stage"
    clip = stage.one(brief_of(prompt, broll=("an empty stage",)))
    refused = [job for job in stage.jobs() if job.failure_kind is FailureKind.MODERATION]
    assert clip.status is ClipStatus.GENERATED and refused
    assert all(job.billed_usd == job.expected_usd > 0 for job in refused)
