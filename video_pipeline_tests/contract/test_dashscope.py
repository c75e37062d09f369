"""The traps of DashScope's wire, each of which `dashscope.py` says what it is taken for."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.providers import Ambiguous, Ending, JobFailed, NotAccepted, SubmitUnknown, Undecided
from video_pipeline.generation.providers.dashscope import VENDOR, DashScopeProvider, DashScopeSection
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.test_every_provider import booked, ended, submitted
from video_pipeline_tests.contract.vendors import sold_by

At = Callable[[str], DashScopeProvider]


@pytest.fixture
def at(client: httpx.AsyncClient) -> At:
    return lambda base_url: DashScopeProvider(client, key="s", api_url=base_url)


@pytest.fixture
def dashscope(edge: Edge, client: httpx.AsyncClient) -> DashScopeProvider:
    provider = PROVIDERS["dashscope"].connect_sandbox(edge.base_url, client)
    assert isinstance(provider, DashScopeProvider)
    return provider


@pytest.fixture
def job(request: pytest.FixtureRequest, sandbox_catalogue: Catalogue, policy: Policy) -> Job:
    return job_of(brief_of(f"dunes, {request.node.name}"), sold_by(sandbox_catalogue, "dashscope"), policy)


def task(**output: Any) -> bytes:
    return json.dumps({"request_id": "r", "output": {"task_id": "a-task"} | output}).encode()


def error(code: str, message: str = "no") -> bytes:
    return json.dumps({"code": code, "message": message, "request_id": "r"}).encode()


def bought(at: At, base_url: str, job: Job) -> Job:
    return with_receipt(job, at(base_url).receipt(job, "a-task"))


@pytest.mark.parametrize("status", [200, 400, 429, 500])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DataInspectionFailed", FailureKind.MODERATION),
        ("data_inspection_failed", FailureKind.MODERATION),
        ("IPInfringementSuspect", FailureKind.MODERATION),
        ("Throttling.RateQuota", FailureKind.TRANSIENT),
        ("Throttling", FailureKind.TRANSIENT),
        ("InvalidURL.Timeout", FailureKind.TRANSIENT),
        ("InvalidURL", FailureKind.INVALID),
        ("ServiceUnavailable", FailureKind.TRANSIENT),
        ("Arrearage", FailureKind.QUOTA),
        ("InvalidApiKey", FailureKind.AUTH),
        ("AccessDenied.Unpurchased", FailureKind.AUTH),
        ("InvalidParameter", FailureKind.INVALID),
        ("Model.NotExist", FailureKind.INVALID),
        ("InternalError", None),
        ("InternalError.Timeout", None),
        ("AWordThatNobodyKnows", None),
    ],
)
def test_a_code_refuses_a_submit_whatever_its_status(
    run: Run, at: At, job: Job, status: int, code: str, kind: FailureKind | None
) -> None:
    with answering(status, error(code)) as server, pytest.raises(NotAccepted if kind else SubmitUnknown) as refused:
        run(at(server.base_url).submit(job))
    assert getattr(refused.value, "kind", None) is kind
    assert getattr(refused.value, "retry_allowed", True) is (kind is not FailureKind.MODERATION)


def test_a_task_that_was_taken_is_asked_for_whatever_is_said_beside_it(run: Run, at: At, job: Job) -> None:
    body = json.dumps(json.loads(task(task_status="PENDING")) | json.loads(error("Throttling"))).encode()
    with answering(200, body) as server:
        assert run(at(server.base_url).submit(job)).provider_job_id == "a-task"


@pytest.mark.parametrize("status", [200, 400, 401, 429, 503])
@pytest.mark.parametrize("body", [b"<html>busy</html>", b'{"code": "InvalidApiKey"}', b'{"code": "", "message": ""}'])
def test_what_is_not_dashscopes_own_word_is_unknown(run: Run, at: At, job: Job, status: int, body: bytes) -> None:
    with answering(status, body) as server, pytest.raises(SubmitUnknown):
        run(at(server.base_url).submit(job))


@pytest.mark.parametrize(
    ("code", "message", "kind", "ending", "again"),
    [
        ("DataInspectionFailed", "Input data may be", FailureKind.MODERATION, Ending.PROMPT_REFUSED, False),
        ("DataInspectionFailed", "Output data may be", FailureKind.MODERATION, Ending.OUTPUT_REFUSED, False),
        ("DataInspectionFailed", "Input or output data", FailureKind.MODERATION, Ending.PROMPT_REFUSED, False),
        ("IPInfringementSuspect", None, FailureKind.MODERATION, Ending.PROMPT_REFUSED, False),
        ("InvalidParameter.DataInspection", "no image", FailureKind.INVALID, Ending.FAILED, False),
        ("InternalError.Algo", "no", FailureKind.GENERATION, Ending.FAILED, True),
        ("InternalError", "no", FailureKind.TRANSIENT, Ending.FAILED, True),
        ("InvalidURL.ConnectionRefused", "no", FailureKind.TRANSIENT, Ending.FAILED, True),
        ("Throttling.AllocationQuota", "no", FailureKind.TRANSIENT, Ending.FAILED, True),
        ("Arrearage", "no", FailureKind.QUOTA, Ending.FAILED, True),
        ("AWordThatNobodyKnows", "no", FailureKind.GENERATION, Ending.FAILED, True),
        (None, None, FailureKind.GENERATION, Ending.FAILED, True),
    ],
)
def test_a_failed_task_says_why_and_costs_nothing(
    run: Run,
    at: At,
    job: Job,
    code: str | None,
    message: str | None,
    kind: FailureKind,
    ending: Ending,
    again: bool,
) -> None:
    body = task(task_status="FAILED", code=code, message=message)
    with answering(200, body) as server, pytest.raises(JobFailed) as failed:
        run(at(server.base_url).result(bought(at, server.base_url, job)))
    assert (failed.value.kind, failed.value.ending, failed.value.retry_allowed) == (kind, ending, again)
    assert failed.value.ending not in DashScopeProvider.terms.billed


def test_a_prompt_refused_at_the_submit_with_200_buys_nothing(
    run: Run, dashscope: DashScopeProvider, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy
) -> None:
    refused_job = job_of(brief_of("all the gore of it"), sold_by(sandbox_catalogue, "dashscope"), policy)
    with pytest.raises(NotAccepted) as refused:
        run(dashscope.submit(refused_job))
    assert (refused.value.kind, refused.value.retry_allowed) == (FailureKind.MODERATION, False)
    assert booked(edge, refused_job) == []


def test_a_task_that_has_expired_is_not_said_to_have_cost_nothing(run: Run, at: At, job: Job) -> None:
    with answering(200, task(task_status="UNKNOWN")) as server, pytest.raises(Undecided, match="UNKNOWN"):
        run(at(server.base_url).poll(bought(at, server.base_url, job)))
    assert DashScopeProvider.terms.url_lifetime_s == 24 * 3600


@pytest.mark.parametrize("status", ["PENDING", "SUSPENDED", "RUNNING"])
def test_a_task_that_waits_or_is_at_work_has_not_ended(run: Run, at: At, job: Job, status: str) -> None:
    with answering(200, task(task_status=status)) as server:
        assert run(at(server.base_url).poll(bought(at, server.base_url, job))) is False


def test_another_region_is_not_asked_for_a_task(run: Run, at: At, job: Job) -> None:
    elsewhere = bought(at, "https://dashscope.aliyuncs.com", job)
    with answering(200, task(task_status="SUCCEEDED")) as server:
        with pytest.raises(
            Undecided, match=r"bought at https://dashscope\.aliyuncs\.com, .* set VIDEO_PIPELINE_DASH"
        ):
            run(at(server.base_url).poll(elsewhere))
        assert server.asked == []


def test_a_submit_is_asynchronous_and_names_its_defaults(run: Run, edge: Edge, job: Job) -> None:
    body = job.request["arguments"]
    assert (body["parameters"]["prompt_extend"], body["parameters"]["watermark"]) == (False, False)
    plain = edge.client.post(
        f"{edge.base_url}/dashscope/api/v1/services/aigc/video-generation/video-synthesis",
        json=body,
        headers={"Authorization": "Bearer s"},
    )
    assert plain.json()["code"] == "AccessDenied"


def test_only_a_task_that_waits_is_canceled(run: Run, dashscope: DashScopeProvider, edge: Edge, job: Job) -> None:
    done = submitted(run, dashscope, job)
    rendered = run(ended(dashscope, done))
    run(dashscope.cancel(done))
    assert run(dashscope.result(done)) == rendered


def test_its_files_are_fetched_from_its_own_hosts_only(client: httpx.AsyncClient) -> None:
    section = DashScopeSection(key="k", _env_file=None)  # pyright: ignore[reportCallIssue, reportArgumentType]
    provider = VENDOR.connect(section, client)
    assert provider is not None
    assert (provider.media_origins, provider.trusted_origins) == ({"https://*.aliyuncs.com"}, frozenset())


# --- a submit whose answer was lost --------------------------------------------------------------------------------


def lose(run: Run, dashscope: DashScopeProvider, edge: Edge, job: Job, fault: str = "drop_after_accept") -> None:
    edge.fault(fault)
    with pytest.raises(SubmitUnknown):
        run(dashscope.submit(job))


def test_a_lost_submit_is_found_once_it_has_succeeded(
    run: Run, dashscope: DashScopeProvider, edge: Edge, job: Job
) -> None:
    lose(run, dashscope, edge, job)
    [there] = booked(edge, job)
    run(ended(dashscope, with_receipt(job, dashscope.receipt(job, there["request_id"]))))
    found = run(dashscope.find(job, known_ids=frozenset()))
    assert found is not None and found.provider_job_id == there["request_id"]
    assert run(dashscope.find(job, known_ids=frozenset({there["request_id"]}))) is None


def order_again(run: Run, dashscope: DashScopeProvider, job: Job, **parameters: object) -> str:
    """Another team's task on the same account, in the same words; its id."""
    body = job.request["arguments"]
    body = body | {"parameters": body["parameters"] | parameters}
    theirs = submitted(run, dashscope, replace(job, request=job.request | {"arguments": body}))
    run(ended(dashscope, theirs))
    return theirs.provider_job_id or ""


def test_what_others_have_ordered_in_the_same_words_is_a_persons(
    run: Run, dashscope: DashScopeProvider, edge: Edge, job: Job
) -> None:
    lose(run, dashscope, edge, job)
    theirs = order_again(run, dashscope, job, seed=7)
    with pytest.raises(Ambiguous, match=f"2 requests at DashScope may be this one: .*{theirs}"):
        run(dashscope.find(job, known_ids=frozenset()))
    found = run(dashscope.find(job, known_ids=frozenset({theirs})))
    assert found is not None and found.provider_job_id != theirs


def test_a_task_of_another_length_is_another_ones_and_alone_a_persons(
    run: Run, dashscope: DashScopeProvider, edge: Edge, job: Job
) -> None:
    theirs = order_again(run, dashscope, job, duration=2)
    with pytest.raises(Ambiguous, match=f"task {theirs} has the words of this one, and another length or size"):
        run(dashscope.find(job, known_ids=frozenset()))
    lose(run, dashscope, edge, job)
    [ours] = booked(edge, job)
    run(ended(dashscope, with_receipt(job, dashscope.receipt(job, ours["request_id"]))))
    found = run(dashscope.find(job, known_ids=frozenset()))
    assert found is not None and found.provider_job_id == ours["request_id"]


@pytest.mark.parametrize("after", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_task_of_another_time_is_another_ones(
    run: Run, dashscope: DashScopeProvider, job: Job, after: timedelta
) -> None:
    order_again(run, dashscope, job)
    then = replace(job, submitted_at=datetime.now(UTC) - after)
    assert run(dashscope.find(then, known_ids=frozenset())) is None


def test_a_task_at_work_may_be_the_lost_one_and_is_asked_about_again(
    run: Run, dashscope: DashScopeProvider, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy
) -> None:
    job = job_of(brief_of("a stuck dune", quality="premium"), sold_by(sandbox_catalogue, "dashscope"), policy)
    edge.fault("stuck")
    lose(run, dashscope, edge, job)
    with pytest.raises(Undecided, match="1 of DashScope's tasks may be this one"):
        run(dashscope.find(job, known_ids=frozenset()))


def test_a_submit_that_never_arrived_is_not_found(
    run: Run, dashscope: DashScopeProvider, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy
) -> None:
    job = job_of(brief_of("a lost dune", quality="standard"), sold_by(sandbox_catalogue, "dashscope"), policy)
    lose(run, dashscope, edge, job, "drop_before_accept")
    assert run(dashscope.find(job, known_ids=frozenset())) is None
    other = replace(job, request=json.loads(json.dumps(job.request).replace("a lost dune", "another dune")))
    run(ended(dashscope, submitted(run, dashscope, other)))
    assert run(dashscope.find(job, known_ids=frozenset())) is None


@pytest.mark.parametrize("total_page", [1000, 2])
def test_a_list_without_end_is_no_list(run: Run, at: At, job: Job, total_page: int) -> None:
    body = json.dumps({"data": [], "total_page": total_page}).encode()
    with answering(200, body) as server:
        if total_page == 2:
            assert run(at(server.base_url).find(job, known_ids=frozenset())) is None
            return
        with pytest.raises(Undecided, match="does not come to an end"):
            run(at(server.base_url).find(job, known_ids=frozenset()))
