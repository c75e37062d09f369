"""xAI's API for Grok Imagine videos: a request is submitted, and asked for until it has ended.

Documented, at https://docs.x.ai/developers/model-capabilities/video/generation:

- statuses `pending`, `done` and `failed`, and the codes of a failure; `invalid_argument` is one both for a request
  that is at fault and for content that moderation has blocked, so its words tell which, where no field does
- what violates the usage guidelines is charged for all the same
- bodies at fault are accepted, and fail later; keys, missing models and limits of rate are answered at once
- files are at temporary addresses; every video has sound unless `generate_audio` is false; a clip from an image has
  the image's shape, whatever `aspect_ratio` says; a default is billed, so length and size are always sent

Seen by others: 202 without a body while a request waits; a refusal as HTTP 400 with the code
`imagine:content-moderated`, as HTTP 403 with the name of the check that has failed (`SAFETY_CHECK_TYPE_...`), or as a
`respect_moderation` that is false, at the video or beside it, and then maybe without an address; `expired` as a
further status, which does not say whether there was a file; `usage.cost_in_usd_ticks` with what a request has cost,
at refusals of a submit, too: that is believed before the terms. Assumed: a request that failed otherwise costs
nothing, and a file lives for a day. There is no seed, no list of one's requests, no idempotency key and no way to
cancel: a submit whose answer was lost is a person's.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from video_pipeline.generation.providers.line import ID_PATTERN, OR_NONE, ProviderLine, readable, told_usd
from video_pipeline.generation.providers.protocol import (
    JobFailed,
    NotAccepted,
    ProviderVendor,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
    Undecided,
)
from video_pipeline.ledger import FailureKind, Job, Receipt
from video_pipeline.orders import Ending, RenderOrder
from video_pipeline.settings import VendorSection
from video_pipeline.wire import Answer

_MODERATED = "content-moderated"
_FAILED_CHECK = "SAFETY_CHECK_TYPE"
_TICKS_A_USD = 10_000_000_000
# A request never costs that much: what says so is not believed.
_MOST_USD = 10_000
_KINDS = {
    "invalid_argument": FailureKind.INVALID,
    "failed_precondition": FailureKind.INVALID,
    "permission_denied": FailureKind.AUTH,
    "service_unavailable": FailureKind.TRANSIENT,
}


class XaiSection(VendorSection):
    """xAI's settings."""

    key: SecretStr | None = Field(None, validation_alias="XAI_API_KEY")
    api_url: str = Field("https://api.x.ai", validation_alias="VIDEO_PIPELINE_XAI_API_URL")


class XaiWire(BaseModel):
    """How a model of xAI's is asked for; its sizes are named as the API names them, such as `720p`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    image_to_video: bool = True
    references: bool = False


class _Receipt(BaseModel):
    request_id: str = Field(pattern=ID_PATTERN)


class _Usage(BaseModel):
    cost_in_usd_ticks: int = Field(ge=0, le=_MOST_USD * _TICKS_A_USD)


class _Refusal(BaseModel):
    """An error of a call."""

    code: str
    error: str
    usage: Annotated[_Usage | None, OR_NONE] = None

    @property
    def by_moderation(self) -> bool:
        return self.code.endswith(_MODERATED) or _FAILED_CHECK in self.error


class _Why(BaseModel):
    code: Annotated[str | None, OR_NONE] = None
    message: Annotated[str | None, OR_NONE] = None


class _Moderated(BaseModel):
    respect_moderation: Annotated[bool | None, OR_NONE] = None


class _Status(_Moderated):
    status: str
    error: Annotated[_Why | None, OR_NONE] = None
    usage: Annotated[_Usage | None, OR_NONE] = None
    video: Annotated[_Moderated | None, OR_NONE] = None

    @property
    def withheld(self) -> bool:
        return self.respect_moderation is False or (self.video or self).respect_moderation is False


class _Video(BaseModel):
    url: str = Field(pattern=r"^https?://", max_length=8192)


class _Done(BaseModel):
    video: _Video


class XaiProvider:
    """The adapter."""

    name = "xai"
    terms = Terms(
        recovery=Recovery.NONE,
        billed=frozenset({Ending.PROMPT_REFUSED, Ending.OUTPUT_REFUSED}),
        concurrency=4,
        poll_interval_s=5.0,
        url_lifetime_s=24 * 3600.0,
    )
    media_origins: frozenset[str] = frozenset()

    def __init__(
        self, client: httpx.AsyncClient, *, key: str, api_url: str, trusted_origins: Iterable[str] = ()
    ) -> None:
        self._videos = f"{api_url.rstrip('/')}/v1/videos"
        key = key.strip()
        self._line = ProviderLine(
            "xAI",
            keys="XAI_API_KEY",
            origins=[api_url],
            secrets=[key],
            headers={"Authorization": f"Bearer {key}"},
            client=client,
        )
        self.trusted_origins = frozenset(trusted_origins)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        url = f"{self._videos}/{job.request['endpoint']}"
        answer = await self._line.submit(url, json=job.request["arguments"], before=before)
        if 200 <= answer.status < 300:
            return self.receipt(job, self._line.taken(answer, _Receipt).request_id)
        raise _refused_submit(answer, job)

    async def reach(self) -> None:
        await self._line.reach(f"{self._videos.removesuffix('/videos')}/models")

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("xAI lists no requests, and its terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(self._line.checked_id(provider_job_id), {})

    async def poll(self, job: Job) -> bool:
        answer = await self._asked(job)
        if answer.status == 202:
            return False
        if _moderated(answer) is not None:
            return True
        status = self._status(answer).status
        if status not in ("pending", "done", "failed", "expired"):
            raise Undecided(f"xAI answered the unknown status {status!r:.100}", answer=answer.kept())
        return status != "pending"

    async def result(self, job: Job) -> Rendered:
        answer = await self._asked(job)
        refused = _moderated(answer)
        if refused is not None:
            raise refused
        status = self._status(answer)
        if status.status in ("failed", "expired"):
            raise _failed(answer, status)
        if status.status != "done":
            raise self._line.undecided(answer, "video")
        if status.withheld:
            raise _withheld("the video was withheld by moderation", answer, status.usage)
        video = self._line.understood(answer, _Done, "video").video
        return Rendered(media_url=video.url, usd=_usd(status.usage))

    async def cancel(self, job: Job) -> None:
        # There is no way to: the request is asked for how it ends.
        return

    async def _asked(self, job: Job) -> Answer:
        return await self._line.read(f"{self._videos}/{job.provider_job_id}", "video")

    def _status(self, answer: Answer) -> _Status:
        if answer.status != 200:
            raise self._line.undecided(answer, "video")
        status = self._line.understood(answer, _Status, "video")
        if status.status == "expired" and status.usage is None:
            # Its file may have been made, and paid for, before.
            raise Undecided("xAI says that the request has expired, and not what it has cost", answer=answer.kept())
        return status


def _request(order: RenderOrder, wire: XaiWire) -> dict[str, Any]:
    """Endpoint and arguments. Raises ValueError for an order that the model does not take."""
    if not order.duration_s:
        raise ValueError("no model of pictures is bought from xAI")
    if (order.start_image and not wire.image_to_video) or (order.references and not wire.references):
        raise ValueError("the model's wire names no endpoint for such an order")
    if order.duration_s != int(order.duration_s):
        raise ValueError("the model's wire takes whole seconds, and its durations are none")
    arguments: dict[str, Any] = {
        "model": wire.model,
        "prompt": order.prompt,
        "duration": int(order.duration_s),
        "resolution": order.resolution,
        "generate_audio": order.audio,
    }
    if order.start_image:
        arguments["image"] = {"url": order.start_image}
    else:
        arguments["aspect_ratio"] = order.orientation.aspect_ratio
    if order.references:
        arguments["reference_images"] = [{"url": picture} for picture in order.references]
    return {"endpoint": "generations", "arguments": arguments}


def _refused_submit(answer: Answer, job: Job) -> NotAccepted | SubmitUnknown:
    """What a submit that was not answered with a receipt means: only xAI's own words are a refusal."""
    told, kept = readable(answer, _Refusal), answer.kept()
    reason = f"HTTP {answer.status}: {answer.text()}"
    kinds = {401: FailureKind.AUTH, 402: FailureKind.QUOTA, 403: FailureKind.AUTH}
    kinds |= dict.fromkeys((400, 404, 413, 422), FailureKind.INVALID)
    kinds |= dict.fromkeys((429, 503), FailureKind.TRANSIENT)
    if told is None or answer.status not in kinds:
        return SubmitUnknown(f"xAI answered a submit with {reason}", answer=kept)
    kind, usd = kinds[answer.status], _usd(told.usage)
    if answer.status in (400, 403, 422) and told.by_moderation:
        # Charged for, and maybe without saying so.
        kind, usd = FailureKind.MODERATION, job.expected_usd if usd is None else usd
    elif answer.status in (403, 429) and "credit" in told.error.lower():
        kind = FailureKind.QUOTA
    return NotAccepted(
        kind,
        reason,
        retry_after_s=answer.retry_after_s,
        retry_allowed=kind is not FailureKind.MODERATION,
        usd=usd,
        answer=kept,
    )


def _moderated(answer: Answer) -> JobFailed | None:
    """The refusal of an output, where an answer to a question for its status is one."""
    told = readable(answer, _Refusal) if answer.status in (400, 403) else None
    return _withheld(told.error, answer, told.usage) if told is not None and told.by_moderation else None


def _withheld(reason: str, answer: Answer, usage: _Usage | None) -> JobFailed:
    return JobFailed(
        FailureKind.MODERATION,
        reason,
        ending=Ending.OUTPUT_REFUSED,
        retry_allowed=False,
        usd=_usd(usage),
        answer=answer.kept(),
    )


def _failed(answer: Answer, status: _Status) -> JobFailed:
    """Why a request has failed, by its documented code."""
    why = status.error or _Why()
    reason = ": ".join(filter(None, (why.code, why.message))) or f"the request has {status.status}"
    kind, ending = _KINDS.get(why.code or "", FailureKind.GENERATION), Ending.FAILED
    by_moderation = _Refusal(code=why.code or "", error=why.message or "").by_moderation
    said = kind is FailureKind.INVALID and "moderat" in (why.message or "").lower()
    if by_moderation or status.withheld or said:
        kind, ending = FailureKind.MODERATION, Ending.PROMPT_REFUSED
    elif status.status == "expired":
        kind = FailureKind.TRANSIENT
    retry_allowed = kind not in (FailureKind.MODERATION, FailureKind.INVALID)
    return JobFailed(
        kind, reason, ending=ending, retry_allowed=retry_allowed, usd=_usd(status.usage), answer=answer.kept()
    )


def _usd(usage: _Usage | None) -> Decimal | None:
    """What a request has cost, where the answer says so."""
    return None if usage is None else told_usd(Decimal(usage.cost_in_usd_ticks) / _TICKS_A_USD)


def _connect(section: XaiSection, client: httpx.AsyncClient) -> XaiProvider | None:
    if section.key is None:
        return None
    return XaiProvider(client, key=section.key.get_secret_value(), api_url=section.server("api_url"))


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> XaiProvider:
    return XaiProvider(client, key="sandbox", api_url=f"{base_url}/xai", trusted_origins=(base_url,))


VENDOR = ProviderVendor(
    name=XaiProvider.name,
    section=XaiSection,
    wire=XaiWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
