"""A day's contact sheets: as many as it takes, no more than there are, and one clip at a time."""

import io
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from video_pipeline.clips import ReviewedClip
from video_pipeline.reports import DayGallery, Gallery, sheet_stills
from video_pipeline.reports.gallery import sheet_names, sheets_for
from video_pipeline.storage import LocalStore, report_key

DAY = date(2026, 11, 21)


def _day(store: LocalStore, clips: int, a_sheet: int) -> Gallery:
    gallery = DayGallery(store, day=DAY, clips=clips, a_sheet=a_sheet)
    for number in range(clips):
        clip = ReviewedClip.model_validate(
            {
                "clip_id": f"{DAY}/{number}",
                "brief_id": str(number),
                "day": DAY,
                "tier": "preview",
                "status": "waiting",
            }
        )
        gallery.add(clip, sheet_stills())
    gallery.finish()
    return gallery.stored


@settings(max_examples=15)
@given(clips=st.integers(0, 25), before=st.integers(0, 25), a_sheet=st.integers(1, 12))
def test_a_day_has_just_the_sheets_that_its_clips_fill(clips: int, before: int, a_sheet: int):
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        _day(store, before, a_sheet)
        urls = _day(store, clips, a_sheet).sheet_urls
        names = sheet_names(store, DAY)
    assert len(names) == sheets_for(clips, a_sheet) == max(1, -(-clips // a_sheet))
    assert [url.rsplit("/", 1)[1] for url in urls] == names
    assert names[0] == "contact-sheet.jpg"
    assert names[1:] == [f"contact-sheet-{number}.jpg" for number in range(2, len(names) + 1)]


def test_a_clip_whose_file_is_gone_or_no_clip_has_a_card_all_the_same(tmp_path: Path):
    store = LocalStore(tmp_path)
    store.put_bytes("clips/page.mp4", b"<html>", content_type="video/mp4")
    gallery = DayGallery(store, day=DAY, clips=2)
    for key in ("clips/gone.mp4", "clips/page.mp4"):
        clip = {"clip_id": key, "brief_id": "one", "day": DAY, "tier": "preview", "status": "rejected"}
        gallery.add(ReviewedClip.model_validate(clip | {"media_key": key}), sheet_stills())
    gallery.finish()
    shown = gallery.stored
    assert (shown.preview or "").startswith("data:image/jpeg") and shown.thumbnail is None


@pytest.mark.parametrize(
    ("picture", "frames", "shown"),
    [(True, 1, True), (False, 1, False), (True, 0, False)],
    ids=["a picture", "no picture", "no clip"],
)
def test_the_picture_that_a_clip_starts_from_is_on_its_card(tmp_path: Path, picture: bool, frames: int, shown: bool):
    store, red = LocalStore(tmp_path), io.BytesIO()
    Image.new("RGB", (90, 160), "red").save(red, "PNG")
    store.put_bytes("stills/one.png", red.getvalue() if picture else b"<html>", content_type="image/png")
    gallery = DayGallery(store, day=DAY, clips=1)
    clip = {"clip_id": "one", "brief_id": "one", "day": DAY, "tier": "preview", "status": "waiting"}
    stills = sheet_stills()
    stills.begun, stills.pictures = True, [Image.new("RGB", (90, 160), "blue")] * frames
    gallery.add(ReviewedClip.model_validate(clip | {"stills": ("stills/one.png",)}), stills)
    gallery.finish()
    with Image.open(tmp_path / report_key(DAY, "contact-sheet.jpg")) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    assert bool(np.any((pixels[:, 0] > 200) & (pixels[:, 1:].max(axis=1) < 60))) is shown
