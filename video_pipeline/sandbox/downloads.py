"""The files and pages that anyone may open without a key: rendered media and published videos."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox import page
from video_pipeline.sandbox.books import Books
from video_pipeline.sandbox.channel import Channel
from video_pipeline.sandbox.connection import FileBody
from video_pipeline.sandbox.farm import MEDIA_PATH, RenderFarm
from video_pipeline.sandbox.faults import Faults


class Downloads:
    """What farm and channel have on disk, over HTTP."""

    def __init__(self, farm: RenderFarm, channel: Channel, books: Books, faults: Faults) -> None:
        self._farm, self._channel, self._books, self._faults = farm, channel, books, faults

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{MEDIA_PATH}{{name}}", self._media),
            Route("/published/{video_id}.mp4", self._published),
            Route("/published/{video_id}", self.watch),
        ]

    async def _media(self, request: Request) -> ASGIApp:
        return self.media(request, request.path_params["name"])

    def media(self, request: Request, name: str) -> ASGIApp:
        """A rendered file, for `request`."""
        found = self._farm.media(name)
        if found is None:
            return _not_found("Not Found")
        path, booked = found
        if self._faults.take("expired_url", *booked.subjects):
            self._books.insert("expired_media", name=path.name)
        if self._books.one("SELECT 1 FROM expired_media WHERE name = ?", path.name):
            return _not_found("The file has expired")
        slow = self._faults.take("slow_body", *booked.subjects)
        cut = self._faults.take("truncated_file", *booked.subjects)
        return FileBody(
            path,
            "video/mp4" if path.suffix == ".mp4" else "image/png",
            sent_share=0.5 if cut else 1.0,
            duration_s=slow.value_or(3.0) if slow else 0.0,
            head=request.method == "HEAD",
        )

    async def _published(self, request: Request) -> ASGIApp:
        """The file of a published video."""
        video = self._channel.video(request.path_params["video_id"])
        if video is None:
            return _not_found("The video cannot be found")
        return FileBody(self._channel.file(video), "video/mp4", head=request.method == "HEAD")

    async def watch(self, request: Request) -> HTMLResponse:
        """The page on which a published video plays."""
        video = self._channel.video(request.path_params["video_id"])
        if video is None:
            return HTMLResponse(page.missing(), 404)
        return HTMLResponse(page.watch(video, asdict(self._channel.numbers(video))))


def _not_found(text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, 404)
