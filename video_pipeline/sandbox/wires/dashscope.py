"""The wire of DashScope: tasks of its video models, their status, their list and their cancellation.

Every call carries a bearer token, and a submit `X-DashScope-Async: enable`. What is at fault in a body is refused at
once. A prompt that names `EARLY` is, too, as moderation may do it: with HTTP 200, and nothing is booked. What else
moderation refuses is a task that fails. Refusals and failures cost nothing. An id that there never was has the status
UNKNOWN. The list tells no prompts; a task that has succeeded does.
"""

import json
import uuid
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.books import BookedRequest, Progress, parse_stamp
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.farm import Purchase
from video_pipeline.sandbox.orders import Cause, Ending, Order, Outcome, is_picture
from video_pipeline.sandbox.pricelist import PricedModel
from video_pipeline.sandbox.wires.protocol import Backend

ROOT = "/dashscope/api/v1"
EARLY = "gore"
"""A prompt with this word is refused at the submit, with HTTP 200."""
MAX_PAGE = 100
RATIOS = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1), "4:3": (4, 3), "3:4": (3, 4)}
_STATUSES = {Progress.WAITING: "PENDING", Progress.RENDERING: "RUNNING"}


class DashScope:
    """DashScope's API in front of the farm."""

    name = "dashscope"

    def __init__(self, backend: Backend) -> None:
        self._farm, self._faults, self._prices = backend.farm, backend.faults, backend.prices

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{ROOT}/services/aigc/video-generation/video-synthesis", self._submit, methods=["POST"]),
            Route(f"{ROOT}/tasks/", self._list),
            Route(f"{ROOT}/tasks/{{task:str}}", self._task),
            Route(f"{ROOT}/tasks/{{task:str}}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _submit(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        if request.headers.get("x-dashscope-async") != "enable":
            return _error(403, "AccessDenied", "current user api does not support synchronous calls.")
        try:
            body = json.loads(await request.body())
            model, order = self._read(body)
        except _Invalid as invalid:
            return _error(400, "InvalidParameter", str(invalid))
        except LookupError:
            return _error(404, "Model.NotExist", "The model does not exist.")
        except (ValueError, AttributeError, TypeError):
            return _error(400, "InvalidParameter", "Required body invalid, please check the request body format.")
        subjects = (body["model"], order.prompt)
        if EARLY in order.prompt.lower().split():
            return _error(200, "DataInspectionFailed", "Input data may contain inappropriate content.")
        refused = await self._refused(subjects)
        if refused:
            return refused
        if self._faults.take("drop_before_accept", *subjects):
            return Hangup(request)
        accepted = self._farm.accept(
            Purchase(
                wire=self.name,
                request_id=str(uuid.uuid4()),
                endpoint=body["model"],
                model=model,
                input=body,
                order=order,
                billed=frozenset(),
            )
        )
        if accepted.answer_lost:
            return Hangup(request)
        return _answer({"output": {"task_id": accepted.request.request_id, "task_status": "PENDING"}})

    async def _refused(self, subjects: tuple[str, ...]) -> JSONResponse | None:
        match await self._faults.at_submit(*subjects):
            case 429, retry_after_s:
                headers = {"Retry-After": f"{retry_after_s:g}"}
                return _error(429, "Throttling.RateQuota", "Requests rate limit exceeded.", headers)
            case status, _:
                code = "ServiceUnavailable" if status == 503 else "InternalError"
                return _error(status, code, "An internal error has occurred.")
            case None:
                return None

    async def _task(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        task_id = request.path_params["task"]
        booked = self._farm.request(task_id)
        if booked is None or booked.wire != self.name:
            return _answer({"output": {"task_id": task_id, "task_status": "UNKNOWN"}})
        if self._faults.take("status_500", *booked.subjects):
            return _error(500, "InternalError", "An internal error has occurred.")
        if booked.ending and self._faults.take("result_503", *booked.subjects):
            return _error(503, "ServiceUnavailable", "The service is not available.")
        document = self._document(booked)
        if self._faults.take("unknown_status", *booked.subjects):
            document["output"]["task_status"] = "DREAMING"
        return _answer(document)

    async def _cancel(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        booked = self._farm.request(request.path_params["task"])
        if booked is None or booked.wire != self.name or booked.progress is not Progress.WAITING:
            said = "Failed to cancel the task, please confirm if the task is in PENDING status."
            return _error(400, "UnsupportedOperation", said)
        self._farm.cancel(booked)
        return _answer({})

    async def _list(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        query = request.query_params
        model, size = query.get("model_name", ""), min(int(query.get("page_size", 10)), MAX_PAGE)
        if self._faults.take("listing_503", model):
            return _error(503, "ServiceUnavailable", "The service is not available.")
        number = int(query.get("page_no", 1))
        found = self._farm.listed([self.name], model, start="", end="9999", limit=10_000, offset=0)
        page = found[(number - 1) * size : number * size]
        return _answer(
            {
                "total": len(found),
                "data": [self._listed(booked) for booked in page],
                "page_no": number,
                "page_size": size,
                "total_page": -(-len(found) // size),
            }
        )

    def _listed(self, booked: BookedRequest) -> dict[str, Any]:
        return {
            "task_id": booked.request_id,
            "model_name": booked.endpoint,
            "status": self._status(booked),
            "gmt_create": round(parse_stamp(booked.accepted_at).timestamp() * 1000),
        }

    def _status(self, booked: BookedRequest) -> str:
        if booked.ending is None:
            return _STATUSES[booked.progress]
        ended = {Outcome.COMPLETED: "SUCCEEDED", Outcome.CANCELED: "CANCELED"}
        return ended.get(booked.ending.outcome, "FAILED")

    def _document(self, booked: BookedRequest) -> dict[str, Any]:
        output: dict[str, Any] = {
            "task_id": booked.request_id,
            "task_status": self._status(booked),
            "submit_time": booked.accepted_at,
        }
        if booked.ending is None:
            return {"output": output}
        if booked.ending.outcome is Outcome.COMPLETED:
            [name] = booked.ending.files
            output |= {"video_url": self._farm.media_url(name), "orig_prompt": booked.prompt}
            seconds = float(booked.order.seconds)
            usage = {"duration": seconds, "output_video_duration": seconds, "video_count": 1}
            return {"output": output, "usage": usage | {"SR": booked.order.short_side}}
        code, message = _reason(booked.ending)
        return {"output": output | {"code": code, "message": message}}

    def _read(self, body: dict[str, Any]) -> tuple[PricedModel, Order]:
        """The model and the order in a body. Raises _Invalid, and LookupError for a model that is not sold."""
        name = body.get("model")
        model = self._prices.model(name) if isinstance(name, str) else None
        if model is None or not model.resolutions:
            raise LookupError(name)
        given, parameters = body.get("input", {}), body.get("parameters", {})
        prompt, media = given.get("prompt"), given.get("media", [])
        frames = [item for item in media if item.get("type") == "first_frame"]
        shown = [item.get("url") for item in media if item.get("type") == "reference_image"]
        if len(frames) + len(shown) != len(media) or len(frames) > 1 or not all(map(is_picture, shown)):
            raise _Invalid("input.media takes one first_frame, or reference images")
        # Only of wan3 one model has all modes.
        if "2v" in str(name) and bool(shown) is not str(name).endswith("-r2v"):
            raise _Invalid("input.media does not suit the model")
        if not isinstance(prompt, str) or not prompt.strip():
            raise _Invalid("input.prompt is required")
        seconds, seed = parameters.get("duration", 5), parameters.get("seed")
        if type(seconds) is not int or not 0 < seconds <= self._prices.max_seconds:
            raise _Invalid("parameters.duration must be a whole number of seconds")
        if seed is not None and (type(seed) is not int or not 0 <= seed < 2**31):
            raise _Invalid("parameters.seed must be from 0 to 2147483647")
        size = str(parameters.get("resolution", model.default_resolution.upper()))
        if size.lower() not in model.resolutions or size != size.upper():
            raise _Invalid("parameters.resolution is none of this model")
        ratio = parameters.get("ratio", "16:9")
        if ratio not in RATIOS:
            raise _Invalid("parameters.ratio is none of this model")
        order = Order(
            "video",
            prompt,
            seed,
            seconds=Decimal(seconds),
            short_side=int(size.removesuffix("P")),
            aspect=None if frames else RATIOS[ratio],
            audio=bool(parameters.get("audio")) and model.usd_per_s_audio is not None,
            start_image=frames[0]["url"] if frames else None,
        )
        return model, order


class _Invalid(Exception):
    """A parameter that the model does not take."""


def _reason(ending: Ending) -> tuple[str, str]:
    """Code and message of a task that has failed."""
    match ending.outcome:
        case Outcome.REFUSED_INPUT:
            return "DataInspectionFailed", f"Input data may contain inappropriate content: {ending.reason}"
        case Outcome.REFUSED_OUTPUT:
            return "DataInspectionFailed", "Output data may contain inappropriate content."
        case Outcome.INVALID:
            return "InvalidParameter.DataInspection", f"Unable to read the media resource: {ending.reason}"
        case Outcome.CANCELED:
            return "Canceled", "The task was canceled."
        case _:
            return ("InternalError.Algo" if ending.cause is Cause.MODEL else "InternalError"), ending.reason


def _unauthorized(request: Request) -> JSONResponse | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token.strip():
        return _error(401, "InvalidApiKey", "Invalid API-key provided.")
    return None


def _answer(document: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"request_id": str(uuid.uuid4())} | document)


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    document = {"code": code, "message": message, "request_id": str(uuid.uuid4())}
    return JSONResponse(document, status, headers=headers)
