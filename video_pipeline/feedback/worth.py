"""What a model's clips are worth to those who watch and judge them, against usual clips of the same kind. Pure.

A clip is one observation of each part that is known of it: completion, views, a person's word. A part says how far
the clip is from the recent clips of the same platform without itself, in standard deviations of a model's clips, so
that no unit counts. Not its rank: among ranks, far worse is as far as worse. What a clip is beyond its own model's
middle counts up to `_OUTLIER`, so that no single one decides. A person's word has only two values, and is a rank.
What is missing is missing, and changes nothing in the other parts; a clip that nobody has watched is not missing.

A ridge regression takes out what tier, kind, length, weekday and week have to do with it; the rest of a model in a
tier is what its clips are worth there. A tier's own level is free, so that clips of different tiers are never
compared.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from statistics import NormalDist, fmean, median

from video_pipeline.feedback.facts import ClipFact
from video_pipeline.policy import ScoringPolicy
from video_pipeline.publishing import Engagement

_NORMAL = NormalDist()
# A place among fewer says nothing; nor do fewer tell the spread. So few tell the middle of a model.
_FEWEST, _FEW = 8, 3
# So many standard deviations off is as far as any model is from all, and as any clip is from those of its model.
_FARTHEST, _OUTLIER = 4.0, 3.0
# What clips are worth at least, against usual ones, that hardly any of is watched.
_LEAST = 0.2
# A normal distribution's standard deviation, as a multiple of the median distance from its middle.
_OF_MEDIAN = 1.4826
_RECENT_NIGHTS = 28
# Before any clip is seen: how large an effect may be, as a standard deviation of a part on the normal scale. A tier's
# level is free; what a kind of shot or a length does may be much, what a weekday or a week does is less.
_SD_LEVEL, _SD_KIND, _SD_LENGTH, _SD_WEEKDAY, _SD_WEEK = 10.0, 1.0, 1.0, 0.3, 0.3
# A snapshot that was read later than this many days after it could have been is of another age.
_LATE_DAYS = 2

Effect = tuple[str, str, str]
"""(model, version, tier of the brief)."""


@dataclass(frozen=True)
class Seen:
    """What is known of a clip's worth: part and platform -> number. Views are logarithms."""

    fact: ClipFact
    values: Mapping[tuple[str, str], float]


@dataclass(slots=True)
class _Stream:
    """The recent numbers of one part on one platform, each with the model, version and tier that it is of."""

    recent: deque[tuple[int, float, Effect]] = field(default_factory=deque[tuple[int, float, Effect]])
    ranked: list[float] = field(default_factory=list[float])
    spread: float = 0.0
    middles: dict[Effect, float] = field(default_factory=dict[Effect, float])

    def add(self, night: int, value: float, effect: Effect) -> None:
        self.recent.append((night, value, effect))
        insort(self.ranked, value)

    def forget(self, before: int) -> None:
        while self.recent and self.recent[0][0] < before:
            del self.ranked[bisect_left(self.ranked, self.recent.popleft()[1])]

    def measure(self) -> None:
        """Find each model's middle, and the spread about it: how far models are apart is not chance."""
        groups: dict[Effect, list[float]] = defaultdict(list)
        for _, value, effect in self.recent:
            groups[effect].append(value)
        self.middles = {effect: median(values) for effect, values in groups.items() if len(values) >= _FEW}
        known = [values for values in groups.values() if len(values) >= _FEWEST] or [self.ranked]
        off = [abs(value - middle) for values in known for middle in (median(values),) for value in values]
        usual = _OUTLIER * _OF_MEDIAN * median(off)
        self.spread = math.sqrt(fmean(min(one, usual or one) ** 2 for one in off))

    def rank(self, value: float) -> float | None:
        """Where one of the values stands among the others, on the normal scale; None with too few others."""
        others = len(self.ranked) - 1
        if others < _FEWEST:
            return None
        below = bisect_left(self.ranked, value)
        ties = bisect_right(self.ranked, value) - below - 1
        return _NORMAL.inv_cdf((below + ties / 2 + 0.5) / (others + 1))

    def distances(self, value: float, effect: Effect) -> tuple[float, float] | None:
        """In standard deviations: how far the clip's model is from the other clips, and the clip from its model.

        A model of a few clips is as all are. None with too few others, or when all are the same.
        """
        others = len(self.ranked) - 1
        if others < _FEWEST or not self.spread:
            return None
        itself = bisect_left(self.ranked, value)
        low, high = (others - 1) // 2, others // 2
        middle = (self.ranked[low + (low >= itself)] + self.ranked[high + (high >= itself)]) / 2
        own = self.middles.get(effect, middle)
        return _within(_FARTHEST, (own - middle) / self.spread), _within(_OUTLIER, (value - own) / self.spread)


def _within(most: float, value: float) -> float:
    return max(-most, min(most, value))


@dataclass
class Worth:
    """What was learned of worth up to a night; `parts` maps a part to what one standard deviation of it is worth."""

    parts: Mapping[str, float]
    prior_sd: float
    half_life_nights: float
    seen: Counter[Effect] = field(default_factory=Counter[Effect])
    mixed: int = 0
    _streams: dict[tuple[str, str], _Stream] = field(default_factory=lambda: defaultdict(_Stream))
    _sums: "Regression" = field(default_factory=lambda: Regression())
    _at: int | None = None

    def add(self, night: int, clips: Sequence[Seen]) -> None:
        """Learn from the clips whose numbers have come of age in a night."""
        if self._at is not None:
            self._sums.fade(0.5 ** ((night - self._at) / self.half_life_nights))
        self._at = night
        for stream in self._streams.values():
            stream.forget(night - _RECENT_NIGHTS)
        for clip in clips:
            for key, value in clip.values.items():
                self._streams[key].add(night, value, _effect_of(clip.fact))
        for key in {key for clip in clips for key in clip.values}:
            self._streams[key].measure()
        for clip in clips:
            self._learn(clip)

    def estimate(self, effects: Sequence[Effect]) -> tuple[list[float], list[list[float]]]:
        """The logarithm of what clips of each effect are worth (0 is the usual clip): means and covariances."""
        return self._sums.solve([("effect", effect) for effect in effects], self.prior_sd)

    def _learn(self, clip: Seen) -> None:
        fact, effect = clip.fact, _effect_of(clip.fact)
        scores: dict[str, list[float]] = defaultdict(list)
        for (part, platform), value in clip.values.items():
            score = self._score(part, platform, value, effect) if part in self.parts else None
            if score is not None:
                scores[part].append(score)
        if not scores:
            return
        if fact.mixed or not fact.model or not fact.model_version:
            self.mixed += fact.mixed
            return
        self.seen[effect] += any(part != _PEOPLE for part in scores)
        length = math.log(fact.length_s / 5) if fact.length_s > 0 else 0.0
        for part, found in scores.items():
            row: dict[Hashable, tuple[float, float]] = {
                ("level", part, fact.tier): (1.0, _SD_LEVEL),
                ("kind", part, fact.kind): (1.0, _SD_KIND),
                ("length", part): (length, _SD_LENGTH),
                ("weekday", part, fact.day.weekday()): (1.0, _SD_WEEKDAY),
                ("week", part, fact.day.toordinal() // 7): (1.0, _SD_WEEK),
                ("effect", effect): (1 / self.parts[part], self.prior_sd),
            }
            # A clip's platforms are one observation: its audiences judge the same clip.
            self._sums.add(row, sum(found) / len(found))

    def _score(self, part: str, platform: str, value: float, effect: Effect) -> float | None:
        """What a part of a clip says of it, so that `parts` makes the logarithm of a worth of it."""
        stream = self._streams[(part, platform)]
        if part == _PEOPLE:
            return stream.rank(value)
        distances = stream.distances(value, effect)
        if distances is None:
            return None
        model, clip = distances
        if part == _COMPLETION:
            # Views are logarithms already; of what is watched, half as much is worth half.
            model = math.log(max(_LEAST, 1 + self.parts[part] * model)) / self.parts[part]
        return model + clip


_PEOPLE, _VIEWS, _COMPLETION = "people", "views", "completion"


def _effect_of(fact: ClipFact) -> Effect:
    return fact.model or "", fact.model_version or "", fact.tier


def mature_ages(policy: ScoringPolicy) -> range:
    """The ages, in days, at which a clip's numbers count."""
    return range(policy.mature_age_days, policy.mature_age_days + _LATE_DAYS + 1)


def come_of_age(
    snapshots: Iterable[Engagement], facts: Mapping[str, ClipFact], ages: range, of_age: set[str]
) -> list[Seen]:
    """Clips whose numbers, read in a night, are of one of these `ages` (in days).

    `of_age` holds the clips that were so before, and gains those of the night. At that age no views are nought views.
    """
    values: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for row in snapshots:
        if row.age_days not in ages or row.clip_id in of_age or row.clip_id not in facts:
            continue
        if row.views is not None:
            values[row.clip_id][(_VIEWS, row.platform)] = math.log1p(row.views)
        if row.completion is not None:
            values[row.clip_id][(_COMPLETION, row.platform)] = row.completion
    of_age |= values.keys()
    return [Seen(facts[clip_id], found) for clip_id, found in sorted(values.items())]


def judged(facts: Iterable[ClipFact]) -> list[Seen]:
    """The clips that a person has approved or rejected."""
    return [Seen(fact, {(_PEOPLE, ""): float(fact.approved)}) for fact in facts if fact.approved is not None]


class Regression:
    """A Bayesian linear regression with unit noise, kept as sums: y = sum of x times effect, effect ~ N(0, sd²)."""

    def __init__(self) -> None:
        self._index: dict[Hashable, int] = {}
        self._priors: list[float] = []
        self._matrix: list[list[float]] = []
        self._right: list[float] = []

    def add(self, row: Mapping[Hashable, tuple[float, float]], y: float) -> None:
        """Add an observation; `row` maps an effect to its x and to the prior's standard deviation."""
        places = sorted((self._place(name, sd), x) for name, (x, sd) in row.items())
        for at, (i, x) in enumerate(places):
            self._right[i] += x * y
            line = self._matrix[i]
            for j, other in places[: at + 1]:
                line[j] += x * other

    def fade(self, factor: float) -> None:
        """Let what was observed count less; what was believed before any observation counts as it did."""
        self._matrix = [[value * factor for value in line] for line in self._matrix]
        self._right = [value * factor for value in self._right]

    def solve(self, names: Sequence[Hashable], sd: float) -> tuple[list[float], list[list[float]]]:
        """Posterior means and covariances of some effects; one that was never observed has its prior, N(0, sd²)."""
        lower = _cholesky(self._matrix, self._priors)
        mean = _backward(lower, _forward(lower, self._right))
        columns: dict[Hashable, list[float]] = {}
        for name in names:
            if name in self._index:
                unit = [0.0] * len(lower)
                unit[self._index[name]] = 1.0
                columns[name] = _backward(lower, _forward(lower, unit))
        means = [mean[self._index[name]] if name in columns else 0.0 for name in names]
        covariances = [
            [
                columns[one][self._index[other]]
                if one in columns and other in columns
                else (sd * sd if one == other else 0.0)
                for other in names
            ]
            for one in names
        ]
        return means, covariances

    def _place(self, name: Hashable, sd: float) -> int:
        place = self._index.get(name)
        if place is None:
            place = self._index[name] = len(self._priors)
            self._priors.append(1 / (sd * sd))
            self._matrix.append([0.0] * (place + 1))
            self._right.append(0.0)
        return place


def _cholesky(matrix: Sequence[Sequence[float]], diagonal: Sequence[float]) -> list[list[float]]:
    """The lower factor of a matrix (its lower half is given) with `diagonal` added."""
    lower: list[list[float]] = []
    for i, line in enumerate(matrix):
        row: list[float] = []
        for j in range(i):
            other = lower[j]
            row.append((line[j] - sum(map(mul, row, other))) / other[j])
        row.append(math.sqrt(line[i] + diagonal[i] - sum(map(mul, row, row))))
        lower.append(row)
    return lower


def _forward(lower: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    found: list[float] = []
    for row, value in zip(lower, right, strict=True):
        found.append((value - sum(map(mul, row, found))) / row[-1])
    return found


def _backward(lower: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    found = list(right)
    for i in range(len(lower) - 1, -1, -1):
        row = lower[i]
        found[i] /= row[i]
        value = found[i]
        for j in range(i):
            found[j] -= row[j] * value
    return found
