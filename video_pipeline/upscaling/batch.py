"""Files, folders and globs to upscale into a file or a folder: planning, running, and skipping finished files.

A target folder keeps a record of the source and settings of each result. A second run, or one after a kill, does only
what is missing (G3.4).
"""

import glob
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_pipeline.errors import ConfigurationError, MediaError, VideoPipelineError
from video_pipeline.media import probe
from video_pipeline.upscaling.compute.engine import Engine
from video_pipeline.upscaling.concurrency import run_concurrently
from video_pipeline.upscaling.film.geometry import check_size, grows, target_size
from video_pipeline.upscaling.film.source import plane_format
from video_pipeline.upscaling.film.video import upscale_file
from video_pipeline.upscaling.report import UpscaleProgress, UpscaleReport, UpscaleSettings

CLIP_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".m4v"})
_RECORD = ".upscaled.json"
_FACTS = {"settings", "bytes", "source_sha256"}


@dataclass(frozen=True, slots=True)
class Task:
    """One file to upscale, and the file to write."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done to one file, or why nothing can be done. Sizes are (width, height) in pixels."""

    source: Path
    target: Path
    source_size: tuple[int, int] | None
    target_size: tuple[int, int] | None
    frames: int | None
    duration_s: float | None
    action: str
    """"upscale", "resize" (as large already, or without the network), "keep" (done before), or "refuse"."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one file. Without a report, it was done before, or it failed for the reason in `error`."""

    task: Task
    report: UpscaleReport | None = None
    error: str = ""


def find_tasks(sources: Sequence[str], target: Path) -> tuple[list[Task], Path | None]:
    """List the files that `sources` (files, folders, globs) name, each with its target; and the target folder.

    A `target` with a suffix is a file and takes one source. Any other target is a folder: each result gets its
    source's name as .mp4, below the same subfolders. Clips in a target folder inside a source folder are not sources.
    Raises ConfigurationError when nothing matches, when two sources would become one file, or when a source
    would be replaced by its own result.
    """
    files = [found for source in sources for found in _files(source, target)]
    into_folder = target.is_dir() or not target.suffix
    if len(files) > 1 and not into_folder:
        raise ConfigurationError(f"{len(files)} files cannot all become {target}; name a folder as the target.")
    tasks = [Task(path, target / below.with_suffix(".mp4") if into_folder else target) for path, below in files]
    taken: dict[Path, Path] = {}
    for task in tasks:
        other = taken.setdefault(task.target, task.source)
        if other != task.source:
            raise ConfigurationError(f"{other} and {task.source} would both become {task.target}; rename one.")
        if task.source.resolve() == task.target.resolve():
            raise ConfigurationError(f"{task.source} would be replaced by its own result; name another target.")
    return list({task.target: task for task in tasks}.values()), target if into_folder else None


def _files(source: str, target: Path) -> list[tuple[Path, Path]]:
    """Pairs (file, path below the target folder) for a file, a folder's clips at any depth, or a glob."""
    path = Path(source)
    if path.is_dir():
        # Where the folder is its own target, `find_tasks` reports each file.
        results = target.resolve() if target.resolve() != path.resolve() else None
        found = sorted(
            entry
            for entry in path.rglob("*")
            if entry.suffix.lower() in CLIP_SUFFIXES
            and not entry.name.startswith(".")
            and results not in entry.resolve().parents
            and entry.is_file()
        )
        if not found:
            raise ConfigurationError(f"{path} holds no clip ({', '.join(sorted(CLIP_SUFFIXES))}).")
        return [(entry, entry.relative_to(path)) for entry in found]
    if not path.exists() and glob.has_magic(source):
        # Not Path.glob, which takes no absolute pattern.
        names = glob.glob(source, recursive=True)  # noqa: PTH207
        matched = [Path(name) for name in sorted(names) if Path(name).is_file()]
        if not matched:
            raise ConfigurationError(f"No file matches {source}.")
        return [(match, Path(match.name)) for match in matched]
    return [(path, Path(path.name))]


class Batch:
    """Tasks with their settings. `size` (width, height) overrides the settings' short side."""

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: UpscaleSettings,
        *,
        folder: Path | None = None,
        size: tuple[int, int] | None = None,
        again: bool = False,
        weights: Path | None = None,
    ) -> None:
        """The record is kept in `folder`. Without a folder, or with `again`, every task is done.

        `weights` is the caller's own weights file.
        """
        self._tasks = tasks
        self._settings = settings
        self._size = size
        self._folder = folder
        # The engine reports a missing weights file.
        own = _sha256(weights) if weights is not None and weights.is_file() else None
        self._done_with = f"{settings.fingerprint(own)} {size}"
        self._again = again

    def plan(self) -> list[Plan]:
        """Tell what `run` would do. Reads the files' headers only and loads no network."""
        entries = self._entries()
        return [self._plan(task, done=self._done(task, entries)) for task in self._tasks]

    def _plan(self, task: Task, *, done: bool) -> Plan:
        try:
            video = probe(task.source).video
            if video is None:
                raise MediaError(f"{task.source} has no video stream; there is nothing to upscale.")
            plane_format(task.source, video)
            if self._size is not None:
                check_size(video, self._size)
        except VideoPipelineError as error:
            return Plan(task.source, task.target, None, None, None, None, "refuse", str(error))
        size = self._size or target_size(video, self._settings.short_side)
        work = "upscale" if grows(video, size) and self._settings.blend > 0 else "resize"
        action = "keep" if done else work
        return Plan(task.source, task.target, video.size, size, video.frames, video.duration_s, action)

    def run(
        self, engine: Callable[[], Engine], progress: Callable[[Task, UpscaleProgress], None]
    ) -> Iterator[Outcome]:
        """Do what is missing. One file's failure does not stop the others; `engine` is called when it is needed.

        Raises WeightsError or UpscalingError when the network cannot be loaded.
        """
        entries = self._entries()
        to_do: list[Task] = []
        for task in self._tasks:
            if self._done(task, entries):
                yield Outcome(task)
            else:
                to_do.append(task)
        if not to_do:
            return
        loaded = engine()

        # Hashed before the work, so that a source that is replaced during it is done again.
        made_from: dict[Task, str] = {}

        def upscale(task: Task) -> Outcome:
            try:
                if self._folder is not None and task.source.is_file():
                    task.target.parent.mkdir(parents=True, exist_ok=True)
                    made_from[task] = _sha256(task.source)
                report = upscale_file(
                    task.source,
                    task.target,
                    settings=self._settings,
                    size=self._size,
                    engine=loaded,
                    progress=lambda seen: progress(task, seen),
                )
            except (VideoPipelineError, OSError) as error:
                return Outcome(task, error=str(error))
            return Outcome(task, report)

        for outcome in run_concurrently(upscale, to_do):
            if outcome.report is not None and outcome.task in made_from:
                self._record(outcome.task, made_from[outcome.task])
            yield outcome

    def _done(self, task: Task, entries: dict[str, dict[str, Any]]) -> bool:
        entry = entries.get(self._name(task))
        return (
            entry is not None
            and not self._again
            and entry["settings"] == self._done_with
            and task.target.is_file()
            and entry["bytes"] == task.target.stat().st_size
            and task.source.is_file()
            and entry["source_sha256"] == _sha256(task.source)
        )

    def _record(self, task: Task, source_sha256: str) -> None:
        assert self._folder is not None  # only what goes into one is recorded
        entry = {
            "settings": self._done_with,
            "bytes": task.target.stat().st_size,
            "source_sha256": source_sha256,
        }
        part = self._folder / f"{_RECORD}.part"
        part.write_text(json.dumps(self._entries() | {self._name(task): entry}, indent=1, sort_keys=True) + "\n")
        part.replace(self._folder / _RECORD)

    def _entries(self) -> dict[str, dict[str, Any]]:
        record = self._folder / _RECORD if self._folder is not None else None
        if record is None or not record.is_file():
            return {}
        try:
            entries = json.loads(record.read_text())
            if not isinstance(entries, dict) or any(set(entry) != _FACTS for entry in entries.values()):
                raise ValueError("it is no record of results")
            return entries
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{record} is damaged ({error}); delete it, and all is done again.") from error

    def _name(self, task: Task) -> str:
        return task.target.relative_to(self._folder).as_posix() if self._folder is not None else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
