"""A ledger for tests that are many and small and each use rows of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from video_pipeline.ledger import Ledger, open_ledger
from video_pipeline_tests.conftest import NewDatabase


@pytest.fixture(scope="module")
def ledger_of_module(new_database: NewDatabase, embedded_folder: Path) -> Iterator[Ledger]:
    """A ledger that the tests of a module share; each takes names that no other uses."""
    opened = open_ledger(new_database(), embedded_dir=embedded_folder)
    yield opened
    opened.close()
