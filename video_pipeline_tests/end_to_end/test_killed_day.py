"""A whole production day killed with SIGKILL at every stage and run again: nothing twice, nothing lost."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta

import httpx
import psutil
import pytest

from video_pipeline.ledger import PublicationState
from video_pipeline_tests.clock import today
from video_pipeline_tests.end_to_end.conftest import Machine, NewMachine
from video_pipeline_tests.end_to_end.days import PATIENCE_S, assert_nothing_twice_nothing_lost, finish
from video_pipeline_tests.integration.small_day import a_brief, assert_books_agree, drop
from video_pipeline_tests.processes import Command, kill_group

pytestmark = pytest.mark.crash

STAGES = (
    "briefs",
    "storyboards",
    "generation_plan",
    "generated_clips",
    "upscaled_clips",
    "reviewed_clips",
    "publish_records",
    "cost_report",
)


@pytest.fixture(scope="module")
def machine(new_machine: NewMachine) -> Machine:
    """A machine whose ledger is on a server that the kills do not reach; each test has a day of its own."""
    return new_machine()


@pytest.fixture(scope="module")
def embedded_machine(new_machine: NewMachine) -> Machine:
    """A machine on embedded parts only."""
    return new_machine(embedded=True)


def test_a_day_killed_at_every_stage_in_turn_comes_to_its_end(machine: Machine) -> None:
    day = today()
    drop(machine.inbox, day, a_brief("lantern"), a_brief("kettle"), a_brief("marble", platforms=["tiktok"]))
    for stage in STAGES:
        _kill_when_started(machine, day, stage)
    finish(machine, day, "--score")
    assert_nothing_twice_nothing_lost(machine, day, clips=3, published=2)


def test_a_day_killed_at_random_moments_of_generation_comes_to_its_end(machine: Machine) -> None:
    day = today() - timedelta(days=1)
    drop(machine.inbox, day, *(a_brief(name) for name in ("feather", "river", "candle")))
    seed = random.SystemRandom().randrange(10**6)
    print(f"moments of the kills are drawn with seed {seed}")
    moments = random.Random(seed)
    for _ in range(3):
        _kill_when_started(machine, day, "generated_clips", after_s=moments.uniform(0, 2))
    finish(machine, day, "--score")
    assert_nothing_twice_nothing_lost(machine, day, clips=3, published=3)


@pytest.mark.parametrize("stage", ["generated_clips", "publish_records"])
def test_a_day_survives_the_death_of_the_whole_machine(embedded_machine: Machine, stage: str) -> None:
    """The sandbox and the Postgres server die with the run, as in a power cut."""
    machine, day = embedded_machine, today()
    drop(machine.inbox, day, a_brief(f"thing-of-{stage.replace('_', '-')}"))
    before = len(_published(machine))
    _kill_when_started(machine, day, stage, after_s=0.3, everything=True)
    finish(machine, day, "--score")
    assert len(_published(machine)) == before + 1
    ledger = machine.ledger()
    assert_books_agree(ledger, machine.sandbox_url())
    ledger.close()


def _kill_when_started(
    machine: Machine, day: date, stage: str, *, after_s: float = 0.0, everything: bool = False
) -> None:
    """Run the day with its scoring and kill it as soon as `stage` has started, or `after_s` seconds later."""
    process = machine.start("run-day", str(day), "--score")
    watchdog = threading.Timer(PATIENCE_S, kill_group, [process])
    watchdog.start()
    try:
        output = list(_until_started(process, stage))
        assert process.poll() is None, "".join(output)
        time.sleep(after_s)
        if everything:
            _kill_servers(machine)
    finally:
        watchdog.cancel()
        kill_group(process)
        process.stdout.close()


def _until_started(process: Command, stage: str) -> Iterator[str]:
    for line in process.stdout:
        yield line
        if re.fullmatch(rf"\d\d:\d\d:\d\d {stage}\s*", line):
            return
    raise AssertionError(f"the run ended, or hung for {PATIENCE_S:.0f} s, before {stage} had started")


def _kill_servers(machine: Machine) -> None:
    """SIGKILL the sandbox and every process of the embedded Postgres."""
    pids = [int(httpx.get(f"{machine.sandbox_url()}/_sandbox/health", trust_env=False).json()["pid"])]
    postmaster = int((machine.state / "ledger" / "postmaster.pid").read_text().splitlines()[0])
    pids += [postmaster, *(child.pid for child in psutil.Process(postmaster).children(recursive=True))]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _published(machine: Machine) -> list[str]:
    ledger = machine.ledger()
    rows = [row.clip_id for row in ledger.publications.in_state(PublicationState.PUBLISHED)]
    ledger.close()
    return rows
