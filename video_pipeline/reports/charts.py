"""Charts for people: what clips cost, and how the models score, as SVG and PNG (O3, G4.2, G4.5)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

WIDTH = 640
_HEIGHT = 300
# The tiers in the order of their price; the colours stay apart for colour-blind readers (Okabe and Ito).
_TIERS = {"preview": "#0072b2", "production": "#009e73", "cinematic": "#cc5500"}
_ALL = "all clips"
_LIMIT_COLOUR = "#c0353c"
_INK, _FAINT, _GRID = "#1f2733", "#5d6878", "#e6e9ee"
# The clips of a day in which one tier was made cost what that tier's cost: a diamond stands out behind its point.
_POINT_SIZES, _ALL_SIZE = [60, 170], 500


@dataclass(frozen=True)
class Chart:
    """One picture in both forms, of the same size in pixels: `svg` text for pages, `png` bytes for metadata."""

    svg: str
    png: bytes


def cost_chart(rows: Sequence[Mapping[str, Any]], *, limit_usd: float = 0.15, width: int = WIDTH) -> Chart:
    """Average generation cost a clip, a day and a tier and over all clips, with the line that the latter must keep.

    A row has `day` (ISO text or date), `tier`, `average_usd` (Decimal or float) and `clips` (how many the average
    is of, shown by the size of the point). The average over all clips is worked out from these. `width` is the
    picture's, in pixels.
    """
    import altair as alt

    title = "Average generation cost a clip"
    if not rows:
        return _empty(title, width)
    values = [
        {
            "day": str(row["day"]),
            "tier": str(row["tier"]),
            "average_usd": float(row["average_usd"]),
            "clips": int(row["clips"]),
        }
        for row in rows
    ]
    # First, and so behind the tiers.
    values = _over_all_tiers(values) + values
    base = alt.Chart(alt.Data(values=values)).encode(x=_day_axis(values), color=_tier_colour(values))
    cost = alt.Y("average_usd:Q", title=None, axis=alt.Axis(format="$.2f", tickCount=6), scale=alt.Scale(zero=True))
    is_all = f"datum.tier == '{_ALL}'"
    lines = base.mark_line().encode(
        y=cost,
        strokeWidth=alt.condition(is_all, alt.value(5), alt.value(1.5)),
        opacity=alt.condition(is_all, alt.value(0.3), alt.value(0.8)),
    )
    by_clips = alt.Size("clips:Q", scale=alt.Scale(range=_POINT_SIZES, zero=True), legend=None)
    points = base.mark_point(filled=True, opacity=1).encode(
        y=cost, shape=_tier_shape(values), size=alt.condition(is_all, alt.value(_ALL_SIZE), by_clips)
    )
    limit = alt.Chart(alt.Data(values=[{"limit": limit_usd}]))
    limit = limit.mark_rule(color=_LIMIT_COLOUR, strokeDash=[5, 4], strokeWidth=1.5).encode(y="limit:Q")
    return _rendered(
        alt.layer(limit, lines, points).properties(width=width - 90, height=_HEIGHT),
        title,
        f"US dollars; previews freeze when all clips average above ${limit_usd:.2f}; larger points, more clips",
    )


def score_chart(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Each model's score with its interval, best first, a panel for each tier.

    A row has `tier`, `model` (with its version), `score`, `low` and `high` (0..1), and `attempts`, the number
    that the score rests on.
    """
    import altair as alt

    if not rows:
        return _empty("Model scores", WIDTH)
    values = [
        {
            "tier": str(row["tier"]),
            "model": f"{row['model']}  ({int(row['attempts'])})",
            "score": float(row["score"]),
            "low": float(row["low"]),
            "high": float(row["high"]),
        }
        for row in rows
    ]
    tiers = [tier for tier in _tier_order(values) if any(value["tier"] == tier for value in values)]
    panels = [_score_panel([value for value in values if value["tier"] == tier], tier, values) for tier in tiers]
    # Altair's own types leave out what some of its keyword arguments are.
    chart: Any = alt.vconcat(*panels, spacing=14)
    title, note = "Model scores", "Bars are the interval; attempts in brackets"
    return _rendered(chart.resolve_scale(color="shared"), title, note)


def _score_panel(values: list[dict[str, Any]], tier: str, everything: list[dict[str, Any]]) -> Any:
    import altair as alt

    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y(
            "model:N",
            sort=[value["model"] for value in sorted(values, key=lambda value: -value["score"])],
            title=None,
            axis=alt.Axis(labelLimit=230, minExtent=230, ticks=False, domain=False),
        ),
        color=_tier_colour(everything, legend=False),
    )
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format=".1f", tickCount=6, labelFlush=False)
    bars = base.mark_rule(strokeWidth=5, opacity=0.3, strokeCap="round").encode(
        x=alt.X("low:Q", title=None, scale=scale, axis=axis), x2="high:Q"
    )
    points = base.mark_circle(size=110, opacity=1).encode(x=alt.X("score:Q", title=None, scale=scale, axis=axis))
    title = alt.TitleParams(tier, anchor="start", fontSize=13, fontWeight=600, color=_FAINT, offset=4)
    return alt.layer(bars, points).properties(width=WIDTH - 280, height=alt.Step(26), title=title)


def _over_all_tiers(values: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The average over all clips of each day, weighted by how many there are of each tier."""
    totals: dict[str, tuple[float, int]] = {}
    for value in values:
        spent, clips = totals.get(value["day"], (0.0, 0))
        totals[value["day"]] = (spent + value["average_usd"] * value["clips"], clips + value["clips"])
    return [
        {"day": day, "tier": _ALL, "average_usd": spent / clips, "clips": clips}
        for day, (spent, clips) in sorted(totals.items())
        if clips
    ]


def _day_axis(values: Sequence[Mapping[str, Any]]) -> "alt.X":
    """Days as categories, those without clips too: one day stands in the middle, and no hour is invented."""
    import altair as alt

    first, last = (date.fromisoformat(limit(value["day"] for value in values)) for limit in (min, max))
    days = [str(first + timedelta(days=count)) for count in range((last - first).days + 1)]
    # About nine labels fit beside each other.
    shown = days[:: max(1, -(-len(days) // 9))]
    label = "timeFormat(toDate(datum.value + 'T12:00:00'), '%-d %b')"
    return alt.X(
        "day:O",
        title=None,
        scale=alt.Scale(domain=days),
        axis=alt.Axis(values=shown, labelExpr=label, labelAngle=0, grid=False, ticks=True),
    )


def _tier_order(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """The known tiers first; a tier that someone added comes after them, and all together last."""
    present = {value["tier"] for value in values}
    return [*_TIERS, *sorted(present - {*_TIERS, _ALL}), _ALL]


def _tier_colour(values: Sequence[Mapping[str, Any]], *, legend: bool = True) -> "alt.Color":
    import altair as alt

    present = {value["tier"] for value in values}
    order = [tier for tier in _tier_order(values) if tier in present]
    colours = [_INK if tier == _ALL else _TIERS.get(tier, _FAINT) for tier in order]
    return alt.Color(
        "tier:N",
        scale=alt.Scale(domain=order, range=colours),
        legend=_tier_legend() if legend else None,
    )


def _tier_shape(values: Sequence[Mapping[str, Any]]) -> "alt.Shape":
    """Circles, and a diamond for all tiers together; the legend is one with that of the colours."""
    import altair as alt

    present = {value["tier"] for value in values}
    order = [tier for tier in _tier_order(values) if tier in present]
    shapes = ["diamond" if tier == _ALL else "circle" for tier in order]
    return alt.Shape("tier:N", scale=alt.Scale(domain=order, range=shapes), legend=_tier_legend())


def _tier_legend() -> "alt.Legend":
    import altair as alt

    return alt.Legend(title=None, orient="top", symbolOpacity=1, offset=6)


def _empty(title: str, width: int) -> Chart:
    import altair as alt

    words = alt.Chart(alt.Data(values=[{"words": "Nothing measured yet"}])).mark_text(color=_FAINT, fontSize=14)
    return _rendered(words.encode(text="words:N").properties(width=width - 32, height=80), title, "")


def _rendered(chart: Any, title: str, subtitle: str) -> Chart:
    import altair as alt
    import vl_convert

    chart = chart.properties(
        title=alt.TitleParams(
            title,
            subtitle=subtitle,
            anchor="start",
            fontSize=17,
            color=_INK,
            subtitleColor=_FAINT,
            subtitlePadding=6,
            offset=14,
        ),
        padding=16,
        background="white",
    )
    chart = chart.configure_view(stroke=None).configure_axis(
        labelColor=_FAINT, labelFontSize=12, gridColor=_GRID, domainColor=_GRID, tickColor=_GRID
    )
    chart = chart.configure_legend(labelColor=_INK, labelFontSize=12)
    specification = json.dumps(chart.to_dict())
    svg = vl_convert.vegalite_to_svg(specification)
    return Chart(svg=svg, png=vl_convert.svg_to_png(svg))
