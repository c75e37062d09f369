"""A newcomer's machine: folders, an environment, and the `video-pipeline` command in processes of its own."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from video_pipeline import sandbox
from video_pipeline.days import use_zone, zone_name
from video_pipeline.ledger import Ledger, open_ledger
from video_pipeline_tests.clock import ZONE
from video_pipeline_tests.conftest import NewDatabase, stop_embedded
from video_pipeline_tests.disks import small_disk
from video_pipeline_tests.integration.small_day import write_policy
from video_pipeline_tests.processes import Command, run_command
from video_pipeline_tests.routing.catalogues import ONE_VENDOR

COMMAND = (sys.executable, "-m", "video_pipeline.cli")
# Nothing of the developer's own settings may reach a child.
_OURS = ("VIDEO_PIPELINE_", "FAL_", "YOUTUBE_", "INSTAGRAM_", "DAGSTER_")


class Machine:
    """State, inbox, policy and Dagster home in one folder; without a `ledger_url` the ledger is embedded.

    `own_disk` says that nothing else is on the folder's file system.
    """

    def __init__(self, folder: Path, ledger_url: str | None, *, own_disk: bool = False) -> None:
        self.folder = folder
        self.own_disk = own_disk
        self.state, self.inbox = folder / "state", folder / "inbox"
        self.inbox.mkdir()
        # What a killed command leaves there goes with the machine.
        # The paths of sockets in it have to be short.
        temporary = folder / "t"
        temporary.mkdir()
        self.ledger_url = ledger_url
        own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.environment = own | {
            "VIDEO_PIPELINE_STATE_DIR": str(self.state),
            "VIDEO_PIPELINE_INBOX_DIR": str(self.inbox),
            "VIDEO_PIPELINE_POLICY_FILE": str(write_policy(folder / "policy.yaml")),
            "VIDEO_PIPELINE_CATALOGUE_FILE": str(ONE_VENDOR),
            "DAGSTER_HOME": str(folder / "dagster"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONUNBUFFERED": "1",
            "VIDEO_PIPELINE_TIME_ZONE": ZONE,
            "TMPDIR": str(temporary),
        }
        if ledger_url:
            self.environment["VIDEO_PIPELINE_LEDGER_URL"] = ledger_url

    def run(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None, timeout_s: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run `video-pipeline` with `arguments` to its end."""
        return run_command(
            list(map(str, arguments)),
            folder=self.folder,
            environment=self.environment | dict(environment or {}),
            timeout_s=timeout_s,
        )

    def run_afresh(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """As `run`, by a Python of its own that imports what it needs, as a user's shell starts it."""
        return self._run_afresh(arguments, self.environment)

    def limited_to_bytes(self, limit: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """As `run_afresh`, but no file of the process or its children may grow over `limit` bytes."""
        return self._run_afresh(
            arguments,
            self.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )

    def _run_afresh(
        self, arguments: Sequence[str | Path], environment: Mapping[str, str], **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environment,
            timeout=240,
            check=False,
            **options,
        )

    def start(self, *arguments: str | Path, **options: Any) -> Command:
        """Start `video-pipeline` in a process group of its own; output and errors come as one stream."""
        return Command(list(map(str, arguments)), folder=self.folder, environment=self.environment, **options)

    def ledger(self) -> Ledger:
        """The machine's ledger; whoever asks closes it."""
        return open_ledger(self.ledger_url, embedded_dir=self.state / "ledger")

    def sandbox_url(self) -> str:
        """Where the machine's sandbox answers; it is started where it does not run."""
        return sandbox.ensure_running(self.state / "sandbox").base_url

    def close(self) -> None:
        sandbox.stop(self.state / "sandbox")
        if (self.state / "ledger" / "PG_VERSION").exists():
            stop_embedded(self.state / "ledger")


NewMachine = Callable[..., Machine]


@pytest.fixture(scope="package", autouse=True)
def in_the_zone_of_the_machines() -> Iterator[None]:
    """What a test writes into a machine's ledger is of the machine's day."""
    before = zone_name()
    use_zone(ZONE)
    yield
    use_zone(before)


@pytest.fixture(scope="session")
def new_machine(new_database: NewDatabase, embedded_folder: Path) -> Iterator[NewMachine]:
    """Sets machines up; `embedded=True` gives one a ledger server of its own, else a database of its own.

    With a `disk`, such as `size=400m`, it gets a file system of its own, where mounting is allowed.
    """
    made: list[Machine] = []

    def make(*, embedded: bool = False, disk: str | None = None) -> Machine:
        folder = Path(tempfile.mkdtemp(prefix="machine-", dir=embedded_folder))
        folder.chmod(0o755)
        mounted = disk is not None and disks.enter_context(small_disk(folder, disk))
        made.append(Machine(folder, None if embedded else new_database(), own_disk=mounted))
        return made[-1]

    with ExitStack() as disks:
        yield make
        for machine in made:
            machine.close()
            shutil.rmtree(machine.folder, ignore_errors=machine.own_disk)


def told(result: subprocess.CompletedProcess[str]) -> str:
    """What a command has complained of, without what it said while it waited for its ledger."""
    lines = result.stderr.strip().splitlines()
    return "\n".join(line for line in lines if "takes no connection now, trying again" not in line)


def assert_one_sentence(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The command failed, said why in one line of its own, and showed no traceback.

    Before that it may have told what it waits for.
    """
    complaint = told(result)
    assert result.returncode not in (0, None), result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert len(complaint.splitlines()) == 1, complaint
    assert complaint.endswith((".", "…")), complaint
    for part in parts:
        assert part in complaint, complaint
