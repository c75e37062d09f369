"""HeyGen's API, version 3: an avatar says a script with a voice.

Documented, at https://developers.heygen.com (reference/create-video, docs/error-codes, docs/pricing):

- `POST /v3/videos` answers with a `video_id`, and takes an `Idempotency-Key`; a field that it does not know is a 400
- an error is `{"error": {"code", "message"}}`; more jobs than the account may have at a time are a 429 with
  `Retry-After`, a wallet without money is a 402 `insufficient_credit`
- it is billed by the second of what was rendered; failed jobs are not charged
- addresses of files are good for seven days, and a new one comes with each question

Seen by others: the statuses `waiting`, `pending`, `processing`, `completed` and `failed`, with `failure_code` and
`failure_message`; that a key is remembered for a day. There is no code for what moderation refuses: it is told by the
words, which may miss one. How long a clip is follows from its script, and is told with the file: `duration` is what
is booked. Versions 1 and 2 are at their end, and not asked.
"""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from video_pipeline.generation.providers.line import ID_PATTERN, OR_NONE, ProviderLine, readable
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

_DAY_S = 24 * 3600.0
# How many times longer or shorter than estimated what is said may be.
_FARTHEST = 4.0
_UNDER_WAY = ("waiting", "pending", "processing")
_ENDED = ("completed", "failed")
_MODERATED = re.compile(r"moderat|policy|nsfw|sensitive|blocked[ _]word|prohibited|inappropriate", re.IGNORECASE)
_KINDS = {
    400: FailureKind.INVALID,
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTH,
    404: FailureKind.INVALID,
    422: FailureKind.INVALID,
    429: FailureKind.TRANSIENT,
    503: FailureKind.TRANSIENT,
}


class HeyGenSection(VendorSection):
    """HeyGen's settings."""

    key: SecretStr | None = Field(None, validation_alias="HEYGEN_API_KEY")
    api_url: str = Field("https://api.heygen.com", validation_alias="VIDEO_PIPELINE_HEYGEN_API_URL")


class HeyGenWire(BaseModel):
    """How an engine of HeyGen's is asked for; its sizes are named as the API names them, such as `720p`.

    `motion` says that the engine takes the prompt as a description of how the avatar moves.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    motion: bool = False
    expressiveness: Literal["low", "medium", "high"] | None = None


class _Accepted(BaseModel):
    video_id: str = Field(pattern=ID_PATTERN)


class _Receipt(BaseModel):
    data: _Accepted


class _Why(BaseModel):
    code: str
    message: str


class _Refusal(BaseModel):
    """An error of a call."""

    error: _Why


class _Video(BaseModel):
    status: str
    duration: Annotated[Annotated[float, Field(gt=0, le=24 * 3600, allow_inf_nan=False)] | None, OR_NONE] = None
    failure_code: Annotated[str | None, OR_NONE] = None
    failure_message: Annotated[str | None, OR_NONE] = None


class _Status(BaseModel):
    data: _Video


class _File(BaseModel):
    video_url: str = Field(pattern=r"^https?://", max_length=8192)


class _Done(BaseModel):
    data: _File


class HeyGenProvider:
    """The adapter. Only what was rendered is billed, by its own length."""

    name = "heygen"
    terms = Terms(
        recovery=Recovery.IDEMPOTENCY_KEY,
        billed=frozenset(),
        # What a wallet that is paid as one goes may have at a time is 10; accounts of before have 3.
        concurrency=3,
        poll_interval_s=5.0,
        url_lifetime_s=7 * _DAY_S,
        key_lifetime_s=_DAY_S,
    )
    media_origins: frozenset[str] = frozenset()

    def __init__(
        self, client: httpx.AsyncClient, *, key: str, api_url: str, trusted_origins: Iterable[str] = ()
    ) -> None:
        self._api = f"{api_url.rstrip('/')}/v3"
        key = key.strip()
        self._line = ProviderLine(
            "HeyGen",
            keys="HEYGEN_API_KEY",
            origins=[api_url],
            secrets=[key],
            headers={"X-Api-Key": key},
            client=client,
        )
        self.trusted_origins = frozenset(trusted_origins)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        answer = await self._line.submit(
            f"{self._api}/{job.request['endpoint']}",
            headers={"Idempotency-Key": job.key},
            json=job.request["arguments"],
            before=before,
        )
        if 200 <= answer.status < 300:
            return self.receipt(job, self._line.taken(answer, _Receipt).data.video_id)
        raise _refused_submit(answer)

    async def reach(self) -> None:
        await self._line.reach(f"{self._api}/users/me")

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("the key of a lost submit gives the video, and HeyGen's terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(self._line.checked_id(provider_job_id), {})

    async def poll(self, job: Job) -> bool:
        answer = await self._asked(job)
        status = self._line.understood(answer, _Status, "video").data.status
        if status not in (*_UNDER_WAY, *_ENDED):
            raise Undecided(f"HeyGen answered the unknown status {status!r:.100}", answer=answer.kept())
        return status in _ENDED

    async def result(self, job: Job) -> Rendered:
        answer = await self._asked(job)
        video = self._line.understood(answer, _Status, "video").data
        if video.status == "failed":
            raise _failed(answer, video)
        if video.status != "completed":
            raise self._line.undecided(answer, "video")
        file = self._line.understood(answer, _Done, "video").data
        # A length that is nowhere near the script's is of another unit, or a mistake: it is no bill.
        told_s = video.duration if video.duration and _is_near(video.duration, job.requested_s) else None
        return Rendered(media_url=file.video_url, billed_s=told_s)

    async def cancel(self, job: Job) -> None:
        # There is no way to: the video is asked for how it ends.
        return

    async def _asked(self, job: Job) -> Answer:
        answer = await self._line.read(f"{self._api}/videos/{job.provider_job_id}", "video")
        if answer.status != 200:
            raise self._line.undecided(answer, "video")
        return answer


def _request(order: RenderOrder, wire: HeyGenWire) -> dict[str, Any]:
    """Endpoint and arguments. Raises ValueError for an order in which nothing is said."""
    if not order.duration_s:
        raise ValueError("no model of pictures is bought from HeyGen")
    if order.script is None or not order.avatar or not order.voice:
        raise ValueError("HeyGen's models say a script, by an avatar and with a voice, and the order has none")
    arguments: dict[str, Any] = {
        "type": "avatar",
        "avatar_id": order.avatar,
        "script": order.script,
        "voice_id": order.voice,
        "resolution": order.resolution,
        "aspect_ratio": order.orientation.aspect_ratio,
        "engine": {"type": wire.engine},
        "output_format": "mp4",
    }
    if wire.motion:
        arguments["motion_prompt"] = order.prompt
    if wire.expressiveness:
        arguments["expressiveness"] = wire.expressiveness
    return {"endpoint": "videos", "arguments": arguments}


def _refused_submit(answer: Answer) -> NotAccepted | SubmitUnknown:
    """What a submit that was not answered with a receipt means: only HeyGen's own words are a refusal."""
    told, kept = readable(answer, _Refusal), answer.kept()
    reason = f"HTTP {answer.status}: {answer.text()}"
    if told is None or answer.status not in _KINDS:
        return SubmitUnknown(f"HeyGen answered a submit with {reason}", answer=kept)
    kind = _KINDS[answer.status]
    if kind is FailureKind.INVALID and _is_moderation(told.error.code, told.error.message):
        kind = FailureKind.MODERATION
    elif "credit" in told.error.code:
        kind = FailureKind.QUOTA
    return NotAccepted(
        kind,
        reason,
        retry_after_s=answer.retry_after_s,
        retry_allowed=kind is not FailureKind.MODERATION,
        answer=kept,
    )


def _failed(answer: Answer, video: _Video) -> JobFailed:
    """Why a video has failed, by the words for it."""
    reason = ": ".join(filter(None, (video.failure_code, video.failure_message))) or "the video has failed"
    kind, ending = FailureKind.GENERATION, Ending.FAILED
    if _is_moderation(video.failure_code, video.failure_message):
        kind, ending = FailureKind.MODERATION, Ending.PROMPT_REFUSED
    return JobFailed(
        kind, reason, ending=ending, retry_allowed=kind is not FailureKind.MODERATION, answer=answer.kept()
    )


def _is_near(told_s: float, estimated_s: float) -> bool:
    return estimated_s / _FARTHEST <= told_s <= estimated_s * _FARTHEST


def _is_moderation(*words: str | None) -> bool:
    return any(_MODERATED.search(said) for said in words if said)


def _connect(section: HeyGenSection, client: httpx.AsyncClient) -> HeyGenProvider | None:
    if section.key is None:
        return None
    return HeyGenProvider(client, key=section.key.get_secret_value(), api_url=section.server("api_url"))


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> HeyGenProvider:
    return HeyGenProvider(client, key="sandbox", api_url=f"{base_url}/heygen", trusted_origins=(base_url,))


VENDOR = ProviderVendor(
    name=HeyGenProvider.name,
    section=HeyGenSection,
    wire=HeyGenWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
