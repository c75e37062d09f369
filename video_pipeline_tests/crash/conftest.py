"""A ledger and a server of processes for the matrix; each trial has a day and words of its own."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from video_pipeline.briefs import Brief
from video_pipeline.generation.providers import Recovery
from video_pipeline.ledger import FailureKind, Job, JobState, Ledger, PublicationState, open_ledger
from video_pipeline.publishing import PLATFORMS
from video_pipeline_tests.conftest import NewDatabase
from video_pipeline_tests.contract import kiln, plaza
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.contract.vendors import TALKING, recovery_at
from video_pipeline_tests.crash.worker import Orders, work
from video_pipeline_tests.generation.stage import check_books, sent
from video_pipeline_tests.processes import preloaded

_DAYS = count()
# Their list does not tell what a refused request was for, so that a lost one that was refused is a person's.
_FOUND_IF_RENDERED = {"dashscope"}
PRICE = Decimal("0.022")
PACKAGED = ("fal", "youtube_shorts")
# A provider with idempotency keys that bills refusals, a platform that answers later; neither is in the package.
FROM_OUTSIDE = (kiln.VENDOR.name, plaza.VENDOR.name)


@dataclass
class Trial:
    """One small day that is begun, killed and begun again until nobody kills it any more."""

    ledger: Ledger
    edge: Edge
    orders: Orders
    briefs: tuple[Brief, ...]
    runs: int = 0

    def __post_init__(self) -> None:
        self._requests = len(self.edge.requests())
        self._videos = len(self.edge.videos())

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.edge.requests()[self._requests :]

    @property
    def videos(self) -> list[dict[str, Any]]:
        return self.edge.videos()[self._videos :]

    def run(self, name: str = "", nth: int = 1, *, reached: Path | None = None) -> bool:
        """Let a worker run to its end; whether it was killed, at the checkpoint or not at all."""
        return self.ended(self.start(name, nth, reached=reached))

    def start(self, name: str = "", nth: int = 1, *, reached: Path | None = None) -> ForkServerProcess:
        self.runs += 1
        orders = replace(
            self.orders, run_id=f"run-{self.runs}", name=name, nth=nth, reached=str(reached) if reached else ""
        )
        process = preloaded().Process(target=work, args=(orders,))
        process.start()
        return process

    def ended(self, process: ForkServerProcess) -> bool:
        """Wait for a worker; whether it was killed."""
        process.join(60)
        assert process.exitcode in (0, -signal.SIGKILL), f"the worker ended with {process.exitcode}"
        return process.exitcode != 0

    def jobs(self) -> list[Job]:
        return self.ledger.jobs.of_day(self.orders.day)

    def unknown(self) -> list[Job]:
        return [job for job in self.jobs() if job.state is JobState.UNKNOWN]

    def compare_books(self) -> None:
        """Nothing billed twice, nothing lost, nothing published twice; in doubt is what was never heard of again."""
        requests, jobs, unknown = self.requests, self.jobs(), self.unknown()
        check_books(self.ledger, jobs, requests)
        assert len({_purchase(request["input"]) for request in requests}) == len(requests), "billed twice"
        assert all(job.state.final for job in jobs), "a job was left half-way"
        bought = {_purchase(request["input"]) for request in requests}
        # With the intent committed and nothing at the provider, nobody can tell whether the request is on its way.
        lost = {
            job.key
            for job in jobs
            # A person has looked, and it was not there; or it was surely turned away.
            if job.submitted_at
            and job.failure_kind not in (FailureKind.NOT_SENT, FailureKind.TRANSIENT)
            and _purchase(sent(job)) not in bought
        }
        recovery = recovery_at(self.orders.provider)
        if recovery in (Recovery.IDEMPOTENCY_KEY, Recovery.REPEAT):
            # A submit is sent again until the provider has it.
            assert lost == set()
        assert {job.key for job in unknown} >= lost
        # Where nobody can look, what was bought may be in doubt, too; the books have found it among the doubts.
        if recovery is not Recovery.NONE:
            doubted = [job.clip_id.split("/")[1] for job in unknown if job.key not in lost]
            assert set(doubted) <= ({"refused"} if self.orders.provider in _FOUND_IF_RENDERED else set())
        held = {job.clip_id for job in unknown}
        assert all(self.ledger.reviews.get(clip_id, "generation") for clip_id in held), "nobody was asked"
        self._compare_publications(sorted({f"{self.orders.day}/{brief.brief_id}" for brief in self.briefs} - held))

    def _compare_publications(self, clip_ids: list[str]) -> None:
        videos = self.videos
        publications = self.ledger.publications.of_days(self.orders.day, self.orders.day)
        assert sorted(video["clip_id"] for video in videos) == clip_ids, "lost, or published twice"
        assert sorted(publication.clip_id for publication in publications) == clip_ids
        assert {publication.state for publication in publications} <= {PublicationState.PUBLISHED}
        assert {(publication.remote_id, publication.media_sha256) for publication in publications} == {
            (video["video_id"], video["sha256"]) for video in videos
        }


def _purchase(request: dict[str, Any]) -> str:
    return json.dumps(request, sort_keys=True)


def small_day(number: int, platform: str, *, talking: bool = False) -> tuple[Brief, ...]:
    """A clip whose prompt is refused and remapped, and a clip of two segments: four submits, three renders.

    They are as short as the platform takes them, and the segments too. A script that is refused is a person's: where
    only those are sold, none is.
    """
    duration_s = max(1.0, PLATFORMS[platform].limits.min_s) if platform in PLATFORMS else 1
    prompts = (f"a barn at noon, field {number}", f"a night sea, bay {number}")
    if talking:
        scripts = tuple({"prompt": prompt, "script": prompt} for prompt in prompts)
        return (brief_of(shots=scripts, brief_id="joined", platforms=(platform,)),)
    segments = tuple({"prompt": prompt, "duration_s": duration_s} for prompt in prompts)
    return (
        brief_of(
            f"Close-up of CEO speaking with confidence, hall number {number}",
            brief_id="refused",
            duration_s=duration_s,
            platforms=(platform,),
        ),
        brief_of(shots=segments, brief_id="joined", platforms=(platform,)),
    )


@pytest.fixture(scope="package")
def room_database(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture(scope="package")
def room_ledger(room_database: str) -> Iterator[Ledger]:
    opened = open_ledger(room_database, embedded_dir=Path("unused"))
    yield opened
    opened.close()


@pytest.fixture
def vendors() -> tuple[str, str]:
    """Provider and platform of a trial; a test may ask for others by its parameters."""
    return PACKAGED


@pytest.fixture
def trial(
    room_ledger: Ledger, room_database: str, edge: Edge, tmp_path: Path, vendors: tuple[str, str]
) -> Iterator[Trial]:
    number = next(_DAYS)
    provider, platform = vendors
    day = date(2026, 11, 21) + timedelta(days=number)
    briefs = small_day(number, platform, talking=provider in TALKING)
    orders = Orders(
        ledger_url=room_database,
        store=str(tmp_path / "store"),
        base_url=edge.base_url,
        day=day,
        briefs=tuple(brief.model_dump_json(exclude_unset=True) for brief in briefs),
        run_id="",
        provider=provider,
        platform=platform,
    )
    yield Trial(room_ledger, edge, orders, briefs)
