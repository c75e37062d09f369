"""A world: what is true while a month passes and hidden from the pipeline, read from `benchmarks/worlds/*.yaml`.

An event lasts from its start for some hours. What a world leaves to chance is drawn from its seed.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

FIRST = date(2026, 3, 2)
"""The first production day of every month: a Monday."""

_WORLDS = Path(__file__).resolve().parent.parent / "worlds"
_TIERS = {"draft": "preview", "standard": "production", "premium": "cinematic"}


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class What(StrEnum):
    """What may happen in a world."""

    OUTAGE = "outage"
    """The provider answers 503 to everything."""
    CUT = "cut"
    """The provider cuts every connection."""
    CREDIT = "credit"
    """The account's balance is exhausted: submits are refused, what is under way goes on."""
    KEY = "key"
    """The key is not accepted."""
    QUOTA = "quota"
    """The platform takes no upload, as its quota is used up."""
    PLATFORM_DOWN = "platform_down"
    """The platform answers 503 to everything."""
    REFUSALS = "refusals"
    """Models refuse a share of prompts at random."""
    PRICES = "prices"
    """What models cost is multiplied; the catalogue does not know."""
    NO_QUALITY = "no_quality"
    """Briefs come without their quality field."""
    LEAK = "leak"
    """Briefs of drafts come in as standard."""

    @property
    def stops(self) -> str:
        """What cannot go on meanwhile: `generation`, `publishing` or nothing."""
        if self in (What.OUTAGE, What.CUT, What.CREDIT, What.KEY):
            return "generation"
        return "publishing" if self in (What.QUOTA, What.PLATFORM_DOWN) else ""

    @property
    def drifts(self) -> bool:
        """Whether a freeze may follow from it."""
        return self in (What.REFUSALS, What.PRICES, What.LEAK, What.NO_QUALITY)


class Event(_Data):
    """Something that goes on for `hours` from `hour` o'clock of day `day`, counted from 0."""

    what: What
    day: int = Field(ge=0)
    hour: int = Field(default=0, ge=0, lt=24)
    hours: float = Field(gt=0)
    models: tuple[str, ...] = ()
    """Whom it befalls; empty: all models of the provider."""
    value: float = Field(default=1.0, ge=0)
    """The share that is refused, or the factor of the prices."""

    @property
    def starts_at(self) -> datetime:
        return datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=self.day, hours=self.hour)

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(hours=self.hours)

    def goes_on(self, moment: datetime) -> bool:
        return self.starts_at <= moment < self.ends_at


class World(_Data):
    """Shares are 0..1. `faults` is the share of clips that one of the sandbox's faults befalls, by its name."""

    name: str
    title: str
    events: tuple[Event, ...] = ()
    mix: dict[str, float] = {"draft": 0.70, "standard": 0.25, "premium": 0.05}
    faces: float = 0.08
    """Close-ups of faces, which text-to-video models refuse; the ladder brings them through."""
    hopeless: float = 0.02
    """Prompts that no model takes, with B-roll that none takes either."""
    malformed: float = 0.01
    """Briefs that are quarantined."""
    idle_days: tuple[int, ...] = ()
    """Days without briefs."""
    faults: dict[str, float] = {}
    kills: float = 0.0
    """The share of runs whose process is killed."""
    person_every_days: int = 7
    ceiling_usd_a_clip: Decimal | None = None
    """What a day may cost for each of its clips, and enough for the dearest. None: so much that it never binds."""

    def going_on(self, moment: datetime, *kinds: What) -> list[Event]:
        return [event for event in self.events if event.goes_on(moment) and (not kinds or event.what in kinds)]


def world_names() -> list[str]:
    return sorted(path.stem for path in _WORLDS.glob("*.yaml"))


def load_world(name: str) -> World:
    """Raises FileNotFoundError when no world has this name."""
    return World.model_validate({"name": name, **yaml.safe_load((_WORLDS / f"{name}.yaml").read_text())})


def random_world(seed: int, days: int) -> World:
    """A world of which only the seed is known."""
    rng = random.Random(f"world {seed}")
    events: list[Event] = []
    for what, chance, hours in (
        (What.OUTAGE, 0.05, (1, 30)),
        (What.CUT, 0.03, (1, 12)),
        (What.CREDIT, 0.02, (4, 40)),
        (What.KEY, 0.01, (2, 20)),
        (What.QUOTA, 0.05, (4, 20)),
        (What.PLATFORM_DOWN, 0.03, (1, 8)),
    ):
        for day in range(days):
            if rng.random() < chance:
                events.append(Event(what=what, day=day, hour=rng.randrange(24), hours=rng.uniform(*hours)))
    for what, value in ((What.REFUSALS, (0.2, 0.6)), (What.PRICES, (1.2, 2.0)), (What.LEAK, (1.0, 1.0))):
        if rng.random() < 0.6:
            start, length = rng.randrange(5, max(6, days - 10)), rng.randrange(2, 10)
            events.append(Event(what=what, day=start, hours=24 * length, value=rng.uniform(*value)))
    return World(
        name=f"seed-{seed}",
        title=f"drawn from seed {seed}",
        events=tuple(events),
        faces=rng.uniform(0, 0.2),
        hopeless=rng.uniform(0, 0.05),
        idle_days=tuple(day for day in range(1, days) if rng.random() < 0.1),
        faults={
            name: rng.uniform(0, 0.03)
            for name in ("drop_after_accept", "job_failed", "black", "truncated_file", "drop_after_publish")
        },
        kills=rng.uniform(0, 0.15),
    )


@dataclass(frozen=True)
class BriefOrder:
    """A brief as it lies in the inbox, and what the world knows of it."""

    brief_id: str
    document: dict[str, Any]
    tier: str
    """The tier that was meant, whatever the document says."""
    kind: str = "plain"
    """plain, face, hopeless or malformed."""
    source: str = ""
    """Where it stands, as a quarantined one is named."""


_PLACES = (
    "beach",
    "harbour",
    "workshop",
    "mountain path",
    "market",
    "kitchen",
    "rooftop",
    "forest",
    "studio",
    "river",
)
_SIGHTS = (
    "waves",
    "fog",
    "hands at work",
    "steam",
    "lanterns",
    "rain",
    "bicycles",
    "flowers",
    "birds",
    "dust in light",
)
_MOVES = ("slow pan", "drone shot rising", "tracking shot", "locked-off camera", "gentle push in")
_STYLES = ("natural-light", "urban-night", "clean-studio", "cinematic-wide", "warm-product")
_HOOKS = ("sensory-open", "place-first", "in-medias-res", "countdown")
_SECONDS = (2, 3, 3, 4)


@dataclass
class Desk:
    """Whoever writes the briefs: the same ones for the same world, seed and number a day."""

    world: World
    seed: int
    clips_a_day: int
    _counted: int = field(default=0, init=False)

    def briefs(self, number: int) -> list[BriefOrder]:
        """The briefs of day `number`, counted from 0; none on an idle day."""
        if number in self.world.idle_days:
            return []
        rng = random.Random(f"{self.seed} {self.world.name} {number}")
        day, noon = FIRST + timedelta(days=number), Event(what=What.LEAK, day=number, hour=12, hours=1).starts_at
        leaks = bool(self.world.going_on(noon, What.LEAK))
        lost = bool(self.world.going_on(noon, What.NO_QUALITY))
        return [self._brief(rng, day, index, leaks=leaks, lost=lost) for index in range(self.clips_a_day)]

    def _brief(self, rng: random.Random, day: date, index: int, *, leaks: bool, lost: bool) -> BriefOrder:
        quality = rng.choices(list(self.world.mix), list(self.world.mix.values()))[0]
        chance = rng.random()
        world, kind = self.world, "plain"
        for name, share in (("face", world.faces), ("hopeless", world.hopeless), ("malformed", world.malformed)):
            if 0 <= chance < share:
                kind = name
            chance -= share
        scene = f"{rng.choice(_SIGHTS)} at a {rng.choice(_PLACES)}, {rng.choice(_MOVES)}, take {day:%m%d}{index:03d}"
        document: dict[str, Any] = {
            "brief_id": f"{kind}-{day:%m%d}-{index:03d}",
            "title": f"Clip {index} of {day}",
            "platforms": ["youtube_shorts"],
            "prompt": f"Wide view of {scene}",
            "duration_s": rng.choice(_SECONDS),
            "quality": "standard" if leaks and quality == "draft" else quality,
            "visual_complexity": round(rng.uniform(0.2, 0.9), 2),
            "hook": rng.choice(_HOOKS),
            "style": rng.choice(_STYLES),
        }
        if lost:
            del document["quality"]
        if kind == "face":
            document |= {"prompt": f"Close-up of a founder speaking, {scene}", "broll": [f"Hands typing, {scene}"]}
        elif kind == "hopeless":
            document["prompt"] = f"A casino night, {scene}"
        elif kind == "malformed":
            document["duration_s"] = -1
        return BriefOrder(document["brief_id"], document, _TIERS[quality], kind, source=f"briefs.json#{index + 1}")
