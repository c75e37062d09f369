"""What is decided on a shot, as the ledger keeps it: the model, the price, the reasons, and what was drawn for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import ShotKind
from video_pipeline.routing.catalogue import Tier
from video_pipeline.routing.levers import Lever
from video_pipeline.routing.value import LEAST_ACCEPTANCE

# How many of the models that were passed over a decision tells of, cheapest first.
MAX_ALTERNATIVES = 5


@dataclass(frozen=True)
class FallOver:
    """What a decision was before its model could not serve: that model, why, and an attempt's price there, in US
    dollars. Found by the run that needs it; a plan has one only when it is made again after that."""

    model: str
    why: str
    usd: Decimal


@dataclass(frozen=True)
class Reuse:
    """The accepted job of an approved preview whose file serves a shot: its key, its clip, who made it, and what an
    attempt would have cost, in US dollars."""

    job: str
    clip_id: str
    model: str
    usd: Decimal


class Purpose(StrEnum):
    """Why chance gave a clip to a model: it fell to the best value; to learn of another; so that a demoted one may
    prove itself; to try one in the tier above its own."""

    VALUE = "value"
    LEARN = "learn"
    PROBATION = "probation"
    TRIAL = "trial"


@dataclass(frozen=True)
class Draw:
    """What was drawn for a clip, enough to draw it again: `shares` of the models that were in it, and the `point`.

    `sure` is how likely the model is the best value of them (0 where that was not asked). `extra_usd` is what the
    shot is expected to cost more than with the best value, never under 0. `state` is the version of the ledger's
    state that this was drawn under.
    """

    purpose: Purpose
    shares: dict[str, float]
    point: float
    sure: float = 0.0
    extra_usd: Decimal = Decimal(0)
    state: str = ""


@dataclass(frozen=True)
class Given:
    """Who is to serve a shot instead of the tree's own choice, where it can; and who is not, if another can.

    `model` is None where the tree chooses among those that are not `kept_back`, which maps models to why. `chance` is
    the probability with which the shot came to that model.
    """

    model: str | None = None
    draw: Draw | None = None
    chance: float = 1.0
    kept_back: Mapping[str, str] = field(default_factory=dict[str, str])


FREE = Given()


class Alternative(BaseModel):
    """A model that was passed over: its own tier, what an attempt would have cost (US dollars), and why not."""

    model_config = ConfigDict(frozen=True)

    model: str
    tier: Tier
    usd: Decimal
    why_not: str


class ByKind(BaseModel):
    """What the kind of a shot has changed: which `model` would have served an ordinary one, and how it would do here.

    `usd` is an attempt's price with it, in US dollars, and `acceptance` what is believed of it on such shots.
    `fidelity` and `usual_fidelity` are those of the model that serves and of `model`, for the kind.
    """

    model_config = ConfigDict(frozen=True)

    kind: ShotKind
    model: str
    usd: Decimal
    acceptance: float
    fidelity: float
    usual_fidelity: float


class Decision(BaseModel):
    """Where a shot goes and what that is expected to cost; `held` says why it goes nowhere for now, `until` how long.

    `tier` is the brief's, also where a model of another tier serves it. `alternatives` are at most MAX_ALTERNATIVES,
    the one with the cheapest accepted clip first.
    `requested_s` is what is bought, `wanted_s` the shot's own length (0 in decisions of older releases).
    A shot that a freeze holds keeps the price and the acceptance that it would have without the freeze.
    `by_kind` is there where the shot's kind has changed its model. `fell_over` is there while another model stands in
    for the one that the shot was first given. `chance` is the probability with which the shot was first given to its
    model, under the state and the budgets that were in force, 1 where nothing was drawn. `draw` is what was drawn.
    With `reuse` nothing is bought; the rest of the decision is what holds should that file be gone. `upscale_usd` is
    the electricity that upscales the accepted clip, and `saves` what each lever is expected to save of its cost.
    `continues`: the shot is a further segment of the one before it and starts from that one's last frame, which
    `attempt_usd` counts.
    """

    model_config = ConfigDict(frozen=True)

    shot: int
    tier: Tier
    model: str | None = None
    model_version: str | None = None
    resolution: str | None = None
    size: tuple[int, int] | None = None
    audio: bool = False
    requested_s: float = 0.0
    wanted_s: float = 0.0
    attempt_usd: Decimal = Decimal(0)
    acceptance: float = 1.0
    upscale_usd: Decimal = Decimal(0)
    saves: dict[Lever, Decimal] = {}
    reasons: tuple[str, ...] = ()
    held: str | None = None
    until: datetime | None = None
    alternatives: tuple[Alternative, ...] = ()
    fell_over: FallOver | None = None
    chance: float = 1.0
    draw: Draw | None = None
    reuse: Reuse | None = None
    continues: bool = False
    by_kind: ByKind | None = None

    @property
    def accepted_usd(self) -> float:
        """What an accepted clip of the shot is expected to cost with its upscaling, in US dollars."""
        return float(self.attempt_usd) / max(self.acceptance, LEAST_ACCEPTANCE) + float(self.upscale_usd)

    @property
    def serving(self) -> str | None:
        """The model that the shot is of: the one that it is bought from, or its preview's."""
        return self.reuse.model if self.reuse else self.model

    @property
    def fall_over(self) -> str:
        """Which model stands in for which, why, and what more an attempt costs; empty without that."""
        if self.fell_over is None:
            return ""
        more = self.attempt_usd - self.fell_over.usd
        price = f"${abs(more):.4f} {'more' if more >= 0 else 'less'} an attempt"
        return f"{self.model} instead of {self.fell_over.model}, as {self.fell_over.why}; {price}"

    @property
    def for_its_kind(self) -> str:
        """What its kind has changed, by how much, in words; empty where it changed nothing."""
        usual = self.by_kind
        if usual is None:
            return ""
        more = self.attempt_usd - usual.usd
        price = f"${abs(more):.4f} {'more' if more >= 0 else 'less'} an attempt" if more else "at the same price"
        return (
            f"as it is {usual.kind.words}, {self.model} instead of {usual.model}, which would make an ordinary one: "
            f"{price}, fidelity {usual.fidelity:.2f} against {usual.usual_fidelity:.2f}, "
            f"{self.acceptance:.0%} against {usual.acceptance:.0%} accepted"
        )

    @property
    def instead(self) -> str:
        """What the alternatives would have cost, in words; empty without any."""
        return "; ".join(f"{one.model} ${one.usd:.4f} ({one.why_not})" for one in self.alternatives)
