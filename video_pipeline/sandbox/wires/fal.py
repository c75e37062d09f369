"""The wire of fal: queue API, webhooks, request listing, billing events, and how arguments become an order.

Shapes follow the queue API of fal (https://fal.ai/docs/documentation/model-apis) and the types of its SDK. A request
at fault is accepted all the same. What is wrong with it comes out at the result, as a list of pydantic details.
"""

import base64
import hashlib
import json
import re
import time
import uuid
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.books import BookedRequest, Progress, now, parse_stamp, stamp
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.farm import Purchase
from video_pipeline.sandbox.orders import Cause, Ending, InvalidOrder, Order, Outcome, is_picture
from video_pipeline.sandbox.pricelist import GENERIC, PricedModel, video_size
from video_pipeline.sandbox.wires.protocol import Backend

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BILLED = frozenset({Outcome.REFUSED_OUTPUT, Outcome.CANCELED})
ACCOUNT = "sandbox"
DEFAULT_LIMIT, MAX_LIMIT = 50, 1000
ADMIN = "admin"
"""What a key that may read the account's billing begins with; any other may buy."""
BILLING_LAG_S = 0.3
"""The billing is never up to date."""
LONGEST_BILLING = timedelta(days=90)
MAX_BILLED = 10_000
DEFAULT_SECONDS = Decimal(5)
DEFAULT_FPS = 16
DEFAULT_IMAGE_SIZE = (1024, 768)
IMAGE_SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
MIN_IMAGE_SIDE, MAX_IMAGE_SIDE = 64, 2048
MAX_IMAGES = 4

_REQUEST_PATH = re.compile(r"(?P<app>.+)/requests/(?P<id>[0-9a-f-]+)(?P<part>/status|/cancel)?")
_STATUS_WORDS = {Progress.WAITING: "IN_QUEUE", Progress.RENDERING: "IN_PROGRESS", Progress.ENDED: "COMPLETED"}


class Fal:
    """fal's queue and platform APIs. Refused prompts and failures cost nothing there."""

    name = "fal"

    def __init__(self, backend: Backend) -> None:
        self._base_url, self._prices = backend.base_url, backend.prices
        self._farm, self._faults, self._deliveries = backend.farm, backend.faults, backend.deliveries
        self._farm.when_ended(self.name, self._call)
        # Books of earlier releases do not name the wire of a request; there was only this one then.
        self._wires = (self.name, "")

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/fal-queue/{path:path}", self._queue, methods=["GET", "POST", "PUT"]),
            Route("/fal-api/v1/models/requests/by-endpoint", self._by_endpoint),
            Route("/fal-api/v1/models/billing-events", self._billing_events),
            Route("/fal-api/v1/models/pricing", self._pricing),
            Route("/fal-rest/.well-known/jwks.json", self._key_set),
        ]

    # --- queue API -------------------------------------------------------------------------------------------

    async def _queue(self, request: Request) -> ASGIApp:
        """Everything under the queue base: submit, status, result, cancel."""
        if not _has_key(request):
            return _unauthorized()
        path = request.path_params["path"].strip("/")
        match = _REQUEST_PATH.fullmatch(path)
        if match is None:
            if request.method != "POST":
                return _flat(405, "Method Not Allowed")
            return await self._submit(request, path)
        booked = self._farm.request(match["id"])
        if booked is None or booked.wire not in self._wires or app_of(booked.endpoint) != match["app"]:
            return _flat(404, f"Request {match['id']} not found")
        if match["part"] == "/cancel" and request.method == "PUT":
            return self._cancel(booked)
        if request.method != "GET":
            return _flat(405, "Method Not Allowed")
        return self._status(booked) if match["part"] == "/status" else self._result(booked)

    async def _submit(self, request: Request, endpoint: str) -> ASGIApp:
        model = self._prices.model(endpoint)
        if model is None or len(endpoint.split("/")) < 2:
            return _flat(404, f"Application '{endpoint}' not found")
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _flat(422, "The body must be a JSON object")
        subjects = (endpoint, str(body.get("prompt", "")))
        refused = await self._refused_submit(subjects)
        if refused:
            return refused
        if self._faults.take("drop_before_accept", *subjects):
            return Hangup(request)
        purchase = Purchase(
            wire=self.name,
            request_id=str(uuid.uuid4()),
            endpoint=endpoint,
            model=model,
            input=body,
            order=order_of(endpoint, model, body, max_seconds=self._prices.max_seconds),
            billed=BILLED,
            webhook=request.query_params.get("fal_webhook", ""),
            buyer=f"key {hashlib.sha256(_key(request).encode()).hexdigest()[:8]}",
        )
        if self._farm.accept(purchase).answer_lost:
            return Hangup(request)
        root = f"{self._base_url}/fal-queue/{app_of(endpoint)}/requests/{purchase.request_id}"
        answer = {
            "status": "IN_QUEUE",
            "request_id": purchase.request_id,
            "response_url": root,
            "status_url": f"{root}/status",
            "cancel_url": f"{root}/cancel",
            "queue_position": 0,
        }
        return JSONResponse(answer, headers={"x-fal-request-id": purchase.request_id})

    async def _refused_submit(self, subjects: tuple[str, ...]) -> JSONResponse | None:
        match await self._faults.at_submit(*subjects):
            case 429, retry_after_s:
                headers = {"Retry-After": f"{retry_after_s:g}"}
                return JSONResponse({"detail": "Too Many Requests"}, 429, headers=headers)
            case status, _:
                return _flat(status, "Service Unavailable" if status == 503 else "Internal Server Error")
            case None:
                return None

    def _status(self, booked: BookedRequest) -> JSONResponse:
        if self._faults.take("status_500", *booked.subjects):
            return _flat(500, "Internal Server Error")
        if self._faults.take("unknown_status", *booked.subjects):
            return JSONResponse({"status": "REHYDRATING", "request_id": booked.request_id})
        answer: dict[str, Any] = {"status": _STATUS_WORDS[booked.progress], "request_id": booked.request_id}
        match booked.progress:
            case Progress.WAITING:
                answer["queue_position"] = 0
            case Progress.RENDERING:
                answer["logs"] = [{"message": "Rendering", "timestamp": booked.started_at}]
            case Progress.ENDED:
                answer |= {"logs": [], "metrics": {"inference_time": round(booked.render_s, 3)}}
        return JSONResponse(answer)

    def _result(self, booked: BookedRequest) -> JSONResponse:
        if booked.ending is None:
            return _flat(400, "Request is still in progress")
        if self._faults.take("result_503", *booked.subjects):
            kind = "runner_disconnected"
            return JSONResponse(
                {"detail": "Runner disconnected", "error_type": kind}, 503, headers={"X-Fal-Error-Type": kind}
            )
        http_status, body = self._answer(booked, booked.ending)
        headers = {"x-fal-request-id": booked.request_id}
        if http_status != 200:
            headers["X-Fal-Retryable"] = "true" if self._faults.take("retry_allowed", *booked.subjects) else "false"
        return JSONResponse(body, http_status, headers=headers)

    def _cancel(self, booked: BookedRequest) -> JSONResponse:
        if not self._farm.cancel(booked):
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    # --- endings ---------------------------------------------------------------------------------------------

    def _answer(self, booked: BookedRequest, ending: Ending) -> tuple[int, Any]:
        """HTTP status and body of an ended request's result."""
        if ending.answer is not None:
            return ending.answer["http_status"], ending.answer["body"]
        match ending.outcome:
            case Outcome.COMPLETED:
                return 200, self._output(booked, ending)
            case Outcome.CANCELED:
                return 499, {"detail": "Request was cancelled", "error_type": "client_cancelled"}
            case Outcome.REFUSED_INPUT if ending.cause is Cause.IMAGE_REFUSED:
                shown = (booked.order.start_image or "")[:200]
                return _details(_policy_violation(["body", "image_url"], ending.reason, shown))
            case Outcome.REFUSED_INPUT:
                return _details(_policy_violation(["body", "prompt"], ending.reason, booked.prompt))
            case Outcome.REFUSED_OUTPUT:
                return _details(_policy_violation(["output"], ending.reason, booked.prompt))
            case Outcome.INVALID:
                return _details(_image_error(booked, ending))
            case Outcome.FAILED if ending.cause is Cause.MODEL:
                return _details({"loc": ["body"], "msg": ending.reason, "type": "generation_failed"})
            case Outcome.FAILED:
                detail = {"loc": ["body"], "msg": ending.reason, "type": "internal_server_error"}
                return 500, {"detail": [detail]}

    def _output(self, booked: BookedRequest, ending: Ending) -> dict[str, Any]:
        """A model's output."""
        if booked.order.kind == "video":
            [name] = ending.files
            video = {
                "url": self._farm.media_url(name),
                "content_type": "video/mp4",
                "file_name": name,
                "file_size": self._farm.media_bytes(name),
            }
            return {"video": video, "seed": ending.seed}
        width, height = ending.size
        images = [
            {"url": self._farm.media_url(name), "width": width, "height": height, "content_type": "image/png"}
            for name in ending.files
        ]
        return {
            "images": images,
            "seed": ending.seed,
            "has_nsfw_concepts": [False] * len(images),
            "prompt": booked.prompt,
        }

    # --- webhooks --------------------------------------------------------------------------------------------

    @cached_property
    def _signing_key(self) -> "Ed25519PrivateKey":
        """Another one at each start of the server: keys are changed now and then."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.generate()

    async def _key_set(self, request: Request) -> JSONResponse:
        x = base64.urlsafe_b64encode(self._signing_key.public_key().public_bytes_raw()).rstrip(b"=").decode()
        return JSONResponse({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})

    def _call(self, booked: BookedRequest) -> None:
        """Calls the webhook of a request that has just ended."""
        assert booked.ending is not None, "only of requests that have ended"
        http_status, payload = self._answer(booked, booked.ending)
        document = {"request_id": booked.request_id, "gateway_request_id": booked.request_id, "payload": payload}
        if http_status == 200:
            document |= {"status": "OK"}
        else:
            document |= {"status": "ERROR", "error": f"Invalid status code: {http_status}"}
        body = json.dumps(document).encode()
        self._deliveries.send(booked.plan["webhook"], body, partial(self._signed, booked.request_id), booked.subjects)

    def _signed(self, request_id: str, body: bytes) -> dict[str, str]:
        parts = {"Request-Id": request_id, "User-Id": ACCOUNT, "Timestamp": str(int(time.time()))}
        message = "\n".join((*parts.values(), hashlib.sha256(body).hexdigest())).encode()
        parts["Signature"] = self._signing_key.sign(message).hex()
        return {f"X-Fal-Webhook-{name}": value for name, value in parts.items()}

    # --- platform API ----------------------------------------------------------------------------------------

    async def _by_endpoint(self, request: Request) -> JSONResponse:
        """The listing of requests of one endpoint, newest first, by the time they were sent."""
        if not _has_key(request):
            return _unauthorized()
        query = request.query_params
        if "endpoint_id" not in query:
            return _flat(422, "endpoint_id is required")
        if self._faults.take("listing_503", query["endpoint_id"]):
            return _flat(503, "Service Unavailable")
        try:
            start = stamp(parse_stamp(query["start"])) if "start" in query else ""
            end = stamp(parse_stamp(query["end"])) if "end" in query else "9999"
            limit = min(int(query.get("limit", DEFAULT_LIMIT)), MAX_LIMIT)
            offset = int(query.get("cursor") or 0)
        except ValueError as error:
            return _flat(422, f"start, end, limit or cursor is not understood: {error}")
        found = self._farm.listed(
            self._wires, query["endpoint_id"], start=start, end=end, limit=limit + 1, offset=offset
        )
        payloads = "payloads" in query.getlist("expand")
        more = len(found) > limit
        return JSONResponse(
            {
                "items": [self._listed(booked, payloads) for booked in found[:limit]],
                "next_cursor": str(offset + limit) if more else None,
                "has_more": more,
            }
        )

    def _listed(self, booked: BookedRequest, payloads: bool) -> dict[str, Any]:
        http_status, output = self._answer(booked, booked.ending) if booked.ending else (None, None)
        item = {
            "request_id": booked.request_id,
            "endpoint_id": booked.endpoint,
            "sent_at": booked.accepted_at,
            "started_at": booked.started_at,
            "ended_at": booked.ended_at,
            "status_code": http_status,
        }
        return item | ({"json_input": booked.input, "json_output": output} if payloads else {})

    async def _pricing(self, request: Request) -> JSONResponse:
        """One price an endpoint, whatever sizes it has; endpoints that are not on sale are left out."""
        if not _has_key(request):
            return _unauthorized()
        asked = [one for given in request.query_params.getlist("endpoint_id") for one in given.split(",")]
        sold = {endpoint: model for endpoint in asked if (model := self._prices.model(endpoint)) is not None}
        return JSONResponse({"prices": [_quoted(endpoint, model) for endpoint, model in sold.items()]})

    async def _billing_events(self, request: Request) -> JSONResponse:
        """What the account was billed, newest first: a while late, some lines a request, none for what is free."""
        if not _has_key(request):
            return _unauthorized()
        if not _key(request).startswith(ADMIN):
            error = {"type": "authorization_error", "message": "This endpoint needs an API key of the ADMIN scope"}
            return JSONResponse({"error": error}, 403)
        query = request.query_params
        if self._faults.take("billing_503"):
            return _flat(503, "Service Unavailable")
        try:
            end = parse_stamp(query["end"]) if "end" in query else now()
            start = parse_stamp(query["start"]) if "start" in query else now() - timedelta(hours=24)
            limit = min(int(query.get("limit", DEFAULT_LIMIT)), MAX_BILLED)
            page = int(base64.b64decode(query["cursor"])) if "cursor" in query else 1
        except ValueError as error:
            return _flat(422, f"start, end, limit or cursor is not understood: {error}")
        if end - start > LONGEST_BILLING or limit < 1:
            return _flat(422, "The span is at most 90 days, and the limit at least 1")
        asked = [one for given in query.getlist("request_id") for one in given.split(",")]
        told = "auth_method" in query.getlist("expand")
        events = [
            self._billed(booked, usd, told)
            for booked in reversed(self._farm.requests(self._wires))
            if (not asked or booked.request_id in asked)
            and booked.ended_at is not None
            and start <= parse_stamp(booked.ended_at) < end
            for usd in _bill(booked)
        ]
        more = len(events) > page * limit
        return JSONResponse(
            {
                "billing_events": events[(page - 1) * limit : page * limit],
                "next_cursor": base64.b64encode(str(page + 1).encode()).decode() if more else None,
                "has_more": more,
            }
        )

    def _billed(self, booked: BookedRequest, usd: Decimal, told: bool) -> dict[str, Any]:
        """One line of the billing; `told` says that it names the key."""
        event = {
            "request_id": booked.request_id,
            "endpoint_id": booked.endpoint,
            "timestamp": booked.ended_at,
            "output_units": 1.0,
            "unit_price": float(usd),
            "percent_discount": None,
            "cost_subtotal": float(usd),
            "cost_discount": 0.0,
            "cost_total": float(usd),
            "cost_estimate_nano_usd": int(usd * 10**9),
        }
        return event | ({"auth_method": booked.plan.get("buyer", "")} if told else {})


def _bill(booked: BookedRequest) -> list[Decimal]:
    """The lines of an ended request, once they are there; together they are what is booked for it."""
    faults, ended = booked.plan["faults"], booked.ended_at
    lag_s = faults["billed_late"] or 60.0 if "billed_late" in faults else BILLING_LAG_S
    if ended is None or now() < parse_stamp(ended) + timedelta(seconds=lag_s):
        return []
    if "billed_back" in faults:
        charged = Decimal(booked.plan["charged"])
        return [charged, -charged]
    if not booked.usd:
        return []
    parts = int(faults["billed_in_parts"] or 3) if "billed_in_parts" in faults else 1
    part = (booked.usd / parts).quantize(Decimal("1e-9"))
    return [part] * (parts - 1) + [booked.usd - part * (parts - 1)]


def _quoted(endpoint: str, model: PricedModel) -> dict[str, Any]:
    usd, unit = (model.usd_per_image, "images") if model.usd_per_image else (model.usd_per_s, "seconds")
    return {"endpoint_id": endpoint, "unit_price": float(usd), "unit": unit, "currency": "USD"}


def app_of(endpoint: str) -> str:
    """The part of an endpoint id that request URLs carry: two segments, three under workflows (fal's SDK)."""
    segments = endpoint.split("/")
    return "/".join(segments[: 3 if segments[0] in ("workflows", "comfy") else 2])


# --- from a body to an order ---------------------------------------------------------------------------------------


class _Invalid(Exception):
    """A request body that the model does not take; `detail` is one entry of fal's error list."""

    def __init__(self, name: str, message: str, kind: str, given: Any) -> None:
        super().__init__(message)
        self.detail = {"loc": ["body", name], "msg": message, "type": kind, "input": given}


def order_of(
    endpoint: str, model: PricedModel, body: dict[str, Any], *, max_seconds: Decimal
) -> Order | InvalidOrder:
    """The order in a request body: a video of up to `max_seconds`, or images."""
    try:
        prompt = body.get("prompt")
        if prompt is None:
            raise _Invalid("prompt", "Field required", "missing", body)
        if not isinstance(prompt, str) or not prompt.strip():
            raise _Invalid("prompt", "Input should be a non-empty string", "string_too_short", prompt)
        seed = body.get("seed")
        if seed is not None and not isinstance(seed, int):
            raise _Invalid("seed", "Input should be a valid integer", "int_type", seed)
        if _makes_images(endpoint, model):
            return _image_order(body, prompt, seed)
        return _video_order(endpoint, model, body, prompt, seed, max_seconds)
    except _Invalid as invalid:
        http_status, answer = _details(invalid.detail)
        return InvalidOrder(
            str(body.get("prompt", "")), str(invalid), answer={"http_status": http_status, "body": answer}
        )


def _image_order(body: dict[str, Any], prompt: str, seed: int | None) -> Order:
    images = body.get("num_images", 1)
    if not isinstance(images, int) or not 1 <= images <= MAX_IMAGES:
        raise _Invalid("num_images", f"Input should be from 1 to {MAX_IMAGES}", "less_than_equal", images)
    return Order("image", prompt, seed, size=_image_size(body), images=images)


def _video_order(
    endpoint: str, model: PricedModel, body: dict[str, Any], prompt: str, seed: int | None, max_seconds: Decimal
) -> Order:
    size = body.get("video_size")
    short_side, aspect = _short_side(size) if size is not None else (None, None)
    resolution = str(body.get("resolution") or model.default_resolution).lower()
    if short_side is None and resolution not in model.resolutions:
        expected = " or ".join(f"'{name}'" for name in model.resolutions)
        raise _Invalid("resolution", f"Input should be {expected}", "literal_error", body.get("resolution"))
    from_image = _is_image_to_video(endpoint)
    image_url = body.get("image_url") or body.get("start_image_url")
    if from_image and not isinstance(image_url, str):
        raise _Invalid("image_url", "Field required", "missing", body)
    shown = body.get("reference_image_urls")
    if "reference-to-video" in endpoint and not (isinstance(shown, list) and shown and all(map(is_picture, shown))):
        raise _Invalid("reference_image_urls", "Input should be a list of addresses", "list_type", shown)
    return Order(
        "video",
        prompt,
        seed,
        seconds=_seconds(body, max_seconds),
        short_side=short_side or int(resolution.removesuffix("p")),
        aspect=aspect or _aspect(body, default=None if from_image else (16, 9)),
        audio=bool(body.get("generate_audio", body.get("audio", False))) and model.usd_per_s_audio is not None,
        start_image=image_url if from_image else None,
    )


def _short_side(size: Any) -> tuple[int, tuple[int, int]]:
    """The short side in pixels and the aspect of a size that is given by width and height."""
    match size:
        case {"width": int(width), "height": int(height)} if (
            min(width, height) >= MIN_IMAGE_SIDE and max(width, height) <= MAX_IMAGE_SIDE
        ):
            return min(width, height), (width, height)
    raise _Invalid("video_size", "Input should be a size", "literal_error", size)


def _seconds(body: dict[str, Any], max_seconds: Decimal) -> Decimal:
    given = body.get("duration", DEFAULT_SECONDS)
    if "num_frames" in body:
        given = _from_frames(body)
    try:
        seconds = Decimal(str(given).removesuffix("s"))
    except InvalidOperation:
        seconds = Decimal("NaN")
    if not seconds.is_finite():
        raise _Invalid("duration", "Input should be a number of seconds", "float_parsing", str(given))
    if not 0 < seconds <= max_seconds:
        message = f"Input should be greater than 0 and at most {max_seconds}"
        raise _Invalid("duration", message, "less_than_equal", str(given))
    return seconds


def _from_frames(body: dict[str, Any]) -> Decimal:
    """The length in seconds of so many frames at their rate."""
    for name in ("num_frames", "frames_per_second", "fps"):
        count = body.get(name, DEFAULT_FPS)
        if not isinstance(count, int) or count < 1:
            raise _Invalid(name, "Input should be a valid integer greater than 0", "int_type", count)
    rate = body.get("frames_per_second", body.get("fps", DEFAULT_FPS))
    return Decimal(body["num_frames"]) / rate


def _is_image_to_video(endpoint: str) -> bool:
    return "image-to-video" in endpoint


def _makes_images(endpoint: str, model: PricedModel) -> bool:
    """Own models say so by their price; of the others, those with "flux" or "image" in the id make images."""
    if model.name != GENERIC:
        return model.usd_per_image > 0
    return not _is_image_to_video(endpoint) and ("flux" in endpoint or "image" in endpoint)


def _aspect(body: dict[str, Any], default: tuple[int, int] | None) -> tuple[int, int] | None:
    given = body.get("aspect_ratio")
    if given in (None, "auto"):
        return default
    match = re.fullmatch(r"(\d{1,2}):(\d{1,2})", str(given))
    if match is None or not 0.25 <= int(match[1]) / max(1, int(match[2])) <= 4:
        raise _Invalid("aspect_ratio", "Input should be '16:9', '9:16' or '1:1'", "literal_error", given)
    return int(match[1]), int(match[2])


def _image_size(body: dict[str, Any]) -> tuple[int, int]:
    given = body.get("image_size")
    if given is None:
        aspect = _aspect(body, default=None)
        return DEFAULT_IMAGE_SIZE if aspect is None else video_size(576, aspect)
    if isinstance(given, str) and given in IMAGE_SIZES:
        return IMAGE_SIZES[given]
    match given:
        case {"width": int(width), "height": int(height)} if (
            min(width, height) >= MIN_IMAGE_SIDE and max(width, height) <= MAX_IMAGE_SIDE
        ):
            return width // 2 * 2, height // 2 * 2
    raise _Invalid("image_size", f"Input should be one of {', '.join(IMAGE_SIZES)} or a size", "literal_error", given)


# --- error shapes --------------------------------------------------------------------------------------------------


def _details(*details: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 422, {"detail": list(details)}


def _policy_violation(place: list[str], reason: str, given: str) -> dict[str, Any]:
    return {
        "loc": place,
        "msg": f"The content could not be processed because it was flagged by a content checker: {reason}.",
        "type": "content_policy_violation",
        "url": "https://docs.fal.ai/errors/#content_policy_violation",
        "input": given,
    }


def _image_error(booked: BookedRequest, ending: Ending) -> dict[str, Any]:
    place = ["body", "image_url"]
    if ending.cause is Cause.IMAGE_NOT_READ:
        return {"loc": place, "msg": ending.reason, "type": "image_load_error"}
    return {
        "loc": place,
        "msg": f"Failed to download the file: {ending.reason}",
        "input": (booked.order.start_image or "")[:200],
        "type": "file_download_error",
    }


def _key(request: Request) -> str:
    """The key that a request came with; empty without one."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme == "Key" else ""


def _has_key(request: Request) -> bool:
    return bool(_key(request))


def _unauthorized() -> JSONResponse:
    return _flat(401, "Authentication is required to access this application")


def _flat(status: int, text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status)
