"""One sandbox for a test module, and a client that speaks to it as the adapters do."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import video_pipeline.sandbox
from video_pipeline.sandbox import ensure_running, stop

PACKAGED_MODELS = Path(video_pipeline.sandbox.__file__).with_name("models.yaml")
REFRESH = {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "c", "client_secret": "s"}


class Client:
    """Plain HTTP against one sandbox, without any of the pipeline's own code."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.fal = httpx.Client(headers={"Authorization": "Key test"}, timeout=20, trust_env=False)
        self.google = httpx.Client(headers={"Authorization": "Bearer test"}, timeout=20, trust_env=False)

    def submit(self, endpoint: str, **body: Any) -> httpx.Response:
        return self.fal.post(f"{self.base_url}/fal-queue/{endpoint}", json=body)

    def finish(self, submitted: dict[str, Any]) -> httpx.Response:
        """Polls until COMPLETED; gives the answer of the result URL."""
        deadline = time.monotonic() + 30
        while self.fal.get(submitted["status_url"]).json()["status"] != "COMPLETED":
            assert time.monotonic() < deadline, "the request did not complete"
            time.sleep(0.02)
        return self.fal.get(submitted["response_url"])

    def make(self, endpoint: str, **body: Any) -> httpx.Response:
        return self.finish(self.submit(endpoint, **body).json())

    def video(self, **body: Any) -> bytes:
        """The bytes of a short clip by the cheapest model, or of what else the body says."""
        request = {"prompt": "waves", "duration": 1, "aspect_ratio": "9:16", "seed": 1} | body
        endpoint = request.pop("endpoint", "sandbox/grand/text-to-video")
        return self.fal.get(self.make(endpoint, **request).json()["video"]["url"]).content

    def fault(self, name: str, **more: Any) -> None:
        self.fal.post(f"{self.base_url}/_sandbox/faults", json={"fault": name} | more).raise_for_status()

    def books(self, **query: str) -> dict[str, list[dict[str, Any]]]:
        return self.fal.get(f"{self.base_url}/_sandbox/books", params=query).raise_for_status().json()

    def billing(self, *, key: str = "admin", **query: Any) -> httpx.Response:
        """A page of the account's billing, read with the key of an administrator."""
        url, headers = f"{self.base_url}/fal-api/v1/models/billing-events", {"Authorization": f"Key {key}"}
        return self.fal.get(url, params=query, headers=headers)

    def billed(self, request_id: str, lines: int) -> list[dict[str, Any]]:
        """The lines of a request, once there are so many."""
        deadline = time.monotonic() + 30
        while len(found := self.billing(request_id=request_id).json()["billing_events"]) < lines:
            assert time.monotonic() < deadline, "the bill did not come"
            time.sleep(0.02)
        return found

    def booked(self, request_id: str) -> dict[str, Any]:
        return next(entry for entry in self.books()["requests"] if entry["request_id"] == request_id)

    def start_upload(self, title: str = "A clip", size: int | None = None, **resource: Any) -> httpx.Response:
        body = {"snippet": {"title": title, "description": "", "tags": []}, "status": {"privacyStatus": "private"}}
        return self.google.post(
            f"{self.base_url}/youtube/upload/youtube/v3/videos",
            params={"uploadType": "resumable", "part": "snippet,status"},
            headers={} if size is None else {"X-Upload-Content-Length": str(size)},
            json=body | resource,
        )

    def close(self) -> None:
        self.fal.close()
        self.google.close()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[Client, Path]]]:
    """Starts sandboxes with a short render delay; further text replacements make them a price list of their own."""
    started: list[tuple[Client, Path]] = []

    def start_one(*replacements: tuple[str, str]) -> tuple[Client, Path]:
        state_dir = tmp_path_factory.mktemp("sandbox")
        models = PACKAGED_MODELS.read_text()
        for old, new in (("render_delay_s: 0.3", "render_delay_s: 0.06"), *replacements):
            assert old in models
            models = models.replace(old, new)
        (state_dir / "models.yaml").write_text(models)
        started.append((Client(ensure_running(state_dir).base_url), state_dir))
        return started[-1]

    yield start_one
    for client, state_dir in started:
        client.close()
        stop(state_dir)


@pytest.fixture(scope="module")
def module_sandbox(start: Callable[..., tuple[Client, Path]]) -> Client:
    return start()[0]


@pytest.fixture
def sandbox(module_sandbox: Client) -> Iterator[Client]:
    """The module's sandbox, without faults left over from another test."""
    yield module_sandbox
    module_sandbox.fal.delete(f"{module_sandbox.base_url}/_sandbox/faults")
