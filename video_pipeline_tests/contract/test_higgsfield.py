"""The traps of Higgsfield's wire, each of which `higgsfield.py` says what it is taken for."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.providers import JobFailed, NotAccepted, SubmitUnknown, TooDear
from video_pipeline.generation.providers.higgsfield import HiggsfieldProvider, HiggsfieldSection
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.test_every_provider import booked, ended, submitted
from video_pipeline_tests.contract.vendors import sold_by

At = Callable[[str], HiggsfieldProvider]


@pytest.fixture
def at(client: httpx.AsyncClient) -> At:
    return lambda base_url: HiggsfieldProvider(client, key_id="i", key_secret="s", api_url=base_url)


@pytest.fixture
def higgsfield(edge: Edge, client: httpx.AsyncClient) -> HiggsfieldProvider:
    provider = PROVIDERS["higgsfield"].connect_sandbox(edge.base_url, client)
    assert isinstance(provider, HiggsfieldProvider)
    return provider


@pytest.fixture
def job(request: pytest.FixtureRequest, sandbox_catalogue: Catalogue, policy: Policy) -> Job:
    return job_of(brief_of(f"canyons, {request.node.name}"), sold_by(sandbox_catalogue, "higgsfield"), policy)


def changed(job: Job, **arguments: Any) -> Job:
    return replace(job, request=job.request | {"arguments": job.request["arguments"] | arguments})


def test_the_same_key_is_the_same_request_and_is_billed_once(
    run: Run, higgsfield: HiggsfieldProvider, edge: Edge, job: Job
) -> None:
    edge.fault("drop_after_accept")
    with pytest.raises(SubmitUnknown):
        run(higgsfield.submit(job))
    again = submitted(run, higgsfield, job)
    run(ended(higgsfield, again))
    assert run(higgsfield.submit(job)).provider_job_id == again.provider_job_id, "what has ended keeps its identity"
    [request] = booked(edge, job)
    assert (request["request_id"], Decimal(request["usd"])) == (again.provider_job_id, job.expected_usd)


def test_a_key_that_belongs_to_another_request_says_nothing_of_this_one(
    run: Run, higgsfield: HiggsfieldProvider, job: Job
) -> None:
    run(higgsfield.submit(job))
    with pytest.raises(SubmitUnknown, match="422"):
        run(higgsfield.submit(changed(job, seed=1)))


def test_what_is_dearer_than_the_catalogue_has_it_is_not_bought(
    run: Run, higgsfield: HiggsfieldProvider, edge: Edge, job: Job
) -> None:
    cheap = replace(job, expected_usd=job.expected_usd / 2)
    with pytest.raises(TooDear, match=r"would bill \$0\.022 for it and the catalogue has \$0\.011") as refused:
        run(higgsfield.submit(cheap))
    assert refused.value.kind is FailureKind.INVALID, "another model may serve the shot"
    assert booked(edge, job) == []


@pytest.mark.parametrize(
    "estimate",
    [b'{"type": "description", "pricing_description": "it depends"}', b"<html>", b'{"usd": "NaN"}', b'{"usd": -1}'],
)
def test_an_estimate_that_says_no_price_keeps_nobody_from_buying(run: Run, at: At, job: Job, estimate: bytes) -> None:
    with answering(200, estimate) as server:
        with pytest.raises(SubmitUnknown):
            run(at(server.base_url).submit(job))
        assert [path for _, path, _ in server.asked] == [
            f"/estimate/{job.request['endpoint']}",
            f"/{job.request['endpoint']}",
        ]


def test_refusals_are_not_billed_and_do_not_say_what_was_refused(
    run: Run, higgsfield: HiggsfieldProvider, edge: Edge, job: Job
) -> None:
    for words in ("A politician waves", "Gunfire over the hill"):
        refused = changed(replace(job, key=words.replace(" ", "-")), prompt=words)
        with pytest.raises(JobFailed) as failed:
            run(ended(higgsfield, submitted(run, higgsfield, refused)))
        assert failed.value.kind is FailureKind.MODERATION
        assert failed.value.ending not in higgsfield.terms.billed
        [request] = booked(edge, refused)
        assert Decimal(request["usd"]) == 0


def test_an_argument_that_a_model_does_not_know_is_refused(
    run: Run, higgsfield: HiggsfieldProvider, edge: Edge, job: Job
) -> None:
    odd = changed(job, motion_bucket=7)
    with pytest.raises(NotAccepted) as refused:
        run(higgsfield.submit(odd))
    assert refused.value.kind is FailureKind.INVALID
    assert booked(edge, odd) == []


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "retry_after_s"),
    [
        (400, {"detail": "Maximum number of concurrent requests (4) has been reached"}, {}, "transient", None),
        (
            429,
            {"detail": "The queue is full", "code": "account_queue_full", "limit": 8},
            {"Retry-After": "3"},
            "transient",
            3.0,
        ),
        (400, {"detail": "Unsupported duration"}, {}, "invalid", None),
        (422, {"detail": [{"loc": ["body", "prompt"], "type": "missing"}]}, {}, "invalid", None),
        (401, {"detail": "Invalid credentials"}, {}, "auth", None),
        (402, {"detail": "Not enough credits"}, {}, "quota", None),
        (403, {"detail": "Not enough credits"}, {}, "quota", None),
        (423, {"detail": "The account is blocked"}, {}, "auth", None),
        (503, {"detail": "The model is not ready"}, {}, "transient", None),
        (500, {"detail": "Internal Server Error"}, {}, None, None),
        (429, {"message": "slow down"}, {}, None, None),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_only_higgsfields_own_words_refuse_a_submit(
    run: Run,
    at: At,
    job: Job,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str],
    kind: str | None,
    retry_after_s: float | None,
) -> None:
    said = NotAccepted if kind else SubmitUnknown
    with answering(status, json.dumps(body).encode(), headers) as server, pytest.raises(said) as refused:
        run(at(server.base_url).submit(job))
    assert getattr(refused.value, "kind", None) == kind
    assert getattr(refused.value, "retry_after_s", None) == retry_after_s


def test_a_job_is_asked_for_where_its_receipt_says_unless_that_is_elsewhere(run: Run, at: At, job: Job) -> None:
    body = {"status": "queued", "request_id": "a-request", "status_url": "http://elsewhere.invalid/x"}
    with answering(200, json.dumps(body).encode()) as server:
        bought = with_receipt(job, run(at(server.base_url).submit(job)))
        assert run(at(server.base_url).poll(bought)) is False
        assert server.asked[-1][1] == "/requests/a-request/status"
        server.body = json.dumps(body | {"status_url": f"{server.base_url}/v2/requests/a-request"}).encode()
        bought = with_receipt(job, run(at(server.base_url).submit(job)))
        run(at(server.base_url).poll(bought))
        assert server.asked[-1][1] == "/v2/requests/a-request"


def test_half_of_a_key_connects_nothing_and_says_what_is_missing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_API_SECRET", raising=False)
    half = HiggsfieldSection(key_id="i")  # pyright: ignore[reportCallIssue]
    with pytest.raises(ConfigurationError, match="higgsfield is only half connected: HF_API_SECRET is not set"):
        PROVIDERS["higgsfield"].connect(half, client)
