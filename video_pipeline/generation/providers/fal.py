"""fal's queue API: submit, status, result, and the request history that finds a submit whose answer was lost.

fal has no idempotency key. It retries queued requests itself unless `x-fal-no-retry` is sent. Sources:

- model errors: https://fal.ai/docs/documentation/model-apis/errors.md, and `request-errors.md` beside it for the
  infrastructure's
- queue: the official client, `fal-client` 1.0.3
- history: https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint
- prices: https://fal.ai/docs/platform-apis/v1/models/pricing, which tells one price an endpoint
- bills: https://fal.ai/docs/platform-apis/v1/models/billing-events, for a key of the admin scope
- webhooks and their signatures: https://fal.ai/docs/documentation/model-apis/inference/webhooks.md
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, SecretStr, ValidationError

from video_pipeline.generation.providers.endpoints import EndpointWire, video_request
from video_pipeline.generation.providers.line import ID_PATTERN, OR_NONE, ProviderLine, readable
from video_pipeline.generation.providers.protocol import (
    BilledLine,
    BillingApi,
    Forged,
    JobFailed,
    ListedPrice,
    NotAccepted,
    PriceApi,
    ProviderVendor,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
    Undecided,
    WebhookCall,
    WebhookTerms,
)
from video_pipeline.ledger import FailureKind, Job, JobKind, Receipt
from video_pipeline.orders import Ending, Orientation, RenderOrder
from video_pipeline.routing import Unit
from video_pipeline.settings import VendorSection
from video_pipeline.wire import Answer, Bounds, Secrets, clean

_MODERATION = "content_policy_violation"
_CANCELED = "client_cancelled"
# The start image did not arrive there; by its header fal says whether it may another time.
_NOT_FETCHED = "file_download_error"
# The request itself is at fault: the same one would fail again.
_INVALID_TYPES = frozenset(
    {
        "missing",
        "value_error",
        _NOT_FETCHED,
        "image_load_error",
        "image_too_small",
        "image_too_large",
        "unsupported_image_format",
    }
)
# The model could not make it, through no fault of the request.
_FAILED_TYPES = frozenset(
    {
        "downstream_service_error",
        "downstream_service_unavailable",
        "generation_timeout",
        "internal_server_error",
    }
)
# The infrastructure's last word on a request (`error_type`); nothing of it is billed.
_INFRASTRUCTURE_TYPES = frozenset(
    {
        "request_timeout",
        "runner_connection_refused",
        "runner_connection_timeout",
        "runner_disconnected",
        "runner_scheduling_failure",
        "startup_timeout",
    }
)
# How long the provider keeps our files, should a download have to be repeated.
_KEEP_S = 7 * 24 * 3600
# The units of its price API that mean the same as ours. Seconds of computing do not: how many is not known before.
_UNITS = {
    "second": Unit.SECOND,
    "seconds": Unit.SECOND,
    "video_second": Unit.SECOND,
    "video_seconds": Unit.SECOND,
    "video": Unit.VIDEO,
    "videos": Unit.VIDEO,
    "megapixel": Unit.MEGAPIXEL_FRAME,
    "megapixels": Unit.MEGAPIXEL_FRAME,
}
# How many endpoints are asked for at once.
_QUOTES_AT_ONCE = 20
_HISTORY_SLACK = timedelta(minutes=2)
# A history that has not come to an end after so many pages is none that can be searched.
_HISTORY_PAGES = 50
# A page of a hundred is asked for; each request comes with its arguments.
_HISTORY_PAGE, _LARGEST_PAGE = 100, 1000
# What is billed comes with a dozen values a line.
_BILLING_PAGES = 50
_NANO_USD = Decimal("1e-9")
_HISTORY_BOUNDS = Bounds(total_s=60.0, max_bytes=4 * 1024 * 1024, max_values=50_000)
# Requests that start from a frame of ours come back with it, at two thirds of a megabyte each.
_SEARCH_BOUNDS = Bounds(total_s=60.0, max_bytes=64 * 1024 * 1024, max_values=50_000)
# A call that was signed longer ago, or for a later time, may be an old one sent again.
_CALL_AGE_S = 300
_IMAGE_SIZES = {
    Orientation.PORTRAIT: "portrait_16_9",
    Orientation.LANDSCAPE: "landscape_16_9",
    Orientation.SQUARE: "square_hd",
}


class FalSection(VendorSection):
    """fal's settings."""

    key: SecretStr | None = Field(None, validation_alias="FAL_KEY")
    # It connects nothing, so it is no key that could be missing.
    admin_key: SecretStr = Field(
        SecretStr(""),
        validation_alias="FAL_ADMIN_KEY",
        description="A key of the admin scope, which reads what was billed; without it the other one is tried.",
    )
    queue_url: str = Field("https://queue.fal.run", validation_alias="VIDEO_PIPELINE_FAL_QUEUE_URL")
    api_url: str = Field("https://api.fal.ai", validation_alias="VIDEO_PIPELINE_FAL_API_URL")
    media_hosts: str = Field(
        "https://fal.media,https://*.fal.media,https://*.fal.ai,https://*.fal.run,https://storage.googleapis.com",
        validation_alias="VIDEO_PIPELINE_FAL_MEDIA_HOSTS",
        description="Hosts that files are fetched from, with commas between them.",
    )
    rest_url: str = Field("https://rest.fal.ai", validation_alias="VIDEO_PIPELINE_FAL_REST_URL")


class FalServerSection(VendorSection):
    """Where a server of one's own with fal's wire is; `key` is for one that asks for one."""

    url: str | None = Field(None, validation_alias="VIDEO_PIPELINE_FAL_SERVER_URL")
    key: SecretStr = Field(SecretStr("none"), validation_alias="VIDEO_PIPELINE_FAL_SERVER_KEY")


class _Receipt(BaseModel):
    request_id: str = Field(pattern=ID_PATTERN)
    status_url: Annotated[str | None, OR_NONE] = None
    response_url: Annotated[str | None, OR_NONE] = None
    cancel_url: Annotated[str | None, OR_NONE] = None


class _Listed(BaseModel):
    request_id: str = Field(pattern=ID_PATTERN)
    json_input: Annotated[dict[str, Any] | None, OR_NONE] = None


class _History(BaseModel):
    items: list[_Listed] = Field(max_length=_LARGEST_PAGE)
    has_more: bool
    next_cursor: str | None = None


class _Quote(BaseModel):
    endpoint_id: str = Field(max_length=200)
    unit_price: Decimal = Field(ge=0, le=10_000, allow_inf_nan=False)
    unit: str = Field(max_length=60)
    currency: str = Field(max_length=10)


class _Quotes(BaseModel):
    prices: list[_Quote] = Field(max_length=_LARGEST_PAGE)


def _words_only(value: Any) -> Any:
    """A time in words; a number would be taken for seconds."""
    if not isinstance(value, str):
        raise ValueError("not a time in words")
    return value


class _Billed(BaseModel):
    """A line of the billing. It is what the request cost after discounts (`cost_total`), in billionths."""

    request_id: str = Field(pattern=ID_PATTERN)
    endpoint_id: str = Field(max_length=200)
    timestamp: Annotated[AwareDatetime, BeforeValidator(_words_only)]
    cost_estimate_nano_usd: Decimal = Field(ge=-(10**15), le=10**15, allow_inf_nan=False)
    auth_method: Annotated[str | None, OR_NONE] = None


class _Bills(BaseModel):
    billing_events: list[_Billed] = Field(max_length=_LARGEST_PAGE)
    has_more: bool
    next_cursor: str | None = None


class _Status(BaseModel):
    status: str
    error_type: Annotated[str | None, OR_NONE] = None


class _File(BaseModel):
    url: str = Field(pattern=r"^https?://", max_length=8192)
    file_size: Annotated[int | None, OR_NONE] = None


class _Clip(BaseModel):
    video: _File


class _Pictures(BaseModel):
    images: list[_File] = Field(min_length=1)
    has_nsfw_concepts: list[bool] | None = None


class _Finding(BaseModel):
    """One entry of a model error's `detail`; `loc` is where in the request or in the output it was found."""

    type: str
    msg: Annotated[str | None, OR_NONE] = None
    loc: tuple[str | int, ...] = ()

    @property
    def names_argument(self) -> bool:
        """Whether it is about one of the request's arguments: `loc` is then `["body", name]`."""
        return len(self.loc) > 1 and self.loc[0] == "body"


def _readable(details: Any) -> Any:
    """Those entries of a list that can be read; one that cannot takes nothing from the others."""
    if not isinstance(details, list):
        return details
    found: list[_Finding] = []
    for item in cast("list[Any]", details):
        with contextlib.suppress(ValidationError):
            found.append(_Finding.model_validate(item))
    return found


class _Findings(BaseModel):
    """A model's own error."""

    detail: Annotated[list[_Finding], BeforeValidator(_readable)] = Field(min_length=1)


class _Flat(BaseModel):
    """An error of the way to the model."""

    detail: str
    error_type: str = ""


class _PlatformProblem(BaseModel):
    type: str
    message: str


class _PlatformError(BaseModel):
    """An error of the API for prices and billing."""

    error: _PlatformProblem


class _Ended(BaseModel):
    """The body of a webhook call; how the request has ended is asked for, not read here."""

    request_id: str = Field(pattern=ID_PATTERN)


class FalProvider:
    """The adapter. fal bills renders and refusals after rendering; it does not bill refused prompts and failures."""

    name = "fal"
    title, keys = "fal", "FAL_KEY"
    terms = Terms(
        recovery=Recovery.SEARCH,
        # What was canceled may have used the GPU.
        billed=frozenset({Ending.OUTPUT_REFUSED, Ending.CANCELED}),
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
        admin_key: str = "",
        trusted_origins: Iterable[str] = (),
        media_origins: Iterable[str] = (),
    ) -> None:
        self._queue_url = queue_url.rstrip("/")
        self._api_url = api_url.rstrip("/")
        key = key.strip()
        # A key is its id and its secret with a colon between them; the secret alone is as bad to give away.
        admin_key = admin_key.strip() or key
        self._line = ProviderLine(
            self.title,
            keys=self.keys,
            origins=(queue_url, api_url),
            secrets=[secret for one in (key, admin_key) for secret in (one, one.rpartition(":")[2])],
            headers={"Authorization": f"Key {key}"},
            client=client,
        )
        self._admin = {"Authorization": f"Key {admin_key}"}
        self.trusted_origins = frozenset(trusted_origins)
        self.media_origins = frozenset(media_origins)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        keep = json.dumps({"expiration_duration_seconds": _KEEP_S})
        answer = await self._line.submit(
            f"{self._queue_url}/{job.request['endpoint']}",
            headers={"x-fal-no-retry": "1", "X-Fal-Object-Lifecycle-Preference": keep},
            params={"fal_webhook": webhook} if webhook else None,
            json=job.request["arguments"],
            before=before,
        )
        if 200 <= answer.status < 300:
            return self._receipt(job, answer)
        raise _refused_submit(answer)

    def _receipt(self, job: Job, answer: Answer) -> Receipt:
        told = self._line.taken(answer, _Receipt)
        return self._line.with_addresses(self.receipt(job, told.request_id), told)

    async def reach(self) -> None:
        await self._line.reach(self._queue_url)

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        since = (job.submitted_at or datetime.now(UTC)) - _HISTORY_SLACK
        query = {
            "endpoint_id": job.request["endpoint"],
            "start": since.isoformat(),
            "expand": "payloads",
            "limit": str(_HISTORY_PAGE),
        }
        # What comes back is clean, so what is looked for has to be.
        sent = self._line.clean(job.request["arguments"])
        same: list[str] = []
        for _ in range(_HISTORY_PAGES):
            answer = await self._line.read(
                f"{self._api_url}/v1/models/requests/by-endpoint", "history", params=query, bounds=_SEARCH_BOUNDS
            )
            if answer.status != 200:
                raise self._line.undecided(answer, "history")
            page = self._line.understood(answer, _History, "history")
            same += [item.request_id for item in page.items if _same_input(item.json_input, sent)]
            if not page.has_more:
                found = self._line.only(same, known_ids)
                return None if found is None else self.receipt(job, found)
            if not page.next_cursor or page.next_cursor == query.get("cursor"):
                break
            query["cursor"] = page.next_cursor
        raise Undecided(f"fal's history does not come to an end within {_HISTORY_PAGES} pages")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        # The client's own rule: only the owner and the alias of an endpoint stand in a request's address.
        owner, alias = job.request["endpoint"].split("/")[:2]
        base = f"{self._queue_url}/{owner}/{alias}/requests/{self._line.checked_id(provider_job_id)}"
        return Receipt(
            provider_job_id, {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}
        )

    async def poll(self, job: Job) -> bool:
        return self._has_ended(await self._line.read(self._address(job, "status_url"), "status"))

    def _has_ended(self, answer: Answer) -> bool:
        """Whether the request has ended, by an answer to the question for its status. Raises Undecided."""
        if answer.status not in (200, 202):
            raise self._line.undecided(answer, "status")
        status = self._line.understood(answer, _Status, "status").status
        if status not in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED"):
            raise Undecided(f"fal answered the unknown status {status!r:.100}", answer=answer.kept())
        return status == "COMPLETED"

    async def result(self, job: Job) -> Rendered:
        answer = await self._line.read(self._address(job, "response_url"), "result")
        if answer.status != 200:
            await self._raise_ended_by_infrastructure(job, answer)
            raise _failed_result(answer) or self._line.undecided(answer, "result")
        if job.kind is JobKind.IMAGE:
            pictures = self._line.understood(answer, _Pictures, "result")
            if any(pictures.has_nsfw_concepts or ()):
                reason = "the picture was withheld as unsafe"
                raise JobFailed(FailureKind.MODERATION, reason, ending=Ending.OUTPUT_REFUSED, answer=answer.kept())
            file = pictures.images[0]
        else:
            file = self._line.understood(answer, _Clip, "result").video
        return Rendered(media_url=file.url, size_bytes=file.file_size)

    async def _raise_ended_by_infrastructure(self, job: Job, answer: Answer) -> None:
        """JobFailed when both the result and the status say that the infrastructure has ended the job.

        The result alone may only say that the way to it failed just now.
        """
        told = readable(answer, _Flat)
        if told is None or told.error_type not in _INFRASTRUCTURE_TYPES:
            return
        status = readable(await self._line.read(self._address(job, "status_url"), "status"), _Status)
        if status is not None and status.status == "COMPLETED" and status.error_type == told.error_type:
            raise JobFailed(FailureKind.TRANSIENT, _reason(answer), ending=Ending.FAILED, answer=answer.kept())

    async def prices(self, endpoints: Sequence[str]) -> Mapping[str, ListedPrice]:
        """The listed price of each endpoint that fal tells of. Raises Undecided."""
        told: dict[str, ListedPrice] = {}
        for start in range(0, len(endpoints), _QUOTES_AT_ONCE):
            some = list(endpoints[start : start + _QUOTES_AT_ONCE])
            url = f"{self._api_url}/v1/models/pricing"
            answer = await self._line.read(url, "prices", params={"endpoint_id": some}, bounds=_HISTORY_BOUNDS)
            if answer.status == 404 and (readable(answer, _Flat) or readable(answer, _PlatformError)):
                continue
            if answer.status != 200:
                raise self._line.undecided(answer, "prices")
            for quote in self._line.understood(answer, _Quotes, "prices").prices:
                if quote.endpoint_id in some:
                    per = _UNITS.get(quote.unit.lower().replace(" ", "_"))
                    told[quote.endpoint_id] = ListedPrice(quote.unit_price, quote.unit, quote.currency.upper(), per)
        return told

    async def billed(self, since: datetime, until: datetime) -> Sequence[BilledLine]:
        """Every line of the account's billing from `since` to before `until`, 90 days at most. Raises Undecided.

        The lines have no ids, and one that is written while pages are read moves others on to the next page. So
        several pages are believed when they are read twice and say the same.
        """
        lines, pages = await self._billing(since, until)
        if pages > 1:
            again, _ = await self._billing(since, until)
            if sorted(lines, key=repr) != sorted(again, key=repr):
                raise Undecided("fal's billing was written to while it was read")
        return lines

    async def _billing(self, since: datetime, until: datetime) -> tuple[list[BilledLine], int]:
        """The lines, and how many pages they were on."""
        query = {
            "start": since.astimezone(UTC).isoformat(),
            "end": until.astimezone(UTC).isoformat(),
            "expand": "auth_method",
            "limit": str(_LARGEST_PAGE),
        }
        lines: list[BilledLine] = []
        for number in range(1, _BILLING_PAGES + 1):
            url = f"{self._api_url}/v1/models/billing-events"
            answer = await self._line.read(url, "billing", params=query, bounds=_HISTORY_BOUNDS, headers=self._admin)
            if answer.status in (401, 403):
                why = f"fal's key may not read billing (HTTP {answer.status})"
                raise Undecided(f"{why}: give an admin-scoped key in FAL_ADMIN_KEY", answer=answer.kept())
            if answer.status != 200:
                raise self._line.undecided(answer, "billing")
            page = self._line.understood(answer, _Bills, "billing")
            lines += [_billed_line(event) for event in page.billing_events]
            if not page.has_more:
                return lines, number
            if not page.next_cursor or page.next_cursor == query.get("cursor"):
                break
            query["cursor"] = page.next_cursor
        raise Undecided(f"fal's billing does not come to an end within {_BILLING_PAGES} pages")

    async def cancel(self, job: Job) -> None:
        await self._line.call_off("PUT", self._address(job, "cancel_url"))

    def _address(self, job: Job, name: str) -> str:
        return self._line.address(job, name, self.receipt)


class FalServer(FalProvider):
    """A server of one's own that speaks fal's wire. It has no history, no prices and no bills, and nobody is between.

    Assumed of such servers: requests are kept in memory, so that one which it does not know any more is gone.
    """

    name = "fal_server"
    title, keys = "the server with fal's wire", "VIDEO_PIPELINE_FAL_SERVER_KEY"
    terms = replace(FalProvider.terms, recovery=Recovery.REPEAT, concurrency=1, url_lifetime_s=24 * 3600.0)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        try:
            return await super().submit(job, before=before)
        except NotAccepted as error:
            # No gateway and no stranger is on the way to it.
            error.documented = True
            raise

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("it has no history, and its terms say so")

    async def poll(self, job: Job) -> bool:
        answer = await self._line.read(self._address(job, "status_url"), "status")
        if answer.status == 404 and readable(answer, _Flat) is not None:
            gone = "the server does not know the request any more; it may have been started again"
            raise JobFailed(FailureKind.TRANSIENT, gone, ending=Ending.FAILED, answer=answer.kept())
        return self._has_ended(answer)


def _request(order: RenderOrder, wire: EndpointWire) -> dict[str, Any]:
    """Endpoint and arguments; an order without length is one for a picture.

    Raises ValueError when the wire has no endpoint for such an order.
    """
    if order.duration_s:
        return video_request(order, wire)
    if wire.text_to_image is None:
        raise ValueError("the model's wire names no endpoint for such an order")
    arguments: dict[str, Any] = {"prompt": order.prompt, "num_images": 1}
    arguments["image_size"] = _IMAGE_SIZES[order.orientation]
    if wire.seed and order.seed is not None:
        arguments["seed"] = order.seed
    return {"endpoint": wire.text_to_image, "arguments": arguments}


def _billed_line(event: _Billed) -> BilledLine:
    usd = event.cost_estimate_nano_usd * _NANO_USD
    return BilledLine(
        event.request_id, usd, event.timestamp, clean(event.endpoint_id), clean(event.auth_method or "")
    )


def _refused_submit(answer: Answer) -> NotAccepted | SubmitUnknown:
    """What a submit that was not answered with a receipt means.

    Only fal's own words, in the shape that it documents, are a refusal. A gateway's 429 and 503 are one, too, when
    the history agrees. A 500 may have queued the job: that is unknown, as is everything else.
    """
    status, kept = answer.status, answer.kept()
    findings, flat = readable(answer, _Findings), readable(answer, _Flat)
    reason = _reason(answer)
    # With an id of a request on it, there may be a request.
    if status in (429, 503) and not answer.header("x-fal-request-id"):
        return NotAccepted(
            FailureKind.TRANSIENT, reason, retry_after_s=answer.retry_after_s, documented=False, answer=kept
        )
    if flat is not None and (status == 402 or (status == 403 and "balance" in flat.detail.lower())):
        return NotAccepted(FailureKind.QUOTA, reason, answer=kept)
    if flat is not None and status in (401, 403):
        return NotAccepted(FailureKind.AUTH, reason, answer=kept)
    if (findings is not None and status == 422) or (flat is not None and status in (400, 404, 413, 422)):
        moderation = findings is not None and any(found.type == _MODERATION for found in findings.detail)
        kind = FailureKind.MODERATION if moderation else FailureKind.INVALID
        # A model's findings are fal's alone. A sentence may be anybody's on the way: the history has to agree.
        documented = findings is not None or status == 404
        return NotAccepted(kind, reason, retry_allowed=not moderation, documented=documented, answer=kept)
    return SubmitUnknown(f"fal answered a submit with {reason}", answer=kept)


def _failed_result(answer: Answer) -> JobFailed | None:
    """What a result without a file means: the model's documented last word, None for anything else."""
    findings, flat = readable(answer, _Findings), readable(answer, _Flat)
    reason, kept = _reason(answer), answer.kept()
    if flat is not None and answer.status == 499 and flat.error_type == _CANCELED:
        return JobFailed(FailureKind.CANCELED, reason, ending=Ending.CANCELED, answer=kept)
    if findings is None or answer.status not in (422, *range(500, 600)):
        return None
    types = {found.type for found in findings.detail}
    # Every model error has this header; a list of details without it may be anybody's.
    retryable = answer.header("X-Fal-Retryable") or answer.header("X-Fal-Needs-Retry")
    retry_allowed = retryable.lower() == "true"
    if _MODERATION in types:
        # A refusal of the prompt costs nothing; one of the finished picture has used the GPU.
        prompt_refused = all(found.loc[:1] in ((), ("body",)) for found in findings.detail)
        ending = Ending.PROMPT_REFUSED if prompt_refused else Ending.OUTPUT_REFUSED
        return JobFailed(FailureKind.MODERATION, reason, ending=ending, retry_allowed=retry_allowed, answer=kept)
    at_fault = answer.status == 422 and any(found.names_argument for found in findings.detail)
    if types == {_NOT_FETCHED} and retry_allowed:
        return JobFailed(FailureKind.GENERATION, reason, ending=Ending.FAILED, answer=kept)
    if at_fault or types & _INVALID_TYPES:
        return JobFailed(FailureKind.INVALID, reason, ending=Ending.FAILED, retry_allowed=False, answer=kept)
    if types & _FAILED_TYPES or retryable:
        return JobFailed(FailureKind.GENERATION, reason, ending=Ending.FAILED, answer=kept)
    return None


def _reason(answer: Answer) -> str:
    """What an answer says, for people."""
    findings = readable(answer, _Findings)
    if findings is not None:
        return "; ".join(f"{found.type}: {found.msg or ''}" for found in findings.detail)[:500]
    return f"HTTP {answer.status}: {answer.text()}"


def _same_input(recorded: dict[str, Any] | None, sent: dict[str, Any]) -> bool:
    """Whether a request of the history is ours: every argument that we sent, with its seed, stands in it."""
    return recorded is not None and all(recorded.get(name) == value for name, value in sent.items())


def _verified(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes]) -> WebhookCall:
    """The call, when fal has signed it within the last minutes. Raises Forged or Unreadable."""
    names = ("request-id", "user-id", "timestamp", "signature")
    call_id, account, sent_at, signature = (headers.get(f"x-fal-webhook-{name}", "") for name in names)
    message = "\n".join((call_id, account, sent_at, hashlib.sha256(body).hexdigest())).encode("utf-8", "replace")
    if not any(_is_signed(message, signature, key) for key in keys):
        raise Forged("the signature is not fal's")
    # Signed, so it is fal's; what it means is another matter.
    fresh = sent_at.isascii() and sent_at.isdigit() and abs(time.time() - int(sent_at[:20])) <= _CALL_AGE_S
    if not fresh:
        raise Forged("the signature's time is more than five minutes away from ours")
    ended = Answer(200, {}, body, "", Secrets()).read(_Ended)
    return WebhookCall(ended.request_id, clean(account, 200))


def _is_signed(message: bytes, signature: str, key: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _connect(section: FalSection, client: httpx.AsyncClient) -> FalProvider | None:
    if section.key is None:
        return None
    key = section.key.get_secret_value()
    return FalProvider(
        client,
        key=key,
        queue_url=section.server("queue_url"),
        api_url=section.server("api_url"),
        admin_key=section.admin_key.get_secret_value(),
        media_origins=section.hosts("media_hosts"),
    )


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> FalProvider:
    return FalProvider(
        client,
        key="sandbox",
        queue_url=f"{base_url}/fal-queue",
        api_url=f"{base_url}/fal-api",
        admin_key="admin-sandbox",
        trusted_origins=(base_url,),
    )


VENDOR = ProviderVendor(
    name=FalProvider.name,
    section=FalSection,
    wire=EndpointWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
    webhook=WebhookTerms(
        keys_url=lambda section: f"{section.server('rest_url')}/.well-known/jwks.json",
        sandbox_keys_url=lambda base_url: f"{base_url}/fal-rest/.well-known/jwks.json",
        verify=_verified,
        poll_interval_s=10.0,
    ),
    price_api=PriceApi(endpoint=lambda wire: wire.text_to_video or "", ask=FalProvider.prices),
    billing_api=BillingApi(ask=FalProvider.billed),
)


def _connect_server(section: FalServerSection, client: httpx.AsyncClient) -> FalServer | None:
    if section.url is None:
        return None
    return _server(client, section.server("url"), section.key.get_secret_value())


def _server(client: httpx.AsyncClient, url: str, key: str) -> FalServer:
    parts = urlsplit(url)
    # Its files are on itself, and it may be on a private address: its owner has named it.
    return FalServer(
        client, key=key, queue_url=url, api_url=url, trusted_origins=(f"{parts.scheme}://{parts.netloc}",)
    )


SERVER = ProviderVendor(
    name=FalServer.name,
    section=FalServerSection,
    wire=EndpointWire,
    request=_request,
    connect=_connect_server,
    connect_sandbox=lambda base_url, client: _server(client, f"{base_url}/fal-queue", "sandbox"),
    own_gpu=True,
)
"""A server of one's own, at any address; its models are entries of one's own catalogue."""
