"""Metrics read back: one row a clip, platform and day; a platform that is down stops no other."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from video_pipeline.alerts import Notifier
from video_pipeline.publishing import Engagement, Platform, Publisher, collect_engagement
from video_pipeline.publishing.platforms import Metrics
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.publishing.conftest import Desk, request_of


def collect(desk: Desk, *, after_days: int = 0, trailing_days: int = 3, **platforms: Platform) -> list[Engagement]:
    day = desk.day + timedelta(days=after_days)
    return collect_engagement(desk.ledger, desk.platforms | platforms, day=day, trailing_days=trailing_days)


def test_what_is_public_has_a_row_with_its_age(desk: Desk) -> None:
    desk.publish(desk.media())
    with desk.ledger.engine.begin() as connection:
        connection.execute(text("UPDATE publications SET published_at = published_at - interval '49 hours'"))
    [row] = collect(desk, after_days=2)
    assert (row.clip_id, row.brief_id, row.platform) == (f"{desk.day}/a-clip", "a-clip", "youtube_shorts")
    assert (row.day, row.age_days) == (desk.day + timedelta(days=2), 2)
    assert row.views is not None
    assert row.completion is not None
    assert 0 < row.completion <= 1


def test_what_is_too_old_or_not_public_has_none(desk: Desk) -> None:
    desk.publish(desk.media())
    desk.publish(desk.media(), platform="tiktok")
    assert collect(desk, after_days=3) == []
    assert [row.platform for row in collect(desk)] == ["youtube_shorts"]


def test_a_second_reading_of_a_day_replaces_the_first(desk: Desk) -> None:
    desk.publish(desk.media())
    assert len(collect(desk)) == len(collect(desk)) == 1


def test_what_a_platform_does_not_tell_is_not_a_zero(desk: Desk) -> None:
    desk.publish(desk.media())
    silent = desk.edge.youtube(analytics_url=f"{desk.edge.base_url}/nowhere")
    [row] = collect(desk, youtube_shorts=silent)
    assert row.views is not None
    assert (row.completion, row.shares) == (None, None)


@pytest.fixture
def two_platforms(desk: Desk) -> Desk:
    """A clip that is public on two platforms; the second is a channel of the sandbox too."""
    media = desk.media()
    both = desk.platforms | {"tiktok": desk.edge.youtube()}
    publisher = Publisher(
        ledger=desk.ledger, store=desk.store, platforms=both, notifier=Notifier([], desk.ledger.alerts)
    )
    for platform in ("youtube_shorts", "tiktok"):
        request = request_of(media, platform=platform)
        publisher.publish(request, day=desk.day, media_key=media.key, media_sha256=media.sha256)
    return desk


def test_a_platform_that_refuses_our_credentials_is_skipped(two_platforms: Desk) -> None:
    locked = two_platforms.edge.youtube(refresh_token="")
    rows = collect(two_platforms, youtube_shorts=locked, tiktok=two_platforms.edge.youtube())
    assert [row.platform for row in rows] == ["tiktok"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, b'{"error": {"errors": [{"reason": "quotaExceeded"}], "message": "no quota"}}'), (200, b"<html></html>")],
    ids=["no quota", "no answer"],
)
def test_a_platform_that_gives_no_metrics_is_skipped(two_platforms: Desk, status: int, body: bytes) -> None:
    with answering(status, body) as broken:
        down = two_platforms.edge.youtube(api_url=broken.base_url)
        rows = collect(two_platforms, youtube_shorts=down, tiktok=two_platforms.edge.youtube())
    assert [row.platform for row in rows] == ["tiktok"]


class Telling:
    """A platform that tells whatever it is given to tell."""

    def __init__(self, platform: Platform, told: Any) -> None:
        self._platform, self._told = platform, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name)

    def metrics(self, remote_ids: Sequence[str]) -> Any:
        if isinstance(self._told, Exception):
            raise self._told
        return self._told(remote_ids) if callable(self._told) else self._told


@pytest.mark.parametrize(
    "told",
    [
        TypeError("canary-key"),
        RecursionError(),
        None,
        7,
        lambda ids: dict.fromkeys(ids, 7),
        lambda ids: {key: {"views": -1} for key in ids},
        lambda ids: dict.fromkeys(ids, Metrics.model_construct(views=True)),
        lambda ids: dict.fromkeys(ids, Metrics.model_construct(views=10**30)),
        lambda ids: dict.fromkeys(ids, Metrics.model_construct(views=-3)),
        lambda ids: dict.fromkeys(ids, Metrics.model_construct(completion=math.nan)),
        lambda ids: dict.fromkeys(ids, Metrics.model_construct(views="a\x00b")),
    ],
)
def test_whatever_an_adapter_tells_wrong_numbers_are_never_kept(
    two_platforms: Desk, told: Any, caplog: pytest.LogCaptureFixture
) -> None:
    odd: Any = Telling(two_platforms.edge.youtube(), told)
    rows = collect(two_platforms, youtube_shorts=odd, tiktok=two_platforms.edge.youtube())
    assert [row.platform for row in rows] == ["tiktok"]
    assert "youtube_shorts" in caplog.text and "canary" not in caplog.text
