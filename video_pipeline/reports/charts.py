"""Charts for people: what clips cost and what was wasted, what models are worth, as SVG and PNG (O3, G4.2)."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

WIDTH = 640
_HEIGHT = 300
# The tiers in the order of their price; the colours stay apart for colour-blind readers (Okabe and Ito).
_TIERS = {"preview": "#0072b2", "production": "#009e73", "cinematic": "#cc5500"}
_ALL = "all clips"
_LIMIT_COLOUR = "#c0353c"
# Of causes, the dearest first; they stay apart for colour-blind readers, too.
_CAUSES = ["#cc5500", "#0072b2", "#e0b400", "#7b4fb5", "#009e73", "#56b4e9", "#5d6878"]
# What the days are called on which a model's standing changed.
_MOVES = "moves"
_INK, _FAINT, _GRID = "#1f2733", "#5d6878", "#e6e9ee"
# The clips of a day in which one tier was made cost what that tier's cost: a diamond stands out behind its point.
_POINT_SIZES, _ALL_SIZE = [60, 170], 500


@dataclass(frozen=True)
class Chart:
    """One picture in both forms, of the same size in pixels: `svg` text for pages, `png` bytes for metadata."""

    svg: str

    @cached_property
    def png(self) -> bytes:
        """Drawn when it is asked for."""
        import vl_convert

        return vl_convert.svg_to_png(self.svg)


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
    values = _values(rows, words=("day", "tier"), numbers=("average_usd", "clips"))
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

    A row has `tier`, `model` (with its version), `score`, `low` and `high` (the tier's best has 1, and an interval
    may reach beyond that), and `attempts`, the number that the score rests on.
    """
    import altair as alt

    if not rows:
        return _empty("Model scores", WIDTH)
    named = [{**row, "model": f"{row['model']}  ({int(row['attempts'])})"} for row in rows]
    values = _values(named, words=("tier", "model"), numbers=("score", "low", "high"))
    tiers = [tier for tier in _tier_order(values) if any(value["tier"] == tier for value in values)]
    panels = [_score_panel([value for value in values if value["tier"] == tier], tier, values) for tier in tiers]
    # Altair's own types leave out what some of its keyword arguments are.
    chart: Any = alt.vconcat(*panels, spacing=14)
    title, note = "Model scores", "Bars are the interval; attempts in brackets"
    return _rendered(chart.resolve_scale(color="shared"), title, note)


def history_chart(rows: Sequence[Mapping[str, Any]], *, moves: Collection[date] = (), width: int = WIDTH) -> Chart:
    """What was known of one model after each night, a panel for each measure, in the order of the rows.

    A row has `day`, `measure`, `value`, `low` and `high`, and `unit`, a d3 number format. `moves` are the days on
    which the model's standing changed, drawn as lines through all panels.
    """
    import altair as alt

    title = "What was known after each night"
    if not rows:
        return _empty(title, width)
    values = _values(rows, words=("day", "measure", "unit"), numbers=("value", "low", "high"))
    moved = [{"day": str(day)} for day in sorted(moves)]
    days = _day_axis([*values, *moved])
    measured: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for value in values:
        measured[value["measure"]].append(value)
    panels = [_history_panel(measure, rows, days, width) for measure, rows in measured.items()]
    chart: Any = alt.vconcat(*panels, spacing=18)
    note = "The shade is the interval" + ("; a dashed line is a change of standing" if moved else "")
    return _rendered(chart, title, note, datasets={**measured, _MOVES: moved})


def _history_panel(measure: str, values: list[dict[str, Any]], days: "alt.X", width: int) -> Any:
    import altair as alt

    base = alt.Chart(alt.NamedData(name=measure)).encode(x=days)
    axis = alt.Axis(format=values[0]["unit"], tickCount=4)
    colour, alone = _TIERS["preview"], len(values) == 1
    # A night alone has no area.
    band = base.mark_rule(strokeWidth=6) if alone else base.mark_area()
    moved = alt.Chart(alt.NamedData(name=_MOVES))
    title = alt.TitleParams(measure, anchor="start", fontSize=13, fontWeight=600, color=_FAINT, offset=4)
    return alt.layer(
        band.encode(
            y=alt.Y("low:Q", title=None, axis=axis, scale=alt.Scale(zero=False, nice=True)),
            y2="high:Q",
            color=alt.value(colour),
            opacity=alt.value(0.2),
        ),
        base.mark_line(color=colour, strokeWidth=2).encode(y=alt.Y("value:Q", title=None)),
        base.mark_circle(color=colour, size=80 if alone else 26, opacity=1).encode(y="value:Q"),
        moved.mark_rule(color=_LIMIT_COLOUR, strokeDash=[5, 4], strokeWidth=1.5).encode(x=days),
    ).properties(width=width - 90, height=110, title=title)


def value_chart(rows: Sequence[Mapping[str, Any]], *, width: int = WIDTH) -> Chart:
    """What an accepted clip of each model costs against what it is worth.

    A row has `model` (with its version), `tier`, and `usd` and `worth`, each with `_low` and `_high`.
    """
    import altair as alt

    title = "Value for money"
    if not rows:
        return _empty(title, width)
    numbers = [f"{name}{end}" for name in ("usd", "worth") for end in ("", "_low", "_high")]
    values = _values(rows, words=("model", "tier"), numbers=numbers)
    base = alt.Chart(alt.Data(values=values)).encode(color=_tier_colour(values))
    money = alt.Axis(format="$.2f", tickCount=7, title="US dollars an accepted clip", titleColor=_FAINT, grid=True)
    worth = alt.Axis(format=".1f", tickCount=5, title="worth to its audience", titleColor=_FAINT)
    x = alt.X("usd:Q", axis=money, scale=alt.Scale(zero=True))
    y = alt.Y("worth:Q", axis=worth, scale=alt.Scale(zero=False))
    usual = alt.Chart(alt.Data(values=[{"worth": 1}])).mark_rule(color=_FAINT, strokeDash=[2, 4]).encode(y="worth:Q")
    bars = base.mark_rule(strokeWidth=4, opacity=0.25, strokeCap="round")
    return _rendered(
        alt.layer(
            usual,
            bars.encode(x=alt.X("usd_low:Q"), x2="usd_high:Q", y=y),
            bars.encode(x=x, y=alt.Y("worth_low:Q"), y2="worth_high:Q"),
            base.mark_circle(size=110, opacity=1).encode(x=x, y=y),
            base.mark_text(align="left", dx=9, dy=-9, fontSize=12, limit=240).encode(x=x, y=y, text="model:N"),
        ).properties(width=width - 100, height=_HEIGHT),
        title,
        "Bars are the intervals; the dotted line is the usual clip; up and to the left is more for the money",
    )


def waste_chart(rows: Sequence[Mapping[str, Any]], *, width: int = WIDTH) -> Chart:
    """What was paid each day for attempts that are in no usable clip, by cause.

    A row has `day`, `cause` and `usd`.
    """
    import altair as alt

    title = "Paid for nothing"
    if not rows:
        return _empty(title, width)
    values = _values(rows, words=("day", "cause"), numbers=("usd",))
    totals: dict[str, float] = defaultdict(float)
    for value in values:
        totals[value["cause"]] += value["usd"]
    causes = sorted(totals, key=lambda cause: (-totals[cause], cause))
    colours = [_CAUSES[number % len(_CAUSES)] for number in range(len(causes))]
    legend = alt.Legend(title=None, orient="top", offset=6, columns=4, labelLimit=150)
    bars = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=_day_axis(values),
            y=alt.Y("sum(usd):Q", title=None, axis=alt.Axis(format="$.2f", tickCount=5)),
            color=alt.Color("cause:N", scale=alt.Scale(domain=causes, range=colours), legend=legend),
            order=alt.Order("sum(usd):Q", sort="descending"),
        )
    )
    return _rendered(
        bars.properties(width=width - 90, height=200),
        title,
        "US dollars of attempts that are in no usable clip, by cause",
    )


def _values(
    rows: Sequence[Mapping[str, Any]], *, words: Sequence[str], numbers: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows as a chart takes them: only these fields, in JSON's types."""
    return [
        {**{name: str(row[name]) for name in words}, **{name: float(row[name]) for name in numbers}} for row in rows
    ]


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
    # All panels reach as far as the widest interval.
    scale = alt.Scale(domain=[0, max(1.0, *(value["high"] for value in everything))])
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


def _rendered(
    chart: Any, title: str, subtitle: str, *, datasets: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> Chart:
    """The picture; `datasets` are the rows that the chart knows by name, which is quicker where they are many."""
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
    specification = chart.to_dict()
    if datasets:
        specification["datasets"] = specification.get("datasets", {}) | datasets
    return Chart(svg=vl_convert.vegalite_to_svg(json.dumps(specification)))
