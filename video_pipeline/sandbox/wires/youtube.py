"""The wire of YouTube: tokens, resumable upload, video resources, analytics, and the addresses of the Shorts.

Shapes follow the YouTube Data API v3, its resumable upload protocol
(https://developers.google.com/youtube/v3/guides/using_resumable_upload_protocol) and the Analytics API v2. A session
publishes once: whatever is sent to a finished session is answered with the video it made.
"""

import hashlib
import json
import re
from dataclasses import asdict
from datetime import date
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from video_pipeline.sandbox.books import parse_stamp
from video_pipeline.sandbox.channel import Post, Processing, Session, UploadCut, Video
from video_pipeline.sandbox.connection import Hangup
from video_pipeline.sandbox.wires.protocol import Backend

UPLOAD_PATH = "/youtube/upload/youtube/v3/videos"
MAX_TITLE, MAX_DESCRIPTION = 100, 5000
PRIVACY = ("public", "unlisted", "private")
CHUNK_MULTIPLE = 256 * 1024

_METRICS = {
    "views": ("views", "INTEGER"),
    "engagedViews": ("engaged_views", "INTEGER"),
    "averageViewPercentage": ("average_view_percentage", "FLOAT"),
    "likes": ("likes", "INTEGER"),
    "comments": ("comments", "INTEGER"),
    "shares": ("shares", "INTEGER"),
}
_PROCESSING_WORDS = {
    Processing.RUNNING: ("uploaded", "processing"),
    Processing.READY: ("processed", "succeeded"),
    Processing.FAILED: ("failed", "failed"),
}
"""Words of a video's `uploadStatus` and `processingStatus`."""
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?P<total>\d+|\*)")


class YouTube:
    """YouTube's Data and Analytics APIs, in front of the channel."""

    name = "youtube"

    def __init__(self, backend: Backend) -> None:
        self._base_url, self._downloads = backend.base_url, backend.downloads
        self._channel, self._faults = backend.channel, backend.faults
        # Books of earlier releases do not name the wire of a video; there was only this one then.
        self._wires = (self.name, "")

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/oauth2/token", self._token, methods=["POST"]),
            Route(UPLOAD_PATH, self._start_upload, methods=["POST"]),
            Route(UPLOAD_PATH, self._send_bytes, methods=["PUT"]),
            Route("/youtube/youtube/v3/videos", self._videos),
            Route("/youtube-analytics/v2/reports", self._reports),
            Route("/shorts/{video_id}", self._downloads.watch),
        ]

    async def _token(self, request: Request) -> JSONResponse:
        """Exchanges a refresh token for an access token."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if form.get("grant_type") != "refresh_token":
            return JSONResponse({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400)
        if not form.get("refresh_token") or not form.get("client_id"):
            return JSONResponse({"error": "invalid_grant", "error_description": "Bad Request"}, 400)
        token = hashlib.sha256(form["refresh_token"].encode()).hexdigest()[:32]
        return JSONResponse(
            {
                "access_token": f"sandbox.{token}",
                "expires_in": 3599,
                "token_type": "Bearer",
                "scope": "https://www.googleapis.com/auth/youtube.upload",
            }
        )

    # --- upload ----------------------------------------------------------------------------------------------

    async def _start_upload(self, request: Request) -> Response:
        """Opens an upload session from the video's metadata."""
        try:
            metadata = json.loads(await request.body())
            post, status = _post(metadata), metadata.get("status", {})
        except (ValueError, LookupError, TypeError, AttributeError):
            return _error(400, "badRequest", "The body must be a video resource with a snippet.")
        if self._unauthorized(request, *post.subjects):
            return _error(401, "authError", "Invalid Credentials")
        if request.query_params.get("uploadType") != "resumable":
            return _error(400, "badRequest", "uploadType must be resumable.")
        wrong = _wrong_metadata(post, status)
        if wrong:
            return _error(400, *wrong)
        announced = request.headers.get("x-upload-content-length", "")
        if announced and not announced.isdigit():
            return _error(400, "badRequest", "X-Upload-Content-Length must be a number of bytes.")
        if self._faults.take("upload_limit", *post.subjects):
            return _error(400, "uploadLimitExceeded", "The user has exceeded the number of videos they may upload.")
        if self._faults.take("quota_exceeded", *post.subjects):
            return _error(
                403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota."
            )
        session_id = self._channel.open(self.name, metadata, int(announced) if announced else None)
        location = f"{self._base_url}{UPLOAD_PATH}?uploadType=resumable&part=snippet,status&upload_id={session_id}"
        return Response(status_code=200, headers={"Location": location})

    async def _send_bytes(self, request: Request) -> ASGIApp:
        """A PUT to a session: the whole body, a chunk of it, or the question how much has arrived."""
        session = self._channel.session(request.query_params.get("upload_id", ""))
        if session and session.wire not in self._wires:
            session = None
        subjects = _post(session.metadata).subjects if session else ()
        if self._unauthorized(request, *subjects):
            return _error(401, "authError", "Invalid Credentials")
        if session and self._faults.take("session_expired", *subjects):
            self._channel.expire(session)
            session = None
        if session is None or session.expired:
            return _error(404, "notFound", "The upload session does not exist or has expired.")
        video = self._channel.video(self._channel.video_id(session.session_id))
        if video:
            return JSONResponse(self._resource(video, "snippet,status"), 200)
        if self._faults.take("upload_500", *subjects):
            return _error(500, "backendError", "Backend Error")
        try:
            return await self._receive(request, session)
        except UploadCut:
            return Hangup(request)
        except ClientDisconnect:
            return Response(status_code=499)  # Nobody reads this; what arrived is kept and the session goes on.

    async def _receive(self, request: Request, session: Session) -> ASGIApp:
        held = self._channel.held(session)
        span = request.headers.get("content-range")
        first, total = 0, session.announced_bytes
        length = int(request.headers.get("content-length", 0))
        if span is not None:
            match = _CONTENT_RANGE.fullmatch(span)
            if match is None:
                return _error(400, "badRequest", f"Content-Range '{span}' is not understood.")
            total = int(match["total"]) if match["total"] != "*" else total
            if match["first"] is None:
                return self._progress(request, session, held, total)
            first, last = int(match["first"]), int(match["last"])
            if last - first + 1 != length:
                return _error(400, "badRequest", "Content-Range and Content-Length contradict each other.")
            if first > held:
                return _incomplete(held)
            if last + 1 != total and length % CHUNK_MULTIPLE:
                return _error(400, "badRequest", f"Chunks other than the last must be multiples of {CHUNK_MULTIPLE}.")
        if session.announced_bytes not in (None, total if span is not None else length):
            return _error(400, "badRequest", "The length differs from X-Upload-Content-Length.")
        post = _post(session.metadata)
        held = await self._channel.receive(session, post, request.stream(), first=first, length=length)
        return self._progress(request, session, held, total if span is not None else length)

    def _progress(self, request: Request, session: Session, held: int, total: int | None) -> ASGIApp:
        if total is None or held < total:
            return _incomplete(held)
        if held == 0:
            return _error(400, "mediaBodyRequired", "The request does not include the video content.")
        published = self._channel.publish(session, _post(session.metadata))
        if published.answer_lost:
            return Hangup(request)
        return JSONResponse(self._resource(published.video, "snippet,status"), 200)

    # --- reading ---------------------------------------------------------------------------------------------

    async def _videos(self, request: Request) -> JSONResponse:
        """`videos.list` by id; ids that do not exist are left out, as on YouTube."""
        if self._unauthorized(request):
            return _error(401, "authError", "Invalid Credentials")
        part = request.query_params.get("part", "")
        found = self._found(request.query_params.get("id", ""))
        items = [self._resource(video, part) for video in found]
        page_info = {"totalResults": len(items), "resultsPerPage": len(items)}
        return JSONResponse({"kind": "youtube#videoListResponse", "items": items, "pageInfo": page_info})

    async def _reports(self, request: Request) -> JSONResponse:
        """Analytics a video: one row for each video published up to the end date."""
        if self._unauthorized(request):
            return _error(401, "authError", "Invalid Credentials")
        query = request.query_params
        metrics = [metric for metric in query.get("metrics", "").split(",") if metric]
        unknown = [metric for metric in metrics if metric not in _METRICS]
        if query.get("ids") != "channel==MINE" or query.get("dimensions") != "video" or not metrics or unknown:
            given = f"ids {query.get('ids')}, dimensions {query.get('dimensions')}, metrics {query.get('metrics')}"
            return _error(400, "badRequest", f"The query is not supported: {given}.")
        try:
            start, end = (date.fromisoformat(query[name]) for name in ("startDate", "endDate"))
        except (LookupError, ValueError):
            return _error(400, "badRequest", "startDate and endDate must be YYYY-MM-DD.")
        filters = query.get("filters", "")
        asked = filters.removeprefix("video==")
        videos = self._found(asked) if filters else self._channel.videos(self._wires)
        rows = []
        for video in videos:
            # A video has had no views before it was published, nor has it any in a span that ends before.
            if start <= end and parse_stamp(video.published_at).date() <= end:
                numbers = asdict(self._channel.numbers(video))
                rows.append([video.video_id, *(numbers[_METRICS[metric][0]] for metric in metrics)])
        headers = [{"name": "video", "columnType": "DIMENSION", "dataType": "STRING"}]
        headers += [{"name": name, "columnType": "METRIC", "dataType": _METRICS[name][1]} for name in metrics]
        return JSONResponse({"kind": "youtubeAnalytics#resultTable", "columnHeaders": headers, "rows": rows})

    def _found(self, ids: str) -> list[Video]:
        found = self._channel.found(video_id.strip() for video_id in ids.split(","))
        return [video for video in found if video.wire in self._wires]

    def _resource(self, video: Video, part: str) -> dict[str, Any]:
        metadata, numbers, post = video.metadata, self._channel.numbers(video), video.post
        upload, processing = _PROCESSING_WORDS[video.processing]
        failure = {} if video.processing is not Processing.FAILED else {"failureReason": "invalidFile"}
        parts = {
            "snippet": {**metadata["snippet"], "publishedAt": video.published_at, "channelId": "UC-sandbox"},
            "status": {
                **metadata.get("status", {}),
                "privacyStatus": post.privacy,
                "containsSyntheticMedia": post.synthetic,
                "uploadStatus": upload,
                **failure,
            },
            "processingDetails": {"processingStatus": processing},
            "statistics": {
                "viewCount": str(numbers.views),
                "likeCount": str(numbers.likes),
                "favoriteCount": "0",
                "commentCount": str(numbers.comments),
            },
        }
        asked = {name: content for name, content in parts.items() if name in part.split(",")}
        return {"kind": "youtube#video", "etag": video.sha256[:27], "id": video.video_id, **asked}

    def _unauthorized(self, request: Request, *subjects: str) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme != "Bearer" or not token.strip() or self._faults.take("token_401", *subjects) is not None


def _wrong_metadata(post: Post, status: dict[str, Any]) -> tuple[str, str] | None:
    """Google's reason and a message when YouTube would not take the metadata."""
    title, description = post.title, post.description
    if not title.strip() or len(title) > MAX_TITLE or "<" in title or ">" in title:
        return "invalidTitle", f"The title must have 1 to {MAX_TITLE} characters other than < and >."
    if len(description.encode()) > MAX_DESCRIPTION or "<" in description or ">" in description:
        return "invalidDescription", f"The description may have {MAX_DESCRIPTION} bytes, without < and >."
    if post.privacy not in PRIVACY:
        return "invalidVideoMetadata", f"privacyStatus must be one of {', '.join(PRIVACY)}."
    if "publishAt" in status and status.get("privacyStatus") != "private":
        return "invalidPublishAt", "publishAt may be set only if privacyStatus is private."
    return None


def _post(metadata: dict[str, Any]) -> Post:
    snippet, status = metadata["snippet"], metadata.get("status", {})
    return Post(
        title=str(snippet.get("title", "")),
        description=str(snippet.get("description", "")),
        tags=tuple(snippet.get("tags", ())),
        privacy=status.get("privacyStatus", "public"),
        synthetic=bool(status.get("containsSyntheticMedia", False)),
    )


def _incomplete(held: int) -> Response:
    return Response(status_code=308, headers={"Range": f"bytes=0-{held - 1}"} if held else {})


def _error(status: int, reason: str, message: str) -> JSONResponse:
    """An error in Google's shape."""
    entry = {"message": message, "domain": "youtube", "reason": reason}
    return JSONResponse({"error": {"code": status, "message": message, "errors": [entry]}}, status)
