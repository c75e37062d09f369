"""The inbox: a folder of files becomes briefs, or quarantined documents with reasons.

`inbox/2026-11-21/*` belongs to that day. A file at the top of the inbox belongs to the first day that claims it.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from video_pipeline.briefs.bibles import CHARACTERS, NO_FOLDER, SCENES, BiblesFolder, read_bibles
from video_pipeline.briefs.bounds import NotRead
from video_pipeline.briefs.brief import BROKEN_BIBLE, Brief, KnownNames
from video_pipeline.briefs.folder import LeftOut, contents_of, day_folders, readable_sha256, shown_name
from video_pipeline.briefs.opening import bytes_of
from video_pipeline.briefs.reading import SUFFIXES, read_pieces, reasons_of, shown_raw
from video_pipeline.days import begins_at, today

# For so many settling times a command waits for files that go on growing.
_PATIENCE = 4


@dataclass(frozen=True)
class Quarantined:
    """A document that could not be taken: its file's name, where it stands there, why, and the document itself.

    `bible`: nothing is wrong with the document itself, only with the files of bibles that it names.
    """

    file: str
    source: str
    reasons: tuple[str, ...]
    raw: str
    bible: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw.encode()).hexdigest()

    def as_row(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return {"source": self.source, "sha256": self.sha256, "reasons": list(self.reasons), "raw": self.raw}


@dataclass
class InboxReading:
    """What a day's files hold: every document is in one of the two lists.

    `file_of` and `source_of` are a brief's file, and the name of its place there, by its id. `doubts` say what of
    sound briefs will not come out as written. `left` are the files that changed while they were read, and are left
    to a later run.
    """

    briefs: list[Brief] = field(default_factory=list[Brief])
    quarantined: list[Quarantined] = field(default_factory=list[Quarantined])
    file_of: dict[str, Path] = field(default_factory=dict[str, Path])
    source_of: dict[str, str] = field(default_factory=dict[str, str])
    doubts: list[str] = field(default_factory=list[str])
    left: list[Path] = field(default_factory=list[Path])
    files: int = 0


def claim_day_files(
    inbox: Path,
    day: date,
    *,
    today: date,
    claimed: Mapping[tuple[str, str], date],
    claim: Callable[[str, str], date],
    settle_s: float = 0.0,
) -> dict[Path, str | None]:
    """The complete files of `day`: its folder, and the top-level files that it has claimed or, being today, claims.

    A file maps to its SHA-256, and to None where it cannot be read.

    `claimed` maps (name, sha256) to the day that has the file; `claim(name, sha256)` gives a file to `day` unless
    another day has it, and answers whose it is. What was touched in the last `settle_s` seconds is not complete.
    """
    own, top = (
        {path: readable_sha256(path, inbox) for path in contents_of(folder, inbox, settle_s, quiet=True).files}
        for folder in (inbox / day.isoformat(), inbox)
    )
    for path, sha256 in top.items():
        if day != today:
            taken = sha256 is not None and claimed.get((_name(path), sha256)) == day
        else:
            # One that cannot be read is told of today, and is nobody's.
            taken = sha256 is None or claim(_name(path), sha256) == day
        if taken:
            own[path] = sha256
    return own


def files_by_day(
    inbox: Path,
    today: date,
    claimed: Mapping[tuple[str, str], date],
    *,
    only: date | None = None,
    settle_s: float = 0.0,
    watched: bool = False,
) -> dict[date, list[str]]:
    """Day up to `today` -> its complete files, each as a line with name and SHA-256; with `only`, for that day alone.

    A file at the top is the day's that has claimed it, and today's while none has. What cannot be read, or is gone
    again, has not arrived.
    """
    found: dict[date, list[str]] = {}
    for path in contents_of(inbox, inbox, settle_s, quiet=True, watched=watched).files:
        name, sha256 = arrival_name(path, inbox), readable_sha256(path, inbox)
        if sha256 is not None:
            found.setdefault(claimed.get((name, sha256), today), []).append(f"{name} {sha256}")
    for day in day_folders(inbox) if only is None else [only]:
        if day > today:
            continue
        for path in contents_of(inbox / day.isoformat(), inbox, settle_s, quiet=True, watched=watched).files:
            sha256 = readable_sha256(path, inbox)
            if sha256 is not None:
                found.setdefault(day, []).append(f"{arrival_name(path, inbox)} {sha256}")
    return {day: files for day, files in found.items() if day <= today and only in (None, day)}


def arrival_name(path: Path, inbox: Path) -> str:
    """What a file is called in the lines of `files_by_day`."""
    return _name(path) if path.parent == inbox else f"{path.parent.name}/{_name(path)}"


def arrived_days(
    inbox: Path,
    today: date,
    *,
    claimed: Mapping[tuple[str, str], date],
    taken_in: Mapping[date, Collection[str] | None],
    only: date | None = None,
    settle_s: float = 0.0,
) -> dict[date, str]:
    """Day up to `today` -> a hash of those of its files that are new, or have changed, since it was taken in.

    `taken_in` maps a day to its files of then, as `files_by_day` gives them. It is None for a day that was taken in
    before they were kept: what arrived for such a day is told today only.
    With `only`, that day alone is looked at. A young file has to be seen the same for `settle_s` seconds.
    """
    arrived: dict[date, str] = {}
    for day, files in files_by_day(inbox, today, claimed, only=only, settle_s=settle_s, watched=True).items():
        known = taken_in.get(day, ())
        if known is None and day != today:
            continue
        new = sorted(set(files).difference(known or ()))
        if new:
            arrived[day] = hashlib.sha256("\n".join(new).encode()).hexdigest()
    return arrived


@dataclass(frozen=True)
class Unread:
    """What of the inbox is not read now, by the names there.

    `left_out` and why; `growing`, which may not be complete; the days to come that have files, with how many.
    """

    left_out: tuple[LeftOut, ...]
    growing: tuple[str, ...]
    to_come: Mapping[date, int]

    @property
    def names(self) -> tuple[str, ...]:
        return (*(item.name for item in self.left_out), *self.growing)

    def and_left(self, left: Iterable[Path], inbox: Path) -> "Unread":
        """With the files that changed while they were read."""
        return replace(self, growing=(*self.growing, *(shown_name(path, inbox) for path in left)))


def unread(
    inbox: Path, today: date, *, only: date | None = None, settle_s: float = 0.0, watched: bool = False
) -> Unread:
    """What of the inbox nothing is read from; with `only`, at its top and in the folder of that day alone."""
    days = day_folders(inbox)
    folders = [inbox, *(inbox / str(day) for day in days if only in (None, day))]
    found = {folder: contents_of(folder, inbox, settle_s, watched=watched) for folder in folders}
    to_come: dict[date, int] = {}
    for day in days:
        if day > today:
            folder = inbox / str(day)
            there = found.get(folder) or contents_of(folder, inbox, settle_s, quiet=True)
            if count := len(there.files) + len(there.growing):
                to_come[day] = count
    return Unread(
        tuple(item for contents in found.values() for item in contents.left_out),
        tuple(shown_name(path, inbox) for contents in found.values() for path in contents.growing),
        to_come,
    )


def wait_until_settled(
    inbox: Path, day: date, settle_s: float, *, on_wait: Callable[[str], None] = lambda names: None
) -> None:
    """Wait while files of `day` may still grow, and not for long: what goes on growing arrives for a later run.

    `on_wait` hears their names once.
    """
    # What lies at the top is today's.
    folders = [inbox / day.isoformat(), *([inbox] if day == today() else [])]
    until = time.monotonic() + _PATIENCE * settle_s
    told = False
    while time.monotonic() < until:
        found = [contents_of(folder, inbox, settle_s, quiet=True) for folder in folders]
        growing = [path for contents in found for path, awaited in contents.growing.items() if not awaited]
        if not growing:
            return
        if not told:
            on_wait(", ".join(shown_name(path, inbox) for path in growing[:5]))
            told = True
        time.sleep(min(settle_s / 10, 0.25))


def example_bibles() -> BiblesFolder:
    """The packaged bibles that the packaged briefs name."""
    return read_bibles(Path(str(resources.files("video_pipeline.briefs").joinpath("examples", "bibles"))))


def example_files() -> list[Path]:
    """The packaged day of example briefs."""
    folder = Path(str(resources.files("video_pipeline.briefs").joinpath("examples")))
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)


Refusals = Callable[[Brief], Mapping[str, Sequence[str]]]
"""Which of a brief's platforms could never take its clip, and why, a sentence each."""


def none_refused(brief: Brief) -> Mapping[str, Sequence[str]]:
    """Where nobody knows what platforms take."""
    return {}


def read_files(
    files: Iterable[Path],
    *,
    platforms: Iterable[str],
    refusals: Refusals = none_refused,
    inbox: Path | None = None,
    claimed: Mapping[Path, str | None] | None = None,
    bibles: BiblesFolder = NO_FOLDER,
) -> InboxReading:
    """Validate every document of every file.

    What is malformed is quarantined, as is the second brief with an id, and a brief that all of its platforms would
    refuse. `platforms` are the names that a brief may give, as are the entries of `bibles`. Nothing is read that lies
    outside of `inbox`, and no file that is not as it was `claimed`.
    """
    reading = InboxReading()
    known = KnownNames(
        tuple(platforms),
        characters=tuple(bibles.characters),
        scenes=tuple(bibles.scenes),
        broken_characters=bibles.broken_in(CHARACTERS),
        broken_scenes=bibles.broken_in(SCENES),
    )
    for path in files:
        reading.files += 1
        name, data = _name(path), None
        try:
            data = bytes_of(path, inbox)
            if claimed is not None and hashlib.sha256(data).hexdigest() != claimed[path]:
                reading.left.append(path)
                continue
            pieces = read_pieces(data, path.suffix.lower())
        except FileNotFoundError:
            # It was moved away since its folder was read.
            continue
        except NotRead as error:
            raw = "not read" if data is None else shown_raw(data)
            reading.quarantined.append(Quarantined(name, name, (str(error),), raw))
            continue
        for piece in pieces:
            source, bible = f"{name}{piece.place}", False
            try:
                brief = Brief.model_validate(piece.document, context=known)
                reasons = piece.reasons
            except ValidationError as error:
                bible = not piece.reasons and all(found["type"] == BROKEN_BIBLE for found in error.errors())
                # What was not read is wrong for that alone.
                reasons = piece.reasons if not piece.document and piece.reasons else piece.reasons + reasons_of(error)
                brief = None
            if brief and brief.brief_id in reading.source_of:
                reasons += (f"brief_id: {brief.brief_id} is already used by {reading.source_of[brief.brief_id]}",)
            refused: Mapping[str, Sequence[str]] = refusals(brief) if brief and not reasons else {}
            if brief and set(refused) == set(brief.platforms):
                reasons += tuple(dict.fromkeys(reason for broken in refused.values() for reason in broken))
            if brief is None or reasons:
                reading.quarantined.append(Quarantined(name, source, reasons, piece.raw, bible))
                continue
            reading.source_of[brief.brief_id] = source
            reading.file_of[brief.brief_id] = path
            reading.briefs.append(brief)
            for platform, broken in refused.items():
                reading.doubts.append(f"{source}: nothing will go to {platform}, as {'; '.join(broken)}")
            reading.doubts += [f"{source}: {hidden}, which shows as nothing" for hidden in brief.hidden]
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
    return max(came, begins_at(day)) if path.parent.name == day.isoformat() else came


def _name(path: Path) -> str:
    """A file's name as it can be kept and shown; a file system may hold names that are no text."""
    return shown_name(path, path.parent)
