"""The fal adapter against the sandbox's wire: every answer means what `fal.py` says it means."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.providers import (
    Ambiguous,
    BilledLine,
    JobFailed,
    NotAccepted,
    SubmitUnknown,
    Undecided,
)
from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.ledger import FailureKind, Job, JobKind
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.wire import Bounds
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.test_every_provider import booked, ended, submitted


def changed(job: Job, **arguments: Any) -> Job:
    """The job with other arguments than its order asks for."""
    return replace(job, request=job.request | {"arguments": job.request["arguments"] | arguments})


def test_a_receipt_tells_where_to_cancel(run: Run, fal: FalProvider, job: Job) -> None:
    bought = submitted(run, fal, job)
    assert bought.receipt is not None
    assert bought.receipt["cancel_url"] == f"{bought.receipt['response_url']}/cancel"


def test_a_picture_is_bought_the_same_way(
    run: Run, fal: FalProvider, client: httpx.AsyncClient, sandbox_catalogue: Catalogue, policy: Policy
) -> None:
    attempt = Attempt(1, Strategy.IMAGE_ANCHORING, "a lighthouse", kind=JobKind.IMAGE)
    job = job_of(brief_of("a lighthouse"), sandbox_catalogue, policy, attempt=attempt)
    rendered = run(ended(fal, submitted(run, fal, job)))
    assert run(client.get(rendered.media_url)).content.startswith(b"\x89PNG")


@pytest.mark.parametrize(("fault", "retry_after_s"), [("submit_429", 0.25), ("submit_503", None)])
def test_a_refusal_for_now_is_transient_and_bought_nothing(
    run: Run, fal: FalProvider, edge: Edge, job: Job, fault: str, retry_after_s: float | None
) -> None:
    edge.fault(fault, value=0.25)
    with pytest.raises(NotAccepted) as refused:
        run(fal.submit(job))
    assert (refused.value.kind, refused.value.retry_after_s) == (FailureKind.TRANSIENT, retry_after_s)
    assert refused.value.documented is False
    assert booked(edge, job) == []


def test_an_answer_that_comes_too_late_is_unknown_and_was_bought(
    run: Run, edge: Edge, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.fault("submit_delay", value=0.6)
    monkeypatch.setattr("video_pipeline.generation.providers.line._SUBMIT_BOUNDS", Bounds(total_s=0.2))

    async def impatient() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            await edge.fal(client).submit(job)

    with pytest.raises(SubmitUnknown):
        run(impatient())
    deadline = time.monotonic() + 10
    while not booked(edge, job) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(booked(edge, job)) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"detail": "Authentication is required to access this application"}', FailureKind.AUTH),
        (402, b'{"detail": "Payment required"}', FailureKind.QUOTA),
        (403, b'{"detail": "User is locked. Reason: Exhausted balance."}', FailureKind.QUOTA),
        (403, b'{"detail": "Forbidden"}', FailureKind.AUTH),
        (422, b'{"detail": [{"loc": ["body"], "msg": "no", "type": "missing"}]}', FailureKind.INVALID),
        (
            422,
            b'{"detail": [{"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation"}]}',
            FailureKind.MODERATION,
        ),
    ],
)
def test_a_refused_submit_says_why(
    run: Run, client: httpx.AsyncClient, job: Job, status: int, body: bytes, kind: FailureKind
) -> None:
    with answering(status, body) as server:
        fal = FalProvider(client, key="k", queue_url=server.base_url, api_url=server.base_url)
        with pytest.raises(NotAccepted) as refused:
            run(fal.submit(job))
    assert refused.value.kind is kind
    assert refused.value.retry_allowed is (kind is not FailureKind.MODERATION)


@pytest.mark.parametrize("key", ["", "pasted in\ntwo lines"], ids=["empty", "newline"])
def test_a_key_that_no_header_can_carry_has_bought_nothing(
    run: Run, client: httpx.AsyncClient, edge: Edge, job: Job, key: str
) -> None:
    with pytest.raises(NotAccepted):
        run(edge.fal(client, key=key).submit(job))
    assert booked(edge, job) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration": 99},
        {"duration": "long"},
        {"resolution": "9999p"},
        {"aspect_ratio": "wide"},
        {"prompt": " "},
        {"seed": "seven"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_request_at_fault_is_invalid_and_would_be_again(run: Run, fal: FalProvider, job: Job, wrong: dict) -> None:
    with pytest.raises(JobFailed) as failed:
        run(ended(fal, submitted(run, fal, changed(job, **wrong))))
    assert (failed.value.kind, failed.value.ending in fal.terms.billed) == (FailureKind.INVALID, False)


def test_a_stuck_job_never_ends_and_can_be_given_up(run: Run, fal: FalProvider, edge: Edge, job: Job) -> None:
    edge.fault("stuck")
    bought = submitted(run, fal, job)
    assert [run(fal.poll(bought)) for _ in range(3)] == [False] * 3
    run(fal.cancel(bought))
    [there] = booked(edge, job)
    assert there["outcome"] == "canceled"


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[]", b'"COMPLETED"'])
def test_a_status_that_is_no_status_is_asked_for_again(
    run: Run, client: httpx.AsyncClient, job: Job, body: bytes
) -> None:
    with answering(200, body) as server:
        fal = FalProvider(client, key="k", queue_url=server.base_url, api_url=server.base_url)
        with pytest.raises(Undecided) as undecided:
            run(fal.poll(with_receipt(job, fal.receipt(job, "id"))))
    assert undecided.value.answer is not None and undecided.value.answer["body"]


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 408, 410, 429, 451, 500, 502, 503])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"[]",
        b"{}",
        b'{"video": null}',
        b'{"video": {}}',
        b'{"video": {"url": {"a": 1}}}',
        b'{"video": {"url": "javascript:alert(1)"}}',
        b'{"detail": "Request not found"}',
        b'{"detail": "Runner disconnected", "error_type": "runner_disconnected"}',
        b'{"detail": [{"type": "a_word_that_nobody_knows", "msg": "no", "loc": []}]}',
    ],
)
def test_a_result_that_is_not_documented_says_nothing_of_the_job(
    run: Run, client: httpx.AsyncClient, job: Job, status: int, body: bytes
) -> None:
    with answering(status, b"" if status == 204 else body) as server:
        fal = FalProvider(client, key="k", queue_url=server.base_url, api_url=server.base_url)
        with pytest.raises(Undecided):
            run(fal.result(with_receipt(job, fal.receipt(job, "id"))))


@pytest.mark.parametrize(("status", "kind"), [(500, "internal_server_error"), (504, "generation_timeout")])
def test_a_models_own_error_is_the_end_of_its_job_and_is_not_billed(
    run: Run, client: httpx.AsyncClient, job: Job, status: int, kind: str
) -> None:
    body = json.dumps({"detail": [{"loc": ["body"], "msg": "sorry", "type": kind}]}).encode()
    with answering(status, body, {"X-Fal-Retryable": "false"}) as server:
        fal = FalProvider(client, key="k", queue_url=server.base_url, api_url=server.base_url)
        with pytest.raises(JobFailed) as failed:
            run(fal.result(with_receipt(job, fal.receipt(job, "id"))))
    assert (failed.value.kind, failed.value.ending in fal.terms.billed) == (FailureKind.GENERATION, False)


@pytest.mark.parametrize(("again", "kind"), [("true", FailureKind.GENERATION), ("false", FailureKind.INVALID)])
def test_a_start_image_that_did_not_arrive_there_may_another_time_where_fal_says_so(
    run: Run, client: httpx.AsyncClient, job: Job, again: str, kind: FailureKind
) -> None:
    finding = {"loc": ["body", "image_url"], "msg": "could not be downloaded", "type": "file_download_error"}
    with answering(422, json.dumps({"detail": [finding]}).encode(), {"X-Fal-Retryable": again}) as server:
        fal = FalProvider(client, key="k", queue_url=server.base_url, api_url=server.base_url)
        with pytest.raises(JobFailed) as failed:
            run(fal.result(with_receipt(job, fal.receipt(job, "id"))))
    assert (failed.value.kind, failed.value.retry_allowed) == (kind, again == "true")


@pytest.mark.parametrize("read", ["poll", "result", "cancel"])
def test_our_key_is_sent_to_the_providers_own_host_only(
    run: Run, client: httpx.AsyncClient, job: Job, edge: Edge, read: str
) -> None:
    with answering(200, b'{"status": "COMPLETED"}') as stranger:
        url = f"{stranger.base_url}/{read}"
        elsewhere = replace(
            job, provider_job_id="id", receipt={"status_url": url, "response_url": url, "cancel_url": url}
        )
        # fal is asked at its own address of the job instead, where nobody knows the id.
        with contextlib.nullcontext() if read == "cancel" else pytest.raises(Undecided, match="HTTP 40"):
            run(getattr(edge.fal(client), read)(elsewhere))
        assert stranger.asked == []


def test_our_key_is_not_sent_over_another_scheme(run: Run, client: httpx.AsyncClient, job: Job) -> None:
    with answering(200, b'{"status": "COMPLETED"}') as plain:
        secure = plain.base_url.replace("http://", "https://")
        fal = FalProvider(client, key="k", queue_url=secure, api_url=secure)
        url = f"{plain.base_url}/status"
        with pytest.raises(Undecided):
            run(fal.poll(replace(job, provider_job_id="id", receipt={"status_url": url})))
        assert plain.asked == []


# --- a submit whose answer was lost ------------------------------------------------------------------------------


def lose(run: Run, fal: FalProvider, edge: Edge, job: Job, *, fault: str = "drop_after_accept") -> None:
    edge.fault(fault)
    with pytest.raises(SubmitUnknown):
        run(fal.submit(job))


def test_a_lost_submit_is_found_by_its_input(run: Run, fal: FalProvider, edge: Edge, job: Job) -> None:
    lose(run, fal, edge, job)
    [there] = booked(edge, job)
    found = run(fal.find(job, known_ids=frozenset()))
    assert found is not None
    assert found.provider_job_id == there["request_id"]
    assert run(ended(fal, with_receipt(job, found))).media_url


def test_a_submit_that_never_arrived_is_not_found(run: Run, fal: FalProvider, edge: Edge, job: Job) -> None:
    lose(run, fal, edge, job, fault="drop_before_accept")
    assert run(fal.find(job, known_ids=frozenset())) is None


@pytest.mark.parametrize("change", [{"seed": 1}, {"duration": 2}, {"prompt": "waves on another beach"}])
def test_another_request_is_not_taken_for_the_lost_one(
    run: Run, fal: FalProvider, edge: Edge, job: Job, change: dict
) -> None:
    edge.fault("stuck")
    run(fal.submit(changed(job, **change)))
    assert run(fal.find(job, known_ids=frozenset())) is None


def test_a_request_that_another_job_has_is_not_taken_for_the_lost_one(
    run: Run, fal: FalProvider, edge: Edge, job: Job
) -> None:
    edge.fault("stuck")
    earlier = run(fal.submit(job))
    known = frozenset({earlier.provider_job_id})
    assert run(fal.find(job, known_ids=known)) is None
    lose(run, fal, edge, job)
    found = run(fal.find(job, known_ids=known))
    assert found is not None
    assert found.provider_job_id != earlier.provider_job_id


def test_an_equal_request_of_others_is_a_persons_to_tell_apart(
    run: Run, fal: FalProvider, edge: Edge, job: Job
) -> None:
    lose(run, fal, edge, job)
    theirs = run(fal.submit(job)).provider_job_id
    with pytest.raises(Ambiguous, match=f"2 requests at fal may be this one: .*{theirs}"):
        run(fal.find(job, known_ids=frozenset()))
    found = run(fal.find(job, known_ids=frozenset({theirs})))
    assert found is not None and found.provider_job_id != theirs


def test_a_lost_submit_is_found_once_the_listing_shows_it(run: Run, fal: FalProvider, edge: Edge, job: Job) -> None:
    edge.fault("listing_lag", value=0.5)
    lose(run, fal, edge, job)
    assert run(fal.find(job, known_ids=frozenset())) is None

    async def later() -> None:
        while await fal.find(job, known_ids=frozenset()) is None:
            await asyncio.sleep(0.05)

    run(asyncio.wait_for(later(), 10))


def test_a_lost_submit_is_found_behind_a_page_of_others(run: Run, fal: FalProvider, edge: Edge, job: Job) -> None:
    edge.fault("stuck", times=101)
    lose(run, fal, edge, job)

    async def others() -> None:
        await asyncio.gather(*(fal.submit(changed(job, seed=n)) for n in range(100)))

    run(others())
    found = run(fal.find(job, known_ids=frozenset()))
    assert found is not None
    assert [found.provider_job_id] == [request["request_id"] for request in booked(edge, job)]


def billing(*events: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"billing_events": events, "has_more": False, "next_cursor": None} | more).encode()


def a_line(**fields: Any) -> dict[str, Any]:
    line = {"request_id": "a", "endpoint_id": "b", "timestamp": "2026-11-20T10:00:00Z", "cost_estimate_nano_usd": 1}
    return line | fields


async def told(client: httpx.AsyncClient, base_url: str) -> list[BilledLine]:
    until = datetime(2026, 11, 21, tzinfo=UTC)
    fal = FalProvider(client, key="k", queue_url=base_url, api_url=base_url)
    return list(await fal.billed(until - timedelta(days=2), until))


def test_what_was_billed_is_told_line_by_line_whoever_bought_it(
    run: Run, fal: FalProvider, client: httpx.AsyncClient, edge: Edge, job: Job
) -> None:
    edge.fault("billed_in_parts", match=job.order.prompt, value=3)
    bought = submitted(run, fal, job)
    foreign = run(edge.fal(client, key="somebody").submit(changed(job, prompt=f"{job.order.prompt}, by another")))
    now = datetime.now(UTC)

    async def ours() -> list[list[BilledLine]]:
        async with asyncio.timeout(20):
            while True:
                lines = await fal.billed(now - timedelta(hours=1), now + timedelta(hours=1))
                ids = (bought.provider_job_id, foreign.provider_job_id)
                found = [[line for line in lines if line.provider_job_id == one] for one in ids]
                if all(found):
                    return found
                await asyncio.sleep(0.05)

    mine, others = run(ours())
    assert (len(mine), sum(line.usd for line in mine)) == (3, job.expected_usd)
    assert (len(others), others[0].usd, others[0].what) == (1, job.expected_usd, job.request["endpoint"])
    assert mine[0].buyer and others[0].buyer != mine[0].buyer
    assert mine[0].at > now - timedelta(minutes=1)


def test_a_key_that_may_not_read_billing_says_which_may(run: Run, client: httpx.AsyncClient, edge: Edge) -> None:
    until = datetime.now(UTC)
    with pytest.raises(Undecided, match="admin-scoped key in FAL_ADMIN_KEY"):
        run(edge.fal(client, admin_key="").billed(until - timedelta(days=1), until))


@pytest.mark.parametrize(
    "fields",
    [
        {"request_id": None},
        {"request_id": "../x"},
        {"endpoint_id": "x" * 300},
        {"timestamp": 17},
        {"timestamp": "2026-11-20T10:00:00"},
        {"timestamp": "soon"},
        {"cost_estimate_nano_usd": None},
        {"cost_estimate_nano_usd": "NaN"},
        {"cost_estimate_nano_usd": 1e30},
        {"cost_estimate_nano_usd": [1]},
    ],
    ids=str,
)
def test_a_billing_with_a_line_that_nobody_understands_tells_nothing(
    run: Run, client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    with answering(200, billing(a_line(), a_line(**fields))) as server, pytest.raises(Undecided):
        run(told(client, server.base_url))


@pytest.mark.parametrize(
    "more",
    [{"has_more": True}, {"has_more": True, "next_cursor": "again"}, {"billing_events": None}],
    ids=["no cursor", "the same page again", "no lines"],
)
def test_a_billing_that_comes_to_no_end_tells_nothing(
    run: Run, client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    with answering(200, billing(a_line(), **more)) as server, pytest.raises(Undecided):
        run(told(client, server.base_url))


def test_a_line_may_take_back_and_lack_what_nothing_depends_on(run: Run, client: httpx.AsyncClient) -> None:
    lines = [a_line(cost_estimate_nano_usd=-45_000_000, auth_method={"a": 1}), a_line(cost_estimate_nano_usd=5e6)]
    with answering(200, billing(*lines)) as server:
        assert [line.usd for line in run(told(client, server.base_url))] == [Decimal("-0.045"), Decimal("0.005")]


def test_pages_that_move_while_they_are_read_tell_nothing(run: Run) -> None:
    """A late line pushes the last one of a page on to the next, where it would be counted again."""
    pages = iter(
        [
            billing(a_line(request_id="1"), a_line(request_id="2"), has_more=True, next_cursor="2"),
            billing(a_line(request_id="2"), a_line(request_id="3")),
            billing(a_line(request_id="late"), a_line(request_id="1"), has_more=True, next_cursor="2"),
            billing(a_line(request_id="2"), a_line(request_id="3")),
        ]
    )

    async def page() -> AsyncIterator[bytes]:
        yield next(pages)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=page()))

    async def read() -> None:
        async with httpx.AsyncClient(transport=transport) as client:
            await told(client, "http://127.0.0.1:1")

    with pytest.raises(Undecided, match="written to"):
        run(read())
