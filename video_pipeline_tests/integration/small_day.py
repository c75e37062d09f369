"""A production day small enough for a test: short waits, small pictures, a second of each; and both sides' books."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import yaml

from video_pipeline.ledger import Ledger, PublicationState

# Pictures are rendered at 108x192 and delivered four times as large, which is what the network does by itself.
SMALL_POLICY: dict[str, dict[str, Any]] = {
    "intake": {"settle_s": 0.0},
    "routing": {"delivered_short_side": 432},
    "generation": {
        "providers": {"fal": {"poll_interval_s": 0.1}},
        "moderation_verdict_s": 0.3,
        "backoff_s": [0.1, 0.2, 0.4],
        "lookup_wait_s": 0.3,
        "lease_s": 10.0,
    },
}


def a_brief(name: str, **fields: Any) -> dict[str, Any]:
    """A second of a cheap clip for one platform; its prompt, and so its picture, is its own."""
    return {
        "brief_id": name,
        "title": name.replace("-", " ").capitalize(),
        "platforms": ["youtube_shorts"],
        "prompt": f"Waves of coloured light over the {name}, drifting slowly",
        "duration_s": 1,
        "quality": "draft",
        "visual_complexity": 0.4,
        "hook": "open",
        "style": "light",
    } | fields


def drop(inbox: Path, day: date, *briefs: dict[str, Any]) -> None:
    """Put `briefs` into the inbox's folder of `day`, one file each."""
    folder = inbox / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    for brief in briefs:
        (folder / f"{brief['brief_id']}.yaml").write_text(yaml.safe_dump(brief))


def write_policy(path: Path, overrides: dict[str, dict[str, Any]] | None = None) -> Path:
    """The small policy with the sections of `overrides` laid over it."""
    document = {name: dict(section) for name, section in SMALL_POLICY.items()}
    for name, section in (overrides or {}).items():
        document[name] = document.get(name, {}) | section
    path.write_text(yaml.safe_dump(document))
    return path


def sandbox_books(base_url: str) -> dict[str, list[dict[str, Any]]]:
    """What the sandbox says that it was asked and has published, of all days."""
    return httpx.get(f"{base_url}/_sandbox/books", timeout=30, trust_env=False).raise_for_status().json()


def assert_books_agree(ledger: Ledger, base_url: str) -> None:
    """What the sandbox billed and published is what the ledger says, at the same prices; nothing twice."""
    books = sandbox_books(base_url)
    billed = [request for request in books["requests"] if Decimal(request["usd"]) > 0]
    with_us = ledger.jobs.billed_between(datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    theirs = {request["request_id"]: Decimal(request["usd"]) for request in billed}
    assert {job.provider_job_id: job.billed_usd for job in with_us} == theirs
    assert len(with_us) == len(theirs), "a provider's job stands in two rows of the ledger"
    inputs = [(request["endpoint"], str(sorted(request["input"].items()))) for request in billed]
    assert len(set(inputs)) == len(inputs), "the same clip was bought twice"
    published = ledger.publications.in_state(PublicationState.PUBLISHED)
    assert sorted(row.remote_id or "" for row in published) == sorted(video["video_id"] for video in books["videos"])
    clips = [(video["wire"], video["clip_id"]) for video in books["videos"]]
    assert len(set(clips)) == len(clips), "a clip was published twice"
