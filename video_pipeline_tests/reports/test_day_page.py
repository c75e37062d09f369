"""The day's page says of each cost whether it was billed, and what vendors' bills and prices are otherwise."""

import re
from decimal import Decimal
from pathlib import Path

from video_pipeline.feedback import ClipFact, cost_report_of
from video_pipeline.ledger import Ledger
from video_pipeline.reports import day_report
from video_pipeline.storage import open_store
from video_pipeline_tests.feedback.rows import DAY, a_fact

_USD = Decimal("0.05")
FACTS = [
    a_fact("billed", generation_usd=_USD, vendor_usd=_USD),
    a_fact("listed", generation_usd=_USD),
    a_fact("both", generation_usd=_USD, retry_usd=_USD, vendor_usd=_USD),
    a_fact("free"),
]


def page(ledger: Ledger, folder: Path, *facts: ClipFact) -> str:
    """The page as one line of text."""
    store = open_store(str(folder))
    stored = day_report(store, ledger, cost_report_of(DAY, facts), facts, limit_usd=Decimal("0.15"))
    return " ".join(re.sub(r"<[^>]+>", " ", store.read_bytes(stored.key).decode()).split())


def test_each_clip_says_whether_its_cost_was_billed(ledger: Ledger, tmp_path: Path):
    said = page(ledger, tmp_path, *FACTS)
    for words in ("$0.0500 billed", "$0.0500 list price", "$0.1000 $0.0500 of it list price", "$0.0000 1080×1920"):
        assert words in said
    assert "total cost, $0.1000 as billed, $0.1000 at list prices" in said
