"""The economics week, small: its mix is the published one, and its ledger agrees with its shop."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

from benchmarks.week import (
    CLIPS,
    PAGE,
    RESULTS,
    Week,
    briefs_of,
    documented,
    refused_takes,
    run_week,
    week_policy,
)
from video_pipeline.ledger import Ledger
from video_pipeline.routing import load_catalogue


def test_the_weeks_mix_is_the_published_one() -> None:
    week = Week("the mix", load_catalogue(sandbox=False), week_policy())
    days = briefs_of(week)
    briefs = [brief for of_day in days.values() for brief in of_day]
    assert len(days) == 7 and all(days.values())
    assert Counter(brief.quality.value for brief in briefs) == {"draft": 140, "standard": 50, "premium": 10}
    assert round(sum(brief.total_s for brief in briefs) / len(briefs), 3) == 5.2
    refused = refused_takes(CLIPS)
    assert len(refused) == 0.18 * CLIPS and round(sum(refused.values()) / len(refused), 1) == 1.3


def test_the_page_has_the_tables_of_the_last_results() -> None:
    page = PAGE.read_text()
    assert documented(page, json.loads(RESULTS.read_text())) == page


def test_a_small_week_is_delivered_and_costs_what_its_shop_bills(ledger: Ledger, tmp_path: Path) -> None:
    week = Week("small", load_catalogue(sandbox=False), week_policy(), clips=20)
    outcome = run_week(week, ledger, tmp_path)
    assert outcome.delivered == outcome.clips == 20, outcome.not_delivered
    assert outcome.refusals == sum(refused_takes(20).values()) > 0
    bought = outcome.lines["generation"] + outcome.lines["retries"]
    assert bought == outcome.shop_usd == sum(usd for _, usd in outcome.models.values())
    # A plan allows for attempts that are billed and lost; here refusals cost nothing.
    assert bought < outcome.expected_usd
    assert outcome.lines["audio"] == Decimal("0.004") and outcome.lines["storage, distribution"] == Decimal("0.04")
    assert outcome.usd == sum(outcome.lines.values())
