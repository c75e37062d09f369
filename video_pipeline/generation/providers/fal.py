"""fal's queue API: submit, status, result, and the request history that finds a submit whose answer was lost.

fal has no idempotency key. It retries queued requests itself unless `x-fal-no-retry` is sent. Sources:

- model errors: https://fal.ai/docs/documentation/model-apis/errors.md, and `request-errors.md` beside it for the
  infrastructure's
- queue: the official client, `fal-client` 1.0.3
- history: https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint
"""

import contextlib
import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from video_pipeline.generation.providers.protocol import (
    Ending,
    JobFailed,
    NotAccepted,
    ProviderVendor,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
)
from video_pipeline.ledger import FailureKind, Job, JobKind, Receipt
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.settings import VendorSection

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
_ASPECT_RATIOS = {Orientation.PORTRAIT: "9:16", Orientation.LANDSCAPE: "16:9", Orientation.SQUARE: "1:1"}
_IMAGE_SIZES = {
    Orientation.PORTRAIT: "portrait_16_9",
    Orientation.LANDSCAPE: "landscape_16_9",
    Orientation.SQUARE: "square_hd",
}


class FalSection(VendorSection):
    """fal's settings."""

    key: SecretStr | None = Field(None, validation_alias="FAL_KEY")
    queue_url: str = Field("https://queue.fal.run", validation_alias="VIDEO_PIPELINE_FAL_QUEUE_URL")
    api_url: str = Field("https://api.fal.ai", validation_alias="VIDEO_PIPELINE_FAL_API_URL")


class FalWire(BaseModel):
    """How a model's endpoints want their arguments: the table that differs from model to model.

    A field name that is null is an argument that the endpoint does not take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_to_video: str | None = None
    image_to_video: str | None = None
    text_to_image: str | None = None
    image_field: str = "image_url"
    duration_as: Literal["int", "string", "seconds_string"] = "int"
    resolution_field: str | None = "resolution"
    audio_field: str | None = None
    negative_prompt_field: str | None = None
    references_field: str | None = None
    seed: bool = True


class _Finding(BaseModel):
    """One entry of a model error's `detail`; `loc` is where in the request or in the output it was found."""

    type: str = ""
    msg: str = ""
    loc: tuple[str | int, ...] = ()

    @property
    def names_argument(self) -> bool:
        """Whether it is about one of the request's arguments: `loc` is then `["body", name]`."""
        return len(self.loc) > 1 and self.loc[0] == "body"


class _Findings(BaseModel):
    detail: list[Any]


class FalProvider:
    """The adapter. fal bills renders and refusals after rendering; it does not bill refused prompts and failures."""

    name = "fal"
    terms = Terms(
        recovery=Recovery.SEARCH,
        billed=frozenset({Ending.OUTPUT_REFUSED, Ending.UNREADABLE}),
        concurrency=4,
        poll_interval_s=2.0,
        url_lifetime_s=_KEEP_S,
    )

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

    async def submit(self, job: Job) -> Receipt:
        headers = self._headers | {
            "x-fal-no-retry": "1",
            "X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": _KEEP_S}),
        }
        try:
            response = await self._client.post(
                f"{self._queue_url}/{job.request['endpoint']}", json=job.request["arguments"], headers=headers
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotAccepted(FailureKind.TRANSIENT, f"fal could not be reached: {error}") from error
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            reason = "FAL_KEY or the address of fal cannot be sent; check them for stray characters"
            raise NotAccepted(FailureKind.AUTH, reason) from error
        except httpx.TransportError as error:
            raise SubmitUnknown(f"fal's answer was lost: {type(error).__name__}") from error
        if response.status_code == 200:
            return _receipt(response)
        raise _refused_submit(response)

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        since = (job.created_at or datetime.now(UTC)) - _HISTORY_SLACK
        query = {
            "endpoint_id": job.request["endpoint"],
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
                ours = _same_input(item.get("json_input"), job.request["arguments"])
                if ours and item["request_id"] not in known_ids:
                    return self.receipt(job, item["request_id"])
            if not page.get("has_more"):
                return None
            query["cursor"] = page["next_cursor"]

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        # The client's own rule: only the owner and the alias of an endpoint stand in a request's address.
        owner, alias = job.request["endpoint"].split("/")[:2]
        base = f"{self._queue_url}/{owner}/{alias}/requests/{provider_job_id}"
        return Receipt(
            provider_job_id, {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}
        )

    async def poll(self, job: Job) -> bool:
        response = await self._get(_address(job, "status_url"), what="status")
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
        response = await self._get(_address(job, "response_url"), what="result")
        # A list of details is the model's own last word; anything else with such a status is the way there failing.
        passing = response is not None and response.status_code in (429, *range(500, 600)) and not _details(response)
        if response is None or passing:
            return None
        if response.status_code != 200:
            raise _failed_result(response)
        try:
            document = response.json()
            if any(document.get("has_nsfw_concepts") or ()):
                reason = "the picture was withheld as unsafe"
                raise JobFailed(FailureKind.MODERATION, reason, ending=Ending.OUTPUT_REFUSED)
            file = document["images"][0] if job.kind is JobKind.IMAGE else document["video"]
            return Rendered(media_url=file["url"])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            reason = f"fal's result has no file where one should be: {response.text[:200]}"
            raise JobFailed(FailureKind.INVALID, reason, ending=Ending.UNREADABLE) from error

    async def cancel(self, job: Job) -> None:
        address = _address(job, "cancel_url")
        if address and self._is_ours(address):
            try:
                await self._client.put(address, headers=self._headers)
            except httpx.TransportError as error:
                _LOG.warning("fal could not be asked to cancel %s: %s", job.provider_job_id, error)

    def _is_ours(self, url: str) -> bool:
        """Whether an address is on fal's own origin, the only place that our key goes to."""
        asked, own = urlsplit(url), urlsplit(self._queue_url)
        return (asked.scheme, asked.netloc) == (own.scheme, own.netloc)

    async def _get(self, url: str | None, *, what: str) -> httpx.Response | None:
        """A read, which is free to repeat; None when the network failed. Our key goes to fal's own host only."""
        if url is None or not self._is_ours(url):
            reason = f"fal gave a {what} address on another host: {url}"
            raise JobFailed(FailureKind.INVALID, reason, ending=Ending.UNREADABLE)
        try:
            return await self._client.get(url, headers=self._headers)
        except httpx.TransportError as error:
            _LOG.warning("the network failed while asking fal for the %s: %s", what, type(error).__name__)
            return None


def _request(order: RenderOrder, wire: FalWire) -> dict[str, Any]:
    """Endpoint and arguments; an order without length is one for a picture.

    Raises ValueError when the wire has no endpoint for such an order.
    """
    arguments: dict[str, Any] = {"prompt": order.prompt}
    if not order.duration_s:
        endpoint = wire.text_to_image
        arguments |= {"image_size": _IMAGE_SIZES[order.orientation], "num_images": 1}
    else:
        endpoint = wire.image_to_video if order.start_image else wire.text_to_video
        seconds = int(order.duration_s)
        arguments["duration"] = {"int": seconds, "string": str(seconds), "seconds_string": f"{seconds}s"}[
            wire.duration_as
        ]
        arguments["aspect_ratio"] = _ASPECT_RATIOS[order.orientation]
        optional = (
            (wire.resolution_field, order.resolution),
            (wire.audio_field, order.audio),
            (wire.image_field, order.start_image),
            (wire.negative_prompt_field, order.negative_prompt),
            (wire.references_field, list(order.references) or None),
        )
        arguments |= {name: value for name, value in optional if name and value is not None}
    if wire.seed and order.seed is not None:
        arguments["seed"] = order.seed
    if endpoint is None:
        raise ValueError("the model's wire names no endpoint for such an order")
    return {"endpoint": endpoint, "arguments": arguments}


def _address(job: Job, name: str) -> str | None:
    return (job.receipt or {}).get(name)


def _receipt(response: httpx.Response) -> Receipt:
    try:
        receipt = response.json()
        addresses = {name: receipt[name] for name in ("status_url", "response_url", "cancel_url")}
        return Receipt(receipt["request_id"], addresses)
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
        moderation = any(detail.type == _MODERATION for detail in _details(response))
        kind = FailureKind.MODERATION if moderation else FailureKind.INVALID
        return NotAccepted(kind, reason, retry_allowed=not moderation)
    return SubmitUnknown(f"fal answered {status} to a submit: {reason}")


def _failed_result(response: httpx.Response) -> JobFailed:
    details = _details(response)
    types = {detail.type for detail in details}
    reason = _reason(response)
    retry_allowed = response.headers.get("X-Fal-Retryable", "").lower() == "true"
    if _MODERATION in types:
        # A refusal of the prompt costs nothing; one of the finished picture has used the GPU.
        prompt_refused = all(detail.loc[:1] in ((), ("body",)) for detail in details)
        ending = Ending.PROMPT_REFUSED if prompt_refused else Ending.OUTPUT_REFUSED
        return JobFailed(FailureKind.MODERATION, reason, ending=ending, retry_allowed=retry_allowed)
    at_fault = response.status_code == 422 and any(detail.names_argument for detail in details)
    if at_fault or types & _INVALID_TYPES or response.status_code in (400, 404):
        return JobFailed(FailureKind.INVALID, reason, ending=Ending.FAILED, retry_allowed=False)
    if response.status_code in (401, 403):
        return JobFailed(FailureKind.AUTH, reason, ending=Ending.UNREADABLE)
    return JobFailed(FailureKind.GENERATION, reason, ending=Ending.FAILED)


def _details(response: httpx.Response) -> list[_Finding]:
    """The model's own findings, those that can be read; none in an error of the way there."""
    try:
        found = _Findings.model_validate_json(response.content).detail
    except ValidationError:
        return []
    readable: list[_Finding] = []
    for item in found:
        with contextlib.suppress(ValidationError):
            readable.append(_Finding.model_validate(item))
    return readable


def _reason(response: httpx.Response) -> str:
    details = _details(response)
    if details:
        return "; ".join(f"{detail.type}: {detail.msg}" for detail in details)[:500]
    return f"HTTP {response.status_code}: {response.text[:300]}"


def _retry_after_s(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None


def _same_input(recorded: dict[str, Any] | None, sent: dict[str, Any]) -> bool:
    """Whether a request of the history is ours: every argument that we sent, with its seed, stands in it."""
    return isinstance(recorded, dict) and all(recorded.get(name) == value for name, value in sent.items())


def _connect(section: FalSection, client: httpx.AsyncClient) -> FalProvider | None:
    if section.key is None:
        return None
    key = section.key.get_secret_value()
    return FalProvider(client, key=key, queue_url=section.queue_url, api_url=section.api_url)


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> FalProvider:
    return FalProvider(
        client,
        key="sandbox",
        queue_url=f"{base_url}/fal-queue",
        api_url=f"{base_url}/fal-api",
        trusted_origins=(base_url,),
    )


VENDOR = ProviderVendor(
    name=FalProvider.name,
    section=FalSection,
    wire=FalWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
