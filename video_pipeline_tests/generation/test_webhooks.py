"""Webhooks on real sockets: they end the waiting and find lost submits, and days end alike without them."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus
from video_pipeline.errors import LedgerError
from video_pipeline.generation import PROVIDERS, Webhooks, resolve_unknown
from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.ledger import Job, JobState, Ledger, Receipt
from video_pipeline.policy import Policy
from video_pipeline.receiver import Caller, KeySet, Receiver
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, quick
from video_pipeline_tests.receiver.serving import served

HARBOUR = "a harbour at dawn"
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def called(stage: Stage, ledger: Ledger, edge: Edge) -> Iterator[Stage]:
    """The stage with a receiver that the sandbox can call."""
    terms = PROVIDERS["fal"].webhook
    assert terms is not None
    url = terms.sandbox_keys_url(edge.base_url)
    callers = {"fal": Caller(KeySet("fal", url), terms.verify)}
    receiver = Receiver(ledger=ledger, notifier=Notifier([], ledger.alerts), callers=callers)
    with served(receiver) as base_url:
        stage.webhooks = Webhooks(base_url)
        yield stage


def patient(policy: Policy) -> Policy:
    """Polls and looks so seldom that only a webhook can end the waiting within a test."""
    limits = {
        name: limits.model_copy(update={"poll_interval_s": 60.0})
        for name, limits in policy.generation.providers.items()
    }
    return quick(policy, providers=limits, moderation_verdict_s=0.0, lookup_wait_s=60.0)


def notes(stage: Stage, job: Job) -> str:
    return " ".join(event["note"] for event in stage.ledger.jobs.events(job.key))


def wait_for(happened: Callable[[], Any], *, limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_call_ends_the_waiting_however_often_it_comes_and_changes_no_request(called: Stage) -> None:
    called.edge.fault("webhook_twice", match=HARBOUR)
    clip = called.one(brief_of(HARBOUR), policy=patient(called.policy))
    assert clip.status is ClipStatus.GENERATED
    [job], [request] = called.jobs(), called.requests
    assert called.ledger.webhook_calls.named(job) == [request["request_id"]] == [job.provider_job_id]
    assert request["input"] == job.request["arguments"]
    assert called.webhooks.url is not None and called.webhooks.url not in str((job.request, request))
    wait_for(lambda: called.ledger.webhook_calls.count(job) == 2)
    # The same clip without webhooks is served from the cache: the hash knows nothing of them.
    called.webhooks = Webhooks()
    again = called.one(brief_of(HARBOUR, brief_id="another"))
    assert (again.cached, len(called.requests), called.alerts()) == (True, 1, {})


def test_a_lost_submit_is_found_by_its_webhook_and_bought_once(called: Stage) -> None:
    called.edge.fault("drop_after_accept", match=HARBOUR)
    called.edge.fault("listing_lag", match=HARBOUR, value=3600)
    clip = called.one(brief_of(HARBOUR), policy=patient(called.policy))
    assert clip.status is ClipStatus.GENERATED
    [job], [request] = called.jobs(), called.requests
    assert (job.state, job.provider_job_id) == (JobState.ACCEPTED, request["request_id"])
    assert "told by a webhook" in notes(called, job)
    assert called.alerts() == {}


def test_a_job_in_doubt_goes_on_when_a_webhook_names_it_later(called: Stage) -> None:
    called.edge.fault("drop_after_accept", match=HARBOUR)
    called.edge.fault("listing_lag", match=HARBOUR, value=3600)
    called.edge.fault("webhook_late", match=HARBOUR, value=0.7)
    clip = called.one(brief_of(HARBOUR))
    [job] = called.jobs()
    assert (clip.status, job.state) == (ClipStatus.REVIEW, JobState.UNKNOWN)
    assert called.ledger.reviews.get(clip.clip_id, "generation") is not None
    wait_for(lambda: called.ledger.webhook_calls.count(job))
    # A call by itself changes nothing.
    assert called.ledger.jobs.get(job.key).state is JobState.UNKNOWN
    # It would be bought a second time.
    with pytest.raises(LedgerError, match="has told by a webhook"):
        resolve_unknown(called.ledger, called.edge.fal(httpx.AsyncClient()), job, policy=called.policy.generation)
    assert called.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED
    [job] = called.jobs()
    assert (job.provider_job_id, "told by a webhook" in notes(called, job)) == (
        called.requests[0]["request_id"],
        True,
    )
    assert called.ledger.reviews.get(clip.clip_id, "generation") is None
    assert len(called.requests) == 1


def test_a_run_that_died_while_submitting_is_told_by_a_webhook(called: Stage) -> None:
    async def dies(provider: FalProvider, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise RuntimeError("killed while it looks")

    called.edge.fault("drop_after_accept", match=HARBOUR)
    plans = called.plan(brief_of(HARBOUR))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FalProvider, "find", dies)
        called.run(plans)
        [job] = called.jobs()
        assert job.state is JobState.SUBMITTING
        wait_for(lambda: called.ledger.webhook_calls.count(job))
        # The next run need not look.
        [clip] = called.run(plans)
    assert (clip.status, len(called.requests)) == (ClipStatus.GENERATED, 1)
    assert "the pipeline stopped while submitting; told by a webhook" in notes(called, job)


def test_what_a_call_names_is_believed_only_when_the_provider_shows_it_to_us(called: Stage) -> None:
    called.edge.fault("drop_before_accept", match=HARBOUR)
    plans = called.plan(brief_of(HARBOUR))
    [clip] = called.run(plans)
    [job] = called.jobs()
    assert job.state is JobState.UNKNOWN
    # Signed, as the request is somebody's; but not ours.
    called.ledger.webhook_calls.keep("fal", job.key, "0b1c2d3e-0000-0000-0000-000000000000")
    [clip] = called.run(plans)
    [job] = called.jobs()
    assert (clip.status, job.state, job.provider_job_id) == (ClipStatus.REVIEW, JobState.UNKNOWN, None)


def test_where_calls_are_forged_polling_does_it_all(called: Stage) -> None:
    called.edge.fault("webhook_forged", match=HARBOUR, times=99)
    assert called.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED
    [job] = called.jobs()
    assert (called.ledger.webhook_calls.count(job), len(called.requests), called.alerts()) == (0, 1, {})


def test_a_day_while_the_receiver_is_down_ends_as_any_other(stage: Stage) -> None:
    stage.webhooks = Webhooks(NOBODY)
    stage.edge.fault("drop_after_accept", match=HARBOUR)
    briefs = [
        brief_of(prompt, brief_id=f"b{number}") for number, prompt in enumerate((HARBOUR, "rain", "A casino night"))
    ]
    clips = stage.generate(*briefs)
    assert [clip.status for clip in clips] == [ClipStatus.GENERATED, ClipStatus.GENERATED, ClipStatus.REVIEW]
    assert "found at fal" in " ".join(notes(stage, job) for job in stage.jobs())
    assert len([request for request in stage.requests if request["outcome"] == "completed"]) == 2
