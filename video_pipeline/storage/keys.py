"""The key scheme: which name an object has in the store, and which names are refused."""

import re
from datetime import date

from video_pipeline.errors import StorageError

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._=+@-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX = re.compile(rf"(?:{_SEGMENT}/)*(?:{_SEGMENT})?")
# S3 allows 1024 bytes; the rest is left for a store's own prefix.
_MAX_KEY_LENGTH = 800


def check_key(key: str) -> str:
    """Return `key` unchanged, or raise StorageError.

    A key is one or more segments joined by `/`. A segment starts with a letter, digit or `_`, so that `..`, hidden
    names, absolute paths, backslashes, NUL and control characters cannot be said at all.
    """
    if len(key) > _MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise StorageError(
            f"The storage key {key[:120]!r} is not allowed: use segments of letters, digits and ._=+@- joined "
            f"by '/', none starting with a dot, {_MAX_KEY_LENGTH} characters at most."
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` (empty, or the beginning of a key) unchanged, or raise StorageError."""
    if len(prefix) > _MAX_KEY_LENGTH or not _PREFIX.fullmatch(prefix):
        raise StorageError(f"The storage prefix {prefix[:120]!r} is not the beginning of any allowed key.")
    return prefix


def clip_key(day: date | str, brief_id: str, stage: str, name: str) -> str:
    """Key of a clip's file: `clips/2026-11-21/<brief>/<stage>/<name>`; `day` is a date or its ISO text."""
    return check_key(f"clips/{day}/{brief_id}/{stage}/{name}")


def frame_key(sha256: str) -> str:
    """Key of a single frame that a clip goes on from: `frames/<sha256 of what it shows>.png`."""
    return check_key(f"frames/{sha256}.png")


def table_key(asset: str, partition: str) -> str:
    """Key of an asset's table for one partition: `tables/<asset>/<partition>.parquet`."""
    return check_key(f"{tables_of(asset)}{partition}.parquet")


def tables_of(asset: str) -> str:
    """What the keys of all of an asset's tables begin with; in order of the keys the last is of the newest day."""
    return f"tables/{asset}/"


def report_key(day: date | str, name: str) -> str:
    """Key of a page or picture made for people: `reports/2026-11-21/<name>`."""
    return check_key(f"reports/{day}/{name}")


def reference_key(sha256: str, suffix: str) -> str:
    """Key of a reference picture, which its content names: `references/<sha256>.jpg`."""
    return check_key(f"references/{sha256}{suffix}")
