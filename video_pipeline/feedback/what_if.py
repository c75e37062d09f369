"""What past briefs would have cost, and what would have become of them, under another policy or price list (G4.9).

Pure. Every shot of the days is decided again. Where that ends at the model that made it, its own outcome is taken, at
the new prices. Where it ends at another model, that model's record in these days on the same kind of shot is taken,
as an estimate. Where that model has none, nobody can tell, and that is what is said. What was not bought at all, or
is not over yet, is left out.

A clip counts as one; of a clip with several shots each counts as an equal part of it. Clips that were drawn for give
a second estimate (`draws.py`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias, cast

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Storyboard
from video_pipeline.feedback.draws import CONFIDENCE, Z90, Drawn, Draws, Estimate, Weighed, weight_of
from video_pipeline.feedback.facts import ClipFact
from video_pipeline.intervals import beta_interval, beta_variance
from video_pipeline.ledger import OUTSIDE_THE_SHOT, FailureKind, Job, JobKind, JobState
from video_pipeline.orders import RenderOrder
from video_pipeline.policy import Policy
from video_pipeline.routing import (
    Catalogue,
    ClipPlan,
    Decision,
    RoutingState,
    Tally,
    assign,
    list_usd,
)

# Jeffreys' prior, which claims nothing of a model that was hardly tried.
_PRIOR = 0.5
# How many clips the spread of all models' costs counts for, in that of one model's.
_SPREAD_CLIPS = 4.0


# A shot as it stood: clip id, number, hash.
_Shot: TypeAlias = tuple[str, int, str]


@dataclass(frozen=True)
class RecordedDay:
    """What is known of a day: its plans, each shot's decision in force, its jobs, how its clips ended.

    `decisions` are by (clip id, shot, the shot's hash), `facts` by clip id; without facts a clip counts as delivered
    when its shots were accepted. `state` is what was in force when the day was planned.
    """

    day: date
    plans: Sequence[ClipPlan]
    decisions: Mapping[_Shot, Decision]
    jobs: Sequence[Job]
    facts: Mapping[str, ClipFact]
    state: RoutingState


class Recorded(BaseModel):
    """What happened: clips, US dollars paid for their generation, clips delivered, clips refused at first."""

    model_config = ConfigDict(frozen=True)

    clips: float = 0.0
    usd: float = 0.0
    delivered: float = 0.0
    refused: float = 0.0


class Expected(BaseModel):
    """What would have happened to `clips`, of which `told` can be told; the estimates are of those.

    `as_recorded` of the told ones would have gone to the very model that they went to.
    """

    model_config = ConfigDict(frozen=True)

    clips: float
    told: float
    as_recorded: float
    usd: Estimate
    delivered: Estimate
    refused: Estimate


class WhatIfRow(BaseModel):
    """A tier's clips at one model, as they were and as they would have been; `model` is empty where none serves."""

    model_config = ConfigDict(frozen=True)

    tier: str
    model: str
    then: Recorded
    instead: Expected


class Move(BaseModel):
    """How many shots of a tier went to one model, and would have gone to another or to the same."""

    model_config = ConfigDict(frozen=True)

    tier: str
    went_to: str
    would_go_to: str
    shots: int


class Untold(BaseModel):
    """Shots of one kind that would have gone to a version of a model that was never tried on that kind.

    `list_usd` is what one attempt at each of them costs by the price list.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    model_version: str
    kind: str
    shots: int
    clips: float
    list_usd: float


class WhatIf(BaseModel):
    """The answer. `then` is what happened to all clips, `then_told` to those whose other course can be told.

    `not_bought` counts shots that no model was tried for, `not_over` those of which an attempt is under way.
    `drawn` is a second estimate, from the clips that a logged draw gave away; None with too few of them. `unpriced`
    maps models that the price list lacks to their attempts, which keep what they were billed.
    """

    model_config = ConfigDict(frozen=True)

    days: int
    shots: int
    then: Recorded
    then_told: Recorded
    instead: Expected
    rows: tuple[WhatIfRow, ...]
    moves: tuple[Move, ...]
    untold: tuple[Untold, ...]
    drawn: Drawn | None
    not_bought: int
    not_over: int
    unpriced: dict[str, int]
    without_plans: tuple[date, ...]
    without_facts: tuple[date, ...]


# What of a policy a replay obeys; the rest steers what comes before the choice of a model, or after it. Of scoring it
# is what is believed of a model that no night has learned of.
_REPLAYED = (
    "routing.",
    "exploration.",
    "breaker.dearest_fall_over",
    "scoring.prior_strength",
    "scoring.worth_prior_sd",
)
_NOT_REPLAYED = tuple(
    f"routing.levers.{lever}" for lever in ("draft_seconds", "reuse_previews", "price_of_the_hour", "off_peak_wait_h")
)


def not_replayed(before: Policy, after: Policy) -> tuple[str, ...]:
    """The keys in which two policies differ and that a replay takes no notice of."""
    old, new = _flat(before.model_dump()), _flat(after.model_dump())
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return tuple(key for key in keys if not key.startswith(_REPLAYED) or key in _NOT_REPLAYED)


def replay(
    days: Iterable[RecordedDay], catalogue: Catalogue, policy: Policy, *, prices: Catalogue | None = None
) -> WhatIf:
    """Decide `days`, which are read one at a time, again under `policy` with the models of `catalogue`.

    With `prices` every billed attempt costs what that list says, else what was billed.
    """
    counts = _Counts(catalogue=prices or catalogue, policy=policy, prices=prices)
    for day in days:
        counts.add(day)
    return counts.answer()


# A model's version on a kind of shot: what is known of one such says nothing of another.
_Course: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class _Made:
    """What became of a shot at the model that it was given to; money in US dollars.

    `billed_usd` is what was paid. The others are at the prices asked for: `own_usd` goes to that model, `other_usd`
    to whoever came after it, and `attempt_usd` is one attempt's price.
    """

    model: str
    version: str
    order: RenderOrder
    cached: bool
    refused: bool
    delivered: bool
    billed_usd: float
    attempt_usd: float
    own_usd: float
    other_usd: float


@dataclass
class _Sum:
    """A running sum of numbers, with what their spread needs."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def half(self) -> float:
        """Half of the usual step that a sum of such numbers takes: the sum is no smooth quantity."""
        return self.squares / self.total / 2 if self.total else 0.0

    def plus(self, other: "_Sum") -> "_Sum":
        return _Sum(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def deviation(self) -> float:
        """The sum of squared distances from the mean."""
        return max(0.0, self.squares - self.total * self.mean) if self.count else 0.0


@dataclass
class _Rates:
    """A course's record: of `tried` shots, how many were refused and delivered, and what they cost.

    `attempts` sums what a shot cost at the model itself, as a multiple of one attempt's price; `others` what it cost
    elsewhere, in US dollars.
    """

    tried: int = 0
    refused: int = 0
    delivered: int = 0
    attempts: _Sum = field(default_factory=_Sum)
    others: _Sum = field(default_factory=_Sum)

    def add(self, made: _Made) -> None:
        self.tried += 1
        self.refused += made.refused
        self.delivered += made.delivered
        self.attempts.add(made.own_usd / made.attempt_usd if made.attempt_usd else 1.0)
        self.others.add(made.other_usd)


@dataclass
class _Tally:
    """Clips of one cell, at what was paid for them unless another sum is given."""

    clips: float = 0.0
    usd: float = 0.0
    delivered: float = 0.0
    refused: float = 0.0

    def add(self, made: _Made, part: float, *, usd: float | None = None) -> None:
        self.clips += part
        self.usd += made.billed_usd if usd is None else usd
        self.delivered += part * made.delivered
        self.refused += part * made.refused

    def plus(self, other: "_Tally") -> "_Tally":
        return _Tally(
            self.clips + other.clips,
            self.usd + other.usd,
            self.delivered + other.delivered,
            self.refused + other.refused,
        )

    def recorded(self) -> Recorded:
        return Recorded(clips=self.clips, usd=self.usd, delivered=self.delivered, refused=self.refused)


@dataclass
class _Asked:
    """Shots that would have taken a course that they did not take: their parts of clips, and an attempt's prices.

    `then` is what happened to them.
    """

    parts: _Sum = field(default_factory=_Sum)
    usd: _Sum = field(default_factory=_Sum)
    then: _Tally = field(default_factory=_Tally)


@dataclass(frozen=True)
class _Guess:
    """The mean and the variance of what an estimated part comes to."""

    mean: float = 0.0
    variance: float = 0.0

    def plus(self, other: "_Guess") -> "_Guess":
        return _Guess(self.mean + other.mean, self.variance + other.variance)


@dataclass
class _Counts:
    """Counts that do not grow with the days: per tier, model, version and kind.

    `kept` are the clips that would go where they went, as they were, and `same` the same ones at the new prices.
    """

    catalogue: Catalogue
    policy: Policy
    prices: Catalogue | None
    days: int = 0
    then: dict[tuple[str, str], _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    kept: _Tally = field(default_factory=_Tally)
    same: dict[tuple[str, str], _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    nobody: dict[str, _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    asked: dict[tuple[str, _Course], _Asked] = field(default_factory=lambda: defaultdict(_Asked))
    rates: dict[_Course, _Rates] = field(default_factory=lambda: defaultdict(_Rates))
    moves: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    unpriced: Counter[str] = field(default_factory=Counter[str])
    draws: Draws = field(default_factory=Draws)
    not_bought: int = 0
    not_over: int = 0
    without_plans: list[date] = field(default_factory=list[date])
    without_facts: list[date] = field(default_factory=list[date])

    def add(self, day: RecordedDay) -> None:
        if not day.plans:
            self.without_plans.append(day.day)
            return
        self.days += 1
        if not day.facts:
            self.without_facts.append(day.day)
        jobs: dict[_Shot, list[Job]] = defaultdict(list)
        for job in day.jobs:
            jobs[(job.clip_id, job.shot, job.shot_sha256)].append(job)
        before = {plan.clip_id: self._before(plan, day.decisions) for plan in day.plans}
        # What an approved preview served was not given to anybody.
        reused = {clip_id for clip_id, decisions in before.items() if all(one.reuse for one in decisions)}
        given = [plan for plan in day.plans if plan.clip_id not in reused]
        self.not_bought += sum(len(before[clip_id]) for clip_id in reused)

        def state_of(board: Storyboard) -> RoutingState:
            return self._state(day.state, before[board.clip_id]).on(board.day)

        again = assign(
            [plan.storyboard for plan in given],
            self.catalogue,
            self.policy.routing,
            state_of,
            self.policy.exploration,
            Tally(),
            {},
        )
        for plan in given:
            self._clip(plan, before[plan.clip_id], again[plan.clip_id], jobs, day.facts.get(plan.clip_id))

    @staticmethod
    def _before(plan: ClipPlan, decided: Mapping[_Shot, Decision]) -> list[Decision]:
        """The decisions that were in force on a clip's shots."""
        keys = ((plan.clip_id, shot.index, plan.storyboard.shot_sha256(shot)) for shot in plan.storyboard.shots)
        return [decided.get(key, planned) for key, planned in zip(keys, plan.decisions, strict=True)]

    def _clip(
        self,
        plan: ClipPlan,
        before: Sequence[Decision],
        again: Sequence[Decision],
        jobs: Mapping[_Shot, Sequence[Job]],
        fact: ClipFact | None,
    ) -> None:
        shots, part = plan.storyboard.shots, 1 / len(plan.storyboard.shots)
        weighed: list[Weighed] = []
        for shot, decision, new in zip(shots, before, again, strict=True):
            made = self._made(jobs.get((plan.clip_id, shot.index, plan.storyboard.shot_sha256(shot)), ()), fact)
            if made is None:
                continue
            self._note(made, decision, new, kind=shot.kind.value, part=part)
            weight = weight_of(decision, new, made.model, made.version)
            if weight is not None:
                usd = made.own_usd + made.other_usd
                weighed.append(Weighed(weight * part, usd / part, float(made.delivered), float(made.refused)))
        if weighed:
            self.draws.add(weighed)

    def answer(self) -> WhatIf:
        told = {key: asked for key, asked in self.asked.items() if key[1] in self.rates}
        untold = {key: asked for key, asked in self.asked.items() if key[1] not in self.rates}
        named = {*self.then, *self.same, *((tier, course[0]) for tier, course in self.asked)}
        rows = [
            WhatIfRow(
                tier=tier,
                model=model,
                then=self.then[(tier, model)].recorded() if (tier, model) in self.then else Recorded(),
                instead=self._expected(
                    [self.same[(tier, model)]] if (tier, model) in self.same else [],
                    {key: one for key, one in told.items() if (key[0], key[1][0]) == (tier, model)},
                    {key: one for key, one in untold.items() if (key[0], key[1][0]) == (tier, model)},
                ),
            )
            for tier, model in sorted(named)
        ]
        rows += [
            WhatIfRow(tier=tier, model="", then=Recorded(), instead=self._expected([], {}, {}, unserved=tally.clips))
            for tier, tally in sorted(self.nobody.items())
        ]
        unserved = _all(self.nobody.values())
        then_told = _all([self.kept, *(asked.then for asked in told.values()), unserved])
        return WhatIf(
            days=self.days,
            shots=sum(self.moves.values()),
            then=_all(self.then.values()).recorded(),
            then_told=then_told.recorded(),
            instead=self._expected(list(self.same.values()), told, untold, unserved=unserved.clips),
            rows=tuple(rows),
            moves=tuple(
                Move(tier=tier, went_to=old, would_go_to=new, shots=shots)
                for (tier, old, new), shots in sorted(self.moves.items())
            ),
            untold=_untold(untold),
            drawn=self.draws.estimate(),
            not_bought=self.not_bought,
            not_over=self.not_over,
            unpriced=dict(sorted(self.unpriced.items())),
            without_plans=tuple(self.without_plans),
            without_facts=tuple(self.without_facts),
        )

    def _made(self, jobs: Sequence[Job], fact: ClipFact | None) -> _Made | None:
        """What became of a shot; None of one that no model has said anything of."""
        tried = [job for job in jobs if job.kind is JobKind.VIDEO and (job.submitted_at or job.cached_from)]
        if any(not job.state.final or job.state is JobState.UNKNOWN for job in tried):
            self.not_over += 1
            return None
        answers = [job for job in tried if job.failure_kind not in OUTSIDE_THE_SHOT]
        if not answers:
            self.not_bought += 1
            return None
        first = min(answers, key=lambda job: job.attempt)
        own = [job for job in jobs if (job.kind, job.model) == (JobKind.VIDEO, first.model)]
        accepted = any(job.state is JobState.ACCEPTED for job in tried)
        return _Made(
            model=first.model,
            version=first.model_version,
            order=first.order,
            cached=first.cached_from is not None,
            refused=first.failure_kind is FailureKind.MODERATION,
            delivered=fact.usable if fact else accepted,
            billed_usd=float(sum((job.billed_usd for job in jobs), Decimal(0))),
            attempt_usd=float(self._attempt_usd(first) or first.expected_usd),
            own_usd=float(sum((self._paid_usd(job) for job in own), Decimal(0))),
            other_usd=float(sum((self._paid_usd(job) for job in jobs if job not in own), Decimal(0))),
        )

    def _paid_usd(self, job: Job) -> Decimal:
        """What the job was billed, at the prices asked for; what was billed for nothing stays so."""
        if not job.billed_usd or self.prices is None:
            return job.billed_usd
        usd = self._attempt_usd(job)
        if usd is None:
            self.unpriced[job.model] += 1
            return job.billed_usd
        return usd

    def _attempt_usd(self, job: Job) -> Decimal | None:
        if self.prices is None:
            return job.expected_usd
        if job.kind is JobKind.IMAGE:
            anchor = self.prices.anchor
            return anchor.usd_per_image if anchor and anchor.model == job.model else None
        return list_usd(self.prices, job.model, job.order)

    def _state(self, state: RoutingState, decisions: Sequence[Decision]) -> RoutingState:
        """What was in force for this clip. Who could not serve it then could not now; a freeze only delays it."""
        return replace(
            state,
            frozen=frozenset(),
            probed=frozenset(),
            unavailable={one.fell_over.model: one.fell_over.why for one in decisions if one.fell_over},
            dearest=float(self.policy.breaker.dearest_fall_over),
        )

    def _note(self, made: _Made, decision: Decision, again: Decision, *, kind: str, part: float) -> None:
        tier, model = again.tier.value, again.model or ""
        self.then[(decision.tier.value, made.model)].add(made, part)
        self.moves[(tier, made.model, model)] += 1
        if not made.cached:
            self.rates[(made.model, made.version, kind)].add(made)
        if not model:
            self.nobody[tier].add(made, part)
        elif (model, again.model_version, again.audio) == (made.model, made.version, made.order.audio):
            # In another size or length it is the same choice all the same, at that one's price.
            self.kept.add(made, part)
            usd = made.own_usd * self._resized(made, again) + made.other_usd
            self.same[(tier, model)].add(made, part, usd=usd)
        else:
            asked = self.asked[(tier, (model, again.model_version or "", kind))]
            asked.parts.add(part)
            asked.usd.add(float(again.attempt_usd))
            asked.then.add(made, part)

    def _resized(self, made: _Made, again: Decision) -> float:
        """How many times as much an attempt costs in the size and length that would be bought now."""
        order = made.order
        if (order.resolution, order.duration_s) == (again.resolution, again.requested_s):
            return 1.0
        before = list_usd(self.catalogue, made.model, order)
        return float(again.attempt_usd / before) if before else 1.0

    def _expected(
        self,
        same: Sequence[_Tally],
        told: Mapping[tuple[str, _Course], _Asked],
        untold: Mapping[tuple[str, _Course], _Asked],
        *,
        unserved: float = 0.0,
    ) -> Expected:
        """`same` is known, `told` is estimated from the courses' records; what nobody serves costs nothing."""
        known = _all(same)
        usd, delivered, refused = _Guess(), _Guess(), _Guess()
        for course, cells in _by_course(told).items():
            rates, asked = self.rates[course], _together(cells)
            usd = usd.plus(self._cost(rates, asked))
            delivered = delivered.plus(_share(rates.delivered, rates.tried, asked))
            refused = refused.plus(_share(rates.refused, rates.tried, asked))
        estimated = _together(told.values())
        spread = Z90 * math.sqrt(usd.variance) + estimated.usd.half
        at_all = known.clips + estimated.parts.total + unserved
        return Expected(
            clips=at_all + _together(untold.values()).parts.total,
            told=at_all,
            as_recorded=known.clips,
            usd=Estimate(
                value=known.usd + usd.mean,
                low=known.usd + max(0.0, usd.mean - spread),
                high=known.usd + usd.mean + spread,
            ),
            delivered=_counted(known.delivered, delivered, estimated.parts),
            refused=_counted(known.refused, refused, estimated.parts),
        )

    def _cost(self, rates: _Rates, asked: _Asked) -> _Guess:
        """What the shots would cost: attempts at the model by its price, and what its failures cost elsewhere."""
        attempts = self._spread([other.attempts for other in self.rates.values()], rates.attempts)
        others = self._spread([other.others for other in self.rates.values()], rates.others)
        usd, shots = asked.usd, asked.usd.count
        return _Guess(
            usd.total * rates.attempts.mean + shots * rates.others.mean,
            attempts * (usd.squares + usd.total**2 / rates.tried) + others * (shots + shots**2 / rates.tried),
        )

    @staticmethod
    def _spread(all_sums: Sequence[_Sum], own: _Sum) -> float:
        """The variance of one shot's number; of a model that was hardly tried mostly that of all models."""
        freedom = sum(one.count - 1 for one in all_sums)
        usual = sum(one.deviation for one in all_sums) / freedom if freedom else own.mean**2
        return (own.deviation + _SPREAD_CLIPS * usual) / (own.count - 1 + _SPREAD_CLIPS)


def _flat(document: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(cast(Mapping[str, Any], value), f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _share(happened: int, tried: int, asked: _Asked) -> _Guess:
    """How many of the clips it would happen to. The rate is believed as far as it was tried; chance comes on top."""
    one, other = happened + _PRIOR, tried - happened + _PRIOR
    rate = one / (one + other)
    doubt = beta_variance(one, other)
    clips = asked.parts.total
    return _Guess(clips * rate, clips**2 * doubt + asked.parts.squares * (rate * (1 - rate) - doubt))


def _counted(known: float, guess: _Guess, parts: _Sum) -> Estimate:
    """Known clips and guessed ones among `parts`: a Beta distribution with the guess's moments."""
    among = parts.total
    if not among:
        return Estimate(value=known, low=known, high=known)
    mean, variance = guess.mean / among, guess.variance / among**2
    # Of a single clip nothing is sure but that it is one or none.
    strength = max(mean * (1 - mean) / variance - 1, 0.1)
    low, high = beta_interval(mean * strength, (1 - mean) * strength, confidence=CONFIDENCE)
    half = parts.half
    return Estimate(
        value=known + guess.mean,
        low=known + max(0.0, among * low - half),
        high=known + min(among, among * high + half),
    )


def _by_course(asked: Mapping[tuple[str, _Course], _Asked]) -> dict[_Course, list[_Asked]]:
    """What several tiers ask of a course hangs on the same record."""
    found: dict[_Course, list[_Asked]] = defaultdict(list)
    for (_, course), one in asked.items():
        found[course].append(one)
    return found


def _together(cells: Iterable[_Asked]) -> _Asked:
    total = _Asked()
    for one in cells:
        total = _Asked(total.parts.plus(one.parts), total.usd.plus(one.usd), total.then.plus(one.then))
    return total


def _untold(asked: Mapping[tuple[str, _Course], _Asked]) -> tuple[Untold, ...]:
    sums = {course: _together(cells) for course, cells in _by_course(asked).items()}
    rows = [
        Untold(
            model=model,
            model_version=version,
            kind=kind,
            shots=one.parts.count,
            clips=one.parts.total,
            list_usd=one.usd.total,
        )
        for (model, version, kind), one in sums.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.shots, row.model, row.model_version, row.kind)))


def _all(tallies: Iterable[_Tally]) -> _Tally:
    total = _Tally()
    for tally in tallies:
        total = total.plus(tally)
    return total
