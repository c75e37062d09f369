"""The wire of Plaza, a platform that does not exist: asynchronous, and uploads go to another address than calls.

It speaks to the sandbox's channel, from outside of the package. Calls under `/plaza/api` carry
`Authorization: Token <anything>`; an upload address needs no token.

Announce a post. `bytes` is the length of the film that will be sent, `visible_to` is everyone (where it is missing),
link or me; `caption` has 1 to 80 characters:

    POST /plaza/api/posts
    Authorization: Token t
    {"caption": "A calm film", "text": "Brief: b\\nClip: c\\nModel: m", "labels": ["calm"],
     "visible_to": "everyone", "made_by_model": true, "bytes": 104857}

    201 {"post": "5d41402abc4", "upload": "9f86d081884c7d65",
         "upload_address": "http://127.0.0.1:20000/plaza-uploads/9f86d081884c7d65"}

Send the film, all of it at once. What breaks off on the way is thrown away, and the film may be sent again:

    PUT /plaza-uploads/9f86d081884c7d65
    <the bytes>

    202 {"post": "5d41402abc4"}                   received; processing begins
    400 {"problem": "wrong_length", "text": "..."}
    404 {"problem": "no_such_upload", "text": "..."}
    409 {"problem": "already_received", "text": "..."}     nothing is published again
    500 {"problem": "storage", "text": "..."}              nothing is kept

Ask what became of a post. It is `processing` for a second; bytes that are no film end as `failed`:

    GET /plaza/api/posts/5d41402abc4

    200 {"post": "5d41402abc4", "state": "empty"}          no film yet
    200 {"post": "5d41402abc4", "state": "processing"}     the film is there; do not send it again
    200 {"post": "5d41402abc4", "state": "live", "page": "http://127.0.0.1:20000/published/5d41402abc4"}
    200 {"post": "5d41402abc4", "state": "failed", "text": "The file is no film."}
    404 {"problem": "no_such_post", "text": "..."}         unknown, or gone before a film arrived

Numbers of posts; those without a film are left out:

    GET /plaza/api/numbers?posts=5d41402abc4,ffffffffff0

    200 {"numbers": {"5d41402abc4": {"plays": 812, "watched": 401, "watched_percent": 71.2,
                                     "hearts": 22, "replies": 3, "passed_on": 5}}}

Other errors of calls:

    401 {"problem": "token", "text": "..."}
    422 {"problem": "caption", "text": "..."}              also `body`, `bytes` and `visible_to`
    429 {"problem": "posts_today", "text": "..."}          fault upload_limit
    429 {"problem": "calls", "text": "..."}                fault quota_exceeded

Faults are taken at these places:

    announcement        upload_limit, quota_exceeded
    upload              upload_500, drop_during_upload, drop_after_publish
    upload, question    session_expired, as long as no film has arrived
    every call          token_401
    processing          slow_processing, which makes it longer

In the sandbox's books a post is a video from the moment at which its film has been received; its id is the post's.
"""

import json
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.channel import Post, Processing, Session, UploadCut
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.wires import Backend

MAX_CAPTION = 80
_PRIVACY = {"everyone": "public", "link": "unlisted", "me": "private"}
_STATES = {Processing.RUNNING: "processing", Processing.READY: "live", Processing.FAILED: "failed"}


class Plaza:
    """Plaza's API in front of the channel."""

    name = "plaza"

    def __init__(self, backend: Backend) -> None:
        self._base_url, self._channel, self._faults = backend.base_url, backend.channel, backend.faults

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/plaza/api/posts", self._announce, methods=["POST"]),
            Route("/plaza/api/posts/{post}", self._state),
            Route("/plaza/api/numbers", self._numbers),
            Route("/plaza-uploads/{upload}", self._upload, methods=["PUT"]),
        ]

    async def _announce(self, request: Request) -> JSONResponse:
        try:
            body = json.loads(await request.body())
            post, size = _post(body), body.get("bytes")
        except (ValueError, TypeError, AttributeError):
            return _problem(422, "body", "The body must be a JSON object.")
        if self._stranger(request, *post.subjects):
            return _problem(401, "token", "The token is not accepted.")
        if not 0 < len(post.title) <= MAX_CAPTION:
            return _problem(422, "caption", f"A caption has 1 to {MAX_CAPTION} characters.")
        if not post.privacy:
            return _problem(422, "visible_to", f"Posts are visible to one of {', '.join(_PRIVACY)}.")
        if type(size) is not int or size < 1:
            return _problem(422, "bytes", "The length of the film is missing.")
        if self._faults.take("upload_limit", *post.subjects):
            return _problem(429, "posts_today", "No more posts today.")
        if self._faults.take("quota_exceeded", *post.subjects):
            return _problem(429, "calls", "Too many calls.")
        upload = self._channel.open(self.name, body, size)
        answer = {
            "post": self._channel.video_id(upload),
            "upload": upload,
            "upload_address": f"{self._base_url}/plaza-uploads/{upload}",
        }
        return JSONResponse(answer, 201)

    async def _upload(self, request: Request) -> ASGIApp:
        session = self._channel.session(request.path_params["upload"])
        if session is None or session.wire != self.name:
            return _problem(404, "no_such_upload", "There is no such upload.")
        post, post_id = _post(session.metadata), self._channel.video_id(session.session_id)
        if self._channel.video(post_id):
            return _problem(409, "already_received", "The film is there.")
        if self._gone(session):
            return _problem(404, "no_such_upload", "The upload is gone.")
        if self._faults.take("upload_500", *post.subjects):
            return _problem(500, "storage", "The film could not be stored.")
        length = int(request.headers.get("content-length", 0))
        if length != session.announced_bytes:
            return _problem(400, "wrong_length", f"{session.announced_bytes} bytes were announced.")
        try:
            await self._channel.receive(session, post, request.stream(), length=length)
        except UploadCut:
            return Hangup(request)
        except ClientDisconnect:
            return Response(status_code=499)  # Nobody reads this.
        if self._channel.publish(session, post).answer_lost:
            return Hangup(request)
        return JSONResponse({"post": post_id}, 202)

    async def _state(self, request: Request) -> JSONResponse:
        post_id = request.path_params["post"]
        session = next(
            (one for one in self._channel.sessions(self.name) if self._channel.video_id(one.session_id) == post_id),
            None,
        )
        if self._stranger(request, *(_post(session.metadata).subjects if session else ())):
            return _problem(401, "token", "The token is not accepted.")
        video = self._channel.video(post_id)
        if session is None or (video is None and self._gone(session)):
            return _problem(404, "no_such_post", "There is no such post.")
        if video is None:
            return JSONResponse({"post": post_id, "state": "empty"})
        state = _STATES[video.processing]
        more = {
            "live": {"page": f"{self._base_url}/published/{post_id}"},
            "failed": {"text": "The file is no film."},
        }
        return JSONResponse({"post": post_id, "state": state, **more.get(state, {})})

    async def _numbers(self, request: Request) -> JSONResponse:
        if self._stranger(request):
            return _problem(401, "token", "The token is not accepted.")
        found = self._channel.found(request.query_params.get("posts", "").split(","))
        answer = {}
        for video in (video for video in found if video.wire == self.name):
            numbers = self._channel.numbers(video)
            answer[video.video_id] = {
                "plays": numbers.views,
                "watched": numbers.engaged_views,
                "watched_percent": numbers.average_view_percentage,
                "hearts": numbers.likes,
                "replies": numbers.comments,
                "passed_on": numbers.shares,
            }
        return JSONResponse({"numbers": answer})

    def _gone(self, session: Session) -> bool:
        """Whether a session without a film has expired, by now or by a fault that is taken here."""
        if not session.expired and self._faults.take("session_expired", *_post(session.metadata).subjects):
            self._channel.expire(session)
            return True
        return session.expired

    def _stranger(self, request: Request, *subjects: str) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme != "Token" or not token or self._faults.take("token_401", *subjects) is not None


def _post(body: dict[str, Any]) -> Post:
    return Post(
        title=str(body.get("caption", "")),
        description=str(body.get("text", "")),
        tags=tuple(body.get("labels", ())),
        privacy=_PRIVACY.get(body.get("visible_to", "everyone"), ""),
        synthetic=bool(body.get("made_by_model", False)),
    )


def _problem(status: int, problem: str, text: str) -> JSONResponse:
    return JSONResponse({"problem": problem, "text": text}, status)
