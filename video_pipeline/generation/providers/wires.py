"""The providers' parts of a catalogue, checked when it is loaded and not when a clip is to be bought."""

from pydantic import ValidationError

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation.providers.registry import PROVIDERS
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.policy import explain
from video_pipeline.routing import Catalogue, ImageModel, Model

_PICTURE = RenderOrder(prompt="a picture", orientation=Orientation.PORTRAIT)
_START_IMAGE = "https://media.example/still.png"


def check_wires(catalogue: Catalogue) -> Catalogue:
    """The catalogue, when every entry names a provider that there is, and its `wire` translates what may be ordered.

    Raises ConfigurationError that names the entry and what is wrong with it.
    """
    for model in catalogue.models:
        _check(catalogue, model, _orders(model))
    if catalogue.anchor is not None:
        _check(catalogue, catalogue.anchor, [_PICTURE])
    return catalogue


def _orders(model: Model) -> list[RenderOrder]:
    """One order of each kind that the entry says the model serves."""
    resolution = model.resolutions[0]
    clip = _PICTURE.model_copy(update={"duration_s": model.durations.longest_s, "resolution": resolution.name})
    return [clip, clip.model_copy(update={"start_image": _START_IMAGE})] if model.image_to_video else [clip]


def _check(catalogue: Catalogue, entry: Model | ImageModel, orders: list[RenderOrder]) -> None:
    where = f"The entry {entry.model} of the catalogue {catalogue.name}"
    vendor = PROVIDERS.get(entry.provider)
    if vendor is None:
        raise ConfigurationError(
            f"{where} names the provider {entry.provider}, which there is not; there are {', '.join(PROVIDERS)}."
        )
    try:
        for order in orders:
            vendor.translate(order, entry.wire)
    except ValidationError as error:
        raise ConfigurationError(f"{where} has a wrong wire: {explain(error)}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{where} has a wrong wire: {error}.") from error
