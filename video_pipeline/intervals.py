"""How sure numbers are: confidence intervals that are honest at small counts, and what they are made of."""

import math
from statistics import NormalDist


def wilson_interval(successes: float, trials: float, *, confidence: float) -> tuple[float, float]:
    """Wilson's score interval for a proportion; (0, 1) with no trials.

    https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
    """
    if trials <= 0:
        return 0.0, 1.0
    z = deviations(confidence)
    share = successes / trials
    scale = 1 + z * z / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def deviations(confidence: float) -> float:
    """How many standard deviations to either side of a normal distribution's mean hold so much of it."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def beta_variance(one: float, other: float) -> float:
    """The variance of a Beta distribution with these parameters, both over 0."""
    mean = one / (one + other)
    return mean * (1 - mean) / (one + other + 1)


def beta_interval(one: float, other: float, *, confidence: float) -> tuple[float, float]:
    """The central interval of a Beta distribution with these parameters, both over 0."""
    tail = (1 - confidence) / 2
    return _beta_quantile(one, other, tail), _beta_quantile(one, other, 1 - tail)


def _beta_quantile(one: float, other: float, share: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_share_under(middle, one, other) < share else (low, middle)
    return (low + high) / 2


def _beta_share_under(x: float, one: float, other: float) -> float:
    """The regularised incomplete beta function, by Lentz' continued fraction.

    https://dlmf.nist.gov/8.17#v, which converges quickly for x under the mean; the other side is its mirror image.
    """
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (one + 1) / (one + other + 2):
        return 1 - _beta_share_under(1 - x, other, one)
    log_front = (
        math.lgamma(one + other) - math.lgamma(one) - math.lgamma(other) + one * math.log(x) + other * math.log1p(-x)
    )
    tiny = 1e-300
    fraction = c = 1.0
    d = 0.0
    for step in range(400):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (other - m) * x / ((one + 2 * m - 1) * (one + 2 * m))
        else:
            term = -(one + m) * (one + other + m) * x / ((one + 2 * m) * (one + 2 * m + 1))
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        fraction *= c * d
        if step and abs(1 - c * d) < 1e-12:
            break
    return math.exp(log_front) * (fraction - 1) / one
