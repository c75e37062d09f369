"""The wire of Instagram: containers take a film, are processed, are told to go public, and become reels.

Shapes follow Meta's content publishing and its resumable uploads
(https://developers.facebook.com/docs/instagram-platform/content-publishing). A container publishes once. Faults are
taken at these places:

    publishing limit        upload_limit, which says that it is used up
    container               quota_exceeded
    upload                  upload_500, drop_during_upload, session_expired
    question                session_expired, as long as the container has not been published
    word to publish         not_ready, publish_limit, drop_after_publish
    processing              slow_processing, processing_error
    every call              token_401, error_in_200
"""

import json
import re
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.channel import Post, Processing, Session, UploadCut, Video
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.wires.protocol import Backend

MAX_CAPTION, POSTS_A_DAY = 2200, 100

_TOKEN = (190, 0, "Error validating access token: the session has been invalidated.")
_RATE = (4, 0, "Application request limit reached")
_NO_NODE = (100, 33, "Unsupported get request. The object does not exist or cannot be loaded.")
_DAILY_CAP = (9, 2207042, "The maximum number of posts has been reached.")
_NOT_READY = (9007, 2207027, "The media is not ready for publishing, please wait for a moment.")
_PUBLISHED = (9, 2207001, "The media has been published already.")
_METRICS = ("views", "likes", "comments", "shares")


class Instagram:
    """The Graph API of one professional account, in front of the channel."""

    name = "instagram"

    def __init__(self, backend: Backend) -> None:
        self._base_url, self._downloads = backend.base_url, backend.downloads
        self._channel, self._faults = backend.channel, backend.faults

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/instagram/{user}/content_publishing_limit", self._limit),
            Route("/instagram/{user}/media", self._create, methods=["POST"]),
            Route("/instagram/{user}/media", self._latest),
            Route("/instagram/{user}/media_publish", self._publish, methods=["POST"]),
            Route("/instagram/{node}/insights", self._insights),
            Route("/instagram/{node}", self._node),
            Route("/instagram-uploads/{container}", self._upload, methods=["POST"]),
            Route("/reel/{video_id}", self._downloads.watch),
        ]

    # --- publishing ------------------------------------------------------------------------------------------

    async def _limit(self, request: Request) -> JSONResponse:
        if wrong := self._wrong_call(request):
            return wrong
        used = POSTS_A_DAY if self._faults.take("upload_limit") else 0
        for video in self._channel.videos((self.name,)):
            used += video.age_s < 86_400
        config = {"quota_total": POSTS_A_DAY, "quota_duration": 86_400}
        return JSONResponse({"data": [{"quota_usage": min(used, POSTS_A_DAY), "config": config}]})

    async def _create(self, request: Request) -> JSONResponse:
        """Opens a container whose film will be sent."""
        form = await _form(request)
        post = _post(form)
        if wrong := self._wrong_call(request, *post.subjects):
            return wrong
        if form.get("media_type") != "REELS" or request.query_params.get("upload_type") != "resumable":
            return _error(100, 0, "(#100) Only reels whose film is uploaded are taken here.")
        if len(post.description) > MAX_CAPTION:
            return _error(36004, 2207010, f"The caption has more than {MAX_CAPTION} characters.")
        if self._faults.take("quota_exceeded", *post.subjects):
            usage = {request.path_params["user"]: [{"type": "instagram", "estimated_time_to_regain_access": 30}]}
            return _error(*_RATE, headers={"X-Business-Use-Case-Usage": json.dumps(usage)})
        container = self._channel.open(self.name, form)
        return JSONResponse({"id": container, "uri": f"{self._base_url}/instagram-uploads/{container}"})

    async def _upload(self, request: Request) -> ASGIApp:
        session = self._session(request.path_params["container"])
        if session is None:
            return _error(*_NO_NODE)
        post = _post(session.metadata)
        if wrong := self._wrong_call(request, *post.subjects):
            return wrong
        if self._faults.take("upload_500", *post.subjects):
            return _failed_upload(500, "ServerError", "The file could not be stored.")
        if self._expired(session) or self._channel.processing(session) is not None:
            return _failed_upload(400, "ProcessingFailedError", "The upload session takes no more bytes.")
        length = int(request.headers.get("content-length", 0))
        given = [request.headers.get(name, "") for name in ("offset", "file_size")]
        if not all(re.fullmatch("[0-9]{1,15}", number) for number in given):
            return _failed_upload(400, "OffsetInvalidError", "offset and file_size are numbers of bytes.")
        first, total = map(int, given)
        if first > self._channel.held(session) or first + length != total:
            return _failed_upload(400, "OffsetInvalidError", "The offset is not where the upload broke off.")
        try:
            await self._channel.receive(session, post, request.stream(), first=first, length=length)
        except UploadCut:
            return Hangup(request)
        except ClientDisconnect:
            return Response(status_code=499)  # Nobody reads this; what arrived is kept.
        self._channel.take_in(session, post)
        return JSONResponse({"success": True, "message": "Upload successful."})

    async def _publish(self, request: Request) -> ASGIApp:
        session = self._session((await _form(request)).get("creation_id", ""))
        if session is None:
            return _error(*_NO_NODE)
        post = _post(session.metadata)
        if wrong := self._wrong_call(request, *post.subjects):
            return wrong
        if self._video(session):
            return _error(*_PUBLISHED)
        if self._faults.take("publish_limit", *post.subjects):
            return _error(*_DAILY_CAP)
        not_ready = self._faults.take("not_ready", *post.subjects)
        if not_ready or self._expired(session) or self._channel.processing(session) is not Processing.READY:
            return _error(*_NOT_READY)
        published = self._channel.publish(session, post)
        if published.answer_lost:
            return Hangup(request)
        return JSONResponse({"id": published.video.video_id})

    # --- reading ---------------------------------------------------------------------------------------------

    async def _node(self, request: Request) -> JSONResponse:
        """A container or a reel by its id."""
        node = request.path_params["node"]
        session, video = self._session(node), self._reel(node)
        subjects = _post(session.metadata).subjects if session else ()
        if wrong := self._wrong_call(request, *subjects):
            return wrong
        if session is not None:
            return JSONResponse(self._container(session))
        return JSONResponse(_reel(video)) if video is not None else _error(*_NO_NODE)

    def _container(self, session: Session) -> dict[str, Any]:
        processing, held = self._channel.processing(session), self._channel.held(session)
        uploading = "complete" if processing else "in_progress" if held else "not_started"
        error = "2207026" if processing is Processing.FAILED and not self._channel.is_film(session) else "2207053"
        if self._video(session):
            code, status = "PUBLISHED", "Published: Media has been successfully published."
        elif self._expired(session):
            code, status = "EXPIRED", "Expired: The container was not published within 24 hours."
        elif processing is Processing.FAILED:
            code, status = "ERROR", f"Error: Media upload has failed with error code {error}"
        elif processing is Processing.READY:
            code, status = "FINISHED", "Finished: Media has been uploaded and it is ready to be published."
        else:
            code, status = "IN_PROGRESS", "In Progress: Media is still being processed."
        phases = {"uploading_phase": {"status": uploading, "bytes_transferred": held}}
        return {"id": session.session_id, "status_code": code, "status": status, "video_status": phases}

    async def _latest(self, request: Request) -> JSONResponse:
        if wrong := self._wrong_call(request):
            return wrong
        limit = int(request.query_params.get("limit", 25))
        return JSONResponse({"data": [_reel(video) for video in self._channel.videos((self.name,))[::-1][:limit]]})

    async def _insights(self, request: Request) -> JSONResponse:
        if wrong := self._wrong_call(request):
            return wrong
        video = self._reel(request.path_params["node"])
        if video is None:
            return _error(*_NO_NODE)
        asked = [metric for metric in request.query_params.get("metric", "").split(",") if metric]
        if not asked or set(asked) - set(_METRICS):
            return _error(100, 0, f"(#100) metric must be one of {', '.join(_METRICS)}")
        numbers = self._channel.numbers(video)
        data = [{"name": name, "period": "lifetime", "values": [{"value": getattr(numbers, name)}]} for name in asked]
        return JSONResponse({"data": data})

    # --- what is there ---------------------------------------------------------------------------------------

    def _session(self, container: str) -> Session | None:
        session = self._channel.session(container)
        return session if session is not None and session.wire == self.name else None

    def _video(self, session: Session) -> Video | None:
        return self._channel.video(self._channel.video_id(session.session_id))

    def _reel(self, video_id: str) -> Video | None:
        video = self._channel.video(video_id)
        return video if video is not None and video.wire == self.name else None

    def _expired(self, session: Session) -> bool:
        if session.expired or self._video(session):
            return session.expired
        expired = self._faults.take("session_expired", *_post(session.metadata).subjects) is not None
        if expired:
            self._channel.expire(session)
        return expired

    def _wrong_call(self, request: Request, *subjects: str) -> JSONResponse | None:
        """The error of a call that gets no further than its token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme not in ("OAuth", "Bearer") or not token.strip() or self._faults.take("token_401", *subjects):
            return _error(*_TOKEN)
        if self._faults.take("error_in_200", *subjects):
            return _error(2, 0, "An unexpected error has occurred. Please retry your request later.", status=200)
        return None


async def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def _post(form: dict[str, Any]) -> Post:
    """A reel has a caption and no title; its first line stands in the books for one."""
    caption = str(form.get("caption", ""))
    return Post(title=caption.split("\n", 1)[0], description=caption)


def _reel(video: Video) -> dict[str, Any]:
    return {"id": video.video_id, "shortcode": video.video_id, "caption": video.metadata.get("caption", "")}


def _error(
    code: int, subcode: int, message: str, *, status: int = 400, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error in Meta's shape."""
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "sandbox"}
    if subcode:
        error["error_subcode"] = subcode
    return JSONResponse({"error": error}, status, headers)


def _failed_upload(status: int, kind: str, message: str) -> JSONResponse:
    """An error of the upload host, which has a shape of its own."""
    return JSONResponse({"debug_info": {"retriable": status >= 500, "type": kind, "message": message}}, status)
