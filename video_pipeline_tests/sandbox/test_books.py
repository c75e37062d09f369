"""The books over releases: what an earlier sandbox wrote is read, and goes on being answered for."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from video_pipeline.sandbox import ensure_running, stop
from video_pipeline_tests.sandbox.conftest import Client

# The tables of version 0, as it made them.
VERSION_0 = """
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, model TEXT NOT NULL,
    input TEXT NOT NULL, seconds TEXT NOT NULL, list_usd TEXT NOT NULL, usd TEXT NOT NULL, accepted_at TEXT NOT NULL,
    listed_at TEXT NOT NULL, started_at TEXT, ended_at TEXT, status TEXT NOT NULL, outcome TEXT NOT NULL,
    plan TEXT NOT NULL, http_status INTEGER, output TEXT
);
CREATE TABLE expired_media (name TEXT PRIMARY KEY);
CREATE TABLE uploads (
    session TEXT PRIMARY KEY, metadata TEXT NOT NULL, announced_bytes INTEGER, started_at TEXT NOT NULL,
    expired INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE videos (
    video_id TEXT PRIMARY KEY, session TEXT NOT NULL UNIQUE, metadata TEXT NOT NULL, title TEXT NOT NULL,
    description TEXT NOT NULL, tags TEXT NOT NULL, privacy_status TEXT NOT NULL,
    contains_synthetic_media INTEGER NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
    playable INTEGER NOT NULL, published_at TEXT NOT NULL, brief_id TEXT, clip_id TEXT, model TEXT
);
"""
AT = "2026-11-20T08:00:00.000000Z"
SNIPPET = {"title": "An old film", "description": "", "tags": []}
ENDED, WAITING = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


def write_version_0(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript(VERSION_0)
    plan = json.dumps({"refusal": None, "moderated": False, "faults": {}})
    body = json.dumps({"prompt": "hills", "duration": 1})
    answer = json.dumps({"video": {"url": "http://127.0.0.1:1/media/x_0.mp4"}, "seed": 3})
    for request_id, status, outcome, http_status, output, ended_at in (
        (ENDED, "COMPLETED", "completed", 200, answer, AT),
        (WAITING, "IN_PROGRESS", "queued", None, None, None),
    ):
        row = (request_id, "sandbox/sprint/text-to-video", "sandbox/sprint", body, "1", "0.022", "0.022", AT, AT, AT)
        rest = (ended_at, status, outcome, plan, http_status, output)
        database.execute(f"INSERT INTO requests VALUES (NULL, {', '.join('?' * 16)})", row + rest)
    metadata = json.dumps({"snippet": SNIPPET, "status": {}})
    for session in ("published", "open"):
        database.execute("INSERT INTO uploads VALUES (?, ?, NULL, ?, 0)", (session, metadata, AT))
    video = ("old-video", "published", metadata, "An old film", "", "[]", "public", 1, "0", 8, 1, AT)
    database.execute("INSERT INTO videos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)", video)
    database.commit()
    database.close()


@pytest.fixture
def old_sandbox(tmp_path: Path) -> Iterator[Client]:
    write_version_0(tmp_path / "books.sqlite3")
    client = Client(ensure_running(tmp_path).base_url)
    yield client
    client.close()
    stop(tmp_path)


def test_requests_of_an_earlier_release_are_answered_for(old_sandbox: Client) -> None:
    root = f"{old_sandbox.base_url}/fal-queue/sandbox/sprint/requests"
    assert old_sandbox.fal.get(f"{root}/{ENDED}/status").json()["status"] == "COMPLETED"
    assert old_sandbox.fal.get(f"{root}/{ENDED}").json()["seed"] == 3
    failed = old_sandbox.fal.get(f"{root}/{WAITING}")
    assert (failed.status_code, failed.json()["detail"][0]["type"]) == (500, "internal_server_error")
    assert [(entry["outcome"], entry["usd"]) for entry in old_sandbox.books()["requests"]] == [
        ("completed", "0.022"),
        ("failed", "0"),
    ]
    assert old_sandbox.make("sandbox/sprint/text-to-video", prompt="waves", duration=1).status_code == 200


def test_videos_and_sessions_of_an_earlier_release_go_on(old_sandbox: Client) -> None:
    videos = f"{old_sandbox.base_url}/youtube/youtube/v3/videos"
    [item] = old_sandbox.google.get(videos, params={"id": "old-video", "part": "snippet,status"}).json()["items"]
    assert (item["snippet"]["title"], item["status"]["uploadStatus"]) == ("An old film", "processed")
    session = f"{old_sandbox.base_url}/youtube/upload/youtube/v3/videos?upload_id=open"
    assert old_sandbox.google.put(session, content=b"0000ftyp").status_code == 200
    assert len(old_sandbox.books()["videos"]) == 2
