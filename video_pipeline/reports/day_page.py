"""The day as one HTML page (`day_report.html`) that needs nothing but itself (O3)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from typing import Any

from video_pipeline.feedback import ClipFact, CostReport
from video_pipeline.ledger import Ledger
from video_pipeline.reports.addresses import web_address
from video_pipeline.reports.gallery import CONTACT_SHEET
from video_pipeline.reports.inline import data_uri
from video_pipeline.reports.plots import cost_svg
from video_pipeline.storage import ObjectStore, StoredObject, report_key
from video_pipeline.wire import clean

# What the page leaves inside a card, in pixels.
_CHART_WIDTH = 1040


def day_report(
    store: ObjectStore, ledger: Ledger, report: CostReport, facts: Sequence[ClipFact], *, limit_usd: Decimal
) -> StoredObject:
    """Write the page of the report's day into the store.

    `limit_usd` is the average cost a clip at which drift freezes previews. Raises StorageError.
    """
    import jinja2

    template = resources.files("video_pipeline.reports").joinpath("day_report.html").read_text(encoding="utf-8")
    # Every word is escaped by the template's engine, and clean before that.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_cleaned)
    sheet_key = report_key(report.day, CONTACT_SHEET)
    sheet = None
    if store.exists(sheet_key):
        sheet = data_uri("image/jpeg", store.read_bytes(sheet_key))
    page = environment.from_string(template).render(
        web_address=web_address,
        report=report,
        facts=facts,
        quarantined=ledger.intake.quarantined(report.day),
        reviews=ledger.reviews.of_day(report.day),
        sheet=sheet,
        cost_svg=cost_svg(report, limit_usd=limit_usd, width=_CHART_WIDTH) if report.by_day else None,
        made_at=datetime.now(UTC),
    )
    return store.put_bytes(
        report_key(report.day, "report.html"), page.encode(), content_type="text/html", overwrite=True
    )


def _cleaned(value: Any) -> Any:
    # What has become markup is ours.
    return clean(value) if type(value) is str else value
