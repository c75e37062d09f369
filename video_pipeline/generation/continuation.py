"""The last frame of a segment, from which the next one of its shot goes on (G2.6).

It is kept in our store under the hash of what it shows, so an order that starts from it is the same after a restart,
and for the same clip another day.
"""

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.own_pictures import STORED
from video_pipeline.ledger import FailureKind, Job, JobKind
from video_pipeline.media import last_frame
from video_pipeline.storage import ObjectStore, frame_key

if TYPE_CHECKING:
    from PIL.Image import Image


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
    return STORED + key


def goes_on(attempt: Attempt, history: Sequence[Job]) -> bool:
    """Whether an attempt starts from the frame before, where there is one.

    A substitute shows something else, and an anchor has a picture of its own. After a refusal the frame is left out,
    as it may be what was refused.
    """
    refused = any(job.failure_kind is FailureKind.MODERATION for job in history)
    own = attempt.kind is JobKind.IMAGE or attempt.image is not None
    return not (refused or own or attempt.strategy is Strategy.SHOT_SUBSTITUTION)


def _png(picture: "Image") -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
