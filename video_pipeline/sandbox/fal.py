"""The fal side of the wire: queue API, request listing, billing events, media, and the work behind a request.

Shapes follow the queue API of fal (https://fal.ai/docs/documentation/model-apis) and the types of its SDK. Whatever
will happen to a request (verdict of the moderation, faults) is decided when it is accepted and kept with it, so
that a killed and restarted server ends it the same way.
"""

import asyncio
import hashlib
import json
import re
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from video_pipeline.sandbox import moderation
from video_pipeline.sandbox.books import Books, now, parse_stamp, stamp
from video_pipeline.sandbox.connection import FileBody, Hangup
from video_pipeline.sandbox.faults import JOB_FAULTS, Faults
from video_pipeline.sandbox.pricelist import Invalid, Order, PriceList, is_image_to_video, video_size

RENDER_WORKERS = 2
MODERATION_DELAY_S = 0.1
MAX_IMAGE_BYTES = 20 * 2**20
DEFAULT_LIMIT, MAX_LIMIT = 50, 1000

_REQUEST_PATH = re.compile(r"(?P<app>.+)/requests/(?P<id>[0-9a-f-]+)(?P<part>/status|/cancel)?")
_MEDIA_NAME = re.compile(r"(?P<id>[0-9a-f-]{36})_\d\.(?P<suffix>mp4|png)")


@dataclass(eq=False)
class Refused(Exception):
    """A request that ends without output: HTTP status and error list of its result, and what the books say."""

    outcome: str
    http_status: int
    detail: list[dict[str, Any]]
    billed: bool = False


class Fal:
    """The queue and its workers."""

    def __init__(self, base_url: str, media_dir: Path, books: Books, faults: Faults, prices: PriceList) -> None:
        self._base_url, self._media_dir = base_url, media_dir
        self._books, self._faults, self._prices = books, faults, prices
        media_dir.mkdir(exist_ok=True)
        self._renderers = ThreadPoolExecutor(RENDER_WORKERS, thread_name_prefix="render")
        self._jobs: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def resume(self) -> None:
        """Takes up every request that was accepted before the last end of the server."""
        for request_id in self._books.unfinished():
            self._schedule(request_id)

    def close(self) -> None:
        self._renderers.shutdown(wait=False, cancel_futures=True)

    # --- queue API -------------------------------------------------------------------------------------------

    async def queue(self, request: Request) -> ASGIApp:
        """Everything under the queue base: submit, status, result, cancel."""
        if not _has_key(request):
            return _unauthorized()
        path = request.path_params["path"].strip("/")
        match = _REQUEST_PATH.fullmatch(path)
        if match is None:
            if request.method != "POST":
                return _flat(405, "Method Not Allowed")
            return await self._submit(request, path)
        row = self._books.request(match["id"])
        if row is None or app_of(row["endpoint"]) != match["app"]:
            return _flat(404, f"Request {match['id']} not found")
        if match["part"] == "/cancel" and request.method == "PUT":
            return self._cancel(row)
        if request.method != "GET":
            return _flat(405, "Method Not Allowed")
        return self._status(row) if match["part"] == "/status" else self._result(row)

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
        delay = self._faults.take("submit_delay", *subjects)
        if delay:
            await asyncio.sleep(delay.value_or(1.0))
        refused = self._refused_submit(subjects)
        if refused:
            return refused
        if self._faults.take("drop_before_accept", *subjects):
            return Hangup(request)
        with self._books.transaction():
            request_id = self._accept(endpoint, model.name, body)
            dropped = self._faults.take("drop_after_accept", *subjects)
        self._schedule(request_id)
        if dropped:
            return Hangup(request)
        root = f"{self._base_url}/fal-queue/{app_of(endpoint)}/requests/{request_id}"
        answer = {
            "status": "IN_QUEUE",
            "request_id": request_id,
            "response_url": root,
            "status_url": f"{root}/status",
            "cancel_url": f"{root}/cancel",
            "queue_position": 0,
        }
        return JSONResponse(answer, headers={"x-fal-request-id": request_id})

    def _refused_submit(self, subjects: tuple[str, ...]) -> JSONResponse | None:
        fault = self._faults.take("submit_429", *subjects)
        if fault:
            return JSONResponse(
                {"detail": "Too Many Requests"}, 429, headers={"Retry-After": f"{fault.value_or(1.0):g}"}
            )
        for code, text in ((503, "Service Unavailable"), (500, "Internal Server Error")):
            if self._faults.take(f"submit_{code}", *subjects):
                return _flat(code, text)
        return None

    def _accept(self, endpoint: str, model: str, body: dict[str, Any]) -> str:
        """Books the request at its price together with what will become of it."""
        subjects = (endpoint, str(body.get("prompt", "")))
        taken = {name: self._faults.take(name, *subjects) for name in JOB_FAULTS}
        faults = {name: fault.value for name, fault in taken.items() if fault}
        refusal: list[dict[str, Any]] | None = None
        seconds = usd = Decimal(0)
        moderated = False
        try:
            order = self._prices.read(endpoint, body)
            seconds, usd = order.seconds, order.usd
            refusal = self._moderate(endpoint, order, body, ordered="refuse_input" in faults)
            moderated = refusal is not None
        except Invalid as invalid:
            refusal = [invalid.detail]
        moment = now()
        lag = taken["listing_lag"]
        request_id = str(uuid.uuid4())
        self._books.insert(
            "requests",
            request_id=request_id,
            endpoint=endpoint,
            model=model,
            input=json.dumps(body),
            seconds=str(seconds),
            list_usd=str(usd),
            usd=str(usd),
            accepted_at=stamp(moment),
            listed_at=stamp(moment + timedelta(seconds=lag.value_or(5.0) if lag else 0)),
            status="IN_QUEUE",
            outcome="queued",
            plan=json.dumps({"refusal": refusal, "moderated": moderated, "faults": faults}),
        )
        return request_id

    def _moderate(
        self, endpoint: str, order: Order, body: dict[str, Any], *, ordered: bool
    ) -> list[dict[str, Any]] | None:
        text_to_video = order.kind == "video" and not is_image_to_video(endpoint)
        reason = moderation.refusal(order.prompt, text_to_video=text_to_video)
        model = self._prices.model(endpoint)
        if reason is None and model is not None:
            unlucky = moderation.unlucky(endpoint, order.prompt, body.get("seed"), model.refusal_rate)
            reason = "the classifier is not sure about it" if unlucky else None
        if reason is None and ordered:
            reason = "a fault orders it"
        return [_policy_violation(["body", "prompt"], reason, order.prompt)] if reason else None

    def _status(self, row: sqlite3.Row) -> JSONResponse:
        subjects = _subjects(row)
        if self._faults.take("status_500", *subjects):
            return _flat(500, "Internal Server Error")
        if self._faults.take("unknown_status", *subjects):
            return JSONResponse({"status": "REHYDRATING", "request_id": row["request_id"]})
        answer: dict[str, Any] = {"status": row["status"], "request_id": row["request_id"]}
        if row["status"] == "IN_QUEUE":
            answer["queue_position"] = 0
        elif row["status"] == "IN_PROGRESS":
            answer["logs"] = [{"message": "Rendering", "timestamp": row["started_at"]}]
        else:
            took = parse_stamp(row["ended_at"]) - parse_stamp(row["started_at"])
            answer |= {"logs": [], "metrics": {"inference_time": round(took.total_seconds(), 3)}}
        return JSONResponse(answer)

    def _result(self, row: sqlite3.Row) -> JSONResponse:
        if row["status"] != "COMPLETED":
            return _flat(400, "Request is still in progress")
        if self._faults.take("result_503", *_subjects(row)):
            kind = "runner_disconnected"
            return JSONResponse(
                {"detail": "Runner disconnected", "error_type": kind}, 503, headers={"X-Fal-Error-Type": kind}
            )
        headers = {"x-fal-request-id": row["request_id"]}
        if row["http_status"] != 200:
            headers["X-Fal-Retryable"] = "false"
        return JSONResponse(json.loads(row["output"]), row["http_status"], headers=headers)

    def _cancel(self, row: sqlite3.Row) -> JSONResponse:
        """What waits costs nothing; what is being rendered stays billed."""
        if row["status"] == "COMPLETED":
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        answer = {"detail": "Request was cancelled", "error_type": "client_cancelled"}
        usd = Decimal(0) if row["status"] == "IN_QUEUE" else None
        self._books.finish(row["request_id"], "canceled", 499, answer, usd=usd)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    # --- the work --------------------------------------------------------------------------------------------

    def _schedule(self, request_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._work(request_id), name=f"render {request_id}")
        self._jobs[request_id] = task
        task.add_done_callback(lambda _: self._jobs.pop(request_id, None))

    async def _work(self, request_id: str) -> None:
        row = self._books.request(request_id)
        assert row is not None, "only accepted requests are scheduled"
        plan = json.loads(row["plan"])
        if "stuck" in plan["faults"]:
            self._books.start(request_id)
            return
        try:
            output = await self._render(row, plan)
        except Refused as refused:
            usd = None if refused.billed else Decimal(0)
            self._books.finish(request_id, refused.outcome, refused.http_status, {"detail": refused.detail}, usd=usd)
        except Exception as error:
            # The one place where anything may go wrong with one request; it ends that request and is told in the log.
            detail = [{"loc": ["body"], "msg": f"{error}", "type": "internal_server_error"}]
            self._books.finish(request_id, "failed", 500, {"detail": detail}, usd=Decimal(0))
            raise
        else:
            self._books.finish(request_id, "completed", 200, output, usd=None)

    async def _render(self, row: sqlite3.Row, plan: dict[str, Any]) -> dict[str, Any]:
        if plan["refusal"]:
            await asyncio.sleep(MODERATION_DELAY_S)
            raise Refused("refused_input" if plan["moderated"] else "failed", 422, plan["refusal"])
        await asyncio.sleep(self._prices.render_delay_s / 2)
        if self._ended(row["request_id"]):
            return {}
        self._books.start(row["request_id"])
        await asyncio.sleep(self._prices.render_delay_s / 2)
        faults = plan["faults"]
        if "job_failed" in faults:
            detail = {"loc": ["body"], "msg": "The model failed to generate", "type": "generation_failed"}
            raise Refused("failed", 422, [detail])
        order = self._prices.read(row["endpoint"], json.loads(row["input"]))
        output = await asyncio.get_running_loop().run_in_executor(
            self._renderers, self._make, row["request_id"], row["endpoint"], order, faults
        )
        if "refuse_output" in faults:
            reason = "the output was found unsafe"
            raise Refused("refused_output", 422, [_policy_violation(["output"], reason, order.prompt)], billed=True)
        return output

    def _ended(self, request_id: str) -> bool:
        row = self._books.request(request_id)
        return row is None or row["status"] == "COMPLETED"

    def _make(self, request_id: str, endpoint: str, order: Order, faults: dict[str, float | None]) -> dict[str, Any]:
        """Renders the files of a request, in a worker thread; gives the model's output."""
        from video_pipeline.sandbox import footage  # numpy is not for the start of the server

        seed = order.seed if order.seed is not None else _int_hash(request_id)
        if order.kind == "image":
            size = order.size or (0, 0)
            images = []
            for index in range(order.images):
                name = f"{request_id}_{index}.png"
                footage.render_image(self._media_dir / name, footage.Take(endpoint, order.prompt, seed + index, size))
                images.append(
                    {
                        "url": f"{self._base_url}/media/{name}",
                        "width": size[0],
                        "height": size[1],
                        "content_type": "image/png",
                    }
                )
            return {
                "images": images,
                "seed": seed,
                "has_nsfw_concepts": [False] * order.images,
                "prompt": order.prompt,
            }
        image = self._fetch_image(order.image_url) if order.image_url else None
        try:
            aspect = order.aspect or (footage.nearest_aspect(image) if image else (16, 9))
            name = f"{request_id}_0.mp4"
            footage.render_video(
                self._media_dir / name,
                footage.Take(endpoint, order.prompt, seed, video_size(order.short_side, aspect)),
                duration_s=float(order.seconds),
                fps=self._prices.fps,
                audio=order.audio,
                image=image,
                faults=faults,
            )
        except footage.NotAnImage as error:
            detail = {"loc": ["body", "image_url"], "msg": str(error), "type": "image_load_error"}
            raise Refused("failed", 422, [detail]) from error
        return {
            "video": {
                "url": f"{self._base_url}/media/{name}",
                "content_type": "video/mp4",
                "file_name": name,
                "file_size": (self._media_dir / name).stat().st_size,
            },
            "seed": seed,
        }

    def _fetch_image(self, url: str) -> bytes:
        """The bytes behind an `image_url`: a data URI, or a file of this very server; nothing else is fetched."""
        if url.startswith("data:"):
            from urllib.request import urlopen  # Decodes data URIs; no other scheme comes here.

            try:
                with urlopen(url) as opened:
                    return opened.read(MAX_IMAGE_BYTES)
            except (OSError, ValueError) as error:
                raise _download_error(url, str(error)) from error
        parts = urlsplit(url)
        match = _MEDIA_NAME.fullmatch(parts.path.removeprefix("/media/"))
        own = parts.port == urlsplit(self._base_url).port and parts.hostname in ("127.0.0.1", "localhost")
        if not own or match is None or match["suffix"] != "png":
            raise _download_error(url, "only data URIs and images under this server's own /media/ are fetched")
        try:
            return (self._media_dir / match[0]).read_bytes()
        except FileNotFoundError as error:
            raise _download_error(url, "no such file") from error

    # --- platform API and media ------------------------------------------------------------------------------

    async def by_endpoint(self, request: Request) -> JSONResponse:
        """The listing of requests of one endpoint, newest first, by the time they were sent."""
        if not _has_key(request):
            return _unauthorized()
        query = request.query_params
        if "endpoint_id" not in query:
            return _flat(422, "endpoint_id is required")
        try:
            start = stamp(parse_stamp(query["start"])) if "start" in query else ""
            end = stamp(parse_stamp(query["end"])) if "end" in query else "9999"
            limit = min(int(query.get("limit", DEFAULT_LIMIT)), MAX_LIMIT)
            offset = int(query.get("cursor") or 0)
        except ValueError as error:
            return _flat(422, f"start, end, limit or cursor is not understood: {error}")
        rows = self._books.all(
            "SELECT * FROM requests WHERE endpoint = ? AND accepted_at >= ? AND accepted_at < ? AND listed_at <= ?"
            " ORDER BY number DESC LIMIT ? OFFSET ?",
            *(query["endpoint_id"], start, end, stamp(now()), limit + 1, offset),
        )
        payloads = "payloads" in query.getlist("expand")
        more = len(rows) > limit
        return JSONResponse(
            {
                "items": [_listed(row, payloads) for row in rows[:limit]],
                "next_cursor": str(offset + limit) if more else None,
                "has_more": more,
            }
        )

    async def billing_events(self, request: Request) -> JSONResponse:
        """What is booked now for one request or for all; a request that costs nothing has an event of 0."""
        if not _has_key(request):
            return _unauthorized()
        request_id = request.query_params.get("request_id", "%")
        rows = self._books.all("SELECT * FROM requests WHERE request_id LIKE ? ORDER BY number", request_id)
        events = [
            {
                "request_id": row["request_id"],
                "endpoint_id": row["endpoint"],
                "cost_total": float(row["usd"]),
                "cost_estimate_nano_usd": int(Decimal(row["usd"]) * 10**9),
                "timestamp": row["ended_at"] or row["accepted_at"],
            }
            for row in rows
        ]
        return JSONResponse({"billing_events": events, "next_cursor": None, "has_more": False})

    async def media(self, request: Request) -> ASGIApp:
        """A rendered file; needs no key, as on fal."""
        match = _MEDIA_NAME.fullmatch(request.path_params["name"])
        row = self._books.request(match["id"]) if match else None
        if match is None or row is None or not (self._media_dir / match[0]).exists():
            return _flat(404, "Not Found")
        subjects = _subjects(row)
        if self._faults.take("expired_url", *subjects):
            self._books.insert("expired_media", name=match[0])
        if self._books.one("SELECT 1 FROM expired_media WHERE name = ?", match[0]):
            return _flat(404, "The file has expired")
        media_type = "video/mp4" if match["suffix"] == "mp4" else "image/png"
        slow = self._faults.take("slow_body", *subjects)
        cut = self._faults.take("truncated_file", *subjects)
        return FileBody(
            self._media_dir / match[0],
            media_type,
            sent_share=0.5 if cut else 1.0,
            duration_s=slow.value_or(3.0) if slow else 0.0,
            head=request.method == "HEAD",
        )


def app_of(endpoint: str) -> str:
    """The part of an endpoint id that request URLs carry: two segments, three under workflows (fal's SDK)."""
    segments = endpoint.split("/")
    return "/".join(segments[: 3 if segments[0] in ("workflows", "comfy") else 2])


def _listed(row: sqlite3.Row, payloads: bool) -> dict[str, Any]:
    item = {
        "request_id": row["request_id"],
        "endpoint_id": row["endpoint"],
        "sent_at": row["accepted_at"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "status_code": row["http_status"],
    }
    if payloads:
        item |= {"json_input": json.loads(row["input"]), "json_output": json.loads(row["output"] or "null")}
    return item


def _policy_violation(place: list[str], reason: str, prompt: str) -> dict[str, Any]:
    return {
        "loc": place,
        "msg": f"The content could not be processed because it was flagged by a content checker: {reason}.",
        "type": "content_policy_violation",
        "url": "https://docs.fal.ai/errors/#content_policy_violation",
        "input": prompt,
    }


def _download_error(url: str, reason: str) -> Refused:
    detail = {"loc": ["body", "image_url"], "msg": f"Failed to download the file: {reason}", "input": url[:200]}
    return Refused("failed", 422, [detail | {"type": "file_download_error"}])


def _subjects(row: sqlite3.Row) -> tuple[str, ...]:
    """The texts of a request in which a fault's `match` is looked for."""
    return row["endpoint"], str(json.loads(row["input"]).get("prompt", "")), row["request_id"]


def _int_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _has_key(request: Request) -> bool:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme == "Key" and bool(key.strip())


def _unauthorized() -> JSONResponse:
    return _flat(401, "Authentication is required to access this application")


def _flat(status: int, text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status)
