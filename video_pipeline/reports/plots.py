"""The charts of what feedback has measured: costs, waste, model scores, value for money (O3, G4.2, G4.5)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from video_pipeline.feedback import ClipFact, CostReport, Dimension, ModelScore
from video_pipeline.media import data_uri
from video_pipeline.reports.charts import WIDTH, cost_chart, score_chart, value_chart, waste_chart
from video_pipeline.reports.model_facts import Value, values_of


def cost_plot(report: CostReport, *, limit_usd: Decimal) -> str:
    """The average generation cost a clip by day and tier, with the drift line, as a data URI of a PNG."""
    return data_uri("image/png", cost_chart(_cost_rows(report), limit_usd=float(limit_usd)).png)


def cost_svg(report: CostReport, *, limit_usd: Decimal, width: int = WIDTH) -> str:
    """The same chart as SVG text, `width` pixels wide."""
    return cost_chart(_cost_rows(report), limit_usd=float(limit_usd), width=width).svg


def score_plot(scores: Sequence[ModelScore]) -> str:
    """Model scores with their intervals, as a data URI of a PNG."""
    return data_uri("image/png", score_chart(_score_rows(scores)).png)


def waste_svg(report: CostReport, *, width: int = WIDTH) -> str:
    """What was paid for nothing in the trailing days, by cause, as SVG text `width` pixels wide."""
    rows = [
        {"day": day, "cause": cause, "usd": usd}
        for day, causes in report.waste_by_day.items()
        for cause, usd in causes.items()
    ]
    return waste_chart(rows, width=width).svg


def value_plot(scores: Sequence[ModelScore], facts: Sequence[ClipFact]) -> str:
    """What an accepted clip of each model costs against what it is worth, as a data URI of a PNG."""
    return data_uri("image/png", value_chart(_value_rows(values_of(scores, facts))).png)


def value_svg(values: Sequence[Value], *, width: int = WIDTH) -> str:
    """The same chart as SVG text, `width` pixels wide."""
    return value_chart(_value_rows(values), width=width).svg


def _value_rows(values: Sequence[Value]) -> list[dict[str, Any]]:
    """Models that nobody has seen a clip of have no place in the chart yet."""
    return [
        {
            "model": f"{value.model} {value.version}",
            "tier": value.tier,
            "usd": value.usd.value,
            "usd_low": value.usd.low,
            "usd_high": value.usd.high,
            "worth": value.worth.value,
            "worth_low": value.worth.low,
            "worth_high": value.worth.high,
        }
        for value in values
        if value.worth is not None
    ]


def _cost_rows(report: CostReport) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for line in report.lines:
        if line.dimension is Dimension.DAY_AND_TIER:
            day, tier = line.value.split(" ", 1)
            rows.append({"day": day, "tier": tier, "average_usd": line.generation_usd_per_clip, "clips": line.clips})
    return rows


def _score_rows(scores: Sequence[ModelScore]) -> list[dict[str, Any]]:
    return [
        {
            "model": score.model,
            "tier": score.tier,
            "score": score.score,
            "low": score.score_low,
            "high": score.score_high,
            "attempts": score.attempts,
        }
        for score in scores
    ]
