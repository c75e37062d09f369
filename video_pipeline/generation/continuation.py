"""The last frame of a segment, from which the next one of its shot goes on: from its file to the provider (G2.6).

It is kept in our store under the hash of what it shows, so an order that starts from it is the same after a restart,
and for the same clip another day. Only as a job is sent does the order have the picture itself, as a data URI: our
store is no place that a provider can fetch from.
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.ledger import FailureKind, Job, JobKind
from video_pipeline.media import jpeg_bytes, last_frame
from video_pipeline.storage import ObjectStore, frame_key

if TYPE_CHECKING:
    from PIL.Image import Image

_STORED = "store:"
# Runway takes data URIs of 5 MB, and vendors repeat them in their histories. A JPEG of this quality loses less than
# the video's own coding has lost before.
_LARGEST_PNG, _JPEG_QUALITY = 500_000, 95


def keep_last_frame(store: ObjectStore, job: Job, length_s: float | None) -> str:
    """The address of the last frame that a shot uses of its job's file, which is in our store from then on.

    Raises MediaError and StorageError.
    """
    with store.local_copy(job.media_key or "") as path:
        picture = last_frame(path, length_s)
    shown = f"{picture.mode} {picture.size}".encode() + picture.tobytes()
    key = frame_key(hashlib.sha256(shown).hexdigest())
    if not store.exists(key):
        store.put_bytes(key, _png(picture), content_type="image/png")
    return _STORED + key


def is_kept(address: str | None) -> bool:
    """Whether an order's start image is a frame in our store."""
    return address is not None and address.startswith(_STORED)


def goes_on(attempt: Attempt, history: Sequence[Job]) -> bool:
    """Whether an attempt starts from the frame before, where there is one.

    A substitute shows something else, and an anchor has a picture of its own. After a refusal the frame is left out,
    as it may be what was refused.
    """
    refused = any(job.failure_kind is FailureKind.MODERATION for job in history)
    own = attempt.kind is JobKind.IMAGE or attempt.image is not None
    return not (refused or own or attempt.strategy is Strategy.SHOT_SUBSTITUTION)


def as_sent(store: ObjectStore, job: Job) -> Job:
    """The job with the frame that it starts from in the place of its address. Raises StorageError."""
    address = job.order.start_image
    if address is None or not is_kept(address):
        return job
    data = store.read_bytes(address.removeprefix(_STORED))
    kind = "png"
    if len(data) > _LARGEST_PNG:
        from PIL import Image

        data, kind = jpeg_bytes(Image.open(io.BytesIO(data)), _JPEG_QUALITY), "jpeg"
    inline = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    order = job.order.model_copy(update={"start_image": inline})
    request = json.loads(json.dumps(job.request).replace(json.dumps(address), json.dumps(inline)))
    return replace(job, order=order, request=request)


def _png(picture: "Image") -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
