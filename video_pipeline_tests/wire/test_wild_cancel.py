"""Wild answers to a request to give a job up: none of them is the job's end, and the job is asked how it ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from video_pipeline.generation.providers import JobFailed, Provider, Rendered, Undecided
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract import kiln
from video_pipeline_tests.contract.answering import Answering as Stranger
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.vendors import sold_by_kiln
from video_pipeline_tests.wire import answers as wild
from video_pipeline_tests.wire.conftest import CANARIES, FAL_KEY, behind
from video_pipeline_tests.wire.proxy import Answering, Call, Proxy, Rule

_KILN_TOKEN = "canary-kiln-77b0c2d9"
# Whatever is asked in between; a machine under load may take its time.
_LIMIT_S = 20.0

pytestmark = pytest.mark.usefixtures("vendors_from_outside", "impatient")


@dataclass
class Desk:
    """One vendor behind the proxy, and a job that it makes until it is told to stop."""

    provider: Provider
    proxy: Proxy
    edge: Edge
    job: Job

    @property
    def booked(self) -> dict[str, Any]:
        """The job in the sandbox's books, where it is once."""
        [request] = [request for request in self.edge.requests() if request["request_id"] == self.job.provider_job_id]
        return request

    async def end(self) -> Rendered | JobFailed:
        """What the job comes to, asked as the engine asks."""
        async with asyncio.timeout(_LIMIT_S):
            while True:
                try:
                    if await self.provider.poll(self.job):
                        return await self.provider.result(self.job)
                except JobFailed as failed:
                    return failed
                except Undecided:
                    pass
                await asyncio.sleep(0.02)


def _fal(proxy: Proxy, edge: Edge, client: httpx.AsyncClient) -> Provider:
    return behind(proxy, edge).fal(client, key=FAL_KEY)


def _kiln(proxy: Proxy, edge: Edge, client: httpx.AsyncClient) -> Provider:
    return kiln.KilnProvider(
        client, address=proxy.base_url, token=_KILN_TOKEN, trusted_origins=(proxy.base_url, edge.base_url)
    )


Connect = Callable[[Proxy, Edge, httpx.AsyncClient], Provider]


def _answers(stranger: Stranger) -> list[Answering]:
    """Every status with each kind of body, every nonsense, and what sends us elsewhere."""
    statuses = [wild.status(code, body) for code in wild.UNDOCUMENTED_STATUSES for body in wild.BODIES.values()]
    elsewhere = [wild.redirect(code, f"{stranger.base_url}/cancel") for code in (301, 302, 303, 307, 308)]
    said = [
        wild.status(200, b'{"status": "ALREADY_COMPLETED"}'),
        wild.status(404, b'{"detail": "Request not found"}'),
        wild.status(400, b'{"status": "ALREADY_COMPLETED", "note": "\\u0000\\ud800"}'),
    ]
    return [*statuses, *wild.NONSENSE.values(), *elsewhere, *said]


@pytest.mark.parametrize("arrives", [False, True], ids=["not heard", "given up"])
@pytest.mark.parametrize("connect", [_fal, _kiln], ids=["fal", "kiln"])
def test_no_answer_to_a_cancel_is_the_end_of_a_job(
    proxy: Proxy,
    edge: Edge,
    stranger: Stranger,
    sandbox_catalogue: Catalogue,
    policy: Policy,
    connect: Connect,
    arrives: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the vendor has not heard of it, the job is made and billed; where it has, it says so when it is asked."""
    prompt = f"Rain over bay {connect.__name__} {arrives}"
    catalogue = sold_by_kiln(sandbox_catalogue) if connect is _kiln else sandbox_catalogue
    job = job_of(brief_of(prompt), catalogue, policy)
    answers = _answers(stranger)
    stranger.asked.clear()
    if arrives:
        edge.fault("stuck")

    async def ended() -> tuple[Desk, Rendered | JobFailed, float]:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            provider = connect(proxy, edge, client)
            receipt = await provider.submit(job)
            bought = replace(job, provider_job_id=receipt.provider_job_id, receipt=receipt.document)
            desk = Desk(provider, proxy, edge, bought)
            rules = [Rule(Call.CANCEL, answer, passed_on=arrives, subject=prompt) for answer in answers]
            at_once = asyncio.Semaphore(8)

            async def cancel() -> None:
                async with at_once:
                    await provider.cancel(bought)

            begun = time.monotonic()
            with proxy.under(*rules):
                await asyncio.gather(*(cancel() for _ in answers))
                # A machine under load may have given up before an answer began.
                for _ in answers:
                    if all(rule.used for rule in rules):
                        break
                    await cancel()
            took_s = time.monotonic() - begun
            assert all(rule.used == 1 for rule in rules), "an answer was never given"
            return desk, await desk.end(), took_s

    desk, end, took_s = asyncio.run(ended())
    assert took_s < 30
    assert stranger.asked == []
    assert not [canary for canary in (*CANARIES, _KILN_TOKEN) if canary in caplog.text]
    if arrives:
        assert isinstance(end, JobFailed)
        assert end.kind is FailureKind.CANCELED
        # What it costs is in the vendor's terms, and never less than what the vendor takes.
        assert end.ending in desk.provider.terms.billed or Decimal(desk.booked["usd"]) == 0
    else:
        assert isinstance(end, Rendered)
        assert desk.booked["outcome"] == "completed"
        assert Decimal(desk.booked["usd"]) == desk.job.expected_usd


@pytest.mark.parametrize("connect", [_fal, _kiln], ids=["fal", "kiln"])
def test_a_vendor_that_is_away_leaves_a_job_as_it_is(
    proxy: Proxy, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, connect: Connect
) -> None:
    catalogue = sold_by_kiln(sandbox_catalogue) if connect is _kiln else sandbox_catalogue
    job = job_of(brief_of("A door that is closed"), catalogue, policy)

    async def cancelled() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            provider = connect(replace(proxy, base_url="http://127.0.0.1:1"), edge, client)
            receipt = provider.receipt(job, "17")
            bought = replace(job, provider_job_id=receipt.provider_job_id, receipt=receipt.document)
            await provider.cancel(bought)
            with contextlib.suppress(Undecided):
                raise AssertionError(await provider.poll(bought))

    asyncio.run(cancelled())
