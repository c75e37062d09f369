"""A hidden world: what is true of models, briefs and audiences, and what is to be measured; read from YAML.

docs/hidden_worlds.md tells how to write one. Days are counted from 0; chances and shares are 0..1.
"""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from video_pipeline.briefs import Quality, ShotKind
from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import explain, read_yaml_mapping
from video_pipeline.routing import Tier

FOLDER = Path(__file__).resolve().parent.parent / "learning_worlds"
# What the catalogue says of a model that its world leaves open: above what the policy asks of its tier.
_FIDELITY = {Tier.PREVIEW: 0.50, Tier.PRODUCTION: 0.70, Tier.CINEMATIC: 0.85}

Days = tuple[int, int]
"""The first day, and the first that is no longer among them."""


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(_Data):
    """A model: what the catalogue says of it, and what is true.

    `liking` is how much more (or less) an audience likes its clips than usual, on the scale 0..1 of completion and of
    reach (views / (views + usual views)): 0.05 makes 50 % completion 55 %.
    """

    tier: Tier
    usd_per_s: Decimal = Field(gt=0)
    version: str = "1"
    acceptance_prior: float = Field(default=0.85, gt=0, le=1)
    fidelity: dict[ShotKind, float] = {}
    """Of kinds of shot for which it is not the tier's usual one."""
    from_day: int = Field(default=0, ge=0)
    """When it comes into the catalogue."""
    seconds: float = Field(default=60.0, gt=0)
    """What a render takes."""
    refuses: float = Field(default=0.10, ge=0, le=1)
    fails: float = Field(default=0.02, ge=0, le=1)
    rejects: float = Field(default=0.04, ge=0, le=1)
    liking: float = 0.0

    def fidelity_of(self, kind: ShotKind) -> float:
        return self.fidelity.get(kind, _FIDELITY[self.tier])


class CatalogueChange(_Data):
    """From `day` on the catalogue has another price or another version of a model."""

    day: int = Field(ge=0)
    model: str
    usd_per_s: Decimal | None = Field(default=None, gt=0)
    version: str | None = None


class Effect(_Data):
    """Something that is true where all named conditions hold. Chances add up, `views` is a factor."""

    days: Days | None = None
    weekend: bool | None = None
    quality: Quality | None = None
    kind: ShotKind | None = None
    longer_than_s: float | None = None
    platform: str | None = None
    hook: str | None = None
    style: str | None = None
    model: str | None = None
    version: str | None = None

    refuses: float = 0.0
    fails: float = 0.0
    rejects: float = 0.0
    views: float = Field(default=1.0, gt=0)
    completion: float = 0.0
    liking: float = 0.0
    unknown_completion: float = Field(default=0.0, ge=0, le=1)
    """Share of clips whose completion the platform never tells."""


class Briefs(_Data):
    """What is ordered: each a table of weights."""

    kinds: dict[ShotKind, float] = {
        ShotKind.DEFAULT: 0.55,
        ShotKind.EMOTIONAL_CLOSE_UP: 0.15,
        ShotKind.ACTION: 0.15,
        ShotKind.ESTABLISHING: 0.15,
    }
    seconds: dict[int, float] = {4: 1, 6: 1}
    platforms: dict[str, float] = {"tiktok": 1, "youtube_shorts": 1}
    hooks: dict[str, float] = {"": 1}
    styles: dict[str, float] = {"": 1}
    complexities: dict[float, float] = {0.5: 1}


class Mix(_Data):
    """The qualities that are ordered from a day on, by weight; at weekends another one where it is given."""

    from_day: int = Field(default=0, ge=0)
    weights: dict[Quality, float]
    weekend: dict[Quality, float] | None = None


class Hard(_Data):
    """Briefs whose prompt models refuse more often, whichever they are; the same at every attempt."""

    share: float = Field(default=0.0, ge=0, le=1)
    refuses: float = Field(default=0.8, ge=0, le=1)


class Audience(_Data):
    """What an audience does with a clip of which nothing else is true.

    `views` is the median of what a clip has in the end; `spread` the standard deviation of its logarithm. One clip in
    `viral` times as many again, by a factor from a Pareto distribution with the exponent 1.2. Views come in with a
    half-life of `half_life_days`; a snapshot is missing with the chance `lost_snapshots`.
    """

    views: float = Field(default=2000.0, gt=0)
    spread: float = Field(default=0.8, ge=0)
    viral: float = Field(default=0.0, ge=0, le=1)
    completion: float = Field(default=0.5, gt=0, lt=1)
    completion_spread: float = Field(default=0.10, ge=0)
    completion_a_second: float = 0.0
    """What each second beyond five changes."""
    half_life_days: float = Field(default=1.5, gt=0)
    lost_snapshots: float = Field(default=0.02, ge=0, le=1)
    season: float = Field(default=0.0, ge=0)
    """How much more is watched at the height of a wave of 40 days, as a share."""


class What(StrEnum):
    """What may be measured."""

    DEMOTED = "demoted"
    """Share of houses in which the model (or any) was demoted in `days`; with `each`, of models."""
    PROMOTED = "promoted"
    """Share of houses in which the model (or any) was promoted in `days`."""
    LEADS = "leads"
    """Share of houses in which it served more of its tier's clips in `days` than any other."""
    LEADS_A_DAY = "leads a day"
    """Share of houses with a day among `days` on which it served more of its tier's clips than any other."""
    NIGHTS_TO_DEMOTION = "nights to demotion"
    """From the first of `days` on; the median."""
    NIGHTS_TO_RETURN = "nights to return"
    """The same until it is no longer demoted, in houses where it was on the day before; the median."""
    CLIPS_A_DAY = "clips a day"
    """Of the model on the dearest of `days` for it, in nine of ten houses at most."""
    CLIPS = "clips"
    """Of the model in all `days`, the mean."""
    SHARE = "share of its tier"
    """Of the model in all `days`, the mean."""
    REGRET = "regret in US dollars"
    """What clips cost in `days` beyond what as much would have cost with the best model of the tier, a house."""
    HOOKS_CALLED = "hooks called preferred"
    """Share of hooks, weeks and platforms with clips of it; `hook` names one, else all."""
    HOOK_EVER_CALLED = "a hook ever called preferred"
    """Share of houses that ever called it, or any, so."""
    WEEKS_TO_CALL = "weeks until called preferred"
    """Until it, or any, was called so on a platform; the median."""
    DELIVERED = "delivered"
    """Share of clips that were accepted in `days`."""


class Measure(_Data):
    """A row of the table: what is measured, and what it must be at most or at least."""

    what: What
    model: str | None = None
    hook: str | None = None
    each: bool = False
    days: Days | None = None
    """All days when it is not said."""
    at_most: float | None = None
    at_least: float | None = None
    before: str = ""
    """What was measured of the method before this one: weighted scores, and rates against limits."""
    why: str = ""
    """What a miss comes from, as far as it is known."""

    @property
    def goal(self) -> str:
        if self.at_most is not None:
            return f"<= {self._said(self.at_most)}"
        return "" if self.at_least is None else f">= {self._said(self.at_least)}"

    @property
    def is_share(self) -> bool:
        return self.what in (
            What.DEMOTED,
            What.PROMOTED,
            What.LEADS,
            What.LEADS_A_DAY,
            What.HOOKS_CALLED,
            What.HOOK_EVER_CALLED,
        )

    @property
    def title(self) -> str:
        """What is measured, of whom and when."""
        whom = self.model or self.hook or ""
        when = "" if self.days is None else f"days {self.days[0]}-{self.days[1] - 1}"
        return " ".join(part for part in (f"{self.what}{' (each)' if self.each else ''}", whom, when) if part)

    def said(self, value: float) -> str:
        return "never" if value == float("inf") else self._said(value)

    def _said(self, value: float) -> str:
        if self.is_share or self.what in (What.SHARE, What.DELIVERED):
            return f"{value:.1%}".replace(".0%", "%")
        return f"{value:.2f}" if self.what is What.REGRET else f"{value:g}"

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("give at_most or at_least, not both")
        _needs_order(self.days)
        of_one = (
            What.LEADS,
            What.LEADS_A_DAY,
            What.NIGHTS_TO_DEMOTION,
            What.NIGHTS_TO_RETURN,
            What.CLIPS_A_DAY,
            What.CLIPS,
            What.SHARE,
        )
        if self.what in of_one and self.model is None:
            raise ValueError(f"{self.what!s} is measured of one model: name it as `model`")
        if self.what in (What.NIGHTS_TO_DEMOTION, What.NIGHTS_TO_RETURN) and self.days is None:
            raise ValueError(f"{self.what!s} are counted from a day on: give `days`")
        return self


_USUAL_MODELS: dict[str, Any] = {
    "sprint": {"tier": "preview", "usd_per_s": "0.022"},
    "dash": {"tier": "preview", "usd_per_s": "0.024"},
    "steady": {"tier": "production", "usd_per_s": "0.070"},
    "motion": {"tier": "production", "usd_per_s": "0.075"},
    "grand": {"tier": "cinematic", "usd_per_s": "0.150"},
    "vista": {"tier": "cinematic", "usd_per_s": "0.165"},
}


class World(_Data):
    """A world and its rows. `houses` maps clips a day to how many houses live in it."""

    name: str
    title: str
    houses: dict[int, int] = {29: 100}
    nights: int = Field(default=60, ge=1, le=366)
    models: dict[str, Model] = Field(default=_USUAL_MODELS, validate_default=True)
    changes: tuple[CatalogueChange, ...] = ()
    mix: tuple[Mix, ...] = (Mix(weights={Quality.DRAFT: 0.70, Quality.STANDARD: 0.25, Quality.PREMIUM: 0.05}),)
    briefs: Briefs = Briefs()
    of_quality: dict[Quality, Briefs] = {}
    """Briefs of one quality where they are others."""
    hard: Hard = Hard()
    asked_again: float = Field(default=0.5, ge=0, le=1)
    """The chance with which a model that has refused a prompt refuses the next, softer one."""
    effects: tuple[Effect, ...] = ()
    audience: Audience = Audience()
    measures: tuple[Measure, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        named = [
            *(("changes", at, change.model) for at, change in enumerate(self.changes)),
            *(("effects", at, effect.model) for at, effect in enumerate(self.effects)),
            *(("measures", at, measure.model) for at, measure in enumerate(self.measures)),
        ]
        for field, at, model in named:
            if model is not None and model not in self.models:
                known = ", ".join(self.models)
                raise ValueError(
                    f"{field}.{at} names the model {model}, which the world does not have; it has {known}"
                )
        for effect in self.effects:
            _needs_order(effect.days)
        for at, measure in enumerate(self.measures):
            if measure.days is not None and measure.days[1] > self.nights:
                raise ValueError(f"measures.{at} looks at days up to {measure.days[1]}, but there are {self.nights}")
        missing = [tier.value for tier in Tier if all(model.tier is not tier for model in self.models.values())]
        if missing:
            raise ValueError(f"there is no model of the tier {missing[0]}")
        if self.mix[0].from_day != 0:
            raise ValueError("the first mix has to be there from day 0 on")
        return self

    def briefs_of(self, quality: Quality) -> Briefs:
        return self.of_quality.get(quality, self.briefs)

    def mix_on(self, day: int, *, weekend: bool) -> dict[Quality, float]:
        in_force = [mix for mix in self.mix if mix.from_day <= day][-1]
        return in_force.weekend if weekend and in_force.weekend is not None else in_force.weights


def _needs_order(days: Days | None) -> None:
    if days is not None and not 0 <= days[0] < days[1]:
        raise ValueError(f"days [{days[0]}, {days[1]}] have to be [first, first one after], as [20, 23]")


def world_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_world(path: Path) -> World:
    """Raises ConfigurationError that names the file and whatever is wrong in it."""
    document = read_yaml_mapping(path, what="world")
    try:
        return World.model_validate({"name": path.stem, **document})
    except ValidationError as error:
        raise ConfigurationError(f"The world in {path} is not valid: {explain(error)}.") from error
