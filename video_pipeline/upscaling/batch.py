"""Many tasks: planning, running, and skipping what is finished.

A target folder keeps a record of its results. A second run, or one after a kill, does only what is missing (G3.4).
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from video_pipeline.errors import UpscalingError, VideoPipelineError
from video_pipeline.upscaling.compute.engine import Engine
from video_pipeline.upscaling.concurrency import run_concurrently
from video_pipeline.upscaling.film.video import check_file, upscale_file
from video_pipeline.upscaling.record import Record, sha256_of
from video_pipeline.upscaling.report import UpscaleProgress, UpscaleReport, UpscaleSettings
from video_pipeline.upscaling.tasks import Task

_LOG = logging.getLogger(__name__)


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
    notes: tuple[str, ...] = ()
    """How the clip is read where that is not plain, and what of its file does not come along: sentences."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one file. Without a report, it was done before, or it failed for the reason in `error`."""

    task: Task
    report: UpscaleReport | None = None
    error: str = ""


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
        self._done_with = f"{settings.fingerprint(_weights_sha256(weights))} {size}"
        self._again = again

    def plan(self) -> list[Plan]:
        """Tell what `run` would do, by the same checks.

        All packets are read, sound and a few frames decoded, and no network is loaded.
        """
        record = Record(self._folder)
        return [self._plan(task, record) for task in self._tasks]

    def _plan(self, task: Task, record: Record) -> Plan:
        done = self._done(task, record)
        try:
            self._check_place(task.target)
            work = check_file(task.source, task.target, settings=self._settings, size=self._size)
        except Exception as error:
            # What is done is kept, whatever is thought of its source today.
            action, reason = ("keep", "") if done else ("refuse", _sentence(task, error))
            return Plan(task.source, task.target, None, None, None, None, action, reason)
        video = work.video
        action = "keep" if done else "upscale" if work.enlargement.blend > 0 else "resize"
        size = video.size
        return Plan(
            task.source, task.target, size, work.size, video.frames, video.duration_s, action, notes=work.notes
        )

    def run(
        self, engine: Callable[[], Engine], progress: Callable[[Task, UpscaleProgress], None]
    ) -> Iterator[Outcome]:
        """Do what is missing. One file's failure, of whatever kind, does not stop the others.

        `engine` is called when it is needed. Raises WeightsError or UpscalingError when the network cannot be loaded.
        """
        record = Record(self._folder)
        to_do: list[Task] = []
        for task in self._tasks:
            if self._done(task, record):
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
                self._check_place(task.target)
                if self._folder is not None and task.source.is_file():
                    task.target.parent.mkdir(parents=True, exist_ok=True)
                    made_from[task] = sha256_of(task.source)
                report = upscale_file(
                    task.source,
                    task.target,
                    settings=self._settings,
                    size=self._size,
                    engine=loaded,
                    progress=lambda seen: progress(task, seen),
                )
            except Exception as error:
                return Outcome(task, error=_sentence(task, error))
            return Outcome(task, report)

        for outcome in run_concurrently(upscale, to_do):
            yield self._recorded(outcome, record, made_from)

    def _done(self, task: Task, record: Record) -> bool:
        try:
            return (
                not self._again
                and record.holds(task.target, self._done_with)
                and task.source.is_file()
                and record.is_made_from(task.target, sha256_of(task.source))
            )
        except OSError:
            # Whoever reads it next says so.
            return False

    def _check_place(self, target: Path) -> None:
        """Raise UpscalingError when `target` cannot be put where it is to be. A folder's own folders will be made."""
        made = target.parent if self._folder is None else None
        place = made or next(folder for folder in target.absolute().parents if folder.exists())
        if not place.is_dir():
            raise UpscalingError(f"{target} cannot be written: {place} is no folder.")
        if not os.access(place, os.W_OK | os.X_OK):
            raise UpscalingError(f"{target} cannot be written: {place} does not allow it.")
        if target.is_dir():
            raise UpscalingError(f"{target} cannot be written: there is a folder of that name.")

    def _recorded(self, outcome: Outcome, record: Record, made_from: dict[Task, str]) -> Outcome:
        task = outcome.task
        if self._folder is None or outcome.report is None:
            return outcome
        try:
            record.add(task.target, source=task.source, settings=self._done_with, source_sha256=made_from[task])
        except (OSError, VideoPipelineError) as error:
            return Outcome(task, error=f"{task.target} is made, but not recorded: {_sentence(task, error)}")
        return outcome


def _sentence(task: Task, error: Exception) -> str:
    """What went wrong with one file. Whatever it is, it is that file's alone."""
    if isinstance(error, VideoPipelineError):
        return str(error)
    _LOG.debug("%s failed", task.source, exc_info=error)
    if isinstance(error, OSError):
        return f"{error.filename or task.source} cannot be read or written ({error.strerror or error})."
    if isinstance(error, MemoryError):
        return f"{task.source} needs more memory than there is free; free some, or upscale it on another machine."
    return f"{task.source} could not be upscaled ({type(error).__name__}: {error}); check what wrote it."


def _weights_sha256(weights: Path | None) -> str | None:
    """The content of the caller's own weights file. The engine reports one that is missing or cannot be read."""
    try:
        return sha256_of(weights) if weights is not None else None
    except OSError:
        return None
