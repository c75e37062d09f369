"""Has a rate risen? One-sided tests on counts a night, whose false alarms are limited by computed thresholds. Pure.

A cumulative sum (CUSUM) asks of every night on which a rise could have begun how much likelier what came since is at
the raised rate than at the usual one. A sequential probability ratio test asks the same of one known beginning. The
usual rate is the version's own of before, and not under what its peers had on the same nights: what hits all alike is
no model's change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from video_pipeline.feedback.operational import Counts, Night, Record
from video_pipeline.policy import ScoringPolicy

# A rise that began longer ago than this is no sudden one.
_LOOK_BACK_NIGHTS = 30
# So many first tries before a night are a version's own usual rate; with fewer it is new.
OWN_RATE_TRIES = 15.0
# What others have says as much of a new version as so many tries of its own.
_HETEROGENEITY_TRIES = 30.0
# How likely a peer is hit by what hits all, and how likely it has troubles of its own.
_HIT_BY_STORM = 0.90
_HIT_ALONE = 0.15
# The evidence of all peers together that they were hit too, from which it is no model's change.
_STORM = 2.0
# By how much a night's many tries overshoot a threshold on the average at least, so that it may be lower.
_OVERSHOT = 0.5
_HIGHEST_RATE = 0.95
# How often a rise is far more than the least that is to be found.
_FAR_WEIGHT = 0.25
_VOLUME_NIGHTS = 14


@dataclass(frozen=True)
class Rate:
    """A rate as it is known: its mean, and by how many tries."""

    mean: float
    tries: float


@dataclass(frozen=True)
class Rise:
    """That a version is refused, or not accepted, more than is usual: `bad` of `tried` since the night `since`.

    `over` is by how much the evidence is over its threshold. `new` says that there was no rate of its own before.
    """

    refused: bool
    since: int
    bad: float
    tried: float
    usual: float
    raised: float
    over: float
    new: bool
    before: Counts

    @property
    def rate(self) -> float:
        """The raised rate as it is now believed to be."""
        return (self.bad + 4 * self.raised) / (self.tried + 4)


@dataclass(frozen=True)
class _Storm:
    """That other models were hit too, up to the night `last`, and the rate that they had."""

    last: int
    rate: Rate


def find_rise(
    key: tuple[str, str],
    record: Record,
    tallies: Mapping[int, Mapping[tuple[str, str], Counts]],
    prior: float,
    policy: ScoringPolicy,
    *,
    refused: bool,
    after: int,
) -> Rise | None:
    """The rise that the night's numbers prove, the surest of several; None without one.

    `tallies` maps nights to first tries at each version that served; `prior` is the usual rate of the tier's others.
    Only nights after `after` are held against the version.
    """
    nights = [night for night in record.nights if night.night > after]
    if not nights:
        return None
    new = _of_new(key, nights, tallies, prior, policy, refused=refused)
    tries = policy.false_alarm_nights * max(record.a_night(_VOLUME_NIGHTS), 0.5)
    own = Counts()
    found: list[Rise] = []
    for night in reversed(nights):
        if night.night <= record.at - _LOOK_BACK_NIGHTS or night.before.tried < OWN_RATE_TRIES:
            break
        own.add(night.counts)
        usual = _usual(night.before, prior, policy, refused=refused)
        rise = _tested(night, own, usual, policy, tries, refused=refused)
        if rise is not None:
            found.append(rise)
    storms: list[_Storm] = []
    for rise in sorted(found, key=lambda rise: -rise.over):
        since = [night for night in nights if night.night >= rise.since]
        usual = _usual(rise.before, prior, policy, refused=rise.refused)
        last, own = _height(since, usual, rise)
        # One night of a storm says too little of it: what began before its end is held against the whole of it.
        storm = next((one for one in storms if rise.since <= one.last), None)
        if storm is None:
            storm = _storm(key, rise, last, tallies, policy)
            if storm is None:
                return rise
            storms.append(storm)
        # The others were hit too: what is usual then is what they have.
        now = max(usual, storm.rate, key=lambda rate: rate.mean)
        if _tested(since[0], own, now, policy, tries, refused=refused) is not None:
            return rise
    return new


def _height(nights: Sequence[Night], usual: Rate, rise: Rise) -> tuple[int, Counts]:
    """The night up to which most speaks for the rise, and its first tries up to then."""
    own, best = Counts(), (-math.inf, 0, Counts())
    for night in nights:
        own.add(night.counts)
        said = evidence(own.bad(refused=rise.refused), own.tried, usual, rise.raised)
        if said > best[0]:
            best = said, night.night, own.times(1.0)
    return best[1:]


def _of_new(
    key: tuple[str, str],
    nights: Sequence[Night],
    tallies: Mapping[int, Mapping[tuple[str, str], Counts]],
    prior: float,
    policy: ScoringPolicy,
    *,
    refused: bool,
) -> Rise | None:
    """Whether a version without a rate of its own does much worse than its peers ever since it came."""
    own = Counts()
    for night in nights:
        own.add(night.counts)
    known = nights[0].before.tried >= OWN_RATE_TRIES
    if known or not policy.minimum_attempts <= own.tried <= policy.new_tries:
        return None
    peers = _peers(key, nights[0].night, nights[-1].night, tallies)
    usual = _pooled(peers, prior, policy.prior_strength, refused=refused)
    # Models differ, so that however many clips of others say nothing surer of this one.
    usual = Rate(max(_floor(policy, refused), usual.mean), min(usual.tries, _HETEROGENEITY_TRIES))
    raised, bad = max(policy.new_rate, usual.mean + policy.new_step), own.bad(refused=refused)
    over = evidence(bad, own.tried, usual, raised) - ratio_threshold(policy.new_false_alarms)
    if over < 0:
        return None
    return Rise(refused, nights[0].night, bad, own.tried, usual.mean, raised, over, True, nights[0].before)


def _usual(before: Counts, prior: float, policy: ScoringPolicy, *, refused: bool) -> Rate:
    """What is known of a version's own rate by what came before a night."""
    tries = before.tried + policy.prior_strength
    mean = (before.bad(refused=refused) + policy.prior_strength * prior) / tries
    return Rate(max(_floor(policy, refused), mean), tries)


def _floor(policy: ScoringPolicy, refused: bool) -> float:
    """The least rate that is usual: what is not accepted is refused, rejected or failed."""
    return policy.usual_floor if refused else 2 * policy.usual_floor


def _tested(
    night: Night, own: Counts, usual: Rate, policy: ScoringPolicy, tries: float, *, refused: bool
) -> Rise | None:
    """The rise since `night` if its evidence is over the threshold of a CUSUM.

    That is asked once a night, not after every try: a rise may have begun in as many nights, whatever the volume.
    """
    raised, bad = max(policy.demote_rate, usual.mean + policy.demote_step), own.bad(refused=refused)
    if raised >= _HIGHEST_RATE or bad <= usual.mean * own.tried:
        return None
    threshold = min(
        change_threshold(usual.mean, raised, tries=tries, false_alarms=policy.false_alarms),
        ratio_threshold(policy.false_alarms / policy.false_alarm_nights) - _OVERSHOT,
    )
    over = evidence(bad, own.tried, usual, raised) - threshold
    if over < 0:
        return None
    return Rise(refused, night.night, bad, own.tried, usual.mean, raised, over, False, night.before)


def _peers(
    key: tuple[str, str], first: int, last: int, tallies: Mapping[int, Mapping[tuple[str, str], Counts]]
) -> dict[tuple[str, str], Counts]:
    """The first tries at every other model that served in the nights from `first` to `last`."""
    peers: dict[tuple[str, str], Counts] = {}
    for night in range(first, last + 1):
        for other, counts in tallies.get(night, {}).items():
            if other[0] != key[0]:
                peers.setdefault(other, Counts()).add(counts)
    return peers


def _storm(
    key: tuple[str, str],
    rise: Rise,
    last: int,
    tallies: Mapping[int, Mapping[tuple[str, str], Counts]],
    policy: ScoringPolicy,
) -> _Storm | None:
    """The storm of which the other models say that it hit them too, from the rise's beginning to the night `last`.

    While they say nothing, there was none.
    """
    peers = _peers(key, rise.since, last, tallies)
    before = _peers(key, min(tallies), rise.since - 1, tallies)
    heard = 0.0
    for peer, counts in peers.items():
        usual = _usual(before.get(peer, Counts()), rise.usual, policy, refused=rise.refused)
        raised = min(usual.mean + rise.raised - rise.usual, (1 + usual.mean) / 2)
        said = evidence(counts.bad(refused=rise.refused), counts.tried, usual, raised)
        heard += _log_mix(said, _HIT_BY_STORM) - _log_mix(said, _HIT_ALONE)
    if heard <= _STORM:
        return None
    return _Storm(last, _pooled(peers, rise.raised, policy.prior_strength, refused=rise.refused))


def _log_mix(said: float, share: float) -> float:
    """How much likelier a peer's tries are when it was hit with the chance `share`, as a logarithm like `said`."""
    return max(said, 0.0) + math.log(share * math.exp(min(said, 0.0)) + (1 - share) * math.exp(-max(said, 0.0)))


def _pooled(peers: Mapping[tuple[str, str], Counts], prior: float, strength: float, *, refused: bool) -> Rate:
    """The rate of the peers, with `prior` for `strength` tries."""
    tries = strength + sum(peer.tried for peer in peers.values())
    bad = strength * prior + sum(peer.bad(refused=refused) for peer in peers.values())
    return Rate(bad / tries, tries)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def evidence(bad: float, tried: float, usual: Rate, raised: float) -> float:
    """The logarithm of how much likelier `bad` of `tried` are at a raised rate than at the usual one.

    The usual rate is not known exactly, and what is seen says something of it too (a beta-binomial distribution): so
    what was luck in a short past is no rise later. The raised one is `raised`, or seldom half-way from there to 1.
    """
    if raised >= _HIGHEST_RATE:
        return -math.inf
    a, b = usual.mean * usual.tries, (1 - usual.mean) * usual.tries
    fine = tried - bad
    likely = [
        math.log(weight) + bad * math.log(rate) + fine * math.log(1 - rate)
        for weight, rate in ((1 - _FAR_WEIGHT, raised), (_FAR_WEIGHT, (1 + raised) / 2))
    ]
    at_raised = max(likely) + math.log1p(math.exp(min(likely) - max(likely)))
    return at_raised - (_log_beta(a + bad, b + fine) - _log_beta(a, b))


def change_threshold(usual: float, raised: float, *, tries: float, false_alarms: float) -> float:
    """The evidence that a CUSUM has to reach, so that it alarms in `tries` tries at the usual rate with at most the
    probability `false_alarms`.

    Siegmund's corrected approximation of a Bernoulli CUSUM's mean length, with the correction that Reynolds and
    Stoumbos (1999, Journal of Quality Technology 31, 87-108) fitted, solved for the threshold.
    """
    # To three digits, and a volume to a tenth, so that a night's thresholds are mostly known already.
    return _threshold(round(usual, 3), round(raised, 3), round(math.log(max(1.0, tries)), 1), false_alarms)


def ratio_threshold(false_alarms: float) -> float:
    """The evidence that a sequential probability ratio test has to reach (Wald)."""
    return math.log(1 / false_alarms)


@lru_cache(maxsize=65536)
def _threshold(usual: float, raised: float, log_tries: float, false_alarms: float) -> float:
    better = -math.log((1 - raised) / (1 - usual))
    step = math.log(raised / usual) + better
    drift = abs(step * usual - better)
    # Alarms come at a constant rate, as good as from the start.
    length = math.exp(log_tries) / -math.log1p(-false_alarms)
    corrected = math.log(length * drift + 1)
    for _ in range(20):
        corrected = math.log(length * drift + 1 + corrected)
    return max(0.0, corrected - step * _overshoot(usual) * math.sqrt(usual * (1 - usual)))


def _overshoot(usual: float) -> float:
    """The fitted correction; for rates over a half that of a half, up to which it was fitted."""
    log = math.log(min(usual, 0.5))
    return 0.410 - 0.0842 * log - 0.0391 * log**3 - 0.00376 * log**4 - 0.000008 * log**7
