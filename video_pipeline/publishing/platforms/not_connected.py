"""A platform that has no account here: everything up to the upload is done, nothing is sent."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from video_pipeline.errors import ConfigurationError
from video_pipeline.publishing.platforms.protocol import (
    Before,
    Metrics,
    Session,
    Status,
    Uploaded,
    UploadRefused,
)
from video_pipeline.publishing.rules import Limits, PublishRequest


class NotConnected:
    """The dry run: the publisher checks the limits and records what it would have published."""

    connected = False
    processing_waits_s = ()

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits

    def open_session(self, request: PublishRequest, *, before: Before = None) -> Session:
        raise self._refusal()

    def status(self, session: Session) -> Status:
        """Nobody can ask what a session from before has come to."""
        raise self._refusal()

    def send(self, session: Session, path: Path, *, before: Before = None) -> Status:
        raise self._refusal()

    def found(self, named: str) -> Uploaded:
        raise ConfigurationError(f"{self.name} is not connected, so nobody can say what {named} is there.")

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        return {}

    def _refusal(self) -> UploadRefused:
        return UploadRefused(f"{self.name} is not connected")
