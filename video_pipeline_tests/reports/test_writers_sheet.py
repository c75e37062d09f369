"""The writers' sheet: what works and what nobody can tell, on a page, in the terminal and in the channel."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from video_pipeline.cli.app import app
from video_pipeline.feedback import (
    EditorialPattern,
    Measure,
    Parameter,
    PatternVerdict,
    guidance_alert,
    put_guidance_in_force,
    sheets_of,
)
from video_pipeline.ledger import Ledger
from video_pipeline.policy import load_policy
from video_pipeline.reports import guidance_page
from video_pipeline.services import get_services
from video_pipeline.storage import ObjectStore, open_store, table_key, write_rows

WEEK = date(2026, 11, 16)
POLICY = load_policy().guidance
HOSTILE = "[/x] <b>bold</b>"


def _row(value: str, gain: float = 0.0, **fields: Any) -> EditorialPattern:
    known: dict[str, Any] = {"parameter": Parameter.HOOK, "platform": "youtube_shorts", "clips": 40, "others": 200}
    low, high = gain - 0.02, gain + 0.02
    return EditorialPattern(**{"week": WEEK, "value": value, "gain": gain, "low": low, "high": high} | known | fields)


ROWS = [
    _row("open", 0.01, probability=0.8),
    _row("shout", -0.05, probability=0.001),
    _row(HOSTILE, 0.06, probability=0.999, verdict=PatternVerdict.WINNER),
    _row("rare", 0.03, clips=4, probability=0.7),
    _row("applied", 0.02, parameter=Parameter.GUIDANCE, others=10, probability=0.9),
    _row("warm", 0.05, parameter=Parameter.STYLE, platform="tiktok", measure=Measure.VIEWS, probability=0.9),
]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path))


@pytest.fixture
def said_by_guidance(ledger: Ledger, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `guidance` prints on this ledger and store."""
    services = get_services()
    monkeypatch.setitem(vars(services), "ledger", ledger)
    monkeypatch.setitem(vars(services), "store", store)

    def said(*options: str) -> str:
        result = CliRunner().invoke(app, ["guidance", *options])
        assert result.exit_code == 0, result.output
        return result.output

    return said


def _keep(store: ObjectStore, rows: list[EditorialPattern]) -> None:
    key = table_key("editorial_patterns", WEEK.isoformat())
    store.put_bytes(key, write_rows(EditorialPattern, rows), content_type="application/x", overwrite=True)


def test_each_row_has_its_part_on_its_platform():
    tiktok, youtube = sheets_of(ROWS, POLICY)
    parts = {name: [row.value for row in getattr(youtube, name)] for name in ("works", "open", "worse", "few")}
    assert parts == {"works": [HOSTILE], "open": ["open"], "worse": ["shout"], "few": ["rare"]}
    assert youtube.effect and youtube.effect.value == "applied" and tiktok.effect is None
    assert youtube.verdict == f"On youtube_shorts the hook {HOSTILE} works."
    assert tiktok.verdict == "Nothing is surely better than the rest on tiktok yet."


def test_the_page_shows_every_part_in_safe_words(store: ObjectStore):
    page = guidance_page(store, WEEK, ROWS, POLICY)
    html = store.read_bytes(page.key).decode()
    assert page.key == "reports/2026-11-16/guidance.html"
    assert "&lt;b&gt;bold" in html and "<b>bold" not in html
    for words in (
        "for briefs of the week of 2026-11-23",
        "+6.0 points",
        "+4.0 to +8.0 points",
        "1.22 × the views",
        "Tried too little to tell",
        "Probably watched less",
        "40 clips were made with defaults, 10 like them were held out: +2.0 points",
    ):
        assert words in html


def test_before_anything_was_seen_the_page_says_so(store: ObjectStore):
    html = store.read_bytes(guidance_page(store, WEEK, [], POLICY).key).decode()
    assert "Nothing can be told yet." in html and "<table" not in html


def test_the_terminal_says_the_same(ledger: Ledger, store: ObjectStore, said_by_guidance: Any):
    _keep(store, ROWS)
    assert put_guidance_in_force(ledger, ROWS, learned_from=WEEK)
    said = " ".join(said_by_guidance().split())
    assert f"On youtube_shorts the hook {HOSTILE} works." in said
    assert "Nothing is surely better than the rest on tiktok yet." in said
    assert "by the guidance of the week of 2026-11-16" in said and "20% of them are held out" in said
    document = json.loads(said_by_guidance("--json"))
    assert len(document["rows"]) == len(ROWS)
    assert document["in_force"]["preferred"] == {"youtube_shorts": {"hook": [HOSTILE]}}


def test_the_terminal_says_when_nothing_was_learned(store: ObjectStore, said_by_guidance: Any):
    assert "Nothing has been learned yet." in said_by_guidance()
    assert json.loads(said_by_guidance("--json")) == {"week": None, "in_force": None, "rows": []}
    _keep(store, [])
    assert "tell nothing yet" in " ".join(said_by_guidance().split())


def test_the_channel_hears_what_works_and_what_defaults_did():
    alert = guidance_alert(WEEK, ROWS, POLICY)
    assert alert and alert.severity == "info"
    assert alert.fields == {f"youtube_shorts: hook {HOSTILE}": "+6.0 points (+4.0 to +8.0 points), 40 clips"}
    assert "youtube_shorts: 40 clips were made with defaults, 10 like them were held out" in alert.text
    assert guidance_alert(WEEK, [], POLICY) is None
