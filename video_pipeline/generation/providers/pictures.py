"""The picture that a job starts from, for adapters that hand over its bytes and not its address."""

import base64
import binascii

import httpx

from video_pipeline.generation.download import NotFetched, download
from video_pipeline.scratch import scratch_folder

_MAX_BYTES = 32 * 1024 * 1024


async def picture_at(client: httpx.AsyncClient, address: str, *, trusted_origins: frozenset[str]) -> bytes:
    """The bytes behind an address or in a data URI. Raises NotFetched."""
    head, comma, data = address.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise NotFetched("its data URI cannot be read") from None
    with scratch_folder("start-image") as folder:
        file = await download(
            client, address, folder / "image", trusted_origins=trusted_origins, max_bytes=_MAX_BYTES
        )
        return file.path.read_bytes()
