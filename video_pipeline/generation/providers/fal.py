"""fal's queue API: submit, status, result, and the request history that finds a submit whose answer was lost.

Wire facts: https://fal.ai/docs/documentation/model-apis/errors.md (model errors), .../request-errors (infrastructure
errors), the official client `fal-client` 1.0.3 (queue), and https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint
(history). fal has no idempotency key, and retries queued requests itself unless `x-fal-no-retry` is sent.
"""

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from video_pipeline.generation.providers.protocol import (
    JobFailed,
    NotAccepted,
    Rendered,
    Submission,
    SubmitUnknown,
)
from video_pipeline.ledger import FailureKind, Job, JobKind

_LOG = logging.getLogger(__name__)

_MODERATION = "content_policy_violation"
# The request itself is at fault: the same one would fail again.
_INVALID_TYPES = frozenset(
    {
        "missing",
        "value_error",
        "file_download_error",
        "image_load_error",
        "image_too_small",
        "image_too_large",
        "unsupported_image_format",
    }
)
# How long the provider keeps our files, should a download have to be repeated.
_KEEP_S = 7 * 24 * 3600
_HISTORY_SLACK = timedelta(minutes=2)


class FalProvider:
    """The adapter. fal bills renders and refusals after rendering; it does not bill refused prompts and failures."""

    name = "fal"

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        key: str,
        queue_url: str,
        api_url: str,
        trusted_origins: Iterable[str] = (),
    ) -> None:
        self._client = client
        self._queue_url = queue_url.rstrip("/")
        self._api_url = api_url.rstrip("/")
        self._headers = {"Authorization": f"Key {key.strip()}"}
        self.trusted_origins = frozenset(trusted_origins)

    async def submit(self, job: Job) -> Submission:
        headers = self._headers | {
            "x-fal-no-retry": "1",
            "X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": _KEEP_S}),
        }
        try:
            response = await self._client.post(f"{self._queue_url}/{job.endpoint}", json=job.request, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotAccepted(FailureKind.TRANSIENT, f"fal could not be reached: {error}") from error
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            reason = "FAL_KEY or the address of fal cannot be sent; check them for stray characters"
            raise NotAccepted(FailureKind.AUTH, reason) from error
        except httpx.TransportError as error:
            raise SubmitUnknown(f"fal's answer was lost: {type(error).__name__}") from error
        if response.status_code == 200:
            return _submission(response)
        raise _refused_submit(response)

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Submission | None:
        since = (job.created_at or datetime.now(UTC)) - _HISTORY_SLACK
        query = {
            "endpoint_id": job.endpoint,
            "start": since.isoformat(),
            "expand": "payloads",
            "limit": "100",
        }
        while True:
            response = await self._client.get(
                f"{self._api_url}/v1/models/requests/by-endpoint", params=query, headers=self._headers
            )
            response.raise_for_status()
            page = response.json()
            for item in page["items"]:
                if item["request_id"] not in known_ids and _same_input(item.get("json_input"), job.request):
                    return self.receipt(job, item["request_id"])
            if not page.get("has_more"):
                return None
            query["cursor"] = page["next_cursor"]

    def receipt(self, job: Job, provider_job_id: str) -> Submission:
        # The client's own rule: only the owner and the alias of an endpoint stand in a request's address.
        owner, alias = job.endpoint.split("/")[:2]
        base = f"{self._queue_url}/{owner}/{alias}/requests/{provider_job_id}"
        return Submission(provider_job_id, f"{base}/status", base, f"{base}/cancel")

    async def poll(self, job: Job) -> bool:
        response = await self._get(job.status_url, what="status")
        if response is None:
            return False
        if response.status_code not in (200, 202):
            _LOG.warning("fal answered %s to a status request; asking again", response.status_code)
            return False
        try:
            status = response.json()["status"]
        except (ValueError, KeyError, TypeError):
            _LOG.warning("fal's status could not be read; asking again")
            return False
        if status not in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED"):
            _LOG.warning("fal answered the unknown status %r; taken as still processing", status)
        return status == "COMPLETED"

    async def result(self, job: Job) -> Rendered | None:
        response = await self._get(job.response_url, what="result")
        # A list of details is the model's own last word; anything else with such a status is the way there failing.
        passing = response is not None and response.status_code in (429, *range(500, 600)) and not _details(response)
        if response is None or passing:
            return None
        if response.status_code != 200:
            raise _failed_result(response)
        try:
            document = response.json()
            if any(document.get("has_nsfw_concepts") or ()):
                raise JobFailed(FailureKind.MODERATION, "the picture was withheld as unsafe", billed=True)
            file = document["images"][0] if job.kind is JobKind.IMAGE else document["video"]
            return Rendered(media_url=file["url"], document=document)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            reason = f"fal's result has no file where one should be: {response.text[:200]}"
            raise JobFailed(FailureKind.INVALID, reason, billed=True) from error

    async def cancel(self, job: Job) -> None:
        if job.cancel_url and self._is_ours(job.cancel_url):
            try:
                await self._client.put(job.cancel_url, headers=self._headers)
            except httpx.TransportError as error:
                _LOG.warning("fal could not be asked to cancel %s: %s", job.provider_job_id, error)

    def _is_ours(self, url: str) -> bool:
        """Whether an address is on fal's own origin, the only place that our key goes to."""
        asked, own = urlsplit(url), urlsplit(self._queue_url)
        return (asked.scheme, asked.netloc) == (own.scheme, own.netloc)

    async def _get(self, url: str | None, *, what: str) -> httpx.Response | None:
        """A read, which is free to repeat; None when the network failed. Our key goes to fal's own host only."""
        if url is None or not self._is_ours(url):
            raise JobFailed(FailureKind.INVALID, f"fal gave a {what} address on another host: {url}", billed=True)
        try:
            return await self._client.get(url, headers=self._headers)
        except httpx.TransportError as error:
            _LOG.warning("the network failed while asking fal for the %s: %s", what, type(error).__name__)
            return None


def _submission(response: httpx.Response) -> Submission:
    try:
        receipt = response.json()
        return Submission(
            receipt["request_id"], receipt["status_url"], receipt["response_url"], receipt["cancel_url"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SubmitUnknown("fal accepted the request, but its receipt could not be read") from error


def _refused_submit(response: httpx.Response) -> NotAccepted | SubmitUnknown:
    """What a submit that was not answered with 200 means. A 500 may have queued the job: that is unknown."""
    status, reason = response.status_code, _reason(response)
    if status in (429, 503):
        return NotAccepted(FailureKind.TRANSIENT, reason, retry_after_s=_retry_after_s(response))
    if status == 402 or (status == 403 and "balance" in reason.lower()):
        return NotAccepted(FailureKind.QUOTA, reason)
    if status in (401, 403):
        return NotAccepted(FailureKind.AUTH, reason)
    if status in (400, 404, 413, 422):
        moderation = any(detail.get("type") == _MODERATION for detail in _details(response))
        kind = FailureKind.MODERATION if moderation else FailureKind.INVALID
        return NotAccepted(kind, reason, retry_allowed=not moderation)
    return SubmitUnknown(f"fal answered {status} to a submit: {reason}")


def _failed_result(response: httpx.Response) -> JobFailed:
    details = _details(response)
    types = {str(detail.get("type")) for detail in details}
    reason = _reason(response)
    retry_allowed = response.headers.get("X-Fal-Retryable", "").lower() == "true"
    if _MODERATION in types:
        # A refusal of the prompt costs nothing; one of the finished picture has used the GPU.
        prompt_refused = all((detail.get("loc") or ["body"])[0] == "body" for detail in details)
        return JobFailed(FailureKind.MODERATION, reason, billed=not prompt_refused, retry_allowed=retry_allowed)
    at_fault = response.status_code == 422 and any(_names_argument(detail) for detail in details)
    if at_fault or types & _INVALID_TYPES or response.status_code in (400, 404):
        return JobFailed(FailureKind.INVALID, reason, billed=False, retry_allowed=False)
    if response.status_code in (401, 403):
        return JobFailed(FailureKind.AUTH, reason, billed=True)
    return JobFailed(FailureKind.GENERATION, reason, billed=False)


def _names_argument(detail: dict[str, Any]) -> bool:
    """Whether a finding is about one of the request's arguments: `loc` is then `["body", name]`."""
    place = detail.get("loc")
    return isinstance(place, list) and len(place) > 1 and place[0] == "body"


def _details(response: httpx.Response) -> list[dict[str, Any]]:
    try:
        detail = response.json().get("detail")
    except (ValueError, AttributeError):
        return []
    return [item for item in detail if isinstance(item, dict)] if isinstance(detail, list) else []


def _reason(response: httpx.Response) -> str:
    details = _details(response)
    if details:
        return "; ".join(f"{detail.get('type')}: {detail.get('msg')}" for detail in details)[:500]
    return f"HTTP {response.status_code}: {response.text[:300]}"


def _retry_after_s(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None


def _same_input(recorded: Any, sent: dict[str, Any]) -> bool:
    """Whether a request of the history is ours: every argument that we sent, with its seed, stands in it."""
    return isinstance(recorded, dict) and all(recorded.get(name) == value for name, value in sent.items())
