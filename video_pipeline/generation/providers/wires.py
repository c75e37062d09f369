"""The providers' parts of a catalogue, checked when it is loaded and not when a clip is to be bought."""

import json

from pydantic import ValidationError

from video_pipeline.briefs import Presenter
from video_pipeline.errors import ConfigurationError
from video_pipeline.generation.providers.registry import PROVIDERS
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.policy import explain
from video_pipeline.routing import Catalogue, ImageModel, Length, Model, Resolution

_PRESENTER = Presenter(avatar="an-avatar", voice="a-voice")
_PICTURE = RenderOrder(prompt="a picture", orientation=Orientation.PORTRAIT)
_START_IMAGE = "https://media.example/still.png"


def check_wires(catalogue: Catalogue) -> Catalogue:
    """The catalogue, when every entry names a provider that there is, and its `wire` translates what may be ordered.

    Raises ConfigurationError that names the entry and what is wrong with it.
    """
    for model in catalogue.models:
        clip = _clip(model, model.durations.lengths[-1], model.resolutions[0])
        from_picture = clip.model_copy(update={"start_image": _START_IMAGE})
        _check(catalogue, model, [clip, from_picture] if model.image_to_video else [clip])
        _check_told_apart(catalogue, model)
        _check_references(catalogue, model, clip)
    if catalogue.anchor is not None:
        _check(catalogue, catalogue.anchor, [_PICTURE])
    return catalogue


def _clip(model: Model, length: Length, resolution: Resolution) -> RenderOrder:
    order = model.ordered(_PICTURE, length, resolution.name, resolution.size(_PICTURE.orientation))
    return order if model.talking is None else model.spoken(order, "Hello.", _PRESENTER)


def _check_told_apart(catalogue: Catalogue, model: Model) -> None:
    """Whether a request says its size and its length: what is left out is the vendor's default, often dearer.

    How long a script takes to say is not for a request to tell.
    """
    lengths, sizes = model.durations.lengths, model.resolutions
    lengths = lengths if model.talking is None else lengths[:1]
    vendor = PROVIDERS[model.provider]
    for what, choices in (
        ("size", [(lengths[0], size) for size in sizes]),
        ("length", [(length, sizes[0]) for length in (lengths[0], lengths[-1])]),
    ):
        orders = [_clip(model, *choice) for choice in dict.fromkeys(choices)]
        requests = [vendor.translate(order, model.wire) for order in orders]
        if any(request in requests[:at] for at, request in enumerate(requests)):
            raise ConfigurationError(
                f"The entry {model.model} of the catalogue {catalogue.name} has a wrong wire: its request does not "
                f"say the {what}, and there are several."
            )


def _check_references(catalogue: Catalogue, model: Model, clip: RenderOrder) -> None:
    """Whether a request hands over as many pictures as the entry says that the model takes."""
    if model.references is None:
        return
    keys = tuple(f"references/{number}.jpg" for number in range(model.references.most))
    order = clip.model_copy(update={"references": keys})
    _check(catalogue, model, [order])
    sent = json.dumps(PROVIDERS[model.provider].translate(order, model.wire))
    if not all(key in sent for key in keys):
        raise ConfigurationError(
            f"The entry {model.model} of the catalogue {catalogue.name} has a wrong wire: its request does not hand "
            "over the reference pictures that it takes."
        )


def _check(catalogue: Catalogue, entry: Model | ImageModel, orders: list[RenderOrder]) -> None:
    where = f"The entry {entry.model} of the catalogue {catalogue.name}"
    vendor = PROVIDERS.get(entry.provider)
    if vendor is None:
        raise ConfigurationError(
            f"{where} names the provider {entry.provider}, which there is not; there are {', '.join(PROVIDERS)}."
        )
    try:
        for order in orders:
            request = vendor.translate(order, entry.wire)
            if order.script is not None and order.script not in json.dumps(request):
                raise ValueError(f"{entry.provider} does not say scripts, and the entry is `talking`")
    except ValidationError as error:
        raise ConfigurationError(f"{where} has a wrong wire: {explain(error)}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{where} has a wrong wire: {error}.") from error
