"""The ledger's server dies under a day in work: the others go on, nothing is twice, and the next run ends it."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from video_pipeline import checkpoints
from video_pipeline.clips import ClipStatus
from video_pipeline.errors import LedgerError
from video_pipeline.ledger import JobState, Ledger, open_ledger
from video_pipeline.ledger.schema import metadata
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.conftest import stop_embedded
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, quick, sent

_POINTS = ("generation.reserved", "generation.submitting", "generation.rendered", "generation.stored")


@pytest.fixture(scope="module")
def home(embedded_folder: Path) -> Iterator[Path]:
    """The folder of a ledger server that only this module's tests kill."""
    folder = embedded_folder / "dying"
    yield folder
    stop_embedded(folder)


@pytest.fixture
def own(home: Path) -> Iterator[Ledger]:
    ledger = open_ledger(None, embedded_dir=home)
    with ledger.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))
    yield ledger
    ledger.close()


@pytest.fixture
def stage(own: Ledger, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(own, LocalStore(tmp_path / "store"), edge, sandbox_catalogue, quick(policy))
    yield stage
    stage.check_books()


def _kill_server(home: Path) -> None:
    """The whole server at once, as a machine without memory left does it."""
    postmaster = psutil.Process(int((home / "postmaster.pid").read_text().split()[0]))
    for process in (postmaster, *postmaster.children()):
        process.kill()


@pytest.mark.crash
@pytest.mark.parametrize("point", _POINTS)
def test_a_server_that_dies_stops_no_clip_for_good(
    stage: Stage, home: Path, point: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[str] = []

    def kill_once(name: str) -> None:
        if name == point and not killed:
            killed.append(name)
            _kill_server(home)

    monkeypatch.setattr(checkpoints, "on_reach", kill_once)
    briefs = [brief_of(f"{point} {n} at dawn", brief_id=f"clip-{n}") for n in range(3)]
    stage.generate(*briefs, limit_s=60)
    assert killed
    again = stage.generate(*briefs, limit_s=60)
    assert {clip.status for clip in again} == {ClipStatus.GENERATED}
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.crash
def test_a_server_that_cannot_be_started_again_ends_the_day_with_one_sentence(
    stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    aside = home.with_name("aside")

    def take_away(name: str) -> None:
        if name == "generation.submitted" and not aside.exists():
            _kill_server(home)
            home.rename(aside)
            home.touch()

    briefs = [brief_of(f"a gone ledger {number} at dawn", brief_id=f"clip-{number}") for number in range(3)]
    try:
        with monkeypatch.context() as patched, pytest.raises(LedgerError, match="did not start"):
            patched.setattr(checkpoints, "on_reach", take_away)
            stage.generate(*briefs, limit_s=60)
    finally:
        home.unlink()
        aside.rename(home)
    assert not [record for record in caplog.records if record.exc_info]
    with stage.ledger.engine.connect() as connection:
        # The leases that could not be given back; a new process would see that their owners are dead.
        connection.execute(text("DELETE FROM leases"))
        connection.commit()
    bought = [request["input"] for request in stage.requests]
    # Those whose intent is committed and that were not sent: this process knows it, and had nowhere to write it down.
    unsaid = {job.clip_id for job in stage.ledger.jobs.in_state(JobState.SUBMITTING) if sent(job) not in bought}
    again = stage.generate(*briefs, limit_s=60)
    assert {clip.clip_id for clip in again if clip.status is ClipStatus.REVIEW} == unsaid
    assert all(clip.status is ClipStatus.GENERATED for clip in again if clip.clip_id not in unsaid)
