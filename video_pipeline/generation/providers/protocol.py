"""What the engine asks of a provider: submit, find a lost submit, poll, fetch the result. Nothing here decides."""

from dataclasses import dataclass
from typing import Any, Protocol

from video_pipeline.ledger import FailureKind, Job


@dataclass(frozen=True)
class Submission:
    """A provider's receipt; committed to the ledger right after the reply."""

    provider_job_id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True)
class Rendered:
    """A finished job: where the provider keeps the file, for now."""

    media_url: str
    document: dict[str, Any]


class NotAccepted(Exception):
    """The provider surely did not take the job; nothing was bought."""

    def __init__(
        self, kind: FailureKind, reason: str, *, retry_after_s: float | None = None, retry_allowed: bool = True
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.retry_allowed = retry_allowed


class SubmitUnknown(Exception):
    """The answer to a submit was lost: the job may or may not have been bought."""


class JobFailed(Exception):
    """The job ended without a file; `billed` says whether the provider charges for it all the same."""

    def __init__(self, kind: FailureKind, reason: str, *, billed: bool, retry_allowed: bool = True) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.billed = billed
        self.retry_allowed = retry_allowed


class Provider(Protocol):
    """One provider on the wire.

    `trusted_origins` are the only origins that a download may reach although they are not public (the sandbox); empty
    for every real provider.
    """

    name: str
    trusted_origins: frozenset[str]

    async def submit(self, job: Job) -> Submission:
        """Buy `job`. Raises NotAccepted or SubmitUnknown; every other outcome is a receipt."""
        ...

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Submission | None:
        """Look for a submit of `job` whose answer was lost, among requests that are not `known_ids`."""
        ...

    def receipt(self, job: Job, provider_job_id: str) -> Submission:
        """The receipt of a job that a person has found at the provider."""
        ...

    async def poll(self, job: Job) -> bool:
        """Whether the job has ended. Trouble on the way is not an end; raises JobFailed when it is gone."""
        ...

    async def result(self, job: Job) -> Rendered | None:
        """The file of an ended job, None to ask again later. Raises JobFailed."""
        ...

    async def cancel(self, job: Job) -> None:
        """Ask that a job be given up; best effort."""
        ...
