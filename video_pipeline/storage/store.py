"""What every object store promises, whatever it is made of."""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from video_pipeline.errors import StorageError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    """An object as it lies in the store; `sha256` is the hex digest taken when it was written."""

    key: str
    size_bytes: int
    sha256: str
    url: str


class ObjectStore(Protocol):
    """Bytes under keys. Every method raises StorageError with a sentence when the store cannot do its work.

    Media never change under a key: putting the same bytes again is a no-op and putting others is refused, so a
    re-materialised partition cannot replace what was approved. Tables are rewritten with `overwrite=True`.
    """

    def put_file(self, key: str, path: Path, *, content_type: str) -> StoredObject:
        """Store the file at `path`, all or nothing."""
        ...

    def put_bytes(self, key: str, data: bytes, *, content_type: str, overwrite: bool = False) -> StoredObject:
        """Store `data`, all or nothing."""
        ...

    def fetch(self, key: str, path: Path) -> StoredObject:
        """Write the object to `path` (temporary file, checksum compared, atomic rename)."""
        ...

    def read_bytes(self, key: str) -> bytes:
        """The object's bytes, checksum compared."""
        ...

    def stat(self, key: str) -> StoredObject | None:
        """What is stored under `key`, or None."""
        ...

    def exists(self, key: str) -> bool:
        """Whether something is stored under `key`."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """The keys that begin with `prefix`, in order."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is no error."""
        ...

    def url(self, key: str) -> str:
        """Our own URL of the object (`file://` or `s3://`), whether or not it exists."""
        ...

    def local_copy(self, key: str) -> AbstractContextManager[Path]:
        """A path to read the object at, valid inside the `with` block; never write to it."""
        ...


def hash_stream(stream: BinaryIO) -> str:
    """Hex sha256 of the rest of an open binary file."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def missing(key: str, url: str) -> StorageError:
    """The error for reading a key that holds nothing."""
    return StorageError(f"Nothing is stored under {key} ({url}).")


def conflict(key: str, url: str) -> StorageError:
    """The error for putting other bytes under a media key."""
    return StorageError(
        f"{key} already holds other bytes ({url}); a stored clip is never replaced, so put the new one under "
        f"a new name."
    )


def corrupted(key: str, url: str) -> StorageError:
    """The error for an object whose bytes no longer have the checksum they were stored with."""
    return StorageError(
        f"{key} does not have the checksum it was stored with ({url}); the copy is damaged, restore it from "
        f"a backup or delete it so that it is made again."
    )
