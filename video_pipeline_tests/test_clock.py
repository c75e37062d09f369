"""The clock of the tests: the production day that they have begun in outlasts midnight."""

from datetime import UTC, datetime, timedelta

import pytest

from video_pipeline import days
from video_pipeline_tests import clock


def test_the_day_stays_when_midnight_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun_on = datetime.now(UTC) - timedelta(days=2)
    monkeypatch.setattr(clock, "_LAST_MOMENT", begun_on)
    assert days.today() == begun_on.date()
    assert days.begins_at(days.today()) < begun_on


def test_before_midnight_it_is_the_real_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_LAST_MOMENT", datetime.max.replace(tzinfo=UTC))
    before = datetime.now(UTC).date()
    assert before <= days.today() <= datetime.now(UTC).date()
