"""The wire of Kiln, a provider that does not exist: as unlike the packaged one as a real second provider might be.

It speaks to the sandbox's render farm, from outside of the package. Every call carries `X-Kiln-Token: <anything>`.

Order a piece. The idempotency key is required: the same key is the same piece, which is charged once.

    POST /kiln/v2/pieces
    X-Kiln-Token: t
    Idempotency-Key: 5f0c
    {"model": "sandbox/sprint", "text": "waves on a beach", "length_ms": 5000, "format": "portrait",
     "sound": false, "noise": 7}

    201 {"piece": 17, "state": "waiting", "charged": "0.110"}

`model` and `text` are required. `length_ms` is an integer, 5000 where it is missing. `format` is portrait, landscape
(where it is missing) or square. `sharpness` is one of the model's resolutions (`108p`), its default where missing.
`sound` is a boolean. `noise` is the integer seed. `first_frame` is the address of an image: a data URI, or an image
that the sandbox rendered. A model that is priced an image takes `model`, `text`, `format` and `noise` only.

The same key with the same body answers 200 with the piece as it stands. With another body the answer is 409.

Ask for a piece. The result comes with the status:

    GET /kiln/v2/pieces/17

    200 {"piece": 17, "state": "waiting", "charged": "0.110"}
    200 {"piece": 17, "state": "busy", "charged": "0.110"}
    200 {"piece": 17, "state": "done", "charged": "0.110", "noise": 7,
         "files": [{"address": "http://127.0.0.1:20000/media/17_0.mp4", "type": "video/mp4", "bytes": 104857}]}
    200 {"piece": 17, "state": "broken", "charged": "0.110",
         "why": {"code": "text_refused", "text": "the prompt names 'gore'"}}

`charged` is what the piece costs now, in US dollars. Codes of a broken piece, and whether it is charged:

    text_refused     the prompt was refused                    charged
    picture_refused  what was rendered was refused             charged
    frame_unusable   the first frame cannot be used            free
    kiln_cold        the model or Kiln itself failed           free
    called_off       it was canceled, rendered or not          free

Cancel a piece: `DELETE /kiln/v2/pieces/17` answers 204, or 409 `over` when the piece has ended. There is no history:
`GET /kiln/v2/pieces` answers 405.

Errors of a call, with nothing booked:

    400 {"error": {"code": "bad_field", "field": "length_ms", "text": "must be 1 to 15000"}}
    400 {"error": {"code": "no_key", "text": "..."}}
    401 {"error": {"code": "bad_token", "text": "..."}}
    404 {"error": {"code": "no_such_model", "text": "..."}}      a POST
    404 {"error": {"code": "no_such_piece", "text": "..."}}      a GET or DELETE
    409 {"error": {"code": "key_reused", "text": "..."}}
    429 {"error": {"code": "slow_down", "wait_ms": 1000, "text": "..."}}
    500 {"error": {"code": "cracked", "text": "..."}}
    503 {"error": {"code": "closed", "text": "..."}}

Faults: those of submits at the POST; `status_500` and `unknown_status` (the state `glazing`) at a GET; `result_503`
at a GET of a piece that has ended.
"""

import json
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.books import BookedRequest, Progress
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.farm import Purchase
from video_pipeline.sandbox.orders import Ending, Order, Outcome
from video_pipeline.sandbox.pricelist import PricedModel, video_size
from video_pipeline.sandbox.wires import Backend

PIECES = "/kiln/v2/pieces"
BILLED = frozenset({Outcome.REFUSED_INPUT, Outcome.REFUSED_OUTPUT})
FORMATS = {"portrait": (9, 16), "landscape": (16, 9), "square": (1, 1)}
_CODES = {
    Outcome.REFUSED_INPUT: "text_refused",
    Outcome.REFUSED_OUTPUT: "picture_refused",
    Outcome.INVALID: "frame_unusable",
    Outcome.FAILED: "kiln_cold",
    Outcome.CANCELED: "called_off",
}


class Kiln:
    """Kiln's API in front of the farm."""

    name = "kiln"

    def __init__(self, backend: Backend) -> None:
        self._farm, self._faults, self._prices = backend.farm, backend.faults, backend.prices

    def routes(self) -> list[BaseRoute]:
        return [
            Route(PIECES, self._order, methods=["POST"]),
            Route(f"{PIECES}/{{piece:int}}", self._piece, methods=["GET", "DELETE"]),
        ]

    async def _order(self, request: Request) -> ASGIApp:
        if not request.headers.get("x-kiln-token"):
            return _error(401, "bad_token", "The token is missing.")
        key = request.headers.get("idempotency-key")
        if not key:
            return _error(400, "no_key", "Idempotency-Key is required.")
        try:
            body = json.loads(await request.body())
            model, order = self._read(body)
        except _BadField as bad:
            return _error(400, "bad_field", str(bad), field=bad.field)
        except (ValueError, AttributeError, TypeError):
            return _error(400, "bad_field", "The body must be a JSON object.", field="")
        except LookupError as error:
            return _error(404, "no_such_model", f"There is no model {error}.")
        refused = await self._refused((body["model"], order.prompt))
        if refused:
            return refused
        if self._faults.take("drop_before_accept", body["model"], order.prompt):
            return Hangup(request)
        accepted = self._farm.accept(
            Purchase(
                wire=self.name,
                request_id=str(self._farm.next_number()),
                endpoint=body["model"],
                model=model,
                input=body,
                order=order,
                billed=BILLED,
                client_key=key,
            )
        )
        if accepted.answer_lost:
            return Hangup(request)
        if accepted.repeated and accepted.request.input != body:
            return _error(409, "key_reused", "The key belongs to another order.")
        return JSONResponse(self._document(accepted.request), 200 if accepted.repeated else 201)

    async def _refused(self, subjects: tuple[str, str]) -> JSONResponse | None:
        match await self._faults.at_submit(*subjects):
            case 429, retry_after_s:
                return _error(429, "slow_down", "Too many orders.", wait_ms=round(retry_after_s * 1000))
            case 503, _:
                return _error(503, "closed", "Kiln is closed.")
            case status, _:
                return _error(status, "cracked", "Something went wrong.")
            case None:
                return None

    async def _piece(self, request: Request) -> ASGIApp:
        if not request.headers.get("x-kiln-token"):
            return _error(401, "bad_token", "The token is missing.")
        number = request.path_params["piece"]
        booked = self._farm.request(str(number))
        if booked is None or booked.wire != self.name:
            return _error(404, "no_such_piece", f"There is no piece {number}.")
        if request.method == "DELETE":
            return Response(status_code=204) if self._farm.cancel(booked) else _error(409, "over", "It has ended.")
        if self._faults.take("status_500", *booked.subjects):
            return _error(500, "cracked", "Something went wrong.")
        if booked.ending and self._faults.take("result_503", *booked.subjects):
            return _error(503, "closed", "Kiln is closed.")
        document = self._document(booked)
        if self._faults.take("unknown_status", *booked.subjects):
            document["state"] = "glazing"
        return JSONResponse(document)

    def _document(self, booked: BookedRequest) -> dict[str, Any]:
        base = {"piece": int(booked.request_id), "charged": str(booked.usd)}
        if booked.ending is None:
            return base | {"state": "busy" if booked.progress is Progress.RENDERING else "waiting"}
        if booked.ending.outcome is Outcome.COMPLETED:
            return base | {"state": "done", "noise": booked.ending.seed, "files": self._files(booked.ending)}
        why = {"code": _CODES[booked.ending.outcome], "text": booked.ending.reason}
        return base | {"state": "broken", "why": why}

    def _files(self, ending: Ending) -> list[dict[str, Any]]:
        return [
            {
                "address": self._farm.media_url(name),
                "type": "video/mp4" if name.endswith(".mp4") else "image/png",
                "bytes": self._farm.media_bytes(name),
            }
            for name in ending.files
        ]

    def _read(self, body: dict[str, Any]) -> tuple[PricedModel, Order]:
        """The model and the order in a body. Raises _BadField, and LookupError for a model that is not sold."""
        name, text, noise = body.get("model"), body.get("text"), body.get("noise")
        if not isinstance(name, str) or not name:
            raise _BadField("model", "is required")
        model = self._prices.model(name)
        if model is None:
            raise LookupError(name)
        if not isinstance(text, str) or not text.strip():
            raise _BadField("text", "is required")
        if noise is not None and type(noise) is not int:
            raise _BadField("noise", "must be an integer")
        if body.get("format", "landscape") not in FORMATS:
            raise _BadField("format", f"must be one of {', '.join(FORMATS)}")
        aspect = FORMATS[body.get("format", "landscape")]
        if model.usd_per_image and not model.resolutions:
            return model, Order("image", text, noise, size=video_size(576, aspect), images=1)
        sharpness, length_ms = body.get("sharpness", model.default_resolution), body.get("length_ms", 5000)
        if sharpness not in model.resolutions:
            raise _BadField("sharpness", f"must be one of {', '.join(model.resolutions)}")
        longest_ms = int(self._prices.max_seconds * 1000)
        if type(length_ms) is not int or not 0 < length_ms <= longest_ms:
            raise _BadField("length_ms", f"must be 1 to {longest_ms}")
        order = Order(
            "video",
            text,
            noise,
            seconds=Decimal(length_ms) / 1000,
            short_side=int(sharpness.removesuffix("p")),
            aspect=aspect,
            audio=bool(body.get("sound")) and model.usd_per_s_audio is not None,
            start_image=body.get("first_frame"),
        )
        return model, order


class _BadField(Exception):
    """A field that Kiln does not take."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def _error(status: int, code: str, text: str, **more: Any) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "text": text, **more}}, status)
