"""A stage with a clean ledger and store for each test; the books are compared after each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.generation.stage import Stage, quick


@pytest.fixture
def stage(
    ledger: Ledger, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, tmp_path: Path
) -> Iterator[Stage]:
    """Whatever a test does, in the end the ledger and the sandbox agree about every cent."""
    stage = Stage(ledger, LocalStore(tmp_path / "store"), edge, sandbox_catalogue, quick(policy))
    yield stage
    stage.check_books()
