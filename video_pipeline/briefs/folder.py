"""What lies in a folder of the inbox: files of briefs that are complete, files that may still grow, and all the rest.

A file is complete when it has not been touched for a while, or when the folder's `manifest.sha256` names it with the
checksum that it has. Nothing is opened here that could block, and no link is followed out of the inbox.
"""

import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from video_pipeline.briefs.bounds import MAX_FILE_BYTES, NotRead
from video_pipeline.briefs.opening import LEADS_OUT, bytes_of, sha256_of
from video_pipeline.briefs.reading import SUFFIXES
from video_pipeline.days import FIRST_DAY
from video_pipeline.wire import clean

MANIFEST = "manifest.sha256"
# What a manifest names and is not there yet is waited for this long without a word.
_PATIENCE_S = 3600.0
_JUST_NOW_S = 2.0
# So many settling times after its last touch, no file is called young.
_LONG = 3
_LINE = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")
# Of desktops and of programs that have a file open.
_OF_PROGRAMS = ("thumbs.db", "desktop.ini", "icon\r")
_OF_PROGRAMS_BEGIN = (".", "~$")
_DAY_FORMATS = (
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%d/%m/%Y",
    "%Y.%m.%d",
    "%Y_%m_%d",
    "%Y%m%d",
    "%d%m%Y",
    "%m-%d-%Y",
    "%d.%m.%y",
)


@dataclass(frozen=True)
class LeftOut:
    """Something in the inbox that nothing is read from: its name there, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Contents:
    """A folder's files of briefs by name; of those that may still grow, whether only a manifest holds them up."""

    files: tuple[Path, ...]
    growing: Mapping[Path, bool]
    left_out: tuple[LeftOut, ...]


def contents_of(
    folder: Path, inbox: Path, settle_s: float, *, quiet: bool = False, watched: bool = False
) -> Contents:
    """What lies in `folder`, which is `inbox` or the folder of a day in it.

    A file that was touched within the last `settle_s` seconds may still grow. With `watched`, so may a young one that
    this process has not seen unchanged for as long. With `quiet`, nothing is looked at that would only be left out.
    What is gone meanwhile is not there.
    """
    files: list[Path] = []
    growing: dict[Path, bool] = {}
    left_out: list[LeftOut] = []
    manifest: Path | None = None
    top = folder == inbox
    if top and (why := _why_unreadable(inbox)):
        return Contents((), {}, (LeftOut("all of it", why),))
    # Of a day's folder that is a link out of the inbox, the inbox's own contents tell.
    for entry in _entries(folder) if top or not _why_no_link(folder, inbox) else ():
        path = folder / entry.name
        named = entry.name.lower().endswith(SUFFIXES)
        is_manifest = entry.name == MANIFEST
        if _is_of_programs(entry.name) or (quiet and not named and not is_manifest):
            continue
        try:
            why, status = _why_not(entry, path, inbox, top=top, named=named or is_manifest)
        except FileNotFoundError:
            continue
        if not why and status is not None:
            if stat.S_ISDIR(status.st_mode):
                continue
            if is_manifest:
                manifest = path
                continue
            files.append(path)
            if not _is_settled(path, status, settle_s, watched=watched):
                growing[path] = False
        elif why and (status is None or _is_settled(path, status, settle_s)):
            left_out.append(LeftOut(shown_name(path, inbox), why))
    if manifest is not None:
        left_out += _held_up(manifest, inbox, files, growing)
    return Contents(tuple(path for path in files if path not in growing), growing, tuple(left_out))


def day_folders(inbox: Path) -> list[date]:
    """The production days that have a folder."""
    named = [(_day_named(entry.name), entry) for entry in _entries(inbox)]
    return [day for day, entry in named if day is not None and day >= FIRST_DAY and _is_folder(inbox / entry.name)]


def shown_name(path: Path, inbox: Path) -> str:
    """A name in the inbox on one line, as it can be kept and shown; a file system may hold names that are no text."""
    return clean(re.sub(r"[\n\t]", "\ufffd", str(path.relative_to(inbox))), 200)


def readable_sha256(path: Path, inbox: Path) -> str | None:
    """What tells a file's content from any other.

    None for a file that may not be read, or that was moved, or put out of the inbox, since its folder was listed.
    """
    try:
        # Sensors ask again and again: what has not been touched is not read again.
        status = path.stat()
        if abs(time.time() - status.st_ctime) < _JUST_NOW_S:
            # It may change again under the same time.
            return _read_sha256.__wrapped__(path, inbox)
        return _read_sha256(path, inbox, *_touched(status))
    except (OSError, RuntimeError, NotRead):
        return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """By name; none where there is no such folder, or it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _why_unreadable(inbox: Path) -> str:
    """Why nothing can be read of an inbox that is there; empty when it can, or there is none."""
    try:
        with os.scandir(inbox):
            return ""
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"the inbox {clean(str(inbox))} cannot be read: {error.strerror}"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_of_programs(name: str) -> bool:
    return name.startswith(_OF_PROGRAMS_BEGIN) or name.lower() in _OF_PROGRAMS


def _why_not(
    entry: os.DirEntry[str], path: Path, inbox: Path, *, top: bool, named: bool
) -> tuple[str, os.stat_result | None]:
    """Why nothing is read from something, or an empty text, and its status; raises FileNotFoundError."""
    if not _is_text(entry.name):
        return "its name is not UTF-8; rename it", None
    if entry.is_symlink():
        why = _why_no_link(path, inbox)
        if why:
            return why, None
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        return f"it cannot be read: {error.strerror}", None
    if stat.S_ISDIR(status.st_mode):
        return _why_no_folder(entry.name, path, top=top), status
    if not stat.S_ISREG(status.st_mode):
        return "it is no file", status
    if not named:
        return _why_no_brief(entry.name), status
    if not os.access(path, os.R_OK):
        return "it may not be read; change its permissions", status
    return "", status


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _why_no_link(path: Path, inbox: Path) -> str:
    try:
        target = path.resolve(strict=True)
    except FileNotFoundError:
        return "it is a link to nothing"
    except (OSError, RuntimeError):
        return "it is a link that leads nowhere"
    if not target.is_relative_to(inbox.resolve()):
        return LEADS_OUT
    return ""


def _why_no_folder(name: str, path: Path, *, top: bool) -> str:
    """Empty for the folder of a day; a day's folder has none in it."""
    if not top:
        return "it is a folder within the folder of a day; put its files into that"
    day = _day_named(name)
    if day is not None and day < FIRST_DAY:
        return f"it is no production day; the first is {FIRST_DAY}"
    if day is not None:
        return "" if os.access(path, os.R_OK | os.X_OK) else "it may not be read; change its permissions"
    meant = _day_meant(name)
    return f"it is no day's folder; name it {meant or 'like 2026-11-21'}"


def _why_no_brief(name: str) -> str:
    plain = re.sub(r"\.txt$", "", name, flags=re.IGNORECASE)
    if plain != name and plain.lower().endswith(SUFFIXES):
        return f"it ends in .txt; name it {clean(plain, 100)}"
    return f"files of briefs end in {', '.join(SUFFIXES)}"


def _day_named(name: str) -> date | None:
    """The day whose folder has this name, which is written in this one way only."""
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    return day if day.isoformat() == name else None


def _day_meant(name: str) -> date | None:
    for written in _DAY_FORMATS:
        try:
            return datetime.strptime(name.strip(), written).date()
        except ValueError:
            continue
    return None


_first_seen: dict[Path, tuple[tuple[int, ...], float]] = {}


def _is_settled(path: Path, status: os.stat_result, settle_s: float, *, watched: bool = False) -> bool:
    """Whether a file has not been touched for `settle_s` seconds."""
    if settle_s <= 0:
        return True
    # Times of content are carried along by copies, also from zones and clocks ahead of ours; the other one is not.
    now = time.time()
    age_s = now - (status.st_ctime if status.st_mtime > now else max(status.st_mtime, status.st_ctime))
    if age_s >= _LONG * settle_s or (age_s >= settle_s and not watched):
        return True
    if age_s >= 0 and not watched:
        return False
    # The clock of a share may run ahead of ours or behind: the file is looked at twice.
    touched = _touched(status)
    seen, since = _first_seen.get(path, ((), 0.0))
    if seen != touched:
        if len(_first_seen) > 10_000:
            _first_seen.clear()
        _first_seen[path] = (touched, time.monotonic())
        return False
    return time.monotonic() - since >= settle_s


def _touched(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _read_sha256(path: Path, inbox: Path, *touched: int) -> str:
    return sha256_of(path, inbox)


def _held_up(manifest: Path, inbox: Path, files: list[Path], growing: dict[Path, bool]) -> Iterator[LeftOut]:
    """Let go what the manifest names and is all there; hold up what is not, and say so when that lasts.

    `growing` is changed.
    """
    named, wrong = _named(manifest, inbox)
    if wrong:
        yield LeftOut(shown_name(manifest, inbox), wrong)
    there = {path.name: path for path in files}
    late = _is_late(manifest)
    for name, sha256 in named.items():
        path = there.get(name)
        if path is None:
            if late and not os.path.lexists(manifest.parent / name):
                yield LeftOut(clean(name, 100), f"{MANIFEST} names it, and it is not there")
            continue
        if readable_sha256(path, inbox) == sha256:
            growing.pop(path, None)
            continue
        if _is_too_large(path):
            # Whatever it holds, it is refused.
            continue
        growing[path] = True
        if late and _is_late(path):
            yield LeftOut(shown_name(path, inbox), f"its checksum is not what {MANIFEST} says; drop it again")


def _named(manifest: Path, inbox: Path) -> tuple[dict[str, str], str]:
    """Name -> SHA-256 of the files beside the manifest, and what is wrong with it."""
    try:
        lines = bytes_of(manifest, inbox).decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}, ""
    except NotRead as error:
        return {}, str(error)
    except UnicodeDecodeError:
        return {}, "it cannot be read as UTF-8"
    found: dict[str, str] = {}
    wrong = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            return found, f"line {number} is no checksum and name, as sha256sum writes them"
        if "/" in match[2]:
            wrong = wrong or f"line {number} names what lies in another folder; name the files beside it"
            continue
        found[match[2]] = match[1].lower()
    return found, wrong


def _is_too_large(path: Path) -> bool:
    try:
        return path.stat().st_size > MAX_FILE_BYTES
    except OSError:
        return False


def _is_late(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_ctime > _PATIENCE_S
    except OSError:
        return False
