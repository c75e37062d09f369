"""What the publisher asks of a platform: open a session, send the file, ask what became of it, read metrics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from video_pipeline.publishing.rules import PublishRequest
from video_pipeline.settings import VendorSection


@dataclass(frozen=True)
class Uploaded:
    """A clip that is on the platform."""

    remote_id: str
    url: str


class UploadRefused(Exception):
    """The platform surely did not take the clip: rules, quota or credentials.

    `lasting` says that the reason is the clip or its words, so that it is in vain to send the same again.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class UploadInterrupted(Exception):
    """The network failed on the way; the session is to be asked how far it came."""


class UploadLost(Exception):
    """Nobody can tell any more whether the clip went public: never sent again blindly (MISSION P2)."""


class Platform(Protocol):
    """One platform. `connected` is False for one that has no account here: its publications are a dry run."""

    name: str
    connected: bool

    def open_session(self, request: PublishRequest) -> str:
        """Announce a clip; the session's address, which is kept before any byte is sent. Raises UploadRefused."""
        ...

    def finished(self, session_url: str, request: PublishRequest) -> Uploaded | None:
        """What a session has come to: the clip, or None while bytes are missing. Raises UploadLost."""
        ...

    def send(self, session_url: str, path: Path, request: PublishRequest) -> Uploaded:
        """Send the file. Raises UploadInterrupted, UploadRefused or UploadLost."""
        ...

    def metrics(self, remote_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """remote id -> views, likes, shares, comments and completion (0..1), as far as the platform tells them."""
        ...


@dataclass(frozen=True)
class PlatformVendor:
    """A platform's entry in `PLATFORMS`.

    `connect` gives None when nothing of the section is set, and raises ConfigurationError when it is half set.
    `connect_sandbox` gives None when the sandbox does not speak the platform's protocol.
    """

    name: str
    section: type[VendorSection]
    connect: Callable[[Any], Platform | None]
    connect_sandbox: Callable[[str], Platform | None]
