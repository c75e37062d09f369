"""The inbox: a folder of YAML, JSON and CSV files becomes briefs, or quarantined documents with reasons.

`inbox/2026-11-21/*` belongs to that day. A file at the top of the inbox belongs to the first day that claims it.
"""

import codecs
import csv
import hashlib
import io
import itertools
import json
import os
import reprlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeGuard

import yaml
from pydantic import ValidationError

from video_pipeline.briefs.brief import Brief, KnownNames
from video_pipeline.wire import clean

SUFFIXES = (".yaml", ".yml", ".json", ".csv")
MAX_FILE_BYTES = 1_000_000
# A document may hold itself, or a million things: it is shown in part.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 4, 30, 20, 500, 200
_JUST_NOW_S = 2.0
_LIST_COLUMNS = ("platforms", "broll", "bible")


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
        for source, document, raw in _documents(path, reading):
            try:
                brief = Brief.model_validate(document, context=known)
            except ValidationError as error:
                reading.quarantined.append(Quarantined(_name(path), source, _reasons(error), raw))
                continue
            if brief.brief_id in sources:
                reason = f"brief_id: {brief.brief_id} is already used by {sources[brief.brief_id]}"
                reading.quarantined.append(Quarantined(_name(path), source, (reason,), raw))
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


def _documents(path: Path, reading: InboxReading) -> list[tuple[str, Any, str]]:
    """(source, document, raw text) of every document in a file; an unreadable file is quarantined whole."""
    unread = f"{_name(path)}: not read"
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            reason = f"the file is larger than {MAX_FILE_BYTES:,} bytes"
            reading.quarantined.append(Quarantined(_name(path), _name(path), (reason,), unread))
            return []
        data = path.read_bytes()
    except FileNotFoundError:
        # It was moved away since its folder was read.
        return []
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
        reading.quarantined.append(Quarantined(_name(path), _name(path), (reason,), unread))
        return []
    # What is shown of a file may be inexact; what is parsed may not.
    # UTF-16 says so itself, as spreadsheets write it; anything else is taken for UTF-8.
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    raw = _printable(data.decode(encoding, errors="replace"))
    try:
        documents = _parse(path.suffix.lower(), data.decode(encoding))
    except (yaml.YAMLError, ValueError, csv.Error, RecursionError) as error:
        kind = "Unicode text" if isinstance(error, UnicodeDecodeError) else path.suffix.lstrip(".").upper()
        reason = _printable(f"the file is not valid {kind}: {' '.join(str(error).split())}")
        reading.quarantined.append(Quarantined(_name(path), _name(path), (reason,), raw))
        return []
    if not documents:
        reading.quarantined.append(Quarantined(_name(path), _name(path), ("the file holds no brief",), raw))
        return []
    if len(documents) == 1:
        return [(_name(path), documents[0], raw)]
    return [
        (f"{_name(path)}#{number}", document, _shown(document)) for number, document in enumerate(documents, start=1)
    ]


def _shown(document: Any) -> str:
    """A document as JSON, or in part where it cannot be said in JSON of a reasonable length."""
    try:
        chunks = json.JSONEncoder(default=str).iterencode(document)
        text = "".join(itertools.islice(chunks, MAX_FILE_BYTES))
    except (TypeError, ValueError, RecursionError):
        text = _SHORT.repr(document)
    return _printable(text)


def _printable(text: str) -> str:
    """Text that any database keeps: NUL is made visible."""
    return text.replace("\x00", "\N{SYMBOL FOR NULL}")


def _parse(suffix: str, raw: str) -> Sequence[Any]:
    """The documents of a file. A field that is given twice is kept, under a name that no brief has."""
    if suffix == ".csv":
        reader = csv.DictReader(io.StringIO(raw), strict=True)
        reader.fieldnames = _told_apart(reader.fieldnames or ())
        return [_from_row(row) for row in reader]
    if suffix == ".json":
        document = json.loads(raw, object_pairs_hook=_object)
    else:
        loaded = yaml.load_all(raw, Loader=_YamlLoader)
        documents = [document for document in loaded if document is not None]
        document = documents[0] if len(documents) == 1 else documents
    return document if _is_list(document) else [document]


def _is_list(document: Any) -> TypeGuard[list[Any]]:
    return isinstance(document, list)


class _YamlLoader(yaml.SafeLoader):
    """Tells keys that are given twice apart: YAML's own loader silently keeps the last value."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            # `<<` may stand there twice: each lays another mapping under this one.
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                key.value = f"{_again(key.value)} (line {key.start_mark.line + 1})"
            seen.add(key.value)
        return node


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object with its repeated keys told apart: Python too would keep the last value."""
    return dict(zip(_told_apart([key for key, _ in pairs]), (value for _, value in pairs), strict=True))


def _told_apart(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    told_apart: list[str] = []
    for name in names:
        told_apart.append(_again(name) if name in seen else name)
        seen.add(name)
    return told_apart


def _again(name: str) -> str:
    return f"{name} a second time"


def _from_row(row: dict[str | None, Any]) -> dict[str, Any]:
    """A CSV row as a document: empty cells are absent, lists are separated by `|`."""
    document: dict[str, Any] = {}
    for column, cell in row.items():
        if column is None:
            document["cells without a column"] = cell
        elif cell not in (None, ""):
            document[column] = [part.strip() for part in cell.split("|")] if column in _LIST_COLUMNS else cell
    return document


def _reasons(error: ValidationError) -> tuple[str, ...]:
    """One clause a finding: the field, what is wrong, and what was given."""
    reasons: list[str] = []
    for item in error.errors(include_url=False):
        place = ".".join(str(part) for part in item["loc"]) or "brief"
        given = "" if item["type"] in ("missing", "value_error") else f" (given: {_SHORT.repr(item['input'])[:80]})"
        reasons.append(_printable(f"{place}: {item['msg']}{given}"))
    return tuple(reasons)
