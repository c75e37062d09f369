"""The day's gallery: its contact sheets in the store, and small pictures for inline use (O3).

Large pictures are stored and linked; what goes inline into Dagster's metadata is small.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.clips import ReviewedClip
from video_pipeline.errors import MediaError, StorageError
from video_pipeline.media import Stills, look_through, picture_in, save_picture
from video_pipeline.reports.inline import inline_jpeg
from video_pipeline.reports.pictures import STILL_SIDE, ContactSheet, SheetEntry
from video_pipeline.scratch import scratch_folder
from video_pipeline.storage import ObjectStore, report_key

if TYPE_CHECKING:
    from PIL.Image import Image

CLIPS_A_SHEET = 60
# The first rows of the first sheet, wide enough to read the words on it.
_PREVIEW_WIDTH, _PREVIEW_TOP, _PREVIEW_BYTES = 960, 1300, 190_000
_THUMBNAIL_BYTES = 20_000
_SHEET = "contact-sheet"


@dataclass(frozen=True)
class Gallery:
    """Where a day's contact sheets lie, in order, and small data URIs of the first one's top and of a frame."""

    sheet_urls: tuple[str, ...]
    preview: str | None
    thumbnail: str | None


class DayGallery:
    """Draws and stores a day's contact sheets as its clips come, so many to a sheet.

    Holds the cards of one sheet, whatever the number of clips. A sheet that fails is left out; the next is drawn.
    """

    def __init__(self, store: ObjectStore, *, day: date, clips: int, a_sheet: int = CLIPS_A_SHEET) -> None:
        """`clips` is how many will come, `a_sheet` how many stand on a sheet."""
        self._store, self._day, self._a_sheet = store, day, a_sheet
        self._sheets = sheets_for(clips, a_sheet)
        self._number = 1
        self._sheet = self._blank()
        self._urls: dict[str, str] = {}
        self._preview: str | None = None
        self._thumbnail: str | None = None

    def add(self, clip: ReviewedClip, stills: Stills) -> None:
        """Draw the clip's card of `stills`; a file that nobody decoded yet is decoded for it.

        A clip without a file, or with one that cannot be shown, gets a card with the reason. Raises MediaError or
        StorageError when a full sheet cannot be written, and what `stills` failed with.
        """
        self._sheet.add(self._entry(clip, stills))
        if len(self._sheet) == self._a_sheet:
            self._store_sheet()
        if stills.error is not None:
            raise stills.error

    def finish(self) -> None:
        """Store what is left, and remove the sheets that an earlier run of the day had beyond these."""
        if len(self._sheet) or not self._urls:
            self._store_sheet()
        for key in list(self._store.list(report_key(self._day, _SHEET))):
            if key not in self._urls:
                self._store.delete(key)

    @property
    def stored(self) -> Gallery:
        """What there is so far."""
        return Gallery(tuple(self._urls.values()), self._preview, self._thumbnail)

    def _blank(self) -> ContactSheet:
        of_all = f", sheet {self._number} of {self._sheets}" if self._sheets > 1 else ""
        return ContactSheet(f"Clips of {self._day}{of_all}")

    def _entry(self, clip: ReviewedClip, stills: Stills) -> SheetEntry:
        key, reason = clip.final_key or clip.media_key, clip.reason
        if key and not stills.begun:
            with suppress(MediaError, StorageError), self._store.local_copy(key) as path:
                look_through(path, stills)
        if key and not stills.pictures:
            reason = reason or "The file cannot be shown."
        if self._thumbnail is None and stills.pictures:
            self._thumbnail = self._inline(stills.pictures[len(stills.pictures) // 3])
        # Without a clip the card says why there is none.
        started = self._started_from(clip) if stills.pictures else []
        subtitle = f"{clip.tier} · {clip.model or 'no model'} · ${clip.billed_usd:.4f}"
        subtitle += " · from a picture, shown first" if started else ""
        return SheetEntry([*started, *stills.pictures], clip.brief_id, subtitle, clip.status.value, reason)

    def _started_from(self, clip: ReviewedClip) -> "list[Image]":
        """The picture that the clip starts from, where there is one that can be shown."""
        with suppress(MediaError, StorageError):
            for key in clip.stills[:1]:
                with self._store.local_copy(key) as path:
                    return [picture_in(path, side=STILL_SIDE)]
        return []

    def _store_sheet(self) -> None:
        sheet, name = self._sheet, sheet_name(self._number)
        self._number += 1
        self._sheet = self._blank()
        with scratch_folder("gallery") as folder:
            path = Path(folder) / name
            sheet.save(path)
            key = report_key(self._day, name)
            stored = self._store.put_bytes(key, path.read_bytes(), content_type="image/jpeg", overwrite=True)
            self._urls[key] = stored.url
            if self._preview is None:
                self._preview = inline_jpeg(
                    path, max_bytes=_PREVIEW_BYTES, max_width=_PREVIEW_WIDTH, top=_PREVIEW_TOP
                )

    def _inline(self, picture: "Image") -> str:
        with scratch_folder("gallery") as folder:
            path = Path(folder) / "thumbnail.jpg"
            save_picture(picture, path)
            return inline_jpeg(path, max_bytes=_THUMBNAIL_BYTES)


def sheets_for(clips: int, a_sheet: int = CLIPS_A_SHEET) -> int:
    """How many contact sheets `clips` clips fill; a day without clips has one that says so."""
    return max(1, -(-clips // a_sheet))


def sheet_name(number: int) -> str:
    """The name of a day's contact sheet, counted from 1, among the day's reports."""
    return f"{_SHEET}.jpg" if number == 1 else f"{_SHEET}-{number}.jpg"


def sheet_names(store: ObjectStore, day: date) -> list[str]:
    """The names of the sheets that are stored for `day`, in order."""
    names = [key.rsplit("/", 1)[1] for key in store.list(report_key(day, _SHEET))]
    # The first has no number, and ten is longer than nine.
    return sorted(names, key=lambda name: (len(name), name))
