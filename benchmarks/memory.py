"""Peak memory of generation against the number of clips: a few and many, each in a process of its own.

Prints a table and writes JSON. The claim is a ratio measured in one run: four times the clips, the same memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

_CHILD = """
import json, resource, sys
from datetime import date
from video_pipeline.briefs import Brief, storyboard_of
from video_pipeline.generation import generate_day
from video_pipeline.routing import RoutingState, plan_day
from video_pipeline.services import Services
from video_pipeline.settings import Settings

state_dir, day, clips = sys.argv[1], date.fromisoformat(sys.argv[2]), int(sys.argv[3])
services = Services(Settings(state_dir=state_dir))
briefs = [
    Brief(brief_id=f"clip-{n}", title=f"Clip {n}", platforms=("tiktok",), prompt=f"Waves on a beach, take {n}",
          duration_s=1, quality="draft", visual_complexity=0.3)
    for n in range(clips)
]
boards = [storyboard_of(brief, day, cap_s=15) for brief in briefs]
plans = plan_day(services.ledger, boards, services.catalogue, services.policy.routing, RoutingState(), max_attempts=4)
made = generate_day(
    plans, ledger=services.ledger, store=services.store, providers=services.providers, catalogue=services.catalogue,
    policy=services.policy, notifier=services.notifier, run_id=f"memory-{clips}",
)
peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"clips": clips, "generated": sum(c.status == "generated" for c in made), "peak_mib": peak_mib}))
"""


def measure(state_dir: Path, day: str, clips: int) -> dict:
    """Peak resident memory in MiB of a process that generates `clips` clips."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(state_dir), day, str(clips)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=12)
    parser.add_argument("--many", type=int, default=48)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/memory.json"))
    options = parser.parse_args()
    from video_pipeline.sandbox import stop

    with tempfile.TemporaryDirectory(prefix="memory-", ignore_cleanup_errors=True) as folder:
        state_dir = Path(folder)
        state_dir.chmod(0o755)
        # A warm-up process starts the servers, so that neither measured one does.
        rows = [measure(state_dir, day, n) for day, n in (("2026-01-01", 1), ("2026-01-02", options.few))]
        rows.append(measure(state_dir, "2026-01-03", options.many))
        stop(state_dir / "sandbox")
    few, many = rows[1:]
    result = {"few": few, "many": many, "ratio": many["peak_mib"] / few["peak_mib"]}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    table = Table("clips", "generated", "peak MiB", title="Generation: memory against the number of clips")
    for row in (few, many):
        table.add_row(str(row["clips"]), str(row["generated"]), f"{row['peak_mib']:.0f}")
    Console().print(table)
    Console().print(f"{options.many / options.few:.0f} times the clips: {result['ratio']:.3f} times the memory")


if __name__ == "__main__":
    main()
