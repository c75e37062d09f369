"""How the versions of models do on first tries: counts a night, what is forgotten of them, and what is believed.

A clip is one observation of each version that it was first tried at. Rescues met harder shots: they are compared with
nothing. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from video_pipeline.feedback.facts import FirstTry, Outcome
from video_pipeline.routing import Belief

# What a new version takes over from the one before it counts as at most this many clips.
INHERITED_CLIPS = 4.0
_KEPT_NIGHTS = 90
# What is usual of a version is remembered for so many times as long as what it does lately.
_USUAL_LASTS = 3


@dataclass(slots=True)
class Counts:
    """First tries, those of them that were refused, those that were not accepted; a share of a try may be left."""

    tried: float = 0.0
    refused: float = 0.0
    lost: float = 0.0

    def add(self, other: "Counts") -> None:
        self.tried += other.tried
        self.refused += other.refused
        self.lost += other.lost

    def times(self, factor: float) -> "Counts":
        return Counts(self.tried * factor, self.refused * factor, self.lost * factor)

    @property
    def refusal_rate(self) -> float:
        """The share that was refused; 0 of none."""
        return self.refused / self.tried if self.tried else 0.0

    def bad(self, *, refused: bool) -> float:
        return self.refused if refused else self.lost


@dataclass(slots=True)
class Night:
    """A version's first tries of a night, and its usual ones of before."""

    night: int
    counts: Counts
    before: Counts


@dataclass(slots=True)
class Record:
    """Everything counted of one version of a model; nights are ordinals of days.

    `left` is what is left of all first tries as of the night `at`, and `usual` the same with a longer memory. `clips`
    are those since it last was new.
    """

    model: str
    version: str
    tier: str
    first: int
    at: int
    left: Counts = field(default_factory=Counts)
    usual: Counts = field(default_factory=Counts)
    kinds: dict[str, Counts] = field(default_factory=dict[str, Counts])
    nights: list[Night] = field(default_factory=list[Night])
    clips: int = 0

    def fade(self, night: int, half_life_nights: float) -> None:
        """Forget what was known by as much as lies between the last night and `night`."""
        factor = 0.5 ** ((night - self.at) / half_life_nights)
        self.left = self.left.times(factor)
        self.usual = self.usual.times(factor ** (1 / _USUAL_LASTS))
        self.kinds = {kind: counts.times(factor) for kind, counts in self.kinds.items()}
        self.at = night

    def add(self, night: int, tries: Iterable[FirstTry]) -> Counts:
        """Count the night's first tries; returns those that are compared. The record was faded to `night`."""
        tonight = Counts()
        for one in tries:
            if one.rescue:
                continue
            counts = Counts(1.0, one.outcome is Outcome.REFUSED, one.outcome is not Outcome.ACCEPTED)
            tonight.add(counts)
            if one.kind:
                self.kinds.setdefault(one.kind, Counts()).add(counts)
        if tonight.tried:
            self.nights.append(Night(night, tonight, self.usual.times(1.0)))
            del self.nights[:-_KEPT_NIGHTS]
            self.left.add(tonight)
            self.usual.add(tonight)
            self.clips += int(tonight.tried)
        return tonight

    def a_night(self, nights: int) -> float:
        """First tries a night over the last `nights`, or over as many as there were."""
        since = self.at - nights
        known = min(nights, self.at - self.first + 1)
        return sum(one.counts.tried for one in self.nights if one.night > since) / known


def prior_of(accepted: float, others: Counts, strength: float) -> float:
    """The share of accepted first tries that is expected of a model by what its tier's others do.

    `accepted` is the catalogue's share, which counts as much as `strength` clips of theirs.
    """
    return (strength * accepted + others.tried - others.lost) / (strength + others.tried)


def belief_of(
    record: Record, prior: float, older: Record | None, strength: float, *, worth: tuple[float, float], seen: int
) -> Belief:
    """The posterior of a version; `prior` as of `prior_of`, `older` the version that was there before it.

    `worth` is its worth and the standard deviation of that.
    """
    accepted, lost = strength * prior, strength * (1 - prior)
    if older is not None and older.left.tried > 0:
        clips = min(INHERITED_CLIPS, older.left.tried, strength)
        share = 1 - older.left.lost / older.left.tried
        accepted += clips * (share - prior)
        lost -= clips * (share - prior)
    accepted += record.left.tried - record.left.lost
    lost += record.left.lost
    mean = accepted / (accepted + lost)
    return Belief(
        version=record.version,
        accepted=round(max(accepted, 1e-3), 4),
        lost=round(max(lost, 1e-3), 4),
        worth=round(worth[0], 4),
        worth_sd=round(worth[1], 4),
        clips=record.clips,
        seen=seen,
        kinds={kind: _shrunk(counts, mean, strength) for kind, counts in sorted(record.kinds.items())},
    )


def total_of(records: Iterable[Record]) -> Counts:
    """What is left of all their first tries."""
    total = Counts()
    for record in records:
        total.add(record.left)
    return total


def version_before(record: Record, records: Mapping[tuple[str, str], Record]) -> Record | None:
    """The version of the same model that was first tried last before this one."""
    older = [one for one in records.values() if one.model == record.model and one.first < record.first]
    return max(older, key=lambda one: (one.first, one.version), default=None)


def _shrunk(counts: Counts, mean: float, strength: float) -> tuple[float, float]:
    accepted = counts.tried - counts.lost + strength * mean
    return round(max(accepted, 1e-3), 4), round(max(counts.lost + strength * (1 - mean), 1e-3), 4)
