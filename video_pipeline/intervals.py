"""Confidence intervals that are honest at small counts."""

import math
from statistics import NormalDist


def wilson_interval(successes: float, trials: float, *, confidence: float) -> tuple[float, float]:
    """Wilson's score interval for a proportion; (0, 1) with no trials.

    https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
    """
    if trials <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / trials
    scale = 1 + z * z / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def mean_interval(mean: float, sd: float, count: int, *, confidence: float) -> tuple[float, float]:
    """Student's t interval for the mean of `count` numbers in 0..1, held within 0..1; (0, 1) under two of them.

    https://en.wikipedia.org/wiki/Student%27s_t-distribution#Confidence_intervals. The quantile is the normal one
    expanded in 1/n: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if count < 2:
        return 0.0, 1.0
    x, n = NormalDist().inv_cdf(0.5 + confidence / 2), count - 1
    quantile = (
        x
        + (x**3 + x) / (4 * n)
        + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * n**2)
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * n**3)
    )
    spread = quantile * sd / math.sqrt(count)
    return max(0.0, mean - spread), min(1.0, mean + spread)
