"""Where providers are asked to call when a job has ended, and what the waiting for it is like then."""

import re
from dataclasses import dataclass
from typing import Any

from video_pipeline.generation.providers import PROVIDERS, WebhookTerms
from video_pipeline.ledger import Job

_JOB_KEY = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Webhooks:
    """The receiver's public address, without a slash at its end; without one, nobody is asked to call.

    A job's key stands in the address that is called for it. It is no part of the request, so that the request's hash
    is the same with webhooks and without.
    """

    url: str | None = None

    def terms(self, job: Job) -> WebhookTerms[Any] | None:
        """How the job's provider calls; None when it does not."""
        vendor = PROVIDERS.get(job.provider)
        return vendor.webhook if self.url and vendor else None

    def address(self, job: Job) -> str | None:
        """Where the job's provider is to call; None when it does not."""
        return f"{self.url}/webhooks/{job.provider}/{job.key}" if self.terms(job) else None


NO_WEBHOOKS = Webhooks()


def is_job_key(text: str) -> bool:
    """Whether `text` looks like a job's key."""
    return _JOB_KEY.fullmatch(text) is not None
