"""Clips on their way to a channel behind the proxy, a day of their own at a time."""

import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.ledger import Ledger, Publication
from video_pipeline.policy import load_policy
from video_pipeline.publishing import Platform, Publisher, publish_day
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.publishing.conftest import MEDIA
from video_pipeline_tests.wire.conftest import CLIENT_SECRET, GRAPH_TOKEN, REFRESH_TOKEN, behind
from video_pipeline_tests.wire.proxy import Proxy

NAME = "youtube_shorts"


@dataclass
class Channel:
    """One day's clips for a platform, one for each of `words`; `videos` are those of this day."""

    ledger: Ledger
    store: LocalStore
    edge: Edge
    proxy: Proxy
    day: date
    words: tuple[str, ...] = ("Wild", "Plain")
    name: str = NAME

    @property
    def youtube(self) -> Platform:
        return behind(self.proxy, self.edge).youtube(client_secret=CLIENT_SECRET, refresh_token=REFRESH_TOKEN)

    @property
    def platform(self) -> Platform:
        return (
            self.youtube if self.name == NAME else behind(self.proxy, self.edge).instagram(access_token=GRAPH_TOKEN)
        )

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(f"{word} of {self.day}" for word in self.words)

    def videos(self, title: str) -> list[dict[str, Any]]:
        return [video for video in self.edge.videos() if video["title"] == title]

    def publication(self, title: str) -> Publication:
        [found] = [
            publication
            for publication in self.ledger.publications.of_days(self.day, self.day)
            if publication.document["title"] == title
        ]
        return found

    def run(self) -> float:
        """One run over the day's clips; how long it took, in seconds."""
        notifier = Notifier([], self.ledger.alerts)
        publisher = Publisher(
            ledger=self.ledger,
            store=self.store,
            platforms={self.name: self.platform},
            notifier=notifier,
        )
        briefs = {f"{self.day}/{brief.brief_id}": brief for brief in map(self._brief, self.titles)}
        clips = [self._clip(brief) for brief in briefs.values()]
        begun = time.monotonic()
        publish_day(publisher, self.ledger, notifier, clips, briefs, load_policy())
        return time.monotonic() - begun

    def _brief(self, title: str) -> Brief:
        return brief_of("waves", brief_id=title.split()[0].lower(), title=title, platforms=(self.name,))

    def _clip(self, brief: Brief) -> ReviewedClip:
        key = f"clips/{self.day}/{brief.brief_id}/final/{brief.brief_id}.mp4"
        media = self.store.put_bytes(key, MEDIA, content_type="video/mp4")
        return ReviewedClip(
            clip_id=f"{self.day}/{brief.brief_id}",
            brief_id=brief.brief_id,
            day=self.day,
            status=ClipStatus.PASSED,
            tier="preview",
            model="sandbox/sprint",
            duration_s=5,
            final_key=media.key,
            final_sha256=media.sha256,
            final_bytes=media.size_bytes,
            final_size=(1080, 1920),
        )
