"""The sandbox as the adapters meet it: started with quick models, told to misbehave, its books read."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

import video_pipeline.sandbox
from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.publishing.platforms.instagram import InstagramReels
from video_pipeline.publishing.platforms.youtube import YouTubeShorts
from video_pipeline.sandbox import ensure_running, stop

_PACKAGED_MODELS = Path(video_pipeline.sandbox.__file__).with_name("models.yaml")
_TEST_WIRES = ("video_pipeline_tests.contract.kiln_wire:Kiln", "video_pipeline_tests.contract.plaza_wire:Plaza")
"""Wires of vendors that do not exist; the sandbox loads them from outside of the package."""


@dataclass(frozen=True)
class Edge:
    """One running sandbox."""

    base_url: str
    state_dir: Path
    client: httpx.Client

    def fault(self, name: str, **more: Any) -> None:
        self.client.post(f"{self.base_url}/_sandbox/faults", json={"fault": name} | more).raise_for_status()

    def clear_faults(self) -> None:
        self.client.delete(f"{self.base_url}/_sandbox/faults").raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        """Every request that was accepted, oldest first."""
        return self.client.get(f"{self.base_url}/_sandbox/books").json()["requests"]

    def videos(self) -> list[dict[str, Any]]:
        """Every video that was published, oldest first."""
        return self.client.get(f"{self.base_url}/_sandbox/books").json()["videos"]

    def videos_of(self, clip_id: str) -> list[dict[str, Any]]:
        return [video for video in self.videos() if video["clip_id"] == clip_id]

    def fal(
        self, client: httpx.AsyncClient, *, key: str = "sandbox", admin_key: str = "admin", trusted: bool = True
    ) -> FalProvider:
        """The adapter as `Services` wires it."""
        return FalProvider(
            client,
            key=key,
            queue_url=f"{self.base_url}/fal-queue",
            api_url=f"{self.base_url}/fal-api",
            admin_key=admin_key,
            trusted_origins=(self.base_url,) if trusted else (),
        )

    def youtube(self, **overrides: str) -> YouTubeShorts:
        """The adapter as `Services` wires it."""
        wiring = {
            "client_id": "sandbox",
            "client_secret": "sandbox",
            "refresh_token": "sandbox",
            "api_url": f"{self.base_url}/youtube",
            "analytics_url": f"{self.base_url}/youtube-analytics",
            "token_url": f"{self.base_url}/oauth2/token",
            "watch_url": f"{self.base_url}/shorts/{{video_id}}",
        }
        return YouTubeShorts(**(wiring | overrides), client=_client())

    def instagram(self, **overrides: Any) -> InstagramReels:
        """The adapter as `Services` wires it, but more impatient."""
        wiring = {
            "access_token": "sandbox",
            "user_id": "1784",
            "graph_url": f"{self.base_url}/instagram",
            "watch_url": f"{self.base_url}/reel/{{shortcode}}",
            "processing_waits_s": (0.05,) * 40,
        }
        return InstagramReels(**(wiring | overrides), client=_client())


def _client() -> httpx.AsyncClient:
    """One that knows no certificates, as reading them takes longer than most tests."""
    return httpx.AsyncClient(trust_env=False, verify=False)


def usd(requests: list[dict[str, Any]]) -> Decimal:
    """What the sandbox billed for `requests`, in US dollars."""
    return sum((Decimal(request["usd"]) for request in requests), Decimal(0))


def wait_for(what: Callable[[], bool]) -> None:
    """Ask until it is so, for twenty seconds at most."""
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def plain_client(timeout_s: float = 10) -> httpx.Client:
    """A client for the loopback; it knows no certificates, as reading them takes longer than most tests."""
    return httpx.Client(timeout=timeout_s, trust_env=False, verify=False)


@contextmanager
def running_edge(state_dir: Path) -> Iterator[Edge]:
    """A sandbox whose models render at once, and fewer frames; it speaks the wires of the test vendors too."""
    models = _PACKAGED_MODELS.read_text()
    for packaged, quick in (("render_delay_s: 0.3", "render_delay_s: 0.04"), ("fps: 12", "fps: 8")):
        assert packaged in models
        models = models.replace(packaged, quick)
    (state_dir / "models.yaml").write_text(models)
    (state_dir / "wires.txt").write_text("\n".join(_TEST_WIRES))
    try:
        with plain_client() as client:
            yield Edge(ensure_running(state_dir).base_url, state_dir.resolve(), client)
    finally:
        stop(state_dir)
