"""Runway's API: a task is submitted, and asked for until it has ended; its files come with its status.

Documented, at https://docs.dev.runwayml.com and in the types of the official client (`runwayml` 5.24.0):

- states and failure codes of tasks, and that a task is asked for every five seconds at most
- `THROTTLED`: the task is taken, and waits behind the account's own limit of tasks at a time
- addresses of files end after 24 to 48 hours; asking again gives fresh ones
- `DELETE` of a task that waits is refunded, of a running one not; a deleted task cannot be asked for any more, and
  nobody is told which of them it was. So only a task is deleted that is behind the account's own limit, and it counts
  as refunded where it was deleted at once after it has said so; of any other that is not known nothing is assumed
- moderated generations cost as much as successful ones (`api-details/moderation`). Third parties say that refused
  outputs are refunded. A task may tell its own `cost`: that is believed before both.

Assumed: a task that failed for other reasons costs nothing; a list of one's tasks and idempotency keys are documented
nowhere, so a submit whose answer was lost is a person's; errors are an object with `error` in words, and credit that
is used up is one with status 400 or 402 that speaks of credits.
"""

import asyncio
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
from video_pipeline.orders import Ending, Orientation, RenderOrder
from video_pipeline.settings import VendorSection
from video_pipeline.wire import Answer

_VERSION = "2024-11-06"
_USD_A_CREDIT = Decimal("0.01")
# A task never costs that much: what says so is not believed.
_MOST_CREDITS = 1_000_000
_WAITING = ("PENDING", "THROTTLED")
# How soon a task is deleted that has said that it waits behind others, to be believed refunded.
_AT_ONCE_S = 2.0
_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
_INPUT_REFUSED = ("SAFETY.INPUT", "INPUT_PREPROCESSING.SAFETY")
_INVALID = ("ASSET.INVALID", "THIRD_PARTY.INPUT_VALIDATION")
_SYSTEM = ("INPUT_PREPROCESSING.INTERNAL", "THIRD_PARTY.UNAVAILABLE")


class RunwaySection(VendorSection):
    """Runway's settings."""

    secret: SecretStr | None = Field(None, validation_alias="RUNWAYML_API_SECRET")
    api_url: str = Field("https://api.dev.runwayml.com", validation_alias="VIDEO_PIPELINE_RUNWAY_API_URL")


class RunwayWire(BaseModel):
    """How a model of Runway's is asked for.

    `ratios` has for each of its sizes the pixels by orientation, such as `720p: {portrait: "720:1280"}`. `audio` says
    whether there is a switch for sound, `seed` whether it takes one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    ratios: dict[str, dict[Orientation, str]]
    image_to_video: bool = True
    references: bool = False
    audio: bool = False
    seed: bool = True


class _Receipt(BaseModel):
    id: str = Field(pattern=ID_PATTERN)


class _Error(BaseModel):
    error: str


_Address = Annotated[str, Field(pattern=r"^https?://", max_length=8192)]


class _Cost(BaseModel):
    credits: Decimal = Field(ge=0, le=_MOST_CREDITS, allow_inf_nan=False)


class _Task(BaseModel):
    status: str
    failure: Annotated[str | None, OR_NONE] = None
    failure_code: Annotated[str | None, OR_NONE] = Field(None, alias="failureCode")
    cost: Annotated[_Cost | None, OR_NONE] = None
    output: Annotated[list[_Address] | None, OR_NONE] = None

    @property
    def usd(self) -> Decimal | None:
        """What it has cost, where it says so."""
        return None if self.cost is None else told_usd(self.cost.credits * _USD_A_CREDIT)


class RunwayProvider:
    """The adapter."""

    name = "runway"
    terms = Terms(
        recovery=Recovery.NONE,
        # A running task that is called off goes on being paid for; a waiting one tells that it cost nothing.
        billed=frozenset({Ending.PROMPT_REFUSED, Ending.OUTPUT_REFUSED, Ending.CANCELED}),
        # What is more than the account's own limit is taken all the same, and waits there.
        concurrency=4,
        poll_interval_s=6.0,
        url_lifetime_s=24 * 3600.0,
        least_poll_s=5.0,
    )
    media_origins: frozenset[str] = frozenset()

    def __init__(
        self, client: httpx.AsyncClient, *, secret: str, api_url: str, trusted_origins: Iterable[str] = ()
    ) -> None:
        self._url = api_url.rstrip("/")
        secret = secret.strip()
        self._line = ProviderLine(
            "Runway",
            keys="RUNWAYML_API_SECRET",
            origins=[self._url],
            secrets=[secret],
            headers={"Authorization": f"Bearer {secret}", "X-Runway-Version": _VERSION},
            client=client,
        )
        self.trusted_origins = frozenset(trusted_origins)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        url = f"{self._url}/v1/{job.request['endpoint']}"
        answer = await self._line.submit(url, json=job.request["arguments"], before=before)
        if 200 <= answer.status < 300:
            return self.receipt(job, self._line.taken(answer, _Receipt).id)
        raise _refused_submit(answer)

    async def reach(self) -> None:
        await self._line.reach(f"{self._url}/v1/organization")

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("Runway lists no tasks, and its terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(self._line.checked_id(provider_job_id), {})

    async def poll(self, job: Job) -> bool:
        answer, task = await self._task(job)
        if task.status not in (*_WAITING, "RUNNING", *_ENDED):
            raise Undecided(f"Runway answered the unknown status {task.status!r:.100}", answer=answer.kept())
        return task.status in _ENDED

    async def result(self, job: Job) -> Rendered:
        answer, task = await self._task(job)
        if task.status in ("FAILED", "CANCELLED"):
            raise _failed(answer, task)
        if task.status != "SUCCEEDED" or not task.output:
            raise self._line.undecided(answer, "result")
        return Rendered(media_url=task.output[0], usd=task.usd)

    async def cancel(self, job: Job) -> None:
        # A running task is paid for whatever becomes of it, and deleted it would be lost; a pending one may run.
        try:
            _, task = await self._task(job)
        except Undecided:
            return
        if task.status != "THROTTLED":
            return
        loop = asyncio.get_running_loop()
        seen_at = loop.time()
        answer = await self._line.call_off("DELETE", f"{self._url}/v1/tasks/{job.provider_job_id}")
        if answer is not None and answer.status == 204 and loop.time() - seen_at < _AT_ONCE_S:
            gone, kept = "the task was deleted while it waited behind others", answer.kept()
            raise JobFailed(FailureKind.CANCELED, gone, ending=Ending.CANCELED, usd=Decimal(0), answer=kept)

    async def _task(self, job: Job) -> tuple[Answer, _Task]:
        """The task as it stands. Raises Undecided, also for one that is not known: it may have been paid for."""
        answer = await self._line.read(f"{self._url}/v1/tasks/{job.provider_job_id}", "task")
        if answer.status == 404 and readable(answer, _Error) is not None:
            reason = (
                "Runway does not know the task: it was deleted, or belongs to another organization than "
                "RUNWAYML_API_SECRET; what it has cost is not told"
            )
            raise Undecided(reason, answer=answer.kept())
        if answer.status != 200:
            raise self._line.undecided(answer, "task")
        return answer, self._line.understood(answer, _Task, "task")


def _request(order: RenderOrder, wire: RunwayWire) -> dict[str, Any]:
    """Endpoint and arguments. Raises ValueError for an order that the model has no endpoint or size for."""
    if not order.duration_s:
        raise ValueError("no model of pictures is bought from Runway")
    if (order.start_image and not wire.image_to_video) or (order.references and not wire.references):
        raise ValueError("the model's wire names no endpoint for such an order")
    ratio = wire.ratios.get(order.resolution or "", {}).get(order.orientation)
    if ratio is None:
        raise ValueError(f"the model's wire has no ratio for {order.resolution} in {order.orientation}")
    if order.duration_s != int(order.duration_s):
        raise ValueError("the model's wire takes whole seconds, and its durations are none")
    arguments: dict[str, Any] = {
        "model": wire.model,
        "promptText": order.prompt,
        "ratio": ratio,
        "duration": int(order.duration_s),
    }
    optional = (
        ("promptImage", order.start_image),
        ("references", [{"uri": picture} for picture in order.references] or None),
        ("audio", order.audio if wire.audio else None),
        ("seed", order.seed if wire.seed else None),
        ("negativePrompt", order.negative_prompt),
    )
    arguments |= {name: value for name, value in optional if value is not None}
    return {"endpoint": "image_to_video" if order.start_image else "text_to_video", "arguments": arguments}


def _refused_submit(answer: Answer) -> NotAccepted | SubmitUnknown:
    """What a submit that was not answered with a task means: only Runway's own words are a refusal."""
    told, kept = readable(answer, _Error), answer.kept()
    reason = f"HTTP {answer.status}: {answer.text()}"
    kinds = {401: FailureKind.AUTH, 403: FailureKind.AUTH, 503: FailureKind.TRANSIENT}
    # The generations that a day may have are used up.
    kinds |= {402: FailureKind.QUOTA, 429: FailureKind.QUOTA}
    kinds |= dict.fromkeys((400, 404, 405, 413, 422), FailureKind.INVALID)
    if told is None or answer.status not in kinds:
        return SubmitUnknown(f"Runway answered a submit with {reason}", answer=kept)
    out_of_credit = answer.status == 400 and "credits" in told.error.lower()
    kind = FailureKind.QUOTA if out_of_credit else kinds[answer.status]
    return NotAccepted(kind, reason, retry_after_s=answer.retry_after_s, answer=kept)


def _failed(answer: Answer, task: _Task) -> JobFailed:
    """Why a task has ended without a file; its code says so, or nothing does."""
    code = task.failure_code or ""
    reason = ": ".join(filter(None, (code, task.failure))) or f"the task has {task.status}"
    kind, ending, retry_allowed = FailureKind.GENERATION, Ending.FAILED, True
    if task.status == "CANCELLED":
        kind, ending = FailureKind.CANCELED, Ending.CANCELED
    elif code.startswith(_INPUT_REFUSED):
        kind, ending, retry_allowed = FailureKind.MODERATION, Ending.PROMPT_REFUSED, False
    elif code.startswith("SAFETY.") or ".SAFETY." in code:
        kind, ending, retry_allowed = FailureKind.MODERATION, Ending.OUTPUT_REFUSED, False
    elif code.startswith(_INVALID):
        kind, retry_allowed = FailureKind.INVALID, False
    elif code == "INTERNAL" or code.startswith(_SYSTEM):
        kind = FailureKind.TRANSIENT
    return JobFailed(kind, reason, ending=ending, retry_allowed=retry_allowed, usd=task.usd, answer=answer.kept())


def _connect(section: RunwaySection, client: httpx.AsyncClient) -> RunwayProvider | None:
    if section.secret is None:
        return None
    return RunwayProvider(client, secret=section.secret.get_secret_value(), api_url=section.server("api_url"))


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> RunwayProvider:
    return RunwayProvider(client, secret="sandbox", api_url=f"{base_url}/runway", trusted_origins=(base_url,))


VENDOR = ProviderVendor(
    name=RunwayProvider.name,
    section=RunwaySection,
    wire=RunwayWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
