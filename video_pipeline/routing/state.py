"""What is in force when a shot is routed: freezes, demotions, promotions, pins, beliefs and who cannot serve now."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from video_pipeline.routing.beliefs import Belief
from video_pipeline.routing.catalogue import Model
from video_pipeline.routing.value import Estimate, Prior, estimate

_UNSURE = Prior(clips=8, worth_sd=0.15)


@dataclass(frozen=True)
class Promotion:
    """Which version of a model may serve the tier above its own too, and for which kinds of shot (G1.4).

    There it makes clips of the upper tier. A freeze of that tier stops it; a freeze of its own tier does not.
    """

    tier: str
    version: str
    kinds: frozenset[str]
    reason: str


@dataclass(frozen=True)
class Pin:
    """A person's word that a model serves a tier, up to and with the production day `until`."""

    model: str
    until: date | None = None


@dataclass(frozen=True)
class RoutingState:
    """What is in force: frozen tiers, demoted and promoted models, beliefs, style affinity; pins and who is benched.

    `probed` names the frozen tiers through which a few clips a day go, to see whether the cause is gone. `beliefs`
    maps a model to what is believed of one version of it, `prior` is what is believed of others. `acceptance` maps a
    model to the share of its attempts that a release before there were beliefs had measured; it holds until the first
    night has beliefs. `affinity` maps a style and a model to a share by which the model's cost shifts, within the
    policy's limit. `unavailable` maps models that cannot serve now to why; one that stands in for them costs at most
    `dearest` times what they would. `priced_at` is the moment whose offers and off-peak hours count; without it,
    prices are the list's.

    `fell_on` maps a demoted model to the day whose night demoted it, or since when it rests. `candidates` are models
    that may be tried in the tier above their own. `pinned` maps a tier to the model that a person has pinned to it;
    what a person has `benched` serves nothing. `version` names the state in the ledger.
    """

    frozen: frozenset[str] = frozenset()
    probed: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    promoted: Mapping[str, Promotion] = field(default_factory=dict[str, Promotion])
    beliefs: Mapping[str, Belief] = field(default_factory=dict[str, Belief])
    prior: Prior = _UNSURE
    acceptance: Mapping[str, float] = field(default_factory=dict[str, float])
    affinity: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    fell_on: Mapping[str, date] = field(default_factory=dict[str, date])
    candidates: frozenset[str] = frozenset()
    pinned: Mapping[str, Pin] = field(default_factory=dict[str, Pin])
    benched: frozenset[str] = frozenset()
    version: str = ""
    unavailable: Mapping[str, str] = field(default_factory=dict[str, str])
    dearest: float = math.inf
    priced_at: datetime | None = None

    def belief_in(self, model: Model) -> Belief | None:
        """What is believed of the version that the catalogue has; None of a version that is new."""
        belief = self.beliefs.get(model.model)
        return belief if belief is not None and belief.version == model.version else None

    def estimate_of(self, model: Model, kind: str) -> Estimate:
        """What is believed of the model on a kind of shot; of a new version what the catalogue says."""
        usual = self.acceptance.get(model.model, model.acceptance_prior)
        return estimate(kind, self.belief_in(model), self.prior, usual)

    def on(self, day: date) -> "RoutingState":
        """The state as it is for clips of a production day: without the pins that have ended."""
        if all(pin.until is None or day <= pin.until for pin in self.pinned.values()):
            return self
        held = {tier: pin for tier, pin in self.pinned.items() if pin.until is None or day <= pin.until}
        return replace(self, pinned=held)

    def out_of_quarantine(self, day: date, quarantine_days: int) -> frozenset[str]:
        """The demoted models that may prove themselves on clips of a day: those that fell some days before it."""
        rest = timedelta(days=quarantine_days)
        return frozenset(model for model in self.demoted if self.fell_on.get(model, date.min) < day - rest)
