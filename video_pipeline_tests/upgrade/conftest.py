"""A house that the last release has lived in: its ledger, its store and its sandbox, opened by today's code."""

import gzip
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from video_pipeline import sandbox
from video_pipeline_tests.conftest import NewDatabase
from video_pipeline_tests.integration.conftest import House
from video_pipeline_tests.integration.small_day import sandbox_books
from video_pipeline_tests.upgrade.make_release import RELEASES, SANDBOX_URL
from video_pipeline_tests.upgrade.meaning import meaning_of
from video_pipeline_tests.upgrade.release_days import RELEASE_DAYS

LAST_RELEASE = max(RELEASES.iterdir(), key=lambda folder: [int(part) for part in folder.name.split(".")])


@dataclass(frozen=True)
class Upgraded:
    """The house as it was found; `meant` is the ledger's meaning to the release, `means` the one to today's code."""

    house: House
    meant: dict[str, Any]
    means: dict[str, Any]
    books: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def upgraded(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    release = LAST_RELEASE
    folder, url = tmp_path_factory.mktemp("house"), new_database()
    base_url = _restore(release, folder, url)
    house = House(folder, url)
    try:
        means = meaning_of(house.services.ledger, RELEASE_DAYS, house.services.policy.scoring)
        assert house.services.sandbox.base_url == base_url
        yield Upgraded(
            house, json.loads(_placed(release / "meaning.json.gz", base_url)), means, sandbox_books(base_url)
        )
    finally:
        house.close()


def _restore(release: Path, folder: Path, ledger_url: str) -> str:
    """Lay the release out in `folder` and in the empty database; the address of the sandbox from now on."""
    state = folder / "state"
    # The first start takes a free port, which the later ones keep.
    base_url = sandbox.ensure_running(state / "sandbox").base_url
    sandbox.stop(state / "sandbox")
    with tarfile.open(release / "files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    books = state / "sandbox" / "books.sqlite3"
    for file in books.parent.glob(f"{books.name}*"):
        file.unlink()
    connection = sqlite3.connect(books)
    connection.executescript(_placed(release / "sandbox.sql.gz", base_url))
    connection.close()
    engine = create_engine(ledger_url)
    with engine.begin() as opened:
        opened.exec_driver_sql(_placed(release / "ledger.sql.gz", base_url).replace("%", "%%"))
    engine.dispose()
    return base_url


def _placed(file: Path, base_url: str) -> str:
    """The file's text with the address of this sandbox in it."""
    data = file.read_bytes()
    return (gzip.decompress(data) if file.suffix == ".gz" else data).decode().replace(SANDBOX_URL, base_url)
