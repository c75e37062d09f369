"""Pictures drawn from clips for people: a day's contact sheet, a strip of before and after (O3)."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.media import Stills, fitted, frames_at, save_picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

_PAGE, _CARD, _WELL = "#0f1218", "#181d27", "#10141b"
_INK, _FAINT = "#eef1f6", "#9aa5b5"
_GOOD, _BAD, _WAITING, _NEUTRAL = "#2f9e6e", "#d9484f", "#c98a1b", "#4f6b95"
_STATUS_COLOURS = {
    "published": _GOOD,
    "passed": _GOOD,
    "approved": _GOOD,
    "rejected": _BAD,
    "refused": _BAD,
    "failed": _BAD,
    "review": _WAITING,
    "in review": _WAITING,
    "waiting": _WAITING,
    "unknown": _WAITING,
}

_NEAREST = str.maketrans({"–": "-", "—": "-", "−": "-", "×": "x", "’": "'", "‘": "'", "“": '"', "”": '"', "→": ">"})

_MARGIN, _GAP, _PADDING, _FRAME_GAP = 28, 18, 14, 6
_CARD_WIDTH = 640
_STRIP_WIDTH = _CARD_WIDTH - 2 * _PADDING
_TEXT_HEIGHT = 58
_PLACEHOLDER_HEIGHT = 116
_HEADER_HEIGHT = 84
# No clip, however tall, makes its card higher than others' cards: sheets have a largest size.
_STRIP_HEIGHT = 260
# What a card's frames are drawn from: no smaller than they are on the card, whatever the clip's shape.
STILL_SIDE = 320


@dataclass(frozen=True)
class SheetEntry:
    """One clip of a contact sheet.

    `pictures` are the one that it starts from, if any, and frames in the order of display, as `sheet_stills` takes
    them; without any (refused, damaged) the card shows `reason`. `title` says which clip, `subtitle` the facts in a
    line (tier, model, cost), `status` is a word or two.
    """

    pictures: "Sequence[Image]"
    title: str
    subtitle: str
    status: str
    reason: str = ""


def sheet_stills() -> Stills:
    """What takes a clip's pictures for a contact sheet out of a decode."""
    return Stills(_shares, side=STILL_SIDE)


class ContactSheet:
    """One sheet, 1354 pixels wide, with a card a clip in two columns: frames, title, facts, status.

    A card is drawn when its clip is added, and is all that is kept of it: about 0.6 MB. Two clips take at most 364
    pixels of height; a JPEG has 65,500.
    """

    def __init__(self, heading: str = "Clips") -> None:
        self._heading = heading
        self._cards: list[Image] = []
        self._statuses: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._cards)

    def add(self, entry: SheetEntry) -> None:
        """Draw the clip's card."""
        self._cards.append(_card(entry))
        self._statuses[entry.status] += 1

    def save(self, target: Path) -> None:
        """Write the sheet, JPEG or PNG by the target's suffix. Raises MediaError when it cannot be written."""
        from PIL import Image, ImageDraw

        rows = [self._cards[start : start + 2] for start in range(0, len(self._cards), 2)]
        heights = [max(card.height for card in row) for row in rows]
        width = 2 * _MARGIN + 2 * _CARD_WIDTH + _GAP
        sheet = Image.new("RGB", (width, _HEADER_HEIGHT + sum(heights) + _GAP * len(rows) + _MARGIN - _GAP), _PAGE)
        draw = ImageDraw.Draw(sheet)
        _header(draw, self._heading, self._statuses, width)
        top = _HEADER_HEIGHT
        for row, height in zip(rows, heights, strict=True):
            for column, card in enumerate(row):
                left = _MARGIN + column * (_CARD_WIDTH + _GAP)
                draw.rounded_rectangle((left, top, left + _CARD_WIDTH, top + height), radius=10, fill=_CARD)
                sheet.paste(card, (left, top), _rounded_mask(card.size))
            top += height + _GAP
        save_picture(sheet, target)


def before_after_strip(before: Path, after: Path, target: Path, *, height: int = 420) -> None:
    """Write a strip that compares two renditions of one clip: the whole picture, and a detail at `after`'s pixels.

    The moment is a third into the clip. Raises MediaError when either cannot be decoded.
    """
    from PIL import Image, ImageDraw

    pictures = [frames_at(path, [1 / 3])[0] for path in (before, after)]
    wholes = [fitted(picture, (10 * height, height)) for picture in pictures]
    details = [_detail(picture, height, pictures[1].size) for picture in pictures]
    labels = [
        f"{word}  {picture.width}x{picture.height}"
        for word, picture in zip(("Before", "After"), pictures, strict=True)
    ]
    tiles = [*zip(labels, wholes, strict=True), *zip((f"{label}, detail" for label in labels), details, strict=True)]
    # A landscape picture is wide enough for two tiles a row.
    columns = 4 if wholes[1].width < wholes[1].height else 2
    tile_width = max(tile.width for _, tile in tiles)
    row_height = height + 36
    rows = len(tiles) // columns
    strip = Image.new(
        "RGB",
        (2 * _MARGIN + columns * tile_width + (columns - 1) * _GAP, 2 * _MARGIN - 10 + rows * row_height),
        _PAGE,
    )
    draw = ImageDraw.Draw(strip)
    for index, (label, tile) in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = _MARGIN + column * (tile_width + _GAP), _MARGIN - 8 + row * row_height
        draw.text((left, top), label, font=_font(16), fill=_FAINT)
        strip.paste(tile, (left, top + 26))
    save_picture(strip, target)


def _detail(picture: "Image", height: int, full_size: tuple[int, int]) -> "Image":
    """The middle of `picture` in a tile shaped like the whole, at the pixels of the larger rendition."""
    from PIL.Image import Resampling

    full_width, full_height = full_size
    share = min(1.0, height / full_height)
    width = round(full_width * share)
    part_width, part_height = picture.width * width / full_width, picture.height * share
    left, top = (picture.width - part_width) / 2, (picture.height - part_height) / 2
    box = (left, top, left + part_width, top + part_height)
    return picture.resize((width, height), Resampling.BICUBIC, box=box)


def _card(entry: SheetEntry) -> "Image":
    from PIL import Image, ImageDraw

    strip = _strip(entry)
    card = Image.new("RGB", (_CARD_WIDTH, _PADDING + strip.height + _TEXT_HEIGHT + _PADDING), _CARD)
    draw = ImageDraw.Draw(card)
    card.paste(strip, (_PADDING, _PADDING))
    top = _PADDING + strip.height + 12
    pill_left = _pill(draw, entry.status, _CARD_WIDTH - _PADDING, top)
    title = _cut(entry.title, _font(19), pill_left - _PADDING - 12)
    draw.text((_PADDING, top), title, font=_font(19), fill=_INK)
    facts = _cut(entry.subtitle, _font(15), _STRIP_WIDTH)
    draw.text((_PADDING, top + 30), facts, font=_font(15), fill=_FAINT)
    return card


def _strip(entry: SheetEntry) -> "Image":
    """The clip's frames side by side over the card's width, or a panel with the reason why there are none."""
    from PIL import Image

    if not entry.pictures:
        return _placeholder(entry.reason or "No file.")
    count = _frames_of(entry.pictures[0].size)
    width = (_STRIP_WIDTH - (count - 1) * _FRAME_GAP) / count
    tiles = [fitted(picture, (round(width), _STRIP_HEIGHT)) for picture in entry.pictures[:count]]
    strip = Image.new("RGB", (_STRIP_WIDTH, max(tile.height for tile in tiles)), _CARD)
    for index, tile in enumerate(tiles):
        strip.paste(tile, (round(index * (width + _FRAME_GAP)), 0))
    return strip


def _frames_of(size: tuple[int, int]) -> int:
    """How many frames of a clip stand side by side: tall pictures are narrow, more of them fill the same width."""
    width, height = size
    return 5 if width < 0.8 * height else 3 if width > 1.2 * height else 4


def _shares(size: tuple[int, int]) -> list[float]:
    count = _frames_of(size)
    return [0.1 + 0.8 * step / (count - 1) for step in range(count)]


def _placeholder(reason: str) -> "Image":
    from PIL import Image, ImageDraw

    panel = Image.new("RGB", (_STRIP_WIDTH, _PLACEHOLDER_HEIGHT), _CARD)
    draw = ImageDraw.Draw(panel)
    draw.rounded_rectangle((0, 0, _STRIP_WIDTH - 1, _PLACEHOLDER_HEIGHT - 1), radius=8, fill=_WELL, outline="#2a3240")
    font = _font(16)
    lines = _wrapped(reason, font, _STRIP_WIDTH - 48)[:4]
    top = (_PLACEHOLDER_HEIGHT - 22 * len(lines)) // 2
    for index, line in enumerate(lines):
        left = (_STRIP_WIDTH - font.getlength(line)) / 2
        draw.text((left, top + 22 * index), line, font=font, fill=_FAINT)
    return panel


def _header(draw: "ImageDraw", heading: str, statuses: Counter[str], width: int) -> None:
    draw.text((_MARGIN, 24), _drawable(heading), font=_font(28), fill=_INK)
    right = width - _MARGIN
    for status, count in reversed(statuses.most_common(8)):
        right = _pill(draw, f"{count} {status}", right, 28, colour=_status_colour(status)) - 8


def _pill(draw: "ImageDraw", text: str, right: float, top: float, colour: str | None = None) -> float:
    """Draw a status word on a coloured ground that ends at `right`; returns where it begins."""
    font = _font(14)
    text = _cut(text, font, 200)
    left = right - font.getlength(text) - 20
    draw.rounded_rectangle((left, top, right, top + 24), radius=12, fill=colour or _status_colour(text))
    draw.text((left + 10, top + 12), text, font=font, fill="white", anchor="lm")
    return left


def _status_colour(status: str) -> str:
    return _STATUS_COLOURS.get(status.lower(), _NEUTRAL)


def _rounded_mask(size: tuple[int, int]) -> "Image":
    from PIL import Image, ImageDraw

    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0], size[1]), radius=10, fill=255)
    return mask


def _font(size: int) -> "FreeTypeFont":
    """Aileron, which comes with Pillow; it has the letters of ASCII and few more."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _drawable(text: str) -> str:
    """`text` on one line, in the characters that the font has: accents go, other scripts become question marks."""
    plain = unicodedata.normalize("NFKD", " ".join(text.split()).translate(_NEAREST))
    kept = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() or letter == "·" else "?" for letter in kept)


def _cut(text: str, font: "FreeTypeFont", width: float) -> str:
    """One line of `text` that is at most `width` pixels wide."""
    line = _drawable(text)
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


def _wrapped(text: str, font: "FreeTypeFont", width: float) -> list[str]:
    lines = [""]
    for word in _drawable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_cut(word, font, width))
    return [line for line in lines if line]
