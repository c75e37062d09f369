"""The wire of HeyGen, version 3: an avatar says a script with a voice.

A field that it does not know, an engine, an avatar or a voice that there is not, and a script that is too long are
refused at once. How long a video is follows from its script and its voice, is told when it is done, and is what is
billed. What moderation refuses fails later, for nothing, and is told by its words only. The same `Idempotency-Key` is
the same video.
"""

import hashlib
import json
import re
import uuid
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.books import BookedRequest, Progress
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.farm import Purchase
from video_pipeline.sandbox.orders import Ending, Order, Outcome
from video_pipeline.sandbox.pricelist import PricedModel
from video_pipeline.sandbox.wires.protocol import Backend

ENGINES = ("avatar_iii", "avatar_iv", "avatar_v")
SIZES = {"720p": 720, "1080p": 1080, "4k": 2160}
RATIOS = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1), "4:5": (4, 5), "5:4": (5, 4)}
FIELDS = frozenset(
    {
        *("type", "avatar_id", "script", "voice_id", "voice_settings", "resolution", "aspect_ratio", "engine"),
        *("expressiveness", "motion_prompt", "output_format", "fit", "title", "callback_url"),
    }
)
MAX_SCRIPT = 5000
UNKNOWN = "unknown"
"""How the ids of avatars and voices begin that nobody has."""
_STATUSES = {Progress.WAITING: "waiting", Progress.RENDERING: "processing"}
_SIGN = re.compile("[぀-ヿ㐀-䶿一-鿿]")
_STEP_S = Decimal("0.25")


class HeyGen:
    """HeyGen's API in front of the farm. Only what it completes is billed."""

    name = "heygen"

    def __init__(self, backend: Backend) -> None:
        self._farm, self._faults, self._prices = backend.farm, backend.faults, backend.prices

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/heygen/v3/users/me", self._account),
            Route("/heygen/v3/videos", self._submit, methods=["POST"]),
            Route("/heygen/v3/videos/{video:str}", self._video),
        ]

    async def _account(self, request: Request) -> ASGIApp:
        return _unauthorized(request) or JSONResponse({"data": {"username": "sandbox"}})

    async def _submit(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _error(400, "invalid_parameter", "The body is not valid JSON.")
        engine, script = _engine(body), str(body.get("script"))
        refused = await self._refused((engine, script))
        if refused:
            return refused
        model = self._prices.model(engine)
        if model is None or not (engine in ENGINES or engine.startswith("sandbox/")):
            return _error(400, "invalid_parameter", "engine.type: Input is none of those that there are")
        wrong = _wrong(body, model)
        if wrong:
            return _error(*wrong)
        if self._faults.take("drop_before_accept", engine, script):
            return Hangup(request)
        accepted = self._farm.accept(
            Purchase(
                wire=self.name,
                request_id=uuid.uuid4().hex,
                endpoint=f"{engine}/videos",
                model=model,
                input=body,
                order=_order(body, model),
                billed=frozenset(),
                client_key=request.headers.get("idempotency-key"),
            )
        )
        if accepted.answer_lost:
            return Hangup(request)
        return JSONResponse({"data": {"video_id": accepted.request.request_id, "status": "waiting"}})

    async def _refused(self, subjects: tuple[str, ...]) -> JSONResponse | None:
        match await self._faults.at_submit(*subjects):
            case 429, retry_after_s:
                headers = {"Retry-After": f"{retry_after_s:g}"}
                return _error(429, "rate_limit_exceeded", "Too many concurrent video jobs.", headers)
            case status, _:
                code = "service_unavailable" if status == 503 else "internal_error"
                return _error(status, code, "Something went wrong on our end.")
            case None:
                return None

    async def _video(self, request: Request) -> ASGIApp:
        refused = _unauthorized(request)
        if refused:
            return refused
        booked = self._farm.request(request.path_params["video"])
        if booked is None or booked.wire != self.name:
            return _error(404, "video_not_found", "Video not found.")
        if self._faults.take("status_500", *booked.subjects):
            return _error(500, "internal_error", "Something went wrong on our end.")
        if booked.ending and self._faults.take("result_503", *booked.subjects):
            return _error(503, "service_unavailable", "Something went wrong on our end.")
        if self._faults.take("unknown_status", *booked.subjects):
            return JSONResponse({"data": {"id": booked.request_id, "status": "dreaming"}})
        document: dict[str, Any] = {"id": booked.request_id, "video_url": None, "duration": None}
        if booked.ending is None:
            return JSONResponse({"data": document | {"status": _STATUSES[booked.progress]}})
        return JSONResponse({"data": document | self._ended(booked, booked.ending)})

    def _ended(self, booked: BookedRequest, ending: Ending) -> dict[str, Any]:
        if ending.outcome is Outcome.COMPLETED:
            url = self._farm.media_url(ending.files[0])
            return {"status": "completed", "video_url": url, "duration": float(booked.order.seconds)}
        if ending.outcome in (Outcome.REFUSED_INPUT, Outcome.REFUSED_OUTPUT):
            what = "script" if ending.outcome is Outcome.REFUSED_INPUT else "video"
            message = f"The {what} does not meet our content policy: {ending.reason}"
            return {"status": "failed", "failure_code": "render_failed", "failure_message": message}
        return {"status": "failed", "failure_code": "render_failed", "failure_message": ending.reason}


def _engine(body: dict[str, Any]) -> str:
    engine = body.get("engine", {})
    return str(engine.get("type", "avatar_iv")) if isinstance(engine, dict) else ""


def _wrong(body: dict[str, Any], model: PricedModel) -> tuple[int, str, str] | None:
    """Why a body is refused: HTTP status, code and words; None when it is not."""
    script, resolution = body.get("script"), body.get("resolution", "1080p")
    for name in body:
        if name not in FIELDS:
            return 400, "invalid_parameter", f"{name}: Extra inputs are not permitted"
    if body.get("type") != "avatar":
        return 400, "invalid_parameter", "type: Input should be 'avatar' or 'image'"
    if not isinstance(script, str) or not script.strip() or len(script) > MAX_SCRIPT:
        return 400, "invalid_parameter", f"script: String should have from 1 to {MAX_SCRIPT} characters"
    for field in ("avatar_id", "voice_id"):
        name = body.get(field)
        if not isinstance(name, str) or not name:
            return 400, "invalid_parameter", f"{field}: Field required"
        if name.startswith(UNKNOWN):
            what = field.removesuffix("_id")
            return 404, f"{what}_not_found", f"{what.title()} {name} not found or no longer available."
    if resolution not in SIZES and resolution not in model.resolutions:
        return 400, "invalid_parameter", "resolution: Input should be '720p', '1080p' or '4k'"
    if body.get("aspect_ratio", "16:9") not in RATIOS:
        return 400, "invalid_parameter", "aspect_ratio: Input is none of those that there are"
    return None


def _order(body: dict[str, Any], model: PricedModel) -> Order:
    resolution = body.get("resolution", "1080p")
    return Order(
        "video",
        body["script"],
        None,
        seconds=_said_s(body["script"], body["voice_id"]),
        short_side=SIZES.get(resolution) or int(resolution.removesuffix("p")),
        aspect=RATIOS[body.get("aspect_ratio", "16:9")],
        audio=True,
        shows=f"portrait of the presenter {body['avatar_id']}. {body.get('motion_prompt', '')}",
    )


def _said_s(script: str, voice: str) -> Decimal:
    """How long a voice takes for a script: each has its own pace, and says the same alike."""
    signs = len(_SIGN.findall(script))
    words = len(_SIGN.sub(" ", script).split())
    pace = 0.92 + 0.16 * hashlib.sha256(f"{voice}\n{script}".encode()).digest()[0] / 255
    steps = round((words / 2.4 + signs / 3.8) * pace / float(_STEP_S))
    return max(Decimal(1), steps * _STEP_S)


def _unauthorized(request: Request) -> JSONResponse | None:
    if request.headers.get("x-api-key", "").strip():
        return None
    return _error(401, "unauthorized", "The API key provided is invalid, expired, or missing.")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=headers)
