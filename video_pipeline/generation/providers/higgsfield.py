"""Higgsfield's API: many vendors' models behind one queue, with a key that makes a lost submit the same one again.

Documented, at https://docs.higgsfield.ai and in the official client (`higgsfield-client` 0.2.0):

- a request is asked for at the address that its receipt gives; its files come with its status
- `nsfw`: input or output was refused, which of them it does not say; like `failed` it is not charged
- `Idempotency-Key`: the same request with the same key is the same generation, and another one with it is a 422
- more requests than the account may have are a 400 that says so, or wait, or are a 429 once the queue is full: the
  pages do not agree, and each is taken for what it says
- only a request that waits can be canceled, and is refunded
- `POST /estimate/{model}` tells for nothing what a request would cost

The estimate is asked for before a request is bought, as few of these models' prices are published: one that is dearer
than the catalogue has it is not bought. Where the estimate is prose or does not come, the request is bought.
Assumed: a key is remembered for a day. Webhooks are not signed, so none is asked for.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field, SecretStr

from video_pipeline.generation.providers.endpoints import EndpointWire, video_request
from video_pipeline.generation.providers.line import ID_PATTERN, OR_NONE, ProviderLine, readable
from video_pipeline.generation.providers.protocol import (
    JobFailed,
    NotAccepted,
    ProviderVendor,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
    TooDear,
    Undecided,
)
from video_pipeline.ledger import FailureKind, Job, Receipt
from video_pipeline.orders import Ending, RenderOrder
from video_pipeline.settings import VendorSection
from video_pipeline.wire import Answer

_DAY_S = 24 * 3600.0
# What a request may cost beyond the catalogue's price: prices are rounded to tenths of a cent there and here.
_ROUNDING = Decimal("1.02")
_ENDED = ("completed", "failed", "nsfw", "canceled")


class HiggsfieldSection(VendorSection):
    """Higgsfield's settings."""

    key_id: SecretStr | None = Field(None, validation_alias="HF_API_KEY")
    key_secret: SecretStr | None = Field(None, validation_alias="HF_API_SECRET")
    api_url: str = Field("https://api.higgsfield.ai", validation_alias="VIDEO_PIPELINE_HIGGSFIELD_API_URL")


class _Receipt(BaseModel):
    request_id: str = Field(pattern=ID_PATTERN)
    status_url: Annotated[str | None, OR_NONE] = None
    cancel_url: Annotated[str | None, OR_NONE] = None


class _Estimate(BaseModel):
    usd: Decimal = Field(ge=0, le=10_000, allow_inf_nan=False)


class _Error(BaseModel):
    """An error of a call: words, or a list of what is wrong with which field."""

    detail: str | Annotated[list[dict[str, Any]], Field(min_length=1)]
    code: Annotated[str | None, OR_NONE] = None

    @property
    def words(self) -> str:
        return self.detail if isinstance(self.detail, str) else ""


class _Status(BaseModel):
    status: str
    error: Annotated[str | None, OR_NONE] = None


class _Video(BaseModel):
    url: str = Field(pattern=r"^https?://", max_length=8192)


class _Completed(BaseModel):
    video: _Video


class HiggsfieldProvider:
    """The adapter. Only what was completed is billed."""

    name = "higgsfield"
    terms = Terms(
        recovery=Recovery.IDEMPOTENCY_KEY,
        billed=frozenset(),
        # What a new account may have at a time.
        concurrency=4,
        poll_interval_s=2.0,
        url_lifetime_s=7 * _DAY_S,
        key_lifetime_s=_DAY_S,
    )
    media_origins: frozenset[str] = frozenset()

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        key_id: str,
        key_secret: str,
        api_url: str,
        trusted_origins: Iterable[str] = (),
    ) -> None:
        self._url = api_url.rstrip("/")
        key = f"{key_id.strip()}:{key_secret.strip()}"
        self._line = ProviderLine(
            "Higgsfield",
            keys="HF_API_KEY or HF_API_SECRET",
            origins=[self._url],
            secrets=[key, key_secret.strip()],
            headers={"Authorization": f"Key {key}"},
            client=client,
        )
        self.trusted_origins = frozenset(trusted_origins)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        await self._check_price(job)
        answer = await self._line.submit(
            f"{self._url}/{job.request['endpoint']}",
            headers={"Idempotency-Key": job.key},
            json=job.request["arguments"],
            before=before,
        )
        if 200 <= answer.status < 300:
            return self._receipt(job, answer)
        raise _refused_submit(answer)

    async def _check_price(self, job: Job) -> None:
        """Raises TooDear when the vendor would bill more than was set aside for the job."""
        url = f"{self._url}/estimate/{job.request['endpoint']}"
        try:
            answer = await self._line.read(url, "price", method="POST", json=job.request["arguments"])
        except Undecided:
            return
        told = readable(answer, _Estimate) if answer.status == 200 else None
        if told is not None and told.usd > job.expected_usd * _ROUNDING:
            raise TooDear(
                FailureKind.INVALID,
                f"Higgsfield would bill ${told.usd} for it and the catalogue has ${job.expected_usd}: correct the "
                f"price of {job.model} there",
                answer=answer.kept(),
            )

    def _receipt(self, job: Job, answer: Answer) -> Receipt:
        told = self._line.taken(answer, _Receipt)
        return self._line.with_addresses(self.receipt(job, told.request_id), told)

    async def reach(self) -> None:
        await self._line.reach(f"{self._url}/models")

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("a lost submit is sent again under its key, and the terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        base = f"{self._url}/requests/{self._line.checked_id(provider_job_id)}"
        return Receipt(provider_job_id, {"status_url": f"{base}/status", "cancel_url": f"{base}/cancel"})

    async def poll(self, job: Job) -> bool:
        answer, told = await self._status(job)
        if told.status not in ("queued", "in_progress", *_ENDED):
            raise Undecided(f"Higgsfield answered the unknown status {told.status!r:.100}", answer=answer.kept())
        return told.status in _ENDED

    async def result(self, job: Job) -> Rendered:
        answer, told = await self._status(job)
        endings = {
            "nsfw": (FailureKind.MODERATION, Ending.PROMPT_REFUSED),
            "canceled": (FailureKind.CANCELED, Ending.CANCELED),
            "failed": (FailureKind.GENERATION, Ending.FAILED),
        }
        if told.status in endings:
            kind, ending = endings[told.status]
            reason = told.error or f"the request is {told.status}"
            retry_allowed = kind is not FailureKind.MODERATION
            raise JobFailed(kind, reason, ending=ending, retry_allowed=retry_allowed, answer=answer.kept())
        if told.status != "completed":
            raise self._line.undecided(answer, "result")
        return Rendered(media_url=self._line.understood(answer, _Completed, "result").video.url)

    async def cancel(self, job: Job) -> None:
        await self._line.call_off("POST", self._address(job, "cancel_url"))

    async def _status(self, job: Job) -> tuple[Answer, _Status]:
        answer = await self._line.read(self._address(job, "status_url"), "status")
        if answer.status != 200:
            raise self._line.undecided(answer, "status")
        return answer, self._line.understood(answer, _Status, "status")

    def _address(self, job: Job, name: str) -> str:
        return self._line.address(job, name, self.receipt)


def _request(order: RenderOrder, wire: EndpointWire) -> dict[str, Any]:
    """Endpoint and arguments. Raises ValueError for an order that the model does not take."""
    if not order.duration_s:
        raise ValueError("no model of pictures is bought from Higgsfield")
    return video_request(order, wire)


def _refused_submit(answer: Answer) -> NotAccepted | SubmitUnknown:
    """What a submit that was not answered with a receipt means: only Higgsfield's own words are a refusal.

    A 500 may have queued the request: that is unknown, and sent again under its key.
    """
    told, kept = readable(answer, _Error), answer.kept()
    reason = f"HTTP {answer.status}: {answer.text()}"
    kinds = {401: FailureKind.AUTH, 402: FailureKind.QUOTA, 403: FailureKind.QUOTA, 423: FailureKind.AUTH}
    kinds |= dict.fromkeys((400, 404, 413, 422), FailureKind.INVALID)
    kinds |= dict.fromkeys((429, 503), FailureKind.TRANSIENT)
    # The key belongs to another request: what that one was, and what it costs, is not said.
    mismatch = told is not None and answer.status == 422 and "idempotency" in told.words.lower()
    if told is None or answer.status not in kinds or mismatch:
        return SubmitUnknown(f"Higgsfield answered a submit with {reason}", answer=kept)
    busy = answer.status == 400 and "concurrent requests" in told.words.lower()
    kind = FailureKind.TRANSIENT if busy else kinds[answer.status]
    return NotAccepted(kind, reason, retry_after_s=answer.retry_after_s, answer=kept)


def _connect(section: HiggsfieldSection, client: httpx.AsyncClient) -> HiggsfieldProvider | None:
    if not section.connected(HiggsfieldProvider.name):
        return None
    assert section.key_id is not None and section.key_secret is not None
    return HiggsfieldProvider(
        client,
        key_id=section.key_id.get_secret_value(),
        key_secret=section.key_secret.get_secret_value(),
        api_url=section.server("api_url"),
    )


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> HiggsfieldProvider:
    return HiggsfieldProvider(
        client,
        key_id="sandbox",
        key_secret="sandbox",
        api_url=f"{base_url}/higgsfield",
        trusted_origins=(base_url,),
    )


VENDOR = ProviderVendor(
    name=HiggsfieldProvider.name,
    section=HiggsfieldSection,
    wire=EndpointWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
