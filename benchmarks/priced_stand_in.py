"""A shop behind fal's queue API that bills as a catalogue says, and refuses the clips that it is told to.

Its books are its own: each request is priced from the arguments that came over the wire, and from nothing that the
pipeline has reckoned. A prompt names its clip as `take 17`.
"""

import asyncio
import json
import re
import struct
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.fal_stand_in import StandIn, as_json, listen
from video_pipeline.generation.providers.endpoints import EndpointWire
from video_pipeline.media.ffmpeg import run_ffmpeg
from video_pipeline.routing import Catalogue, Model, Unit

_TAKE = re.compile(r"\btake (\d+)\b")
# Smaller files count as broken; what is added stands in a box that players skip.
_LEAST_BYTES = 60_000
_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fccfc0500f0004850180"
    "84a98c210000000049454e44ae426082"
)
_REFUSED = {"type": "content_policy_violation", "msg": "The content was refused by the moderation."}


@dataclass(frozen=True)
class Request:
    """A request as it came in. `usd` is what it is billed; `seconds` is 0 of a picture."""

    endpoint: str
    model: str
    usd: Decimal
    seconds: float = 0.0
    audio: bool = False
    refused: bool = False


@dataclass
class Refusals:
    """How often each clip is refused before it comes through, by its take; and whether what is refused is billed.

    A refusal that is billed comes after rendering, any other before.
    """

    times: Mapping[int, int] = field(default_factory=dict[int, int])
    billed: bool = False


class PricedStandIn(StandIn):
    """The shop; `requests` are its books."""

    def __init__(self, prices: Catalogue, refusals: Refusals, films: "Films") -> None:
        super().__init__(b"", render_s=0.0)
        self.requests: dict[str, Request] = {}
        self._prices, self._refusals, self._films = prices, refusals, films
        self._asked = Counter[int]()

    @property
    def billed_usd(self) -> Decimal:
        """The shop's bill for all that it was asked for."""
        return sum((request.usd for request in self.requests.values()), Decimal(0))

    def accept(self, request_id: str, endpoint: str, body: bytes) -> None:
        arguments = json.loads(body)
        anchor = self._prices.anchor
        if anchor is not None and anchor.wire.get("text_to_image") == endpoint:
            # A model of pictures is more permissive: it refuses none.
            self.requests[request_id] = Request(endpoint, anchor.model, anchor.usd_per_image)
            return
        model, wire = self._sold(endpoint)
        found = _TAKE.search(arguments["prompt"])
        take = int(found[1]) if found else -1
        self._asked[take] += 1
        refused = self._asked[take] <= self._refusals.times.get(take, 0)
        # Who has no switch for sound and is priced with it always makes it.
        audio = bool(arguments.get(wire.audio_field) if wire.audio_field else model.price.sound)
        seconds, usd = priced(model, arguments, audio=audio)
        if refused and not self._refusals.billed:
            usd = Decimal(0)
        self.requests[request_id] = Request(endpoint, model.model, usd, seconds, audio, refused)

    def result(self, request_id: str) -> tuple[int, str, bytes]:
        request = self.requests[request_id]
        if request.refused:
            place = ["output"] if self._refusals.billed else ["body", "prompt"]
            return as_json(422, {"detail": [{"loc": place, **_REFUSED}]})
        if not request.seconds:
            return as_json(200, {"images": [{"url": f"{self.base_url}/media/{request_id}.png"}], "seed": 1})
        return as_json(200, {"video": {"url": f"{self.base_url}/media/{request_id}.mp4"}, "seed": 1})

    def media(self, request_id: str) -> tuple[int, str, bytes]:
        request = self.requests[request_id]
        if not request.seconds:
            return 200, "image/png", _PICTURE
        film = self._films.film(request.seconds, audio=request.audio)
        # No two files of a shop are the same.
        label = request_id.encode().ljust(max(_LEAST_BYTES - len(film), 64), b"\0")
        return 200, "video/mp4", film + struct.pack(">I4s", 8 + len(label), b"free") + label

    def _sold(self, endpoint: str) -> tuple[Model, EndpointWire]:
        for model in self._prices.models:
            wire = EndpointWire.model_validate(model.wire)
            if endpoint in (wire.text_to_video, wire.image_to_video):
                return model, wire
        raise LookupError(f"nobody sells {endpoint}")


def priced(model: Model, arguments: Mapping[str, Any], *, audio: bool) -> tuple[float, Decimal]:
    """Seconds that are rendered for a request, and what they cost by the model's price."""
    price = model.price
    size = next((one for one in model.resolutions if one.name == arguments.get("resolution")), model.resolutions[0])
    seconds, frames = _length(model, arguments)
    rate = price.sound.get(size.name, price.silent[size.name]) if audio else price.silent[size.name]
    match price.per:
        case Unit.VIDEO:
            units = Decimal(1)
        case Unit.MEGAPIXEL_FRAME:
            pixels = arguments["video_size"]
            units = Decimal(pixels["width"] * pixels["height"] * frames) / 1_000_000
        case Unit.SECOND:
            played = Decimal(frames) / price.billed_fps if price.billed_fps else seconds
            units = max(played, price.minimum_s)
    return float(seconds), round(rate * units, 6)


def _length(model: Model, arguments: Mapping[str, Any]) -> tuple[Decimal, int]:
    """Seconds and frames that a request asks for; those of an endpoint of one length are its own."""
    only = model.durations.lengths[0]
    fps = arguments.get("frames_per_second") or arguments.get("fps") or only.fps or 24
    if "duration" in arguments:
        seconds = Decimal(str(arguments["duration"]).rstrip("s"))
        return seconds, round(seconds * fps)
    frames = arguments.get("num_frames") or only.frames or round(only.seconds * fps)
    return Decimal(frames) / fps, frames


class Films:
    """Stub pixels: one small moving picture for each length, rendered when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._filming = folder, threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def film(self, seconds: float, *, audio: bool) -> bytes:
        path = self._folder / f"{seconds:.3f}{'-sound' if audio else ''}.mp4"
        with self._filming:
            if not path.exists():
                sources = ["-f", "lavfi", "-i", f"testsrc2=size=108x192:rate=8:duration={seconds}"]
                sound = ["-f", "lavfi", "-i", f"sine=duration={seconds}", "-shortest"] if audio else []
                coded = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-pix_fmt", "yuv420p"]
                run_ffmpeg([*sources, *sound, *coded, str(path)], timeout_s=60, what="rendering a stub")
        return path.read_bytes()


@contextmanager
def open_shop(shop: PricedStandIn) -> Generator[PricedStandIn, None, None]:
    """Serve from a thread of this process, on an address of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    def serve() -> None:
        server = loop.run_until_complete(listen(shop))
        ready.set()
        loop.run_forever()
        server.close()
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield shop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
