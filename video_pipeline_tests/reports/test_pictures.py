"""Thumbnails, contact sheets and strips, measured on the pixels that were written."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from video_pipeline.errors import MediaError
from video_pipeline.media import run_ffmpeg, thumbnail
from video_pipeline.reports import SheetEntry, before_after_strip, contact_sheet, inline_jpeg
from video_pipeline_tests.media.conftest import Make

# Red, then green from 1 s on, then blue from 2 s on.
THREE_COLOURS = (
    "color=red:size=160x90:rate=24,"
    "drawbox=color=lime:t=fill:enable='gte(t,1)',drawbox=color=blue:t=fill:enable='gte(t,2)'"
)


def _is(pixel: object, channel: int) -> bool:
    assert isinstance(pixel, tuple)
    return pixel[channel] > 150 and all(value < 100 for index, value in enumerate(pixel) if index != channel)


def test_a_thumbnail_is_the_frame_at_a_third(make: Make, tmp_path: Path):
    clip = make("three.mp4", THREE_COLOURS, length_s=3.3)
    target = tmp_path / "made" / "thumb.jpg"
    thumbnail(clip, target, height=180)
    with Image.open(target) as picture:
        assert (picture.format, picture.size) == ("JPEG", (320, 180))
        assert _is(picture.getpixel((160, 90)), 1)
    assert [path.name for path in target.parent.iterdir()] == ["thumb.jpg"]


def test_a_thumbnail_of_a_turned_clip_stands_upright(make: Make, tmp_path: Path):
    """Left half red, right half blue; a player turns it counter-clockwise, so that blue comes to the top."""
    clip = make("wide.mp4", "color=red:size=160x90:rate=24,drawbox=x=80:color=blue:t=fill", length_s=0.5)
    turned = tmp_path / "turned.mp4"
    run_ffmpeg(("-display_rotation", "90", "-i", str(clip), "-c", "copy", str(turned)), timeout_s=60, what="turning")
    thumbnail(turned, tmp_path / "thumb.png", height=160)
    with Image.open(tmp_path / "thumb.png") as picture:
        assert picture.size == (90, 160)
        assert _is(picture.getpixel((45, 20)), 2)
        assert _is(picture.getpixel((45, 140)), 0)


def test_a_sheet_shows_frames_in_order_and_a_card_for_every_clip(make: Make, tmp_path: Path):
    clip = make("three.mp4", THREE_COLOURS, length_s=3.0)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:500])
    entries = [
        SheetEntry(clip, "spring–launch · café 漢", "preview · $0.02 · " + "facts " * 50, "published"),
        SheetEntry(None, "ceo", "production · $0.00", "refused", "The provider refused the face of a public figure."),
        SheetEntry(broken, "broken", "preview", "rejected"),
    ]
    target = tmp_path / "sheet.png"
    contact_sheet(entries, target, heading="Clips of 21 November 2026")
    with Image.open(target) as sheet:
        assert sheet.width == 1354
        # Three frames, at 10, 50 and 90 % of the clip, in the first card of the left column.
        for channel, left in enumerate((140, 340, 560)):
            assert _is(sheet.getpixel((left, 140)), channel)
        two_rows = sheet.height
    contact_sheet(entries[:2], target)
    with Image.open(target) as sheet:
        assert sheet.height < two_rows


def test_a_sheet_of_no_clips_is_a_heading(tmp_path: Path):
    contact_sheet([], tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert (sheet.format, sheet.width) == ("JPEG", 1354)


@pytest.mark.parametrize(("crop", "columns"), [("160:90", 2), ("50:90", 4)])
def test_a_strip_shows_whole_and_detail_of_both(footage: Path, tmp_path: Path, crop: str, columns: int):
    before, after = tmp_path / "before.mp4", tmp_path / "after.mp4"
    source = str(footage / "bigbuckbunny.mp4")
    for path, scale in ((before, 1), (after, 4)):
        picture = f"scale=160:90,crop={crop},scale=iw*{scale}:ih*{scale}"
        arguments = ("-i", source, "-t", "1", "-vf", picture, "-an", "-preset", "veryfast", str(path))
        run_ffmpeg(arguments, timeout_s=60, what="cutting footage")
    before_after_strip(before, after, tmp_path / "strip.png", height=180)
    with Image.open(tmp_path / "strip.png") as strip:
        tile = round(180 * int(crop.split(":")[0]) / 90)
        assert abs(strip.width - (2 * 28 + columns * tile + (columns - 1) * 18)) <= columns
        assert strip.height == 2 * 28 - 10 + (4 // columns) * 216


def test_an_inline_picture_keeps_to_its_size(footage: Path, tmp_path: Path):
    thumbnail(footage / "bigbuckbunny.mp4", tmp_path / "thumb.png", height=720)
    sizes = []
    for max_bytes in (24_000, 3_000):
        uri = inline_jpeg(tmp_path / "thumb.png", max_bytes=max_bytes)
        assert len(uri) <= max_bytes
        with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as picture:
            sizes.append(picture.size)
    assert sizes[0] == (480, 270)
    assert sizes[1] < sizes[0]


def test_a_tall_picture_keeps_the_width_at_which_it_can_be_read(tmp_path: Path):
    Image.new("RGB", (1354, 4000), "navy").save(tmp_path / "tall.png")
    uri = inline_jpeg(tmp_path / "tall.png", max_bytes=190_000, max_width=960)
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as picture:
        assert picture.size == (960, 2836)


def test_what_cannot_be_opened_is_a_sentence(tmp_path: Path):
    page = tmp_path / "page.mp4"
    page.write_text("<html>")
    with pytest.raises(MediaError, match=r"page\.mp4"):
        thumbnail(page, tmp_path / "thumb.jpg")
    with pytest.raises(MediaError, match=r"page\.mp4"):
        before_after_strip(page, page, tmp_path / "strip.jpg")
    with pytest.raises(MediaError, match=r"page\.mp4"):
        inline_jpeg(page)
    assert [path.name for path in tmp_path.iterdir()] == ["page.mp4"]
