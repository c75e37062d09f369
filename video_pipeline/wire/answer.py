"""An answer of a stranger: its status, and its body read by type. Whatever it holds is read or called unreadable."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from video_pipeline.errors import VendorError
from video_pipeline.wire.text import Secrets, clean

_ModelT = TypeVar("_ModelT", bound=BaseModel)
_KEPT_BODY, _KEPT_HEADER, _KEPT_HEADERS = 2000, 200, 20
# Of this much of a body, its beginning is shown.
_SHOWN_BYTES = 64 * 1024


class Unreadable(VendorError):
    """The answer is not what the vendor documents: nobody can tell from it."""


@dataclass(frozen=True)
class Answer:
    """One answer. `status` is HTTP's; `damage` says why the body is not whole, and is empty when it is.

    JSON of more than `max_values` values is not read: each takes far more memory than its bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    damage: str
    secrets: Secrets = field(repr=False)
    max_values: int = 10_000

    def header(self, name: str) -> str:
        """A header, clean; empty without one."""
        return self.secrets.clean(self.headers.get(name.lower(), ""))

    def text(self, limit: int = 300) -> str:
        """The beginning of the body for people, clean, in one line."""
        return clean(" ".join(self._text().split()), limit)

    def read(self, model: type[_ModelT]) -> _ModelT:
        """The JSON body as `model`, every string in it clean. Raises Unreadable."""
        if self.damage:
            raise Unreadable(f"the answer cannot be read: {self.damage}")
        try:
            return model.model_validate(self._document)
        except ValidationError as error:
            raise Unreadable(f"the answer is not as documented: {_first(error)}") from None
        except (ValueError, RecursionError):
            raise Unreadable("the answer is not as documented: it is no JSON that can be read") from None

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that the `Retry-After` header asks for, from its number or its date; None without a usable one."""
        given = self.header("Retry-After").strip()
        try:
            seconds = float(given)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds()
            except (ValueError, TypeError, OverflowError):
                return None
        return max(0.0, seconds) if math.isfinite(seconds) else None

    def kept(self) -> dict[str, Any]:
        """The answer as the ledger keeps it: clean, and no more of it than a person needs to judge it."""
        headers = list(self.headers)[:_KEPT_HEADERS]
        document: dict[str, Any] = {
            "status": self.status,
            "headers": {clean(name, 100): clean(self.header(name), _KEPT_HEADER) for name in headers},
            "body": clean(self._text()),
            "body_bytes": len(self.body),
        }
        return document | ({"damage": self.damage} if self.damage else {})

    @cached_property
    def _document(self) -> Any:
        """The body as JSON, every string in it clean; an answer is often read as several types.

        Raises Unreadable, ValueError or RecursionError.
        """
        # Each value but the first begins behind one of these, which may also stand in words.
        if sum(map(self.body.count, (b",", b"[", b"{"))) > self.max_values:
            raise Unreadable("the answer is not as documented: it holds too many values")
        return self.secrets.clean(json.loads(self.body.decode("utf-8-sig"), parse_constant=_refused))

    def _text(self) -> str:
        """The beginning of the body, redacted; JSON as people read it."""
        if len(self.body) <= _SHOWN_BYTES:
            with suppress(Unreadable, ValueError, RecursionError):
                return json.dumps(self._document, ensure_ascii=False)[:_KEPT_BODY]
        return self.secrets.redacted(self.body[:_SHOWN_BYTES].decode("utf-8", "replace"))[:_KEPT_BODY]


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _first(error: ValidationError) -> str:
    """Where the first fault is and what it is; never the value, which may be anything."""
    first = error.errors(include_input=False, include_url=False)[0]
    return clean(f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}", 200)
