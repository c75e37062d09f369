"""ComfyUI on the team's own GPU: workflows with named inputs, sent to a server that has no login and bills nothing.

A job costs electricity: the server tells when a workflow began and when it ended, and the policy says what a second
of the GPU costs. Nothing is moderated. A workflow is a file of `comfyui_workflows/`, or your own by its whole path.

Read in the source of ComfyUI 0.3.64 (`server.py`, `execution.py`) and seen at a server of that version:

- `POST /prompt` keeps a `prompt_id` that we choose, and takes a second one of the same: so ours is looked for before
  each submit, and a lost submit is sent again. Older servers choose the id. There ours is found by its `extra_data`,
  which comes back in the queue and in the history.
- `/queue` is not sorted: the smallest number comes first. `/history` is in memory, and empty after a restart.
- A workflow that is at fault is refused (400) with its nodes and their errors. One with several outputs may be taken
  (200 with `node_errors`) although the output that we need will not be made.

Assumed: that nobody else uses our ids, and that what neither queue nor history knows will never be rendered.
"""

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from video_pipeline.generation.providers.line import ID_PATTERN, ProviderLine, readable
from video_pipeline.generation.providers.pictures import picture_at
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
from video_pipeline.orders import Ending, RenderOrder, sha256_of
from video_pipeline.policy import explain
from video_pipeline.settings import VendorSection
from video_pipeline.wire import Answer, Bounds, clean

_LOG = logging.getLogger(__name__)
_WEEK_S = 7 * 24 * 3600.0
_WORKFLOWS = Path(__file__).with_name("comfyui_workflows")
_ADDRESS = "VIDEO_PIPELINE_COMFYUI_URL"
_OURS = "video_pipeline"
"""Under this name a job's key stands in a request's `extra_data`."""
# The queue holds the whole workflow of everything that waits.
_LIST_BOUNDS = Bounds(total_s=30.0, max_bytes=32 * 1024 * 1024, max_values=500_000)
_ENTRY_BOUNDS = Bounds(total_s=30.0, max_bytes=4 * 1024 * 1024, max_values=50_000)
# How many of the newest requests are looked through for a lost one, where the server chose its id.
_LOOKED_THROUGH = 100
# No workflow takes longer; a difference of times that says so is none.
_LONGEST_S = 24 * 3600.0

InputName = Literal[
    "prompt", "negative_prompt", "width", "height", "frames", "fps", "seed", "start_image", "file_name"
]
_NEEDED: tuple[InputName, ...] = ("prompt", "width", "height", "frames", "file_name")


class ComfyUISection(VendorSection):
    """ComfyUI's settings. There is no login: its address is what connects it."""

    url: str | None = Field(None, validation_alias=_ADDRESS)


class ComfyUIWire(BaseModel):
    """The workflows of a model: packaged ones by their names, others by the whole path of their file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_to_video: str
    image_to_video: str | None = None


class _Node(BaseModel):
    model_config = ConfigDict(extra="allow")

    class_type: str
    inputs: dict[str, Any]


class Workflow(BaseModel):
    """A workflow as ComfyUI's `Export (API)` writes it, and where in it an order's values go.

    `inputs` says for each of our names the places `node.field` that it fills. `output` is the node that saves the
    file.
    """

    model_config = ConfigDict(extra="forbid")

    about: str = ""
    inputs: dict[InputName, str | list[str]]
    output: str
    workflow: dict[str, _Node]

    @model_validator(mode="after")
    def _fits(self) -> "Workflow":
        missing = [name for name in _NEEDED if name not in self.inputs]
        if missing:
            raise ValueError(f"inputs must say where {', '.join(missing)} go")
        if self.output not in self.workflow:
            raise ValueError(f"output names the node {self.output}, which the workflow has not got")
        for name in self.inputs:
            for node, field in self.places(name):
                if node not in self.workflow or field not in self.workflow[node].inputs:
                    raise ValueError(f"inputs.{name} names {node}.{field}, which the workflow has not got")
        return self

    def places(self, name: InputName) -> Iterator[tuple[str, str]]:
        """The nodes and fields that a value goes to; none for an input that the workflow does not have."""
        given = self.inputs.get(name, [])
        for place in [given] if isinstance(given, str) else given:
            node, _, field = place.rpartition(".")
            yield node, field

    def filled(self, values: dict[InputName, Any]) -> dict[str, Any]:
        """The workflow with these values in their places."""
        nodes = {name: node.model_dump(mode="json") for name, node in self.workflow.items()}
        for name, value in values.items():
            for node, field in self.places(name):
                nodes[node]["inputs"][field] = value
        return nodes


class _Taken(BaseModel):
    prompt_id: str = Field(pattern=ID_PATTERN)
    node_errors: Any = None


class _Fault(BaseModel):
    type: str
    message: str
    details: str = ""


class _NodeFaults(BaseModel):
    class_type: str
    errors: list[_Fault]
    dependent_outputs: list[str] = []


class _Refusal(BaseModel):
    error: _Fault
    node_errors: Any = None


class _State(BaseModel):
    status_str: Literal["success", "error"]
    completed: bool
    messages: list[tuple[str, dict[str, Any]]] = []


class _Entry(BaseModel):
    """What the history knows of a request that has ended."""

    outputs: dict[str, Any]
    status: _State

    def message(self, name: str) -> dict[str, Any] | None:
        """The last message of a name."""
        return next((told for told_name, told in reversed(self.status.messages) if told_name == name), None)

    @property
    def gpu_s(self) -> float | None:
        """Seconds from its start to its end, None where the server does not tell them."""
        began, ended = ((self.message(f"execution_{name}") or {}).get("timestamp") for name in ("start", "success"))
        if not isinstance(began, int | float) or not isinstance(ended, int | float):
            return None
        seconds = (ended - began) / 1000
        return seconds if 0 <= seconds <= _LONGEST_S else None


_History = RootModel[dict[str, _Entry]]


class _Listed(BaseModel):
    """As much of any request in the history as it takes to find ours."""

    prompt: list[Any]


_Listing = RootModel[dict[str, _Listed]]
_ModelT = TypeVar("_ModelT", bound=BaseModel)


class Queue(BaseModel):
    """Requests as lists: number, id, workflow, `extra_data`, outputs."""

    queue_running: list[list[Any]]
    queue_pending: list[list[Any]]

    @model_validator(mode="after")
    def _in_order(self) -> "Queue":
        for request in (*self.queue_running, *self.queue_pending):
            if len(request) < 4 or not isinstance(request[0], int | float) or not isinstance(request[1], str):
                raise ValueError("a request of the queue is none")
        self.queue_pending.sort(key=lambda request: request[0])
        return self

    def ahead_of(self, prompt_id: str) -> int | None:
        """How many requests come before one, itself at work counting as none; None when it is not there."""
        if any(request[1] == prompt_id for request in self.queue_running):
            return 0
        ids = [request[1] for request in self.queue_pending]
        return ids.index(prompt_id) + max(1, len(self.queue_running)) if prompt_id in ids else None


class _Uploaded(BaseModel):
    name: str
    subfolder: str = ""


class _Saved(BaseModel):
    """A file that a node has saved, as `/view` takes it."""

    filename: str = Field(min_length=1, max_length=300)
    subfolder: str = Field("", max_length=300)
    type: Literal["output"]


class ComfyUIProvider:
    """The adapter; nothing is ever billed, and a submit is never in doubt."""

    name = "comfyui"
    terms = Terms(
        recovery=Recovery.REPEAT,
        billed=frozenset(),
        # It renders one after another; a second one waits there, so that the GPU never does.
        concurrency=2,
        poll_interval_s=1.0,
        url_lifetime_s=_WEEK_S,
    )
    media_origins: frozenset[str] = frozenset()

    def __init__(self, client: httpx.AsyncClient, *, url: str, trusted_origins: tuple[str, ...] = ()) -> None:
        self._url, self._client = url, client
        self._line = ProviderLine("ComfyUI", keys=_ADDRESS, origins=[url], secrets=[], headers={}, client=client)
        self.trusted_origins = frozenset(trusted_origins)
        self._keeps_ids = False
        self._called_off: set[str] = set()
        self._ahead: dict[str, int] = {}

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        prompt_id = _prompt_id(job)
        try:
            found = await self._found(job, prompt_id)
            if found is not None:
                return self.receipt(job, found)
            await self._upload_start_image(job)
        except Undecided as error:
            raise NotAccepted(FailureKind.TRANSIENT, str(error), answer=error.answer) from error
        body = {
            "prompt": job.request["arguments"],
            "prompt_id": prompt_id,
            "client_id": _OURS,
            "extra_data": {_OURS: job.key},
        }
        answer = await self._line.submit(f"{self._url}/prompt", json=body, before=before)
        if answer.status != 200:
            raise _refused_submit(answer)
        taken = self._line.taken(answer, _Taken)
        self._keeps_ids = taken.prompt_id == prompt_id
        if job.request["output"] in _outputs_not_made(taken.node_errors):
            with contextlib.suppress(Undecided):
                await self._call_off(taken.prompt_id)
            raise NotAccepted(FailureKind.INVALID, _nodes_at_fault(taken.node_errors), answer=answer.kept())
        return self.receipt(job, taken.prompt_id)

    async def _found(self, job: Job, prompt_id: str) -> str | None:
        """The id of a job that the server has already; None when it has not. Raises Undecided."""
        if await self._seen(prompt_id) is not None:
            return prompt_id
        if self._keeps_ids:
            return None
        queue = await self._queue()
        for request in (*queue.queue_running, *queue.queue_pending):
            if _is_of(job, request):
                return request[1]
        params = {"max_items": str(_LOOKED_THROUGH)}
        answer = await self._line.read(f"{self._url}/history", "history", params=params, bounds=_LIST_BOUNDS)
        listed = self._understood(answer, _Listing, "history").root
        return next((name for name, entry in listed.items() if _is_of(job, entry.prompt)), None)

    async def _upload_start_image(self, job: Job) -> None:
        """Hand over the picture that a job starts from, under the name that its workflow loads.

        Raises NotAccepted and Undecided.
        """
        address = job.order.start_image
        if address is None:
            return
        image = await picture_at(self._client, address, trusted_origins=self.trusted_origins)
        # The order as it is sent may have the picture itself, which the workflow was not named after.
        name = job.request.get("start_image") or _image_name(address)
        boundary = uuid.uuid4().hex
        parts = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        content = parts.encode() + image + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = await self._line.read(
            f"{self._url}/upload/image", "start image", method="POST", headers=headers, content=content
        )
        uploaded = self._understood(answer, _Uploaded, "start image")
        if (uploaded.name, uploaded.subfolder) != (name, ""):
            raise Undecided("ComfyUI keeps the start image under another name", answer=answer.kept())

    async def reach(self) -> None:
        await self._line.reach(f"{self._url}/queue")

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("a lost submit is sent again, and its terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(self._line.checked_id(provider_job_id), {})

    async def poll(self, job: Job) -> bool:
        prompt_id = job.provider_job_id or ""
        seen = await self._seen(prompt_id)
        if seen is None:
            raise self._gone(prompt_id)
        if isinstance(seen, _Entry):
            return True
        if self._ahead.get(prompt_id) != seen:
            self._ahead[prompt_id] = seen
            place = f"waits behind {seen} others" if seen else "is being rendered"
            _LOG.info("%s shot %d %s at ComfyUI", job.clip_id, job.shot, place)
        return False

    def _gone(self, prompt_id: str) -> JobFailed:
        """What it means that the server does not know a request of ours."""
        if prompt_id in self._called_off:
            return JobFailed(FailureKind.CANCELED, "it was called off", ending=Ending.CANCELED)
        reason = "ComfyUI does not know it any more: it was restarted, or its history was cleared"
        return JobFailed(FailureKind.TRANSIENT, reason, ending=Ending.FAILED)

    async def result(self, job: Job) -> Rendered:
        prompt_id = job.provider_job_id or ""
        answer, entry = await self._asked_for(prompt_id)
        self._ahead.pop(prompt_id, None)
        if entry is None:
            raise Undecided("ComfyUI's history does not tell of it", answer=answer.kept())
        kept = answer.kept()
        if entry.status.status_str == "success" and entry.status.completed:
            file = _file(entry.outputs.get(job.request["output"]))
            if file is None:
                raise Undecided("ComfyUI has ended it, and tells of no file", answer=kept)
            return Rendered(f"{self._url}/view?{urlencode(file)}", gpu_s=entry.gpu_s)
        if entry.status.status_str == "error":
            if entry.message("execution_interrupted") is not None:
                reason = "it was interrupted"
                raise JobFailed(FailureKind.CANCELED, reason, ending=Ending.CANCELED, answer=kept)
            told = entry.message("execution_error")
            if told is not None:
                raise JobFailed(FailureKind.GENERATION, _what_failed(told), ending=Ending.FAILED, answer=kept)
        raise Undecided("ComfyUI's history does not say how it ended", answer=kept)

    async def cancel(self, job: Job) -> None:
        try:
            await self._call_off(job.provider_job_id or "")
        except Undecided as error:
            _LOG.warning("ComfyUI could not be asked to cancel %s: %s", job.provider_job_id, error)

    async def _call_off(self, prompt_id: str) -> None:
        """Take a request out of the queue, or interrupt it. Raises Undecided."""
        self._called_off.add(prompt_id)
        delete, named = {"delete": [prompt_id]}, {"prompt_id": prompt_id}
        await self._line.read(f"{self._url}/queue", "end", method="POST", json=delete)
        # Older servers interrupt whatever is at work, whoever is named.
        if (await self._queue()).ahead_of(prompt_id) == 0:
            await self._line.read(f"{self._url}/interrupt", "end", method="POST", json=named)

    async def _seen(self, prompt_id: str) -> "_Entry | int | None":
        """What the history has of a request, or how many come before it; None when the server does not know it.

        Raises Undecided.
        """
        _, entry = await self._asked_for(prompt_id)
        if entry is not None:
            return entry
        ahead = (await self._queue()).ahead_of(prompt_id)
        if ahead is not None:
            return ahead
        # It may have ended between the two answers.
        return (await self._asked_for(prompt_id))[1]

    async def _asked_for(self, prompt_id: str) -> tuple[Answer, _Entry | None]:
        """What the history answers for a request. Raises Undecided."""
        answer = await self._line.read(f"{self._url}/history/{prompt_id}", "history", bounds=_ENTRY_BOUNDS)
        told = self._understood(answer, _History, "history").root
        if told and prompt_id not in told:
            raise Undecided("ComfyUI's history tells of another request", answer=answer.kept())
        return answer, told.get(prompt_id)

    async def _queue(self) -> Queue:
        answer = await self._line.read(f"{self._url}/queue", "queue", bounds=_LIST_BOUNDS)
        return self._understood(answer, Queue, "queue")

    def _understood(self, answer: Answer, model: type[_ModelT], what: str) -> _ModelT:
        """A whole answer by its type. Raises Undecided."""
        if answer.status != 200:
            raise self._line.undecided(answer, what)
        return self._line.understood(answer, model, what)


def _prompt_id(job: Job) -> str:
    """The id that we choose for a job."""
    return str(uuid.UUID(hex=job.key[:32]))


def _is_of(job: Job, request: list[Any]) -> bool:
    """Whether a request as the queue and the history list it is a job's."""
    extra_data: Any = request[3] if len(request) > 3 else None
    return isinstance(extra_data, dict) and cast("dict[str, Any]", extra_data).get(_OURS) == job.key


def _refused_submit(answer: Answer) -> NotAccepted | SubmitUnknown:
    """What a submit without a receipt means: only ComfyUI's own refusal of a workflow is one."""
    refusal = readable(answer, _Refusal)
    if answer.status != 400 or refusal is None:
        reason = f"ComfyUI answered a submit with HTTP {answer.status}: {answer.text()}"
        return SubmitUnknown(reason, answer=answer.kept())
    said = refusal.error.message + (f" ({refusal.error.details})" if refusal.error.details else "")
    reason = _nodes_at_fault(refusal.node_errors) or f"ComfyUI refuses the workflow: {said}"
    return NotAccepted(FailureKind.INVALID, reason, answer=answer.kept())


def _faults(node_errors: Any) -> dict[str, _NodeFaults]:
    """The nodes at fault; none of a list that cannot be read."""
    try:
        return RootModel[dict[str, _NodeFaults]].model_validate(node_errors).root
    except ValidationError:
        return {}


def _outputs_not_made(node_errors: Any) -> set[str]:
    return {output for faults in _faults(node_errors).values() for output in faults.dependent_outputs}


def _nodes_at_fault(node_errors: Any) -> str:
    """A sentence that names each node at fault and what is wrong with it; empty without any."""
    clauses = [
        f"node {name} ({faults.class_type}): {fault.message}" + (f", {fault.details}" if fault.details else "")
        for name, faults in _faults(node_errors).items()
        for fault in faults.errors
    ]
    return f"ComfyUI refuses the workflow at {'; '.join(clauses)}" if clauses else ""


def _what_failed(told: dict[str, Any]) -> str:
    """Which node failed, and why."""
    words = {name: clean(str(told.get(name, "")).strip(), 300) for name in ("node_id", "node_type")}
    why = clean(str(told.get("exception_message", "")).strip(), 300)
    return f"node {words['node_id']} ({words['node_type']}) failed: {why or told.get('exception_type', 'no reason')}"


def _file(output: Any) -> dict[str, str] | None:
    """The first file among what a node has saved; None when there is none."""
    if not isinstance(output, dict):
        return None
    for saved in cast("dict[str, Any]", output).values():
        for item in cast("list[Any]", saved) if isinstance(saved, list) else []:
            try:
                return _Saved.model_validate(item).model_dump()
            except ValidationError:
                continue
    return None


def _image_name(address: str) -> str:
    """The name under which the picture of an address is handed over."""
    return f"video-pipeline-{sha256_of({'image': address})[:32]}.png"


def _request(order: RenderOrder, wire: ComfyUIWire) -> dict[str, Any]:
    """The workflow with the order's values in it, and the node whose file is the clip.

    Raises ValueError when the order holds nothing that the workflow needs.
    """
    named = wire.image_to_video if order.start_image else wire.text_to_video
    if named is None or not order.duration_s:
        raise ValueError("the model's wire names no workflow for such an order")
    workflow = _workflow(named)
    if order.frames is None or order.size is None:
        raise ValueError("a workflow is told frames and pixels: durations in frames, a price per megapixel_frame")
    values: dict[InputName, Any] = {
        "prompt": order.prompt,
        "width": order.size[0],
        "height": order.size[1],
        "frames": order.frames,
        "file_name": f"video-pipeline/{sha256_of(order.document())[:16]}",
    }
    image = _image_name(order.start_image) if order.start_image else None
    optional: dict[InputName, Any] = {
        "negative_prompt": order.negative_prompt,
        "fps": None if order.fps is None else float(order.fps),
        "seed": order.seed,
        "start_image": image,
    }
    values |= {name: value for name, value in optional.items() if value is not None}
    if order.start_image and "start_image" not in workflow.inputs:
        raise ValueError(f"the workflow {named} does not say where the start image goes")
    request = {"arguments": workflow.filled(values), "output": workflow.output}
    return request | ({"start_image": image} if image else {})


@lru_cache(maxsize=64)
def _workflow(named: str) -> Workflow:
    """A packaged workflow by its name, or the one in a file. Raises ValueError that says what is wrong with it."""
    path = Path(named) if "/" in named else _WORKFLOWS / f"{named}.json"
    try:
        return Workflow.model_validate_json(path.read_text())
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in _WORKFLOWS.glob("*.json")))
        raise ValueError(
            f"the workflow {named} cannot be read ({error.strerror}); packaged are {known}, others are named by path"
        ) from error
    except ValidationError as error:
        raise ValueError(f"the workflow {named} is not valid: {explain(error)}") from error


def _connect(section: ComfyUISection, client: httpx.AsyncClient) -> ComfyUIProvider | None:
    if section.url is None:
        return None
    url = section.server("url")
    parts = urlsplit(url)
    # It stands in the team's own network, and so does what it renders.
    return ComfyUIProvider(client, url=url, trusted_origins=(f"{parts.scheme}://{parts.netloc}",))


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> ComfyUIProvider:
    return ComfyUIProvider(client, url=f"{base_url}/comfyui", trusted_origins=(base_url,))


VENDOR = ProviderVendor(
    name=ComfyUIProvider.name,
    section=ComfyUISection,
    wire=ComfyUIWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
    own_gpu=True,
)
