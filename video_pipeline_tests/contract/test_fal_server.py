"""A server of one's own with fal's wire: connected by its address, never in doubt, and forgetful."""

from pathlib import Path

import httpx
import pytest

from video_pipeline.clips import ClipStatus
from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.providers import NotAccepted
from video_pipeline.generation.providers.fal import FalServer
from video_pipeline.ledger import FailureKind, Job, Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.settings import Settings
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.vendors import rendered_by_fal_server
from video_pipeline_tests.generation.stage import Stage, quick

URL = "VIDEO_PIPELINE_FAL_SERVER_URL"
VENDOR = PROVIDERS[FalServer.name]


@pytest.fixture
def catalogue(sandbox_catalogue: Catalogue) -> Catalogue:
    return rendered_by_fal_server(sandbox_catalogue)


@pytest.fixture
def job(request: pytest.FixtureRequest, catalogue: Catalogue, policy: Policy) -> Job:
    return job_of(brief_of(f"a quarry, {request.node.name}"), catalogue, policy)


@pytest.fixture
def stage(ledger: Ledger, edge: Edge, catalogue: Catalogue, policy: Policy, tmp_path: Path) -> Stage:
    return Stage(ledger, LocalStore(tmp_path), edge, catalogue, quick(policy), providers=(VENDOR.name,))


def at(url: str, client: httpx.AsyncClient) -> FalServer:
    provider = VENDOR.connect(VENDOR.section(url=url), client)
    assert isinstance(provider, FalServer)
    return provider


def test_its_address_alone_connects_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: httpx.AsyncClient):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(URL, raising=False)
    settings = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]  # pydantic-settings takes it too
    assert not settings.section(VENDOR.section).connected(VENDOR.name)
    monkeypatch.setenv(URL, "http://10.0.0.7:8000/queue")
    section = settings.section(VENDOR.section)
    assert section.connected(VENDOR.name)
    provider = VENDOR.connect(section, client)
    assert provider is not None
    assert provider.trusted_origins == {"http://10.0.0.7:8000"}, "its files may be fetched from a private address"


@pytest.mark.parametrize("fault", ["submit_500", "drop_before_accept"])
def test_a_submit_that_was_lost_is_sent_again_and_nobody_is_asked(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault)
    clip = stage.one(brief_of("A quarry at noon"))
    assert clip.status is ClipStatus.GENERATED
    assert [job.failure_kind for job in stage.jobs()] == [None]
    stage.check_books()


def test_what_it_says_is_believed_as_nobody_is_on_the_way(run: Run, client: httpx.AsyncClient, job: Job) -> None:
    for status, kind in ((503, FailureKind.TRANSIENT), (400, FailureKind.INVALID)):
        with answering(status, b'{"detail": "no"}') as server, pytest.raises(NotAccepted) as refused:
            run(at(server.base_url, client).submit(job))
        assert (refused.value.kind, refused.value.documented) == (kind, True)
