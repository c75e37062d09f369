"""Engagement: metrics read back for days after publishing, one snapshot a clip, platform and day (G4.6)."""

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline.days import day_at
from video_pipeline.ledger import Ledger, Publication, PublicationState
from video_pipeline.publishing.platforms import Metrics, Platform, UploadInterrupted, UploadRefused

_LOG = logging.getLogger(__name__)


class Engagement(BaseModel):
    """A row of the asset `engagement`: read when the partition `day` was made, `age_days` after publishing.

    What a platform does not tell is None, never zero.
    """

    model_config = ConfigDict(frozen=True)

    clip_id: str
    brief_id: str
    platform: str
    day: date
    age_days: int
    views: int | None = None
    engaged_views: int | None = None
    likes: int | None = None
    comments: int | None = None
    shares: int | None = None
    completion: float | None = None


def collect_engagement(
    ledger: Ledger, platforms: Mapping[str, Platform], *, day: date, trailing_days: int
) -> list[Engagement]:
    """Read the metrics of everything published for the days up to `day`; a platform that is down is skipped."""
    first, now = day - timedelta(days=trailing_days - 1), datetime.now(UTC)
    published: dict[str, list[Publication]] = {}
    for publication in ledger.publications.of_days(first, day):
        if publication.state is PublicationState.PUBLISHED and publication.remote_id:
            published.setdefault(publication.platform, []).append(publication)
    # A day that is over keeps what was read then; read again, it would show today's numbers as that day's.
    recorded = ledger.publications.metrics_on(day) if day < day_at(now) else {}
    rows: list[Engagement] = []
    for name, publications in published.items():
        new = [publication for publication in publications if publication.key not in recorded]
        for publication in publications:
            if publication.key in recorded:
                rows.append(_row(publication, day, recorded[publication.key]))
        if not new:
            continue
        try:
            metrics = dict(platforms[name].metrics([publication.remote_id or "" for publication in new]))
        except (UploadInterrupted, UploadRefused) as error:
            _LOG.warning("no engagement from %s today: %s", name, error)
            continue
        except Exception as error:
            # Whatever an adapter stumbles over, and a platform that there is no more; without words of others.
            _LOG.warning("no engagement from %s today: its adapter broke off with a %s", name, type(error).__name__)
            continue
        for publication in new:
            told = _told(metrics.get(publication.remote_id or ""), publication)
            if told is not None:
                age_days = (now - (publication.published_at or now)).days
                ledger.publications.record_metrics(publication, day=day, age_days=age_days, metrics=told)
                rows.append(_row(publication, day, {"age_days": age_days, **told}))
    return rows


def _told(found: object, publication: Publication) -> dict[str, Any] | None:
    """What a platform has told of a clip, read once more as what numbers can be; None when it is nothing of that."""
    if found is None:
        return None
    try:
        # An adapter may have built it past its own checks.
        document = found.model_dump(warnings=False) if isinstance(found, BaseModel) else found
        return Metrics.model_validate(document).model_dump(exclude_none=True)
    except ValueError as error:
        word = type(error).__name__
        _LOG.warning("the metrics of %s on %s are dropped: %s", publication.clip_id, publication.platform, word)
        return None


def _row(publication: Publication, day: date, read: Mapping[str, int | float]) -> Engagement:
    return Engagement.model_validate(
        {
            "clip_id": publication.clip_id,
            "brief_id": publication.clip_id.split("/", 1)[1],
            "platform": publication.platform,
            "day": day,
            **read,
        }
    )
