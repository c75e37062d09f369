"""Pictures of our own store on their way to a provider: a key in the ledger, the picture itself on the wire.

So a request has the same hash wherever its pictures lie, no picture is kept in the ledger, and our store need be no
place that a provider can fetch from.
"""

import asyncio
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from video_pipeline.ledger import Job
from video_pipeline.media import data_uri, jpeg_bytes
from video_pipeline.storage import ObjectStore

STORED = "store:"
"""What the address of a frame in our store begins with; its key follows."""
# As much of a reference as any model looks at, and little enough for what vendors take of a picture in a request.
_LONGEST_SIDE, _REFERENCE_QUALITY = 1280, 90
# Vendors take data URIs of 5 MB and more, and repeat them in their histories. A JPEG of this quality loses less of a
# frame than the video's own coding has lost before.
_LARGEST_PNG, _FRAME_QUALITY = 500_000, 95


def is_kept(address: str | None) -> bool:
    """Whether an order's start image is a frame in our store."""
    return address is not None and address.startswith(STORED)


class PictureSender:
    """Puts pictures out of our store into jobs as they are sent; a reference is made ready once a run."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._references: dict[str, str] = {}

    async def handed_over(self, job: Job) -> Job:
        """The job as it is sent, with data URIs for its reference pictures and for the frame that it starts from.

        Raises StorageError for one that cannot be had.
        """
        pictures: dict[str, str] = {}
        for key in job.order.references:
            if key not in self._references:
                self._references[key] = await asyncio.to_thread(_reference, self._store, key)
            pictures[key] = self._references[key]
        frame = job.order.start_image
        if frame is not None and is_kept(frame):
            pictures[frame] = await asyncio.to_thread(_frame, self._store, frame.removeprefix(STORED))
            frame = pictures[frame]
        if not pictures:
            return job
        order = job.order.model_copy(update={"start_image": frame})
        return replace(job, order=order, request=_with(job.request, pictures))


def _with(value: Any, pictures: Mapping[str, str]) -> Any:
    """A request with pictures in the places of their addresses."""
    if isinstance(value, dict):
        return {name: _with(inner, pictures) for name, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_with(inner, pictures) for inner in cast("list[Any]", value)]
    return pictures.get(value, value) if isinstance(value, str) else value


def _reference(store: ObjectStore, key: str) -> str:
    """The picture as a JPEG of a moderate size in a data URI. Raises StorageError."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(store.read_bytes(key))) as opened:
        # As a camera was held.
        image = ImageOps.exif_transpose(opened)
        image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        shown = Image.new("RGB", image.size, "white")
        # What is see-through stands on white.
        layer = image.convert("RGBA")
        shown.paste(layer, mask=layer.getchannel("A"))
    return data_uri("image/jpeg", jpeg_bytes(shown, _REFERENCE_QUALITY))


def _frame(store: ObjectStore, key: str) -> str:
    """The frame as it is in a data URI, or as a JPEG where that is too large. Raises StorageError."""
    from PIL import Image

    data = store.read_bytes(key)
    if len(data) <= _LARGEST_PNG:
        return data_uri("image/png", data)
    with Image.open(io.BytesIO(data)) as image:
        return data_uri("image/jpeg", jpeg_bytes(image, _FRAME_QUALITY))
