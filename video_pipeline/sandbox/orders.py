"""What the render farm understands, whoever sells it: an order, and the ways in which it can end.

Pure data with its JSON forms for the books; no HTTP and no vendor's words belong here.
"""

from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal


class Outcome(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"
    REFUSED_INPUT = "refused_input"
    """Moderation refused the prompt or the start image; nothing was rendered."""
    REFUSED_OUTPUT = "refused_output"
    """Moderation refused what was rendered."""
    FAILED = "failed"
    """The model or the farm is at fault."""
    INVALID = "invalid"
    """The order itself is at fault; the same order would end alike."""
    CANCELED = "canceled"


class Cause(StrEnum):
    """What exactly went wrong, where a wire has different words for it."""

    MODEL = "model"
    """The model did not come up with a file."""
    FARM = "farm"
    """An error of the sandbox itself."""
    IMAGE_NOT_FETCHED = "image_not_fetched"
    IMAGE_NOT_READ = "image_not_read"
    IMAGE_REFUSED = "image_refused"
    """It is the start image that moderation refused, not the prompt."""


@dataclass(frozen=True)
class Order:
    """What is to be rendered. Sizes and aspects are (width, height)."""

    kind: Literal["video", "image"]
    prompt: str
    seed: int | None
    seconds: Decimal = Decimal(0)
    """Length of a video, 0 for images."""
    short_side: int = 0
    """Pixels of a video's short side, 0 for images."""
    aspect: tuple[int, int] | None = None
    """Aspect of a video; None where the start image decides."""
    size: tuple[int, int] = (0, 0)
    """Pixels of an image; a video's size follows from its short side and aspect."""
    audio: bool = False
    images: int = 0
    """How many images; 0 for a video."""
    shows: str = ""
    """What is seen, where the prompt is what is said."""
    start_image: str | None = None
    """The image that a video starts from: a data URI, or the address of an image that this server rendered."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": str(self.seconds)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Order":
        aspect, size = document["aspect"], document["size"]
        numbers = {"seconds": Decimal(document["seconds"]), "aspect": aspect and tuple(aspect), "size": tuple(size)}
        return cls(**(document | numbers))


@dataclass(frozen=True)
class InvalidOrder:
    """A request that no order can be read from. It is accepted, costs nothing, and ends as `Outcome.INVALID`."""

    prompt: str
    """As much of a prompt as there is; faults match on it."""
    reason: str
    answer: Any = None
    """See `Ending.answer`."""


@dataclass(frozen=True)
class Ending:
    """How a request ended, and with what."""

    outcome: Outcome
    reason: str = ""
    cause: Cause | None = None
    files: tuple[str, ...] = ()
    """Names of the rendered files, under `/media/` on this server."""
    seed: int | None = None
    size: tuple[int, int] = (0, 0)
    """Width and height of the rendered files, in pixels."""
    answer: Any = None
    """The wire's own JSON for an ending that it knew on acceptance; the farm only keeps it."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Ending":
        cause = document.get("cause")
        read = {
            "outcome": Outcome(document["outcome"]),
            "cause": Cause(cause) if cause else None,
            "files": tuple(document.get("files", ())),
            "size": tuple(document.get("size", (0, 0))),
        }
        return cls(**(document | read))


def is_picture(address: Any) -> bool:
    """Whether a vendor could get a picture at an address that it is given: on the web, or in a data URI."""
    return isinstance(address, str) and address.startswith(("https://", "http://", "data:image/"))
