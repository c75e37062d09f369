"""The production day in a time zone: which it is, and when it begins."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from video_pipeline.days import begins_at, day_at, named, today, use_zone, zone_name
from video_pipeline.errors import ConfigurationError
from video_pipeline.settings import get_settings


@pytest.fixture(autouse=True)
def utc_again() -> Iterator[None]:
    yield
    use_zone("UTC")


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("UTC", "2026-07-01T23:59:59+00:00", "2026-07-01"),
        ("Europe/Berlin", "2026-07-01T21:59:59+00:00", "2026-07-01"),
        ("Europe/Berlin", "2026-07-01T22:00:00+00:00", "2026-07-02"),
        ("Europe/Berlin", "2026-12-31T23:00:00+00:00", "2027-01-01"),
        ("America/Los_Angeles", "2026-07-02T06:59:59+00:00", "2026-07-01"),
        ("Pacific/Kiritimati", "2026-07-01T10:00:00+00:00", "2026-07-02"),
        ("Asia/Kolkata", "2026-07-01T20:30:00+02:00", "2026-07-02"),
    ],
)
def test_the_day_is_that_of_the_zone(zone: str, moment: str, day: str) -> None:
    use_zone(zone)
    assert day_at(datetime.fromisoformat(moment)) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("zone", "day", "hour", "moment"),
    [
        ("UTC", "2026-07-01", 2, "2026-07-01T02:00:00+00:00"),
        ("Europe/Berlin", "2026-07-01", 0, "2026-06-30T22:00:00+00:00"),
        ("Europe/Berlin", "2026-01-01", 2, "2026-01-01T01:00:00+00:00"),
        # The clocks go back at three, and the hour from two to three is there twice: the first one counts.
        ("Europe/Berlin", "2026-10-25", 2, "2026-10-25T00:00:00+00:00"),
        ("Asia/Tokyo", "2026-07-01", 0, "2026-06-30T15:00:00+00:00"),
    ],
)
def test_a_day_begins_at_midnight_in_the_zone(zone: str, day: str, hour: int, moment: str) -> None:
    use_zone(zone)
    begins = begins_at(date.fromisoformat(day), hour)
    assert (begins, begins.tzinfo) == (datetime.fromisoformat(moment), UTC)


def test_the_zone_is_said_where_it_is_not_utc() -> None:
    assert named(date(2026, 7, 1)) == "2026-07-01"
    use_zone("Europe/Berlin")
    assert named(date(2026, 7, 1)) == "2026-07-01 (Europe/Berlin)"
    assert zone_name() == "Europe/Berlin"


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "CEST", "+02:00"])
def test_no_zone_is_told_and_the_zone_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = today()
    with pytest.raises(ValueError, match="there is no time zone"):
        use_zone(name)
    assert (zone_name(), today()) == ("UTC", before)


def test_the_settings_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_PIPELINE_TIME_ZONE", "Asia/Tokyo")
    assert get_settings.__wrapped__().time_zone == zone_name() == "Asia/Tokyo"
    monkeypatch.setenv("VIDEO_PIPELINE_TIME_ZONE", "Mars")
    with pytest.raises(ConfigurationError, match=r"VIDEO_PIPELINE_TIME_ZONE: .*there is no time zone 'Mars'"):
        get_settings.__wrapped__()
