"""The sandbox's books: every accepted request and every published video, on disk before anyone is answered.

One sqlite3 connection, used from the server's event loop only. Statements that belong together are one transaction.
Money is the text of a Decimal. Time is UTC in ISO 8601 with microseconds, so that text order is time order.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from video_pipeline.sandbox.orders import Ending, Order, Outcome

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    wire TEXT NOT NULL DEFAULT '',
    client_key TEXT,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL DEFAULT '',
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
    ending TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_request_a_key ON requests (wire, client_key);
CREATE TABLE IF NOT EXISTS expired_media (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS uploads (
    session TEXT PRIMARY KEY,
    wire TEXT NOT NULL DEFAULT '',
    metadata TEXT NOT NULL,
    announced_bytes INTEGER,
    started_at TEXT NOT NULL,
    expired INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS taken_in (
    session TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    processing_s REAL NOT NULL,
    failed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS videos (
    video_id TEXT PRIMARY KEY,
    session TEXT NOT NULL UNIQUE,
    wire TEXT NOT NULL DEFAULT '',
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
    processing_s REAL NOT NULL DEFAULT 1,
    brief_id TEXT,
    clip_id TEXT,
    model TEXT
);
"""
# Version 0 kept each answer as it was sent, and no order: what had not ended then cannot be rendered any more.
_FROM_VERSION_0 = """
ALTER TABLE requests ADD COLUMN wire TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN client_key TEXT;
ALTER TABLE requests ADD COLUMN prompt TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN ending TEXT;
ALTER TABLE uploads ADD COLUMN wire TEXT NOT NULL DEFAULT '';
ALTER TABLE videos ADD COLUMN wire TEXT NOT NULL DEFAULT '';
ALTER TABLE videos ADD COLUMN processing_s REAL NOT NULL DEFAULT 1;
UPDATE requests SET prompt = coalesce(json_extract(input, '$.prompt'), '');
UPDATE requests SET status = 'ended', ending = json_object(
    'outcome', outcome, 'answer', json_object('http_status', http_status, 'body', json(output))
) WHERE status = 'COMPLETED';
UPDATE requests SET status = 'ended', outcome = 'failed', usd = '0', ended_at = coalesce(started_at, accepted_at),
    started_at = coalesce(started_at, accepted_at), ending = json_object(
    'outcome', 'failed', 'cause', 'farm', 'reason', 'An earlier release of the sandbox accepted it and never ended it'
) WHERE status != 'ended';
"""


class Progress(StrEnum):
    """How far a request has come."""

    WAITING = "waiting"
    RENDERING = "rendering"
    ENDED = "ended"


@dataclass(frozen=True)
class BookedRequest:
    """A request as the books have it. Times are ISO 8601; `usd` is what is booked for it now."""

    request_id: str
    wire: str
    endpoint: str
    prompt: str
    input: dict[str, Any]
    usd: Decimal
    accepted_at: str
    started_at: str | None
    ended_at: str | None
    progress: Progress
    plan: dict[str, Any]
    """What the farm decided on acceptance."""
    ending: Ending | None

    @property
    def order(self) -> Order:
        return Order.from_json(self.plan["order"])

    @property
    def subjects(self) -> tuple[str, ...]:
        """The texts in which a fault's `match` is looked for."""
        return self.endpoint, self.prompt, self.request_id

    @property
    def render_s(self) -> float:
        """Seconds from the start of an ended request to its end."""
        assert self.started_at and self.ended_at, "only for requests that have ended"
        return (parse_stamp(self.ended_at) - parse_stamp(self.started_at)).total_seconds()


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
        [version] = self.database.execute("PRAGMA user_version").fetchone()
        old = version == 0 and self.one("SELECT 1 FROM sqlite_schema WHERE name = 'requests'") is not None
        upgrade = _FROM_VERSION_0 if old else ""
        self.database.executescript(f"BEGIN IMMEDIATE; {upgrade}{_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

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

    # --- requests --------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """The number that the next accepted request will get, from 1."""
        [number] = self.database.execute("SELECT coalesce(max(number), 0) + 1 FROM requests").fetchone()
        return number

    def request(self, request_id: str) -> BookedRequest | None:
        row = self.one("SELECT * FROM requests WHERE request_id = ?", request_id)
        return _booked(row) if row else None

    def request_of_key(self, wire: str, client_key: str) -> BookedRequest | None:
        """The request that was accepted under an idempotency key."""
        row = self.one("SELECT * FROM requests WHERE wire = ? AND client_key = ?", wire, client_key)
        return _booked(row) if row else None

    def unfinished(self) -> list[str]:
        """Ids of the requests that were accepted and have no end yet, oldest first."""
        rows = self.all("SELECT request_id FROM requests WHERE status != ? ORDER BY number", Progress.ENDED)
        return [row["request_id"] for row in rows]

    def requests(self, wires: Sequence[str]) -> list[BookedRequest]:
        """Every request that came through these wires, oldest first."""
        marks = ", ".join("?" * len(wires))
        rows = self.all(f"SELECT * FROM requests WHERE wire IN ({marks}) ORDER BY number", *wires)
        return [_booked(row) for row in rows]

    def listed(
        self, wires: Sequence[str], endpoint: str, *, start: str, end: str, limit: int, offset: int
    ) -> list[BookedRequest]:
        """An endpoint's requests accepted from `start` to before `end` that the listing shows yet, newest first."""
        marks = ", ".join("?" * len(wires))
        rows = self.all(
            f"SELECT * FROM requests WHERE wire IN ({marks}) AND endpoint = ? AND accepted_at >= ?"
            " AND accepted_at < ? AND listed_at <= ? ORDER BY number DESC LIMIT ? OFFSET ?",
            *(*wires, endpoint, start, end, stamp(now()), limit, offset),
        )
        return [_booked(row) for row in rows]

    def start(self, request_id: str) -> None:
        self.database.execute(
            "UPDATE requests SET status = ?, started_at = ? WHERE request_id = ?",
            (Progress.RENDERING, stamp(now()), request_id),
        )

    def finish(self, request_id: str, ending: Ending, *, usd: Decimal | None) -> bool:
        """Ends a request that has no end yet; `usd` replaces what is booked for it, None leaves it.

        Whether it had none yet.
        """
        moment = stamp(now())
        # The books have one word for what did not come off, whoever was at fault.
        outcome = Outcome.FAILED if ending.outcome is Outcome.INVALID else ending.outcome
        changed = self.database.execute(
            "UPDATE requests SET status = ?, outcome = ?, ending = ?, ended_at = ?,"
            " started_at = coalesce(started_at, ?), usd = coalesce(?, usd)"
            " WHERE request_id = ? AND ending IS NULL",
            (
                Progress.ENDED,
                outcome,
                json.dumps(ending.as_json()),
                moment,
                moment,
                None if usd is None else str(usd),
                request_id,
            ),
        )
        return changed.rowcount == 1

    # --- the books as people and tests read them -----------------------------------------------------------------

    def as_json(self, day: str | None) -> dict[str, list[dict[str, Any]]]:
        """Requests and videos in the order they came, of one UTC day or of all."""
        prefix = f"{day or ''}%"
        requests = self.all("SELECT * FROM requests WHERE accepted_at LIKE ? ORDER BY number", prefix)
        videos = self.all("SELECT * FROM videos WHERE published_at LIKE ? ORDER BY published_at, video_id", prefix)
        return {
            "requests": [_request_entry(row) for row in requests],
            "videos": [_video_entry(row) for row in videos],
        }


def _booked(row: sqlite3.Row) -> BookedRequest:
    return BookedRequest(
        request_id=row["request_id"],
        wire=row["wire"],
        endpoint=row["endpoint"],
        prompt=row["prompt"],
        input=json.loads(row["input"]),
        usd=Decimal(row["usd"]),
        accepted_at=row["accepted_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        progress=Progress(row["status"]),
        plan=json.loads(row["plan"]),
        ending=Ending.from_json(json.loads(row["ending"])) if row["ending"] else None,
    )


def _request_entry(row: sqlite3.Row) -> dict[str, Any]:
    kept = (
        "request_id",
        "wire",
        "endpoint",
        "model",
        "prompt",
        "list_usd",
        "usd",
        "seconds",
        "accepted_at",
        "ended_at",
        "outcome",
    )
    plan = json.loads(row["plan"])
    return {name: row[name] for name in kept} | {"input": json.loads(row["input"]), "faults": list(plan["faults"])}


def _video_entry(row: sqlite3.Row) -> dict[str, Any]:
    kept = (
        "video_id",
        "session",
        "wire",
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
