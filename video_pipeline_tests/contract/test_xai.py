"""The traps of xAI's wire, each of which `xai.py` says what it is taken for."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.providers import Ending, JobFailed, NotAccepted, SubmitUnknown, Undecided
from video_pipeline.generation.providers.xai import XaiProvider
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.media import probe
from video_pipeline.orders import Orientation
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.test_every_provider import booked, ended, from_picture, picture, submitted
from video_pipeline_tests.contract.vendors import sold_by

At = Callable[[str], XaiProvider]


@pytest.fixture
def at(client: httpx.AsyncClient) -> At:
    return lambda base_url: XaiProvider(client, key="k", api_url=base_url)


@pytest.fixture
def xai(edge: Edge, client: httpx.AsyncClient) -> XaiProvider:
    provider = PROVIDERS["xai"].connect_sandbox(edge.base_url, client)
    assert isinstance(provider, XaiProvider)
    return provider


@pytest.fixture
def catalogue(sandbox_catalogue: Catalogue) -> Catalogue:
    return sold_by(sandbox_catalogue, "xai")


@pytest.fixture
def job(request: pytest.FixtureRequest, catalogue: Catalogue, policy: Policy) -> Job:
    return job_of(brief_of(f"glaciers, {request.node.name}"), catalogue, policy)


def result(run: Run, at: At, job: Job, http_status: int, **fields: object) -> Any:
    """What an answer to a question for a request comes to, when it is asked whether it has ended, and how."""
    with answering(http_status, json.dumps(fields).encode()) as server:
        bought = with_receipt(job, at(server.base_url).receipt(job, "a-request"))
        assert run(at(server.base_url).poll(bought)) is True
        return run(at(server.base_url).result(bought))


@pytest.mark.parametrize(
    ("error", "kind", "ending"),
    [
        (
            {"code": "invalid_argument", "message": "The prompt was blocked by content moderation."},
            FailureKind.MODERATION,
            Ending.PROMPT_REFUSED,
        ),
        ({"code": "invalid_argument", "message": "Duration is not supported."}, FailureKind.INVALID, Ending.FAILED),
        ({"code": "failed_precondition", "message": "No such resolution."}, FailureKind.INVALID, Ending.FAILED),
        ({"code": "permission_denied", "message": "no"}, FailureKind.AUTH, Ending.FAILED),
        ({"code": "service_unavailable", "message": "no"}, FailureKind.TRANSIENT, Ending.FAILED),
        ({"code": "internal_error", "message": "no"}, FailureKind.GENERATION, Ending.FAILED),
        ({"code": 7}, FailureKind.GENERATION, Ending.FAILED),
        (None, FailureKind.GENERATION, Ending.FAILED),
    ],
)
def test_a_failure_says_whether_moderation_or_the_request_is_behind_it(
    run: Run, at: At, job: Job, error: object, kind: FailureKind, ending: Ending
) -> None:
    with pytest.raises(JobFailed) as failed:
        result(run, at, job, 200, status="failed", error=error)
    assert (failed.value.kind, failed.value.ending, failed.value.usd) == (kind, ending, None)


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (400, {"code": "imagine:content-moderated", "error": "Generated video rejected by content moderation."}),
        (200, {"status": "done", "video": {"url": "https://v.example/x.mp4", "respect_moderation": False}}),
    ],
    ids=["an error", "a video that is withheld"],
)
@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({"cost_in_usd_ticks": 500_000_000}, Decimal("0.05")),
        ({"cost_in_usd_ticks": 0}, 0),
        ({"cost_in_usd_ticks": 10**18}, None),
        (None, None),
    ],
)
def test_a_refused_output_has_two_forms_and_may_tell_its_cost(
    run: Run, at: At, job: Job, status: int, fields: dict[str, Any], usage: object, usd: Decimal | None
) -> None:
    with pytest.raises(JobFailed) as failed:
        result(run, at, job, status, usage=usage, **fields)
    assert (failed.value.kind, failed.value.ending) == (FailureKind.MODERATION, Ending.OUTPUT_REFUSED)
    assert (failed.value.usd, failed.value.retry_allowed) == (usd, False)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"code": "invalid-argument", "error": "no"}'),
        (400, b'{"error": "Generated video rejected by content moderation."}'),
        (404, b'{"code": "not-found", "error": "no"}'),
        (429, b'{"code": "resource-exhausted", "error": "no"}'),
    ],
)
def test_other_errors_say_nothing_of_a_request(run: Run, at: At, job: Job, status: int, body: bytes) -> None:
    with answering(status, body) as server, pytest.raises(Undecided):
        run(at(server.base_url).poll(with_receipt(job, at(server.base_url).receipt(job, "a-request"))))


def test_a_request_that_has_expired_is_not_said_to_have_cost_nothing(run: Run, at: At, job: Job) -> None:
    with pytest.raises(Undecided, match="not what it has cost"):
        result(run, at, job, 200, status="expired")
    for ticks, usd in ((0, 0), (900_000_000, Decimal("0.09"))):
        with pytest.raises(JobFailed) as failed:
            result(run, at, job, 200, status="expired", usage={"cost_in_usd_ticks": ticks})
        assert (failed.value.kind, failed.value.usd) == (FailureKind.TRANSIENT, usd)


@pytest.mark.parametrize(
    ("fields", "ending"),
    [
        ({"status": "done", "video": {"url": None, "respect_moderation": False}}, Ending.OUTPUT_REFUSED),
        ({"status": "done", "respect_moderation": False}, Ending.OUTPUT_REFUSED),
        (
            {"status": "done", "video": {"respect_moderation": False}, "respect_moderation": True},
            Ending.OUTPUT_REFUSED,
        ),
        ({"status": "failed", "video": {"duration": 0, "respect_moderation": False}}, Ending.PROMPT_REFUSED),
        ({"status": "failed", "error": {"code": "imagine:content-moderated"}}, Ending.PROMPT_REFUSED),
        (
            {"status": "failed", "error": {"code": "internal_error", "message": "Failed check: SAFETY_CHECK_TYPE_X"}},
            Ending.PROMPT_REFUSED,
        ),
    ],
)
def test_moderation_is_read_in_codes_and_fields_before_words(
    run: Run, at: At, job: Job, fields: dict[str, Any], ending: Ending
) -> None:
    with pytest.raises(JobFailed) as failed:
        result(run, at, job, 200, **fields)
    assert (failed.value.kind, failed.value.ending) == (FailureKind.MODERATION, ending)
    assert not failed.value.retry_allowed


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"code": "imagine:content-moderated", "error": "no"}),
        (403, {"code": "permission-denied", "error": "Content violates usage guidelines. SAFETY_CHECK_TYPE_BIO"}),
    ],
)
@pytest.mark.parametrize("ticks", [None, 0, 500_000_000])
def test_a_submit_refused_by_moderation_is_charged_for_as_it_says(
    run: Run, at: At, job: Job, status: int, error: dict[str, Any], ticks: int | None
) -> None:
    body = error | ({} if ticks is None else {"usage": {"cost_in_usd_ticks": ticks}})
    with answering(status, json.dumps(body).encode()) as server, pytest.raises(NotAccepted) as refused:
        run(at(server.base_url).submit(job))
    assert (refused.value.kind, refused.value.retry_allowed) == (FailureKind.MODERATION, False)
    assert refused.value.usd == (job.expected_usd if ticks is None else Decimal(ticks) / 10**10)


def test_a_request_that_waits_is_answered_without_a_body(run: Run, at: At, job: Job) -> None:
    with answering(202) as server:
        bought = with_receipt(job, at(server.base_url).receipt(job, "a-request"))
        assert run(at(server.base_url).poll(bought)) is False
        with pytest.raises(Undecided):
            run(at(server.base_url).result(bought))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"code": "invalid-argument", "error": "no"}', FailureKind.INVALID),
        (400, b'{"code": "imagine:content-moderated", "error": "no"}', FailureKind.MODERATION),
        (401, b'{"code": "unauthenticated:bad-credentials", "error": "no"}', FailureKind.AUTH),
        (403, b'{"code": "permission-denied", "error": "Your team has used its credits."}', FailureKind.QUOTA),
        (404, b'{"code": "not-found", "error": "no"}', FailureKind.INVALID),
        (429, b'{"code": "resource-exhausted", "error": "Too many requests"}', FailureKind.TRANSIENT),
        (422, b"Failed to deserialize the JSON body", None),
        (429, b"<html>busy</html>", None),
        (500, b'{"code": "internal", "error": "no"}', None),
    ],
)
def test_only_xais_own_words_refuse_a_submit(
    run: Run, at: At, job: Job, status: int, body: bytes, kind: FailureKind | None
) -> None:
    with answering(status, body) as server, pytest.raises(NotAccepted if kind else SubmitUnknown) as refused:
        run(at(server.base_url).submit(job))
    assert getattr(refused.value, "kind", None) is kind


def test_a_refusal_costs_as_much_as_a_clip_and_a_request_at_fault_nothing(
    run: Run, xai: XaiProvider, edge: Edge, job: Job
) -> None:
    for words, kind, usd in (
        ("A politician waves", FailureKind.MODERATION, job.expected_usd),
        ("a" * 4097, FailureKind.INVALID, Decimal(0)),
    ):
        wrong = replace(job, request=job.request | {"arguments": job.request["arguments"] | {"prompt": words}})
        with pytest.raises(JobFailed) as failed:
            run(ended(xai, submitted(run, xai, wrong)))
        assert (failed.value.kind, failed.value.usd) == (kind, usd)
        [request] = booked(edge, wrong)
        assert Decimal(request["usd"]) == usd


def test_a_clip_from_a_picture_has_the_pictures_shape(
    run: Run, xai: XaiProvider, client: httpx.AsyncClient, edge: Edge, catalogue: Catalogue, job: Job, tmp_path: Any
) -> None:
    moving = from_picture(job, PROVIDERS["xai"], catalogue, picture(edge, "a glacier"))
    assert "aspect_ratio" not in moving.request["arguments"]
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(run(client.get(run(ended(xai, submitted(run, xai, moving))).media_url)).content)
    video = probe(clip).video
    assert video is not None and video.size == (108, 192)


def test_a_clip_without_sound_is_asked_for_as_such(catalogue: Catalogue, job: Job) -> None:
    """What is left out is made, and so is its default length and size."""
    assert job.request["arguments"] == {
        "model": job.model,
        "prompt": job.order.prompt,
        "duration": 1,
        "resolution": "108p",
        "generate_audio": False,
        "aspect_ratio": "9:16",
    }
    square = job.order.model_copy(update={"orientation": Orientation.SQUARE})
    wire = catalogue.named(job.model).wire
    assert PROVIDERS["xai"].translate(square, wire)["arguments"]["aspect_ratio"] == "1:1"
