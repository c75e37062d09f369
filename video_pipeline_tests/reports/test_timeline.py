"""Where the seconds go, on the day's page."""

from decimal import Decimal
from pathlib import Path

import pytest

from video_pipeline.feedback import ClipFact, Part, cost_report_of
from video_pipeline.ledger import Ledger
from video_pipeline.reports import day_report
from video_pipeline.reports.timeline import day_times, duration
from video_pipeline.storage import open_store
from video_pipeline_tests.feedback.rows import DAY, a_fact


def _published(name: str, **seconds: float) -> ClipFact:
    return a_fact(
        name,
        to_preview_s=9.0,
        to_preview_provider_s=4.0,
        to_published_s=sum(seconds.values()),
        to_published_provider_s=seconds.get("provider", 0.0),
        seconds=seconds,
    )


_FACTS = [
    *(_published(f"quick-{number}", inbox=2.0, provider=4.0, upscale=20.0) for number in range(12)),
    _published("<slow>", inbox=3.0, provider=5.0, person=36_000.0),
    _published("from-the-cache", inbox=2.0, publishing=1.5),
    a_fact("on-its-way", seconds={"inbox": 2.0}),
]


def test_the_slowest_clips_are_shown_and_every_bar_is_whole():
    times = day_times(cost_report_of(DAY, _FACTS), _FACTS)
    assert (times.published, len(times.slowest), times.slowest[0].clip) == (14, 12, "<slow>")
    assert (times.slowest[0].to_published, times.slowest[0].own) == ("10 h 00 min", "10 h 00 min")
    for bar in times.slowest:
        assert sum(part.percent for part in bar.slices) == pytest.approx(100)
    assert [part.words for part in times.slowest[1].slices] == ["inbox: 2.0 s", "provider: 4.0 s", "upscale: 20.0 s"]


def test_every_part_that_took_time_has_a_line_and_every_part_a_look():
    facts = [_published("all", **{part.value: 1.0 for part in Part})]
    assert {line.name for line in day_times(cost_report_of(DAY, facts), facts).parts} == set(Part)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (99.94, "99.9 s"),
        (99.96, "1 min 40 s"),
        (245, "4 min 05 s"),
        (3_599.4, "59 min 59 s"),
        (3_600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (183_600, "2 d 03 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, words: str):
    assert duration(seconds) == words


def test_the_page_tells_them_in_safe_words(ledger: Ledger, tmp_path: Path):
    store = open_store(str(tmp_path))
    page = day_report(store, ledger, cost_report_of(DAY, _FACTS), _FACTS, limit_usd=Decimal("0.15"))
    html = store.read_bytes(page.key).decode()
    assert "Where the seconds go" in html and "The 12 slowest" in html
    assert "&lt;slow&gt;" in html and "<slow>" not in html


def test_a_day_without_a_published_clip_has_no_bars(ledger: Ledger, tmp_path: Path):
    store = open_store(str(tmp_path))
    facts = [a_fact("on-its-way", seconds={"inbox": 2.0})]
    page = day_report(store, ledger, cost_report_of(DAY, facts), facts, limit_usd=Decimal("0.15"))
    assert "Where the seconds go" not in store.read_bytes(page.key).decode()
