"""The world's vendors: the sandbox in its own process, with the world's weather in front and films from a shelf.

The server, its wires, moderation and books are the sandbox's own. Here a request may meet an outage, the price list
follows the calendar, and a film of each kind is rendered once and copied for every order.
"""

import hashlib
import os
import struct
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.bottle.world import Event, What, World
from video_pipeline.sandbox import app, channel, farm, footage, server
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.pricelist import PricedModel, PriceList

WORLD = "BOTTLE_WORLD"
"""The variable that names the world's file, as JSON."""

_render_video, _filming = footage.render_video, threading.Lock()
# Smaller files count as broken; the padding stands in a box that players skip.
_LEAST_BYTES = 60_000
_SHORT_S = 2.0
_SPOILT = ("truncated_mp4", "corrupt_file", "tiny_file")
_PROVIDER, _PLATFORM = ("/fal-", "/media/"), ("/youtube", "/oauth2")
_LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."


def _render(path: Path, take: footage.Take, **options: Any) -> None:
    """A film of the wanted kind, whose bytes no other file has."""
    if options["image"] is not None or any(name in options["faults"] for name in _SPOILT):
        _render_video(path, take, **options)
        return
    content = _film(path.parent.parent / "shelf", take.size, **options).read_bytes()
    label = hashlib.sha256(f"{take} {path.name}".encode()).digest()
    padding = label.ljust(max(_LEAST_BYTES - len(content), 64), b"\0")
    part = path.with_suffix(".part")
    part.write_bytes(content + struct.pack(">I4s", 8 + len(padding), b"free") + padding)
    part.replace(path)


def _film(shelf: Path, size: tuple[int, int], *, duration_s: float, **options: Any) -> Path:
    """A film on the shelf; a long one is a short one over and over, which is quickly made."""
    kind = repr((size, duration_s, sorted((name, repr(value)) for name, value in options.items())))
    film = shelf / f"{hashlib.sha256(kind.encode()).hexdigest()[:16]}.mp4"
    if film.exists():
        return film
    shelf.mkdir(exist_ok=True)
    if duration_s <= _SHORT_S or options["faults"]:
        with _filming:
            take = footage.Take("shelf", "Waves on a beach at dawn", 1, size)
            _render_video(film, take, duration_s=duration_s, **options)
        return film
    short = _film(shelf, size, duration_s=_SHORT_S, **options)
    part = film.with_suffix(f".{threading.get_ident()}.mp4")
    over_and_over = ("-stream_loop", "-1", "-i", str(short), "-t", str(duration_s))
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *over_and_over, "-crf", "9", str(part)],
        check=True,
    )
    part.replace(film)
    return film


class _Vendors(app.Sandbox):
    """The sandbox as one reaches it in this world."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for event in _world().going_on(datetime.now(UTC)):
                answer = _answer(event, Request(scope, receive))
                if answer is not None:
                    await answer(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)


def _answer(event: Event, request: Request) -> ASGIApp | None:
    """What a request is answered because of an event; None where it is none of its business."""
    path, submits = request.url.path, request.method == "POST"
    of_provider = path.startswith(_PROVIDER) and (not event.models or any(name in path for name in event.models))
    match event.what:
        case What.OUTAGE if of_provider:
            return JSONResponse({"detail": "Service Unavailable"}, 503)
        case What.CUT if of_provider:
            return Hangup(request)
        case What.CREDIT if of_provider and submits:
            return JSONResponse({"detail": _LOCKED}, 403)
        case What.KEY if of_provider and not path.startswith("/media/"):
            return JSONResponse({"detail": "Cannot access application. Authentication is required."}, 401)
        case What.QUOTA if path.startswith("/youtube/upload") and submits:
            return _google(403, "quotaExceeded", "The request cannot be completed because you exceeded your quota.")
        case What.PLATFORM_DOWN if path.startswith(_PLATFORM):
            return _google(503, "backendError", "Backend Error")
        case _:
            return None


def _google(status: int, reason: str, message: str) -> JSONResponse:
    entry = {"message": message, "domain": "youtube", "reason": reason}
    return JSONResponse({"error": {"code": status, "message": message, "errors": [entry]}}, status)


class _Prices(PriceList):
    """The price list of the moment."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.render_delay_s = 0.02

    def model(self, name: str) -> PricedModel | None:
        model = super().model(name)
        if model is None:
            return None
        for event in _world().going_on(datetime.now(UTC), What.PRICES, What.REFUSALS):
            if event.models and model.name not in event.models:
                continue
            if event.what is What.REFUSALS:
                model = replace(model, refusal_rate=max(model.refusal_rate, event.value))
                continue
            factor, sound = Decimal(str(event.value)), model.usd_per_s_audio
            model = replace(
                model,
                usd_per_s=model.usd_per_s * factor,
                usd_per_s_audio=None if sound is None else sound * factor,
                usd_per_image=model.usd_per_image * factor,
            )
        return model


_known: list[World] = []


def _world() -> World:
    if not _known:
        _known.append(World.model_validate_json(Path(os.environ[WORLD]).read_text()))
    return _known[0]


if __name__ == "__main__":
    footage.render_video = _render
    # What a platform or a moderator takes in seconds would be most of a simulated month.
    channel.PROCESSING_S = 0.0
    farm.MODERATION_DELAY_S = 0.01
    app.PriceList = _Prices
    server.Sandbox = _Vendors
    server.main()
