"""The catalogue: which models exist, what they can do and what they cost. Data with dated, sourced prices."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from video_pipeline.briefs import ShotKind
from video_pipeline.errors import ConfigurationError
from video_pipeline.orders import Orientation
from video_pipeline.policy import explain, read_yaml_mapping

_RATIOS: dict[Orientation, tuple[int, int]] = {
    Orientation.PORTRAIT: (9, 16),
    Orientation.LANDSCAPE: (16, 9),
    Orientation.SQUARE: (1, 1),
}


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
    """A size a model renders in, and its price; `usd_per_s` is silent, `usd_per_s_audio` with native audio."""

    name: str
    short_side: int = Field(gt=0)
    usd_per_s: Decimal = Field(ge=0)
    usd_per_s_audio: Decimal | None = Field(None, ge=0)

    def size(self, orientation: Orientation) -> tuple[int, int]:
        """(width, height) in pixels, even, short side as named."""
        across, down = _RATIOS[orientation]
        scale = self.short_side / min(across, down)
        return _even(across * scale), _even(down * scale)


class Durations(_Entry):
    """What lengths a model renders: any whole second from `min_s` to `max_s`, or only `allowed_s`."""

    min_s: int = Field(1, ge=1)
    max_s: int = Field(ge=1)
    allowed_s: tuple[int, ...] = ()

    @property
    def longest_s(self) -> int:
        return max(self.allowed_s or (self.max_s,))

    def rendered_s(self, wanted_s: float) -> int | None:
        """The shortest length that holds `wanted_s` seconds; None when there is none."""
        lengths = self.allowed_s or range(self.min_s, self.max_s + 1)
        return next((length for length in lengths if length >= wanted_s - 1e-6), None)


class Model(_Entry):
    """One version of one model at one provider."""

    model: str
    version: str
    provider: str
    tier: Tier
    wire: dict[str, Any] = Field(description="The provider's own part: how its adapter asks for this model.")
    image_to_video: bool = Field(False, description="Whether it renders from a start image.")
    durations: Durations
    resolutions: tuple[Resolution, ...] = Field(min_length=1)
    fidelity: dict[ShotKind, float]
    acceptance_prior: float = Field(gt=0, le=1, description="Share of attempts expected to be accepted.")
    price_source: str
    price_checked_on: date

    @model_validator(mode="after")
    def _every_kind(self) -> "Model":
        missing = [kind.value for kind in ShotKind if kind not in self.fidelity]
        if missing:
            raise ValueError(f"fidelity is missing for {', '.join(missing)}")
        return self

    @property
    def offers_audio(self) -> bool:
        return any(resolution.usd_per_s_audio is not None for resolution in self.resolutions)


class ImageModel(_Entry):
    """The text-to-image model of the ladder's third rung (G2.2)."""

    model: str
    version: str
    provider: str
    wire: dict[str, Any] = Field(description="As of a model.")
    usd_per_image: Decimal = Field(ge=0)
    price_source: str
    price_checked_on: date


class Catalogue(_Entry):
    """All models that routing may choose from."""

    name: str
    models: tuple[Model, ...] = Field(min_length=1)
    anchor: ImageModel | None

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
        return self.model_copy(update={"models": models, "anchor": anchor})

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
    packaged = "catalogue_sandbox.yaml" if sandbox else "catalogue.yaml"
    if path is not None:
        document = read_yaml_mapping(path, what="catalogue")
    else:
        document = yaml.safe_load(resources.files("video_pipeline.routing").joinpath(packaged).read_text())
    try:
        return Catalogue.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(f"The catalogue {path or packaged} is not valid: {explain(error)}.") from error


def _even(value: float) -> int:
    return 2 * round(value / 2)
