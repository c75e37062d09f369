"""The sandbox's books: every request it accepted, every video it published, on disk before anyone is answered.

One sqlite3 connection, used from the server's event loop only; what belongs together is one transaction. Money is
kept as the text of a Decimal, time as UTC in ISO 8601 with microseconds (so that text order is time order).
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    input TEXT NOT NULL,
    seconds TEXT NOT NULL,
    list_usd TEXT NOT NULL,
    usd TEXT NOT NULL,
    accepted_at TEXT NOT NULL,
    listed_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    status TEXT NOT NULL,
    outcome TEXT NOT NULL,
    plan TEXT NOT NULL,
    http_status INTEGER,
    output TEXT
);
CREATE TABLE IF NOT EXISTS expired_media (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS uploads (
    session TEXT PRIMARY KEY,
    metadata TEXT NOT NULL,
    announced_bytes INTEGER,
    started_at TEXT NOT NULL,
    expired INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS videos (
    video_id TEXT PRIMARY KEY,
    session TEXT NOT NULL UNIQUE,
    metadata TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,
    privacy_status TEXT NOT NULL,
    contains_synthetic_media INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    playable INTEGER NOT NULL,
    published_at TEXT NOT NULL,
    brief_id TEXT,
    clip_id TEXT,
    model TEXT
);
"""


def now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_stamp(text: str) -> datetime:
    """A moment from ISO 8601, UTC where no zone is given. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Books:
    """What was accepted, billed, uploaded and published."""

    def __init__(self, path: Path) -> None:
        # Autocommit; `transaction` opens one where several statements belong together.
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        # A committed row must outlive SIGKILL; with WAL that holds at NORMAL (only a power cut could lose the tail).
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = NORMAL")
        self.database.executescript(_SCHEMA)

    def close(self) -> None:
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def insert(self, table: str, **values: Any) -> None:
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        self.database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(values.values()))

    def one(self, statement: str, *values: Any) -> sqlite3.Row | None:
        return self.database.execute(statement, values).fetchone()

    def all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        return self.database.execute(statement, values).fetchall()

    def request(self, request_id: str) -> sqlite3.Row | None:
        return self.one("SELECT * FROM requests WHERE request_id = ?", request_id)

    def unfinished(self) -> list[str]:
        """Ids of the requests that were accepted and have no end yet, oldest first."""
        rows = self.all("SELECT request_id FROM requests WHERE status != 'COMPLETED' ORDER BY number")
        return [row["request_id"] for row in rows]

    def start(self, request_id: str) -> None:
        self.database.execute(
            "UPDATE requests SET status = 'IN_PROGRESS', started_at = ? WHERE request_id = ?",
            (stamp(now()), request_id),
        )

    def finish(self, request_id: str, outcome: str, http_status: int, output: Any, *, usd: Decimal | None) -> None:
        """Ends a request that has no end yet; `usd` replaces what is booked for it, None leaves it."""
        moment = stamp(now())
        self.database.execute(
            "UPDATE requests SET status = 'COMPLETED', outcome = ?, http_status = ?, output = ?, ended_at = ?,"
            " started_at = coalesce(started_at, ?), usd = coalesce(?, usd)"
            " WHERE request_id = ? AND status != 'COMPLETED'",
            (
                outcome,
                http_status,
                json.dumps(output),
                moment,
                moment,
                None if usd is None else str(usd),
                request_id,
            ),
        )

    def as_json(self, day: str | None) -> dict[str, list[dict[str, Any]]]:
        """Requests and videos in the order they came, of one UTC day or of all."""
        prefix = f"{day or ''}%"
        requests = self.all("SELECT * FROM requests WHERE accepted_at LIKE ? ORDER BY number", prefix)
        videos = self.all("SELECT * FROM videos WHERE published_at LIKE ? ORDER BY published_at, video_id", prefix)
        return {
            "requests": [_request_entry(row) for row in requests],
            "videos": [_video_entry(row) for row in videos],
        }


def _request_entry(row: sqlite3.Row) -> dict[str, Any]:
    kept = ("request_id", "endpoint", "model", "list_usd", "usd", "seconds", "accepted_at", "ended_at", "outcome")
    plan = json.loads(row["plan"])
    return {name: row[name] for name in kept} | {"input": json.loads(row["input"]), "faults": list(plan["faults"])}


def _video_entry(row: sqlite3.Row) -> dict[str, Any]:
    kept = (
        "video_id",
        "session",
        "title",
        "description",
        "sha256",
        "bytes",
        "published_at",
        "brief_id",
        "clip_id",
        "model",
    )
    return {name: row[name] for name in kept} | {
        "tags": json.loads(row["tags"]),
        "privacyStatus": row["privacy_status"],
        "containsSyntheticMedia": bool(row["contains_synthetic_media"]),
    }
