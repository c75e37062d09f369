"""What the publisher asks of a platform, and how a vendor registers.

A platform opens a session, takes the file, says what became of it, and tells metrics. Nothing here decides. An
adapter is one file that ends with its `PlatformVendor`; `PLATFORMS` in `registry.py` is the only table that names
vendors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from video_pipeline.errors import VendorError
from video_pipeline.publishing.rules import Limits, PublishRequest
from video_pipeline.settings import VendorSection

Session = dict[str, Any]
"""An upload session as JSON: made and read by the platform's adapter only, kept in the ledger."""

RawAnswer = dict[str, Any] | None
"""What the platform has answered, as `wire.Answer.kept` gives it; None where no answer came."""

# More is no number of people.
_Count = Annotated[int, Field(strict=True, ge=0, le=10**13)]


@dataclass(frozen=True)
class Missing:
    """The platform waits for us: for bytes, or for the word to publish what it has. `send` gives it either."""


@dataclass(frozen=True)
class Processing:
    """The platform has everything and has not decided yet: nothing is sent, it is asked again later."""


@dataclass(frozen=True)
class Uploaded:
    """The clip is public under `url`; `remote_id` is what the platform calls it."""

    remote_id: str
    url: str
    answer: RawAnswer = field(default=None, compare=False)


@dataclass(frozen=True)
class Failed:
    """The platform says that the session has come to nothing.

    `lasting`: the reason is the clip or its words, so that sending the same again would fail again.
    """

    reason: str
    lasting: bool = False
    answer: RawAnswer = field(default=None, compare=False)


Status = Missing | Processing | Uploaded | Failed


class Metrics(BaseModel):
    """Engagement of one clip since it was published; `completion` is 0 to 1.

    What the platform does not tell is None. Numbers that nobody can have counted are no metrics: ValidationError.
    """

    model_config = ConfigDict(frozen=True)

    views: _Count | None = None
    engaged_views: _Count | None = None
    likes: _Count | None = None
    comments: _Count | None = None
    shares: _Count | None = None
    completion: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] | None = None


class UploadRefused(VendorError):
    """The platform refused a call in words of its own documents: rules, quota or credentials.

    `lasting` means what it means in `Failed`. `not_before` is when a quota or a limit lets the next call through.
    `cause` names what keeps the whole account from it, such as a quota or its credentials; empty for one clip's.
    """

    def __init__(
        self,
        reason: str,
        *,
        lasting: bool = False,
        not_before: datetime | None = None,
        cause: str = "",
        answer: RawAnswer = None,
    ) -> None:
        super().__init__(reason)
        self.lasting = lasting
        self.not_before = not_before
        self.cause = cause
        self.answer = answer


class UploadInterrupted(VendorError):
    """Nobody can tell: no answer came, or one that its documents do not have; the session is to be asked."""

    def __init__(self, reason: str, *, answer: RawAnswer = None) -> None:
        super().__init__(reason)
        self.answer = answer


class UploadLost(VendorError):
    """Nobody can tell any more whether the clip went public: it is never sent again (P2).

    Only in words that the platform's documents have for a session that is gone.
    """

    def __init__(self, reason: str, *, answer: RawAnswer = None) -> None:
        super().__init__(reason)
        self.answer = answer


def longest_send_s(size_bytes: int) -> float:
    """The most seconds that sending a file may take: ten minutes, and as long as 100 kB/s need for it."""
    return 600 + size_bytes / 100_000


Before = Callable[[], None] | None


class Platform(Protocol):
    """One platform on the wire.

    Whatever an answer holds, these are the only errors, and only what the platform's documents say is a yes or a no.
    `before` is called in the last moment before a request's bytes go out; what it raises, nothing was sent.
    `connected` is False for one that has no account here: its publications are a dry run. `processing_waits_s` are
    the seconds to wait before each further question while a clip is being processed. After the last of them, the next
    run asks.
    """

    @property
    def name(self) -> str: ...

    @property
    def connected(self) -> bool: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def processing_waits_s(self) -> Sequence[float]: ...

    def open_session(self, request: PublishRequest, *, before: Before = None) -> Session:
        """Announce a clip, for which nothing becomes public yet. Raises UploadRefused or UploadInterrupted.

        After UploadInterrupted there is no session that anybody could use, and the next run opens one.
        """
        ...

    def status(self, session: Session) -> Status:
        """What a session has come to. Raises UploadInterrupted, UploadRefused (no answer) or UploadLost."""
        ...

    def send(self, session: Session, path: Path, *, before: Before = None) -> Status:
        """Send what is missing of the file at `path`, or the word to publish it.

        Raises UploadInterrupted, UploadRefused or UploadLost. One that is interrupted because of a refusal that
        passes is raised from that, and goes on in its session.

        However often it is called for a session, the clip becomes public at most once. It ends within
        `longest_send_s`.
        """
        ...

    def found(self, named: str) -> Uploaded:
        """What a person has found on the platform and names by its id or address there.

        Raises ConfigurationError when it is neither.
        """
        ...

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        """remote id -> metrics, of those that the platform knows. Raises UploadInterrupted or UploadRefused."""
        ...


SectionT = TypeVar("SectionT", bound=VendorSection)


@dataclass(frozen=True)
class PlatformVendor(Generic[SectionT]):
    """A vendor's entry in `PLATFORMS`.

    `section` is what it reads from the environment. `connect` gives None where the section holds no credentials, and
    raises ConfigurationError where it holds half of them. `connect_sandbox` takes the sandbox's address, and gives
    None when the sandbox does not speak its wire.
    """

    name: str
    limits: Limits
    section: type[SectionT]
    connect: Callable[[SectionT], Platform | None]
    connect_sandbox: Callable[[str], Platform | None]
