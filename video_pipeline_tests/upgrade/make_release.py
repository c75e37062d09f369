"""Writes what a release leaves behind, for the upgrade test of the releases after it; run with the release's code.

    python -m video_pipeline_tests.upgrade.make_release 0.2.0

`upgrade/releases/<version>/` gets the ledger as SQL, the sandbox's books, the files of store, sandbox and inbox, and
what the ledger means. `golden/<version>/` gets a Parquet file for each table asset. docs/ledger.md says when.
"""

import argparse
import gzip
import json
import re
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel

from video_pipeline import sandbox
from video_pipeline.ledger import JobState, Ledger
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline.storage import read_rows, write_rows
from video_pipeline_tests.conftest import stop_embedded
from video_pipeline_tests.integration.conftest import House
from video_pipeline_tests.integration.small_day import sandbox_books
from video_pipeline_tests.upgrade.meaning import meaning_of
from video_pipeline_tests.upgrade.release_days import LANTERN, MONDAY, RELEASE_DAYS, WEDNESDAY, live_through
from video_pipeline_tests.upgrade.row_types import models_in, row_types

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden"
RELEASES = TESTS / "upgrade" / "releases"
SANDBOX_URL = "http://the-sandbox"
"""Stands in the files for the address of the sandbox, which is another one wherever a release is restored."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("--table", action="append", help="write the golden file of this asset only; may be repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)
        # As root the embedded Postgres runs as a user of its own, who has to get in.
        folder.chmod(0o755)
        house = House(folder, embedded_url(folder / "state" / "ledger"))
        try:
            live_through(house)
            _write_golden(folder / "state" / "store" / "tables", GOLDEN / options.version, options.table)
            if not options.table:
                _write_release(house, RELEASES / options.version)
        finally:
            house.close()
            stop_embedded(folder / "state" / "ledger")


def _write_golden(tables: Path, target: Path, chosen: list[str] | None) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for asset, row_type in row_types().items():
        if chosen and asset not in chosen:
            continue
        rows = [
            row
            for file in sorted(tables.glob(f"{asset}/*.parquet"))
            for row in read_rows(row_type, file.read_bytes())
        ]
        kept = _telling(rows)
        assert kept, f"the release's days have no row of {asset}"
        (target / f"{asset}.parquet").write_bytes(write_rows(row_type, kept))


def _telling(rows: Sequence[BaseModel]) -> list[BaseModel]:
    """The rows that show something that none before them did: a field given, empty, left out, or otherwise given."""
    seen: set[str] = set()
    kept = []
    for row in (*rows, *(_bare(row) for row in rows)):
        shown = set(_shown("", row.model_dump(mode="json", exclude_unset=True)))
        for model in models_in(row):
            shown |= {
                f"{type(model)} without {name}" for name in set(type(model).model_fields) - model.model_fields_set
            }
        if not shown <= seen:
            kept.append(row)
            seen |= shown
    return kept


def _bare(row: BaseModel) -> BaseModel:
    """The same row that says nothing which a default says."""
    return type(row).model_validate_json(row.model_dump_json(exclude_defaults=True))


def _shown(name: str, value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _shown(f"{name}.{key}", inner)
    elif isinstance(value, list):
        yield f"{name} {bool(value)}"
        for inner in value:
            yield from _shown(f"{name}[]", inner)
    else:
        # Closed vocabularies are short words; other values only show that they are given.
        told = value if isinstance(value, bool) or value is None else type(value).__name__
        yield f"{name} {value if name.endswith(('status', 'state', 'kind', 'quality')) else told}"


def _write_release(house: House, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    services = house.services
    url = services.sandbox.base_url
    stored = {job.provider_job_id for job in services.ledger.jobs.in_state(JobState.ACCEPTED, JobState.REJECTED)}
    not_fetched = {request["request_id"] for request in sandbox_books(url)["requests"]} - stored
    meaning = meaning_of(services.ledger, RELEASE_DAYS, services.policy.scoring)
    media = set(_media_that_is_needed(services.ledger))
    state = house.folder / "state"
    sandbox.stop(state / "sandbox")

    def placed(text: str) -> bytes:
        return text.replace(url, SANDBOX_URL).encode()

    _pack(target / "meaning.json.gz", placed(json.dumps(meaning, indent=1, sort_keys=True) + "\n"))
    _pack(target / "ledger.sql.gz", placed(_ledger_sql(state / "ledger")))
    with sqlite3.connect(state / "sandbox" / "books.sqlite3") as books:
        open_sessions = [
            row[0]
            for row in books.execute("SELECT session FROM uploads WHERE session NOT IN (SELECT session FROM videos)")
        ]
        _pack(target / "sandbox.sql.gz", placed("\n".join(books.iterdump())))
    kept = [state / "sandbox" / "uploads" / f"{session}.mp4" for session in open_sessions]
    kept += [file for name in not_fetched for file in (state / "sandbox" / "media").glob(f"{name}_*")]
    kept += [state / "store" / key for key in (*services.store.list("tables/"), *media)]
    kept += [file for file in house.inbox.rglob("*") if file.is_file()]
    with tarfile.open(target / "files.tar.xz", "w:xz") as archive:
        for file in sorted(file for file in kept if file.exists()):
            archive.add(file, file.relative_to(house.folder))


def _media_that_is_needed(ledger: Ledger) -> Iterable[str]:
    """Keys of what the days after the release use: the clip that is made again, and what is not published yet.

    All the clips of a release would be too heavy for a repository.
    """
    again = f"{MONDAY}/{LANTERN['brief_id']}"
    unpublished = ledger.publications.of_days(WEDNESDAY, WEDNESDAY)
    wanted = {again, *(row.clip_id for row in unpublished)}
    yield from (row.media_key for row in unpublished)
    for job in ledger.jobs.in_state(JobState.ACCEPTED):
        if job.clip_id in wanted and job.media_key:
            yield job.media_key
    yield from (row.media_key for row in ledger.publications.of_days(MONDAY, MONDAY) if row.clip_id == again)


def _ledger_sql(folder: Path) -> str:
    """The database as statements that any client can run, without psql's own."""
    url = embedded_url(folder).replace("postgresql+psycopg://", "postgresql://")
    pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
    pg_dump = Path(psutil.Process(pid).exe()).with_name("pg_dump")
    options = ["--no-owner", "--no-privileges", "--rows-per-insert=100"]
    dump = subprocess.run([pg_dump, *options, url], check=True, capture_output=True, text=True).stdout
    # psql's own commands, and a setting that servers older than the embedded one do not know.
    return re.sub(r"^(\\(un)?restrict .*|SET transaction_timeout = .*)$", "", dump, flags=re.MULTILINE)


def _pack(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    main()
