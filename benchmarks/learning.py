"""Sixty nights of learning in simulated houses: what of the promises on scores, standings and choice is kept?

Plans, the ladder, facts, scores, standings and patterns are the product's own; the worlds (`learning_worlds/*.yaml`)
are hidden from them. Prints a row a promise, with Wilson's interval over the houses, and writes JSON; exits with 1
when a promise is broken. Run it as `python -m benchmarks.learning`, or with `--world FILE` in a world of your own.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from fnmatch import fnmatch
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.houses.life import House, live
from benchmarks.houses.measures import Row, rows_of
from benchmarks.houses.world import FOLDER, World, load_world, world_names
from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import Policy, load_policy

_RESULTS = Path(__file__).resolve().parent / "results" / "learning.json"
# Houses of a quick look: enough to see that a world runs, not to judge by.
_QUICK = 2


def run(
    worlds: Sequence[World], policy: Policy, *, houses: int | None = None, jobs: int = 1, said: Callable[[str], None]
) -> Iterator[list[Row]]:
    """The rows of each world, when they are known. `houses`: at most so many of each size."""
    for world in worlds:
        rows, started = list[Row](), monotonic()
        for size, usual in world.houses.items():
            rows += rows_of(world, size, _lived(world, size, min(usual, houses or usual), policy, jobs))
        said(f"{world.name}: {monotonic() - started:.0f} s")
        yield rows


def _lived(world: World, size: int, houses: int, policy: Policy, jobs: int) -> list[House]:
    one = partial(live, world, size, policy=policy)
    if jobs == 1:
        return [one(seed) for seed in range(houses)]
    # A house is drawn from its own seed, so that it is the same whichever process it lives in.
    with ProcessPoolExecutor(jobs, mp_context=get_context("forkserver")) as pool:
        return list(pool.map(one, range(houses)))


def broken_promises(rows: Sequence[Row]) -> list[str]:
    """What is not as promised, a sentence each."""
    return [
        f"{row.world}, {row.clips_a_day} clips a day: {row.measure} is {row.shown} in {row.houses} houses, promised "
        f"{row.goal}; {row.why}"
        for row in rows
        if row.verdict == "no"
    ]


def table_of(rows: Sequence[Row]) -> Table:
    table = Table(title="What was promised of learning, in hidden worlds")
    for name in ("world", "clips a day", "measure", "goal", "before", "reached [95 %]", "houses", "kept", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            row.title,
            str(row.clips_a_day),
            row.measure,
            row.goal or "-",
            row.before,
            row.shown,
            str(row.houses),
            row.verdict,
            row.why,
        )
    return table


def _keep(target: Path, rows: Sequence[Row]) -> None:
    """Put the rows in the place of those that the file has of the same worlds."""
    known: list[dict[str, Any]] = json.loads(target.read_text()) if target.exists() else []
    again = {row.world for row in rows}
    kept = [row for row in known if row["world"] not in again] + [asdict(row) for row in rows]
    order = dict(zip(world_names(), count(), strict=False))
    kept.sort(key=lambda row: order.get(row["world"], len(order)))
    target.write_text(json.dumps(kept, indent=1) + "\n")


def _worlds(options: argparse.Namespace) -> list[World]:
    """Raises ConfigurationError for a file that is no world, or for names that none has."""
    if options.world:
        return [load_world(path) for path in options.world]
    names = [name for name in world_names() if any(fnmatch(name, wanted) for wanted in options.rows)]
    if not names:
        known = ", ".join(world_names())
        raise ConfigurationError(f"No world is called {' or '.join(options.rows)}; there are {known}.")
    return [load_world(FOLDER / f"{name}.yaml") for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", type=Path, action="append", help="a world in a file of your own; no JSON is kept")
    parser.add_argument(
        "--rows", nargs="+", default=["*"], metavar="NAME", help="only worlds of these names (with *)"
    )
    parser.add_argument("--houses", type=int, help="at most so many houses a row")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--policy", type=Path, help="a policy file of your own, as VIDEO_PIPELINE_POLICY_FILE names one"
    )
    parser.add_argument("--quick", action="store_true", help="two houses a row, no JSON and no exit with 1")
    parser.add_argument("--json", type=Path, default=_RESULTS, help="where rows take the place of their world's")
    options = parser.parse_args()
    console = Console(width=200)
    houses = _QUICK if options.quick else options.houses
    try:
        worlds, rows = _worlds(options), list[Row]()
        for found in run(worlds, load_policy(options.policy), houses=houses, jobs=options.jobs, said=console.print):
            rows += found
            if not options.quick and not options.world:
                _keep(options.json, found)
    except ConfigurationError as error:
        sys.exit(str(error))
    console.print(table_of(rows))
    if (broken := broken_promises(rows)) and not options.quick:
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
