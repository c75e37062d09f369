"""Promotion: whether a model is surely as good as the tier above its own, by clips of that tier alone (G1.4, G4.5).

Pure. Both measures have to hold: acceptance says nothing about looks, and looks nothing about refusals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from video_pipeline.intervals import beta_variance
from video_pipeline.policy import ScoringPolicy
from video_pipeline.routing import Belief, Promotion

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Rivalry:
    """A model against the best of the tier above: how likely it is at least as good there.

    `worth` is the probability that its clips of that tier are worth more than the rival's by the policy's margin,
    `acceptance` that as many of its first tries are accepted but for the policy's allowance; each against the rival
    that is hardest to match.
    """

    worth: float
    acceptance: float
    numbers: str

    def is_as_good(self, policy: ScoringPolicy) -> bool:
        return min(self.worth, self.acceptance) >= policy.promote_confidence

    def is_worse(self, policy: ScoringPolicy) -> bool:
        """As good as surely worse in one of the two, which takes less than to be surely better."""
        return min(self.worth, self.acceptance) <= 1 - policy.unpromote_confidence


def compare(
    keys: Sequence[tuple[str, str]],
    beliefs: Sequence[Belief],
    means: Sequence[float],
    covariances: Sequence[Sequence[float]],
    policy: ScoringPolicy,
) -> Rivalry:
    """The first of `keys` against the others, by their beliefs and the logarithms of what their clips are worth."""
    worths: list[tuple[float, int]] = []
    accepted: list[tuple[float, int]] = []
    for rival in range(1, len(keys)):
        gain = means[0] - means[rival] - policy.promote_margin
        variance = covariances[0][0] + covariances[rival][rival] - 2 * covariances[0][rival]
        worths.append((_NORMAL.cdf(gain / math.sqrt(max(variance, 1e-12))), rival))
        more = beliefs[0].acceptance - beliefs[rival].acceptance + policy.promote_allowance
        spread = math.sqrt(sum(beta_variance(one.accepted, one.lost) for one in (beliefs[0], beliefs[rival])))
        accepted.append((_NORMAL.cdf(more / spread), rival))
    worth, worthiest = min(worths)
    acceptance, surest = min(accepted)
    numbers = (
        f"its clips are worth {math.exp(means[0] - means[worthiest]):.2f} times those of {keys[worthiest][0]} "
        f"({worth:.0%} sure), accepted {beliefs[0].acceptance:.0%} against {beliefs[surest].acceptance:.0%} of "
        f"{keys[surest][0]} ({acceptance:.0%} sure)"
    )
    return Rivalry(worth, acceptance, numbers)


def promotion_in_force(evidence: Mapping[str, Any], kinds: Mapping[str, Sequence[str]]) -> Promotion:
    """What the ledger keeps of a promotion, as Gate 1 reads it; `kinds` maps versions to their proven kinds."""
    return Promotion(
        tier=evidence["tier"],
        version=evidence["version"],
        kinds=frozenset(kinds.get(evidence["version"], ())),
        reason=evidence["numbers"],
    )
