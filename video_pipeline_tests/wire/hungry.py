"""A process of its own that makes and publishes clips while every answer is huge; says what memory it has needed.

python -m video_pipeline_tests.wire.hungry '<the fields of Day as JSON>'
"""

import json
import re
import sys
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from unittest.mock import patch

import httpx

from video_pipeline.ledger import open_ledger
from video_pipeline.policy import ProviderLimits, load_policy
from video_pipeline.publishing import attempt as attempts
from video_pipeline.publishing import collect_engagement
from video_pipeline.publishing.platforms import youtube as adapter
from video_pipeline.routing import load_catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import quick
from video_pipeline_tests.wire.channel import NAME, Channel
from video_pipeline_tests.wire.conftest import WildStage
from video_pipeline_tests.wire.proxy import Proxy


@dataclass(frozen=True)
class Day:
    """One day behind the proxy: clips of `prompts` are made at once, and others called `titles` are published."""

    ledger_url: str
    store: str
    sandbox: str
    proxy: str
    day: str
    prompts: tuple[str, ...]
    titles: tuple[str, ...]

    def argument(self) -> str:
        """The process's argument."""
        return json.dumps(asdict(self))


def main() -> None:
    """Does what each line says, and then prints the peak of its memory in KiB; for an empty line only that."""
    given = json.loads(sys.argv[1])
    ledger = open_ledger(given["ledger_url"], embedded_dir=Path(given["store"]))
    day, store = date.fromisoformat(given["day"]), LocalStore(Path(given["store"]))
    proxy = Proxy(given["proxy"], given["sandbox"])
    with (
        httpx.Client(trust_env=False, verify=False) as client,
        patch.object(adapter, "_RETRIES_S", (0.0,)),
        patch.object(attempts, "_SEND_RETRIES_S", (0.0,)),
    ):
        edge = Edge(given["sandbox"], Path(given["store"]), client)
        policy = quick(
            load_policy(),
            ceiling_usd="1000",
            backoff_s=(0.001, 0.001),
            lookup_wait_s=0.001,
            poll_timeout_s=0.5,
            providers={"fal": ProviderLimits(concurrency=32, poll_interval_s=0.05)},
            max_media_bytes=64 * 1024**2,
        )
        stage = WildStage(ledger, store, edge, load_catalogue(sandbox=True), policy, proxy=proxy, day=day)
        briefs = [brief_of(prompt, brief_id=f"huge-{number}") for number, prompt in enumerate(given["prompts"])]
        channel = Channel(ledger, store, edge, proxy, day, tuple(given["titles"]))
        for line in sys.stdin:
            match line.strip():
                case "make":
                    stage.generate(*briefs, limit_s=60)
                case "publish":
                    channel.run()
                case "count":
                    collect_engagement(ledger, {NAME: channel.youtube}, day=day, trailing_days=1)
                case _:
                    pass
            print(_peak_kib(), flush=True)
    ledger.close()


def _peak_kib() -> int:
    # Not getrusage's figure, which begins with that of the process that started this one.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
