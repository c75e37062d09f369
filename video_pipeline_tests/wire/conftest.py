"""What the wild rows share: a sandbox, a proxy before it and a ledger for each module; secrets that are canaries."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from video_pipeline.generation import Provider, media_collector, resolve_unknown
from video_pipeline.ledger import FailureKind, Job, JobState, Ledger
from video_pipeline.ledger.schema import spend
from video_pipeline.policy import Policy, ProviderLimits
from video_pipeline.routing import Catalogue
from video_pipeline.storage import LocalStore
from video_pipeline.wire import Bounds, Line
from video_pipeline_tests.contract.answering import Answering, answering
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.generation.stage import Stage, check_books, let_settle, quick, sent
from video_pipeline_tests.wire.proxy import Proxy, proxy_before

FAL_KEY = "canary-fal-1c7e90d2:5f41a8be"
CLIENT_SECRET = "canary-client-8d31b6f7"
REFRESH_TOKEN = "canary-refresh-04fe77a9"
# As the sandbox makes it from the refresh token.
ACCESS_TOKEN = f"sandbox.{hashlib.sha256(REFRESH_TOKEN.encode()).hexdigest()[:32]}"
GRAPH_TOKEN = "canary-graph-61d0be3f"
CANARIES = (FAL_KEY, CLIENT_SECRET, REFRESH_TOKEN, ACCESS_TOKEN, GRAPH_TOKEN)
# What one question may take in these tests, in seconds.
PATIENCE_S = 0.5
_HELD = (JobState.RESERVED, JobState.SUBMITTING, JobState.SUBMITTED, JobState.PROCESSING, JobState.UNKNOWN)


def behind(proxy: Proxy, edge: Edge) -> Edge:
    """The sandbox as the adapters meet it; for its books, ask the sandbox itself."""
    return replace(edge, base_url=proxy.base_url)


@dataclass
class WildStage(Stage):
    """A stage whose adapters meet the sandbox through the proxy, with a key that must be seen nowhere."""

    proxy: Proxy = field(kw_only=True)
    timeout_s: float = PATIENCE_S

    def connect(self, client: httpx.AsyncClient) -> dict[str, Provider]:
        return {"fal": behind(self.proxy, self.edge).fal(client, key=FAL_KEY)}

    def bought(self, prompt: str) -> list[dict[str, Any]]:
        """What the sandbox has sold for `prompt`."""
        return [request for request in self.requests if prompt in request["prompt"]]

    def job(self, prompt: str) -> Job:
        """The one job of a prompt, or the first where it failed outside the shot: only then is another tried."""
        first, *others = [job for job in self.jobs() if prompt in job.order.prompt]
        assert not others or first.failure_kind in (FailureKind.AUTH, FailureKind.QUOTA)
        return first

    def check_money(self) -> None:
        """Whatever the sandbox billed is in the ledger, as bill or as reservation, and nothing was bought twice."""
        jobs, requests = self.jobs(), self.requests
        for request in requests:
            assert sum(sent(job) == _as_sent(request["input"], self) for job in jobs) == 1, "bought for no job"
        assert len({json.dumps(request["input"], sort_keys=True) for request in requests}) == len(requests), "twice"
        held = sum((job.expected_usd for job in jobs if job.state in _HELD), Decimal(0))
        billed = sum((job.billed_usd for job in jobs), Decimal(0))
        theirs = sum((Decimal(request["usd"]) for request in requests), Decimal(0))
        assert theirs <= billed + held, f"{theirs} billed there, {billed} billed and {held} reserved here"
        with self.ledger.engine.connect() as connection:
            committed = connection.execute(select(func.sum(spend.c.usd)).where(spend.c.day == self.day)).scalar_one()
        assert (committed or 0) == billed + held, "the line items say something else"

    def check_books(self) -> None:
        """As of every stage, of this stage's day alone: the ledger is the module's."""
        check_books(self.ledger, self.jobs(), self.requests)

    def a_person_looks(self) -> None:
        """Answer every doubt of the day as a person does who looks at the provider."""
        for job in self.jobs():
            if job.state is JobState.UNKNOWN:
                there = [request["request_id"] for request in self.requests if request["input"] == sent(job)]
                let_settle(self.ledger, job)
                resolve_unknown(
                    self.ledger,
                    self.connect(httpx.AsyncClient())[job.provider],
                    job,
                    request_id=there[0] if there else None,
                    policy=self.policy.generation,
                )


def _as_sent(recorded: dict[str, Any], stage: WildStage) -> dict[str, Any]:
    """What the sandbox was asked for, with the addresses that we have sent."""
    return json.loads(json.dumps(recorded).replace(stage.edge.base_url, stage.proxy.base_url))


@pytest.fixture(scope="module")
def proxy(module_edge: Edge) -> Iterator[Proxy]:
    with proxy_before(module_edge.base_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def stranger() -> Iterator[Answering]:
    """A server that is not the vendor's; nothing may ever come there."""
    with answering(
        200, b'{"status": "COMPLETED", "id": "stolen", "video": {"url": "http://127.0.0.1:1/x"}}'
    ) as server:
        yield server


@pytest.fixture(scope="module")
def wild_store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("store"))


NewStage = Callable[[], WildStage]


@pytest.fixture(scope="module")
def new_stage(
    ledger_of_module: Ledger,
    wild_store: LocalStore,
    module_edge: Edge,
    proxy: Proxy,
    sandbox_catalogue: Catalogue,
    policy: Policy,
    impatient: None,
) -> NewStage:
    """Makes stages, each with a day of its own; whoever waits there, waits for milliseconds."""
    limits = ProviderLimits(concurrency=16, poll_interval_s=0.02)
    hasty = quick(policy, ceiling_usd="1000", backoff_s=(0.001,) * 3, lookup_wait_s=0.001, providers={"fal": limits})
    # Answers are tried one by one here, by the hundred; a provider that really said all that would be left alone.
    breaker = hasty.breaker.model_copy(update={"outage_failures": 10_000})
    hasty = hasty.model_copy(update={"breaker": breaker})
    return lambda: WildStage(ledger_of_module, wild_store, module_edge, sandbox_catalogue, hasty, proxy=proxy)


@pytest.fixture(scope="module")
def impatient() -> Iterator[None]:
    """One question takes no longer than `PATIENCE_S`, whatever bounds its asker gives."""
    plain, usual = Line.ask, Bounds()

    async def ask(line: Line, *arguments: Any, bounds: Bounds = usual, **more: Any) -> Any:
        return await plain(line, *arguments, bounds=replace(bounds, total_s=min(bounds.total_s, PATIENCE_S)), **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Line, "ask", ask)
        patch.setattr(media_collector, "download", partial(media_collector.download, deadline_s=PATIENCE_S))
        yield


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def said() -> Iterator[list[str]]:
    """Every line that is logged from INFO on while the module runs, with tracebacks."""
    handler, root = _Kept(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(before)
