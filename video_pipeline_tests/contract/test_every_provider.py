"""What holds at every provider, over real connections to the sandbox: each adapter against its own vendor's wire.

What a vendor has of its own stands in a file of its name.
"""

import asyncio
import contextlib
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from video_pipeline.errors import ConfigurationError, LedgerError
from video_pipeline.generation import PROVIDERS, Provider
from video_pipeline.generation.providers import (
    Ending,
    JobFailed,
    NotAccepted,
    ProviderVendor,
    Rendered,
    SubmitUnknown,
    Undecided,
)
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.media import probe
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import job_of
from video_pipeline_tests.contract.vendors import TALKING, brief_for, offered_by

# One renders in this process, and speaks no wire.
NAMES = sorted(set(PROVIDERS) - {"diffusers"})
Vendor = ProviderVendor[Any, Any]
# One renders what a workflow says: nothing is sold, moderated, named by model or signed with a key there.
WORKFLOWS = "comfyui"
# Servers of one's own: what they have forgotten is rendered again, and they know no keys.
OWN = ("fal_server", WORKFLOWS)


def at_all_but(*names: str) -> pytest.MarkDecorator:
    """Every vendor but those that have nothing of what is tested; what they do instead stands in their own files."""
    return pytest.mark.parametrize("vendor", [name for name in NAMES if name not in names], indirect=True)


@pytest.fixture(params=NAMES)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return PROVIDERS[request.param]


@pytest.fixture
def catalogue(vendor: Vendor, sandbox_catalogue: Catalogue) -> Catalogue:
    return offered_by(sandbox_catalogue, vendor.name)


@pytest.fixture
def provider(vendor: Vendor, edge: Edge, client: httpx.AsyncClient) -> Provider:
    return vendor.connect_sandbox(edge.base_url, client)


@pytest.fixture
def job(request: pytest.FixtureRequest, vendor: Vendor, catalogue: Catalogue, policy: Policy) -> Job:
    """A planned video of a second, or of some words, that no other test has ordered."""
    return job_of(brief_for(vendor.name, f"waves on a beach, {request.node.name}"), catalogue, policy)


def submitted(run: Run, provider: Provider, job: Job) -> Job:
    return with_receipt(job, run(provider.submit(job)))


async def ended(provider: Provider, job: Job, *, limit_s: float = 20.0) -> Rendered:
    """Polls as the engine does, quicker."""
    async with asyncio.timeout(limit_s):
        while True:
            with contextlib.suppress(Undecided):
                if await provider.poll(job):
                    return await provider.result(job)
            await asyncio.sleep(0.02)


def booked(edge: Edge, job: Job) -> list[dict[str, Any]]:
    """What the vendor's books hold of a job's purchase."""
    return [request for request in edge.requests() if request["input"] == job.request["arguments"]]


def price(vendor: Vendor, job: Job) -> Decimal:
    """What the vendor bills for the job: a workflow costs nothing there."""
    return Decimal(0) if vendor.name == WORKFLOWS else job.expected_usd


def is_billed(provider: Provider, failed: JobFailed) -> bool:
    return failed.ending in provider.terms.billed if failed.usd is None else failed.usd > 0


def picture(edge: Edge, prompt: str) -> str:
    """The address of a still that the sandbox has rendered."""
    headers = {"Authorization": "Key k"}
    size = {"width": 108, "height": 192}
    told = edge.client.post(
        f"{edge.base_url}/fal-queue/sandbox/still", json={"prompt": prompt, "image_size": size}, headers=headers
    ).json()
    for _ in range(500):
        answer = edge.client.get(told["response_url"], headers=headers)
        if answer.status_code == 200:
            return answer.json()["images"][0]["url"]
        asyncio.run(asyncio.sleep(0.02))
    raise AssertionError("no still came")


def from_picture(job: Job, vendor: Vendor, catalogue: Catalogue, address: str) -> Job:
    """The job with a start image."""
    order = job.order.model_copy(update={"start_image": address})
    return replace(job, order=order, request=vendor.translate(order, catalogue.named(job.model).wire))


def test_a_submit_is_billed_once_and_ends_in_the_clip_that_was_ordered(
    run: Run, provider: Provider, vendor: Vendor, client: httpx.AsyncClient, edge: Edge, job: Job, tmp_path: Any
) -> None:
    bought = submitted(run, provider, job)
    rendered = run(ended(provider, bought))
    [request] = booked(edge, job)
    assert (request["request_id"], request["wire"]) == (bought.provider_job_id, WIRES.get(vendor.name, vendor.name))
    # What is said is as long as it takes, which is told with the file.
    length_s = rendered.billed_s or job.requested_s
    assert float(request["usd"]) == pytest.approx(float(price(vendor, job)) * length_s / job.requested_s)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(run(client.get(rendered.media_url)).content)
    info = probe(clip)
    assert info.video is not None
    assert (info.video.size, info.duration_s) == ((108, 192), pytest.approx(length_s, abs=0.1))


@at_all_but(*TALKING)
def test_a_clip_starts_from_a_picture(
    run: Run, provider: Provider, vendor: Vendor, catalogue: Catalogue, edge: Edge, job: Job
) -> None:
    moving = from_picture(job, vendor, catalogue, picture(edge, "a hill"))
    assert run(ended(provider, submitted(run, provider, moving))).media_url
    [request] = booked(edge, moving)
    assert Decimal(request["usd"]) == price(vendor, job)


@at_all_but(WORKFLOWS)
def test_sound_is_made_where_it_was_ordered(
    run: Run,
    provider: Provider,
    vendor: Vendor,
    client: httpx.AsyncClient,
    catalogue: Catalogue,
    policy: Policy,
    tmp_path: Any,
) -> None:
    brief = brief_for(vendor.name, "rain on a roof", quality="standard", native_audio=True)
    rendered = run(ended(provider, submitted(run, provider, job_of(brief, catalogue, policy))))
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(run(client.get(rendered.media_url)).content)
    assert probe(clip).audio


@pytest.mark.parametrize(
    ("fault", "kind", "ending"),
    [
        ("refuse_input", FailureKind.MODERATION, Ending.PROMPT_REFUSED),
        ("refuse_output", FailureKind.MODERATION, Ending.OUTPUT_REFUSED),
        ("job_failed", FailureKind.GENERATION, Ending.FAILED),
    ],
)
@at_all_but(WORKFLOWS)
def test_a_job_that_ends_without_a_file_says_why_and_is_billed_as_the_vendor_does(
    run: Run, provider: Provider, edge: Edge, job: Job, fault: str, kind: FailureKind, ending: Ending
) -> None:
    edge.fault(fault)
    with pytest.raises(JobFailed) as failed:
        run(ended(provider, submitted(run, provider, job)))
    assert failed.value.kind is kind
    assert failed.value.ending in (ending, *UNTOLD.get((provider.name, ending), ()))
    assert failed.value.retry_allowed is (kind is not FailureKind.MODERATION)
    [request] = booked(edge, job)
    assert (Decimal(request["usd"]) > 0) is is_billed(provider, failed.value)


WIRES = {"fal_server": "fal"}
"""Whose wire a vendor speaks, where it has none of its own."""

UNTOLD = {(name, Ending.OUTPUT_REFUSED): (Ending.PROMPT_REFUSED,) for name in ("heygen", "higgsfield")}
"""Where a vendor does not tell a refused input from a refused output: what is taken for it."""


@at_all_but(WORKFLOWS, *TALKING)
def test_a_start_image_is_refused_by_what_it_shows(
    run: Run, provider: Provider, vendor: Vendor, catalogue: Catalogue, edge: Edge, job: Job
) -> None:
    shown = picture(edge, "Close-up of a smiling face")
    moving = from_picture(job, vendor, catalogue, shown)
    with pytest.raises(JobFailed) as failed:
        run(ended(provider, submitted(run, provider, moving)))
    assert failed.value.kind is FailureKind.MODERATION
    [request] = booked(edge, moving)
    assert (Decimal(request["usd"]) > 0) is is_billed(provider, failed.value)


@at_all_but(WORKFLOWS, *TALKING)
def test_a_start_image_that_is_none_makes_the_request_invalid(
    run: Run, provider: Provider, vendor: Vendor, catalogue: Catalogue, edge: Edge, job: Job
) -> None:
    broken = from_picture(job, vendor, catalogue, "data:image/png;base64,AAAA")
    with pytest.raises(JobFailed) as failed:
        run(ended(provider, submitted(run, provider, broken)))
    # One that has only one word for all that fails says it of this, too.
    assert failed.value.kind is (FailureKind.GENERATION if vendor.name == "higgsfield" else FailureKind.INVALID)
    [request] = booked(edge, broken)
    assert Decimal(request["usd"]) == 0 and not is_billed(provider, failed.value)


@pytest.mark.parametrize("fault", ["submit_429", "submit_503"])
@at_all_but(WORKFLOWS)
def test_a_refusal_for_now_bought_nothing(run: Run, provider: Provider, edge: Edge, job: Job, fault: str) -> None:
    edge.fault(fault, value=0.25)
    with pytest.raises(NotAccepted) as refused:
        run(provider.submit(job))
    assert refused.value.kind in (FailureKind.TRANSIENT, FailureKind.QUOTA)
    # A gateway of fal's may say so as well, and is believed when the history agrees.
    assert refused.value.documented is (provider.name != "fal")
    assert booked(edge, job) == []


@pytest.mark.parametrize(
    ("fault", "bought"), [("submit_500", 0), ("drop_before_accept", 0), ("drop_after_accept", 1)]
)
def test_a_lost_answer_is_unknown_whether_it_was_bought_or_not(
    run: Run, provider: Provider, edge: Edge, job: Job, fault: str, bought: int
) -> None:
    edge.fault(fault)
    with pytest.raises(SubmitUnknown):
        run(provider.submit(job))
    assert len(booked(edge, job)) == bought


@pytest.mark.parametrize("fault", ["status_500", "unknown_status", "result_503"])
def test_trouble_while_reading_is_not_the_end_of_a_job(
    run: Run, provider: Provider, edge: Edge, job: Job, fault: str
) -> None:
    bought = submitted(run, provider, job)
    edge.fault(fault, times=3)
    assert run(ended(provider, bought)).media_url
    assert len(booked(edge, job)) == 1


def test_nothing_is_bought_where_the_last_moment_says_no(run: Run, provider: Provider, edge: Edge, job: Job) -> None:
    def lost() -> None:
        raise LedgerError("another worker holds the clip")

    with pytest.raises(LedgerError, match="another worker"):
        run(provider.submit(job, before=lost))
    assert booked(edge, job) == []


def test_a_stuck_job_never_ends_and_may_be_given_up(run: Run, provider: Provider, edge: Edge, job: Job) -> None:
    edge.fault("stuck")
    bought = submitted(run, provider, job)
    assert [run(provider.poll(bought)) for _ in range(3)] == [False] * 3
    run(provider.cancel(bought))


def test_a_job_that_the_provider_does_not_know_is_asked_for_again(run: Run, provider: Provider, job: Job) -> None:
    forgotten = with_receipt(job, provider.receipt(job, "00000000-0000-0000-0000-000000000000"))
    if provider.name in OWN:
        with pytest.raises(JobFailed, match="does not know") as failed:
            run(provider.poll(forgotten))
        assert (failed.value.kind, is_billed(provider, failed.value)) == (FailureKind.TRANSIENT, False)
        return
    with pytest.raises(Undecided, match=r"404|UNKNOWN|does not know"):
        run(provider.poll(forgotten))


@pytest.mark.parametrize("given", ["", "one two", "../other", "a-request\n", "-x", "x" * 101])
def test_what_a_person_has_copied_and_is_no_id_is_a_sentence(provider: Provider, job: Job, given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no request id of .*; copy it from its dashboard"):
        provider.receipt(job, given)


@at_all_but(WORKFLOWS)
def test_a_model_that_is_not_there_makes_the_request_invalid(
    run: Run, provider: Provider, vendor: Vendor, catalogue: Catalogue, job: Job
) -> None:
    wire = json.loads(json.dumps(catalogue.named(job.model).wire).replace(job.model, "sandbox/nobody"))
    with pytest.raises(NotAccepted) as refused:
        run(provider.submit(replace(job, request=vendor.translate(job.order, wire))))
    assert refused.value.kind is FailureKind.INVALID


@at_all_but(WORKFLOWS)
def test_no_prompt_makes_the_request_invalid_and_is_not_billed(
    run: Run, provider: Provider, vendor: Vendor, catalogue: Catalogue, edge: Edge, job: Job
) -> None:
    """Some say so at once, some only in the end."""
    nothing = {"script": " "} if vendor.name in TALKING else {"prompt": ""}
    empty = job.order.model_copy(update=nothing)
    wrong = replace(job, request=vendor.translate(empty, catalogue.named(job.model).wire))
    with pytest.raises((NotAccepted, JobFailed)) as refused:
        run(ended(provider, submitted(run, provider, wrong)))
    assert isinstance(refused.value, NotAccepted | JobFailed)
    assert refused.value.kind is FailureKind.INVALID
    assert sum(Decimal(request["usd"]) for request in booked(edge, wrong)) == 0


@at_all_but("fal")
def test_no_vendor_takes_an_order_for_a_picture_that_it_does_not_sell(
    vendor: Vendor, catalogue: Catalogue, job: Job
) -> None:
    still = job.order.model_copy(update={"duration_s": 0.0})
    with pytest.raises(ValueError, match=r"picture|for such an order"):
        vendor.translate(still, catalogue.named(job.model).wire)


def test_a_provider_that_nobody_reaches_has_bought_nothing(
    run: Run, vendor: Vendor, client: httpx.AsyncClient, job: Job, closed_port: int
) -> None:
    provider = vendor.connect_sandbox(f"http://127.0.0.1:{closed_port}", client)
    with pytest.raises(NotAccepted) as refused:
        run(provider.submit(job))
    assert refused.value.kind is FailureKind.TRANSIENT
    bought = with_receipt(job, provider.receipt(job, "00000000-0000-0000-0000-000000000000"))
    for read in (provider.reach(), provider.poll(bought), provider.result(bought)):
        with pytest.raises(Undecided, match="could not be reached"):
            run(read)


@at_all_but(WORKFLOWS)
def test_a_receipt_that_cannot_be_read_is_unknown(
    run: Run, vendor: Vendor, client: httpx.AsyncClient, job: Job
) -> None:
    with answering(200, b"<html>ok</html>") as server, pytest.raises(SubmitUnknown):
        run(vendor.connect_sandbox(server.base_url, client).submit(job))


def test_it_is_reached_for_nothing(run: Run, provider: Provider, edge: Edge) -> None:
    before = len(edge.requests())
    run(provider.reach())
    assert len(edge.requests()) == before


@at_all_but("fal", *OWN)  # fal is reached at a page that anybody may read
def test_without_its_key_no_call_is_answered(run: Run, vendor: Vendor, edge: Edge) -> None:
    """The wire's own authentication: what the adapter sends is needed."""

    async def bare() -> list[int]:
        asked: list[httpx.Request] = []

        async def keep(request: httpx.Request) -> None:
            asked.append(request)

        async with httpx.AsyncClient(trust_env=False, verify=False, event_hooks={"request": [keep]}) as client:
            await vendor.connect_sandbox(edge.base_url, client).reach()
            url = str(asked[0].url)
            answers = [await client.get(url, headers={"Authorization": given}) for given in ("", "Basic x")]
            return [answer.status_code for answer in answers]

    assert run(bare()) == [401, 401]
