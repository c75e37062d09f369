"""The traps of Runway's wire, each of which `runway.py` says what it is taken for."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.providers import Ending, JobFailed, NotAccepted, SubmitUnknown, Undecided
from video_pipeline.generation.providers.runway import RunwayProvider
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.test_every_provider import booked, ended, submitted
from video_pipeline_tests.contract.vendors import sold_by

At = Callable[[str], RunwayProvider]


@pytest.fixture
def at(client: httpx.AsyncClient) -> At:
    return lambda base_url: RunwayProvider(client, secret="s", api_url=base_url)


@pytest.fixture
def runway(edge: Edge, client: httpx.AsyncClient) -> RunwayProvider:
    provider = PROVIDERS["runway"].connect_sandbox(edge.base_url, client)
    assert isinstance(provider, RunwayProvider)
    return provider


@pytest.fixture
def job(request: pytest.FixtureRequest, sandbox_catalogue: Catalogue, policy: Policy) -> Job:
    return job_of(brief_of(f"dunes, {request.node.name}"), sold_by(sandbox_catalogue, "runway"), policy)


def failure(run: Run, at: At, job: Job, **fields: object) -> JobFailed:
    """What a failed task with these fields is taken for."""
    with answering(200, task(status="FAILED", **fields)) as server, pytest.raises(JobFailed) as failed:
        run(at(server.base_url).result(with_receipt(job, at(server.base_url).receipt(job, "a-task"))))
    return failed.value


def task(**fields: object) -> bytes:
    return json.dumps({"id": "a-task", "createdAt": "2026-11-27T00:00:00Z"} | fields).encode()


@pytest.mark.parametrize(
    ("code", "kind", "ending", "again"),
    [
        ("SAFETY.INPUT.TEXT", FailureKind.MODERATION, Ending.PROMPT_REFUSED, False),
        ("SAFETY.INPUT.IMAGE", FailureKind.MODERATION, Ending.PROMPT_REFUSED, False),
        ("INPUT_PREPROCESSING.SAFETY.THIRD_PARTY", FailureKind.MODERATION, Ending.PROMPT_REFUSED, False),
        ("SAFETY.OUTPUT.VIDEO", FailureKind.MODERATION, Ending.OUTPUT_REFUSED, False),
        ("THIRD_PARTY.SAFETY.OUTPUT", FailureKind.MODERATION, Ending.OUTPUT_REFUSED, False),
        ("ASSET.INVALID", FailureKind.INVALID, Ending.FAILED, False),
        ("THIRD_PARTY.INPUT_VALIDATION", FailureKind.INVALID, Ending.FAILED, False),
        ("INTERNAL.BAD_OUTPUT.CODE01", FailureKind.GENERATION, Ending.FAILED, True),
        ("INTERNAL", FailureKind.TRANSIENT, Ending.FAILED, True),
        ("INPUT_PREPROCESSING.INTERNAL", FailureKind.TRANSIENT, Ending.FAILED, True),
        ("THIRD_PARTY.UNAVAILABLE", FailureKind.TRANSIENT, Ending.FAILED, True),
        ("A.WORD.THAT.NOBODY.KNOWS", FailureKind.GENERATION, Ending.FAILED, True),
        (None, FailureKind.GENERATION, Ending.FAILED, True),
    ],
)
def test_a_failure_code_says_what_went_wrong(
    run: Run, at: At, job: Job, code: str | None, kind: FailureKind, ending: Ending, again: bool
) -> None:
    failed = failure(run, at, job, failure="no", failureCode=code)
    assert (failed.kind, failed.ending, failed.retry_allowed) == (kind, ending, again)


@pytest.mark.parametrize(
    ("cost", "usd"),
    [
        ({"credits": 0}, 0),
        ({"credits": 25}, Decimal("0.25")),
        ({"credits": 0.5}, Decimal("0.005")),
        (None, None),
        ({"credits": "x"}, None),
        ({"credits": 1e12}, None),
    ],
)
def test_what_a_task_says_it_cost_holds_before_the_terms(
    run: Run, at: At, job: Job, cost: object, usd: Decimal | None
) -> None:
    assert failure(run, at, job, failureCode="SAFETY.OUTPUT.VIDEO", cost=cost).usd == usd


def test_a_throttled_task_is_taken_and_waits(run: Run, runway: RunwayProvider, edge: Edge, job: Job) -> None:
    edge.fault("stuck", times=2)
    for number in range(2):
        other = job.request["arguments"] | {"seed": number}
        run(runway.submit(replace(job, request=job.request | {"arguments": other})))
    bought = submitted(run, runway, job)
    url = f"{edge.base_url}/runway/v1/tasks/{bought.provider_job_id}"
    headers = {"Authorization": "Bearer s", "X-Runway-Version": "2024-11-06"}
    assert edge.client.get(url, headers=headers).json()["status"] in ("THROTTLED", "RUNNING")
    with answering(200, task(status="THROTTLED")) as server:
        waiting = RunwayProvider(httpx.AsyncClient(), secret="s", api_url=server.base_url)
        assert run(waiting.poll(bought)) is False
    assert run(ended(runway, bought)).media_url


@pytest.mark.parametrize(
    ("status", "methods"),
    [("THROTTLED", ["GET", "DELETE"]), ("PENDING", ["GET"]), ("RUNNING", ["GET"]), ("SUCCEEDED", ["GET"])],
)
def test_only_a_task_behind_others_is_deleted(run: Run, at: At, job: Job, status: str, methods: list[str]) -> None:
    """A pending one may run by the time that it is deleted, and a deleted one does not tell what it has cost."""
    with answering(200, task(status=status)) as server:
        # Only an empty answer, 204, is the word that it was deleted.
        run(at(server.base_url).cancel(with_receipt(job, at(server.base_url).receipt(job, "a-task"))))
        assert [method for method, _, _ in server.asked] == methods


@pytest.mark.parametrize("at_once_s", [60.0, 0.0], ids=["at once", "late"])
def test_a_task_deleted_at_once_has_ended_for_nothing_and_of_another_nothing_is_said(
    run: Run, at: At, job: Job, monkeypatch: pytest.MonkeyPatch, at_once_s: float
) -> None:
    monkeypatch.setattr("video_pipeline.generation.providers.runway._AT_ONCE_S", at_once_s)
    with answering(200, task(status="THROTTLED"), by_method={"DELETE": (204, b"")}) as server:
        bought = with_receipt(job, at(server.base_url).receipt(job, "a-task"))
        if not at_once_s:
            run(at(server.base_url).cancel(bought))
            return
        with pytest.raises(JobFailed) as failed:
            run(at(server.base_url).cancel(bought))
    assert (failed.value.kind, failed.value.usd) == (FailureKind.CANCELED, 0)


@pytest.mark.parametrize("age_s", [10, 3600])
def test_a_task_that_is_not_known_may_have_been_paid_for(run: Run, at: At, job: Job, age_s: int) -> None:
    gone = with_receipt(job, at("http://x.invalid").receipt(job, "a-task"))
    bought = replace(gone, submitted_at=datetime.now(UTC) - timedelta(seconds=age_s))
    with answering(404, b'{"error": "Task not found"}') as server:
        for ask in (at(server.base_url).poll, at(server.base_url).result):
            with pytest.raises(Undecided, match="what it has cost is not told"):
                run(ask(bought))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": "Validation of body failed"}', FailureKind.INVALID),
        (400, b'{"error": "You do not have enough credits to run this task."}', FailureKind.QUOTA),
        (401, b'{"error": "Unauthorized"}', FailureKind.AUTH),
        (429, b'{"error": "Daily limit reached"}', FailureKind.QUOTA),
        (503, b'{"error": "Overloaded"}', FailureKind.TRANSIENT),
        (400, b"<html>busy</html>", None),
        (429, b"<html>busy</html>", None),
        (500, b'{"error": "An error has occurred"}', None),
        (502, b'{"error": "Bad gateway"}', None),
        (504, b'{"error": "Gateway time-out"}', None),
    ],
)
def test_only_runways_own_words_refuse_a_submit(
    run: Run, at: At, job: Job, status: int, body: bytes, kind: FailureKind | None
) -> None:
    with answering(status, body) as server, pytest.raises(NotAccepted if kind else SubmitUnknown) as refused:
        run(at(server.base_url).submit(job))
    assert getattr(refused.value, "kind", None) is kind


def test_a_prompt_over_its_limit_is_invalid_and_buys_nothing(
    run: Run, runway: RunwayProvider, edge: Edge, job: Job
) -> None:
    long = replace(job, request=job.request | {"arguments": job.request["arguments"] | {"promptText": "a" * 1001}})
    with pytest.raises(NotAccepted) as refused:
        run(runway.submit(long))
    assert refused.value.kind is FailureKind.INVALID
    assert booked(edge, long) == []


def test_a_refused_input_costs_as_much_as_a_clip(run: Run, runway: RunwayProvider, edge: Edge, job: Job) -> None:
    refused = replace(
        job, request=job.request | {"arguments": job.request["arguments"] | {"promptText": "A politician"}}
    )
    with pytest.raises(JobFailed) as failed:
        run(ended(runway, submitted(run, runway, refused)))
    assert (failed.value.ending, failed.value.usd) == (Ending.PROMPT_REFUSED, job.expected_usd)
    [request] = booked(edge, refused)
    assert Decimal(request["usd"]) == job.expected_usd


@pytest.mark.parametrize("orientation", ["landscape", "square"])
def test_a_ratio_is_said_in_pixels(orientation: str, sandbox_catalogue: Catalogue, policy: Policy) -> None:
    job = job_of(brief_of("a hill", orientation=orientation), sold_by(sandbox_catalogue, "runway"), policy)
    expected = {"landscape": "192:108", "square": "108:108"}[orientation]
    assert job.request["arguments"]["ratio"] == expected
