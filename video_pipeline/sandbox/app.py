"""The ASGI application: which path goes to which part, and the control door under `/_sandbox`."""

import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from video_pipeline.sandbox import page
from video_pipeline.sandbox.books import Books
from video_pipeline.sandbox.fal import Fal
from video_pipeline.sandbox.faults import Faults
from video_pipeline.sandbox.pricelist import PriceList
from video_pipeline.sandbox.youtube import UPLOAD_PATH, YouTube


class Sandbox:
    """All of the server behind its socket, on one state folder."""

    def __init__(self, state_dir: Path, base_url: str) -> None:
        own_prices = state_dir / "models.yaml"
        prices = PriceList(own_prices if own_prices.exists() else Path(__file__).with_name("models.yaml"))
        self._state_dir = state_dir
        self._books = Books(state_dir / "books.sqlite3")
        self._faults = Faults(self._books.database)
        self._fal = Fal(base_url, state_dir / "media", self._books, self._faults, prices)
        self._youtube = YouTube(base_url, state_dir / "uploads", self._books, self._faults, prices)
        self.last_request = time.monotonic()
        self._app: ASGIApp = Starlette(routes=self._routes())

    @property
    def busy(self) -> bool:
        """Whether a request is being worked on."""
        return self._fal.busy

    def resume(self) -> None:
        """Takes up what the last end of the server interrupted; needs a running event loop."""
        self._fal.resume()

    def close(self) -> None:
        self._fal.close()
        self._books.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.last_request = time.monotonic()
        await self._app(scope, receive, send)

    def _routes(self) -> list[Route]:
        fal, youtube = self._fal, self._youtube
        return [
            Route("/", self._front),
            Route("/fal-queue/{path:path}", fal.queue, methods=["GET", "POST", "PUT"]),
            Route("/fal-api/v1/models/requests/by-endpoint", fal.by_endpoint),
            Route("/fal-api/v1/models/billing-events", fal.billing_events),
            Route("/media/{name}", fal.media),
            Route("/oauth2/token", youtube.token, methods=["POST"]),
            Route(UPLOAD_PATH, youtube.start_upload, methods=["POST"]),
            Route(UPLOAD_PATH, youtube.send_bytes, methods=["PUT"]),
            Route("/youtube/youtube/v3/videos", youtube.videos),
            Route("/youtube-analytics/v2/reports", youtube.reports),
            Route("/shorts/{video_id}", youtube.short),
            Route("/published/{name}", youtube.published_file),
            Route("/_sandbox/health", self._health),
            Route("/_sandbox/books", self._show_books),
            Route("/_sandbox/faults", self._show_faults),
            Route("/_sandbox/faults", self._order_fault, methods=["POST"]),
            Route("/_sandbox/faults", self._clear_faults, methods=["DELETE"]),
        ]

    async def _front(self, request: Request) -> HTMLResponse:
        return HTMLResponse(
            page.books(self._books.as_json(None), [asdict(fault) for fault in self._faults.in_force()])
        )

    async def _health(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "pid": os.getpid(), "state_dir": str(self._state_dir)})

    async def _show_books(self, request: Request) -> JSONResponse:
        day = request.query_params.get("day")
        if day is not None and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
            return JSONResponse({"detail": "day must be YYYY-MM-DD"}, 422)
        return JSONResponse(self._books.as_json(day))

    async def _show_faults(self, request: Request) -> JSONResponse:
        return JSONResponse({"faults": [asdict(fault) for fault in self._faults.in_force()]})

    async def _order_fault(self, request: Request) -> JSONResponse:
        try:
            return JSONResponse(asdict(self._faults.order(json.loads(await request.body()))))
        except (ValueError, TypeError) as error:
            return JSONResponse({"detail": str(error)}, 422)

    async def _clear_faults(self, request: Request) -> JSONResponse:
        self._faults.clear()
        return JSONResponse({"faults": []})
