"""Alibaba's DashScope (Model Studio): a task is submitted, and asked for until it has ended; its file comes with it.

Documented, at https://www.alibabacloud.com/help/en/model-studio (`error-code`, `async-task-api`, the video models)
and in the official client (`dashscope` 2.0.2):

- a submit carries `X-DashScope-Async: enable`; errors are `{code, message, request_id}`, with HTTP 200, too
- keys, task ids and prices belong to a region, which is the address that is asked
- a task and its file live for 24 hours; after that, as for an id that there never was, its status is `UNKNOWN`
- `DataInspectionFailed` and `IPInfringementSuspect` are moderation, at the submit or of a task; calls that fail and
  tasks that fail cost nothing
- only a `PENDING` task can be canceled
- tasks of the last 24 hours are listed by model, for the whole account and without what was asked for; a task that
  has succeeded tells its `orig_prompt`, and its length and size in `usage`. So a lost submit is found once it has
  succeeded, and asked about again while it may be one at work. What others on the account may have ordered at the
  same time, in the same words, is a person's to tell apart

Assumed: that the message of a refusal names `output` where the file was refused and `input` where the prompt or the
image was; that `Throttling.AllocationQuota` passes; that a task tells the prompt of an image-to-video model as well.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from video_pipeline.generation.providers.line import ID_PATTERN, OR_NONE, ProviderLine, readable
from video_pipeline.generation.providers.protocol import (
    Ambiguous,
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
from video_pipeline.wire import Answer, Bounds

_ADDRESS = "VIDEO_PIPELINE_DASHSCOPE_API_URL"
_SUBMIT = "api/v1/services/aigc/video-generation/video-synthesis"
_WAITING = ("PENDING", "RUNNING", "SUSPENDED")
_FAILED = ("FAILED", "CANCELED")
_MODERATION = ("datainspectionfailed", "data_inspection_failed", "ipinfringementsuspect")
_INVALID = ("invalidparameter", "invalidurl", "invalidimage", "model.notexist", "modelnotexist", "badrequest")
_BUSY = ("throttling", "serviceunavailable")
# The start image did not arrive there this time.
_NOT_FETCHED = ("invalidurl.timeout", "invalidurl.connectionrefused")
_SYSTEM = ("internalerror", "systemerror", "gatewaytimeout", *_BUSY)
# The model itself did not come up with a file.
_MODEL = ("internalerror.algo",)
# When a submit may have arrived, counted from its intent: clocks differ, and what is turned away is sent again.
_SENT_FROM, _SENT_UNTIL = timedelta(minutes=-5), timedelta(minutes=30)
_PAGE, _PAGES = 100, 50
_LIST_BOUNDS = Bounds(total_s=60.0, max_bytes=4 * 1024 * 1024, max_values=50_000)


class DashScopeSection(VendorSection):
    """DashScope's settings; the address is the key's region."""

    key: SecretStr | None = Field(None, validation_alias="DASHSCOPE_API_KEY")
    api_url: str = Field(
        "https://dashscope-intl.aliyuncs.com",
        validation_alias=_ADDRESS,
        description="Singapore's; Beijing's is https://dashscope.aliyuncs.com.",
    )
    media_hosts: str = Field(
        "https://*.aliyuncs.com",
        validation_alias="VIDEO_PIPELINE_DASHSCOPE_MEDIA_HOSTS",
        description="Hosts that files are fetched from, with commas between them.",
    )


class DashScopeWire(BaseModel):
    """How a model is asked for: its names by what it starts from, and whether it has a switch for sound.

    `prompt_extend` lets the vendor's own language model rewrite the prompt: what was remapped here is not what is
    rendered then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_to_video: str
    image_to_video: str | None = None
    reference_to_video: str | None = None
    audio: bool = False
    prompt_extend: bool = False


class _Created(BaseModel):
    task_id: str = Field(pattern=ID_PATTERN)


class _Receipt(BaseModel):
    output: _Created


class _Error(BaseModel):
    code: str = Field(min_length=1)
    message: str
    request_id: str


class _Output(BaseModel):
    task_status: str
    code: Annotated[str | None, OR_NONE] = None
    message: Annotated[str | None, OR_NONE] = None
    video_url: Annotated[str | None, Field(pattern=r"^https?://", max_length=8192), OR_NONE] = None
    orig_prompt: Annotated[str | None, OR_NONE] = None


class _Usage(BaseModel):
    """What a task that has succeeded tells of its file: seconds, and the short side in pixels."""

    duration: Annotated[float | None, OR_NONE] = None
    output_video_duration: Annotated[float | None, OR_NONE] = None
    short_side: Annotated[int | None, OR_NONE] = Field(None, alias="SR")

    def fits(self, parameters: Mapping[str, Any]) -> bool:
        """Whether nothing that is told speaks against the parameters of a submit."""
        told_s = self.duration if self.output_video_duration is None else self.output_video_duration
        as_long = told_s is None or abs(told_s - parameters["duration"]) < 1
        return as_long and (self.short_side is None or f"{self.short_side}P" == parameters["resolution"])


class _Task(BaseModel):
    output: _Output
    usage: Annotated[_Usage | None, OR_NONE] = None


class _Listed(BaseModel):
    task_id: str = Field(pattern=ID_PATTERN)
    model_name: str
    gmt_create: int


class _Page(BaseModel):
    data: list[_Listed]
    total_page: int


class DashScopeProvider:
    """The adapter."""

    name = "dashscope"
    terms = Terms(
        recovery=Recovery.SEARCH,
        billed=frozenset(),
        # More are taken, and wait there.
        concurrency=2,
        poll_interval_s=10.0,
        url_lifetime_s=24 * 3600.0,
        least_poll_s=3.0,
    )

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        key: str,
        api_url: str,
        trusted_origins: Iterable[str] = (),
        media_origins: Iterable[str] = (),
    ) -> None:
        self._url = api_url.rstrip("/")
        key = key.strip()
        self._line = ProviderLine(
            "DashScope",
            keys="DASHSCOPE_API_KEY",
            origins=[self._url],
            secrets=[key],
            headers={"Authorization": f"Bearer {key}"},
            client=client,
        )
        self.trusted_origins = frozenset(trusted_origins)
        self.media_origins = frozenset(media_origins)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        answer = await self._line.submit(
            f"{self._url}/{_SUBMIT}",
            headers={"X-DashScope-Async": "enable"},
            json=job.request["arguments"],
            before=before,
        )
        # A task that has an id is there, whatever else is said of it.
        taken = readable(answer, _Receipt) if 200 <= answer.status < 300 else None
        if taken is not None:
            return self.receipt(job, taken.output.task_id)
        # An error may come with 200 as well.
        told = readable(answer, _Error)
        if told is not None:
            raise _refused_submit(answer, told)
        raise SubmitUnknown(
            f"DashScope answered a submit with HTTP {answer.status}: {answer.text()}", answer=answer.kept()
        )

    async def reach(self) -> None:
        await self._line.reach(f"{self._url}/api/v1/tasks/?page_no=1&page_size=1")

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        at = job.submitted_at or datetime.now(UTC)
        first_ms, last_ms = ((at + slack).timestamp() * 1000 for slack in (_SENT_FROM, _SENT_UNTIL))
        # What comes back is clean, so what is looked for has to be.
        prompt, parameters = self._line.clean(job.order.prompt), job.request["arguments"]["parameters"]
        same: list[str] = []
        otherwise: list[str] = []
        unsure = 0
        for listed in await self._listed(job.request["endpoint"]):
            if listed.task_id in known_ids or not first_ms <= listed.gmt_create <= last_ms:
                continue
            _, told = await self._told(listed.task_id)
            if told.output.orig_prompt == prompt:
                fits = told.usage is None or told.usage.fits(parameters)
                (same if fits else otherwise).append(listed.task_id)
            # What has failed costs nothing, whoever asked for it.
            unsure += told.output.orig_prompt is None and told.output.task_status not in _FAILED
        if unsure:
            raise Undecided(f"{unsure} of DashScope's tasks may be this one, and their prompts are not told yet")
        found = self._line.only(same, known_ids)
        if found is None and otherwise:
            raise Ambiguous(f"DashScope's task {otherwise[0]} has the words of this one, and another length or size")
        return None if found is None else self.receipt(job, found)

    async def _listed(self, model: str) -> list[_Listed]:
        """The tasks of a model of the last 24 hours. Raises Undecided."""
        found: list[_Listed] = []
        for number in range(1, _PAGES + 1):
            params = {"model_name": model, "page_no": str(number), "page_size": str(_PAGE)}
            url = f"{self._url}/api/v1/tasks/"
            answer = await self._line.read(url, "list of tasks", params=params, bounds=_LIST_BOUNDS)
            if answer.status != 200:
                raise self._line.undecided(answer, "list of tasks")
            page = self._line.understood(answer, _Page, "list of tasks")
            found += [listed for listed in page.data if listed.model_name == model]
            if number >= page.total_page:
                return found
        raise Undecided(f"DashScope's list of tasks does not come to an end within {_PAGES} pages")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(self._line.checked_id(provider_job_id), {"api_url": self._url})

    async def poll(self, job: Job) -> bool:
        answer, output = await self._task(job)
        if output.task_status in ("SUCCEEDED", *_FAILED):
            return True
        if output.task_status not in _WAITING:
            # UNKNOWN as well: what was rendered and is gone has been paid for.
            reason = f"DashScope answered the status {output.task_status!r:.100}"
            raise Undecided(reason, answer=answer.kept())
        return False

    async def result(self, job: Job) -> Rendered:
        answer, output = await self._task(job)
        if output.task_status in _FAILED:
            raise _failed(answer, output)
        if output.task_status != "SUCCEEDED" or output.video_url is None:
            raise self._line.undecided(answer, "result")
        return Rendered(media_url=output.video_url)

    async def cancel(self, job: Job) -> None:
        # One at work is not canceled by this, and answers so.
        await self._line.call_off("POST", f"{self._url}/api/v1/tasks/{job.provider_job_id}/cancel")

    async def _task(self, job: Job) -> tuple[Answer, _Output]:
        """A job's task as it stands. Raises Undecided."""
        bought_at = (job.receipt or {}).get("api_url", self._url)
        if bought_at != self._url:
            raise Undecided(
                f"the task was bought at {bought_at}, and {self._url} does not know it; set {_ADDRESS} and its key "
                "back until it has ended"
            )
        answer, told = await self._told(job.provider_job_id or "")
        return answer, told.output

    async def _told(self, task_id: str) -> tuple[Answer, _Task]:
        answer = await self._line.read(f"{self._url}/api/v1/tasks/{task_id}", "task")
        if answer.status != 200:
            raise self._line.undecided(answer, "task")
        return answer, self._line.understood(answer, _Task, "task")


def _request(order: RenderOrder, wire: DashScopeWire) -> dict[str, Any]:
    """The model's name as `endpoint`, and the body. Raises ValueError for an order that it has no model for."""
    if not order.duration_s:
        raise ValueError("no model of pictures is bought from DashScope")
    model = wire.image_to_video if order.start_image else wire.text_to_video
    model = wire.reference_to_video if order.references else model
    if model is None:
        raise ValueError("the model's wire names no model for such an order")
    if order.duration_s != int(order.duration_s):
        raise ValueError("the model's wire takes whole seconds, and its durations are none")
    given: dict[str, Any] = {"prompt": order.prompt}
    if order.negative_prompt is not None:
        given["negative_prompt"] = order.negative_prompt
    parameters: dict[str, Any] = {
        "resolution": (order.resolution or "").upper(),
        "duration": int(order.duration_s),
        "prompt_extend": wire.prompt_extend,
        "watermark": False,
    }
    optional = (
        # A start image has its own shape.
        ("ratio", None if order.start_image else order.orientation.aspect_ratio),
        ("audio", order.audio if wire.audio else None),
        ("seed", order.seed),
    )
    parameters |= {name: value for name, value in optional if value is not None}
    shown = [("first_frame", order.start_image), *(("reference_image", picture) for picture in order.references)]
    media = [{"type": kind, "url": picture} for kind, picture in shown if picture]
    given |= {"media": media} if media else {}
    return {"endpoint": model, "arguments": {"model": model, "input": given, "parameters": parameters}}


def _refused_submit(answer: Answer, told: _Error) -> NotAccepted | SubmitUnknown:
    """What an error means that a submit was answered with; it is DashScope's own word, whatever its HTTP status."""
    code, kept = told.code.lower(), answer.kept()
    reason = f"{told.code}: {told.message}"
    kind = None
    if code.startswith(_MODERATION):
        kind = FailureKind.MODERATION
    elif code.startswith((*_BUSY, *_NOT_FETCHED)):
        kind = FailureKind.TRANSIENT
    elif code == "arrearage":
        kind = FailureKind.QUOTA
    elif code.startswith(("invalidapikey", "accessdenied", "model.accessdenied", "workspace.accessdenied")):
        kind = FailureKind.AUTH
    elif code.startswith(_INVALID):
        kind = FailureKind.INVALID
    if kind is None:
        return SubmitUnknown(f"DashScope answered a submit with {reason}", answer=kept)
    return NotAccepted(
        kind,
        reason,
        retry_after_s=answer.retry_after_s,
        retry_allowed=kind is not FailureKind.MODERATION,
        answer=kept,
    )


def _failed(answer: Answer, output: _Output) -> JobFailed:
    """Why a task has ended without a file."""
    code, message = (output.code or "").lower(), output.message or ""
    reason = ": ".join(filter(None, (output.code, output.message))) or f"the task has {output.task_status}"
    kind, ending, retry_allowed = FailureKind.GENERATION, Ending.FAILED, True
    if output.task_status == "CANCELED":
        kind, ending = FailureKind.CANCELED, Ending.CANCELED
    elif code.startswith(_MODERATION):
        of_output = "output" in message.lower() and "input" not in message.lower()
        kind, retry_allowed = FailureKind.MODERATION, False
        ending = Ending.OUTPUT_REFUSED if of_output else Ending.PROMPT_REFUSED
    elif code == "arrearage":
        kind = FailureKind.QUOTA
    elif code.startswith(_NOT_FETCHED):
        kind = FailureKind.TRANSIENT
    elif code.startswith(_INVALID):
        kind, retry_allowed = FailureKind.INVALID, False
    elif code.startswith(_SYSTEM) and not code.startswith(_MODEL):
        kind = FailureKind.TRANSIENT
    return JobFailed(kind, reason, ending=ending, retry_allowed=retry_allowed, answer=answer.kept())


def _connect(section: DashScopeSection, client: httpx.AsyncClient) -> DashScopeProvider | None:
    if section.key is None:
        return None
    return DashScopeProvider(
        client,
        key=section.key.get_secret_value(),
        api_url=section.server("api_url"),
        media_origins=section.hosts("media_hosts"),
    )


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> DashScopeProvider:
    return DashScopeProvider(client, key="sandbox", api_url=f"{base_url}/dashscope", trusted_origins=(base_url,))


VENDOR = ProviderVendor(
    name=DashScopeProvider.name,
    section=DashScopeSection,
    wire=DashScopeWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
