"""What the nights have learned, as a pure function of the record: estimates, standings, beliefs (G1.4, G4.5).

A fold over the nights. Each night sees the facts of its day and the snapshots that were read in it, so that judging
days in another order, twice or after a gap ends in the same state.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from video_pipeline.feedback.changes import Rise, find_rise
from video_pipeline.feedback.facts import ClipFact, FirstTry
from video_pipeline.feedback.operational import Counts, Record, belief_of, prior_of, total_of, version_before
from video_pipeline.feedback.probation import Fall
from video_pipeline.feedback.promotion import Rivalry, compare
from video_pipeline.feedback.worth import Worth, come_of_age, judged, mature_ages
from video_pipeline.ledger import StandingStatus
from video_pipeline.policy import ScoringPolicy
from video_pipeline.publishing import Engagement
from video_pipeline.routing import Belief, Catalogue, Tier

_ACTIVE, _PROMOTED, _DEMOTED = StandingStatus.ACTIVE, StandingStatus.PROMOTED, StandingStatus.DEMOTED
_Key = tuple[str, str]
# A model that the catalogue has lost: what is expected of it.
_UNKNOWN_ACCEPTANCE = 0.8
_KEPT_NIGHTS = 60


@dataclass(frozen=True)
class Earlier:
    """A standing that the record of the nights does not explain: of before them, or of an older release."""

    model: str
    status: StandingStatus
    day: date
    promotion: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Standing:
    """Where a model stands after the night, since when and why; `evidence` holds the numbers."""

    model: str
    version: str
    tier: str
    status: StandingStatus
    since: date
    reason: str
    evidence: Mapping[str, Any]
    tried: int
    refused: float


@dataclass(frozen=True)
class Estimate:
    """What is believed of a version of a model, and what is left of its first tries; `tier` is its own."""

    tier: str
    belief: Belief
    left: Counts


@dataclass(frozen=True)
class Learned:
    """What is known after the night of `day`. `standings` and `beliefs` are by model.

    `candidates` are models that may be tried in the tier above their own. `estimates` are by (model, version).
    `rests` maps demoted models to the day after which they rest from probation as after their fall.
    `mixed` clips are of several models, so that nobody can tell whose worth they show.
    """

    day: date
    standings: Mapping[str, Standing] = field(default_factory=dict[str, Standing])
    beliefs: Mapping[str, Belief] = field(default_factory=dict[str, Belief])
    candidates: tuple[str, ...] = ()
    estimates: Mapping[_Key, Estimate] = field(default_factory=dict[_Key, Estimate])
    rests: Mapping[str, date] = field(default_factory=dict[str, date])
    mixed: int = 0


@dataclass
class _Place:
    """The standing of one version, as the nights have left it."""

    status: StandingStatus
    since: int
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict[str, Any])
    fall: Fall | None = None
    # Nights in a row that spoke for a promotion, or against the one in force.
    nights: int = 0


class Nights:
    """The fold. `night` takes the nights in the order of their days; `learned` tells what is known after the last."""

    def __init__(self, policy: ScoringPolicy) -> None:
        self._policy = policy
        self._records: dict[_Key, Record] = {}
        self._places: dict[_Key, _Place] = {}
        self._tallies: dict[int, dict[_Key, Counts]] = {}
        self._worth = Worth(policy.worth_parts, policy.worth_prior_sd, policy.worth_half_life_days)
        self._facts: dict[str, ClipFact] = {}
        self._of_age: set[str] = set()

    def night(
        self,
        day: date,
        facts: Sequence[ClipFact],
        snapshots: Sequence[Engagement],
        catalogue: Catalogue,
        earlier: Sequence[Earlier] = (),
    ) -> None:
        """Learn from the night of `day`: the facts of its clips, and the snapshots that were read in it.

        `earlier` are standings of this day that the record does not explain.
        """
        night = day.toordinal()
        for standing in earlier:
            self._take_over(night, standing, catalogue)
        tonight = self._count(night, facts, catalogue)
        self._watch(night, facts, snapshots)
        moved: set[str] = set()
        self._return_or_relapse(night, tonight, moved)
        self._demote(night, catalogue, moved)
        self._promote(night, catalogue, moved)

    def learned(
        self, day: date, catalogue: Catalogue, by_hand: Mapping[str, StandingStatus] | None = None
    ) -> Learned:
        """What is known after the nights; `by_hand` maps models to the standing that a person holds them in."""
        keys = list(self._records)
        found = dict(zip(keys, self._beliefs(keys, catalogue), strict=True))
        standings: dict[str, Standing] = {}
        beliefs: dict[str, Belief] = {}
        for key in self._in_force(catalogue):
            record, place = self._records[key], self._places[key]
            beliefs[record.model] = found[key]
            status, reason = place.status, place.reason
            held = (by_hand or {}).get(record.model)
            if held is not None and held is not status:
                status, reason = held, f"{held} by a person"
            standings[record.model] = Standing(
                model=record.model,
                version=record.version,
                tier=record.tier,
                status=status,
                since=date.fromordinal(place.since),
                reason=reason or _usual(record),
                evidence=place.evidence,
                tried=record.clips,
                refused=record.left.refusal_rate,
            )
        return Learned(
            day=day,
            standings=standings,
            beliefs={name: belief for name, belief in beliefs.items() if catalogue.find(name) is not None},
            candidates=self._candidates(catalogue, beliefs),
            rests=self._rests(catalogue),
            estimates={
                key: Estimate(self._records[key].tier, belief, self._records[key].left.times(1.0))
                for key, belief in found.items()
            },
            mixed=self._worth.mixed,
        )

    def _in_force(self, catalogue: Catalogue) -> list[_Key]:
        """Of each model the catalogue's version, else the one that was tried last."""
        newest: dict[str, _Key] = {}
        for key, record in sorted(self._records.items(), key=lambda item: (item[1].first, item[0])):
            model = catalogue.find(record.model)
            if model is None or model.version == record.version:
                newest[record.model] = key
        return sorted(newest.values())

    def _count(self, night: int, facts: Sequence[ClipFact], catalogue: Catalogue) -> dict[_Key, Counts]:
        tries: dict[_Key, list[FirstTry]] = defaultdict(list)
        tiers: dict[str, str] = {}
        for fact in facts:
            for entry in fact.by_model:
                tiers.setdefault(entry.model, entry.own_tier or entry.tier)
            for one in fact.first_tries:
                tries[(one.model, one.model_version)].append(one)
                tiers.setdefault(one.model, fact.tier)
        own_tiers = catalogue.tiers
        for key in tries:
            if key not in self._records:
                tier = own_tiers.get(key[0], tiers[key[0]])
                self._records[key] = Record(*key, tier=tier, first=night, at=night)
                self._places[key] = _Place(_ACTIVE, night)
        tonight: dict[_Key, Counts] = {}
        for key, record in self._records.items():
            record.tier = own_tiers.get(record.model, record.tier)
            record.fade(night, self._policy.half_life_days)
            tonight[key] = record.add(night, tries.get(key, ()))
        self._tallies[night] = {
            key: counts
            for key, counts in tonight.items()
            if counts.tried and self._places[key].status is not _DEMOTED
        }
        self._tallies.pop(night - _KEPT_NIGHTS, None)
        return tonight

    def _watch(self, night: int, facts: Sequence[ClipFact], snapshots: Sequence[Engagement]) -> None:
        self._facts |= {fact.clip_id: fact for fact in facts}
        of_age = come_of_age(snapshots, self._facts, mature_ages(self._policy), self._of_age)
        self._worth.add(night, [*of_age, *judged(facts)])

    def _return_or_relapse(self, night: int, tonight: Mapping[_Key, Counts], moved: set[str]) -> None:
        for key, place in self._places.items():
            fall = place.fall
            if fall is None or fall.night == night:
                continue
            if place.status is _DEMOTED:
                fall.hear(night, tonight[key], self._policy)
                if fall.returns(night, self._policy):
                    self._bring_back(night, key, fall)
            elif fall.back is not None:
                fall.hear(night, tonight[key], self._policy)
                if fall.relapsed(self._policy):
                    self._fall(night, key, fall.rise, "was not mended after all: ")
                    moved.add(self._records[key].tier)
                elif fall.forgotten(night, self._policy):
                    place.fall = None

    def _bring_back(self, night: int, key: _Key, fall: Fall) -> None:
        place, record = self._places[key], self._records[key]
        fall.back = night
        # What made it fall is not held against it twice; what it may do again is, by as much as it may not be mended.
        rate = fall.mended * fall.rise.usual + (1 - fall.mended) * fall.rise.rate
        before = fall.rise.before
        tried = min(max(before.tried, 4.0), self._policy.prior_strength)
        lost = before.lost / before.tried if before.tried else fall.rise.usual
        refused = before.refusal_rate
        share = max(lost, rate) if not fall.rise.refused else min(1.0, lost + max(0.0, rate - refused))
        record.left = Counts(tried, tried * refused, tried * share)
        record.usual = record.left.times(1.0)
        surely = fall.surely_mended(self._policy)
        # What never was good comes back as what is new does: with a few clips a day, until it is known.
        if not surely or fall.rise.new:
            record.clips = 0
        how = "mended" if surely else f"on trial after {night - fall.night} nights"
        place.status, place.since, place.nights = _ACTIVE, night, 0
        place.reason = f"{how}: {fall.mended:.0%} sure that it is as it was before it fell"
        place.evidence = {"mended": round(fall.mended, 4), "fell": date.fromordinal(fall.night).isoformat()}

    def _demote(self, night: int, catalogue: Catalogue, moved: set[str]) -> None:
        found: list[tuple[float, _Key, Rise]] = []
        for key, record in self._records.items():
            place = self._places[key]
            if place.status is _DEMOTED or not record.nights or record.nights[-1].night != night:
                continue
            after = place.fall.back if place.fall and place.fall.back is not None else -1
            others = self._others(record)
            model = catalogue.find(record.model)
            prior = prior_of(_accepted(model), others, self._policy.prior_strength)
            refusals = (self._policy.prior_strength * (1 - _accepted(model)) / 2 + others.refused) / (
                self._policy.prior_strength + others.tried
            )
            for refused, usual in ((True, refusals), (False, 1 - prior)):
                rise = find_rise(key, record, self._tallies, usual, self._policy, refused=refused, after=after)
                if rise is not None:
                    found.append((rise.over, key, rise))
        for _, key, rise in sorted(found, key=lambda item: (-item[0], item[1])):
            # One move a tier and night, so that no night can empty a tier.
            if self._records[key].tier not in moved and self._places[key].status is not _DEMOTED:
                moved.add(self._records[key].tier)
                self._fall(night, key, rise, "")

    def _fall(self, night: int, key: _Key, rise: Rise, why: str) -> None:
        place, record = self._places[key], self._records[key]
        # What never was good does not mend like what was.
        relapses = place.fall.relapses + 1 if place.fall else int(rise.new)
        place.fall = Fall(rise, night, relapses)
        place.status, place.since, place.nights = _DEMOTED, night, 0
        what = "refused" if rise.refused else "not accepted"
        since = date.fromordinal(rise.since)
        place.reason = (
            f"{why}{what} {rise.bad:g} of {rise.tried:g} first tries since {since:%d %B} "
            f"({rise.bad / rise.tried:.0%}), where {rise.usual:.0%} is usual"
        )
        place.evidence = {
            "what": what,
            "since": since.isoformat(),
            "bad": rise.bad,
            "tried": rise.tried,
            "usual": round(rise.usual, 4),
            "over_threshold": round(rise.over, 3),
            "relapses": relapses,
        }
        share = rise.rate if not rise.refused else max(rise.rate, record.left.lost / max(record.left.tried, 1e-9))
        record.left = Counts(rise.tried, rise.tried * (rise.rate if rise.refused else 0.0), rise.tried * share)

    def _promote(self, night: int, catalogue: Catalogue, moved: set[str]) -> None:
        policy = self._policy
        for key in self._in_force(catalogue):
            place, record = self._places[key], self._records[key]
            above = Tier(record.tier).above
            model = catalogue.find(record.model)
            if place.status is _PROMOTED and (
                model is None
                or (model.version, model.tier.value) != (record.version, place.evidence["promotion"]["tier"])
            ):
                place.status, place.since, place.reason, place.evidence = _ACTIVE, night, "no longer of its tier", {}
            if place.status is _DEMOTED or above is None or model is None:
                continue
            rivalry = self._rivalry(key, above, catalogue)
            if rivalry is None:
                place.nights = 0
                continue
            promoted = place.status is _PROMOTED
            speaks = rivalry.is_worse(policy) if promoted else rivalry.is_as_good(policy)
            place.nights = place.nights + 1 if speaks else 0
            if place.nights < policy.promote_nights or above.value in moved:
                continue
            moved.add(above.value)
            place.since, place.nights = night, 0
            if promoted:
                place.status, place.evidence = _ACTIVE, {"numbers": rivalry.numbers}
                place.reason = f"no longer as good as {above}: {rivalry.numbers}"
            else:
                place.status = _PROMOTED
                place.reason = f"as good as {above}: {rivalry.numbers}"
                place.evidence = {
                    "promotion": {
                        "tier": record.tier,
                        "serves": above.value,
                        "version": record.version,
                        "numbers": rivalry.numbers,
                    }
                }

    def _rivalry(self, key: _Key, above: Tier, catalogue: Catalogue) -> Rivalry | None:
        """The model against the best that the tier above has of its own; None while too little was seen there."""
        least, seen = self._policy.promote_clips, self._worth.seen
        if seen[(*key, above.value)] < least:
            return None
        rivals = [
            rival
            for rival in self._in_force(catalogue)
            if self._records[rival].tier == above.value
            and self._places[rival].status is not _DEMOTED
            and seen[(*rival, above.value)] >= least
        ]
        if not rivals:
            return None
        keys = [key, *rivals]
        means, covariances = self._worth.estimate([(*one, above.value) for one in keys])
        return compare(keys, self._beliefs(keys, catalogue), means, covariances, self._policy)

    def _candidates(self, catalogue: Catalogue, beliefs: Mapping[str, Belief]) -> tuple[str, ...]:
        """Of each tier the model that is likeliest to be as good as the tier above, once it is known in its own."""
        best: dict[str, tuple[float, str]] = {}
        for key in self._in_force(catalogue):
            record, model = self._records[key], catalogue.find(key[0])
            known = record.clips >= self._policy.promote_clips and self._places[key].status is _ACTIVE
            if model is None or not known or model.tier.above is None:
                continue
            belief = beliefs[record.model]
            hope = (belief.acceptance * belief.worth, record.model)
            best[record.tier] = max(best.get(record.tier, hope), hope)
        return tuple(sorted(name for _, name in best.values()))

    def _rests(self, catalogue: Catalogue) -> dict[str, date]:
        rests: dict[str, date] = {}
        for key in self._in_force(catalogue):
            place = self._places[key]
            since = place.fall.rests_since() if place.fall and place.status is _DEMOTED else None
            if since is not None:
                rests[key[0]] = date.fromordinal(since)
        return rests

    def _beliefs(self, keys: Sequence[_Key], catalogue: Catalogue) -> list[Belief]:
        tiers = [self._best_known_tier(key) for key in keys]
        effects = [(*key, tier) for key, tier in zip(keys, tiers, strict=True)]
        means, covariances = self._worth.estimate(effects)
        beliefs: list[Belief] = []
        for index, key in enumerate(keys):
            record = self._records[key]
            others = self._others(record)
            prior = prior_of(_accepted(catalogue.find(record.model)), others, self._policy.prior_strength)
            sd = math.sqrt(covariances[index][index])
            worth = math.exp(means[index])
            beliefs.append(
                belief_of(
                    record,
                    prior,
                    version_before(record, self._records),
                    self._policy.prior_strength,
                    worth=(worth, worth * sd),
                    seen=self._worth.seen[effects[index]],
                )
            )
        return beliefs

    def _others(self, record: Record) -> Counts:
        """What is left of the first tries at the other models of its tier."""
        return total_of(
            other for other in self._records.values() if other.model != record.model and other.tier == record.tier
        )

    def _best_known_tier(self, key: _Key) -> str:
        """The model's own tier, or where its clips are seen, if that is another's."""
        own = self._records[key].tier
        tiers = [own, *(tier.value for tier in Tier if tier.value != own)]
        return max(tiers, key=lambda tier: self._worth.seen[(*key, tier)])

    def _take_over(self, night: int, standing: Earlier, catalogue: Catalogue) -> None:
        model = catalogue.find(standing.model)
        if model is None:
            return
        key = (model.model, model.version)
        if key not in self._records:
            self._records[key] = Record(*key, tier=model.tier.value, first=night, at=night)
        place = self._places[key] = _Place(standing.status, standing.day.toordinal())
        place.reason = f"{standing.status} since {standing.day:%d %B %Y}"
        usual = 1 - model.acceptance_prior
        if standing.status is _DEMOTED:
            raised = max(self._policy.demote_rate, usual + self._policy.demote_step)
            rise = Rise(True, place.since, 0, 0, max(usual, self._policy.usual_floor), raised, 0, False, Counts())
            place.fall = Fall(rise, place.since)
        elif standing.status is _PROMOTED:
            place.evidence = {"promotion": dict(standing.promotion)}


def learn(
    day: date,
    facts: Sequence[ClipFact],
    engagement: Sequence[Engagement],
    catalogue: Catalogue,
    policy: ScoringPolicy,
    by_hand: Mapping[str, StandingStatus] | None = None,
    earlier: Sequence[Earlier] = (),
) -> Learned:
    """Fold over the nights up to `day`; each knew the facts of its days and the snapshots read by then.

    `by_hand` maps models to the standing that a person has set, which holds. `earlier` are standings that the record
    does not explain.
    """
    by_day: dict[date, list[ClipFact]] = defaultdict(list)
    for fact in facts:
        by_day[fact.day].append(fact)
    read: dict[date, list[Engagement]] = defaultdict(list)
    for row in engagement:
        read[row.day].append(row)
    taken: dict[date, list[Earlier]] = defaultdict(list)
    nights = sorted(night for night in by_day.keys() | read.keys() | {day} if night <= day)
    for standing in earlier:
        if standing.day <= day:
            taken[max(standing.day, nights[0])].append(standing)
    fold = Nights(policy)
    for night in sorted({*nights, *taken}):
        fold.night(
            night,
            sorted(by_day[night], key=lambda fact: fact.clip_id),
            sorted(read[night], key=lambda row: (row.clip_id, row.platform)),
            catalogue,
            taken[night],
        )
    return fold.learned(day, catalogue, by_hand)


def _accepted(model: Any) -> float:
    return model.acceptance_prior if model is not None else _UNKNOWN_ACCEPTANCE


def _usual(record: Record) -> str:
    lately = f"lately {record.left.refusal_rate:.0%} refused"
    return f"{record.clips} first tries; {lately}" if record.clips else "not tried lately"
