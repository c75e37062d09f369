"""A file in a store, and publishers over a clean ledger."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from video_pipeline.alerts import Notifier
from video_pipeline.ledger import Ledger, Publication
from video_pipeline.publishing import PLATFORMS, NotConnected, Platform, Publisher, PublishRecord, PublishRequest
from video_pipeline.storage import LocalStore, StoredObject
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import DAY

MEDIA = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 400


@dataclass
class Desk:
    """A publisher's desk: `videos` are those that went public since it was set up."""

    ledger: Ledger
    store: LocalStore
    edge: Edge
    day: date = DAY
    connected: bool = True
    others: dict[str, Platform] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = len(self.edge.videos())

    @property
    def videos(self) -> list[dict[str, Any]]:
        return self.edge.videos()[self._before :]

    @property
    def platforms(self) -> dict[str, Platform]:
        """YouTube is connected or not; the others are not."""
        platforms: dict[str, Platform] = {
            name: NotConnected(name, vendor.limits) for name, vendor in PLATFORMS.items()
        }
        if self.connected:
            platforms["youtube_shorts"] = self.edge.youtube()
        return platforms | self.others

    def media(self, name: str = "clip", data: bytes = MEDIA) -> StoredObject:
        return self.store.put_bytes(f"clips/{self.day}/{name}/final/{name}.mp4", data, content_type="video/mp4")

    def publisher(self, ledger: Ledger | None = None) -> Publisher:
        """A publisher as a run builds it."""
        ledger = ledger or self.ledger
        return Publisher(
            ledger=ledger, store=self.store, platforms=self.platforms, notifier=Notifier([], ledger.alerts)
        )

    @property
    def notifier(self) -> Notifier:
        return Notifier([], self.ledger.alerts)

    def publish(self, media: StoredObject, **request: Any) -> PublishRecord:
        return self.publisher().publish(
            request_of(media, **request), day=self.day, media_key=media.key, media_sha256=media.sha256
        )

    def publications(self) -> list[Publication]:
        return self.ledger.publications.of_days(self.day, self.day)

    def alerts(self) -> list[str]:
        return [alert["title"] for alert in self.ledger.alerts.latest()]


def request_of(media: StoredObject, **fields: Any) -> PublishRequest:
    """A five-second vertical clip for YouTube."""
    given = {
        "clip_id": f"{DAY}/a-clip",
        "platform": "youtube_shorts",
        "title": "A clip",
        "description": f"Made with AI.\nModel: sandbox/grand\nBrief: a-clip\nClip: {DAY}/a-clip",
        "tags": ("brief-a-clip",),
        "size_bytes": media.size_bytes,
        "size": (1080, 1920),
        "duration_s": 5,
    }
    return PublishRequest.model_validate(given | fields)


@pytest.fixture
def desk(ledger: Ledger, edge: Edge, tmp_path: Path) -> Desk:
    return Desk(ledger, LocalStore(tmp_path / "store"), edge)
