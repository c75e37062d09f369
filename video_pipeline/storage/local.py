"""The object store in a folder on this machine (or a mounted share).

Layout: objects under their keys, and two hidden folders that no key can name: `.checksums/<key>` with the digest
each object was stored with, and `.incoming/` with files still being written.
"""

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from video_pipeline.errors import StorageError
from video_pipeline.storage.keys import check_key, check_prefix
from video_pipeline.storage.store import (
    CHUNK_BYTES,
    StoredObject,
    conflict,
    corrupted,
    hash_stream,
    missing,
)

# A killed process leaves its temporary file behind; no upload lasts this long.
_ABANDONED_AFTER_S = 24 * 3600


class LocalStore:
    """ObjectStore in a folder; `root` is created. Safe for several processes on one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self._incoming = self.root / ".incoming"
        self._checksums = self.root / ".checksums"
        with _sentences(f"open the store folder {self.root}"):
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._checksums.mkdir(exist_ok=True)
            self._sweep()

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def put_file(self, key: str, path: Path, *, content_type: str) -> StoredObject:
        """Store a copy of `path`. A folder keeps no content type; the key's suffix stands for it."""
        with _sentences(f"store {path} as {key}"), path.open("rb") as source:
            return self._put(key, iter(lambda: source.read(CHUNK_BYTES), b""), overwrite=False)

    def put_bytes(self, key: str, data: bytes, *, content_type: str, overwrite: bool = False) -> StoredObject:
        """Store `data`; replaces other bytes only when `overwrite`."""
        with _sentences(f"store {key}"):
            return self._put(key, (data,), overwrite=overwrite)

    def fetch(self, key: str, path: Path) -> StoredObject:
        """Copy the object to `path`."""
        with _sentences(f"copy {key} to {path}"), self._open(key) as (source, stored):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _temporary_file(path.parent) as (target, temporary):
                if _copy(iter(lambda: source.read(CHUNK_BYTES), b""), target) != stored.sha256:
                    raise corrupted(key, self.url(key))
                temporary.replace(path)
        return stored

    def read_bytes(self, key: str) -> bytes:
        """The object's bytes."""
        with _sentences(f"read {key}"), self._open(key) as (source, stored):
            data = source.read()
        if hashlib.sha256(data).hexdigest() != stored.sha256:
            raise corrupted(key, self.url(key))
        return data

    def stat(self, key: str) -> StoredObject | None:
        """What is stored under `key`, or None."""
        if not self._path(key).is_file():
            return None
        with _sentences(f"look at {key}"), self._open(key) as (_, stored):
            return stored

    def exists(self, key: str) -> bool:
        """Whether something is stored under `key`."""
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[str]:
        """The keys that begin with `prefix`, in order."""
        folder = self.root / check_prefix(prefix).rpartition("/")[0]
        keys = (path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file())
        yield from sorted(key for key in keys if key.startswith(prefix) and not key.startswith("."))

    def delete(self, key: str) -> None:
        """Remove the object and its checksum."""
        path = self._path(key)
        with _sentences(f"delete {key}"), self._locked(fcntl.LOCK_EX):
            path.unlink(missing_ok=True)
            (self._checksums / key).unlink(missing_ok=True)

    def url(self, key: str) -> str:
        """`file://` URL of the object."""
        return self._path(key).as_uri()

    @contextmanager
    def local_copy(self, key: str) -> Generator[Path]:
        """The stored file itself, not a copy."""
        path = self._path(key)
        if not path.is_file():
            raise missing(key, self.url(key))
        yield path

    def _path(self, key: str) -> Path:
        path = self.root / check_key(key)
        if not path.resolve().is_relative_to(self.root):
            raise StorageError(
                f"{key} leads out of the store folder {self.root} through a symbolic link; remove the link."
            )
        return path

    def _put(self, key: str, chunks: Iterable[bytes], *, overwrite: bool) -> StoredObject:
        path = self._path(key)
        with _temporary_file(self._incoming) as (target, temporary):
            sha256 = _copy(chunks, target)
            size_bytes = target.tell()
            with self._locked(fcntl.LOCK_EX):
                before = self._digest(key) if path.is_file() else None
                if before is not None and before != sha256 and not overwrite:
                    raise conflict(key, self.url(key))
                if before != sha256:
                    self._install(key, temporary, sha256)
        return StoredObject(key, size_bytes, sha256, self.url(key))

    def _install(self, key: str, temporary: Path, sha256: str) -> None:
        """Under the lock: a crash between these lines leaves an object without a recorded digest, never one with
        the digest of other bytes."""
        path, checksum = self.root / key, self._checksums / key
        path.parent.mkdir(parents=True, exist_ok=True)
        checksum.parent.mkdir(parents=True, exist_ok=True)
        checksum.unlink(missing_ok=True)
        temporary.replace(path)
        _sync_folder(path.parent)
        with _temporary_file(self._incoming) as (target, record):
            _copy((sha256.encode(),), target)
            record.replace(checksum)

    def _digest(self, key: str) -> str:
        checksum = self._checksums / key
        if checksum.is_file():
            return checksum.read_text()
        with (self.root / key).open("rb") as stream:
            return hash_stream(stream)

    @contextmanager
    def _open(self, key: str) -> Generator[tuple[BinaryIO, StoredObject]]:
        """The object opened for reading, with the digest that belongs to exactly these bytes."""
        path = self._path(key)
        with self._locked(fcntl.LOCK_SH):
            try:
                stream = path.open("rb")
            except FileNotFoundError:
                raise missing(key, self.url(key)) from None
            sha256 = self._digest(key)
        with stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            yield stream, StoredObject(key, size_bytes, sha256, self.url(key))

    @contextmanager
    def _locked(self, mode: int) -> Generator[None]:
        with (self._checksums / ".lock").open("a") as lock:
            fcntl.flock(lock, mode)
            yield

    def _sweep(self) -> None:
        oldest = time.time() - _ABANDONED_AFTER_S
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


@contextmanager
def _temporary_file(folder: Path) -> Generator[tuple[BinaryIO, Path]]:
    """A temporary file in `folder`, open for writing; removed on leaving unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            # mkstemp makes private files; other services of the team read the store.
            os.fchmod(stream.fileno(), 0o644)
            yield stream, path
    finally:
        path.unlink(missing_ok=True)


def _copy(chunks: Iterable[bytes], target: BinaryIO) -> str:
    """Write `chunks` down to the disk and return their hex sha256."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _sentences(action: str) -> Generator[None]:
    """Turn what the operating system says into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageError(
                f"Could not {action}: the disk or quota is full ({error.strerror}); free some space and run again. "
                f"Nothing half-written was left behind."
            ) from error
        raise StorageError(f"Could not {action}: {error.strerror or error} ({error.filename}).") from error
