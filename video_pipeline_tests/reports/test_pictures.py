"""Stills, contact sheets and strips, measured on the pixels that were written."""

import base64
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from video_pipeline.errors import MediaError
from video_pipeline.media import Stills, look_through, run_ffmpeg, save_picture
from video_pipeline.policy import load_policy
from video_pipeline.quality import Expectation, check_clip
from video_pipeline.reports import ContactSheet, SheetEntry, before_after_strip, inline_jpeg, sheet_stills
from video_pipeline.reports.gallery import CLIPS_A_SHEET
from video_pipeline_tests.media.conftest import Make

THRESHOLDS = load_policy().quality.technical
# Red, then green from 1 s on, then blue from 2 s on.
THREE_COLOURS = (
    "color=red:size=160x90:rate=24,"
    "drawbox=color=lime:t=fill:enable='gte(t,1)',drawbox=color=blue:t=fill:enable='gte(t,2)'"
)


def _is(pixel: object, channel: int) -> bool:
    assert isinstance(pixel, tuple)
    return pixel[channel] > 150 and all(value < 100 for index, value in enumerate(pixel) if index != channel)


def _taken(clip: Path, *shares: float, side: int = 320) -> Stills:
    stills = Stills(lambda size: shares, side=side)
    look_through(clip, stills)
    return stills


def test_stills_are_the_frames_at_their_shares_and_small(make: Make):
    clip = make("three.mp4", THREE_COLOURS, length_s=3.3)
    stills = _taken(clip, 0.9, 1 / 3, 0.1, side=80)
    assert [picture.size for picture in stills.pictures] == [(80, 45)] * 3
    assert [next(c for c in range(3) if _is(p.getpixel((40, 20)), c)) for p in stills.pictures] == [0, 1, 2]


def test_stills_of_a_turned_clip_stand_upright(make: Make, tmp_path: Path):
    """Left half red, right half blue; a player turns it counter-clockwise, so that blue comes to the top."""
    clip = make("wide.mp4", "color=red:size=160x90:rate=24,drawbox=x=80:color=blue:t=fill", length_s=0.5)
    turned = tmp_path / "turned.mp4"
    run_ffmpeg(("-display_rotation", "90", "-i", str(clip), "-c", "copy", str(turned)), timeout_s=60, what="turning")
    [picture] = _taken(turned, 1 / 3).pictures
    assert picture.size == (90, 160)
    assert _is(picture.getpixel((45, 20)), 2)
    assert _is(picture.getpixel((45, 140)), 0)


def test_stills_of_one_decode_with_the_checks_are_those_of_a_decode_of_their_own(make: Make):
    clip = make("three.mp4", THREE_COLOURS, length_s=3.0)
    beside, alone = sheet_stills(), sheet_stills()
    check_clip(clip, Expectation(size=(160, 90), duration_s=3, audio=False), THRESHOLDS, watchers=[beside])
    look_through(clip, alone)
    assert len(beside.pictures) == 3
    assert [picture.tobytes() for picture in beside.pictures] == [picture.tobytes() for picture in alone.pictures]


def test_stills_that_fail_leave_the_verdict_as_it_is(make: Make, monkeypatch: pytest.MonkeyPatch):
    clip = make("three.mp4", THREE_COLOURS, length_s=1.0)
    expected = Expectation(size=(160, 90), duration_s=1, audio=False)
    verdict = check_clip(clip, expected, THRESHOLDS)

    def fails(*arguments: object, **options: object) -> list[float]:
        raise RuntimeError("no picture")

    monkeypatch.setattr("video_pipeline.media.frames.upright", fails)
    for stills in (sheet_stills(), Stills(fails, side=9)):
        assert check_clip(clip, expected, THRESHOLDS, watchers=[stills]) == verdict
        assert isinstance(stills.error, RuntimeError) and stills.pictures == []


def test_a_clip_that_ends_early_has_fewer_stills(make: Make, tmp_path: Path):
    clip = make("long.mp4", "testsrc2=size=320x180:rate=24", length_s=3.0, coding=("-movflags", "+faststart"))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * 0.6)])
    assert 0 < len(_taken(cut, *(share / 10 for share in range(1, 10))).pictures) < 9


def test_a_sheet_shows_frames_in_order_and_a_card_for_every_clip(make: Make, tmp_path: Path):
    stills = sheet_stills()
    look_through(make("three.mp4", THREE_COLOURS, length_s=3.0), stills)
    entries = [
        SheetEntry(stills.pictures, "spring–launch · café 漢", "preview · $0.02 · " + "facts " * 50, "published"),
        SheetEntry([], "ceo", "production · $0.00", "refused", "The provider refused the face of a public figure."),
        SheetEntry([], "broken", "preview", "rejected"),
    ]
    target = tmp_path / "sheet.png"
    _sheet(entries, heading="Clips of 21 November 2026").save(target)
    with Image.open(target) as sheet:
        assert sheet.width == 1354
        # Three frames, at 10, 50 and 90 % of the clip, in the first card of the left column.
        for channel, left in enumerate((140, 340, 560)):
            assert _is(sheet.getpixel((left, 140)), channel)
        two_rows = sheet.height
    _sheet(entries[:2]).save(target)
    with Image.open(target) as sheet:
        assert sheet.height < two_rows


def _sheet(entries: list[SheetEntry], **options: str) -> ContactSheet:
    sheet = ContactSheet(**options)
    for entry in entries:
        sheet.add(entry)
    return sheet


def test_a_sheet_of_no_clips_is_a_heading(tmp_path: Path):
    ContactSheet().save(tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert (sheet.format, sheet.width) == ("JPEG", 1354)


@given(width=st.integers(1, 320), height=st.integers(1, 320))
def test_no_shape_of_clip_makes_a_sheet_that_a_jpeg_cannot_hold(width: int, height: int):
    sheet = _sheet([SheetEntry([Image.new("RGB", (width, height))] * 5, "clip", "facts", "passed")])
    [card] = sheet._cards
    assert card.width == 640
    assert card.height * CLIPS_A_SHEET / 2 < 65_500 / 4


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
    [picture] = _taken(footage / "bigbuckbunny.mp4", 1 / 3, side=1280).pictures
    save_picture(picture, tmp_path / "thumb.png")
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
        _taken(page, 1 / 3)
    with pytest.raises(MediaError, match=r"page\.mp4"):
        before_after_strip(page, page, tmp_path / "strip.jpg")
    with pytest.raises(MediaError, match=r"page\.mp4"):
        inline_jpeg(page)
    assert [path.name for path in tmp_path.iterdir()] == ["page.mp4"]
