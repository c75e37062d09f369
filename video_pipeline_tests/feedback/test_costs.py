"""The cost report: exact sums, averages over what was generated, and weeks that say what their days say."""

from datetime import date, timedelta
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, given, settings

from video_pipeline.clips import ClipStatus
from video_pipeline.feedback import CostLine, CostReport, cost_report_of, weekly_alert, weekly_cost_report_of
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts

_USD = st.decimals(min_value=0, max_value=9999, places=6)
# Each example opens a database: a few, and a failing one is shown as it was found.
_A_FEW = settings(max_examples=15, phases=(Phase.explicit, Phase.reuse, Phase.generate))
_FACTS = st.lists(
    st.builds(
        lambda number, usable, tried, generation_usd, retry_usd, audio_usd, rendered_s, model, tier: a_fact(
            f"clip-{number}",
            day=DAY - timedelta(days=number % 3),
            usable=usable,
            attempts=tried,
            # What was never tried has cost nothing.
            generation_usd=generation_usd * bool(tried),
            retry_usd=retry_usd * bool(tried),
            audio_usd=audio_usd * bool(tried),
            rendered_s=rendered_s,
            model=model,
            tier=tier,
        ),
        st.integers(0, 9),
        st.booleans(),
        st.integers(0, 3),
        _USD,
        _USD,
        _USD,
        st.integers(0, 60),
        st.sampled_from([None, "sandbox/sprint", "sandbox/dash"]),
        st.sampled_from(["preview", "production", "cinematic"]),
    ),
    max_size=8,
)


def _line(report: CostReport, dimension: str, value: str) -> CostLine:
    (line,) = [line for line in report.lines if (line.dimension, line.value) == (dimension, value)]
    return line


@pytest.fixture(scope="module")
def small_day() -> CostReport:
    """Four clips: one clean, one retried, one lost to refusals, one that waits and was never tried."""
    usd = Decimal
    return cost_report_of(
        DAY,
        [
            a_fact(
                "clean",
                attempts(accepted=1),
                generation_usd=usd("0.044"),
                upscaling_usd=usd("0.001"),
                distribution_usd=usd("0.002"),
                rendered_s=2,
            ),
            a_fact(
                "retried",
                attempts(accepted=1, rejections=1),
                attempts=2,
                generation_usd=usd("0.044"),
                retry_usd=usd("0.044"),
                waste={"quality": usd("0.044")},
                rendered_s=4,
                saved_usd=usd("0.01"),
            ),
            a_fact(
                "lost",
                attempts("sandbox/dash", refusals=2),
                attempts=2,
                status=ClipStatus.REVIEW,
                usable=False,
                model="sandbox/dash",
                generation_usd=usd("0.052"),
                waste={"moderation": usd("0.052")},
                rendered_s=2,
            ),
            a_fact("waits", status=ClipStatus.WAITING, usable=False, attempts=0, model=None),
        ],
    )


def test_a_small_days_totals_are_those_of_pen_and_paper(small_day: CostReport):
    assert (small_day.clips, small_day.usable) == (4, 2)
    assert small_day.total_usd == Decimal("0.187")
    assert small_day.generation_usd == Decimal("0.184")
    # Three were generated; the fourth has not happened yet.
    assert small_day.generation_usd_per_clip == Decimal("0.061333")
    assert small_day.usd_per_usable_clip == Decimal("0.0935")
    assert small_day.saved_by_cache_usd == Decimal("0.01")
    assert small_day.waste == {"quality": Decimal("0.044"), "moderation": Decimal("0.052")}
    assert small_day.by_day == {"2026-11-21": Decimal("0.061333")}


@pytest.mark.parametrize(
    ("dimension", "value", "clips", "usable", "generation_usd_per_clip", "usd_per_usable", "usd_per_rendered_s"),
    [
        ("tier", "preview", 3, 2, "0.061333", "0.0935", "0.023"),
        ("model", "sandbox/sprint", 2, 2, "0.066", "0.0675", "0.022"),
        ("model", "sandbox/dash", 1, 0, "0.052", None, "0.026"),
        ("weekday", "Saturday", 3, 2, "0.061333", "0.0935", "0.023"),
        ("failure mode", "none", 1, 1, "0.044", "0.047", "0.022"),
        ("failure mode", "quality", 1, 1, "0.088", "0.088", "0.022"),
        ("failure mode", "moderation", 1, 0, "0.052", None, "0.026"),
        ("day and tier", "2026-11-21 preview", 3, 2, "0.061333", "0.0935", "0.023"),
    ],
)
def test_a_small_days_lines_are_those_of_pen_and_paper(
    small_day: CostReport,
    dimension: str,
    value: str,
    clips: int,
    usable: int,
    generation_usd_per_clip: str,
    usd_per_usable: str | None,
    usd_per_rendered_s: str,
):
    line = _line(small_day, dimension, value)
    assert (line.clips, line.usable) == (clips, usable)
    assert line.generation_usd_per_clip == Decimal(generation_usd_per_clip)
    assert line.usd_per_usable_clip == (None if usd_per_usable is None else Decimal(usd_per_usable))
    assert line.usd_per_rendered_s == Decimal(usd_per_rendered_s)


@_A_FEW
@given(facts=_FACTS)
def test_every_dimension_adds_up_to_the_same_exact_money(facts):
    report = cost_report_of(DAY, facts)
    generated = [fact for fact in facts if fact.attempts]
    expected = (
        len(generated),
        sum(fact.usable for fact in generated),
        sum((fact.total_usd for fact in generated), Decimal(0)),
    )
    for dimension in ("tier", "model", "weekday", "failure mode", "day and tier"):
        lines = [line for line in report.lines if line.dimension == dimension]
        totals = (
            sum(line.clips for line in lines),
            sum(line.usable for line in lines),
            sum((line.total_usd for line in lines), Decimal(0)),
        )
        assert totals == expected


@_A_FEW
@given(facts=_FACTS)
def test_the_totals_are_the_days_own(facts):
    report = cost_report_of(DAY, facts)
    own = [fact for fact in facts if fact.day == DAY]
    assert (report.clips, report.usable) == (len(own), sum(fact.usable for fact in own))
    assert report.total_usd == sum((fact.total_usd for fact in own), Decimal(0))
    assert (report.generation_usd_per_clip is None) is not any(fact.attempts for fact in own)
    assert set(report.by_day) == {str(fact.day) for fact in facts if fact.attempts}
    if report.generation_usd_per_clip is not None:
        assert report.by_day[str(DAY)] == report.generation_usd_per_clip


def test_cents_that_a_float_would_lose_are_kept():
    facts = [a_fact(f"clip-{number}", generation_usd=Decimal("0.000001")) for number in range(30)]
    facts.append(a_fact("dear", generation_usd=Decimal("99999.999999")))
    assert _line(cost_report_of(DAY, facts), "tier", "preview").total_usd == Decimal("100000.000029")


def test_a_day_on_which_no_clip_has_a_model_is_reported():
    report = cost_report_of(DAY, [a_fact("a", model=None, usable=False)])
    assert _line(report, "model", "none").clips == 1


def test_an_empty_day_is_reported_as_empty():
    report = cost_report_of(DAY, [])
    assert (report.clips, report.total_usd, report.lines, report.by_day, report.waste) == (0, Decimal(0), (), {}, {})
    assert (report.generation_usd_per_clip, report.usd_per_usable_clip) == (None, None)


def test_a_day_on_which_every_clip_waits_has_no_average():
    report = cost_report_of(DAY, [a_fact("a", attempts=0, usable=False), a_fact("b", attempts=0, usable=False)])
    assert (report.clips, report.generation_usd_per_clip, report.lines) == (2, None, ())


def test_a_week_is_the_sum_of_its_days():
    reports = [
        cost_report_of(
            DAY + timedelta(days=number),
            [
                a_fact(
                    "a",
                    day=DAY + timedelta(days=number),
                    generation_usd=Decimal("0.1") * (number + 1),
                    waste={"quality": Decimal("0.01")},
                    saved_usd=Decimal("0.02"),
                )
            ],
        )
        for number in range(3)
    ]
    week = weekly_cost_report_of(DAY, reports)
    assert (week.day, week.clips, week.usable) == (DAY, 3, 3)
    assert (week.total_usd, week.generation_usd) == (Decimal("0.6"), Decimal("0.6"))
    assert (week.generation_usd_per_clip, week.usd_per_usable_clip) == (Decimal("0.2"), Decimal("0.2"))
    assert (week.waste, week.saved_by_cache_usd) == ({"quality": Decimal("0.03")}, Decimal("0.06"))
    assert list(week.by_day.values()) == [Decimal("0.1"), Decimal("0.2"), Decimal("0.3")]


def test_a_week_of_one_day_says_what_the_day_says(small_day: CostReport):
    week = weekly_cost_report_of(DAY, [small_day])
    assert week.generation_usd_per_clip == small_day.generation_usd_per_clip
    assert week.model_copy(update={"lines": small_day.lines, "spending": small_day.spending}) == small_day


def test_a_day_and_a_week_say_what_was_billed_and_what_is_a_list_price():
    usd = Decimal
    facts = [
        a_fact("billed", generation_usd=usd("0.03"), vendor_usd=usd("0.03")),
        a_fact("in part", generation_usd=usd("0.05"), retry_usd=usd("0.02"), vendor_usd=usd("0.05")),
        a_fact("listed", generation_usd=usd("0.04")),
    ]
    assert [fact.list_usd for fact in facts] == [0, usd("0.02"), usd("0.04")]
    day = cost_report_of(DAY, facts)
    for report in (day, weekly_cost_report_of(DAY, [day])):
        assert (report.vendor_usd, report.list_usd) == (usd("0.08"), usd("0.06"))


def test_a_week_is_told_with_its_numbers(small_day: CostReport):
    alert = weekly_alert(weekly_cost_report_of(date(2026, 11, 16), [small_day]))
    assert alert.title == "Week of 2026-11-16: $0.19 for 2 usable clips"
    assert alert.fields == {
        "generation": "$0.18, $0.18 of it at list prices",
        "waste": "$0.10",
        "saved by the cache": "$0.01",
    }
    empty = weekly_alert(weekly_cost_report_of(date(2026, 11, 16), []))
    assert "no usable clip" in empty.text


def test_a_days_times_are_values_that_were_measured():
    """Of nine published clips the fifth and the ninth; one that is under way has no time to publication."""
    facts = [
        a_fact(
            f"clip-{number}",
            to_preview_s=number,
            to_preview_provider_s=1.0,
            to_published_s=10.0 * number,
            to_published_provider_s=2.0,
            seconds={"provider": 2.0, "inbox": 10.0 * number - 2},
        )
        for number in range(1, 10)
    ]
    under_way = a_fact("under-way", to_preview_s=100.0, to_preview_provider_s=90.0, seconds={"provider": 90.0})
    report = cost_report_of(
        DAY, [*facts, under_way, a_fact("yesterday", day=DAY - timedelta(days=1), to_preview_s=1)]
    )
    assert (report.median_s["to preview"], report.p90_s["to preview"]) == (5, 9)
    assert (report.median_s["to preview, provider apart"], report.p90_s["to preview, provider apart"]) == (4, 8)
    assert (report.median_s["to published"], report.p90_s["to published"]) == (50, 90)
    assert (report.median_s["to published, provider apart"], report.p90_s["provider"]) == (48, 2)
    assert (report.median_s["inbox"], report.median_s["person"]) == (48, 0)


def test_a_day_of_clips_without_times_tells_none():
    report = cost_report_of(DAY, [a_fact()])
    assert (report.median_s, report.p90_s) == ({}, {})
