"""What to render, in words of no vendor: the order that a job holds and that every adapter translates."""

import hashlib
import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Orientation(StrEnum):
    """The shape of the picture; its size follows from the resolution."""

    PORTRAIT = "portrait"
    LANDSCAPE = "landscape"
    SQUARE = "square"

    @property
    def aspect_ratio(self) -> str:
        """Width to height, as vendors write it."""
        return _ASPECT_RATIOS[self]


_ASPECT_RATIOS = {Orientation.PORTRAIT: "9:16", Orientation.LANDSCAPE: "16:9", Orientation.SQUARE: "1:1"}


class Ending(StrEnum):
    """How a job ends without a file; whether that is billed is in its provider's terms or its model's price."""

    PROMPT_REFUSED = "prompt refused"
    OUTPUT_REFUSED = "output refused"
    FAILED = "failed"
    CANCELED = "canceled"


class RenderOrder(BaseModel):
    """One picture or clip to render.

    `duration_s` is 0 for a picture; `frames` and `fps` say it in frames to a model that counts them. `resolution` is
    one that the catalogue names for the model; `size` is (width, height) for one that is paid by the pixel.
    `start_image` is an address that the provider can fetch, or `store:KEY` for a frame in our own store. `references`
    are keys of pictures in our store. What is in our store stands in the request by its key until it is sent.
    `left_out` is the end of the prompt that the model leaves no room for. `script` is what is said, by an `avatar`
    with a `voice`, as the provider names them: how long the clip is follows from it, and `duration_s` is an estimate.
    A field added later needs a default: see `document`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    negative_prompt: str | None = None
    duration_s: float = Field(default=0.0, ge=0)
    frames: int | None = Field(default=None, ge=1)
    fps: int | None = Field(default=None, ge=1)
    orientation: Orientation
    resolution: str | None = None
    size: tuple[int, int] | None = None
    audio: bool = False
    seed: int | None = None
    start_image: str | None = None
    references: tuple[str, ...] = ()
    left_out: str = ""
    script: str | None = None
    avatar: str | None = None
    voice: str | None = None

    @property
    def asked(self) -> str:
        """The whole prompt, however much of it the model takes."""
        return self.prompt + self.left_out

    def document(self) -> dict[str, Any]:
        """The order as JSON without its defaults, so that a field added later changes no hash of before."""
        return self.model_dump(mode="json", exclude_defaults=True)


def sha256_of(document: dict[str, Any]) -> str:
    """SHA-256 (hex) of a JSON document, whatever the order of its keys."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
