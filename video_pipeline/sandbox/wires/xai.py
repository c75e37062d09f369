"""The wire of xAI's Grok Imagine: videos from text and from an image.

What is at fault in a body is accepted, and fails later with `invalid_argument`, for nothing; so does what moderation
refuses in the input, at the price of a clip. A refused output is HTTP 400 when it is asked for, and billed, too.
Keys, models that there are not, and limits are answered at once; so is a prompt that names `EARLY`, as moderation may
do it: it is refused, and billed as well. While a request waits, the answer is 202 without a body. A clip from an
image has the image's shape.
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
from video_pipeline.sandbox.orders import Cause, Ending, InvalidOrder, Order, Outcome, is_picture
from video_pipeline.sandbox.pricelist import PricedModel
from video_pipeline.sandbox.wires.protocol import Backend

BILLED = frozenset({Outcome.REFUSED_INPUT, Outcome.REFUSED_OUTPUT})
RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9", "5:2")
MAX_PROMPT = 4096
MAX_REFERENCES = 7
DEFAULT_SECONDS = 8
EARLY = "gore"
"""A prompt with this word is refused at the submit, and billed."""
TICKS_A_USD = 10_000_000_000


class Xai:
    """xAI's API in front of the farm."""

    name = "xai"

    def __init__(self, backend: Backend) -> None:
        self._farm, self._faults, self._prices = backend.farm, backend.faults, backend.prices

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/xai/v1/models", self._models),
            Route("/xai/v1/videos/generations", self._submit, methods=["POST"]),
            Route("/xai/v1/videos/{video:str}", self._video),
        ]

    async def _models(self, request: Request) -> ASGIApp:
        return _unauthorized(request) or JSONResponse({"object": "list", "data": []})

    async def _submit(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return Response("Failed to deserialize the JSON body into the target type", 422)
        name = str(body.get("model"))
        model = self._prices.model(name)
        if model is None or not model.resolutions:
            return _error(404, "not-found", f"The model {name} does not exist or your team has no access to it.")
        prompt = str(body.get("prompt", ""))
        refused = await self._refused((name, prompt))
        if refused:
            return refused
        if self._faults.take("drop_before_accept", name, prompt):
            return Hangup(request)
        accepted = self._farm.accept(
            Purchase(
                wire=self.name,
                request_id=str(uuid.uuid4()),
                endpoint=f"{name}/generations",
                model=model,
                input=body,
                order=self._order(body, model),
                billed=BILLED,
            )
        )
        if accepted.answer_lost:
            return Hangup(request)
        if EARLY in prompt.lower().split():
            return _moderated("Prompt", accepted.request)
        return JSONResponse({"request_id": accepted.request.request_id})

    async def _refused(self, subjects: tuple[str, ...]) -> JSONResponse | None:
        match await self._faults.at_submit(*subjects):
            case 429, retry_after_s:
                headers = {"Retry-After": f"{retry_after_s:g}"}
                return _error(429, "resource-exhausted", "Too many requests for this model.", headers)
            case status, _:
                code = "unavailable" if status == 503 else "internal"
                return _error(status, code, "The service is having trouble.")
            case None:
                return None

    async def _video(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        booked = self._farm.request(request.path_params["video"])
        if booked is None or booked.wire != self.name:
            return _error(404, "not-found", "The requested resource was not found.")
        if self._faults.take("status_500", *booked.subjects):
            return _error(500, "internal", "The service is having trouble.")
        if booked.ending and self._faults.take("result_503", *booked.subjects):
            return _error(503, "unavailable", "The service is having trouble.")
        if self._faults.take("unknown_status", *booked.subjects):
            return JSONResponse({"status": "dreaming"})
        if booked.ending is None:
            if booked.progress is Progress.WAITING:
                return Response(status_code=202)
            return JSONResponse({"status": "pending", "progress": 50})
        return self._ended(booked, booked.ending)

    def _ended(self, booked: BookedRequest, ending: Ending) -> JSONResponse:
        usage = _usage(booked)
        if ending.outcome is Outcome.COMPLETED:
            video = {
                "url": self._farm.media_url(ending.files[0]),
                "duration": float(booked.order.seconds),
                "respect_moderation": True,
            }
            return JSONResponse({"status": "done", "video": video, "model": booked.input["model"], "usage": usage})
        if ending.outcome is Outcome.REFUSED_OUTPUT:
            return _moderated("Generated video", booked)
        code, message = "internal_error", ending.reason
        if ending.outcome is Outcome.REFUSED_INPUT:
            what = "image" if ending.cause is Cause.IMAGE_REFUSED else "prompt"
            code, message = "invalid_argument", f"The {what} was blocked by content moderation: {ending.reason}"
        elif ending.outcome is Outcome.INVALID:
            code = "invalid_argument"
        return JSONResponse({"status": "failed", "error": {"code": code, "message": message}, "usage": usage})

    def _order(self, body: dict[str, Any], model: PricedModel) -> Order | InvalidOrder:
        """The order in a body; what xAI does not know in it is left alone."""
        prompt, image = body.get("prompt"), body.get("image")
        resolution, seconds = body.get("resolution", "480p"), body.get("duration", DEFAULT_SECONDS)
        ratio = body.get("aspect_ratio", "16:9")
        address = image.get("url") if isinstance(image, dict) else None
        shown = [one.get("url") for one in body.get("reference_images") or ()]
        wrong = ""
        if not isinstance(prompt, str) or not prompt.strip():
            wrong = "Prompt cannot be empty. Please provide a prompt."
        elif len(prompt) > MAX_PROMPT:
            wrong = f"Prompt is longer than {MAX_PROMPT} characters."
        elif resolution not in model.resolutions:
            wrong = "The resolution is not supported for this model."
        elif type(seconds) is not int or not 1 <= seconds <= self._prices.max_seconds:
            wrong = f"Duration must be from 1 to {self._prices.max_seconds} seconds."
        elif image is None and ratio not in RATIOS:
            wrong = "The aspect ratio is not supported."
        elif image is not None and not isinstance(address, str):
            wrong = "The image has no url."
        elif len(shown) > MAX_REFERENCES or not all(map(is_picture, shown)):
            wrong = f"Up to {MAX_REFERENCES} reference images are taken, each with a url."
        elif shown and image is not None:
            wrong = "Reference images cannot be combined with an image."
        if wrong:
            return InvalidOrder(str(prompt or ""), wrong)
        wide, high = map(int, re.findall(r"\d+", ratio))
        return Order(
            "video",
            prompt if isinstance(prompt, str) else "",
            None,
            seconds=Decimal(seconds),
            short_side=int(resolution.removesuffix("p")),
            aspect=None if address else (wide, high),
            audio=body.get("generate_audio", True) is not False and model.usd_per_s_audio is not None,
            start_image=address,
        )


def _unauthorized(request: Request) -> JSONResponse | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme == "Bearer" and key.strip():
        return None
    return _error(401, "unauthenticated:bad-credentials", "The API key is missing or not valid.")


def _usage(booked: BookedRequest) -> dict[str, int]:
    return {"cost_in_usd_ticks": int(booked.usd * TICKS_A_USD)}


def _moderated(what: str, booked: BookedRequest) -> JSONResponse:
    error = f"{what} rejected by content moderation."
    return JSONResponse({"code": "imagine:content-moderated", "error": error, "usage": _usage(booked)}, 400)


def _error(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"code": code, "error": words}, status, headers=headers)
