"""What one process of the engine costs a job, against a bare asyncio and httpx loop over the same jobs.

Both meet the same stand-in for fal (`benchmarks.fal_stand_in`), which is a process of its own, as Postgres is. The
CPU of the three is told apart. Everything is real but two things: the jobs are rendered by nobody, and the technical
check, which decodes the film, is left out and measured alone. Prints a table and writes JSON.

Run it as `python -m benchmarks.engine`; `--quick` leaves the 2,000 jobs in flight out.
"""

import argparse
import asyncio
import cProfile
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, event, text

from benchmarks.own_process import peak_mib
from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief, storyboard_of
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.generation import PROVIDERS, generate_day, job_driver
from video_pipeline.ledger import Ledger, open_ledger
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline.policy import Policy, ProviderLimits, load_policy
from video_pipeline.quality import ClipVerdict, Expectation, check_clip
from video_pipeline.routing import Catalogue, ClipPlan, RoutingState, load_catalogue, plan_clip, plan_day
from video_pipeline.storage import LocalStore

DAY = date(2026, 11, 2)
_CLIP_S = 1
_WARM_UP = 8
_POLL_S = PROVIDERS["fal"].connect_sandbox("http://127.0.0.1:1", httpx.AsyncClient()).terms.poll_interval_s


@dataclass(frozen=True)
class Load:
    """So many jobs of `render_s` each, of which `concurrency` are at the provider at a time."""

    concurrency: int
    jobs: int
    render_s: float


LOADS = (Load(4, 40, 1.0), Load(32, 320, 2.0), Load(256, 1024, 5.0))
THOUSANDS = Load(2000, 2000, 30.0)


@dataclass(frozen=True)
class Row:
    """What a load came to; CPU in milliseconds a job, `connections` and `threads` at their most."""

    who: str
    concurrency: int
    jobs: int
    render_s: float
    done: int
    wall_s: float
    cpu_ms: float
    server_cpu_ms: float
    postgres_cpu_ms: float
    peak_mib: float
    grown_mib: float
    connections: int
    threads: int
    polls_a_job: float
    polls_a_s: float
    statements: float
    transactions: float


# --- the children: each load runs in a fresh process ---------------------------------------------------------------


def run_engine(load: Load, base_url: str, folder: Path, profile: Path | None) -> dict[str, Any]:
    """The product's own engine over the load's jobs."""
    ledger, store = open_ledger(None, embedded_dir=folder / "ledger"), LocalStore(folder / "store")
    policy, catalogue = policy_for(load), load_catalogue(sandbox=True)
    cast(Any, job_driver).pass_gate = passed

    def generate(plans: Sequence[ClipPlan]) -> list[GeneratedClip]:
        return generate_day(
            plans,
            ledger=ledger,
            store=store,
            providers=lambda client: {"fal": PROVIDERS["fal"].connect_sandbox(base_url, client)},
            catalogue=catalogue,
            policy=policy,
            notifier=Notifier([], ledger.alerts),
            run_id=f"engine-{load.concurrency}",
        )

    # The first clips of a process pay for what is imported late.
    generate(plans_of(_WARM_UP, DAY - timedelta(days=1), ledger, policy, catalogue))
    plans = plans_of(load.jobs, DAY, ledger, policy, catalogue)
    httpx.post(f"{base_url}/counts")
    with counted(ledger) as counts:
        before_mib, started, cpu = peak_mib(), time.perf_counter(), cpu_s()
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        clips = generate(plans)
        wall_s, used_s = time.perf_counter() - started, cpu_s() - cpu
    if profile:
        profiler.disable()
        profiler.dump_stats(profile)
    ledger.close()
    done = sum(clip.status is ClipStatus.GENERATED for clip in clips)
    counts = {name: round(number / load.jobs, 2) for name, number in counts.items()}
    return {"done": done, "wall_s": wall_s, "cpu_s": used_s, "peak_mib": peak_mib(), "from_mib": before_mib} | counts


def run_bare(load: Load, base_url: str, folder: Path) -> dict[str, Any]:
    """The least that the same jobs need: submit, poll, result and download, and nothing written down."""
    arguments = {"prompt": "Waves on a beach", "duration": _CLIP_S, "aspect_ratio": "9:16", "seed": 1}
    headers = {"Authorization": "Key sandbox"}

    async def one(client: httpx.AsyncClient, slots: asyncio.Semaphore, number: int) -> bool:
        async with slots:
            told = (await client.post("/fal-queue/fal-ai/bare", headers=headers, json=arguments)).json()
            while True:
                await asyncio.sleep(_POLL_S)
                status = await client.get(told["status_url"], headers=headers)
                if status.json()["status"] == "COMPLETED":
                    break
            result = (await client.get(told["response_url"], headers=headers)).json()
        async with client.stream("GET", result["video"]["url"]) as response:
            with (folder / f"{number}.mp4").open("wb") as file:
                async for chunk in response.aiter_raw():
                    file.write(chunk)
        return True

    async def all_of_them(jobs: int) -> list[bool]:
        async with httpx.AsyncClient(base_url=base_url, timeout=httpx.Timeout(600), trust_env=False) as client:
            slots = asyncio.Semaphore(load.concurrency)
            return await asyncio.gather(*(one(client, slots, number) for number in range(jobs)))

    asyncio.run(all_of_them(_WARM_UP))
    httpx.post(f"{base_url}/counts")
    before_mib, started, cpu = peak_mib(), time.perf_counter(), cpu_s()
    done = sum(asyncio.run(all_of_them(load.jobs)))
    wall_s, used_s = time.perf_counter() - started, cpu_s() - cpu
    return {"done": done, "wall_s": wall_s, "cpu_s": used_s, "peak_mib": peak_mib(), "from_mib": before_mib}


def policy_for(load: Load) -> Policy:
    """The packaged policy with a ceiling that holds nothing up, and the load's concurrency."""
    policy = load_policy()
    limits = {"fal": ProviderLimits(concurrency=load.concurrency)}
    return policy.model_copy(
        update={
            "generation": policy.generation.model_copy(update={"providers": limits}),
            "budget": policy.budget.model_copy(update={"daily_ceiling_usd": Decimal(1_000_000)}),
        }
    )


def plans_of(jobs: int, day: date, ledger: Ledger, policy: Policy, catalogue: Catalogue) -> list[ClipPlan]:
    """One-shot drafts, each of another prompt, as the planner makes them."""
    cap_s = policy.generation.max_segment_s
    boards = [storyboard_of(_brief(number, day), day, cap_s=cap_s) for number in range(jobs)]
    return plan_day(ledger, boards, catalogue, policy.routing, RoutingState(), max_attempts=4)


def _brief(number: int, day: date = DAY) -> Brief:
    return Brief.model_validate(
        {
            "brief_id": f"clip-{number}",
            "title": "A clip",
            "platforms": ["youtube_shorts"],
            "prompt": f"Waves on a beach, take {number} of {day}",
            "duration_s": _CLIP_S,
            "quality": "draft",
            "visual_complexity": 0.5,
        }
    )


def passed(path: Path, expected: Expectation, *_: object, **__: object) -> ClipVerdict:
    """In place of the technical check."""
    return ClipVerdict(checks=())


@contextmanager
def counted(ledger: Ledger) -> Iterator[Counter[str]]:
    """Statements and transactions, as the server sees them."""
    counts = Counter[str](statements=0, transactions=0)

    def statement(*_: Any) -> None:
        counts["statements"] += 1

    def transaction(*_: Any) -> None:
        counts["transactions"] += 1

    event.listen(ledger.engine, "before_cursor_execute", statement)
    event.listen(ledger.engine, "begin", transaction)
    yield counts
    event.remove(ledger.engine, "before_cursor_execute", statement)
    event.remove(ledger.engine, "begin", transaction)


def cpu_s() -> float:
    """This process's CPU so far, in all of its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- the parent: starts what is to be measured, and watches it from outside ----------------------------------------


def measure(who: str, load: Load, folder: Path, film: Path, profile: Path | None = None) -> Row:
    """One load in processes of its own."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.fal_stand_in", str(film), str(load.render_s)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None and server.stdout is not None
    base_url = server.stdout.readline().strip()
    url = embedded_url(folder / "ledger") if who == "engine" else None
    shop, postmaster = psutil.Process(server.pid), _postmaster(folder) if url else None
    watch = _Watch(url)
    child = [
        sys.executable,
        "-m",
        "benchmarks.engine",
        "--child",
        who,
        base_url,
        str(folder),
        json.dumps(asdict(load)),
    ]
    if profile:
        child += ["--profile", str(profile)]
    process = subprocess.Popen(child, stdout=subprocess.PIPE, text=True)
    watch.start(process.pid)
    postgres_before = _cpu_with_children_s(postmaster) if postmaster else 0.0
    output, _ = process.communicate()
    postgres_s = _cpu_with_children_s(postmaster) - postgres_before if postmaster else 0.0
    watch.stop()
    if process.returncode:
        raise SystemExit(f"{who} at {load.concurrency} did not end well.")
    told = json.loads(output.strip().splitlines()[-1])
    asked = httpx.get(f"{base_url}/counts").json()
    server_s = sum(shop.cpu_times()[:2])
    server.stdin.close()
    server.wait(10)
    return Row(
        who=who,
        **asdict(load),
        done=told["done"],
        wall_s=round(told["wall_s"], 2),
        cpu_ms=round(told["cpu_s"] / load.jobs * 1000, 2),
        server_cpu_ms=round(server_s / load.jobs * 1000, 2),
        postgres_cpu_ms=round(postgres_s / load.jobs * 1000, 2),
        peak_mib=round(told["peak_mib"]),
        grown_mib=round(told["peak_mib"] - told["from_mib"]),
        connections=watch.connections,
        threads=watch.threads,
        polls_a_job=round(asked["status"] / load.jobs, 2),
        polls_a_s=round(asked["status"] / told["wall_s"], 1),
        statements=told.get("statements", 0),
        transactions=told.get("transactions", 0),
    )


class _Watch:
    """The most connections and threads that a process has; looked at twice a second."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.connections = self.threads = 0

    def start(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._look, args=(pid,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _look(self, pid: int) -> None:
        process = psutil.Process(pid)
        engine = create_engine(self._url) if self._url else None
        while not self._over.wait(0.5):
            try:
                self.threads = max(self.threads, process.num_threads())
            except psutil.Error:
                break
            if engine is not None:
                with engine.connect() as connection:
                    asked = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                    # One of them is this very one.
                    self.connections = max(self.connections, connection.execute(text(asked)).scalar_one() - 1)
        if engine is not None:
            engine.dispose()


def _postmaster(folder: Path) -> psutil.Process:
    [lock] = folder.rglob("postmaster.pid")
    return psutil.Process(int(lock.read_text().split()[0]))


def _cpu_with_children_s(process: psutil.Process) -> float:
    """CPU of Postgres so far: its parent, what has ended below it, and what is still there."""
    total = sum(process.cpu_times()[:4])
    for child in process.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def film_in(folder: Path) -> Path:
    """A film as the sandbox renders it for the load's briefs."""
    from video_pipeline.sandbox import footage

    size = _size()
    path = folder / "film.mp4"
    take = footage.Take("fal-ai/stand-in", "Waves on a beach", 7, size)
    footage.render_video(path, take, duration_s=_CLIP_S, fps=24, audio=False, image=None, faults={})
    return path


def _size() -> tuple[int, int]:
    load = Load(1, 1, 1.0)
    policy, catalogue = policy_for(load), load_catalogue(sandbox=True)
    board = storyboard_of(_brief(0), DAY, cap_s=policy.generation.max_segment_s)
    plan = plan_clip(board, catalogue, policy.routing, RoutingState(), max_attempts=4)
    return plan.decisions[0].size or (0, 0)


def check_ms(film: Path, size: tuple[int, int]) -> float:
    """CPU of one technical check, which decodes the film, in milliseconds."""
    expected = Expectation(size=size, duration_s=_CLIP_S, audio=False)
    thresholds = load_policy().quality.technical
    check_clip(film, expected, thresholds)
    started = cpu_s()
    for _ in range(5):
        check_clip(film, expected, thresholds)
    return (cpu_s() - started) / 5 * 1000


def show(rows: list[Row], check: float) -> None:
    table = Table(title="One process of the engine; CPU in ms a job, without the technical check")
    columns = {
        "who": "who",
        "concurrency": "C",
        "jobs": "jobs",
        "done": "done",
        "wall_s": "wall s",
        "cpu_ms": "CPU",
        "postgres_cpu_ms": "Postgres",
        "server_cpu_ms": "stand-in",
        "peak_mib": "peak MiB",
        "grown_mib": "grown",
        "connections": "conn.",
        "threads": "threads",
        "polls_a_job": "polls/job",
        "polls_a_s": "polls/s",
        "statements": "SQL",
        "transactions": "trans.",
    }
    for name in columns.values():
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(str(getattr(row, column)) for column in columns))
    console = Console(width=170)
    console.print(table)
    console.print(f"A technical check costs {check:.0f} ms of CPU a clip of {_CLIP_S} s beside this.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the thousands in flight, and no JSON")
    parser.add_argument("--only", type=int, help="only the load of this concurrency")
    parser.add_argument("--engine-only", action="store_true")
    parser.add_argument("--profile", type=Path, help="where to write a profile of the engine's event loop")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/engine.json"))
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        who, base_url, folder, given = options.child
        load = Load(**json.loads(given))
        if who == "bare":
            told = run_bare(load, base_url, Path(folder))
        else:
            told = run_engine(load, base_url, Path(folder), options.profile)
        print(json.dumps(told))
        return
    loads = LOADS if options.quick else (*LOADS, THOUSANDS)
    if options.only:
        loads = [load for load in (*LOADS, THOUSANDS) if load.concurrency == options.only]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        # Started by root, Postgres runs as a user of its own.
        folder.chmod(0o755)
        film = film_in(folder)
        check = check_ms(film, _size())
        for load in loads:
            # With thousands of questions in its pool of connections, the bare loop does not end within minutes.
            for who in ("engine",) if options.engine_only or load is THOUSANDS else ("bare", "engine"):
                rows.append(measure(who, load, folder / f"{who}-{load.concurrency}", film, options.profile))
                print(f"{who} {load.concurrency}: {rows[-1].cpu_ms} ms, {rows[-1].wall_s} s", file=sys.stderr)
    show(rows, check)
    document = {"technical_check_ms": round(check, 1), "rows": [asdict(row) for row in rows]}
    if not options.only and not options.quick:
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
