"""How much a file may make of itself: whatever it holds, reading it ends soon and takes little memory."""

import time
from typing import Any, cast

from video_pipeline.errors import VideoPipelineError

MAX_FILE_BYTES = 1_000_000
MAX_UNPACKED_BYTES = 10_000_000
MAX_DOCUMENTS = 5_000
MAX_FIELDS = 200
MAX_LIST = 1_000
MAX_DEPTH = 20
MAX_VALUES = 200_000
MAX_CHARACTERS = 4_000_000
MAX_SECONDS = 10.0


class NotRead(VideoPipelineError):
    """Why a file, or one document of it, is not read: a clause for whoever dropped it."""


class Budget:
    """What is left of a file's bounds; whatever is used again, such as YAML's aliases, counts again."""

    def __init__(self) -> None:
        self._values = self._characters = self._documents = 0
        self._until = time.monotonic() + MAX_SECONDS

    def spend(self, values: int, characters: int = 0) -> None:
        """Raises NotRead when the file has become more than any file of briefs is."""
        self._values += values
        self._characters += characters
        if self._values > MAX_VALUES:
            raise NotRead(f"it unfolds to more than {MAX_VALUES:,} values")
        if self._characters > MAX_CHARACTERS:
            raise NotRead(f"it unfolds to more than {MAX_CHARACTERS:,} characters")
        self.be_quick()

    def documents(self, count: int = 1) -> None:
        """Raises NotRead when the file holds more briefs than a day has."""
        self._documents += count
        if self._documents > MAX_DOCUMENTS:
            raise NotRead(f"it holds more than {MAX_DOCUMENTS:,} documents")

    def be_quick(self) -> None:
        """Raises NotRead when the file has been read for too long."""
        if time.monotonic() > self._until:
            raise NotRead(f"it cannot be read within {MAX_SECONDS:g} s")


def tidy(document: Any, *, depth: int = 0) -> Any:
    """`document` without fields that hold nothing. Raises NotRead when it is wider or deeper than any brief is."""
    if depth > MAX_DEPTH:
        raise NotRead(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(document, dict):
        fields = cast("dict[str, Any]", document)
        if len(fields) > MAX_FIELDS:
            raise NotRead(f"it has {len(fields):,} fields in one place, more than {MAX_FIELDS}")
        return {name: tidy(value, depth=depth + 1) for name, value in fields.items() if value is not None}
    if isinstance(document, list):
        items = cast("list[Any]", document)
        if len(items) > MAX_LIST:
            raise NotRead(f"it has a list of {len(items):,} entries, more than {MAX_LIST:,}")
        return [tidy(item, depth=depth + 1) for item in items]
    return document
