"""What logged draws say of another policy: an estimate by inverse propensity; pure.

A clip that a draw gave to a model counts by how many times as often the new policy would have given it there. So it
needs no record of a model on the same kind of shot, and easier shots do not sway it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from video_pipeline.intervals import deviations
from video_pipeline.routing import Decision, Purpose

# Of every interval that a replay tells.
CONFIDENCE = 0.90
Z90 = deviations(CONFIDENCE)
# An estimate that rests on fewer clips than that says nothing.
_LEAST = 10.0
_OUTCOMES = ("usd", "delivered", "refused")


class Estimate(BaseModel):
    """A number with its 90 % interval; of what is recorded both ends are the number."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class Drawn(BaseModel):
    """What clips that were drawn for say of the new policy, by inverse propensity; of all that it could have drawn.

    `clips` count as much as `effective` ones of which nothing but the new policy had chosen the model. The estimates
    are a clip: US dollars, and the shares that are delivered, and refused at first.
    """

    model_config = ConfigDict(frozen=True)

    clips: int
    effective: float
    usd: Estimate
    delivered: Estimate
    refused: Estimate


@dataclass(frozen=True)
class Weighed:
    """A shot that was drawn for: how much more often the new policy does what was done, and what came of it."""

    weight: float
    usd: float
    delivered: float
    refused: float


@dataclass
class Draws:
    """Sums over clips for a self-normalised estimate by inverse propensity; a clip is one draw.

    Of each outcome the weighted sums, their squares and their products with the weights.
    """

    clips: int = 0
    weights: float = 0.0
    squares: float = 0.0
    outcomes: dict[str, list[float]] = field(default_factory=lambda: {name: [0.0] * 3 for name in _OUTCOMES})

    def add(self, shots: Sequence[Weighed]) -> None:
        weight = sum(shot.weight for shot in shots)
        self.clips += 1
        self.weights += weight
        self.squares += weight**2
        for name, sums in self.outcomes.items():
            outcome = sum(shot.weight * float(getattr(shot, name)) for shot in shots)
            for index, more in enumerate((outcome, outcome**2, outcome * weight)):
                sums[index] += more

    def estimate(self) -> Drawn | None:
        effective = self.weights**2 / self.squares if self.squares else 0.0
        if effective < _LEAST:
            return None
        return Drawn(
            clips=self.clips,
            effective=effective,
            usd=self._mean("usd", math.inf),
            delivered=self._mean("delivered", 1.0),
            refused=self._mean("refused", 1.0),
        )

    def _mean(self, name: str, most: float) -> Estimate:
        total, squares, products = self.outcomes[name]
        mean = total / self.weights
        variance = max(0.0, squares - 2 * mean * products + mean**2 * self.squares) / self.weights**2
        spread = Z90 * math.sqrt(variance)
        return Estimate(value=mean, low=max(0.0, mean - spread), high=min(most, mean + spread))


def weight_of(before: Decision, again: Decision, model: str, version: str) -> float | None:
    """How many times as likely the new policy gives a shot to the version that made it as the logged draw did.

    None where nothing was drawn, where another version made the shot than was drawn or would make it now, and where
    the new policy could choose what that draw could not have given.
    """
    if before.draw is None or before.fell_over or (model, version) != (before.model, before.model_version):
        return None
    shares = again.draw.shares if again.draw else {again.model or "": 1.0}
    if again.draw and again.draw.purpose not in (Purpose.VALUE, Purpose.LEARN):
        return None
    if any(share and not before.draw.shares.get(name) for name, share in shares.items()):
        return None
    if again.model == model:
        return again.chance / before.chance if again.model_version == version else None
    own = shares.get(again.model or "", 0.0)
    return again.chance * shares.get(model, 0.0) / own / before.chance if own else None
