"""The object store in a bucket of S3, R2 or any S3-compatible server.

Each object carries its sha256 as metadata and as S3's own checksum, which the server verifies on receipt. An ETag
would not do: it is not a digest of the content for every way of uploading.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)

from video_pipeline.errors import StorageError
from video_pipeline.scratch import scratch_folder
from video_pipeline.storage.keys import check_key, check_prefix
from video_pipeline.storage.store import (
    CHUNK_BYTES,
    StoredObject,
    conflict,
    corrupted,
    hash_stream,
    missing,
)

# One PUT takes 5 GB (docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html); a clip has a few megabytes.
_MAX_PUT_BYTES = 5_000_000_000
_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}
_LOST_RACE = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_REFUSED = {"403", "401", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "Forbidden"}


class S3Store:
    """ObjectStore in `s3://bucket/prefix`, through a boto3 S3 client (its retries, region and credentials)."""

    def __init__(self, bucket: str, prefix: str = "", *, client: Any) -> None:
        self.bucket = bucket
        self.prefix = check_prefix(prefix.strip("/"))
        self._client = client

    def __repr__(self) -> str:
        return f"S3Store('s3://{self.bucket}/{self.prefix}')"

    def put_file(self, key: str, path: Path, *, content_type: str) -> StoredObject:
        """Upload the file at `path`."""
        try:
            with path.open("rb") as stream:
                return self._put(key, stream, content_type=content_type, overwrite=False)
        except OSError as error:
            raise StorageError(f"Could not store {path} as {key}: {error.strerror or error}.") from error

    def put_bytes(self, key: str, data: bytes, *, content_type: str, overwrite: bool = False) -> StoredObject:
        """Upload `data`; replaces other bytes only when `overwrite`."""
        return self._put(key, data, content_type=content_type, overwrite=overwrite)

    def fetch(self, key: str, path: Path) -> StoredObject:
        """Download the object to `path`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
            temporary = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as target:
                    stored = self._download(key, target)
                    target.flush()
                    os.fsync(target.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"Could not write {key} to {path}: {error.strerror or error}.") from error
        return stored

    def read_bytes(self, key: str) -> bytes:
        """The object's bytes."""
        with tempfile.SpooledTemporaryFile(max_size=64 * CHUNK_BYTES) as target:
            self._download(key, target)
            target.seek(0)
            return target.read()

    def stat(self, key: str) -> StoredObject | None:
        """What is stored under `key`, or None. An object that this class did not write is read to hash it."""
        with self._sentences("look at", key):
            try:
                head = self._client.head_object(**self._address(key), ChecksumMode="ENABLED")
            except ClientError as error:
                if _code(error) in _NOT_FOUND:
                    return None
                raise
            sha256 = _recorded_digest(head) or hash_stream(self._client.get_object(**self._address(key))["Body"])
        return StoredObject(key, head["ContentLength"], sha256, self.url(key))

    def exists(self, key: str) -> bool:
        """Whether something is stored under `key`."""
        return self.stat(key) is not None

    def list(self, prefix: str = "") -> Iterator[str]:
        """The keys that begin with `prefix`, in order."""
        base = f"{self.prefix}/" if self.prefix else ""
        with self._sentences("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=base + check_prefix(prefix)
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(base)

    def delete(self, key: str) -> None:
        """Remove the object."""
        with self._sentences("delete", key):
            self._client.delete_object(**self._address(key))

    def url(self, key: str) -> str:
        """`s3://` URL of the object."""
        address = self._address(key)
        return f"s3://{address['Bucket']}/{address['Key']}"

    @contextmanager
    def local_copy(self, key: str) -> Generator[Path]:
        """A temporary download, removed afterwards."""
        with scratch_folder("copy") as folder:
            path = Path(folder, key.rpartition("/")[2])
            self.fetch(key, path)
            yield path

    def _address(self, key: str) -> dict[str, str]:
        check_key(key)
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{key}" if self.prefix else key}

    def _put(self, key: str, body: bytes | BinaryIO, *, content_type: str, overwrite: bool) -> StoredObject:
        sha256, size_bytes = _measure(body)
        if size_bytes > _MAX_PUT_BYTES:
            raise StorageError(f"{key} has {size_bytes} bytes, more than the {_MAX_PUT_BYTES} of one upload.")
        if stored := self._already_stored(key, sha256, overwrite=overwrite):
            return stored
        request = {
            **self._address(key),
            "Body": body,
            "ContentType": content_type,
            "Metadata": {"sha256": sha256},
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        }
        with self._sentences("store", key):
            try:
                self._client.put_object(**request, **({} if overwrite else {"IfNoneMatch": "*"}))
            except ClientError as error:
                if overwrite or _code(error) not in _LOST_RACE | {"NotImplemented"}:
                    raise
                if _code(error) == "NotImplemented":
                    # No conditional writes here: the look beforehand is the protection there is.
                    if not isinstance(body, bytes):
                        body.seek(0)
                    self._client.put_object(**request)
                elif stored := self._already_stored(key, sha256, overwrite=False):
                    return stored
                else:
                    # A missing bucket also answers "precondition failed" on some servers.
                    self._client.head_bucket(Bucket=self.bucket)
                    raise
        return StoredObject(key, size_bytes, sha256, self.url(key))

    def _already_stored(self, key: str, sha256: str, *, overwrite: bool) -> StoredObject | None:
        stored = self.stat(key)
        if stored and stored.sha256 == sha256:
            return stored
        if stored and not overwrite:
            raise conflict(key, self.url(key))
        return None

    def _download(self, key: str, target: Any) -> StoredObject:
        digest, size_bytes = hashlib.sha256(), 0
        with self._sentences("read", key):
            try:
                reply = self._client.get_object(**self._address(key), ChecksumMode="ENABLED")
            except ClientError as error:
                if _code(error) in _NOT_FOUND:
                    raise missing(key, self.url(key)) from error
                raise
            for chunk in reply["Body"].iter_chunks(CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
                target.write(chunk)
        sha256 = digest.hexdigest()
        if sha256 != (_recorded_digest(reply) or sha256):
            raise corrupted(key, self.url(key))
        return StoredObject(key, size_bytes, sha256, self.url(key))

    @contextmanager
    def _sentences(self, action: str, key: str) -> Generator[None]:
        """Turn boto3's errors into one sentence that says where and what to do, without any credential."""
        what = f"Could not {action} {key or 'the objects'} in the bucket {self.bucket}"
        where = self._client.meta.endpoint_url
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code == "NoSuchBucket" or (error.operation_name == "HeadBucket" and code in _NOT_FOUND):
                raise StorageError(
                    f"{what}: {where} has no such bucket; create it or correct the store URL."
                ) from error
            if code in _REFUSED:
                raise StorageError(
                    f"{what}: {where} refused the credentials ({code}); check the access key, its rights, "
                    f"and that the bucket exists."
                ) from error
            raise StorageError(
                f"{what}: {where} answered {code} ({error.response['Error'].get('Message')})."
            ) from error
        except NoCredentialsError as error:
            raise StorageError(
                f"{what}: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a role."
            ) from error
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise StorageError(f"{what}: {where} cannot be reached; check the endpoint and the network.") from error
        except BotoCoreError as error:
            raise StorageError(f"{what}: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _recorded_digest(reply: dict[str, Any]) -> str | None:
    """Hex sha256 from our metadata, else from S3's whole-object checksum (a `-3` ending marks one of parts)."""
    if recorded := reply.get("Metadata", {}).get("sha256"):
        return recorded
    checksum = reply.get("ChecksumSHA256", "")
    return base64.b64decode(checksum).hex() if checksum and "-" not in checksum else None


def _measure(body: bytes | BinaryIO) -> tuple[str, int]:
    """Hex sha256 and size; an open file is rewound afterwards."""
    if isinstance(body, bytes):
        return hashlib.sha256(body).hexdigest(), len(body)
    sha256, size_bytes = hash_stream(body), body.tell()
    body.seek(0)
    return sha256, size_bytes
