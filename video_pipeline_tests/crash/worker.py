"""What is killed or stopped: a process that generates a small day and publishes its clips, up to where it is told.

It is forked off a server that has imported everything, so that a trial costs the work and not the start of Python.
"""

import os
import signal
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief, storyboard_of
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.generation import PROVIDERS, generate_day
from video_pipeline.ledger import open_ledger
from video_pipeline.policy import load_policy
from video_pipeline.publishing import PLATFORMS, Publisher
from video_pipeline.publishing.rules import publish_request
from video_pipeline.routing import RoutingState, load_catalogue, plan_day
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.orders import MAX_ATTEMPTS
from video_pipeline_tests.contract.vendors import offered_by, register
from video_pipeline_tests.generation.stage import quick


@dataclass(frozen=True)
class Orders:
    """What to do, and the checkpoint to die at: the `nth` time that `name` is reached; no name, no death.

    With SIGSTOP as `by` it only stops there, until somebody lets it go on. `reached` is a file to which every
    checkpoint that is passed is written, a line each.
    """

    ledger_url: str
    store: str
    base_url: str
    day: date
    briefs: tuple[str, ...]
    run_id: str
    provider: str = "fal"
    platform: str = "youtube_shorts"
    concurrency: int = 4
    name: str = ""
    nth: int = 1
    by: int = signal.SIGKILL
    lease_s: float = 5.0
    max_segment_s: float = 15.0
    reached: str = ""


def work(orders: Orders) -> None:
    """Run the day to its end, or to the process's."""
    # What it leaves when it is killed goes with its trial.
    tempfile.tempdir = str(Path(orders.store).parent)
    _arm(orders)
    register()
    ledger = open_ledger(orders.ledger_url, embedded_dir=Path("unused"))
    store, notifier = LocalStore(Path(orders.store)), Notifier([], ledger.alerts)
    policy = quick(
        load_policy(),
        concurrency=orders.concurrency,
        lease_s=orders.lease_s,
        max_segment_s=orders.max_segment_s,
    )
    catalogue = offered_by(load_catalogue(sandbox=True), orders.provider)
    briefs = [Brief.model_validate_json(brief) for brief in orders.briefs]
    boards = [storyboard_of(brief, orders.day, cap_s=policy.generation.max_segment_s) for brief in briefs]
    plans = plan_day(ledger, boards, catalogue, policy.routing, RoutingState(), max_attempts=MAX_ATTEMPTS)
    provider, platform = PROVIDERS[orders.provider], PLATFORMS[orders.platform].connect_sandbox(orders.base_url)
    assert platform is not None
    clips = generate_day(
        plans,
        ledger=ledger,
        store=store,
        providers=lambda client: {provider.name: provider.connect_sandbox(orders.base_url, client)},
        catalogue=catalogue,
        policy=policy,
        notifier=notifier,
        run_id=orders.run_id,
    )
    publisher = Publisher(
        ledger=ledger,
        store=store,
        platforms={platform.name: platform},
        notifier=notifier,
        lease_s=orders.lease_s,
    )
    for brief, clip in zip(briefs, clips, strict=True):
        if clip.status is ClipStatus.GENERATED:
            _publish(publisher, store, brief, clip)
    ledger.close()


def _arm(orders: Orders) -> None:
    times = 0

    def reach(name: str) -> None:
        nonlocal times
        if orders.reached:
            with Path(orders.reached).open("a") as file:
                file.write(f"{name}\n")
        if name == orders.name:
            times += 1
            if times == orders.nth:
                os.kill(os.getpid(), orders.by)

    checkpoints.on_reach = reach


def _publish(publisher: Publisher, store: LocalStore, brief: Brief, clip: GeneratedClip) -> None:
    stored = store.stat(clip.media_key or "")
    assert stored is not None
    for platform in brief.platforms:
        request = publish_request(
            brief,
            clip.clip_id,
            platform,
            model=clip.model or "",
            size_bytes=stored.size_bytes,
            size=clip.size or (0, 0),
            duration_s=clip.duration_s,
        )
        publisher.publish(request, day=clip.day, media_key=stored.key, media_sha256=stored.sha256)
