"""What an engine takes from a provider's terms, and from what the provider says of one job."""

import time
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

import pytest

from video_pipeline.clips import ClipStatus
from video_pipeline.generation.providers import Ending, JobFailed
from video_pipeline.generation.providers.runway import RunwayProvider
from video_pipeline.ledger import FailureKind, Job, JobState
from video_pipeline.policy import ProviderLimits
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.contract.vendors import sold_by
from video_pipeline_tests.generation.stage import Stage, quick


@pytest.fixture
def runway(stage: Stage) -> Stage:
    """A stage whose models are bought from a vendor that says what each job has cost."""
    return replace(stage, catalogue=sold_by(stage.catalogue, "runway"), providers=("runway",))


def test_what_a_provider_says_of_a_job_is_booked_before_its_terms(runway: Stage) -> None:
    runway.edge.fault("refuse_output")
    clip = runway.one(brief_of("A lighthouse in the fog"))
    refused, *others = runway.jobs()
    assert refused.failure_kind == "moderation"
    assert refused.billed_usd == 0, "its terms say that such an output is billed, and the task that it was not"
    assert clip.billed_usd == sum((job.billed_usd for job in others), Decimal(0))
    runway.check_books()


def test_a_cancellation_that_tells_the_end_is_booked_as_it_says(
    runway: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deleted(provider: RunwayProvider, job: Job) -> None:
        headers = {"Authorization": "Bearer s", "X-Runway-Version": "2024-11-06"}
        url = f"{runway.edge.base_url}/runway/v1/tasks/{job.provider_job_id}"
        assert runway.edge.client.delete(url, headers=headers).status_code == 204
        raise JobFailed(FailureKind.CANCELED, "deleted while it waited", ending=Ending.CANCELED, usd=Decimal(0))

    monkeypatch.setattr(RunwayProvider, "cancel", deleted)
    runway.edge.fault("stuck")
    runway.edge.fault("billed_back")
    policy = quick(runway.policy, poll_timeout_s=0.3)
    assert runway.one(brief_of("a pier"), policy=policy).status is ClipStatus.WAITING
    assert runway.run([], days=[runway.day]) == []
    [job] = runway.jobs()
    assert (job.state, job.failure_kind, job.billed_usd) == (JobState.FAILED, FailureKind.CANCELED, 0)
    assert job.failure_reason == "deleted while it waited"


def test_a_submit_that_is_refused_and_billed_is_booked_and_the_shot_goes_on(stage: Stage) -> None:
    xai = replace(stage, catalogue=sold_by(stage.catalogue, "xai"), providers=("xai",))
    clip = xai.one(brief_of("a hall full of gore", broll=("flags in the wind",)))
    refused, *others = xai.jobs()
    assert (refused.failure_kind, refused.provider_job_id, refused.retry_allowed) == ("moderation", None, False)
    assert refused.billed_usd == refused.expected_usd > 0
    assert clip.billed_usd == sum((job.billed_usd for job in (refused, *others)), Decimal(0))
    xai.check_books()


@pytest.mark.parametrize(("interval_s", "wanted_s"), [(None, 0.4), (0.05, 5.0)], ids=["terms", "policy"])
def test_a_job_is_asked_for_as_seldom_as_its_provider_wants(
    runway: Stage, monkeypatch: pytest.MonkeyPatch, interval_s: float | None, wanted_s: float
) -> None:
    """Unless the policy has an interval of its own."""
    asked: dict[str, list[float]] = defaultdict(list)
    plain = RunwayProvider.poll

    async def poll(provider: RunwayProvider, job: Job) -> bool:
        asked[job.key].append(time.monotonic())
        return await plain(provider, job)

    monkeypatch.setattr(RunwayProvider, "poll", poll)
    terms = replace(RunwayProvider.terms, poll_interval_s=0.01, least_poll_s=wanted_s)
    monkeypatch.setattr(RunwayProvider, "terms", terms)
    limits = {"runway": ProviderLimits(poll_interval_s=interval_s)}
    generation = runway.policy.generation.model_copy(update={"providers": limits})
    runway.generate(brief_of("A pier at dusk"), policy=runway.policy.model_copy(update={"generation": generation}))
    [times] = asked.values()
    assert (times[1] - times[0] >= wanted_s) is (interval_s is None)
