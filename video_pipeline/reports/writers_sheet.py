"""The sheet for whoever writes next week's briefs, as an HTML page (`writers_sheet.html`) that needs only itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from video_pipeline.feedback import (
    EditorialPattern,
    PlatformSheet,
    effect_words,
    gain_words,
    interval_words,
    sheets_of,
    sure_words,
)
from video_pipeline.policy import GuidancePolicy
from video_pipeline.reports.pages import template
from video_pipeline.storage import ObjectStore, StoredObject, report_key

NAME = "guidance.html"
_PARTS = (
    ("works", "Works: write more of it", "good"),
    ("open", "Could still be luck", "soft"),
    ("worse", "Probably watched less", "bad"),
    ("few", "Tried too little to tell: write some more to learn", "soft"),
)


@dataclass(frozen=True)
class _Span:
    """Where the interval and the gain lie on a bar, in percent of its width; 50 is no gain."""

    left: float
    width: float
    at: float


def guidance_page(
    store: ObjectStore, week: date, rows: Sequence[EditorialPattern], policy: GuidancePolicy
) -> StoredObject:
    """Write the page of what the weeks up to `week` have taught into the store, beside that day's page.

    Raises StorageError.
    """
    sheets = sheets_of(rows, policy)
    page = template("writers_sheet.html").render(
        week=week,
        next_week=week + timedelta(days=7),
        policy=policy,
        sheets=[(sheet, _reach(sheet)) for sheet in sheets],
        parts=_PARTS,
        span=_span,
        gain_words=gain_words,
        interval_words=interval_words,
        sure_words=sure_words,
        effect_words=effect_words,
        made_at=datetime.now(UTC),
    )
    return store.put_bytes(report_key(week, NAME), page.encode(), content_type="text/html", overwrite=True)


def _reach(sheet: PlatformSheet) -> float:
    """The gain at the end of the platform's bars, so that all intervals of it fit."""
    rows = (*sheet.works, *sheet.open, *sheet.worse, *sheet.few)
    return max((abs(end) for row in rows for end in (row.low, row.high)), default=0.0) or 1.0


def _span(row: EditorialPattern, reach: float) -> _Span:
    left, right, at = (50 + 50 * value / reach for value in (row.low, row.high, row.gain))
    return _Span(left, right - left, at)
