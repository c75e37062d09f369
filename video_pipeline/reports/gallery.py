"""The day's gallery: its contact sheet in the store, and small pictures for inline use (O3).

Large pictures are stored and linked; what goes inline into Dagster's metadata is small.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from video_pipeline.clips import ReviewedClip
from video_pipeline.media import thumbnail
from video_pipeline.reports.inline import inline_jpeg
from video_pipeline.reports.pictures import SheetEntry, contact_sheet
from video_pipeline.scratch import scratch_folder
from video_pipeline.storage import ObjectStore, report_key

# Wide enough for the words on a contact sheet; what holds so many clips that it does not fit becomes smaller.
_PREVIEW_WIDTH, _PREVIEW_BYTES = 960, 190_000
_THUMBNAIL_BYTES = 20_000
CONTACT_SHEET = "contact-sheet.jpg"


@dataclass(frozen=True)
class Gallery:
    """Where a day's contact sheet lies, and small data URIs of it and of one frame for inline use."""

    sheet_url: str
    preview: str
    thumbnail: str | None


def day_gallery(store: ObjectStore, clips: Sequence[ReviewedClip], *, day: date) -> Gallery:
    """Draw and store the contact sheet of `day`; clips without a file get a card with the reason.

    Raises MediaError or StorageError when the sheet cannot be written.
    """
    with scratch_folder("gallery") as folder, ExitStack() as files:
        entries: list[SheetEntry] = []
        first: Path | None = None
        for clip in clips:
            key = clip.final_key or clip.media_key
            path = files.enter_context(store.local_copy(key)) if key else None
            first = first or path
            subtitle = f"{clip.tier} · {clip.model or 'no model'} · ${clip.billed_usd:.4f}"
            entries.append(SheetEntry(path, clip.brief_id, subtitle, clip.status.value, clip.reason))
        sheet = Path(folder) / CONTACT_SHEET
        contact_sheet(entries, sheet)
        inline = None
        if first is not None:
            small = Path(folder) / "thumbnail.jpg"
            thumbnail(first, small, height=160)
            inline = inline_jpeg(small, max_bytes=_THUMBNAIL_BYTES)
        stored = store.put_bytes(
            report_key(day, CONTACT_SHEET), sheet.read_bytes(), content_type="image/jpeg", overwrite=True
        )
        return Gallery(stored.url, inline_jpeg(sheet, max_bytes=_PREVIEW_BYTES, max_width=_PREVIEW_WIDTH), inline)
