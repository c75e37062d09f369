"""The charts of what feedback has measured: costs by day and tier, model scores (O3, G4.2, G4.5)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from video_pipeline.feedback import CostReport, Dimension, ModelScore
from video_pipeline.reports.charts import WIDTH, cost_chart, score_chart
from video_pipeline.reports.inline import data_uri


def cost_plot(report: CostReport, *, limit_usd: Decimal) -> str:
    """The average generation cost a clip by day and tier, with the drift line, as a data URI of a PNG."""
    return data_uri("image/png", cost_chart(_cost_rows(report), limit_usd=float(limit_usd)).png)


def cost_svg(report: CostReport, *, limit_usd: Decimal, width: int = WIDTH) -> str:
    """The same chart as SVG text, `width` pixels wide."""
    return cost_chart(_cost_rows(report), limit_usd=float(limit_usd), width=width).svg


def score_plot(scores: Sequence[ModelScore]) -> str:
    """Model scores with their intervals, as a data URI of a PNG."""
    return data_uri("image/png", score_chart(_score_rows(scores)).png)


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
