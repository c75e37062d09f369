"""The cost report: averages by tier, model, weekday and failure mode, cost per usable clip, waste, times (G4.2)."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.facts import ClipFact
from video_pipeline.feedback.spending import TierSpending, generation_usd_of, spending_of, was_generated
from video_pipeline.feedback.timing import Part, Total, median_and_p90


class Dimension(StrEnum):
    """What clips are grouped by."""

    TIER = "tier"
    MODEL = "model"
    WEEKDAY = "weekday"
    FAILURE_MODE = "failure mode"
    DAY = "day"
    DAY_AND_TIER = "day and tier"


class FailureMode(StrEnum):
    """What most of a clip's lost attempts were lost to."""

    MODERATION = "moderation"
    GENERATION = "generation"
    QUALITY = "quality"
    NONE = "none"


class CostLine(BaseModel):
    """One group of clips; money in US dollars. `usd_per_usable_clip` is None when no clip of it is usable."""

    model_config = ConfigDict(frozen=True)

    dimension: Dimension
    value: str
    clips: int
    usable: int
    total_usd: Decimal
    generation_usd_per_clip: Decimal
    usd_per_usable_clip: Decimal | None
    usd_per_rendered_s: Decimal | None


class CostReport(BaseModel):
    """A row of `cost_report`; money in US dollars.

    The totals are the day's own. `lines`, `by_day` and `waste_by_day` are over the trailing days; `waste` maps a
    cause to money. `spending` is the day's beside what its plan expected, by tier. `median_s` and `p90_s` are the
    day's seconds: of each total (`Total`) over the clips that have come so far, of each part (`Part`) over the
    published ones. `vendor_usd` is what of `generation_usd` vendors' own bills say, `own_gpu_usd` what is the team's
    own GPU's; the rest is by list prices.
    """

    model_config = ConfigDict(frozen=True)

    day: date
    clips: int
    generated: int
    usable: int
    total_usd: Decimal
    generation_usd: Decimal
    generation_usd_per_clip: Decimal | None
    usd_per_usable_clip: Decimal | None
    saved_by_cache_usd: Decimal
    waste: dict[str, Decimal]
    lines: tuple[CostLine, ...]
    by_day: dict[str, Decimal]
    spending: tuple[TierSpending, ...] = ()
    median_s: dict[str, float] = {}
    p90_s: dict[str, float] = {}
    waste_by_day: dict[str, dict[str, Decimal]] = {}
    vendor_usd: Decimal = Decimal(0)
    own_gpu_usd: Decimal = Decimal(0)

    @property
    def list_usd(self) -> Decimal:
        """What of `generation_usd` is booked by list prices."""
        return self.generation_usd - self.vendor_usd - self.own_gpu_usd


_SQL = """
    SELECT {dimension} AS value, count(*) AS clips, sum(usable::INT) AS usable, sum(total_usd) AS total_usd,
           sum(generation_usd) AS generation_usd, sum(rendered_s) AS rendered_s
    FROM facts GROUP BY 1 ORDER BY 1
"""

_EXPRESSIONS = {
    Dimension.TIER: "tier",
    Dimension.MODEL: "coalesce(model, 'none')",
    Dimension.WEEKDAY: "dayname(day)",
    Dimension.FAILURE_MODE: "failure_mode",
    Dimension.DAY: "strftime(day, '%Y-%m-%d')",
    Dimension.DAY_AND_TIER: "strftime(day, '%Y-%m-%d') || ' ' || tier",
}
_MICRODOLLAR = Decimal("0.000001")


def cost_report_of(day: date, facts: Sequence[ClipFact]) -> CostReport:
    """The report of `day` from the facts of the trailing days, the day's own among them."""
    own = [fact for fact in facts if fact.day == day]
    generation_usd = sum((generation_usd_of(fact) for fact in own), Decimal(0))
    total_usd = sum((fact.total_usd for fact in own), Decimal(0))
    made = [fact for fact in own if was_generated(fact)]
    usable = sum(fact.usable for fact in own)
    waste_by_day: dict[str, dict[str, Decimal]] = {}
    for fact in facts:
        wasted = waste_by_day.setdefault(str(fact.day), {})
        for cause, usd in fact.waste.items():
            wasted[cause] = wasted.get(cause, Decimal(0)) + usd
    lines = _lines([fact for fact in facts if was_generated(fact)])
    median_s, p90_s = median_and_p90(_seconds(own))
    return CostReport(
        day=day,
        clips=len(own),
        generated=len(made),
        usable=usable,
        total_usd=total_usd,
        generation_usd=generation_usd,
        generation_usd_per_clip=_per(generation_usd, len(made)),
        usd_per_usable_clip=_per(total_usd, usable),
        saved_by_cache_usd=sum((fact.saved_usd for fact in own), Decimal(0)),
        waste=waste_by_day.get(str(day), {}),
        waste_by_day={found: wasted for found, wasted in sorted(waste_by_day.items()) if wasted},
        lines=tuple(line for line in lines if line.dimension is not Dimension.DAY),
        by_day={line.value: line.generation_usd_per_clip for line in lines if line.dimension is Dimension.DAY},
        spending=spending_of(own),
        median_s=median_s,
        p90_s=p90_s,
        vendor_usd=sum((fact.vendor_usd for fact in own), Decimal(0)),
        own_gpu_usd=sum((fact.own_gpu_usd for fact in own), Decimal(0)),
    )


def weekly_cost_report_of(week: date, reports: Sequence[CostReport]) -> CostReport:
    """The sums of a week's daily reports; `week` is its first day."""
    clips, usable = sum(report.clips for report in reports), sum(report.usable for report in reports)
    generated = sum(report.generated for report in reports)
    total_usd = sum((report.total_usd for report in reports), Decimal(0))
    generation_usd = sum((report.generation_usd for report in reports), Decimal(0))
    waste: dict[str, Decimal] = {}
    for report in reports:
        for cause, usd in report.waste.items():
            waste[cause] = waste.get(cause, Decimal(0)) + usd
    by_day = {
        str(report.day): report.generation_usd_per_clip
        for report in reports
        if report.generation_usd_per_clip is not None
    }
    return CostReport(
        day=week,
        clips=clips,
        generated=generated,
        usable=usable,
        total_usd=total_usd,
        generation_usd=generation_usd,
        generation_usd_per_clip=_per(generation_usd, generated),
        usd_per_usable_clip=_per(total_usd, usable),
        saved_by_cache_usd=sum((report.saved_by_cache_usd for report in reports), Decimal(0)),
        waste=waste,
        lines=(),
        by_day=by_day,
        waste_by_day={str(report.day): report.waste for report in reports if report.waste},
        vendor_usd=sum((report.vendor_usd for report in reports), Decimal(0)),
        own_gpu_usd=sum((report.own_gpu_usd for report in reports), Decimal(0)),
    )


def _lines(facts: Sequence[ClipFact]) -> list[CostLine]:
    """Every dimension's groups, aggregated by DuckDB in memory."""
    if not facts:
        return []
    import duckdb
    import pandas as pd

    # Objects of Decimal stay exact on their way into DuckDB.
    frame = pd.DataFrame(
        {
            "day": [pd.Timestamp(fact.day) for fact in facts],
            "tier": [fact.tier for fact in facts],
            "model": [fact.model for fact in facts],
            "failure_mode": [_failure_mode(fact).value for fact in facts],
            "usable": [fact.usable for fact in facts],
            "rendered_s": [fact.rendered_s for fact in facts],
            "total_usd": [fact.total_usd.quantize(_MICRODOLLAR) for fact in facts],
            "generation_usd": [generation_usd_of(fact).quantize(_MICRODOLLAR) for fact in facts],
        }
    )
    with duckdb.connect() as connection:
        connection.register("facts", frame)
        return [
            _line(dimension, row)
            for dimension, expression in _EXPRESSIONS.items()
            for row in connection.execute(_SQL.format(dimension=expression)).fetchall()
        ]


def _line(dimension: Dimension, row: tuple[Any, ...]) -> CostLine:
    value, clips, usable, total_usd, generation_usd, rendered_s = row
    return CostLine(
        dimension=dimension,
        value=str(value),
        clips=clips,
        usable=int(usable),
        total_usd=total_usd,
        generation_usd_per_clip=_per(generation_usd, clips) or Decimal(0),
        usd_per_usable_clip=_per(total_usd, int(usable)),
        usd_per_rendered_s=_per(generation_usd, rendered_s),
    )


def _seconds(facts: Sequence[ClipFact]) -> dict[str, list[float]]:
    """What the day's clips took, by total and by part."""
    seconds: dict[str, list[float]] = {what: [] for what in (*Total, *Part)}
    for fact in facts:
        if fact.to_preview_s is not None:
            seconds[Total.TO_PREVIEW].append(fact.to_preview_s)
            seconds[Total.TO_PREVIEW_OWN].append(fact.to_preview_s - (fact.to_preview_provider_s or 0))
        if fact.to_published_s is not None:
            seconds[Total.TO_PUBLISHED].append(fact.to_published_s)
            seconds[Total.TO_PUBLISHED_OWN].append(fact.to_published_s - (fact.to_published_provider_s or 0))
            for part in Part:
                seconds[part].append(fact.seconds.get(part, 0.0))
    return seconds


def _failure_mode(fact: ClipFact) -> FailureMode:
    lost = {
        FailureMode.MODERATION: sum(model.refusals for model in fact.by_model),
        FailureMode.GENERATION: sum(model.failures for model in fact.by_model),
        FailureMode.QUALITY: sum(model.rejections for model in fact.by_model),
    }
    worst = max(lost, key=lambda mode: lost[mode])
    return worst if lost[worst] else FailureMode.NONE


def _per(usd: Decimal, count: float) -> Decimal | None:
    return (usd / Decimal(str(count))).quantize(_MICRODOLLAR) if count else None
