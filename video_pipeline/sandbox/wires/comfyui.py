"""The wire of a ComfyUI server, as version 0.3.64 speaks it: no login, no bill, no moderation, all of it in memory.

What the server knows of a request is gone when it restarts, which is when the sandbox does, or the fault `restarted`
takes effect. `/comfyui-2024` is the same server as an older one: it chooses the ids of requests itself.

A workflow becomes an order by what its nodes are for: the text that `positive` leads to, the node with a width, a
height and a `length` (or `batch_size`), the rate of `CreateVideo`, the seed of the sampler, the image of `LoadImage`.
"""

import base64
import email.parser
import email.policy
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.books import BookedRequest, Progress, parse_stamp
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.farm import Purchase
from video_pipeline.sandbox.orders import Order, Outcome
from video_pipeline.sandbox.pricelist import PricedModel
from video_pipeline.sandbox.wires.protocol import Backend

BASES = ("/comfyui", "/comfyui-2024")
CHOOSES_IDS = BASES[1]
MAX_SIDE = 16384
# Core nodes that do not exist would be refused; these are enough for workflows of text, images and video.
NODES = frozenset(
    {
        "CheckpointLoaderSimple",
        "CLIPLoader",
        "CLIPTextEncode",
        "CreateVideo",
        "EmptyImage",
        "EmptyLTXVLatentVideo",
        "KSampler",
        "KSamplerSelect",
        "LoadImage",
        "LoraLoaderModelOnly",
        "LTXVConditioning",
        "LTXVImgToVideo",
        "LTXVScheduler",
        "ModelSamplingSD3",
        "PreviewImage",
        "PrimitiveString",
        "SamplerCustom",
        "SaveVideo",
        "UNETLoader",
        "VAEDecode",
        "VAELoader",
        "Wan22ImageToVideoLatent",
    }
)
_ENDS = frozenset({"SaveVideo", "PreviewImage"})
_LOADED = ("unet_name", "ckpt_name")


@dataclass(frozen=True)
class _Ticket:
    """What the server remembers of a request beside what the books have."""

    number: int
    prompt_id: str
    extra_data: dict[str, Any]
    outputs: list[str]


class ComfyUI:
    """One server with one GPU."""

    name = "comfyui"

    def __init__(self, backend: Backend) -> None:
        self._farm, self._faults, self._prices = backend.farm, backend.faults, backend.prices
        self._downloads = backend.downloads
        self._number = 0
        self._tickets: dict[str, _Ticket] = {}
        self._images: dict[str, str] = {}

    def routes(self) -> list[BaseRoute]:
        return [route for base in BASES for route in self._routes(base)]

    def _routes(self, base: str) -> Iterator[BaseRoute]:
        yield Route(f"{base}/prompt", self._submit, methods=["POST"])
        yield Route(f"{base}/queue", self._queue, methods=["GET"])
        yield Route(f"{base}/queue", self._delete, methods=["POST"])
        yield Route(f"{base}/interrupt", self._interrupt, methods=["POST"])
        yield Route(f"{base}/history", self._history)
        yield Route(f"{base}/history/{{prompt_id}}", self._entry)
        yield Route(f"{base}/view", self._view)
        yield Route(f"{base}/upload/image", self._upload, methods=["POST"])

    # --- requests --------------------------------------------------------------------------------------------

    async def _submit(self, request: Request) -> ASGIApp:
        try:
            body = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("500 Internal Server Error", 500)
        if "prompt" not in body:
            return _refused("no_prompt", "No prompt provided", "No prompt provided")
        workflow = body["prompt"]
        unknown = next((name for name, node in workflow.items() if node.get("class_type") not in NODES), None)
        if unknown is not None:
            said = f"Cannot execute because node {workflow[unknown].get('class_type')} does not exist."
            return _refused("invalid_prompt", said, f"Node ID '#{unknown}'")
        ends = [name for name, node in workflow.items() if node["class_type"] in _ENDS]
        errors = self._node_errors(workflow, ends)
        good = [end for end in ends if not any(end in wrong["dependent_outputs"] for wrong in errors.values())]
        if not good:
            return _refused(
                "prompt_outputs_failed_validation", "Prompt outputs failed validation", "", node_errors=errors
            )
        read = _Read(workflow, self._images)
        subjects = (read.endpoint, read.prompt)
        if fault := await self._faults.at_submit(*subjects):
            # No such words are ComfyUI's: they are a proxy's, before it.
            status, retry_after_s = fault
            return PlainTextResponse("busy", status, headers={"Retry-After": f"{retry_after_s:g}"})
        if self._faults.take("drop_before_accept", *subjects):
            return Hangup(request)
        chosen = not request.url.path.startswith(CHOOSES_IDS) and body.get("prompt_id")
        prompt_id = str(chosen or uuid.uuid4())
        # A second request of the same id is another request.
        taken_id = self._farm.request(prompt_id) is not None
        request_id = str(uuid.uuid4()) if taken_id else prompt_id
        extra_data = dict(body.get("extra_data") or {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        self._tickets[request_id] = _Ticket(self._number, prompt_id, extra_data, good)
        self._number += 1
        accepted = self._farm.accept(
            Purchase(
                wire=self.name,
                request_id=request_id,
                endpoint=read.endpoint,
                model=self._model(read.endpoint),
                input=workflow,
                order=read.order(),
                billed=frozenset(),
                moderated=False,
            )
        )
        if accepted.answer_lost:
            return Hangup(request)
        answer = {"prompt_id": prompt_id, "number": self._tickets[request_id].number, "node_errors": errors}
        return JSONResponse(answer)

    def _model(self, name: str) -> PricedModel:
        """Any model, for nothing."""
        priced = self._prices.model(name)
        assert priced is not None, "only names under sandbox/ may be unknown"
        return replace(priced, name=name, usd_per_s=Decimal(0), usd_per_s_audio=None)

    def _node_errors(self, workflow: dict[str, Any], ends: list[str]) -> dict[str, Any]:
        """The nodes at fault, each with the ends that need it."""
        errors: dict[str, Any] = {}
        for end in ends:
            for name in _upstream(workflow, end):
                wrong = list(self._wrong(workflow[name]))
                if wrong:
                    kept = errors.setdefault(
                        name,
                        {"errors": wrong, "dependent_outputs": [], "class_type": workflow[name]["class_type"]},
                    )
                    kept["dependent_outputs"].append(end)
        return errors

    def _wrong(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        inputs = node["inputs"]
        for side in ("width", "height"):
            if isinstance(inputs.get(side), int) and inputs[side] > MAX_SIDE:
                said = f"Value {inputs[side]} bigger than max of {MAX_SIDE}"
                yield _error("value_bigger_than_max", said, side)
        image = inputs.get("image")
        if node["class_type"] == "LoadImage" and image not in self._images:
            said = "Custom validation failed for node"
            yield _error("custom_validation_failed", said, f"image - Invalid image file: {image}")
        for name in _LOADED:
            # As where the file was never put into the server's folder.
            if str(inputs.get(name, "")).startswith("absent"):
                yield _error("value_not_in_list", "Value not in list", f"{name}: '{inputs[name]}' not in []")

    async def _upload(self, request: Request) -> Response:
        head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
        parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + await request.body())
        for part in parsed.iter_parts() if parsed.is_multipart() else ():
            name = part.get_filename()
            if part.get_param("name", header="content-disposition") == "image" and name:
                content = part.get_payload(decode=True)
                assert isinstance(content, bytes), "no part holds parts"
                self._images[name] = f"data:image/png;base64,{base64.b64encode(content).decode()}"
                return JSONResponse({"name": name, "subfolder": "", "type": "input"})
        return Response(status_code=400)

    # --- what it knows ---------------------------------------------------------------------------------------

    def _known(self) -> list[tuple[_Ticket, BookedRequest]]:
        booked = ((ticket, self._farm.request(request_id)) for request_id, ticket in self._tickets.items())
        return [(ticket, request) for ticket, request in booked if request is not None]

    async def _queue(self, request: Request) -> ASGIApp:
        if self._faults.take("listing_503", "queue"):
            return PlainTextResponse("busy", 503)
        listed: dict[str, list[Any]] = {"queue_running": [], "queue_pending": []}
        # Newest first: the real queue is a heap, and in no order that may be relied on.
        for ticket, booked in reversed(self._known()):
            if booked.progress is not Progress.ENDED:
                place = "queue_running" if booked.progress is Progress.RENDERING else "queue_pending"
                listed[place].append(_as_listed(ticket, booked))
        return JSONResponse(listed)

    async def _delete(self, request: Request) -> Response:
        wanted = json.loads(await request.body()).get("delete", [])
        for ticket, booked in self._known():
            if ticket.prompt_id in wanted and booked.progress is Progress.WAITING:
                self._farm.cancel(booked)
                del self._tickets[booked.request_id]
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        try:
            named = json.loads(await request.body()).get("prompt_id")
        except ValueError:
            named = None
        if request.url.path.startswith(CHOOSES_IDS):
            named = None
        for ticket, booked in self._known():
            if booked.progress is Progress.RENDERING and named in (None, ticket.prompt_id):
                self._farm.cancel(booked)
        return Response()

    async def _history(self, request: Request) -> JSONResponse:
        ended = [(ticket, booked) for ticket, booked in self._known() if booked.ending is not None]
        newest = ended[-int(request.query_params.get("max_items", 10_000)) :]
        return JSONResponse({ticket.prompt_id: self._document(ticket, booked) for ticket, booked in newest})

    async def _entry(self, request: Request) -> ASGIApp:
        prompt_id = request.path_params["prompt_id"]
        mine = [(ticket, booked) for ticket, booked in self._known() if ticket.prompt_id == prompt_id]
        subjects = mine[-1][1].subjects if mine else (prompt_id,)
        if mine and self._faults.take("restarted", *subjects):
            for _, booked in self._known():
                self._farm.cancel(booked)
            self._tickets.clear()
            mine = []
        if self._faults.take("status_500", *subjects):
            return PlainTextResponse("500 Internal Server Error", 500)
        ended = [(ticket, booked) for ticket, booked in mine if booked.ending is not None]
        if not ended:
            return JSONResponse({})
        if self._faults.take("result_503", *subjects):
            return PlainTextResponse("busy", 503)
        document = self._document(*ended[-1])
        if self._faults.take("unknown_status", *subjects):
            document["status"]["status_str"] = "folding"
        return JSONResponse({prompt_id: document})

    async def _view(self, request: Request) -> ASGIApp:
        if request.query_params.get("type") != "output":
            return Response(status_code=404)
        return self._downloads.media(request, request.query_params.get("filename", ""))

    def _document(self, ticket: _Ticket, booked: BookedRequest) -> dict[str, Any]:
        """The history's entry of an ended request."""
        ending = booked.ending
        assert ending is not None, "only of requests that have ended"
        assert booked.ended_at is not None
        named = {"prompt_id": ticket.prompt_id}
        began = _milliseconds(booked.started_at or booked.ended_at)
        messages: list[list[Any]] = [["execution_start", named | {"timestamp": began}]]
        ended = named | {"timestamp": _milliseconds(booked.ended_at)}
        outputs: dict[str, Any] = {}
        saving = (name for name in ticket.outputs if booked.input[name]["class_type"] == "SaveVideo")
        end = next(saving, ticket.outputs[0])
        if ending.outcome is Outcome.COMPLETED:
            files = [{"filename": name, "subfolder": "", "type": "output"} for name in ending.files]
            outputs = {end: {"images": files, "animated": [True]}}
            messages.append(["execution_success", ended])
        elif ending.outcome is Outcome.CANCELED:
            messages.append(["execution_interrupted", ended | {"node_id": end, "node_type": "SaveVideo"}])
        else:
            node, kind = _culprit(booked)
            why = {"exception_message": f"{ending.reason}\n", "exception_type": "RuntimeError", "traceback": []}
            messages.append(["execution_error", ended | {"node_id": node, "node_type": kind} | why])
        completed = ending.outcome is Outcome.COMPLETED
        status = {"status_str": "success" if completed else "error", "completed": completed, "messages": messages}
        return {"prompt": _as_listed(ticket, booked), "outputs": outputs, "status": status}


class _Read:
    """A workflow as an order."""

    def __init__(self, workflow: dict[str, Any], images: dict[str, str]) -> None:
        self._workflow, self._images = workflow, images
        inputs = [node["inputs"] for node in workflow.values()]
        loaded = (str(given[name]) for given in inputs for name in _LOADED if name in given)
        self.endpoint = f"comfyui/{next(loaded, 'no-model').rpartition('/')[2]}"
        led = (self._text(given["positive"]) for given in inputs if "positive" in given)
        self.prompt = next((text for text in led if text), self._primitive())

    def order(self) -> Order:
        nodes = list(self._workflow.values())
        sized = next(node["inputs"] for node in nodes if {"width", "height"} <= set(node["inputs"]))
        frames = sized.get("length", sized.get("batch_size", 1))
        fps = next((node["inputs"]["fps"] for node in nodes if node["class_type"] == "CreateVideo"), 24)
        seeds = (node["inputs"][name] for node in nodes for name in ("seed", "noise_seed") if name in node["inputs"])
        image = next((node["inputs"]["image"] for node in nodes if node["class_type"] == "LoadImage"), None)
        return Order(
            "video",
            self.prompt,
            next(seeds, None),
            seconds=Decimal(frames) / Decimal(str(fps)),
            short_side=min(sized["width"], sized["height"]),
            aspect=(sized["width"], sized["height"]),
            start_image=self._images.get(image) if image else None,
        )

    def _text(self, link: Any) -> str:
        """The text that conditioning comes from."""
        inputs = self._workflow[link[0]]["inputs"]
        return inputs["text"] if "text" in inputs else self._text(inputs["positive"])

    def _primitive(self) -> str:
        kinds = ((node["class_type"], node["inputs"]) for node in self._workflow.values())
        return next((str(inputs["value"]) for kind, inputs in kinds if kind == "PrimitiveString"), "")


def _upstream(workflow: dict[str, Any], name: str) -> set[str]:
    """A node and all that it needs."""
    found, waiting = set[str](), [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            links = (value for value in workflow[name]["inputs"].values() if isinstance(value, list))
            waiting += [link[0] for link in links]
    return found


def _culprit(booked: BookedRequest) -> tuple[str, str]:
    """The node that is said to have failed."""
    kinds = {name: node["class_type"] for name, node in booked.input.items()}
    wanted = ("KSampler", "SamplerCustom")
    return next(((name, kind) for name, kind in kinds.items() if kind in wanted), next(iter(kinds.items())))


def _as_listed(ticket: _Ticket, booked: BookedRequest) -> list[Any]:
    return [ticket.number, ticket.prompt_id, booked.input, ticket.extra_data, ticket.outputs]


def _milliseconds(moment: str) -> int:
    return round(parse_stamp(moment).timestamp() * 1000)


def _error(kind: str, message: str, details: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _refused(kind: str, message: str, details: str, *, node_errors: dict[str, Any] | None = None) -> JSONResponse:
    return JSONResponse({"error": _error(kind, message, details), "node_errors": node_errors or {}}, 400)
