"""The traps of HeyGen's wire, each of which `heygen.py` says what it is taken for."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.providers import JobFailed, NotAccepted, Undecided
from video_pipeline.generation.providers.heygen import HeyGenProvider
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import job_of
from video_pipeline_tests.contract.test_every_provider import booked
from video_pipeline_tests.contract.vendors import brief_for, sold_by

At = Callable[[str], HeyGenProvider]


@pytest.fixture
def at(client: httpx.AsyncClient) -> At:
    return lambda base_url: HeyGenProvider(client, key="k", api_url=base_url)


@pytest.fixture
def heygen(edge: Edge, client: httpx.AsyncClient) -> HeyGenProvider:
    provider = PROVIDERS["heygen"].connect_sandbox(edge.base_url, client)
    assert isinstance(provider, HeyGenProvider)
    return provider


@pytest.fixture
def job(request: pytest.FixtureRequest, sandbox_catalogue: Catalogue, policy: Policy) -> Job:
    return job_of(brief_for("heygen", f"Hello, {request.node.name}"), sold_by(sandbox_catalogue, "heygen"), policy)


def with_arguments(job: Job, **arguments: Any) -> Job:
    return replace(job, request=job.request | {"arguments": job.request["arguments"] | arguments})


def result(run: Run, at: At, job: Job, **data: object) -> Any:
    """What an answer to a question for a video comes to, when it is asked whether it has ended, and how."""
    with answering(200, json.dumps({"data": data}).encode()) as server:
        bought = with_receipt(job, at(server.base_url).receipt(job, "a-video"))
        assert run(at(server.base_url).poll(bought)) is True
        return run(at(server.base_url).result(bought))


def test_a_key_that_is_sent_again_is_the_same_video(run: Run, heygen: HeyGenProvider, edge: Edge, job: Job) -> None:
    assert run(heygen.submit(job)) == run(heygen.submit(job))
    assert len(booked(edge, job)) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seed": 1}, "Extra inputs are not permitted"),
        ({"avatar_id": "unknown-anna"}, "avatar_not_found"),
        ({"voice_id": "unknown-voice"}, "voice_not_found"),
        ({"script": "word " * 1001}, "5000 characters"),
    ],
)
def test_what_it_does_not_take_is_invalid_and_not_billed(
    run: Run, heygen: HeyGenProvider, edge: Edge, job: Job, arguments: dict[str, Any], said: str
) -> None:
    wrong = with_arguments(job, **arguments)
    with pytest.raises(NotAccepted, match=said) as refused:
        run(heygen.submit(wrong))
    assert refused.value.kind is FailureKind.INVALID
    assert booked(edge, wrong) == []


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "invalid_parameter", "voice_id is invalid", FailureKind.INVALID),
        (400, "invalid_text", "The script violates our content policy", FailureKind.MODERATION),
        (402, "insufficient_credit", "This video requires 10 credits.", FailureKind.QUOTA),
        (403, "forbidden", "No permission", FailureKind.AUTH),
        (429, "rate_limit_exceeded", "Too many concurrent video jobs.", FailureKind.TRANSIENT),
        (429, "quota_exceeded_credit", "out of credit", FailureKind.QUOTA),
    ],
)
def test_a_refused_submit_is_what_its_code_says(
    run: Run, at: At, job: Job, status: int, code: str, message: str, kind: FailureKind
) -> None:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    with answering(status, body) as server, pytest.raises(NotAccepted) as refused:
        run(at(server.base_url).submit(job))
    assert (refused.value.kind, refused.value.retry_allowed) == (kind, kind is not FailureKind.MODERATION)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ({"failure_message": "The content was flagged by moderation."}, FailureKind.MODERATION),
        ({"failure_code": "nsfw_detected"}, FailureKind.MODERATION),
        ({"failure_code": "render_failed", "failure_message": "We are looking into it."}, FailureKind.GENERATION),
        ({}, FailureKind.GENERATION),
    ],
)
def test_a_failed_video_is_a_refusal_where_its_words_say_so(
    run: Run, at: At, job: Job, failure: dict[str, str], kind: FailureKind
) -> None:
    with pytest.raises(JobFailed) as failed:
        result(run, at, job, status="failed", **failure)
    assert (failed.value.kind, failed.value.usd) == (kind, None)


@pytest.mark.parametrize(
    ("told", "billed_s"), [(12.75, 12.75), (None, None), (0, None), (-3, None), (12750, None), ("x", None)]
)
def test_the_length_that_is_billed_is_the_videos_own_where_it_is_told(
    run: Run, at: At, job: Job, told: object, billed_s: float | None
) -> None:
    rendered = result(run, at, job, status="completed", video_url="https://files.example/x.mp4", duration=told)
    assert (rendered.media_url, rendered.billed_s) == ("https://files.example/x.mp4", billed_s)


def test_a_completed_video_without_an_address_is_asked_for_again(run: Run, at: At, job: Job) -> None:
    with pytest.raises(Undecided, match="could not be read"):
        result(run, at, job, status="completed", duration=3)


def test_an_order_without_a_script_is_none_for_it(job: Job) -> None:
    silent = job.order.model_copy(update={"script": None})
    with pytest.raises(ValueError, match="say a script"):
        PROVIDERS["heygen"].translate(silent, {"engine": "avatar_iv"})
