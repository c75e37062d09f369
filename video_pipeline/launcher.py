"""Dagster from the command line: a job of the graph in this process, or the UI, both on one Dagster instance."""

import fcntl
import logging
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from sqlalchemy.exc import SQLAlchemyError

from video_pipeline.days import FIRST_DAY, today, zone_name
from video_pipeline.defs.dead_runs import days_under_way, end_dead_runs, ending_dead_runs, process_tags
from video_pipeline.defs.nights import unscored_nights
from video_pipeline.defs.partitions import is_partition
from video_pipeline.errors import ConfigurationError, VideoPipelineError
from video_pipeline.ledger import Wait
from video_pipeline.scratch import scratch_folder
from video_pipeline.services import Services, get_services
from video_pipeline.settings import Settings, environment_with
from video_pipeline.waiting import look

_CODE_LOCATION = "video_pipeline"
_PATIENCE_S = 20.0


class RunFailed(VideoPipelineError):
    """A step of a run, or a process of Dagster, could not do its work."""


@dataclass(frozen=True)
class StageProgress:
    """Something that a run has come to: `step` is the asset's name; `seconds` as measured, when it is done."""

    step: str
    message: str
    seconds: float | None = None


@contextmanager
def dagster_instance(settings: Settings) -> Generator[dg.DagsterInstance, None, None]:
    """The instance in DAGSTER_HOME where that is set, else in the state folder; made when it is not there yet.

    One process at a time makes or upgrades its tables: Dagster's own migrations do not bear two at once. Raises
    RunFailed when it cannot be made, or cannot keep what the block has it keep.
    """
    home = (settings.dagster_home or settings.state_dir / "dagster").absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".starting.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            packaged = Path(__file__).resolve().parent.parent / "dagster.yaml"
            if packaged.exists() and not (home / "dagster.yaml").exists():
                # In one step: a file cut short would configure another instance, and stay.
                part = home / ".dagster.yaml.part"
                shutil.copy(packaged, part)
                part.replace(home / "dagster.yaml")
            instance = _instance_of(home)
        with instance:
            yield instance
    except dg.DagsterError as error:
        raise RunFailed(f"Dagster could not make the run: {_first_line(error)}") from error
    except (SQLAlchemyError, OSError) as error:
        # What goes wrong in a step is the step's; this is of Dagster's own books, mostly a full disk.
        raise RunFailed(
            f"Dagster cannot keep its records in {home}: {_first_line(error)}. See whether the disk is full. Run "
            "again: the work goes on where it stopped."
        ) from error


def _instance_of(home: Path) -> dg.DagsterInstance:
    """Raises RunFailed when what stands in its dagster.yaml makes no instance."""
    try:
        return dg.DagsterInstance.from_config(str(home))
    except (SQLAlchemyError, OSError):
        raise
    # Whatever a wrong line of that file comes to: errors of YAML, of Dagster's own checks, of imports.
    except Exception as error:
        raise RunFailed(
            f"Dagster cannot be started from {home / 'dagster.yaml'}: {_first_line(error)}. Correct that file, or "
            "remove it to have the packaged one."
        ) from error


def _first_line(error: Exception) -> str:
    """The first line of what an error says, without its full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def run_job(
    name: str, day: date, settings: Settings, *, on_progress: Callable[[StageProgress], None] = lambda progress: None
) -> dict[str, float]:
    """Run job `name` for `day` to its end; seconds a stage.

    Raises RunFailed with the sentence of the step that failed, and ConfigurationError for a day that cannot be run.
    `on_progress` hears of every stage and clip.
    """
    if not is_partition(day):
        raise ConfigurationError(
            f"{day} is no production day that can be run: they go from {FIRST_DAY} to today, "
            f"{today()} in the time zone {zone_name()}."
        )
    from video_pipeline.definitions import build_defs

    definitions = build_defs()
    run_id = str(uuid.uuid4())
    started: set[str] = set()
    seconds: dict[str, float] = {}

    def listen(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is not None and event.is_step_start and event.step_key:
            started.add(event.step_key)
            on_progress(StageProgress(event.step_key, "started"))
        elif event is not None and event.is_step_success and event.step_key:
            seconds[event.step_key] = event.step_success_data.duration_ms / 1000
            on_progress(StageProgress(event.step_key, "done", seconds[event.step_key]))
        # After a failure Dagster also logs that it leaves each later step out, under the name of that step.
        elif event is None and entry.step_key in started and int(entry.level) >= logging.INFO:
            on_progress(StageProgress(entry.step_key, entry.user_message))

    ledger = get_services().ledger
    with dagster_instance(settings) as instance, ending_dead_runs(instance, ledger):
        instance.add_event_listener(run_id, listen)
        result = definitions.resolve_job_def(name).execute_in_process(
            partition_key=day.isoformat(),
            instance=instance,
            run_id=run_id,
            tags=process_tags(run_id),
            raise_on_error=False,
            # Dagster's own log is for its UI, not for the terminal of whoever runs a command.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        ledger.run_beats.ended(run_id)
    _raise_failure(result)
    return seconds


@dataclass(frozen=True)
class GoingOn:
    """Production days on which something can go on now, oldest first; `under_way` are those that have a run.

    `nights` are the runs, as (job, day), by which days ought to be scored and weeks learned from by now, and are not.
    """

    days: tuple[date, ...]
    under_way: tuple[date, ...]
    nights: tuple[tuple[str, date], ...]


def days_that_can_go_on(services: Services) -> GoingOn:
    """What the night watch would run now, however soon after its last try."""
    with dagster_instance(services.settings) as instance:
        end_dead_runs(instance, services.ledger)
        outlook = look(services.ledger, services.policy, services.inbox.folder)
        under_way = days_under_way(instance, "production_day", services.ledger.run_beats.last())
        nights = unscored_nights(instance, services.ledger, services.policy, outlook.at)
    days = [day for day in outlook.days() if is_partition(day)]
    return GoingOn(
        tuple(day for day in days if day not in under_way),
        tuple(day for day in days if day in under_way),
        tuple((night.why.hinges_on, night.day) for night in nights if night.taken_up_at is None),
    )


def nights_that_wait(services: Services) -> list[Wait]:
    """The nights and weeks that were due and left out, oldest first; taken up where a run is under way."""
    with dagster_instance(services.settings) as instance:
        return unscored_nights(instance, services.ledger, services.policy, datetime.now(UTC))


def serve(settings: Settings, *, port: int) -> None:
    """Dagster's UI on `port` of this machine, with its daemon, until Ctrl-C.

    These are the processes of `dagster dev`, which warns of every dagster.yaml that is not the instance's own. Raises
    RunFailed when one of them ends by itself.
    """
    with dagster_instance(settings) as instance:
        environment = environment_with(DAGSTER_HOME=instance.root_directory)
    # Whoever ends this process ends the others with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with scratch_folder("dagster") as folder:
        socket, workspace = folder / "code.sock", folder / "workspace.yaml"
        location = {"grpc_server": {"socket": str(socket), "location_name": _CODE_LOCATION}}
        workspace.write_text(yaml.safe_dump({"load_from": [location]}))

        def start(name: str, *arguments: str) -> None:
            processes[name] = subprocess.Popen([sys.executable, "-m", name, *arguments], env=environment)

        try:
            definitions = ("--module-name", f"{_CODE_LOCATION}.definitions")
            start("dagster", "code-server", "start", *definitions, "--socket", str(socket))
            while not socket.exists():
                _raise_ended(processes)
            start("dagster._daemon", "run", "--workspace", str(workspace))
            start("dagster_webserver", "--workspace", str(workspace), "--port", str(port))
            while True:
                _raise_ended(processes)
        except KeyboardInterrupt:
            pass
        finally:
            # Those that ask the code server end before it does.
            for process in reversed(processes.values()):
                process.terminate()
                _wait(process)


def _raise_ended(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Wait for a moment; RunFailed when a process has ended in it."""
    time.sleep(0.2)
    for name, process in processes.items():
        if process.poll() is not None:
            raise RunFailed(f"{name} ended with code {process.returncode}; what it said stands above.")


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _raise_failure(result: dg.ExecuteInProcessResult) -> None:
    """RunFailed with the sentence that was meant for people, wherever in the chain of causes it stands."""
    if result.success:
        return
    for event in result.all_events:
        if event.is_step_failure:
            raise RunFailed(f"{event.step_key} failed: {_sentence(event.step_failure_data.error)}")
    for event in result.all_events:
        if event.is_failure:
            error = getattr(event.event_specific_data, "error", None)
            raise RunFailed(f"The run failed: {_sentence(error) if error else event.message}")
    raise RunFailed("The run did not end well, and Dagster does not say why; look at it in its UI.")


def _sentence(error: Any) -> str:
    """The message of the first error of our own in a chain, else of its deepest cause."""
    own = {VideoPipelineError.__name__, "Failure", *_names_below(VideoPipelineError)}
    last = None
    while error is not None:
        last = error
        if error.cls_name in own:
            break
        error = error.cause
    return last.message.strip().split(": ", 1)[-1] if last else "no reason was given"


def _names_below(error_type: type) -> set[str]:
    return {name for below in error_type.__subclasses__() for name in (below.__name__, *_names_below(below))}
