"""What is to be upscaled to what: files, folders and globs on one side, names of results on the other."""

import glob
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from video_pipeline.errors import ConfigurationError
from video_pipeline.upscaling.film.partial_file import fitted_name
from video_pipeline.upscaling.record import Record, place_of, sha256_of

CLIP_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".m4v"})
# Endings of films that cannot be written, or not be read: with them a name is a file's. Any other dot is only a dot.
_FILM_SUFFIXES = CLIP_SUFFIXES | {
    *(".3g2", ".3gp", ".avi", ".f4v", ".flv", ".gif", ".m2ts", ".mpeg", ".mpg", ".mts"),
    *(".mxf", ".ogv", ".qt", ".ts", ".vob", ".wmv"),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One file to upscale, and the file to write."""

    source: Path
    target: Path


class _NoClip(Exception):
    """A source is a folder or a glob and names no clip; says why, without the source's name."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A source, or a file or folder below one, that is not upscaled, and why."""

    path: Path
    reason: str


def find_tasks(
    sources: Sequence[str], target: str | os.PathLike[str]
) -> tuple[list[Task], Path | None, list[LeftOut]]:
    """List what `sources` (files, folders, globs) name, each with its target; the target folder; what is left out.

    A `target` that ends like a film is a file and takes one source. Any other, and any that ends in a slash, is a
    folder: each result gets its source's name as .mp4, below the same subfolders. Where that name is another's, it
    gets the source's whole name before .mp4. A source keeps the name that it has in the folder's record. What cannot
    be read, and a source without a clip beside others with some, is left out. Raises ConfigurationError when nothing
    matches, when the target is no place, when several sources are to become one file, or when a source would be
    replaced by its own result.
    """
    place = Path(target)
    try:
        is_folder, is_there = place.is_dir(), place.exists()
    except OSError as error:
        raise ConfigurationError(f"{place} cannot be written to ({error.strerror}); name another target.") from error
    into_folder = os.fspath(target).endswith("/") or is_folder or place.suffix.lower() not in _FILM_SUFFIXES
    if into_folder and is_there and not is_folder:
        raise ConfigurationError(f"{place} is a file and no folder; name a folder, or a .mp4, .mov or .mkv to write.")
    record = Record(place if into_folder else None)
    left_out: list[LeftOut] = []
    nothing: list[LeftOut] = []
    found: dict[Path, tuple[Path, Path]] = {}
    for source in sources:
        try:
            for path, below in _files(source, place, record, left_out):
                found.setdefault(place_of(path), (path, below))
        except _NoClip as error:
            nothing.append(LeftOut(Path(source), str(error)))
    if nothing and not found:
        raise ConfigurationError(f"{nothing[0].path} {nothing[0].reason}.")
    left_out += nothing
    files = list(found.values())
    if not into_folder:
        if len(files) > 1:
            raise ConfigurationError(f"{len(files)} files cannot all become {place}; name a folder as the target.")
        tasks = [Task(path, place) for path, _ in files]
    else:
        tasks = _named(files, place, record)
    for task in tasks:
        # Not Path.resolve, which does not take links that lead to themselves.
        if os.path.realpath(task.source) == os.path.realpath(task.target):
            raise ConfigurationError(f"{task.source} would be replaced by its own result; name another target.")
    return tasks, place if into_folder else None, left_out


def _named(files: Sequence[tuple[Path, Path]], folder: Path, record: Record) -> list[Task]:
    """A task for each file, no two with one name: those of the record first, then the others in their order."""
    targets: dict[Path, Path] = {}
    for path, below in files:
        made = [target for target in record.targets_of(path) if target.parent == folder / below.parent]
        if made:
            targets[path] = made[0]
    taken = {_place(target): path for path, target in targets.items()}
    # A folder's name, or another source, is no result's either.
    taken |= {_place(folder / parent): Path() for _, below in files for parent in below.parents}
    taken |= {_place(path): path for path, _ in files}
    for path, below in files:
        if path in targets:
            continue
        for name in _names(below.name):
            target = folder / below.with_name(name)
            if taken.get(_place(target), path) == path and not _is_of_another(target, path, record):
                targets[path] = target
                taken[_place(target)] = path
                break
    return [Task(path, targets[path]) for path, _ in files]


def _names(name: str) -> Iterator[str]:
    """Names for the result of a source called `name`: "a.mp4" for "a.mov", then "a.mov.mp4", "a.mov 2.mp4"."""
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in _FILM_SUFFIXES else name
    yield fitted_name(stem, ".mp4")
    yield fitted_name(name, ".mp4")
    yield from (fitted_name(name, f" {number}.mp4") for number in count(2))


def _is_of_another(target: Path, source: Path, record: Record) -> bool:
    """Whether `target` is the result of another source than `source`, which may have been moved since."""
    other = record.source_of(target)
    if other is None or other == place_of(source):
        return False
    try:
        return not record.is_made_from(target, sha256_of(source))
    except OSError:
        return True


def _place(path: Path) -> str:
    """The same for all paths that are one where names are compared without regard to case or composition."""
    return unicodedata.normalize("NFC", str(place_of(path))).casefold()


def _files(source: str, target: Path, record: Record, left_out: list[LeftOut]) -> list[tuple[Path, Path]]:
    """Pairs (file, path below the target folder) for a file, a folder's clips at any depth, or a glob.

    Raises _NoClip for a folder or a glob without any.
    """
    path = Path(source)
    try:
        folder, there = path.is_dir(), path.exists()
    except OSError:
        # Too long a name, or a folder above that is closed: it is told of like any file that cannot be read.
        folder, there = False, True
    if folder:
        # Where the folder is its own target, only the record tells results from sources.
        results = target.resolve() if target.resolve() != path.resolve() else None
        found: list[Path] = []
        for entry in _walk(path, results, left_out):
            reason = _why_no_clip(entry, record, None if results else target)
            if reason:
                left_out.append(LeftOut(entry, reason))
            else:
                found.append(entry)
        if not found:
            raise _NoClip(f"holds no clip ({', '.join(sorted(CLIP_SUFFIXES))})")
        return [(entry, entry.relative_to(path)) for entry in sorted(found)]
    if not there and glob.has_magic(source):
        # Not Path.glob, which takes no absolute pattern.
        names = [Path(name) for name in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207
        reasons = [(name, _why_no_file(name)) for name in names]
        matched = [name for name, reason in reasons if not reason]
        if not matched:
            raise _NoClip("matches no file")
        left_out += [LeftOut(name, reason) for name, reason in reasons if reason and not _is_folder(name)]
        return [(match, Path(match.name)) for match in matched]
    return [(path, Path(path.name))]


def _walk(folder: Path, results: Path | None, left_out: list[LeftOut]) -> Iterator[Path]:
    """What is in `folder` at any depth and is no folder; `results` is not entered."""

    def unreadable(error: OSError) -> None:
        left_out.append(LeftOut(Path(error.filename), f"the folder cannot be read: {error.strerror}"))

    for name, folders, names in os.walk(folder, onerror=unreadable):
        here = Path(name)
        for below in sorted(folders):
            if _is_link(here / below):
                left_out.append(LeftOut(here / below, "a link to a folder"))
        folders[:] = [below for below in sorted(folders) if (here / below).resolve() != results]
        yield from (here / below for below in names)


def _why_no_clip(entry: Path, record: Record, folder: Path | None) -> str:
    """Why a folder's `entry` is not upscaled; empty for one that is."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.suffix.lower() not in CLIP_SUFFIXES:
        return f"the name does not end in {', '.join(sorted(CLIP_SUFFIXES))}"
    if reason := _why_no_file(entry):
        return reason
    if folder is not None and record.is_result(entry):
        return "a result of an earlier run"
    return ""


def _why_no_file(path: Path) -> str:
    """Why `path` cannot be read as a file; empty for one that may be."""
    try:
        return "" if path.is_file() else "no file, or a link to none"
    except OSError as error:
        # A folder above that may be listed and not entered, or a link to no possible name.
        return f"it cannot be read: {error.strerror}"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:
        # It cannot be entered either, and that is told.
        return False
