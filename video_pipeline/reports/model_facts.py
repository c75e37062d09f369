"""What is shown of a model, worked out from the nights' scores and the clips' facts; pure (O3)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from video_pipeline.feedback import ClipFact, FirstTry, ModelScore, Outcome
from video_pipeline.intervals import wilson_interval
from video_pipeline.ledger import Decided
from video_pipeline.routing import Decision, Purpose

# Of the intervals that are worked out here.
_CONFIDENCE = 0.90
# Of a transition's evidence.
_MOST_NUMBERS = 14


@dataclass(frozen=True)
class Measured:
    """A number with its interval; the ends are the number where no interval is known."""

    value: float
    low: float
    high: float


@dataclass
class Tries:
    """How clips' first attempts at a model ended, and what they were billed, in US dollars."""

    tried: int = 0
    ends: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    billed_usd: Decimal = Decimal(0)

    def add(self, one: FirstTry) -> None:
        self.tried += 1
        self.ends[one.outcome] += 1
        self.billed_usd += one.billed_usd

    @property
    def accepted(self) -> int:
        return self.ends[Outcome.ACCEPTED]

    @property
    def acceptance(self) -> Measured:
        low, high = wilson_interval(self.accepted, self.tried, confidence=_CONFIDENCE)
        return Measured(self.accepted / self.tried if self.tried else 0.0, low, high)

    @property
    def usd_per_accepted(self) -> Decimal | None:
        return self.billed_usd / self.accepted if self.accepted else None


@dataclass(frozen=True)
class Value:
    """A version of a model by its value for money: what an accepted clip of it costs, and what that is worth.

    `usd` has the interval of its acceptance. `worth` is against the usual clip (1), None before anybody has seen one.
    """

    model: str
    version: str
    tier: str
    clips: int
    usd: Measured
    worth: Measured | None


def values_of(scores: Iterable[ModelScore], facts: Iterable[ClipFact]) -> list[Value]:
    """The value of every version that has an accepted clip in `facts`, cheapest first."""
    billed: dict[tuple[str, str], tuple[Decimal, int]] = defaultdict(lambda: (Decimal(0), 0))
    for fact in facts:
        for entry in fact.by_model:
            usd, accepted = billed[(entry.model, entry.model_version)]
            billed[(entry.model, entry.model_version)] = (usd + entry.billed_usd, accepted + entry.accepted)
    found: list[Value] = []
    for score in scores:
        usd, accepted = billed[(score.model, score.model_version)]
        if not accepted:
            continue
        price = float(usd) / accepted
        low, high = (max(bound, 0.01) for bound in (score.acceptance_low, score.acceptance_high))
        interval = Measured(
            price, price * min(1.0, score.acceptance / high), price * max(1.0, score.acceptance / low)
        )
        found.append(Value(score.model, score.model_version, score.tier, accepted, interval, worth_of(score)))
    return sorted(found, key=lambda value: (value.usd.value, value.model, value.version))


def worth_of(score: ModelScore) -> Measured | None:
    """What a clip of the model is worth to its audience against the usual clip; None before anybody has seen one."""
    if not score.seen or score.worth_low is None or score.worth_high is None:
        return None
    return Measured(score.worth, score.worth_low, score.worth_high)


def tries_by_kind(model: str, version: str, facts: Iterable[ClipFact]) -> dict[str, Tries]:
    """First tries that are compared, by kind of shot; those after another model had failed are not."""
    found: dict[str, Tries] = defaultdict(Tries)
    for one in _of(model, version, (one for fact in facts for one in fact.first_tries)):
        if not one.rescue:
            found[one.kind or "of no known kind"].add(one)
    return dict(sorted(found.items()))


@dataclass
class Exploration:
    """Clips that a draw gave to a model so that one learns of it: how they ended, and what they were expected to cost
    more than the best value, in US dollars."""

    tries: Tries = field(default_factory=Tries)
    extra_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Given:
    """Why a draw gave a clip to another model than the best value, to which, and for how much more, in US dollars."""

    model: str
    purpose: Purpose
    extra_usd: Decimal


def given_of(decided: Iterable[Decided]) -> dict[str, Given]:
    """The clips that were bought from another model than the best value, by clip id; one draw is for a whole clip."""
    found: dict[str, Given] = {}
    for row in decided:
        decision = Decision.model_validate(row.document)
        draw, model = decision.draw, decision.model
        if row.begun and draw and model and decision.fell_over is None and draw.purpose is not Purpose.VALUE:
            before = found[row.clip_id].extra_usd if row.clip_id in found else Decimal(0)
            found[row.clip_id] = Given(model, draw.purpose, before + draw.extra_usd)
    return found


def explored(
    model: str, version: str, facts: Iterable[ClipFact], given: Mapping[str, Given]
) -> dict[Purpose, Exploration]:
    """What was explored of a version of a model, by why."""
    found: dict[Purpose, Exploration] = defaultdict(Exploration)
    for fact in facts:
        one = given.get(fact.clip_id)
        if one and one.model == model:
            for first in _of(model, version, fact.first_tries):
                found[one.purpose].tries.add(first)
                found[one.purpose].extra_usd += one.extra_usd
    return dict(sorted(found.items()))


def rescues(model: str, version: str, facts: Iterable[ClipFact]) -> Tries:
    """First tries of clips that another model had refused or failed before."""
    found = Tries()
    for one in _of(model, version, (one for fact in facts for one in fact.first_tries if one.rescue)):
        found.add(one)
    return found


def numbers_of(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A transition's evidence as names and numbers in words, without its sentence; at most a few."""
    found: list[tuple[str, str]] = []
    for name, value in evidence.items():
        if isinstance(value, Mapping):
            inside = cast(Mapping[str, Any], value)
            found += [(f"{name.replace('_', ' ')}, {inner}", words) for inner, words in numbers_of(inside)]
        elif name != "reason":
            found.append((name.replace("_", " "), _words(value)))
    return found[:_MOST_NUMBERS]


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(_words(part) for part in cast(Sequence[object], value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _of(model: str, version: str, tries: Iterable[FirstTry]) -> Iterable[FirstTry]:
    return (one for one in tries if (one.model, one.model_version) == (model, version))
