"""The inbox: a folder of files becomes briefs, or quarantined documents with reasons.

`inbox/2026-11-21/*` belongs to that day. A file at the top of the inbox belongs to the first day that claims it.
"""

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from video_pipeline.briefs.bounds import NotRead
from video_pipeline.briefs.brief import Brief, KnownNames
from video_pipeline.briefs.reading import SUFFIXES, read_pieces, reasons_of, shown_raw
from video_pipeline.wire import clean

_JUST_NOW_S = 2.0


@dataclass(frozen=True)
class Quarantined:
    """A document that could not be taken: its file's name, where it stands there, why, and the document itself."""

    file: str
    source: str
    reasons: tuple[str, ...]
    raw: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw.encode()).hexdigest()

    def as_row(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return {"source": self.source, "sha256": self.sha256, "reasons": list(self.reasons), "raw": self.raw}


@dataclass
class InboxReading:
    """What a day's files hold: every document is in one of the two lists; `file_of` is a brief's file, by its id."""

    briefs: list[Brief] = field(default_factory=list[Brief])
    quarantined: list[Quarantined] = field(default_factory=list[Quarantined])
    file_of: dict[str, Path] = field(default_factory=dict[str, Path])
    files: int = 0


def claim_day_files(
    inbox: Path,
    day: date,
    *,
    today: date,
    claimed: Mapping[tuple[str, str], date],
    claim: Callable[[str, str], date],
) -> list[Path]:
    """The files of `day`: its folder, and the top-level files that it has claimed or, being today, claims now.

    `claimed` maps (name, sha256) to the day that has the file; `claim(name, sha256)` gives a file to `day` unless
    another day has it, and answers whose it is.
    """
    own = _brief_files(inbox / day.isoformat())
    top = [(path, _readable_sha256(path)) for path in _brief_files(inbox)]
    if day != today:
        return own + [path for path, sha256 in top if sha256 and claimed.get((_name(path), sha256)) == day]
    # One that cannot be read is told of today, and is nobody's.
    return own + [path for path, sha256 in top if sha256 is None or claim(_name(path), sha256) == day]


def files_by_day(
    inbox: Path, today: date, claimed: Mapping[tuple[str, str], date], *, only: date | None = None
) -> dict[date, list[str]]:
    """Day up to `today` -> its files, each as a line with its name and SHA-256; with `only`, for that day alone.

    A file at the top is the day's that has claimed it, and today's while none has. What cannot be read, or is gone
    again, has not arrived.
    """
    found: dict[date, list[str]] = {}
    for path in _brief_files(inbox):
        name, sha256 = _name(path), _readable_sha256(path)
        if sha256 is not None:
            found.setdefault(claimed.get((name, sha256), today), []).append(f"{name} {sha256}")
    for day in _day_folders(inbox) if only is None else [only]:
        if day > today:
            continue
        try:
            own = _brief_files(inbox / day.isoformat())
        except OSError:
            continue
        for path in own:
            sha256 = _readable_sha256(path)
            if sha256 is not None:
                found.setdefault(day, []).append(f"{day}/{_name(path)} {sha256}")
    return {day: files for day, files in found.items() if day <= today and only in (None, day)}


def arrived_days(
    inbox: Path,
    today: date,
    *,
    claimed: Mapping[tuple[str, str], date],
    taken_in: Mapping[date, Collection[str] | None],
    only: date | None = None,
) -> dict[date, str]:
    """Day up to `today` -> a hash of those of its files that are new, or have changed, since it was taken in.

    `taken_in` maps a day to its files of then, as `files_by_day` gives them. It is None for a day that was taken in
    before they were kept: what arrived for such a day is told today only.
    With `only`, that day alone is looked at.
    """
    arrived: dict[date, str] = {}
    for day, files in files_by_day(inbox, today, claimed, only=only).items():
        known = taken_in.get(day, ())
        if known is None and day != today:
            continue
        new = sorted(set(files).difference(known or ()))
        if new:
            arrived[day] = hashlib.sha256("\n".join(new).encode()).hexdigest()
    return arrived


def _day_folders(inbox: Path) -> list[date]:
    days: list[date] = []
    for folder in inbox.iterdir() if inbox.is_dir() else ():
        try:
            days.append(date.fromisoformat(folder.name))
        except ValueError:
            continue
    return days


def files_not_taken(inbox: Path, day: date) -> list[str]:
    """Names in the day's own folder that are no files of briefs: other kinds of files, and folders."""
    folder = inbox / day.isoformat()
    if not folder.is_dir():
        return []
    taken = {path.name for path in _brief_files(folder)}
    return sorted(
        _name(path) for path in folder.iterdir() if path.name not in taken and not path.name.startswith(".")
    )


def example_files() -> list[Path]:
    """The packaged day of example briefs."""
    return _brief_files(Path(str(resources.files("video_pipeline.briefs").joinpath("examples"))))


def read_files(files: Iterable[Path], *, platforms: Iterable[str]) -> InboxReading:
    """Validate every document of every file.

    What is malformed is quarantined, as is the second brief with an id. `platforms` are the names that a brief may
    give.
    """
    reading = InboxReading()
    known = KnownNames(tuple(platforms))
    sources: dict[str, str] = {}
    for path in files:
        reading.files += 1
        name = _name(path)
        try:
            pieces = read_pieces(path)
        except FileNotFoundError:
            # It was moved away since its folder was read.
            continue
        except NotRead as error:
            reading.quarantined.append(Quarantined(name, name, (str(error),), shown_raw(path)))
            continue
        for piece in pieces:
            source = f"{name}{piece.place}"
            try:
                brief = Brief.model_validate(piece.document, context=known)
                reasons = piece.reasons
            except ValidationError as error:
                # What was not read is wrong for that alone.
                reasons = piece.reasons if not piece.document and piece.reasons else piece.reasons + reasons_of(error)
                brief = None
            if brief and brief.brief_id in sources:
                reasons += (f"brief_id: {brief.brief_id} is already used by {sources[brief.brief_id]}",)
            if brief is None or reasons:
                reading.quarantined.append(Quarantined(name, source, reasons, piece.raw))
                continue
            sources[brief.brief_id] = source
            reading.file_of[brief.brief_id] = path
            reading.briefs.append(brief)
    return reading


def arrived_at(path: Path, day: date) -> datetime | None:
    """When a file came under its name, or was last written there, by the file system's clock.

    One that was laid into its day's folder ahead of the day has arrived when the day began. None for a file that is
    gone again.
    """
    try:
        # Unlike the time of its content, this one is not carried along when a file is copied or moved.
        came = datetime.fromtimestamp(path.stat().st_ctime, UTC)
    except OSError:
        return None
    return max(came, datetime.combine(day, datetime.min.time(), UTC)) if path.parent.name == day.isoformat() else came


def _brief_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES) and entry.is_file()]
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _name(path: Path) -> str:
    """A file's name as it can be kept and shown; a file system may hold names that are no text."""
    return clean(path.name)


def _readable_sha256(path: Path) -> str | None:
    """None for a file that may not be read, or that was moved since its folder was."""
    try:
        return _file_sha256(path)
    except OSError:
        return None


def _file_sha256(path: Path) -> str:
    # Sensors ask again and again: what has not been touched is not read again.
    stat = path.stat()
    if abs(time.time() - stat.st_ctime) < _JUST_NOW_S:
        # It may change again under the same time.
        return _read_sha256.__wrapped__(path)
    return _read_sha256(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _read_sha256(path: Path, *touched: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
