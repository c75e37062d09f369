"""The month's worlds and its clock. A month takes minutes: it is run by hand."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmarks.bottle import clock
from benchmarks.bottle.reckoning import HOUR, Reckoning, Track, promises
from benchmarks.bottle.world import FIRST, BriefOrder, Desk, Event, What, World, load_world, random_world, world_names
from video_pipeline.briefs import Brief
from video_pipeline.ledger import Ledger
from video_pipeline.storage import LocalStore

_NO_BOOKS = {"requests": [], "videos": []}


@pytest.mark.parametrize("name", [*world_names(), "random"])
def test_a_worlds_briefs_are_taken_in_but_for_those_that_are_meant_to_be_malformed(name: str) -> None:
    world = random_world(7, 60) if name == "random" else load_world(name)
    desk = Desk(world, seed=1, clips_a_day=4)
    orders = [order for number in range(60) for order in desk.briefs(number)]
    assert len({order.brief_id for order in orders}) == len(orders) >= 60
    for order in orders:
        if order.kind == "malformed":
            with pytest.raises(ValidationError):
                Brief.model_validate(order.document)
        else:
            Brief.model_validate(order.document)
    again = Desk(world, seed=1, clips_a_day=4)
    assert [order for number in range(60) for order in again.briefs(number)] == orders


def test_every_process_of_a_month_sees_its_clock(tmp_path: Path) -> None:
    if not (shutil.which("cc") or shutil.which("gcc")):
        with pytest.raises(clock.NoClock, match="apt-get install gcc"):
            clock.build(tmp_path)
        return
    library = clock.build(tmp_path)
    clock.new_file(tmp_path / "clock")
    moments = (datetime(2031, 5, 6, 7, tzinfo=UTC), datetime(2031, 7, 1, tzinfo=UTC))
    told = "from datetime import UTC, datetime; print(datetime.now(UTC).timestamp(), flush=True)"
    script = (
        f"import sys, time; from pathlib import Path; from benchmarks.bottle.clock import Clock\n"
        f"from datetime import timedelta\n{told}\n"
        f"own = Clock(Path({str(tmp_path / 'clock')!r})); before = time.monotonic()\n"
        f"own.start(datetime.fromtimestamp({moments[0].timestamp()}, UTC)); {told}\n"
        f"own.set(datetime.fromtimestamp({moments[1].timestamp()}, UTC)); {told}\n"
        f"own.set(datetime.fromtimestamp({moments[0].timestamp()}, UTC)); {told}\n"
        f"print(time.monotonic() - before)"
    )
    environment = os.environ | {"LD_PRELOAD": str(library), clock.VARIABLE: str(tmp_path / "clock")}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    real, first, second, not_back, passed_s = map(float, ran.stdout.split())
    assert abs(real - datetime.now(UTC).timestamp()) < 60
    assert 0 <= first - moments[0].timestamp() < 60
    assert 0 <= second - moments[1].timestamp() < 60
    assert not_back >= second
    assert passed_s < 60


def test_a_month_in_which_a_clip_is_left_behind_breaks_its_promises(ledger: Ledger, tmp_path: Path) -> None:
    world = World(name="one", title="one clip", events=(Event(what=What.OUTAGE, day=0, hours=5),))
    reckoning = Reckoning(world, ledger, LocalStore(tmp_path))
    day_before = datetime.now(UTC) - timedelta(days=1)
    track = Track(BriefOrder("plain-1", {}, "preview"), FIRST, day_before, state="waiting", free_since=day_before)
    reckoning.tracks[track.clip_id] = track
    broken = {promise.name for promise in promises(reckoning, ledger, world, _NO_BOOKS) if promise.broken}
    assert broken == {
        "no clip lost",
        "what can go on does so within an interval and a run",
        "98 % of addressable clips are delivered without a person",
    }
    track.state, track.ended_at = "delivered", day_before + HOUR
    assert not [promise for promise in promises(reckoning, ledger, world, _NO_BOOKS) if promise.broken]
    twice = {"requests": [_request(number) for number in (1, 2)], "videos": [{"clip_id": track.clip_id}] * 2}
    broken = {promise.name for promise in promises(reckoning, ledger, world, twice) if promise.broken}
    assert broken == {"nothing billed twice", "nothing posted twice", "no paid render lost"}


def _request(number: int) -> dict[str, object]:
    return {"request_id": str(number), "endpoint": "sandbox/sprint", "input": {"prompt": "waves"}, "usd": "0.1"}
