"""The month in a bottle: sixty production days in minutes, in a world that the pipeline does not know.

Clock, vendors and people are the world's. Everything else is the product: its graph in Dagster, its ledger in
Postgres, its adapters over HTTP. Prints what waited how long and why, and what it cost. Exits with 1 when a promise
is broken.
Needs Linux and a C compiler for the clock. Run it as `python -m benchmarks.month --world storms`.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from benchmarks.bottle import clock
from benchmarks.bottle.house import start_vendors, stop_postgres
from benchmarks.bottle.reckoning import Reckoning, as_document, promises
from benchmarks.bottle.vendors import WORLD
from benchmarks.bottle.world import FIRST, Desk, World, load_world, random_world, world_names
from video_pipeline.cli.app import app as commands
from video_pipeline.defs.nights import ENDS
from video_pipeline.ledger import JobState, PublicationState, ReviewStage
from video_pipeline.services import get_services
from video_pipeline.storage import table_key
from video_pipeline.waiting import SCORING_HOUR, look, next_night, nights_due, unscored_night

_RESULTS = Path(__file__).resolve().parent / "results"
_MORNING, _PERSON = 6, 10
_PROMPT_FAULTS = frozenset(
    (
        "drop_after_accept",
        "drop_before_accept",
        "job_failed",
        "black",
        "truncated_file",
        "refuse_output",
        "status_500",
        "submit_429",
        "submit_503",
        "result_503",
        "wrong_length",
        "garbled",
        "expired_url",
        "stuck",
    )
)
# After the last brief: what still waits has this long to come to its end.
_QUIET_DAYS = 9
_LONGEST_RUN_S = 300.0


def main() -> int:
    options = _options()
    if clock.VARIABLE not in os.environ:
        return _in_bottle(options)
    world = random_world(options.seed, options.days) if options.world == "random" else load_world(options.world)
    month = Month(world, options, Path(os.environ["VIDEO_PIPELINE_STATE_DIR"]))
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        month.start()
        # Whoever has seen enough of a month (Ctrl-C) gets what there is.
        with suppress(KeyboardInterrupt):
            month.pass_days()
        document = month.reckon()
    finally:
        month.end()
    document |= {
        "world": world.name,
        "title": world.title,
        "seed": options.seed,
        "days": options.days,
        "days_passed": month.days_passed,
        "clips_a_day": options.clips_a_day,
        "wall_s": round(time.monotonic() - started, 1),
    }
    _print(document)
    suffix = "" if month.days_passed >= 60 else "-quick"
    target = options.output or _RESULTS / f"month-{world.name}-{options.clips_a_day}{suffix}.json"
    target.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if any(promise["broken"] for promise in document["promises"]) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", choices=[*world_names(), "random"], default="calm")
    parser.add_argument("--seed", type=int, default=1, help="of the briefs, the kills, and the world `random`")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--clips-a-day", type=int, default=4)
    parser.add_argument("--pixels", action="store_true", help="upscale for real, which takes hours")
    parser.add_argument("--folder", type=Path, help="keep everything there; default: a temporary folder in memory")
    parser.add_argument("--output", type=Path, help="the JSON file; default: under benchmarks/results")
    return parser.parse_args()


def _in_bottle(options: argparse.Namespace) -> int:
    """Run this very command under a clock of its own."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="month-", dir=memory if memory.is_dir() else None) as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        # The embedded Postgres runs as a user of its own, who has to get in.
        folder.chmod(0o755)
        try:
            library = clock.build(folder)
        except clock.NoClock as error:
            print(error, file=sys.stderr)
            return 2
        clock.new_file(folder / "clock")
        own = {name: value for name, value in os.environ.items() if not name.startswith("VIDEO_PIPELINE_")}
        environment = own | {
            "LD_PRELOAD": str(library),
            clock.VARIABLE: str(folder / "clock"),
            WORLD: str(folder / "world.json"),
            "VIDEO_PIPELINE_STATE_DIR": str(folder / "state"),
            "VIDEO_PIPELINE_POLICY_FILE": str(folder / "policy.yaml"),
            "VIDEO_PIPELINE_CATALOGUE_FILE": str(folder / "catalogue.yaml"),
        }
        return subprocess.run([sys.executable, "-m", "benchmarks.month", *sys.argv[1:]], env=environment).returncode


class Worker:
    """The process that does the work; one that was killed is replaced when it is next needed."""

    def __init__(self, *, pixels: bool, log: Path) -> None:
        self._arguments = ["--pixels"] if pixels else []
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def run(self, job: str, partition: str, *, kill_after_s: float | None) -> str | None:
        """What failed in the run, empty when nothing did; None when the process was killed, as it was to be."""
        process = self._ready()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"job": job, "partition": partition}) + "\n")
        process.stdin.flush()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            process.kill()
        line = process.stdout.readline()
        if line and (answer := json.loads(line)):
            return answer["failure"]
        self.stop()
        return None if kill_after_s is not None else "the worker died"

    def _ready(self) -> "subprocess.Popen[str]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bottle.worker", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log.open("a"),
                text=True,
            )
            assert self._process.stdout is not None
            ready = self._process.stdout.readline()
            assert ready, f"the worker did not start; see {self._log}"
        return self._process

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Month:
    """Sixty days of one world."""

    def __init__(self, world: World, options: argparse.Namespace, state: Path) -> None:
        self._world, self._options, self._state = world, options, state
        self._folder = state.parent
        self._clock = clock.Clock(self._folder / "clock")
        self._desk = Desk(world, options.seed, options.clips_a_day)
        self._rng = random.Random(f"month {options.seed} {world.name}")
        self.days_passed = 0
        self._nights_ended: defaultdict[date, list[datetime]] = defaultdict(list)
        self._vendors: subprocess.Popen[bytes] | None = None
        self._worker = Worker(pixels=options.pixels, log=self._folder / "worker.log")
        self._plan_cap = Decimal(max(6, round(0.9 * options.clips_a_day)))
        own = world.ceiling_usd_a_clip
        self._ceiling = self._plan_cap if own is None else own * options.clips_a_day

    def start(self) -> None:
        """Everything that runs before the first day."""
        self._clock.start(_at(0, 0))
        self._state.mkdir(parents=True, exist_ok=True)
        (self._folder / "world.json").write_text(self._world.model_dump_json())
        self._write_policy()
        self._write_catalogue(_at(0, 0))
        self._vendors = start_vendors(self._state / "sandbox", self._folder / "vendors.log")
        self._services = get_services()
        self._base_url = self._services.sandbox.base_url
        self.reckoning = Reckoning(self._world, self._services.ledger, self._services.store)

    def _write_policy(self) -> None:
        """Waits that are real seconds are short; sizes are what the sandbox makes, so that nothing is enlarged."""
        (self._folder / "policy.yaml").write_text(
            yaml.safe_dump(
                {
                    "intake": {"settle_s": 0.0},
                    "budget": {"daily_ceiling_usd": str(self._ceiling), "plan_cap_usd": str(self._plan_cap)},
                    "generation": {
                        "providers": {"fal": {"poll_interval_s": 0.25}},
                        "backoff_s": [0.02, 0.04, 0.08],
                        "lookup_wait_s": 0.05,
                        "moderation_verdict_s": 0.5,
                        "poll_timeout_s": 60.0,
                        "poll_patience_s": 3.0,
                    },
                    # An hour later, at the next look, nothing is left alone any more.
                    "watch": {"backoff_s": [60, 900, 1800]},
                    **({} if self._options.pixels else {"routing": {"delivered_short_side": 108}}),
                }
            )
        )

    def _write_catalogue(self, moment: datetime) -> None:
        """The prices that people know of: those of their last visit."""
        packaged = Path(__file__).resolve().parent.parent / "video_pipeline" / "routing" / "catalogue_sandbox.yaml"
        listed = yaml.safe_load(packaged.read_text())
        for event in self._world.going_on(moment):
            if event.what.value != "prices":
                continue
            for model in listed["models"]:
                if event.models and model["model"] not in event.models:
                    continue
                for resolution in model["resolutions"]:
                    for price in ("usd_per_s", "usd_per_s_audio"):
                        if price in resolution:
                            resolution[price] = str(round(Decimal(resolution[price]) * Decimal(str(event.value)), 6))
        target = self._folder / "catalogue.yaml"
        text = yaml.safe_dump(listed, sort_keys=False)
        if not target.exists() or target.read_text() != text:
            target.write_text(text)
            self._worker.stop()

    def end(self) -> None:
        """Leave no process behind, whatever became of the month."""
        self._worker.stop()
        if self._vendors is not None:
            self._vendors.kill()
            self._vendors.wait()
        stop_postgres(self._state / "ledger")

    # --- the days ------------------------------------------------------------------------------------------------

    def pass_days(self) -> None:
        """Every hour of every day, and some quiet days after the last brief."""
        console = Console(stderr=True)
        for number in range(self._options.days + _QUIET_DAYS):
            if number >= self._options.days and not self.reckoning.open_days():
                break
            started = time.monotonic()
            for hour in range(24):
                self._hour(number, hour)
            self.days_passed = number + 1
            frozen = [tier for tier, moments in self.reckoning.frozen.items() if moments[-1] >= _at(number, 23)]
            console.print(
                f"{FIRST + timedelta(days=number)}: {time.monotonic() - started:.1f} s, "
                f"open days {len(self.reckoning.open_days())}, frozen {', '.join(frozen) or 'nothing'}",
                highlight=False,
            )

    def _hour(self, number: int, hour: int) -> None:
        moment = _at(number, hour)
        self._clock.set(moment)
        day = moment.date()
        if hour == SCORING_HOUR and number:
            self._score(day - timedelta(days=1))
        elif (missed := self._missed_night()) is not None:
            self._score(missed)
        if hour == _MORNING and number < self._options.days:
            self._drop(number)
        if hour == _MORNING and day.weekday() == 0 and number >= 7:
            self._run("weekly_learning", day - timedelta(days=7))
        if hour == _PERSON and number and number % self._world.person_every_days == 0:
            self._person(moment)
        for due in self._due_days(moment):
            if self._run("production_day", due) is None:
                for track in self.reckoning.tracks.values():
                    track.killed += track.day == due and not track.ended
        self.reckoning.look(moment, ceiling_usd=self._ceiling)

    def _score(self, day: date) -> None:
        self._run("nightly_scoring", day)
        self._nights_ended[day].append(datetime.now(UTC))

    def _missed_night(self) -> date | None:
        """The night that the night watch would have scored now."""
        services, now = self._services, datetime.now(UTC)
        nights = self._unscored(nights_due(services.ledger, services.policy, now))
        waits = [unscored_night(night, self._nights_ended[night]) for night in nights]
        night = next_night(waits, services.policy.watch.backoff_s, now)
        return night.day if night else None

    def _unscored(self, days: list[date]) -> list[date]:
        """Those of `days` whose night has not come to its end; a worker's Dagster forgets what it has done."""
        store = self._services.store
        return [day for day in days if not all(store.exists(table_key(end, day.isoformat())) for end in ENDS)]

    def _due_days(self, moment: datetime) -> list[date]:
        """The days that the night watch would run now; it is asked once an hour here."""
        services = self._services
        outlook = look(services.ledger, services.policy, services.settings.inbox, at=datetime.now(UTC))
        due = outlook.due(services.policy.watch.backoff_s, among=lambda day: True)
        services.ledger.waits.tried([wait for waits in due.values() for wait in waits])
        return list(due)

    def _drop(self, number: int) -> None:
        """The morning's briefs, and the vendors' faults that some of them will meet."""
        orders, day = self._desk.briefs(number), FIRST + timedelta(days=number)
        if not orders:
            return
        inbox = self._services.settings.inbox / day.isoformat()
        inbox.mkdir(parents=True)
        (inbox / "briefs.json").write_text(json.dumps([order.document for order in orders]))
        self.reckoning.dropped(orders, day)
        for order in orders:
            for fault, share in self._world.faults.items():
                if self._rng.random() < share:
                    prompt = order.document["prompt"].rpartition(", ")[2]
                    match = prompt if fault in _PROMPT_FAULTS else order.document["title"]
                    httpx.post(f"{self._base_url}/_sandbox/faults", json={"fault": fault, "match": match})

    def _run(self, job: str, day: date) -> str | None:
        """Run a job, maybe to its violent end; None then."""
        kill_after_s = self._rng.uniform(0.1, 4.0) if self._rng.random() < self._world.kills else None
        failure = self._worker.run(job, day.isoformat(), kill_after_s=kill_after_s)
        self.reckoning.runs[job] += 1
        if failure is None:
            self.reckoning.kills += 1
        elif failure:
            self.reckoning.failures[f"{job}: {failure.splitlines()[0][:150]}"] += 1
        return failure

    def _person(self, moment: datetime) -> None:
        """Somebody who answers all that waits for a person, by the commands, and reads the price lists."""
        self._write_catalogue(moment)
        ledger, books = self._services.ledger, self._books()
        known = {job.provider_job_id for job in ledger.jobs.in_state(*JobState)}
        for job in ledger.jobs.in_state(JobState.UNKNOWN):
            at_vendor = [
                request["request_id"]
                for request in books["requests"]
                if request["input"] == job.request["arguments"] and request["request_id"] not in known
            ]
            self._command(
                job.clip_id, "resolve", job.key, *(("--found", at_vendor[0]) if at_vendor else ("--not-found",))
            )
        for publication in ledger.publications.in_state(PublicationState.UNKNOWN):
            posted = [video["video_id"] for video in books["videos"] if video["clip_id"] == publication.clip_id]
            answer = ("--found", posted[0]) if posted else ("--not-found",)
            self._command(publication.clip_id, "resolve", publication.key, *answer)
        for review in ledger.reviews.waiting():
            approve = not review.stage.startswith(ReviewStage.GENERATION)
            answer = "--approve" if approve else "--reject"
            self._command(review.clip_id, "decide", review.clip_id, answer, "--by", "somebody")

    def _command(self, clip_id: str, *words: str) -> None:
        result = CliRunner().invoke(commands, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            self.reckoning.failures[f"{words[0]}: {str(result.exception)[:150]}"] += 1
        self.reckoning.answered(clip_id)

    def _books(self) -> dict[str, Any]:
        return httpx.get(f"{self._base_url}/_sandbox/books", timeout=60).json()

    def reckon(self) -> dict[str, Any]:
        books, ledger = self._books(), self._services.ledger
        self.reckoning.leave_out(FIRST + timedelta(days=self.days_passed))
        last_due = FIRST + timedelta(days=self.days_passed - 2)
        self.reckoning.nights_lost = self._unscored(ledger.waits.days_with_work(FIRST, last_due))
        kept = promises(self.reckoning, ledger, self._world, books)
        return as_document(self.reckoning, kept, ledger, books)


def _at(number: int, hour: int) -> datetime:
    return datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=number, hours=hour)


def _print(document: dict[str, Any]) -> None:
    console = Console()
    size = f"{document['days']} days, {document['clips_a_day']} clips a day"
    title = f"{document['title']}: {size}, seed {document['seed']}"
    waits = Table(title=title, title_justify="left")
    for name, numeric in (("what it waited for", False), ("clips", True), ("hours in all", True), ("longest", True)):
        waits.add_column(name, justify="right" if numeric else "left")
    for cause, figures in document["waits"].items():
        waits.add_row(cause, str(figures["clips"]), f"{figures['hours']:.1f}", f"{figures['longest_hours']:.1f}")
    console.print(waits)
    told = (
        "clips",
        "states",
        "usd_per_usable_clip",
        "spent_usd",
        "billed_by_vendors_usd",
        "frozen_days",
        "runs",
        "kills",
        "nights_lost",
        "failed_runs",
        "stopped_hours",
        "delivered_with_a_person",
        "wall_s",
    )
    for name in told:
        console.print(f"{name.replace('_', ' ')}: {document[name]}", highlight=False)
    for promise in document["promises"]:
        broken = promise["broken"]
        verdict = f"[red]BROKEN {len(broken)} times[/red]" if broken else "[green]kept[/green]"
        console.print(f"{promise['name']}: {verdict} {promise['said']}", highlight=False)
        for line in broken[:8]:
            console.print(f"  {line}", highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(main())
