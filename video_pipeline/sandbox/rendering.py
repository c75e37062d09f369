"""From an accepted order to files: decides the take, fetches the start image, and has the footage rendered.

Imported only where something is rendered, as it brings numpy and pillow with it.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from video_pipeline.sandbox import footage
from video_pipeline.sandbox.books import BookedRequest
from video_pipeline.sandbox.orders import Cause, Ending, Outcome
from video_pipeline.sandbox.pricelist import video_size

MAX_IMAGE_BYTES = 20 * 2**20


class _ImageNotFetched(Exception):
    """There are no bytes behind the address of a start image."""


@dataclass(frozen=True)
class Studio:
    """Where files are rendered to, and how. `media_url` is the address under which their names are served."""

    media_dir: Path
    media_url: str
    fps: int

    def render(self, request: BookedRequest) -> Ending:
        """Renders the files of a request: completed, or invalid where its start image is at fault.

        Raises MediaError when the encoder fails.
        """
        order = request.order
        seed = order.seed if order.seed is not None else _int_hash(request.request_id)
        take = footage.Take(request.endpoint, order.shows or order.prompt, seed, order.size)
        try:
            return self._images(take, request) if order.kind == "image" else self._video(take, request)
        except _ImageNotFetched as error:
            return Ending(Outcome.INVALID, str(error), Cause.IMAGE_NOT_FETCHED)
        except footage.NotAnImage as error:
            return Ending(Outcome.INVALID, str(error), Cause.IMAGE_NOT_READ)

    def _images(self, take: footage.Take, request: BookedRequest) -> Ending:
        names = tuple(f"{request.request_id}_{index}.png" for index in range(request.order.images))
        for index, name in enumerate(names):
            footage.render_image(self.media_dir / name, replace(take, seed=take.seed + index))
        return Ending(Outcome.COMPLETED, files=names, seed=take.seed, size=take.size)

    def _video(self, take: footage.Take, request: BookedRequest) -> Ending:
        order, name = request.order, f"{request.request_id}_0.mp4"
        image = self._fetched(order.start_image) if order.start_image else None
        aspect = order.aspect or (footage.nearest_aspect(image) if image else (16, 9))
        take = replace(take, size=video_size(order.short_side, aspect))
        footage.render_video(
            self.media_dir / name,
            take,
            duration_s=float(order.seconds),
            fps=self.fps,
            audio=order.audio,
            image=image,
            faults=request.plan["faults"],
        )
        return Ending(Outcome.COMPLETED, files=(name,), seed=take.seed, size=take.size)

    def _fetched(self, address: str) -> bytes:
        """The bytes of a data URI, or of an image that this very server has rendered; nothing else is fetched."""
        if address.startswith("data:"):
            try:
                with urlopen(address) as opened:  # Decodes data URIs; no other scheme comes here.
                    return opened.read(MAX_IMAGE_BYTES)
            except (OSError, ValueError) as error:
                raise _ImageNotFetched(str(error)) from error
        asked, own = urlsplit(address), urlsplit(self.media_url)
        name = asked.path.removeprefix(own.path)
        local = asked.port == own.port and asked.hostname in ("127.0.0.1", "localhost")
        if not local or "/" in name or not name.endswith(".png"):
            raise _ImageNotFetched(f"only data URIs and images under this server's own {own.path} are fetched")
        try:
            return (self.media_dir / name).read_bytes()
        except FileNotFoundError as error:
            raise _ImageNotFetched("no such file") from error


def _int_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
