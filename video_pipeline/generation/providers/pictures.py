"""The picture that a job starts from, for adapters that hand over its bytes and not its address."""

import base64
import binascii

import httpx

from video_pipeline.generation.download import NeverFetched, NotFetched, download
from video_pipeline.generation.providers.protocol import NotAccepted
from video_pipeline.ledger import FailureKind
from video_pipeline.scratch import scratch_folder

_MAX_BYTES = 32 * 1024 * 1024


async def picture_at(client: httpx.AsyncClient, address: str, *, trusted_origins: frozenset[str]) -> bytes:
    """The bytes behind an address or in a data URI.

    Raises NotAccepted: what cannot be had now is nobody's fault, and what can never be had makes the request invalid.
    """
    try:
        return await _fetched(client, address, trusted_origins)
    except NotFetched as error:
        kind = FailureKind.INVALID if isinstance(error, NeverFetched) else FailureKind.TRANSIENT
        raise NotAccepted(kind, f"the start image could not be had: {error}") from error


async def _fetched(client: httpx.AsyncClient, address: str, trusted_origins: frozenset[str]) -> bytes:
    head, comma, data = address.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise NeverFetched("its data URI cannot be read") from None
    with scratch_folder("start-image") as folder:
        file = await download(
            client, address, folder / "image", trusted_origins=trusted_origins, max_bytes=_MAX_BYTES
        )
        return file.path.read_bytes()
