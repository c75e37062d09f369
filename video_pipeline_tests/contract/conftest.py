"""The adapters over real connections to the sandbox."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest

from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.ledger import Job, Receipt
from video_pipeline.policy import Policy
from video_pipeline.publishing.platforms.instagram import InstagramReels
from video_pipeline.publishing.platforms.youtube import YouTubeShorts
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of

_T = TypeVar("_T")
Run = Callable[[Coroutine[Any, Any, _T]], _T]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs a coroutine to its end, all of a test's on one event loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def client(run: Run) -> Iterator[httpx.AsyncClient]:
    opened = httpx.AsyncClient(timeout=10, trust_env=False, verify=False)
    yield opened
    run(opened.aclose())


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, held so that nobody else can either."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def fal(edge: Edge, client: httpx.AsyncClient) -> FalProvider:
    return edge.fal(client)


@pytest.fixture
def youtube(edge: Edge) -> YouTubeShorts:
    return edge.youtube()


@pytest.fixture
def instagram(edge: Edge) -> InstagramReels:
    return edge.instagram()


@pytest.fixture
def job(request: pytest.FixtureRequest, sandbox_catalogue: Catalogue, policy: Policy) -> Job:
    """A planned one-second video that no other test has ordered."""
    return job_of(brief_of(f"waves on a beach, {request.node.name}"), sandbox_catalogue, policy)


def with_receipt(job: Job, receipt: Receipt) -> Job:
    """The job as the ledger keeps it after a submit."""
    return replace(job, provider_job_id=receipt.provider_job_id, receipt=receipt.document)
