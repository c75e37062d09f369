"""A production day whose Postgres, sandbox or disk fails in the middle: one sentence, and then it comes to its end.

Whatever is out and however long, nothing is bought or posted twice, nothing is lost, and no wait is silent.
"""

import signal
import threading
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from video_pipeline_tests.clock import today
from video_pipeline_tests.disks import fill
from video_pipeline_tests.end_to_end.conftest import Machine, NewMachine, assert_one_sentence
from video_pipeline_tests.end_to_end.days import PATIENCE_S, assert_nothing_twice_nothing_lost, finish
from video_pipeline_tests.end_to_end.outages import Outage, bytes_again, no_more_bytes, send
from video_pipeline_tests.integration.small_day import a_brief, drop
from video_pipeline_tests.processes import kill_group

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def machine(new_machine: NewMachine) -> Machine:
    """A machine of embedded parts, all of it on a small disk of its own where mounting is allowed."""
    machine = new_machine(embedded=True, disk="size=400m,mode=755")
    machine.ledger().close()
    return machine


def test_a_day_survives_the_death_of_its_postgres_and_of_its_sandbox(machine: Machine, tmp_path: Path) -> None:
    day = today()
    drop(machine.inbox, day, a_brief("lantern"))
    kill = partial(send, signal.SIGKILL, _postgres(machine))
    _run_through(machine, day, Outage("generation.accepted", kill, tmp_path / "postgres"))
    drop(machine.inbox, day, a_brief("kettle"))
    kill = partial(send, signal.SIGKILL, _sandbox(machine))
    outage = Outage("publishing.session", kill, tmp_path / "sandbox")
    _run_through(machine, day, outage, as_soon_as="on youtube_shorts: ", do=machine.sandbox_url)
    finish(machine, day)
    assert_nothing_twice_nothing_lost(machine, day, clips=2, published=2)


def test_a_day_survives_that_its_sandbox_and_its_postgres_are_stopped(machine: Machine, tmp_path: Path) -> None:
    """Each goes on as soon as the command has said that it does not answer."""
    day = today() - timedelta(days=1)
    drop(machine.inbox, day, a_brief("marble"))
    stop, go_on = (partial(send, sign, _sandbox(machine)) for sign in (signal.SIGSTOP, signal.SIGCONT))
    outage = Outage("generation.submitting", stop, tmp_path / "sandbox")
    _run_through(machine, day, outage, as_soon_as="A call to fal has taken", do=go_on)
    drop(machine.inbox, day, a_brief("feather"))
    stop, go_on = (partial(send, sign, _postgres(machine)) for sign in (signal.SIGSTOP, signal.SIGCONT))
    outage = Outage("publishing.session", stop, tmp_path / "postgres")
    _run_through(machine, day, outage, as_soon_as="takes no connection now", do=go_on)
    finish(machine, day)
    assert_nothing_twice_nothing_lost(machine, day, clips=2, published=2)


def test_a_full_disk_under_everything_is_a_sentence_and_with_room_the_day_goes_on(
    machine: Machine, tmp_path: Path
) -> None:
    """Ledger, store, inbox, the sandbox's books and Dagster's; all that a run has is lost for it at once."""
    day = today() - timedelta(days=2)
    drop(machine.inbox, day, a_brief("river"))
    ballast, servers = machine.folder / "ballast", (_postgres(machine), _sandbox(machine))
    act = partial(fill, ballast) if machine.own_disk else partial(no_more_bytes, servers)
    try:
        code, said = _run_through(machine, day, Outage("generation.rendered", act, tmp_path / "told"))
        begun = machine.run("run-day", str(day)) if machine.own_disk else None
    finally:
        ballast.unlink(missing_ok=True)
        bytes_again(servers)
    assert code == 1 and said.rstrip().endswith("Run again: the work goes on where it stopped."), said
    if begun is not None:
        assert_one_sentence(begun, "See whether the disk is full")
    finish(machine, day)
    assert_nothing_twice_nothing_lost(machine, day, clips=1, published=1)


def _run_through(
    machine: Machine,
    day: date,
    outage: Outage,
    *,
    as_soon_as: str = "",
    do: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Run the day through an outage; its exit code and words. `do` is done when `as_soon_as` is said after it."""
    command = machine.start("run-day", str(day), before=outage.arm)
    watchdog = threading.Timer(PATIENCE_S, kill_group, [command])
    watchdog.start()
    said, done = "", not as_soon_as
    try:
        for line in command.stdout:
            said += line
            if not done and as_soon_as in line:
                do()
                done = True
        code = command.wait(PATIENCE_S)
    finally:
        watchdog.cancel()
        if not done:
            do()
        kill_group(command)
        command.stdout.close()
    assert outage.told.exists(), f"it never came to {outage.at}: {said}"
    assert done, f"it never said {as_soon_as!r}: {said}"
    assert "Traceback" not in said
    return code, said


def _postgres(machine: Machine) -> int:
    machine.ledger().close()
    return int((machine.state / "ledger" / "postmaster.pid").read_text().splitlines()[0])


def _sandbox(machine: Machine) -> int:
    return int(httpx.get(f"{machine.sandbox_url()}/_sandbox/health", trust_env=False).json()["pid"])
