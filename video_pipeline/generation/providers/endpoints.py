"""How a model of many that one queue serves is asked for: it has endpoints, and names its arguments its own way.

The queues themselves, their answers and their bills are the adapters' own.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from video_pipeline.orders import RenderOrder


class EndpointWire(BaseModel):
    """How a model's endpoints want their arguments: the table that differs from model to model.

    A field name that is null is an argument that the endpoint does not take. `duration_as: frames` sends the number
    of frames and their rate, `nothing` is for an endpoint of one length. `size_field` takes width and height in the
    place of a resolution's name. `arguments` go with every request: they replace defaults that would cost more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_to_video: str | None = None
    image_to_video: str | None = None
    text_to_image: str | None = None
    reference_to_video: str | None = None
    image_field: str = "image_url"
    duration_as: Literal["int", "string", "seconds_string", "frames", "nothing"] = "int"
    frames_field: str = "num_frames"
    fps_field: str | None = "frames_per_second"
    resolution_field: str | None = "resolution"
    size_field: str | None = None
    aspect_ratio_field: str | None = "aspect_ratio"
    audio_field: str | None = None
    negative_prompt_field: str | None = None
    references_field: str | None = None
    seed: bool = True
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)


def video_request(order: RenderOrder, wire: EndpointWire) -> dict[str, Any]:
    """Endpoint and arguments of an order for a clip. Raises ValueError when the wire has none for such an order."""
    endpoint = wire.image_to_video if order.start_image else wire.text_to_video
    if order.references:
        # One that takes them with a plain prompt has no endpoint of its own for them.
        endpoint = (wire.reference_to_video or wire.text_to_video) if wire.references_field else None
    if endpoint is None:
        raise ValueError("the model's wire names no endpoint for such an order")
    optional = (
        (wire.aspect_ratio_field, order.orientation.aspect_ratio),
        (wire.resolution_field, order.resolution),
        (wire.size_field, order.size and dict(zip(("width", "height"), order.size, strict=True))),
        (wire.audio_field, order.audio),
        (wire.image_field, order.start_image),
        (wire.negative_prompt_field, order.negative_prompt),
        (wire.references_field, list(order.references) or None),
        ("seed" if wire.seed else None, order.seed),
    )
    arguments: dict[str, Any] = {"prompt": order.prompt} | wire.arguments | _length(order, wire)
    arguments |= {name: value for name, value in optional if name and value is not None}
    return {"endpoint": endpoint, "arguments": arguments}


def _length(order: RenderOrder, wire: EndpointWire) -> dict[str, Any]:
    """The arguments that say how long a clip is to be. Raises ValueError for a length that the wire cannot say."""
    if wire.duration_as == "nothing":
        return {}
    if wire.duration_as == "frames":
        if order.frames is None:
            raise ValueError("the model's wire counts frames, and its durations do not")
        return {wire.frames_field: order.frames} | ({wire.fps_field: order.fps} if wire.fps_field else {})
    seconds = int(order.duration_s)
    if seconds != order.duration_s:
        raise ValueError("the model's wire takes whole seconds, and its durations are none")
    return {"duration": {"int": seconds, "string": str(seconds), "seconds_string": f"{seconds}s"}[wire.duration_as]}
