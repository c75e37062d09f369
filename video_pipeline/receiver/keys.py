"""A vendor's public keys: a JSON Web Key Set (RFC 7517) fetched from its own host, and kept for a day."""

import asyncio
import base64
import time

import httpx
from pydantic import BaseModel, Field

from video_pipeline.errors import VendorError
from video_pipeline.wire import Bounds, Line, Unreadable

_BOUNDS = Bounds(total_s=5.0, max_bytes=64 * 1024)
_LIFE_S = 24 * 3600.0
# However many calls come whose signatures fit no key, the vendor is asked no more often.
_PAUSE_S = 10.0
_KEY_BYTES = 32


class _Key(BaseModel):
    kty: str = ""
    crv: str = ""
    x: str = ""

    def raw(self) -> bytes | None:
        """The bytes of an Ed25519 key; None for a key of another kind."""
        if (self.kty, self.crv) != ("OKP", "Ed25519"):
            return None
        try:
            raw = base64.b64decode(self.x + "=" * (-len(self.x) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return None
        return raw if len(raw) == _KEY_BYTES else None


class _KeySet(BaseModel):
    keys: list[_Key] = Field(max_length=50)


class KeySet:
    """The Ed25519 keys of the vendor `name`, each of 32 bytes; they are at `url`, which is its own."""

    def __init__(self, name: str, url: str, *, pause_s: float = _PAUSE_S) -> None:
        self._name, self._url, self._pause_s = name, url, pause_s
        self._keys: tuple[bytes, ...] = ()
        self._fetched_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def keys(self, *, newer: bool = False) -> tuple[bytes, ...]:
        """The keys as they were fetched within a day; `newer` asks again, where that is not too soon.

        Older ones serve while the vendor cannot be asked. Raises VendorError when there are none at all.
        """
        async with self._asking:
            now = time.monotonic()
            wanted = newer or now - self._fetched_at > _LIFE_S
            if wanted and now - self._asked_at >= self._pause_s:
                self._asked_at = now
                try:
                    self._keys = await self._fetch()
                    self._fetched_at = now
                except VendorError:
                    if not self._keys:
                        raise
        if not self._keys:
            raise VendorError(f"the keys of {self._name} could not be fetched a moment ago")
        return self._keys

    async def _fetch(self) -> tuple[bytes, ...]:
        async with httpx.AsyncClient(trust_env=False) as client:
            line = Line(self._name, origins=[self._url], client=client)
            answer = await line.ask("GET", self._url, bounds=_BOUNDS)
        if answer.status != 200:
            raise VendorError(f"{self._name} answered {answer.status} when it was asked for its keys")
        try:
            keys = tuple(raw for key in answer.read(_KeySet).keys if (raw := key.raw()) is not None)
        except Unreadable as error:
            raise VendorError(f"the keys of {self._name} cannot be read: {error}") from None
        if not keys:
            raise VendorError(f"{self._name} names no Ed25519 key")
        return keys
