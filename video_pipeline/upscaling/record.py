"""The record that a target folder keeps of its results: the source and settings of each (G3.4)."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from video_pipeline.errors import ConfigurationError

_FILE = ".upscaled.json"
_FACTS = {"settings", "bytes", "source_sha256"}
# Records of earlier releases do not tell the source's place.
_LATER_FACTS = {"source"}


class Record:
    """What `folder` says of its results. Without a folder there is nothing to say and nothing is kept.

    Results are named by their path below the folder. Raises ConfigurationError for a record that is damaged or cannot
    be read.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._entries: dict[str, dict[str, Any]] = {}
        self._by_source: dict[Path | None, list[Path]] = {}
        if folder is not None:
            self._entries = _entries(folder / _FILE)
            for target in (folder / name for name in self._entries):
                self._by_source.setdefault(self.source_of(target), []).append(target)

    def is_result(self, target: Path) -> bool:
        """Whether `target` was made by an earlier run."""
        return self._name(target) in self._entries

    def source_of(self, target: Path) -> Path | None:
        """The absolute path of what `target` was made from, where that is told."""
        told = self._entries.get(self._name(target), {}).get("source")
        return None if told is None or self._folder is None else place_of(self._folder / told)

    def targets_of(self, source: Path) -> list[Path]:
        """The results that were made from `source`."""
        return self._by_source.get(place_of(source), [])

    def is_made_from(self, target: Path, source_sha256: str) -> bool:
        """Whether `target` was made from this content, whatever its place was."""
        return self._entries.get(self._name(target), {}).get("source_sha256") == source_sha256

    def holds(self, target: Path, settings: str) -> bool:
        """Whether `target` is there, as large as it was made, and made with these settings."""
        entry = self._entries.get(self._name(target))
        return (
            entry is not None
            and entry["settings"] == settings
            and target.is_file()
            and entry["bytes"] == target.stat().st_size
        )

    def add(self, target: Path, *, source: Path, settings: str, source_sha256: str) -> None:
        """Write down a result; what other processes wrote down meanwhile is kept."""
        assert self._folder is not None  # only what goes into one is recorded
        self._entries = _entries(self._folder / _FILE) | {
            self._name(target): {
                "settings": settings,
                "bytes": target.stat().st_size,
                "source": os.path.relpath(source, self._folder),
                "source_sha256": source_sha256,
            }
        }
        part = self._folder / f"{_FILE}.part"
        part.write_text(json.dumps(self._entries, indent=1, sort_keys=True) + "\n")
        part.replace(self._folder / _FILE)

    def _name(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix() if self._folder is not None else ""


def _entries(record: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(record.read_text())
        if not isinstance(entries, dict) or any(
            not isinstance(entry, dict)
            or set(entry) - _LATER_FACTS != _FACTS
            or not isinstance(entry.get("source", ""), str)
            for entry in entries.values()
        ):
            raise ValueError("it is no record of results")
        return entries
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(f"{record} cannot be read ({error.strerror}); make it readable.") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{record} is damaged ({error}); delete it, and all is done again.") from error


def place_of(path: Path) -> Path:
    """The absolute path, without "..". Links are not followed: a link is a source of its own."""
    return Path(os.path.normpath(path.absolute()))


def sha256_of(path: Path) -> str:
    """The sha256 of the file's content. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
