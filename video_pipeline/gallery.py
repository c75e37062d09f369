"""The pictures and the page that people look at: a day's contact sheet, the plots, the HTML report (MISSION O3).

Large pictures are stored and linked; what goes inline into Dagster's metadata is small.
"""

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path

from video_pipeline.clips import ReviewedClip
from video_pipeline.feedback import ClipFact, CostReport, ModelScore
from video_pipeline.ledger import Ledger
from video_pipeline.storage import ObjectStore, StoredObject, report_key

# Wide enough for the words on a contact sheet; what holds so many clips that it does not fit becomes smaller.
_PREVIEW_WIDTH, _PREVIEW_BYTES = 960, 190_000
_THUMBNAIL_BYTES = 20_000
# What the report's page leaves inside a card.
_REPORT_CHART_WIDTH = 1040


@dataclass(frozen=True)
class Gallery:
    """Where a day's contact sheet lies, and small data URIs of it and of one frame for inline use."""

    sheet_url: str
    preview: str
    thumbnail: str | None


def day_gallery(store: ObjectStore, clips: Sequence[ReviewedClip], *, day: date) -> Gallery:
    """Draw and store the contact sheet of `day`; clips without a file get a card with the reason."""
    from contextlib import ExitStack

    from video_pipeline.media.pictures import SheetEntry, contact_sheet, inline_jpeg, thumbnail

    with tempfile.TemporaryDirectory(prefix="gallery-") as folder, ExitStack() as files:
        entries, first = [], None
        for clip in clips:
            key = clip.final_key or clip.media_key
            path = files.enter_context(store.local_copy(key)) if key else None
            first = first or path
            subtitle = f"{clip.tier} · {clip.model or 'no model'} · ${clip.billed_usd:.4f}"
            entries.append(SheetEntry(path, clip.brief_id, subtitle, clip.status.value, clip.reason))
        sheet = Path(folder) / "contact-sheet.jpg"
        contact_sheet(entries, sheet)
        inline = None
        if first is not None:
            small = Path(folder) / "thumbnail.jpg"
            thumbnail(first, small, height=160)
            inline = inline_jpeg(small, max_bytes=_THUMBNAIL_BYTES)
        stored = store.put_bytes(
            report_key(day, "contact-sheet.jpg"), sheet.read_bytes(), content_type="image/jpeg", overwrite=True
        )
        return Gallery(stored.url, inline_jpeg(sheet, max_bytes=_PREVIEW_BYTES, max_width=_PREVIEW_WIDTH), inline)


def cost_plot(report: CostReport, *, limit_usd: Decimal) -> str:
    """The average generation cost a clip by day and tier, with the drift line, as a data URI."""
    from video_pipeline.media.charts import cost_chart

    return _data_uri("image/png", cost_chart(_cost_rows(report), limit_usd=float(limit_usd)).png)


def score_plot(scores: Sequence[ModelScore]) -> str:
    """Model scores with their intervals, as a data URI."""
    from video_pipeline.media.charts import score_chart

    return _data_uri("image/png", score_chart(_score_rows(scores)).png)


def day_report(
    store: ObjectStore, ledger: Ledger, report: CostReport, facts: Sequence[ClipFact], *, limit_usd: Decimal
) -> StoredObject:
    """Write the day as one HTML page that needs nothing but itself; `limit_usd` is where drift freezes previews."""
    import jinja2

    from video_pipeline.media.charts import cost_chart

    template = resources.files("video_pipeline").joinpath("day_report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    sheet_key = report_key(report.day, "contact-sheet.jpg")
    sheet = None
    if store.exists(sheet_key):
        sheet = _data_uri("image/jpeg", store.read_bytes(sheet_key))
    cost_svg = None
    if report.by_day:
        cost_svg = cost_chart(_cost_rows(report), limit_usd=float(limit_usd), width=_REPORT_CHART_WIDTH).svg
    page = environment.from_string(template).render(
        report=report,
        facts=facts,
        quarantined=ledger.intake.quarantined(report.day),
        reviews=ledger.reviews.of_day(report.day),
        sheet=sheet,
        cost_svg=cost_svg,
        made_at=datetime.now(UTC),
    )
    return store.put_bytes(
        report_key(report.day, "report.html"), page.encode(), content_type="text/html", overwrite=True
    )


def _cost_rows(report: CostReport) -> list[dict]:
    rows = []
    for line in report.lines:
        if line.dimension == "day and tier":
            day, tier = line.value.split(" ", 1)
            rows.append({"day": day, "tier": tier, "average_usd": line.generation_usd_per_clip, "clips": line.clips})
    return rows


def _score_rows(scores: Sequence[ModelScore]) -> list[dict]:
    return [
        {
            "model": score.model,
            "tier": score.tier,
            "score": score.score,
            "low": score.score_low,
            "high": score.score_high,
            "attempts": score.attempts,
        }
        for score in scores
    ]


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
