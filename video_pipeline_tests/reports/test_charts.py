"""Charts say what the rows say, with one day, with many, and with none."""

import io
import re
from datetime import date, timedelta
from decimal import Decimal

import pytest
from PIL import Image

from video_pipeline.reports import Chart, cost_chart, history_chart, score_chart, value_chart, waste_chart

TIERS = {"preview": Decimal("0.05"), "production": Decimal("0.16"), "cinematic": Decimal("0.60")}


def _cost_rows(days: int) -> list[dict[str, object]]:
    first = date(2026, 10, 23)
    return [
        {"day": first + timedelta(days=count), "tier": tier, "average_usd": usd, "clips": 10}
        for count in range(days)
        for tier, usd in TIERS.items()
    ]


def _texts(chart: Chart) -> list[str]:
    return re.findall(r">([^<>]+)</text>", chart.svg)


def _png_size(chart: Chart) -> tuple[int, int]:
    with Image.open(io.BytesIO(chart.png)) as picture:
        return picture.size


@pytest.mark.parametrize("days", [1, 2, 30])
def test_costs_are_drawn_for_any_number_of_days(days: int):
    chart = cost_chart(_cost_rows(days))
    texts = _texts(chart)
    assert "23 Oct" in texts
    assert {"preview", "production", "cinematic", "all clips"} <= set(texts)
    assert any("above $0.15" in text for text in texts)
    # A point for each tier, and for all clips, each day.
    assert chart.svg.count('aria-roledescription="point"') == 4 * days
    assert len([text for text in texts if text.endswith((" Oct", " Nov"))]) <= 10
    # Dagster shows a picture pixel by pixel, in a dialog.
    assert 600 <= _png_size(chart)[0] <= 700


def test_a_chart_is_as_wide_as_it_is_asked_to_be():
    assert 1000 <= _png_size(cost_chart(_cost_rows(3), width=1040))[0] <= 1080


def test_the_points_of_one_tier_alone_are_seen_before_those_of_all_clips():
    """Both stand at the same place; an outline tells its colour, a later one lies over an earlier."""
    rows = [row for row in _cost_rows(3) if row["tier"] == "preview"]
    drawn = re.findall(r'aria-label="[^"]*tier: ([\w ]+); [^"]*" [^>]*"point"[^>]* d="([^"]+)"', cost_chart(rows).svg)
    assert [tier for tier, _ in drawn] == ["all clips"] * 3 + ["preview"] * 3
    assert {outline.count("A") > 0 for _, outline in drawn[:3]} == {False}
    assert {outline.count("A") > 0 for _, outline in drawn[3:]} == {True}


def test_the_average_over_all_clips_counts_each_clip_once():
    rows = [
        {"day": "2026-11-21", "tier": "preview", "average_usd": 0.02, "clips": 90},
        {"day": "2026-11-21", "tier": "cinematic", "average_usd": 1.02, "clips": 10},
    ]
    assert 'average_usd: $0.12; tier: all clips; clips: 100"' in cost_chart(rows).svg


def test_days_without_clips_keep_their_place():
    rows = [row for row in _cost_rows(5) if row["day"] in (date(2026, 10, 23), date(2026, 10, 27))]
    days = [text for text in _texts(cost_chart(rows)) if text.endswith(" Oct")]
    assert days == ["23 Oct", "24 Oct", "25 Oct", "26 Oct", "27 Oct"]


def test_scores_are_drawn_best_first_in_their_tiers():
    rows = [
        {"tier": "production", "model": "kling", "score": 0.8, "low": 0.7, "high": 0.9, "attempts": 140},
        {"tier": "preview", "model": "ltx", "score": 0.4, "low": 0.1, "high": 0.7, "attempts": 9},
        {"tier": "preview", "model": "wan", "score": 0.7, "low": 0.6, "high": 0.8, "attempts": 310},
        {"tier": "drafts", "model": "sana", "score": 0.3, "low": 0.2, "high": 0.4, "attempts": 3},
    ]
    chart = score_chart(rows)
    texts = _texts(chart)
    assert chart.svg.count('aria-roledescription="circle"') == 4
    assert chart.svg.count('aria-roledescription="rule mark"') == 4
    assert texts.index("preview") < texts.index("production") < texts.index("drafts")
    heights = {name: float(y) for y, name in re.findall(r"translate\([-\d.]+,([\d.]+)\)[^>]*>(wan|ltx) ", chart.svg)}
    assert heights["wan"] < heights["ltx"]
    assert any("(310)" in text for text in texts)


def test_an_interval_beyond_the_best_does_not_widen_the_picture():
    row = {"tier": "preview", "model": "ltx", "score": 1.0, "low": 0.7, "high": 1.6, "attempts": 9}
    assert _png_size(score_chart([row]))[0] <= 700


@pytest.mark.parametrize("nights", [1, 3])
def test_a_models_nights_are_drawn_a_panel_a_measure(nights: int):
    first = date(2026, 11, 1)
    rows = [
        {"day": first + timedelta(days=night), "measure": name, "unit": unit, "value": 0.5, "low": 0.4, "high": 0.7}
        for name, unit in (("acceptance", ".0%"), ("worth", ".1f"))
        for night in range(nights)
    ]
    chart = history_chart(rows, moves={first})
    texts = _texts(chart)
    assert {"acceptance", "worth", "1 Nov"} <= set(texts)
    assert chart.svg.count('aria-roledescription="circle"') == 2 * nights


def test_value_is_drawn_with_both_intervals_and_the_models_name():
    row = {"model": "<kling> 2", "tier": "production", "usd": 0.2, "usd_low": 0.1, "usd_high": 0.4}
    chart = value_chart([row | {"worth": 1.1, "worth_low": 0.9, "worth_high": 1.3}])
    assert "&lt;kling&gt; 2" in _texts(chart)
    # The two intervals, and the line of the usual clip.
    assert chart.svg.count('aria-roledescription="rule mark"') == 3


def test_waste_is_stacked_by_cause_the_dearest_first():
    rows = [
        {"day": "2026-11-20", "cause": "moderation", "usd": Decimal("0.1")},
        {"day": "2026-11-21", "cause": "quality", "usd": Decimal("0.4")},
        {"day": "2026-11-21", "cause": "moderation", "usd": Decimal("0.2")},
    ]
    chart = waste_chart(rows)
    texts = _texts(chart)
    assert texts.index("quality") < texts.index("moderation")
    assert chart.svg.count('aria-roledescription="bar"') == 3


@pytest.mark.parametrize("chart", [cost_chart, score_chart, history_chart, value_chart, waste_chart])
def test_without_rows_the_chart_says_so(chart):
    drawn = chart([])
    assert "Nothing measured yet" in _texts(drawn)
    assert 600 <= _png_size(drawn)[0] <= 700
