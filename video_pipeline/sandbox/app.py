"""The ASGI application: farm, channel and wires put together, and the control routes under `/_sandbox`."""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from video_pipeline.sandbox import page
from video_pipeline.sandbox.books import Books
from video_pipeline.sandbox.channel import Channel
from video_pipeline.sandbox.deliveries import Deliveries
from video_pipeline.sandbox.downloads import Downloads
from video_pipeline.sandbox.farm import RenderFarm
from video_pipeline.sandbox.faults import Faults
from video_pipeline.sandbox.moderation import Moderation
from video_pipeline.sandbox.pricelist import PriceList
from video_pipeline.sandbox.wires import WIRES, Backend, Wire


class Sandbox:
    """All of the server behind its socket, on one state folder."""

    def __init__(self, state_dir: Path, base_url: str) -> None:
        prices = PriceList(_own_or_packaged(state_dir, "models.yaml"))
        moderation = Moderation(_own_or_packaged(state_dir, "moderation.yaml"))
        self._state_dir = state_dir
        self._books = Books(state_dir / "books.sqlite3")
        self._faults = Faults(self._books.database)
        self._farm = RenderFarm(base_url, state_dir / "media", self._books, self._faults, prices, moderation)
        channel = Channel(state_dir / "uploads", self._books, self._faults, prices)
        downloads = Downloads(self._farm, channel, self._books, self._faults)
        backend = Backend(base_url, self._farm, channel, downloads, Deliveries(self._faults), self._faults, prices)
        wires = [wire(backend) for wire in (*WIRES.values(), *_further_wires(state_dir))]
        routes = [*self._routes(), *downloads.routes(), *(route for wire in wires for route in wire.routes())]
        self.last_request = time.monotonic()
        self._app: ASGIApp = Starlette(routes=routes)

    @property
    def busy(self) -> bool:
        """Whether a request is being worked on."""
        return self._farm.busy

    def resume(self) -> None:
        """Takes up what the last end of the server interrupted; needs a running event loop."""
        self._farm.resume()

    def close(self) -> None:
        self._farm.close()
        self._books.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.last_request = time.monotonic()
        await self._app(scope, receive, send)

    def _routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._front),
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


def _own_or_packaged(state_dir: Path, name: str) -> Path:
    """The state folder's file of that name, else the packaged one."""
    own = state_dir / name
    return own if own.exists() else Path(__file__).with_name(name)


def _further_wires(state_dir: Path) -> list[Callable[[Backend], Wire]]:
    """The wires that `wires.txt` in the state folder names, one `module:class` a line.

    They stand in the folder so that every start of its server has them, whichever process starts it.
    """
    listed = state_dir / "wires.txt"
    lines = listed.read_text().split() if listed.exists() else []
    return [getattr(import_module(module), name) for module, _, name in (line.partition(":") for line in lines)]
