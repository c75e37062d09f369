"""What a model costs, in every form that vendors use: by the second, the video or the megapixel of frames."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from video_pipeline.orders import Ending
from video_pipeline.routing.lengths import Length

# What the ledger can hold of a dollar (`NUMERIC(12,6)`).
_LEAST_USD = Decimal("0.000001")
_PIXELS = Decimal(1_000_000)

# Size name -> US dollars.
Rates: TypeAlias = Mapping[str, Annotated[Decimal, Field(ge=0)]]


class Unit(StrEnum):
    """What a price is counted in."""

    SECOND = "second"
    VIDEO = "video"
    MEGAPIXEL_FRAME = "megapixel_frame"
    """A million pixels of one frame: width x height x frames."""

    @property
    def words(self) -> str:
        """As people say it."""
        return "megapixel of frames" if self is Unit.MEGAPIXEL_FRAME else self.value


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Offer(_Entry):
    """A promotion: the share of the price that is billed up to and with the day `until`, UTC."""

    share: Decimal = Field(gt=0, lt=1)
    until: date

    def holds(self, at: datetime) -> bool:
        return at.astimezone(UTC).date() <= self.until

    @property
    def said(self) -> str:
        return f"at {float(self.share) * 100:g}% of its list price until {self.until}"


class OffPeak(_Entry):
    """The share of the price that is billed from `from_hour` to before `until_hour`, UTC, over midnight, too."""

    share: Decimal = Field(gt=0, lt=1)
    from_hour: int = Field(ge=0, le=23)
    until_hour: int = Field(ge=0, le=23)

    def holds(self, at: datetime) -> bool:
        hours = (self.until_hour - self.from_hour) % 24
        return (at.astimezone(UTC).hour - self.from_hour) % 24 < hours

    def next_after(self, at: datetime) -> datetime:
        """When the hours begin for the first time after `at`."""
        begins = at.astimezone(UTC).replace(hour=self.from_hour, minute=0, second=0, microsecond=0)
        return begins if begins > at else begins + timedelta(days=1)

    @property
    def said(self) -> str:
        hours = f"from {self.from_hour:02}:00 to {self.until_hour:02}:00 UTC"
        return f"at {float(self.share) * 100:g}% of its list price {hours}"


class Price(_Entry):
    """A model's price in US dollars a `per`, by the name of the size: `silent`, and `sound` where there is sound.

    A second is one of playing time, or of `billed_fps` frames. `minimum_s` are billed of a shorter clip, too.
    `billed` are the endings without a file that this model is charged for, where that is not its provider's rule.
    A clip from a start image costs `start_image_usd` more.
    """

    per: Unit = Unit.SECOND
    silent: Rates = Field(min_length=1)
    sound: Rates = Field(default_factory=dict)
    billed_fps: int | None = Field(default=None, ge=1)
    minimum_s: Decimal = Field(default=Decimal(0), ge=0)
    offer: Offer | None = None
    off_peak: OffPeak | None = None
    billed: frozenset[Ending] | None = None
    start_image_usd: Decimal = Field(default=Decimal(0), ge=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> "Price":
        unknown = sorted(set(self.sound) - set(self.silent))
        if unknown:
            raise ValueError(f"sound is priced for {', '.join(unknown)}, which silent does not name")
        if self.per is not Unit.SECOND and (self.billed_fps or self.minimum_s):
            raise ValueError("billed_fps and minimum_s are for a price a second")
        return self

    def usd(
        self, size: str, pixels: tuple[int, int], length: Length, *, audio: bool = False, at: datetime | None = None
    ) -> Decimal:
        """What one clip of `length` costs in the named size of `pixels` (width, height).

        Offers and off-peak hours count only where `at` is known: without it, it is the list price. A price with
        sound is the silent one where the size has no sound. Raises ValueError for a size that has no price, and for a
        length without frames where frames are counted.
        """
        rate = self.sound.get(size) if audio else None
        rate = self.silent.get(size) if rate is None else rate
        if rate is None:
            raise ValueError(f"no price is known for the size {size}")
        usd = rate * self._units(pixels, length)
        for reduced in (self.offer, self.off_peak):
            if reduced is not None and at is not None and reduced.holds(at):
                usd *= reduced.share
        return usd if usd == usd.quantize(_LEAST_USD) else usd.quantize(_LEAST_USD)

    def _units(self, pixels: tuple[int, int], length: Length) -> Decimal:
        """How many units a clip is billed."""
        if self.per is Unit.VIDEO:
            return Decimal(1)
        if self.per is Unit.MEGAPIXEL_FRAME:
            return Decimal(pixels[0] * pixels[1]) / _PIXELS * _frames(length)
        seconds = _frames(length) / self.billed_fps if self.billed_fps else Decimal(str(length.seconds))
        return max(seconds, self.minimum_s)

    @property
    def counts_frames(self) -> bool:
        """Whether a price needs a length in frames."""
        return self.per is Unit.MEGAPIXEL_FRAME or self.billed_fps is not None


def _frames(length: Length) -> Decimal:
    if length.frames is None:
        raise ValueError("this price counts frames, and the length names none")
    return Decimal(length.frames)
