"""The day's page says of each cost whether it was billed, and what vendors' bills and prices are otherwise."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from video_pipeline.feedback import BilledRequest, ClipFact, DayBill, ListedModel, Match, PriceState, cost_report_of
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
    a_fact("at home", generation_usd=Decimal("0.0004"), own_gpu_usd=Decimal("0.0004")),
]


def page(ledger: Ledger, folder: Path, *facts: ClipFact, **more: Any) -> str:
    """The page as one line of text."""
    store = open_store(str(folder))
    stored = day_report(store, ledger, cost_report_of(DAY, facts), facts, limit_usd=Decimal("0.15"), **more)
    return " ".join(re.sub(r"<[^>]+>", " ", store.read_bytes(stored.key).decode()).split())


def test_each_clip_says_whether_its_cost_was_billed(ledger: Ledger, tmp_path: Path):
    said = page(ledger, tmp_path, *FACTS)
    for words in (
        "$0.0500 billed",
        "$0.0500 list price",
        "$0.1000 $0.0500 listed",
        "$0.0000 1080×1920",
        "$0.0004 own GPU",
    ):
        assert words in said
    assert "total cost, $0.1000 as billed, $0.0004 on the own GPU, $0.1000 at list prices" in said


def test_what_vendors_have_billed_stands_there_and_what_could_not_be_compared(ledger: Ledger, tmp_path: Path):
    leak = BilledRequest(
        request_id="<a>",
        match=Match.LEAK,
        booked_usd=Decimal(0),
        billed_usd=_USD,
        what="an endpoint",
        buyer="key <b>",
    )
    bills = [
        DayBill(
            day=DAY, provider="fal", requests=3, equal=3, booked_usd=_USD, billed_usd=2 * _USD, differences=(leak,)
        ),
        DayBill(day=DAY, provider="kiln", requests=2, why_not="kiln has no billing that could be asked for"),
    ]
    said = page(ledger, tmp_path, *FACTS, bills=bills)
    assert f"{DAY} fal 3 3 $0.0500 $0.1000 $0.0500" in said
    assert f"{DAY} &lt;a&gt; an endpoint not in the ledger, bought with key &lt;b&gt; $0.0000 $0.0500" in said
    assert "nothing could be compared, and list prices stand: kiln has no billing" in said
    assert "What vendors have billed" not in page(ledger, tmp_path, *FACTS)


def test_prices_in_trouble_stand_there_and_no_others(ledger: Ledger, tmp_path: Path):
    prices = [
        ListedModel(day=DAY, model=f"<{state}>", provider="fal", state=state, why="why", since=DAY, checked_on=DAY)
        for state in PriceState
    ]
    said = page(ledger, tmp_path, *FACTS, prices=prices)
    assert f"&lt;differs&gt; differs {DAY} why" in said and f"&lt;stale&gt; stale {DAY} why" in said
    assert "&lt;confirmed&gt;" not in said and "&lt;not told&gt;" not in said
    assert "Prices to look at" not in page(ledger, tmp_path, *FACTS)
