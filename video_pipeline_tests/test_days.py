"""The production day in a time zone: which it is, and when it begins."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from dagster._utils.schedules import cron_string_iterator

from video_pipeline.days import begins_at, day_at, named, strikes_at, today, use_zone, zone_name
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
        ("Europe/Berlin", "2026-01-01", 2, "2026-01-01T01:00:00+00:00"),
        # The clocks go back at three, and forward at two.
        ("Europe/Berlin", "2026-10-25", 2, "2026-10-25T01:00:00+00:00"),
        ("Europe/Berlin", "2026-03-29", 2, "2026-03-29T01:00:00+00:00"),
        ("America/New_York", "2026-11-01", 1, "2026-11-01T06:00:00+00:00"),
    ],
)
def test_an_hour_strikes_when_dagster_runs_a_schedule_at_it(zone: str, day: str, hour: int, moment: str) -> None:
    use_zone(zone)
    strikes = strikes_at(date.fromisoformat(day), hour)
    assert (strikes, strikes.tzinfo) == (datetime.fromisoformat(moment), UTC)
    ticks = cron_string_iterator(strikes.timestamp() - 60, f"0 {hour} * * *", zone)
    assert next(ticks).timestamp() == strikes.timestamp()


@pytest.mark.parametrize(
    ("zone", "day", "moment"),
    [
        ("UTC", "2026-07-01", "2026-07-01T00:00:00+00:00"),
        ("Europe/Berlin", "2026-07-01", "2026-06-30T22:00:00+00:00"),
        ("Asia/Tokyo", "2026-07-01", "2026-06-30T15:00:00+00:00"),
        # Midnight is there twice in one, and not at all in the other.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00+00:00"),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00:00+00:00"),
    ],
)
def test_a_day_begins_at_midnight_in_the_zone(zone: str, day: str, moment: str) -> None:
    use_zone(zone)
    assert begins_at(date.fromisoformat(day)) == datetime.fromisoformat(moment)
    assert day_at(begins_at(date.fromisoformat(day))) == date.fromisoformat(day)
    assert day_at(begins_at(date.fromisoformat(day)) - timedelta(seconds=1)) < date.fromisoformat(day)


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
