"""A platform that has no account here: everything up to the upload is done, nothing is sent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from video_pipeline.publishing.platforms.protocol import Uploaded, UploadRefused
from video_pipeline.publishing.rules import PublishRequest


class NotConnected:
    """The dry run: the publisher checks the rules and records what it would have published."""

    connected = False

    def __init__(self, name: str) -> None:
        self.name = name

    def open_session(self, request: PublishRequest) -> str:
        raise UploadRefused(f"{self.name} is not connected")

    def finished(self, session_url: str, request: PublishRequest) -> Uploaded | None:
        return None

    def send(self, session_url: str, path: Path, request: PublishRequest) -> Uploaded:
        raise UploadRefused(f"{self.name} is not connected")

    def metrics(self, remote_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {}
