"""The wire of Runway: tasks from text and from an image, in the shapes of its API reference.

Every call carries a bearer token and `X-Runway-Version`. What is at fault in a body is refused at once, with 400.
What moderation refuses is a task that fails: refused inputs cost as much as a clip, refused outputs nothing. A task
tells its `cost` once it has ended. The account renders `LIMIT` tasks at a time; those behind are THROTTLED. A waiting
task that is deleted is refunded, and a deleted one is not known any more.
"""

import json
import re
import uuid
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.books import BookedRequest, Progress
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.farm import Purchase
from video_pipeline.sandbox.orders import Cause, Ending, Order, Outcome, is_picture
from video_pipeline.sandbox.pricelist import PricedModel
from video_pipeline.sandbox.wires.protocol import Backend

BILLED = frozenset({Outcome.REFUSED_INPUT, Outcome.CANCELED})
VERSION = "2024-11-06"
LIMIT = 2
MAX_PROMPT = 1000
USD_A_CREDIT = Decimal("0.01")
_FIELDS = {
    "model",
    "promptText",
    "promptImage",
    "references",
    "ratio",
    "duration",
    "audio",
    "seed",
    "negativePrompt",
    "contentModeration",
}


class Runway:
    """Runway's API in front of the farm."""

    name = "runway"

    def __init__(self, backend: Backend) -> None:
        self._farm, self._faults, self._prices = backend.farm, backend.faults, backend.prices

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/runway/v1/{endpoint:str}", self._submit, methods=["POST"]),
            Route("/runway/v1/organization", self._organization),
            Route("/runway/v1/tasks/{task:str}", self._task, methods=["GET", "DELETE"]),
        ]

    async def _organization(self, request: Request) -> ASGIApp:
        return _unauthorized(request) or JSONResponse(
            {"creditBalance": 100_000, "tier": {"maxMonthlyCreditSpend": 1_000_000, "models": {}}}
        )

    async def _submit(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        endpoint = request.path_params["endpoint"]
        if endpoint not in ("text_to_video", "image_to_video"):
            return _error(404, "Not found")
        try:
            body = json.loads(await request.body())
            model, order = self._read(body, from_image=endpoint == "image_to_video")
        except (_Invalid, AttributeError, TypeError) as invalid:
            return _error(400, f"Validation of body failed: {invalid}")
        except ValueError:
            return _error(400, "The body is no JSON")
        subjects = (body["model"], endpoint, order.prompt)
        refused = await self._refused(subjects)
        if refused:
            return refused
        if self._faults.take("drop_before_accept", *subjects):
            return Hangup(request)
        accepted = self._farm.accept(
            Purchase(
                wire=self.name,
                request_id=str(uuid.uuid4()),
                endpoint=f"{body['model']}/{endpoint}",
                model=model,
                input=body,
                order=order,
                billed=BILLED,
            )
        )
        if accepted.answer_lost:
            return Hangup(request)
        booked = accepted.request
        return JSONResponse({"id": booked.request_id, "estimatedCost": {"credits": _credits(booked.usd)}})

    async def _refused(self, subjects: tuple[str, ...]) -> JSONResponse | None:
        match await self._faults.at_submit(*subjects):
            case 429, retry_after_s:
                headers = {"Retry-After": f"{retry_after_s:g}"}
                return _error(429, "You have reached the daily task limit for this model", headers)
            case status, _:
                return _error(status, "The service is overloaded" if status == 503 else "An error has occurred")
            case None:
                return None

    async def _task(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        booked = self._farm.request(request.path_params["task"])
        ended = booked.ending if booked else None
        deleted = ended is not None and ended.outcome is Outcome.CANCELED
        if booked is None or booked.wire != self.name or deleted:
            return _error(404, "Task not found")
        if request.method == "DELETE":
            # What has ended already is deleted, too, which nobody needs here.
            self._farm.cancel(booked)
            return Response(status_code=204)
        if self._faults.take("status_500", *booked.subjects):
            return _error(500, "An error has occurred")
        if booked.ending and self._faults.take("result_503", *booked.subjects):
            return _error(503, "The service is overloaded")
        document = self._document(booked)
        if self._faults.take("unknown_status", *booked.subjects):
            document["status"] = "DEVELOPING"
        return JSONResponse(document)

    def _document(self, booked: BookedRequest) -> dict[str, Any]:
        document: dict[str, Any] = {"id": booked.request_id, "createdAt": booked.accepted_at}
        if booked.ending is None:
            if booked.progress is Progress.RENDERING:
                return document | {"status": "RUNNING", "progress": 0.5}
            return document | {"status": "THROTTLED" if self._is_behind(booked) else "PENDING"}
        document["cost"] = {"credits": _credits(booked.usd)}
        if booked.ending.outcome is Outcome.COMPLETED:
            output = [self._farm.media_url(name) for name in booked.ending.files]
            return document | {"status": "SUCCEEDED", "output": output}
        return document | {"status": "FAILED", "failure": booked.ending.reason, "failureCode": _code(booked.ending)}

    def _is_behind(self, booked: BookedRequest) -> bool:
        """Whether the account renders as many others as it may."""
        others = self._farm.requests([self.name])
        return sum(other.progress is Progress.RENDERING for other in others) >= LIMIT

    def _read(self, body: dict[str, Any], *, from_image: bool) -> tuple[PricedModel, Order]:
        """The model and the order in a body. Raises _Invalid."""
        unknown = set(body) - _FIELDS
        if unknown:
            raise _Invalid(f"unrecognized keys {', '.join(sorted(unknown))}")
        prompt, name, seed = body.get("promptText"), body.get("model"), body.get("seed")
        model = self._prices.model(name) if isinstance(name, str) else None
        if model is None or not model.resolutions:
            raise _Invalid("model")
        if not isinstance(prompt, str) or not 1 <= len(prompt) <= MAX_PROMPT:
            raise _Invalid(f"promptText must have 1 to {MAX_PROMPT} characters")
        if seed is not None and (type(seed) is not int or not 0 <= seed < 2**32):
            raise _Invalid("seed must be from 0 to 4294967295")
        duration = body.get("duration")
        if type(duration) is not int or not 0 < duration <= self._prices.max_seconds:
            raise _Invalid("duration must be a whole number of seconds")
        pixels = re.fullmatch(r"(\d{2,4}):(\d{2,4})", str(body.get("ratio")))
        if pixels is None or f"{min(map(int, pixels.groups()))}p" not in model.resolutions:
            raise _Invalid("ratio is none of this model")
        image = body.get("promptImage")
        if (image is not None) is not from_image or not isinstance(image, str | None):
            raise _Invalid("promptImage")
        shown = [one.get("uri") for one in body.get("references", ())]
        if (shown and from_image) or not all(map(is_picture, shown)):
            raise _Invalid("references")
        width, height = map(int, pixels.groups())
        order = Order(
            "video",
            prompt,
            seed,
            seconds=Decimal(duration),
            short_side=min(width, height),
            aspect=(width, height),
            audio=bool(body.get("audio")) and model.usd_per_s_audio is not None,
            start_image=image,
        )
        return model, order


class _Invalid(Exception):
    """A field that the model does not take."""


def _code(ending: Ending) -> str:
    match ending.outcome:
        case Outcome.REFUSED_INPUT:
            return "SAFETY.INPUT.IMAGE" if ending.cause is Cause.IMAGE_REFUSED else "SAFETY.INPUT.TEXT"
        case Outcome.REFUSED_OUTPUT:
            return "SAFETY.OUTPUT.VIDEO"
        case Outcome.INVALID:
            return "ASSET.INVALID"
        case _:
            return "INTERNAL.BAD_OUTPUT.CODE01" if ending.cause is Cause.MODEL else "INTERNAL"


def _credits(usd: Decimal) -> float:
    return float(usd / USD_A_CREDIT)


def _unauthorized(request: Request) -> JSONResponse | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token.strip():
        return _error(401, "API key is missing or not valid")
    if request.headers.get("x-runway-version") != VERSION:
        return _error(400, "X-Runway-Version is missing or names a version that there is not")
    return None


def _error(status: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": words}, status, headers=headers)
