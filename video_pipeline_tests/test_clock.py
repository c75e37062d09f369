"""Midnight, as the tests meet it."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from video_pipeline import days
from video_pipeline_tests import clock


@pytest.mark.parametrize(("left_s", "waits"), [(10, True), (3600, False)])
def test_a_test_that_would_not_end_before_midnight_begins_after_it(
    monkeypatch: pytest.MonkeyPatch, left_s: int, waits: bool
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(days, "begins_at", lambda day: datetime.now(UTC) + timedelta(seconds=left_s))
    clock.wait_for_midnight()
    assert [round(seconds) for seconds in slept] == [left_s] * waits
