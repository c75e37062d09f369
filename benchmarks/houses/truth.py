"""What is true in a world, drawn for one house: orders, ends of attempts, audiences."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from benchmarks.houses.world import Briefs, Effect, World
from video_pipeline.briefs import Brief, Quality, Shot, ShotKind, Storyboard, clip_id_of, storyboard_of
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.publishing import Engagement
from video_pipeline.routing import Catalogue
from video_pipeline.routing import Model as CatalogueModel

FIRST = date(2026, 1, 5)
"""Day 0 of every house: a Monday."""

PROVIDER = "house"
_SIZE = "180p"
# Softened by the ladder, which then has something new to send; the kind is the shot's own.
_PROMPT = "A face above the waves"
_SUBSTITUTE = "A quiet beach"
_PARETO = 1.2
_SEASON_DAYS = 40


class End(StrEnum):
    """How an attempt ends."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED = "failed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Order:
    """A brief of a day, with what is true of it."""

    board: Storyboard
    number: int
    weekend: bool
    quality: Quality
    kind: ShotKind
    seconds: float
    platform: str
    hook: str
    style: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Chances:
    """How an attempt ends, in the order in which it may end."""

    refused: float
    failed: float
    rejected: float

    @property
    def accepted(self) -> float:
        return (1 - self.refused) * (1 - self.failed) * (1 - self.rejected)


@dataclass(frozen=True, slots=True)
class Seen:
    """A published clip: how it will be watched in the end, and how quickly."""

    clip_id: str
    brief_id: str
    platform: str
    day: date
    views: float
    completion: float | None
    posted: float
    """The part of its day that was over when it was posted."""


class Truth:
    """A world as one house lives in it."""

    def __init__(self, world: World, clips_a_day: int, seed: int) -> None:
        self._world = world
        self._clips_a_day = clips_a_day
        self._seed = seed
        self._rng = random.Random(f"{world.name} {clips_a_day} {seed}")
        self._templates: dict[tuple[object, ...], Storyboard] = {}
        self._render_orders: dict[tuple[str, float], RenderOrder] = {}
        self._tables: dict[Quality, list[tuple[list[object], list[float]]]] = {}

    def orders(self, number: int) -> list[Order]:
        """The briefs of a day."""
        day = FIRST + timedelta(days=number)
        weekend = day.weekday() >= 5
        mix = self._world.mix_on(number, weekend=weekend)
        qualities = self._rng.choices(list(mix), list(mix.values()), k=self._clips_a_day)
        # What the product draws by a brief's id is to be drawn anew in each house.
        ids = (f"{self._world.name}-{self._seed}-{number}-{at}".replace("_", "-") for at in range(len(qualities)))
        return [
            self._order(number, day, weekend, quality, brief_id)
            for quality, brief_id in zip(qualities, ids, strict=True)
        ]

    def _order(self, number: int, day: date, weekend: bool, quality: Quality, brief_id: str) -> Order:
        choices = self._rng.choices
        kind, seconds, platform, hook, style, complexity = (
            choices(values, weights)[0] if len(values) > 1 else values[0]
            for values, weights in self._weights(quality)
        )
        key = (quality, kind, seconds, platform, hook, style, complexity)
        template = self._templates.get(key)
        if template is None:
            brief = Brief.model_validate(
                {
                    "brief_id": "template",
                    "title": "A clip",
                    "platforms": [platform],
                    "shots": [Shot(prompt=_PROMPT, duration_s=float(str(seconds)), kind=ShotKind(str(kind)))],
                    "broll": [_SUBSTITUTE],
                    "quality": quality,
                    "visual_complexity": complexity,
                    "hook": hook,
                    "style": style,
                }
            )
            template = self._templates[key] = storyboard_of(brief, day, cap_s=15)
        # Every clip is validated once, as its template: thousands of copies a second are not.
        brief = template.brief.model_copy(update={"brief_id": brief_id})
        board = template.model_copy(update={"brief": brief, "day": day, "clip_id": clip_id_of(day, brief_id)})
        shot = board.shots[0]
        hard = self._world.hard.share > 0 and self._rng.random() < self._world.hard.share
        return Order(
            board, number, weekend, quality, shot.kind, shot.duration_s, str(platform), str(hook), str(style), hard
        )

    def _weights(self, quality: Quality) -> list[tuple[list[object], list[float]]]:
        if quality not in self._tables:
            self._tables[quality] = _weights(self._world.briefs_of(quality))
        return self._tables[quality]

    def chances(self, order: Order, model: str, version: str) -> Chances:
        """Of a first attempt at `order`."""
        true = self._world.models[model]
        refused, failed, rejected = true.refuses, true.fails, true.rejects
        for effect in self._world.effects:
            if (effect.refuses or effect.fails or effect.rejects) and _holds(effect, order, model, version):
                refused, failed, rejected = refused + effect.refuses, failed + effect.fails, rejected + effect.rejects
        if order.hard:
            refused = max(refused, self._world.hard.refuses)
        return Chances(_chance(refused), _chance(failed), _chance(rejected))

    def end(self, order: Order, model: str, version: str, *, refused_before: bool) -> End:
        """How an attempt ends; `refused_before`: this model has refused this shot before."""
        chances = self.chances(order, model, version)
        draw = self._rng.random
        if draw() < (max(chances.refused, self._world.asked_again) if refused_before else chances.refused):
            return End.REFUSED
        if draw() < chances.failed:
            return End.FAILED
        return End.REJECTED if draw() < chances.rejected else End.ACCEPTED

    def liking(self, order: Order, model: str, version: str) -> float:
        """How much more than usual an audience likes a clip because of its model."""
        liking = self._world.models[model].liking
        for effect in self._world.effects:
            if effect.liking and _holds(effect, order, model, version):
                liking += effect.liking
        return liking

    def published(self, order: Order, model: str, version: str) -> Seen:
        """What becomes of a clip that was accepted."""
        audience, rng = self._world.audience, self._rng
        liking = self.liking(order, model, version)
        log_views = math.log(audience.views) + rng.gauss(0, audience.spread) + _reach(liking)
        if audience.season:
            log_views += math.log1p(audience.season * (1 + math.sin(2 * math.pi * order.number / _SEASON_DAYS)) / 2)
        if audience.viral and rng.random() < audience.viral:
            log_views += math.log(rng.paretovariate(_PARETO))
        completion = audience.completion + liking + rng.gauss(0, audience.completion_spread)
        completion += audience.completion_a_second * (order.seconds - 5)
        unknown = 0.0
        for effect in self._world.effects:
            if _holds(effect, order, model, version):
                log_views += math.log(effect.views)
                completion += effect.completion
                unknown += effect.unknown_completion
        told = rng.random() >= unknown
        return Seen(
            clip_id=order.board.clip_id,
            brief_id=order.board.brief.brief_id,
            platform=order.platform,
            day=order.board.day,
            views=math.exp(log_views),
            completion=min(0.99, max(0.01, completion)) if told else None,
            posted=rng.random() * 0.6,
        )

    def render_order(self, prompt: str, seconds: float) -> RenderOrder:
        key = (prompt, seconds)
        if key not in self._render_orders:
            self._render_orders[key] = RenderOrder(
                prompt=prompt, duration_s=seconds, orientation=Orientation.PORTRAIT
            )
        return self._render_orders[key]

    def seconds(self, model: str) -> float:
        """What a render takes at it, more or less."""
        return self._world.models[model].seconds * self._rng.uniform(0.7, 1.5)

    def worth_and_usd(self, order: Order, model: CatalogueModel) -> tuple[float, float]:
        """What a clip of `model` is worth against a usual one, and what one that is accepted is expected to cost."""
        worth = 1 + 2 * self.liking(order, model.model, model.version)
        accepted = self.chances(order, model.model, model.version).accepted
        usd = float(model.price.silent[_SIZE]) * order.seconds
        return max(0.05, worth), usd / accepted

    def read(self, clip: Seen, night: date) -> Engagement | None:
        """The snapshot of a clip that is read in a night, if there is one."""
        audience = self._world.audience
        if audience.lost_snapshots and self._rng.random() < audience.lost_snapshots:
            return None
        age = (night - clip.day).days
        views = round(clip.views * (1 - 0.5 ** ((age + 1 - clip.posted) / audience.half_life_days)))
        return Engagement.model_construct(
            clip_id=clip.clip_id,
            brief_id=clip.brief_id,
            platform=clip.platform,
            day=night,
            age_days=age,
            views=views,
            engaged_views=None,
            likes=None,
            comments=None,
            shares=views // 100,
            completion=clip.completion if views else None,
        )


def catalogue_on(world: World, number: int) -> Catalogue:
    """What the catalogue of a day says of the world's models."""
    models: list[CatalogueModel] = []
    for name, model in world.models.items():
        if model.from_day > number:
            continue
        usd, version = model.usd_per_s, model.version
        for change in world.changes:
            if change.model == name and change.day <= number:
                usd, version = change.usd_per_s or usd, change.version or version
        entry = {
            "model": name,
            "version": version,
            "provider": PROVIDER,
            "tier": model.tier,
            "wire": {},
            "durations": {"max_s": 15},
            "resolutions": [{"name": _SIZE, "short_side": 180}],
            "price": {"silent": {_SIZE: usd}},
            "fidelity": {kind: model.fidelity_of(kind) for kind in ShotKind},
            "acceptance_prior": model.acceptance_prior,
            "price_source": "a world",
            "price_checked_on": FIRST,
        }
        models.append(CatalogueModel.model_validate(entry))
    return Catalogue(name=world.name, models=tuple(models), anchor=None)


def _weights(briefs: Briefs) -> list[tuple[list[object], list[float]]]:
    tables: Sequence[dict[str, float] | dict[ShotKind, float] | dict[int, float] | dict[float, float]] = (
        briefs.kinds,
        briefs.seconds,
        briefs.platforms,
        briefs.hooks,
        briefs.styles,
        briefs.complexities,
    )
    return [(list(table), list(table.values())) for table in tables]


def _holds(effect: Effect, order: Order, model: str, version: str) -> bool:
    return (
        (effect.model is None or effect.model == model)
        and (effect.version is None or effect.version == version)
        and (effect.days is None or effect.days[0] <= order.number < effect.days[1])
        and (effect.quality is None or effect.quality is order.quality)
        and (effect.kind is None or effect.kind is order.kind)
        and (effect.platform is None or effect.platform == order.platform)
        and (effect.weekend is None or effect.weekend is order.weekend)
        and (effect.longer_than_s is None or order.seconds > effect.longer_than_s)
        and (effect.hook is None or effect.hook == order.hook)
        and (effect.style is None or effect.style == order.style)
    )


def _chance(value: float) -> float:
    return min(0.99, max(0.0, value))


def _reach(liking: float) -> float:
    """By how much the logarithm of views is higher where reach (0..1, usually 0.5) is higher by `liking`."""
    reach = min(0.95, max(0.05, 0.5 + liking))
    return math.log(reach / (1 - reach))
