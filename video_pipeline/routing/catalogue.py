"""The catalogue: which models exist, what they can do and what they cost. Data with dated, sourced prices."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from video_pipeline.briefs import Presenter, ShotKind
from video_pipeline.errors import ConfigurationError
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.policy import explain, read_yaml_mapping
from video_pipeline.routing.lengths import Durations, Length
from video_pipeline.routing.price import Price, Unit

_RATIOS: dict[Orientation, tuple[int, int]] = {
    Orientation.PORTRAIT: (9, 16),
    Orientation.LANDSCAPE: (16, 9),
    Orientation.SQUARE: (1, 1),
}


_DEFAULT_NAME = "default"
# What a size said of its price when it held it itself.
_OLD_PRICES = frozenset({"usd_per_s", "usd_per_s_audio"})


class Tier(StrEnum):
    """The tiers of models (G1.1), cheapest first."""

    PREVIEW = "preview"
    PRODUCTION = "production"
    CINEMATIC = "cinematic"

    @property
    def above(self) -> "Tier | None":
        """The next dearer tier; None for the dearest."""
        dearer = list(Tier)[list(Tier).index(self) + 1 :]
        return dearer[0] if dearer else None

    @property
    def cheaper(self) -> "tuple[Tier, ...]":
        """The tiers that are cheaper, cheapest first."""
        return tuple(Tier)[: list(Tier).index(self)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resolution(_Entry):
    """A size a model renders in: its name in the price and for the provider, and the pixels of its short side.

    `multiple_of`: a network that renders in blocks cuts its sides down to a multiple of so many pixels.
    """

    name: str
    short_side: int = Field(gt=0)
    multiple_of: int = Field(default=2, ge=2, multiple_of=2)

    def size(self, orientation: Orientation) -> tuple[int, int]:
        """(width, height) in pixels, even, short side as named."""
        across, down = _RATIOS[orientation]
        scale = self.short_side / min(across, down)
        if self.multiple_of == 2:
            return _even(across * scale), _even(down * scale)
        blocks = (int(side * scale + 1e-6) // self.multiple_of for side in (across, down))
        width, height = (block * self.multiple_of for block in blocks)
        return width, height


def _with_price(document: dict[str, Any]) -> dict[str, Any]:
    """A model's entry with its price apart; until 0.1.0 each of its sizes held its own, a second."""
    sizes = document.get("resolutions")
    if not isinstance(sizes, Sequence) or isinstance(sizes, str):
        return document
    own = [cast("Mapping[str, Any]", size) for size in cast("Sequence[Any]", sizes) if isinstance(size, Mapping)]
    rates = {
        kind: {size.get("name", ""): size[key] for size in own if size.get(key) is not None}
        for kind, key in (("silent", "usd_per_s"), ("sound", "usd_per_s_audio"))
    }
    if not rates["silent"]:
        return document
    kept = [{key: value for key, value in size.items() if key not in _OLD_PRICES} for size in own]
    price = document.get("price")
    price = dict(cast("Mapping[str, Any]", price)) if isinstance(price, Mapping) else {}
    return document | {"resolutions": kept, "price": price | rates | {"per": "second"}}


class ReferencePictures(_Entry):
    """How many pictures a model takes beside a prompt, with clips of at most `max_s` seconds, and what each costs."""

    most: int = Field(ge=1, le=30)
    max_s: float | None = Field(default=None, gt=0)
    usd_each: Decimal = Field(default=Decimal(0), ge=0)


class Talking(_Entry):
    """What a model that says scripts knows: the ids of avatars and voices by the names that briefs may give.

    `default` is whose they are where a brief names none.
    """

    avatars: dict[str, str] = Field(default_factory=dict)
    voices: dict[str, str] = Field(default_factory=dict)

    def ids_of(self, presenter: Presenter | None) -> tuple[str, str] | None:
        """The ids of avatar and voice; a name that is not listed is an id itself. None where one of them is open."""
        named = presenter or Presenter()
        avatar, voice = named.avatar or _DEFAULT_NAME, named.voice or _DEFAULT_NAME
        avatar, voice = self.avatars.get(avatar, named.avatar), self.voices.get(voice, named.voice)
        return (avatar, voice) if avatar and voice else None


class Model(_Entry):
    """One version of one model at one provider.

    `fidelity` is by kind of shot; a kind that it leaves out is as `default`. Only a model that is `talking` is asked
    for shots with a script, and for no others.
    """

    model: str
    version: str
    provider: str
    tier: Tier
    wire: dict[str, Any] = Field(description="The provider's own part: how its adapter asks for this model.")
    image_to_video: bool = Field(False, description="Whether it renders from a start image.")
    references: ReferencePictures | None = Field(None, description="Which pictures it takes beside a prompt.")
    prompt_limit: int | None = Field(
        None, ge=100, description="The longest prompt, in characters as UTF-16 counts them; none where unknown."
    )
    talking: Talking | None = Field(None, description="The avatars and voices of a model that says scripts.")
    orientations: tuple[Orientation, ...] = tuple(Orientation)
    durations: Durations
    resolutions: tuple[Resolution, ...] = Field(min_length=1)
    price: Price
    fidelity: dict[ShotKind, float]
    acceptance_prior: float = Field(gt=0, le=1, description="Share of attempts expected to be accepted.")
    price_source: str
    price_checked_on: date

    @model_validator(mode="before")
    @classmethod
    def _old_form(cls, document: Any) -> Any:
        return _with_price(cast("dict[str, Any]", document)) if isinstance(document, dict) else document

    @model_validator(mode="after")
    def _priced(self) -> "Model":
        names = [resolution.name for resolution in self.resolutions]
        missing = [name for name in names if name not in self.price.silent]
        unknown = [name for name in self.price.silent if name not in names]
        if missing or unknown:
            raise ValueError(f"price.silent must name the sizes, {', '.join(names)}, and no other")
        if self.price.counts_frames and self.durations.frames is None:
            raise ValueError("a price that counts frames needs durations in frames")
        if self.talking is not None and not self.price.sound:
            raise ValueError("a model that says scripts needs price.sound")
        return self

    @field_validator("fidelity")
    @classmethod
    def _every_kind(cls, fidelity: dict[ShotKind, float]) -> dict[ShotKind, float]:
        if ShotKind.DEFAULT not in fidelity:
            raise ValueError("fidelity is missing for default, which stands for every kind that is not named")
        return {kind: fidelity.get(kind, fidelity[ShotKind.DEFAULT]) for kind in ShotKind}

    @property
    def confirmed(self) -> bool:
        """Whether a page or an API of the vendor itself was seen to state the price."""
        return not self.price_source.lower().startswith(("unconfirmed", "second-hand"))

    @property
    def offers_audio(self) -> bool:
        return bool(self.price.sound)

    def suits(self, kind: ShotKind) -> bool:
        """Whether it makes shots of that kind at all: those who talk make nothing else."""
        return (self.talking is not None) is (kind is ShotKind.TALKING)

    def usd(
        self,
        resolution: Resolution,
        orientation: Orientation,
        length: Length,
        *,
        audio: bool,
        at: datetime | None = None,
    ) -> Decimal:
        """What one clip costs in US dollars; `at` as of `Price.usd`."""
        return self.price.usd(resolution.name, resolution.size(orientation), length, audio=audio, at=at)

    def pictures_taken(self, given: int, seconds: float) -> int:
        """How many of so many reference pictures go with a clip of this length."""
        takes = self.references
        return 0 if takes is None or seconds > (takes.max_s or seconds) else min(given, takes.most)

    def beside_usd(self, given: int, seconds: float, *, starts: bool = False) -> Decimal:
        """What is paid beside the clip in US dollars: for those pictures, or for the one that it `starts` from."""
        if starts:
            return self.price.start_image_usd
        return self.pictures_taken(given, seconds) * self.references.usd_each if self.references else Decimal(0)

    def spoken(self, order: RenderOrder, script: str, presenter: Presenter | None) -> RenderOrder:
        """`order` as one for a clip in which `presenter` says `script`; ValueError when the model cannot."""
        ids = self.talking.ids_of(presenter) if self.talking is not None else None
        if ids is None:
            raise ValueError(f"{self.model} does not know who is to say the script")
        return order.model_copy(update={"script": script, "avatar": ids[0], "voice": ids[1]})

    def ordered(
        self, order: RenderOrder, length: Length, resolution: str | None, size: tuple[int, int] | None
    ) -> RenderOrder:
        """`order` as one for a clip of this length and size, in the words that the model needs."""
        by_pixel = self.price.per is Unit.MEGAPIXEL_FRAME
        return order.model_copy(
            update={
                "duration_s": length.seconds,
                "frames": length.frames,
                "fps": length.fps,
                "resolution": resolution,
                "size": size if by_pixel else None,
            }
        )


class ImageModel(_Entry):
    """The text-to-image model of the ladder's third rung (G2.2)."""

    model: str
    version: str
    provider: str
    wire: dict[str, Any] = Field(description="As of a model.")
    prompt_limit: int | None = Field(None, ge=100, description="As of a model.")
    usd_per_image: Decimal = Field(ge=0)
    price_source: str
    price_checked_on: date


class Catalogue(_Entry):
    """All models that routing may choose from."""

    name: str
    models: tuple[Model, ...] = Field(min_length=1)
    anchor: ImageModel | None
    unconnected: tuple[Model, ...] = Field(default=(), exclude=True, description="What `served_by` has left out.")

    @model_validator(mode="after")
    def _unique(self) -> "Catalogue":
        names = [model.model for model in self.models]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"these models stand in the catalogue twice: {', '.join(sorted(twice))}")
        return self

    @property
    def anchor_model(self) -> ImageModel:
        """The model of pictures to start from; ConfigurationError when there is none."""
        if self.anchor is None:
            raise ConfigurationError(f"The catalogue {self.name} has no model of pictures. Add one as its anchor.")
        return self.anchor

    def served_by(self, providers: Collection[str]) -> "Catalogue":
        """What of the catalogue can be bought at `providers`; it may be left without models."""
        anchor = self.anchor if self.anchor is not None and self.anchor.provider in providers else None
        models = tuple(model for model in self.models if model.provider in providers)
        others = tuple(model for model in self.models if model.provider not in providers)
        return self.model_copy(update={"models": models, "anchor": anchor, "unconnected": others})

    def joined(self, other: "Catalogue") -> "Catalogue":
        """This catalogue with the models of another one behind its own."""
        return self.model_copy(update={"models": (*self.models, *other.models)})

    @property
    def tiers(self) -> dict[str, str]:
        """model -> its own tier."""
        return {model.model: model.tier.value for model in self.models}

    def of_tier(self, tier: Tier) -> tuple[Model, ...]:
        return tuple(model for model in self.models if model.tier is tier)

    def find(self, name: str) -> Model | None:
        return next((model for model in self.models if model.model == name), None)

    def named(self, name: str) -> Model:
        """The model `name`; ConfigurationError lists those that there are."""
        model = self.find(name)
        if model is not None:
            return model
        known = ", ".join(model.model for model in self.models)
        raise ConfigurationError(
            f"The model {name} is not in the catalogue {self.name}; it holds {known}. Add it there, or route the "
            "clip again."
        )


def load_catalogue(path: Path | None = None, *, sandbox: bool) -> Catalogue:
    """The catalogue in `path`, else the packaged one of the real providers or of the sandbox's models.

    Raises ConfigurationError naming the file and every wrong entry.
    """
    if path is None:
        return _packaged("catalogue_sandbox.yaml" if sandbox else "catalogue.yaml")
    return _validated(read_yaml_mapping(path, what="catalogue"), path)


def load_own_gpu_catalogue() -> Catalogue:
    """The packaged models that a GPU of the team's own renders; they cost electricity."""
    return _packaged("catalogue_own_gpu.yaml")


def load_sandbox_vendors_catalogue() -> Catalogue:
    """The packaged models of the sandbox that other vendors sell, and that a GPU of the team's own renders."""
    return _packaged("catalogue_sandbox_vendors.yaml")


def _packaged(name: str) -> Catalogue:
    text = resources.files("video_pipeline.routing").joinpath(name).read_text()
    return _validated(yaml.safe_load(text), name)


def _validated(document: Any, where: Path | str) -> Catalogue:
    try:
        return Catalogue.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(f"The catalogue {where} is not valid: {explain(error)}.") from error


def _even(value: float) -> int:
    return 2 * round(value / 2)
