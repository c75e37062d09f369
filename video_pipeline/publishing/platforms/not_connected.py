"""A platform that has no account here: everything up to the upload is done, nothing is sent."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from video_pipeline.publishing.platforms.protocol import Metrics, Missing, Session, Status, UploadRefused
from video_pipeline.publishing.rules import Limits, PublishRequest


class NotConnected:
    """The dry run: the publisher checks the limits and records what it would have published."""

    connected = False
    processing_waits_s = ()

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits

    def open_session(self, request: PublishRequest) -> Session:
        raise self._refusal()

    def status(self, session: Session) -> Status:
        return Missing()

    def send(self, session: Session, path: Path) -> Status:
        raise self._refusal()

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        return {}

    def _refusal(self) -> UploadRefused:
        return UploadRefused(f"{self.name} is not connected")
