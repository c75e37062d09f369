"""One sandbox for the room, and a stage with a clean ledger and store a test; the books are compared after each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge, running_edge
from video_pipeline_tests.generation.stage import Stage, quick


@pytest.fixture(scope="package")
def room_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture
def edge(room_edge: Edge) -> Iterator[Edge]:
    """The room's sandbox, without faults left over from another test."""
    yield room_edge
    room_edge.clear_faults()


@pytest.fixture
def stage(
    ledger: Ledger, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, tmp_path: Path
) -> Iterator[Stage]:
    """Whatever a test does, in the end the ledger and the sandbox agree about every cent."""
    stage = Stage(ledger, LocalStore(tmp_path / "store"), edge, sandbox_catalogue, quick(policy))
    yield stage
    stage.check_books()
