"""A day of many briefs, stage by stage: time, processor time and peak memory against the number of clips and of days.

Each day is run and scored in a process of its own, through Dagster, with the real stages against the sandbox over
HTTP. Not real: films come from a shelf, and the upscaler hands a clip on as it is, so that what remains is the
pipeline's own. A history is the first day's own rows, in ledger and store, moved to as many earlier days.
Prints tables and writes JSON. Run it as `python -m benchmarks.day`.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

import video_pipeline.routing
from benchmarks.bottle.house import start_vendors, stop_postgres
from benchmarks.bottle.vendors import WORLD
from benchmarks.bottle.worker import UpscalerStub
from benchmarks.bottle.world import Desk, World, load_world
from benchmarks.own_process import cpu_with_children_s, forget_peak, peak_mib
from video_pipeline.definitions import build_defs
from video_pipeline.defs.tables import ROW_TYPE, row_type_of
from video_pipeline.services import Services, get_services
from video_pipeline.settings import get_settings
from video_pipeline.storage import read_rows, table_key, write_rows

_JOBS = ("production_day", "nightly_scoring")
_CONCURRENCY = 32
# The shelf speaks fal's wire alone.
_ONE_VENDOR = Path(video_pipeline.routing.__file__).with_name("catalogue_sandbox.yaml")
# What a clip's way through a day leaves in the ledger, each after what it refers to.
_ROWS = (
    *("inbox_files", "briefs", "quarantine", "decisions", "jobs", "job_events", "spend", "publications"),
    *("publication_events", "engagement_snapshots", "reviews", "nights_judged", "intakes", "clip_marks"),
)
_A_DATE, _A_HASH = re.compile(r"\b\d{4}-\d\d-\d\d\b"), re.compile(r"\b[0-9a-f]{64}\b")
_REMOTE_ID = re.compile(r'(?<="remote_id": ")[^"]+')
_AN_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000], help="briefs of a day (100 and 1000)")
    parser.add_argument("--history", type=int, default=180, help="days before the last one (180)")
    parser.add_argument("--a-day", type=int, default=29, help="clips of a day with a history (29)")
    parser.add_argument("--quick", action="store_true", help="days of 3 and 6 clips, and no JSON")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "day.json")
    parser.add_argument("--child", type=date.fromisoformat, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_run_day(options.child)))
        return
    if options.quick:
        options.clips, options.history, options.a_day = [3, 6], 5, 3
    # Not above: it loads torch, which no stage of a child needs.
    from benchmarks import machine

    today, described = datetime.now(UTC).date(), machine.describe()
    sizes = [(f"{clips:,} clips", _fresh_day(today, clips)) for clips in options.clips]
    ages = _aged(today, options.a_day, options.history)
    _print(f"A day of as many briefs, in {' and '.join(name for name, _ in sizes)}", sizes)
    _print(f"A day of {options.a_day} briefs, in a new house and with {options.history} days behind it", ages)
    if not options.quick:
        document = {"machine": described, "sizes": dict(sizes), "ages": dict(ages)}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


# --- the child: a day in a process of its own -----------------------------------------------------------------------


def _run_day(day: date) -> dict[str, Any]:
    """What each stage of `day` took, and what became of its clips."""
    services = get_services()
    definitions = build_defs(resources={"upscaler": lambda on_progress: UpscalerStub(services.store)})
    stages: dict[str, dict[str, float]] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for job in _JOBS:
            run_id = str(uuid.uuid4())
            with _measured(instance, run_id, stages):
                result = definitions.resolve_job_def(job).execute_in_process(
                    partition_key=day.isoformat(),
                    instance=instance,
                    run_id=run_id,
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
            assert result.success
    with services.ledger.engine.connect() as connection:
        counted = connection.execute(
            text("SELECT state, count(*) AS n FROM publications WHERE day = :day GROUP BY state"), {"day": day}
        )
        states = {row.state: row.n for row in counted}
    return {"publications": states, "stages": stages}


@contextmanager
def _measured(instance: dg.DagsterInstance, run_id: str, stages: dict[str, dict[str, float]]) -> Iterator[None]:
    """Adds a row for each of the run's steps; they follow one another in this process."""
    began: list[tuple[float, float]] = []

    def hear(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        if event.is_step_start:
            forget_peak()
            began[:] = [(time.perf_counter(), cpu_with_children_s())]
        elif event.is_step_success:
            ((clock, cpu),) = began
            stages[event.step_key] = {
                "wall_s": round(time.perf_counter() - clock, 3),
                "cpu_s": round(cpu_with_children_s() - cpu, 3),
                "peak_mib": round(peak_mib()),
            }

    instance.add_event_listener(run_id, hear)
    yield


# --- the parent: houses, briefs and histories -----------------------------------------------------------------------


def _fresh_day(day: date, clips: int) -> dict[str, Any]:
    with _house() as services:
        return _measured_day(services, day, clips)


def _aged(today: date, clips: int, days: int) -> list[tuple[str, dict[str, Any]]]:
    """The first day of a house, and the same as the last of many."""
    first = today - timedelta(days=1)
    with _house() as services:
        new = _measured_day(services, first, clips)
        _remember(services, first, days - 1)
        return [("the first day", new), (f"after {days} days", _measured_day(services, today, clips))]


@contextmanager
def _house() -> Iterator[Services]:
    """A new state folder, under a policy in which no ceiling binds, and the vendors beside it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("VIDEO_PIPELINE_")}
    with tempfile.TemporaryDirectory(prefix="day-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # As root the embedded Postgres runs as a user of its own, who has to get in.
        folder.chmod(0o755)
        (folder / "policy.yaml").write_text(
            yaml.safe_dump(
                {
                    "intake": {"settle_s": 0.0},
                    "budget": {"daily_ceiling_usd": "1000000", "plan_cap_usd": "1000000"},
                    "generation": {"providers": {"fal": {"concurrency": _CONCURRENCY}}},
                    "routing": {"delivered_short_side": 108},
                }
            )
        )
        (folder / "world.json").write_text(_world().model_dump_json())
        os.environ.clear()
        os.environ.update(
            own,
            VIDEO_PIPELINE_STATE_DIR=str(folder / "state"),
            VIDEO_PIPELINE_POLICY_FILE=str(folder / "policy.yaml"),
            VIDEO_PIPELINE_CATALOGUE_FILE=str(_ONE_VENDOR),
            **{WORLD: str(folder / "world.json")},
        )
        get_settings.cache_clear()
        get_services.cache_clear()
        vendors = start_vendors(folder / "state" / "sandbox", folder / "vendors.log")
        services = get_services()
        try:
            yield services
        finally:
            services.ledger.close()
            stop_postgres(folder / "state" / "ledger")
            vendors.kill()
            vendors.wait()


def _world() -> World:
    """A house in which every brief comes through, so that a day of N briefs is a day of N clips."""
    return load_world("calm").model_copy(update={"faces": 0.0, "hopeless": 0.0, "malformed": 0.0, "idle_days": ()})


def _measured_day(services: Services, day: date, clips: int) -> dict[str, Any]:
    orders = Desk(_world(), seed=1, clips_a_day=clips).briefs((day - date(2026, 1, 1)).days)
    inbox = services.settings.inbox / day.isoformat()
    inbox.mkdir(parents=True)
    (inbox / "briefs.json").write_text(json.dumps([order.document for order in orders]))
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "benchmarks.day", "--child", day.isoformat()]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured = {"clips": clips, "load_average_before": round(load, 2)} | json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(measured), file=sys.stderr)
    return measured


def _remember(services: Services, day: date, days: int) -> None:
    """`days` days before `day` that went as it did: its rows, with dates, hashes and ids of their own."""
    row_types = {
        spec.key.to_user_string(): row_type_of(spec.metadata)
        for assets in build_defs().assets or ()
        if isinstance(assets, dg.AssetsDefinition)
        for spec in assets.specs
        if ROW_TYPE in spec.metadata
    }
    with services.ledger.engine.begin() as connection:
        for table in _ROWS:
            asked = text(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
                "AND table_name = :table AND column_name <> 'id' ORDER BY ordinal_position"
            )
            columns = ", ".join(connection.execute(asked, {"table": table}).scalars())
            rows = json.dumps(connection.execute(text(f"SELECT to_jsonb(t) FROM {table} AS t")).scalars().all())
            insert = text(
                f"INSERT INTO {table} ({columns}) SELECT {columns} "
                f"FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb)) ON CONFLICT DO NOTHING"
            )
            for back in range(1, days + 1):
                connection.execute(insert, {"rows": _moved(rows, day, back)})
    with services.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    for asset, row_type in row_types.items():
        key = table_key(asset, day.isoformat())
        if not services.store.exists(key):
            continue
        documents = [
            row.model_dump_json(exclude_unset=True) for row in read_rows(row_type, services.store.read_bytes(key))
        ]
        for back in range(1, days + 1):
            rows = [row_type.model_validate_json(_moved(document, day, back)) for document in documents]
            earlier = table_key(asset, (day - timedelta(days=back)).isoformat())
            services.store.put_bytes(
                earlier, write_rows(row_type, rows), content_type="application/vnd.apache.parquet", overwrite=True
            )


def _moved(document: str, day: date, back: int) -> str:
    """`document` with each date about `day` put back by so many days, and other hashes and ids."""

    def earlier(found: re.Match[str]) -> str:
        try:
            at = date.fromisoformat(found[0])
        except ValueError:
            return found[0]
        # Dates far from the day are not the day's: the version of a model, say.
        return (at - timedelta(days=back)).isoformat() if abs((at - day).days) <= 3 else found[0]

    document = _A_DATE.sub(earlier, document)
    # Of a video's own length; the platform knows none of them, as of videos that were taken down.
    document = _REMOTE_ID.sub(lambda found: hashlib.sha256(f"{found[0]} {back}".encode()).hexdigest()[:11], document)
    document = _A_HASH.sub(lambda found: hashlib.sha256(f"{found[0]} {back}".encode()).hexdigest(), document)
    return _AN_ID.sub(lambda found: str(uuid.uuid5(uuid.NAMESPACE_OID, f"{found[0]} {back}")), document)


def _print(title: str, days: list[tuple[str, dict[str, Any]]]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("stage", no_wrap=True)
    for what in ("wall s", "CPU ms a clip", "peak MiB"):
        for name, _ in days:
            table.add_column(f"{what}\n{name}", justify="right")
    for stage in days[-1][1]["stages"]:
        rows = [(day["stages"][stage], day["clips"]) for _, day in days]
        table.add_row(
            stage,
            *(f"{row['wall_s']:.2f}" for row, _ in rows),
            *(f"{1000 * row['cpu_s'] / clips:.1f}" for row, clips in rows),
            *(f"{row['peak_mib']:.0f}" for row, _ in rows),
        )
    console = Console(width=150)
    console.print(table)
    for name, day in days:
        console.print(f"{name}: publications {day['publications']}", highlight=False)


if __name__ == "__main__":
    main()
