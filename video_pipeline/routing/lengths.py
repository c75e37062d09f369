"""How long a model's videos can be, in whole seconds, some lengths only or frames at a rate; and which is bought."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

# A length that is shorter than the wanted one by rounding alone holds it.
_EPSILON_S = 1e-6


@dataclass(frozen=True)
class Length:
    """A length that can be ordered, in seconds; `frames` and `fps` where the model counts frames."""

    seconds: float
    frames: int | None = None
    fps: int | None = None


Cost: TypeAlias = Callable[[Length], Decimal]


class Frames(BaseModel):
    """Lengths in frames, at `fps` frames a second: from `min` to `max` in steps; one length where they are the same.

    `8k + 1` from 9 to 481 is `{min: 9, max: 481, step: 8}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: int = Field(ge=1)
    max: int
    step: int = Field(default=1, ge=1)
    fps: int = Field(ge=1)

    @model_validator(mode="after")
    def _reached(self) -> "Frames":
        if self.max < self.min or (self.max - self.min) % self.step:
            raise ValueError(f"max ({self.max}) must be min ({self.min}) plus a multiple of step ({self.step})")
        return self


class Durations(BaseModel):
    """What lengths a model renders.

    Every `step_s` seconds from `min_s` to `max_s`, or only `allowed_s`, or `frames`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_s: int = Field(default=1, ge=1)
    max_s: int | None = Field(default=None, ge=1)
    step_s: int = Field(default=1, ge=1)
    allowed_s: tuple[int, ...] = ()
    frames: Frames | None = None

    @model_validator(mode="after")
    def _some(self) -> "Durations":
        if not self.lengths:
            raise ValueError("max_s (at least min_s), allowed_s or frames must say what lengths there are")
        return self

    @property
    def lengths(self) -> tuple[Length, ...]:
        """Every length that can be ordered, shortest first."""
        if self.frames is not None:
            return _in_frames(self.frames.min, self.frames.max, self.frames.step, self.frames.fps)
        return _in_seconds(self.allowed_s or range(self.min_s, (self.max_s or 0) + 1, self.step_s))

    @property
    def longest_s(self) -> float:
        return self.lengths[-1].seconds

    def rendered(self, wanted_s: float, *, within: float = 0.0, cost: Cost | None = None) -> Length | None:
        """The length to buy for a shot of `wanted_s` seconds; None when there is none.

        The cheaper by `cost` of the shortest that holds the shot and the longest under it that is short by at most
        the share `within`; the one that holds it where they cost the same. Of a shot that can be bought as it is
        nothing is taken away. Without `cost` a longer one is dearer.
        """
        lengths = self.lengths
        holding = next((one for one in lengths if one.seconds >= wanted_s - _EPSILON_S), None)
        least_s = wanted_s * (1 - within) - _EPSILON_S
        under = next((one for one in reversed(lengths) if least_s <= one.seconds < wanted_s - _EPSILON_S), None)
        if holding is None or under is None:
            return holding or under
        if holding.seconds <= wanted_s + _EPSILON_S:
            return holding
        priced = cost or _playing_time
        return under if priced(under) < priced(holding) else holding

    def at(self, seconds: float) -> Length:
        """The length of so many seconds, or the nearest to it."""
        return min(self.lengths, key=lambda length: abs(length.seconds - seconds))


# Lengths are asked for several times a shot and model, and there are few.
@lru_cache(maxsize=256)
def _in_frames(least: int, most: int, step: int, fps: int) -> tuple[Length, ...]:
    return tuple(Length(round(count / fps, 6), count, fps) for count in range(least, most + 1, step))


@lru_cache(maxsize=256)
def _in_seconds(seconds: tuple[int, ...] | range) -> tuple[Length, ...]:
    return tuple(Length(length) for length in sorted(seconds))


def _playing_time(length: Length) -> Decimal:
    return Decimal(length.seconds)
