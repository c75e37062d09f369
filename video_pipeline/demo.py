"""The demo: one production day through every stage, then the scoring, held against the sandbox's own books."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from video_pipeline import days
from video_pipeline.clips import ClipStatus
from video_pipeline.errors import ConfigurationError
from video_pipeline.feedback import ClipFact, CostReport, ProviderDay, providers_of_day
from video_pipeline.generation import is_own_gpu
from video_pipeline.launcher import StageProgress, run_job
from video_pipeline.ledger import PublicationState
from video_pipeline.services import Services
from video_pipeline.settings import Mode
from video_pipeline.storage import ObjectStore, read_rows, report_key, table_key

# The sandbox's platform is quick: this long after an upload there is engagement to score.
_FIRST_VIEWS_S = 3


@dataclass(frozen=True)
class Books:
    """What was billed and published on a UTC day, counted by one side.

    Only the sandbox can tell doubles: an identical request, or a clip, that it has taken twice. What it has billed or
    published beyond the ledger's count is reported as a double too.
    """

    jobs: int
    usd: Decimal
    published: int
    double_billed: int = 0
    double_published: int = 0


@dataclass(frozen=True)
class DemoReport:
    """What `demo-report.json` holds; see `as_document`."""

    facts: list[ClipFact]
    quarantined: list[dict[str, Any]]
    platforms: dict[str, list[str]]
    costs: CostReport
    providers: list[ProviderDay]
    sandbox: Books
    ledger: Books
    new_billed_jobs: int
    new_published: int
    stage_seconds: dict[str, float]
    report_path: str | None

    def as_document(self) -> dict[str, Any]:
        """JSON with numbers, and money as decimal strings."""
        clips = len([fact for fact in self.facts if fact.status is not ClipStatus.WAITING])
        usable = self.costs.usd_per_usable_clip
        return {
            "day": str(self.costs.day),
            "briefs": [self._brief(fact) for fact in self.facts] + [_malformed(item) for item in self.quarantined],
            "providers": [_provider(one) for one in self.providers],
            "billed_jobs": {"sandbox": self.sandbox.jobs, "ledger": self.ledger.jobs},
            "billed_usd": {"sandbox": str(self.sandbox.usd), "ledger": str(self.ledger.usd)},
            "published": {"sandbox": self.sandbox.published, "ledger": self.ledger.published},
            "new_billed_jobs": self.new_billed_jobs,
            "new_published": self.new_published,
            "double_billed": self.sandbox.double_billed + max(0, self.sandbox.jobs - self.ledger.jobs),
            "double_published": self.sandbox.double_published
            + max(0, self.sandbox.published - self.ledger.published),
            "cost_per_clip_usd": str(round(self.costs.total_usd / clips, 6)) if clips else None,
            "cost_per_usable_clip_usd": str(usable) if usable is not None else None,
            "median_seconds": {what: round(seconds, 3) for what, seconds in self.costs.median_s.items()},
            "stage_seconds": {stage: round(seconds, 3) for stage, seconds in self.stage_seconds.items()},
            "report": self.report_path,
        }

    def _brief(self, fact: ClipFact) -> dict[str, Any]:
        return {
            "brief": fact.brief_id,
            "tier": fact.tier,
            "model": fact.model,
            "attempts": fact.attempts,
            "strategy": "cache" if fact.cached else fact.strategy,
            "cost_usd": str(fact.total_usd),
            "final_size": "x".join(map(str, fact.final_size)) if fact.final_size else None,
            "status": fact.status.value,
            "reason": fact.reason,
            "published_url": fact.published_urls[0] if fact.published_urls else None,
            "not_connected": self.platforms.get(fact.clip_id, []),
        }


def run_demo(services: Services, *, on_progress: Callable[[StageProgress], None]) -> DemoReport:
    """Run today's production day and its scoring; today is held fixed, should midnight pass."""
    if services.settings.mode is not Mode.SANDBOX:
        raise ConfigurationError(
            "The demo runs against the sandbox only, and VIDEO_PIPELINE_MODE is live. Unset it for the demo, or run "
            "`video-pipeline run-day` to run today's briefs with real providers."
        )
    day, of_books = days.today(), datetime.now(UTC).date()
    before = ledger_books(services, of_books)
    seconds: dict[str, float] = {}
    seconds |= run_job("production_day", day, services.settings, on_progress=on_progress)
    after = ledger_books(services, of_books)
    if after.published > before.published:
        on_progress(StageProgress("engagement", f"waiting {_FIRST_VIEWS_S} s for the sandbox's first viewers"))
        time.sleep(_FIRST_VIEWS_S)
    seconds |= run_job("nightly_scoring", day, services.settings, on_progress=on_progress)
    not_connected: dict[str, list[str]] = {}
    for publication in services.ledger.publications.of_days(day, day):
        if publication.state is PublicationState.NOT_CONNECTED:
            not_connected.setdefault(publication.clip_id, []).append(publication.platform)
    return DemoReport(
        facts=_rows(services, "clip_facts", day, ClipFact),
        quarantined=services.ledger.intake.quarantined(day),
        platforms=not_connected,
        costs=_rows(services, "cost_report", day, CostReport)[0],
        providers=providers_of_day(services.ledger.jobs.of_day(day)),
        sandbox=sandbox_books(services.sandbox.base_url, of_books),
        ledger=after,
        new_billed_jobs=after.jobs - before.jobs,
        new_published=after.published - before.published,
        stage_seconds=seconds,
        report_path=_place_of_page(services.store, day),
    )


def ledger_books(services: Services, day: date) -> Books:
    """Our side: jobs billed and clips published during the UTC day, whichever production day they belong to.

    What the team's own GPU has made is nobody's bill.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    booked = services.ledger.jobs.billed_between(start, start + timedelta(days=1))
    jobs = [job for job in booked if not is_own_gpu(job.provider)]
    published = services.ledger.publications.published_between(start, start + timedelta(days=1))
    return Books(
        jobs=len(jobs),
        usd=sum((job.billed_usd for job in jobs), Decimal(0)),
        published=len(published),
    )


def sandbox_books(base_url: str, day: date) -> Books:
    """The sandbox's side, as it tells it itself: an identical request is a double, and a clip twice on a platform."""
    answer = httpx.get(f"{base_url}/_sandbox/books", params={"day": day.isoformat()}, timeout=30, trust_env=False)
    answer.raise_for_status()
    books = answer.json()
    billed = [request for request in books["requests"] if Decimal(request["usd"]) > 0]
    return Books(
        jobs=len(billed),
        usd=sum((Decimal(request["usd"]) for request in billed), Decimal(0)),
        published=len(books["videos"]),
        double_billed=_doubles(
            (request["endpoint"], json.dumps(request["input"], sort_keys=True)) for request in billed
        ),
        double_published=_doubles((video["wire"], video["clip_id"]) for video in books["videos"]),
    )


def write_report(report: DemoReport, path: Path) -> None:
    path.write_text(json.dumps(report.as_document(), indent=2) + "\n", encoding="utf-8")


def _place_of_page(store: ObjectStore, day: date) -> str | None:
    """The day's page, as a path where it is a file; None where it could not be made, which is no failure."""
    page = report_key(day, "report.html")
    if not store.exists(page):
        return None
    if not store.url(page).startswith("file:"):
        return store.url(page)
    with store.local_copy(page) as path:
        return str(path)


def _provider(one: ProviderDay) -> dict[str, Any]:
    return {
        "provider": one.provider,
        "own_gpu": one.own_gpu,
        "jobs": one.asked,
        "refused": one.refused,
        "shots_made": one.made,
        "rescued": dict(one.rescued),
        "refused_elsewhere": one.refused_elsewhere,
        "cost_usd": str(one.usd),
        "rescued_shots_usd": str(one.rescued_usd),
    }


def _malformed(item: dict[str, Any]) -> dict[str, Any]:
    """The row of a brief that was quarantined: it came, and nothing was bought for it."""
    return {
        "brief": item["source"],
        "tier": None,
        "model": None,
        "attempts": 0,
        "strategy": "",
        "cost_usd": "0",
        "final_size": None,
        "status": "quarantined",
        "reason": "; ".join(item["reasons"]),
        "published_url": None,
        "not_connected": [],
    }


def _doubles(things: Any) -> int:
    """How many more there are than there should be."""
    counted = Counter(things)
    return sum(counted.values()) - len(counted)


def _rows(services: Services, asset: str, day: date, row_type: Any) -> list[Any]:
    return read_rows(row_type, services.store.read_bytes(table_key(asset, day.isoformat())))
