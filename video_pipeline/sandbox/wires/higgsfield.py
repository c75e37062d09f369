"""The wire of Higgsfield: one queue for many models, in the shapes of its API reference.

A body is read as fal's models read theirs, and one that is at fault is refused at once; so is one with a field that
nobody knows. `nsfw` is a refused input or output, and like a failure it costs nothing. The same `Idempotency-Key` is
the same request, and another body under it a 422. What a request would cost is told for nothing.
"""

import json
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
from video_pipeline.sandbox.orders import InvalidOrder, Order, Outcome
from video_pipeline.sandbox.pricelist import PricedModel
from video_pipeline.sandbox.wires.fal import order_of
from video_pipeline.sandbox.wires.protocol import Backend

FIELDS = frozenset(
    {"prompt", "negative_prompt", "image_url", "aspect_ratio", "resolution", "duration", "seed", "generate_audio"}
)
USD_A_CREDIT = Decimal("0.0625")
_STATUSES = {Progress.WAITING: "queued", Progress.RENDERING: "in_progress"}
_ENDINGS = {
    Outcome.COMPLETED: "completed",
    Outcome.REFUSED_INPUT: "nsfw",
    Outcome.REFUSED_OUTPUT: "nsfw",
    Outcome.CANCELED: "canceled",
}


class Higgsfield:
    """Higgsfield's API in front of the farm. Only what it completes is billed."""

    name = "higgsfield"

    def __init__(self, backend: Backend) -> None:
        self._farm, self._faults, self._prices = backend.farm, backend.faults, backend.prices
        self._base = f"{backend.base_url}/higgsfield"

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/higgsfield/models", self._models),
            Route("/higgsfield/requests/{request:str}/status", self._status),
            Route("/higgsfield/requests/{request:str}/cancel", self._cancel, methods=["POST"]),
            Route("/higgsfield/estimate/{endpoint:path}", self._estimate, methods=["POST"]),
            Route("/higgsfield/{endpoint:path}", self._submit, methods=["POST"]),
        ]

    async def _models(self, request: Request) -> ASGIApp:
        return _unauthorized(request) or JSONResponse({"items": []})

    async def _estimate(self, request: Request) -> ASGIApp:
        read = await self._read(request)
        if not isinstance(read, tuple):
            return read
        model, order, _ = read
        usd = model.usd(order)
        return JSONResponse({"type": "estimate", "usd": f"{usd:.3f}", "credits": f"{usd / USD_A_CREDIT:.3f}"})

    async def _submit(self, request: Request) -> ASGIApp:
        read = await self._read(request)
        if not isinstance(read, tuple):
            return read
        model, order, body = read
        endpoint = request.path_params["endpoint"]
        refused = await self._refused((endpoint, order.prompt))
        if refused:
            return refused
        if self._faults.take("drop_before_accept", endpoint, order.prompt):
            return Hangup(request)
        accepted = self._farm.accept(
            Purchase(
                wire=self.name,
                request_id=str(uuid.uuid4()),
                endpoint=endpoint,
                model=model,
                input=body,
                order=order,
                billed=frozenset(),
                client_key=request.headers.get("idempotency-key"),
            )
        )
        if accepted.answer_lost:
            return Hangup(request)
        booked = accepted.request
        if accepted.repeated and (booked.input, booked.endpoint) != (body, endpoint):
            return _error(422, "The Idempotency-Key was used with different request parameters")
        return JSONResponse(self._document(booked))

    async def _read(self, request: Request) -> tuple[PricedModel, Order, dict[str, Any]] | JSONResponse:
        """The model, the order and the body of a call; or the answer to one that is at fault."""
        refused = _unauthorized(request)
        if refused:
            return refused
        endpoint = request.path_params["endpoint"]
        model = self._prices.model(endpoint)
        if model is None or not model.resolutions or len(endpoint.split("/")) < 2:
            return _error(404, "Model not found")
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _error(422, "The body must be a JSON object")
        unknown = sorted(set(body) - FIELDS)
        if unknown:
            details = [{"loc": ["body", name], "msg": "Extra inputs are not permitted"} for name in unknown]
            return JSONResponse({"detail": [detail | {"type": "extra_forbidden"} for detail in details]}, 422)
        order = order_of(endpoint, model, body, max_seconds=self._prices.max_seconds)
        if isinstance(order, InvalidOrder):
            return JSONResponse(order.answer["body"], order.answer["http_status"])
        return model, order, body

    async def _refused(self, subjects: tuple[str, ...]) -> JSONResponse | None:
        match await self._faults.at_submit(*subjects):
            case 429, _:
                return _error(400, "Maximum number of concurrent requests (4) has been reached")
            case status, _:
                return _error(status, "The model is not ready" if status == 503 else "Internal Server Error")
            case None:
                return None

    async def _status(self, request: Request) -> ASGIApp:
        booked = self._booked(request)
        if isinstance(booked, JSONResponse):
            return booked
        if self._faults.take("status_500", *booked.subjects):
            return _error(500, "Internal Server Error")
        if booked.ending and self._faults.take("result_503", *booked.subjects):
            return _error(503, "Service Unavailable")
        document = self._document(booked)
        if self._faults.take("unknown_status", *booked.subjects):
            document["status"] = "warming_up"
        return JSONResponse(document)

    async def _cancel(self, request: Request) -> ASGIApp:
        booked = self._booked(request)
        if isinstance(booked, JSONResponse):
            return booked
        if booked.progress is not Progress.WAITING or not self._farm.cancel(booked):
            return _error(400, "Only queued requests can be canceled")
        return Response(status_code=202)

    def _booked(self, request: Request) -> BookedRequest | JSONResponse:
        refused = _unauthorized(request)
        if refused:
            return refused
        booked = self._farm.request(request.path_params["request"])
        return booked if booked and booked.wire == self.name else _error(404, "Request not found")

    def _document(self, booked: BookedRequest) -> dict[str, Any]:
        base = f"{self._base}/requests/{booked.request_id}"
        document: dict[str, Any] = {
            "status": _STATUSES.get(booked.progress, "failed"),
            "request_id": booked.request_id,
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
        }
        if booked.ending is None:
            return document
        document["status"] = _ENDINGS.get(booked.ending.outcome, "failed")
        if booked.ending.outcome is Outcome.COMPLETED:
            return document | {"video": {"url": self._farm.media_url(booked.ending.files[0])}}
        return document | {"error": booked.ending.reason}


def _unauthorized(request: Request) -> JSONResponse | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key_id, _, secret = key.partition(":")
    return None if scheme == "Key" and key_id.strip() and secret.strip() else _error(401, "Invalid credentials")


def _error(status: int, words: str) -> JSONResponse:
    return JSONResponse({"detail": words}, status)
