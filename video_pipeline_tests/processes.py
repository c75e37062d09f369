"""Processes that tests start, and may kill: forked off a server that has imported the libraries.

A process then costs its work and not the start of Python, which takes longer than what most of them do.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, TextIO

# What the children would import on their way; `frozen` comes last. Of the environment, of which each
# child is given its own, they have read the time zone of partitions and nothing else.
_PRELOADED = [
    "alembic.command",
    "altair",
    "anyio.to_thread",
    "av",
    "dagster",
    "dagster._core.execution.execute_in_process",
    "dagster._core.storage.sqlite_storage",
    "duckdb",
    "httpcore",
    "imageio_ffmpeg",
    "pandas",
    "psycopg",
    "pyarrow.parquet",
    "rich.table",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "structlog",
    "torch",
    "typer",
    "upath",
    "video_pipeline.definitions",
    "video_pipeline.launcher",
    "video_pipeline.media.stitch",
    "video_pipeline.quality.measurement",
    "video_pipeline_tests.crash.worker",
    "video_pipeline_tests.frozen",
]


def preloaded() -> ForkServerContext:
    """Makes processes that have the libraries already; the server behind it is one a test session."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _as_it_is() -> None:
    pass


class Command:
    """`video-pipeline` in a process and a process group of its own; with `apart`, its errors are a second stream.

    `before` is called in that process, when it is all but the command.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        apart: bool = False,
        before: Callable[[], None] = _as_it_is,
    ) -> None:
        context = preloaded()
        pipes = [context.Pipe(duplex=False) for _ in range(1 + apart)]
        writers = [writer for _, writer in pipes]
        self._process = context.Process(
            target=_become_command,
            args=(list(arguments), folder, dict(environment), writers[0], writers[-1], before),
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        streams = [_text(reader) for reader, _ in pipes]
        self.stdout, self.stderr = streams[0], streams[-1]
        for writer in writers:
            writer.close()

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit code. Raises TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("video-pipeline", timeout or 0)
        return self._process.exitcode


def run_command(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `video-pipeline` to its end. Raises TimeoutExpired, after killing it and its group."""
    command = Command(arguments, folder=folder, environment=environment, apart=True)
    with command.stdout, command.stderr, ThreadPoolExecutor(2) as readers:
        said = [readers.submit(stream.read) for stream in (command.stdout, command.stderr)]
        try:
            code = command.wait(timeout_s)
        except subprocess.TimeoutExpired:
            kill_group(command)
            raise
        return subprocess.CompletedProcess(arguments, code, *(stream.result() for stream in said))


def kill_group(process: "subprocess.Popen[Any] | Command") -> None:
    """SIGKILL the process and everything that it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def _text(reader: Connection) -> TextIO:
    with reader:
        return os.fdopen(os.dup(reader.fileno()), encoding="utf-8")


def _become_command(
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    output: Connection,
    errors: Connection,
    before: Callable[[], None],
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # What the server has looked up is its own.
    tempfile.tempdir = None
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    output.close()
    errors.close()
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
    # To itself it is nobody's child; a run of Dagster's would else be marked as living in the tests' own process.
    multiprocessing.process._parent_process = None  # pyright: ignore[reportAttributeAccessIssue]
    sys.argv = ["video-pipeline", *arguments]
    from video_pipeline import cli

    before()
    try:
        cli.main()
    finally:
        # As Python does at its end, and a forked process does not; the embedded Postgres is stopped there.
        atexit._run_exitfuncs()
