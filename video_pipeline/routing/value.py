"""Value for money: what an accepted clip that is worth as much costs at a model, how sure that is, and how to draw.

Pure numbers in, pure numbers out. The value of an option is its price over its acceptance and its worth, in US
dollars; less is better. What is not known of it makes the value's logarithm a normal distribution. From these follows
how likely each option is the best, and from that its share of clips: top-two Thompson sampling with a traffic floor.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

from video_pipeline.intervals import beta_variance
from video_pipeline.routing.beliefs import Belief

# A model that is nearly never accepted is dear, not infinitely so.
LEAST_ACCEPTANCE = 0.05

# Nobody knows a value to a tenth of a percent; without it one of two sure options would have no chance at all.
_LEAST_SD = 1e-3
# The middles of so many equally likely slices of a normal distribution.
_SLICES = 64
_NODES = tuple(NormalDist().inv_cdf((slice_ + 0.5) / _SLICES) for slice_ in range(_SLICES))


@dataclass(frozen=True)
class Prior:
    """What is believed of a version that nothing is known of yet.

    Its usual acceptance weighs as much as `clips` tried ones, and it is worth as much as any, with `worth_sd`.
    """

    clips: float
    worth_sd: float


@dataclass(frozen=True)
class Estimate:
    """The expected share of first attempts that are accepted, the expected worth of such a clip, and how unsure the
    logarithm of their product is (a standard deviation)."""

    acceptance: float
    worth: float
    log_sd: float


@dataclass(frozen=True)
class Option:
    """Something to choose. `usd` is what an accepted clip that is worth as much is expected to cost there (over 0),
    `log_sd` the standard deviation of its logarithm."""

    name: str
    usd: float
    log_sd: float


def estimate(kind: str, belief: Belief | None, prior: Prior, usual: float) -> Estimate:
    """What is believed of a model on a kind of shot; without a belief the `usual` acceptance, as far as it goes."""
    if belief is None:
        accepted, lost = usual * prior.clips, (1 - usual) * prior.clips
        worth, worth_sd = 1.0, prior.worth_sd
    else:
        accepted, lost = belief.kinds.get(kind, (belief.accepted, belief.lost))
        worth, worth_sd = belief.worth, belief.worth_sd
    acceptance = accepted / (accepted + lost)
    doubt = beta_variance(accepted, lost) / max(acceptance, LEAST_ACCEPTANCE) ** 2
    unsure = math.log1p(doubt) + math.log1p((worth_sd / worth) ** 2)
    return Estimate(acceptance, worth, math.sqrt(unsure))


def chances_of_best(options: Sequence[Option]) -> dict[str, float]:
    """How likely each option is the best of them; the chances add up to 1.

    By quadrature, so that the same question always has the same answer. A dearer option is never likelier.
    """
    chances = _chances(tuple(sorted(options, key=lambda option: option.name)))
    return dict(chances)


def weights(options: Sequence[Option], *, floor: float, dearest: float) -> dict[str, float]:
    """The share of clips that each option is given; they add up to 1.

    Top-two Thompson sampling: the best of a draw, or, as often as the likeliest option may not be the best, the best
    of the others. So the runner-up is looked at more often than it is believed in, and seldom once little is open.
    None has less than `floor`, but for options over `dearest` times the least value: they have nothing.
    """
    least = min(option.usd for option in options)
    near = [option for option in options if option.usd <= least * dearest]
    chances = chances_of_best(near)
    first = max(chances.values())
    # How often another is the best where this one is not asked.
    odds = {name: chance / (1 - chance) if chance < 1 else 0.0 for name, chance in chances.items()}
    total = math.fsum(odds.values())
    shares = {name: chance * (first + (1 - first) * (total - odds[name])) for name, chance in chances.items()}
    whole = math.fsum(shares.values())
    floor = min(floor, 1 / len(near))
    return {
        option.name: floor + (1 - floor * len(near)) * shares[option.name] / whole if option.name in shares else 0.0
        for option in options
    }


def point_of(day: date, brief_id: str, purpose: str) -> float:
    """A number in [0, 1) that stands for chance: a brief's on a production day, for one purpose (a tier, say)."""
    digest = hashlib.sha256(f"{day.isoformat()}\n{brief_id}\n{purpose}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def drawn(shares: Mapping[str, float], point: float) -> str:
    """The name that `point` falls to when each has its share of [0, 1), in the order of their names."""
    names = sorted(name for name, share in shares.items() if share > 0)
    ends = accumulate(shares[name] for name in names)
    return next((name for name, end in zip(names, ends, strict=True) if point < end), names[-1])


@lru_cache(maxsize=4096)
def _chances(options: tuple[Option, ...]) -> tuple[tuple[str, float], ...]:
    normals = [(_log_median(option), max(option.log_sd, _LEAST_SD)) for option in options]
    raw = [_chance(normals, index) for index in range(len(normals))]
    whole = math.fsum(raw)
    return tuple((option.name, chance / whole) for option, chance in zip(options, raw, strict=True))


def _log_median(option: Option) -> float:
    """The mean of the value's logarithm: `usd` is a price over the *mean* of what it buys, whose median is less."""
    return math.log(option.usd) + option.log_sd**2 / 2


def _chance(normals: Sequence[tuple[float, float]], index: int) -> float:
    mean, sd = normals[index]
    others = [other for number, other in enumerate(normals) if number != index]
    total = 0.0
    for node in _NODES:
        value, beaten = mean + sd * node, 1.0
        for other_mean, other_sd in others:
            beaten *= 0.5 * math.erfc((value - other_mean) / (other_sd * math.sqrt(2)))
        total += beaten
    # Never nought, so that a whole can be made of the parts.
    return max(total / len(_NODES), 1e-12)
