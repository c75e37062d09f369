"""Effects of several things at a time on one number, shrunken towards none: a linear model with normal priors.

It knows nothing of clips: a sample has an outcome, a weight and the levels of its factors (hook: question). What is
asked of it are differences between levels, each with how sure it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from video_pipeline.intervals import deviations

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Level = tuple[str, str]
"""A factor and one of its levels."""

_NORMAL = NormalDist()
# A normal's standard deviation over its median absolute deviation.
_MAD = 1.4826
# An outcome further from what is expected than this many residual deviations counts as just as far.
_REACH = 2.5
_ROUNDS = 8
# What is believed of a learned scale beforehand weighs as much as so many levels.
_PRIOR_LEVELS = 4.0
# No scale is learned to be under this share of what was believed of it: a few equal levels do not prove all equal.
_LEAST_SCALE = 0.25
_LEAST_RESIDUAL_SD = 0.01


@dataclass(frozen=True)
class Sample:
    """One observation. `weight` is 1 for what is fresh and less for what is half forgotten."""

    outcome: float
    weight: float
    levels: Mapping[str, str]


@dataclass(frozen=True)
class Scale:
    """The standard deviation of a factor's effects, in units of the outcome; `learned` from the samples, or fixed."""

    sd: float
    learned: bool = False


@dataclass(frozen=True)
class Difference:
    """What is believed of a difference between levels, normally distributed; `prior_sd` is from before any data."""

    mean: float
    sd: float
    prior_sd: float

    @property
    def positive(self) -> float:
        """The probability that it is over 0."""
        return _NORMAL.cdf(self.mean / self.sd)

    @property
    def evidence(self) -> float:
        """How many times better the samples are told by a positive difference than by none (a Bayes factor).

        With fixed scales and whole weights it is an e-value: where there is no difference it ever reaches x with a
        chance of at most 1/x, however often one looks (Ville's inequality; https://en.wikipedia.org/wiki/E-values).
        """
        against_none = math.log(self.sd / self.prior_sd) + self.mean**2 / (2 * self.sd**2)
        return math.exp(min(against_none, 700.0)) * 2 * self.positive

    def interval(self, confidence: float) -> tuple[float, float]:
        """The central credible interval."""
        spread = deviations(confidence) * self.sd
        return self.mean - spread, self.mean + spread


@dataclass(frozen=True)
class Effects:
    """What is believed of the effects of all levels together; `columns` places each level in the arrays.

    `prior_sd` are their standard deviations before any data.
    """

    columns: Mapping[Level, int]
    prior_sd: "Array"
    mean: "Array"
    covariance: "Array"

    def difference(self, of: Mapping[Level, float]) -> Difference:
        """The weighted sum of effects; weights that add up to 0 make it a difference. KeyError for unseen levels."""
        import numpy as np

        weights = np.zeros(len(self.mean))
        for level, weight in of.items():
            weights[self.columns[level]] = weight
        variance, prior = float(weights @ self.covariance @ weights), float(np.sum((weights * self.prior_sd) ** 2))
        return Difference(float(weights @ self.mean), math.sqrt(max(variance, 1e-18)), math.sqrt(prior))


def effects_of(samples: Sequence[Sample], scales: Mapping[str, Scale]) -> Effects:
    """Fit the effects of every factor in `scales`; each sample names a level of each. ValueError without samples.

    The residual deviation is robust: the median absolute one, or what outcomes that are held within reach show, where
    that is more.
    """
    import numpy as np

    if not samples:
        raise ValueError("effects need samples")
    columns: dict[Level, int] = {("all", ""): 0}
    for sample in samples:
        for factor in scales:
            columns.setdefault((factor, sample.levels[factor]), len(columns))
    design = np.zeros((len(samples), len(columns)))
    design[:, 0] = 1.0
    for row, sample in enumerate(samples):
        for factor in scales:
            design[row, columns[factor, sample.levels[factor]]] = 1.0
    outcomes = np.array([sample.outcome for sample in samples])
    weights = np.array([sample.weight for sample in samples])
    centre = float(np.median(outcomes))
    residual_sd = max(_MAD * float(np.median(np.abs(outcomes - centre))), _LEAST_RESIDUAL_SD)
    held, sds = np.clip(outcomes, centre - _REACH * residual_sd, centre + _REACH * residual_sd), _sds(scales)
    for _ in range(_ROUNDS):
        effects = _solved(columns, design, held, weights / residual_sd**2, sds)
        sds |= {factor: _learned_sd(effects, factor, scale.sd) for factor, scale in scales.items() if scale.learned}
        expected = design @ effects.mean
        residuals = outcomes - expected
        kept = np.clip(residuals, -_REACH * residual_sd, _REACH * residual_sd)
        spread = math.sqrt(float(np.sum(weights * kept**2) / np.sum(weights)))
        held, residual_sd = (
            expected + kept,
            max(spread, _MAD * float(np.median(np.abs(residuals))), _LEAST_RESIDUAL_SD),
        )
    return _solved(columns, design, held, weights / residual_sd**2, sds)


def _sds(scales: Mapping[str, Scale]) -> dict[str, float]:
    # What all have in common may be anything.
    return {"all": 10.0} | {factor: scale.sd for factor, scale in scales.items()}


def _solved(
    columns: Mapping[Level, int], design: "Array", outcomes: "Array", precision: "Array", sds: Mapping[str, float]
) -> Effects:
    """The posterior of effects whose standard deviations, by factor, are `sds`; a `precision` each outcome."""
    import numpy as np

    prior_sd = np.array([sds[factor] for factor, _ in columns])
    weighted = (design * precision[:, None]).T
    covariance = np.asarray(np.linalg.inv(weighted @ design + np.diag(prior_sd**-2)), dtype=np.float64)
    return Effects(columns, prior_sd, covariance @ (weighted @ outcomes), covariance)


def _learned_sd(effects: Effects, factor: str, believed: float) -> float:
    """The standard deviation of a factor's effects as they stand, with what was believed of it (an EM step)."""
    own = [column for (name, _), column in effects.columns.items() if name == factor]
    squares = sum(float(effects.mean[at] ** 2 + effects.covariance[at, at]) for at in own)
    variance = (_PRIOR_LEVELS * believed**2 + squares) / (_PRIOR_LEVELS + len(own))
    return max(math.sqrt(variance), _LEAST_SCALE * believed)
