"""The YouTube side of the wire: tokens, resumable upload, video resources, analytics, and the pages of the Shorts.

Shapes follow the YouTube Data API v3, its resumable upload protocol
(https://developers.google.com/youtube/v3/guides/using_resumable_upload_protocol) and the Analytics API v2. A session
publishes once: whatever is sent to a finished session is answered with the video it made.
"""

import hashlib
import json
import re
import sqlite3
import uuid
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp

from video_pipeline.sandbox import page
from video_pipeline.sandbox.books import Books, now, parse_stamp, stamp
from video_pipeline.sandbox.connection import FileBody, Hangup
from video_pipeline.sandbox.engagement import Engagement, engagement
from video_pipeline.sandbox.faults import Faults
from video_pipeline.sandbox.pricelist import PriceList

UPLOAD_PATH = "/youtube/upload/youtube/v3/videos"
MAX_TITLE, MAX_DESCRIPTION = 100, 5000
PRIVACY = ("public", "unlisted", "private")
CHUNK_MULTIPLE = 256 * 1024
PROCESSING_S = 1.0
"""Age from which a video counts as processed."""

_METRICS = {
    "views": ("views", "INTEGER"),
    "engagedViews": ("engaged_views", "INTEGER"),
    "averageViewPercentage": ("average_view_percentage", "FLOAT"),
    "likes": ("likes", "INTEGER"),
    "comments": ("comments", "INTEGER"),
    "shares": ("shares", "INTEGER"),
}
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?P<total>\d+|\*)")


class _UploadCut(Exception):
    """A fault ordered that the connection be cut in the middle of a body."""


class YouTube:
    """One channel."""

    def __init__(self, base_url: str, upload_dir: Path, books: Books, faults: Faults, prices: PriceList) -> None:
        self._base_url, self._upload_dir = base_url, upload_dir
        self._books, self._faults, self._prices = books, faults, prices
        upload_dir.mkdir(exist_ok=True)

    async def token(self, request: Request) -> JSONResponse:
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

    async def start_upload(self, request: Request) -> Response:
        """Opens an upload session from the video's metadata."""
        try:
            metadata = json.loads(await request.body())
            snippet, status = metadata["snippet"], metadata.get("status", {})
            title, description = str(snippet.get("title", "")), str(snippet.get("description", ""))
        except (ValueError, LookupError, TypeError, AttributeError):
            return _error(400, "badRequest", "The body must be a video resource with a snippet.")
        if self._unauthorized(request, title, description):
            return _error(401, "authError", "Invalid Credentials")
        if request.query_params.get("uploadType") != "resumable":
            return _error(400, "badRequest", "uploadType must be resumable.")
        wrong = _wrong_metadata(title, description, status)
        if wrong:
            return _error(400, *wrong)
        announced = request.headers.get("x-upload-content-length", "")
        if announced and not announced.isdigit():
            return _error(400, "badRequest", "X-Upload-Content-Length must be a number of bytes.")
        if self._faults.take("upload_limit", title, description):
            return _error(400, "uploadLimitExceeded", "The user has exceeded the number of videos they may upload.")
        if self._faults.take("quota_exceeded", title, description):
            return _error(
                403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota."
            )
        session = uuid.uuid4().hex
        self._books.insert(
            "uploads",
            session=session,
            metadata=json.dumps(metadata),
            announced_bytes=int(announced) if announced else None,
            started_at=stamp(now()),
        )
        location = f"{self._base_url}{UPLOAD_PATH}?uploadType=resumable&part=snippet,status&upload_id={session}"
        return Response(status_code=200, headers={"Location": location})

    async def send_bytes(self, request: Request) -> ASGIApp:
        """A PUT to a session: the whole body, a chunk of it, or the question how much has arrived."""
        session = request.query_params.get("upload_id", "")
        upload = self._books.one("SELECT * FROM uploads WHERE session = ?", session)
        subjects = _subjects(upload) if upload else ()
        if self._unauthorized(request, *subjects):
            return _error(401, "authError", "Invalid Credentials")
        if upload and self._faults.take("session_expired", *subjects):
            self._books.database.execute("UPDATE uploads SET expired = 1 WHERE session = ?", (session,))
            upload = None
        if upload is None or upload["expired"]:
            return _error(404, "notFound", "The upload session does not exist or has expired.")
        video = self._books.one("SELECT * FROM videos WHERE session = ?", session)
        if video:
            return JSONResponse(self._resource(video, "snippet,status"), 200)
        if self._faults.take("upload_500", *subjects):
            return _error(500, "backendError", "Backend Error")
        try:
            return await self._receive(request, upload)
        except _UploadCut:
            return Hangup(request)
        except ClientDisconnect:
            return Response(status_code=499)  # Nobody reads this; what arrived is kept and the session goes on.

    async def _receive(self, request: Request, upload: sqlite3.Row) -> ASGIApp:
        path = self._file(upload["session"])
        held = path.stat().st_size if path.exists() else 0
        span = request.headers.get("content-range")
        first, total = 0, upload["announced_bytes"]
        length = int(request.headers.get("content-length", 0))
        if span is not None:
            match = _CONTENT_RANGE.fullmatch(span)
            if match is None:
                return _error(400, "badRequest", f"Content-Range '{span}' is not understood.")
            total = int(match["total"]) if match["total"] != "*" else total
            if match["first"] is None:
                return await self._progress(request, upload, held, total)
            first, last = int(match["first"]), int(match["last"])
            if last - first + 1 != length:
                return _error(400, "badRequest", "Content-Range and Content-Length contradict each other.")
            if first > held:
                return _incomplete(held)
            if last + 1 != total and length % CHUNK_MULTIPLE:
                return _error(400, "badRequest", f"Chunks other than the last must be multiples of {CHUNK_MULTIPLE}.")
        if upload["announced_bytes"] not in (None, total if span is not None else length):
            return _error(400, "badRequest", "The length differs from X-Upload-Content-Length.")
        held = await self._append(request, upload, path, first, length)
        return await self._progress(request, upload, held, total if span is not None else length)

    async def _append(self, request: Request, upload: sqlite3.Row, path: Path, first: int, length: int) -> int:
        """Writes a body at its place, chunk by chunk as it arrives; gives the bytes then held."""
        cut = self._faults.take("drop_during_upload", *_subjects(upload))
        limit = int(length * cut.value_or(0.5)) if cut else None
        written = 0
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(first)
            file.seek(first)
            async for chunk in request.stream():
                if limit is not None:
                    chunk = chunk[: limit - written]
                file.write(chunk)
                file.flush()
                written += len(chunk)
                if limit is not None and written >= limit:
                    raise _UploadCut
        return first + written

    async def _progress(self, request: Request, upload: sqlite3.Row, held: int, total: int | None) -> ASGIApp:
        if total is None or held < total:
            return _incomplete(held)
        if held == 0:
            return _error(400, "mediaBodyRequired", "The request does not include the video content.")
        with self._books.transaction():
            video_id = self._publish(upload)
            dropped = self._faults.take("drop_after_publish", *_subjects(upload))
        if dropped:
            return Hangup(request)
        video = self._books.one("SELECT * FROM videos WHERE video_id = ?", video_id)
        assert video is not None
        return JSONResponse(self._resource(video, "snippet,status"), 200)

    def _publish(self, upload: sqlite3.Row) -> str:
        content = self._file(upload["session"]).read_bytes()
        metadata = json.loads(upload["metadata"])
        snippet, status = metadata["snippet"], metadata.get("status", {})
        description = str(snippet.get("description", ""))
        video_id = hashlib.sha256(upload["session"].encode()).hexdigest()[:11]
        self._books.insert(
            "videos",
            video_id=video_id,
            session=upload["session"],
            metadata=upload["metadata"],
            title=str(snippet["title"]),
            description=description,
            tags=json.dumps(snippet.get("tags", [])),
            privacy_status=status.get("privacyStatus", "public"),
            contains_synthetic_media=bool(status.get("containsSyntheticMedia", False)),
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            playable=content[4:8] == b"ftyp",
            published_at=stamp(now()),
            brief_id=_line(description, "Brief"),
            clip_id=_line(description, "Clip"),
            model=_line(description, "Model"),
        )
        return video_id

    def _file(self, session: str) -> Path:
        return self._upload_dir / f"{session}.mp4"

    # --- reading ---------------------------------------------------------------------------------------------

    async def videos(self, request: Request) -> JSONResponse:
        """`videos.list` by id; ids that do not exist are left out, as on YouTube."""
        if self._unauthorized(request):
            return _error(401, "authError", "Invalid Credentials")
        part = request.query_params.get("part", "")
        found = self._found(request.query_params.get("id", ""))
        items = [self._resource(video, part) for video in found]
        page_info = {"totalResults": len(items), "resultsPerPage": len(items)}
        return JSONResponse({"kind": "youtube#videoListResponse", "items": items, "pageInfo": page_info})

    async def reports(self, request: Request) -> JSONResponse:
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
        videos = self._found(filters.removeprefix("video==")) if filters else self._books.all("SELECT * FROM videos")
        rows = []
        for video in videos:
            # A video has had no views before it was published, nor has it any in a span that ends before.
            if start <= end and parse_stamp(video["published_at"]).date() <= end:
                numbers = asdict(self._engagement(video))
                rows.append([video["video_id"], *(numbers[_METRICS[metric][0]] for metric in metrics)])
        headers = [{"name": "video", "columnType": "DIMENSION", "dataType": "STRING"}]
        headers += [{"name": name, "columnType": "METRIC", "dataType": _METRICS[name][1]} for name in metrics]
        return JSONResponse({"kind": "youtubeAnalytics#resultTable", "columnHeaders": headers, "rows": rows})

    async def short(self, request: Request) -> Response:
        """The page on which a published video plays."""
        found = self._found(request.path_params["video_id"])
        if not found:
            return HTMLResponse(page.missing(), 404)
        return HTMLResponse(page.short(found[0], asdict(self._engagement(found[0]))))

    async def published_file(self, request: Request) -> ASGIApp:
        found = self._found(request.path_params["name"].removesuffix(".mp4"))
        if not found:
            return _error(404, "videoNotFound", "The video that you have requested cannot be found.")
        return FileBody(self._file(found[0]["session"]), "video/mp4", head=request.method == "HEAD")

    def _found(self, ids: str) -> list[sqlite3.Row]:
        rows = (self._books.one("SELECT * FROM videos WHERE video_id = ?", one.strip()) for one in ids.split(","))
        return [row for row in rows if row is not None]

    def _engagement(self, video: sqlite3.Row) -> Engagement:
        model = self._prices.named_in(video["model"] or "")
        words = f"{video['title']} {video['description']} {video['tags']}".lower()
        appeal = model.appeal + sum(bonus for word, bonus in model.affinity.items() if word in words)
        return engagement(video["video_id"], appeal, self._age_s(video))

    @staticmethod
    def _age_s(video: sqlite3.Row) -> float:
        return (now() - parse_stamp(video["published_at"])).total_seconds()

    def _resource(self, video: sqlite3.Row, part: str) -> dict[str, Any]:
        metadata, numbers = json.loads(video["metadata"]), self._engagement(video)
        processed = self._age_s(video) >= PROCESSING_S
        upload = ("processed" if video["playable"] else "failed") if processed else "uploaded"
        failure = {} if upload != "failed" else {"failureReason": "invalidFile"}
        parts = {
            "snippet": {**metadata["snippet"], "publishedAt": video["published_at"], "channelId": "UC-sandbox"},
            "status": {
                **metadata.get("status", {}),
                "privacyStatus": video["privacy_status"],
                "containsSyntheticMedia": bool(video["contains_synthetic_media"]),
                "uploadStatus": upload,
                **failure,
            },
            "processingDetails": {
                "processingStatus": {"uploaded": "processing", "processed": "succeeded", "failed": "failed"}[upload]
            },
            "statistics": {
                "viewCount": str(numbers.views),
                "likeCount": str(numbers.likes),
                "favoriteCount": "0",
                "commentCount": str(numbers.comments),
            },
        }
        asked = {name: content for name, content in parts.items() if name in part.split(",")}
        return {"kind": "youtube#video", "etag": video["sha256"][:27], "id": video["video_id"], **asked}

    def _unauthorized(self, request: Request, *subjects: str) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme != "Bearer" or not token.strip() or self._faults.take("token_401", *subjects) is not None


def _wrong_metadata(title: str, description: str, status: dict[str, Any]) -> tuple[str, str] | None:
    """Google's reason and a message when YouTube would not take the metadata."""
    if not title.strip() or len(title) > MAX_TITLE or "<" in title or ">" in title:
        return "invalidTitle", f"The title must have 1 to {MAX_TITLE} characters other than < and >."
    if len(description.encode()) > MAX_DESCRIPTION or "<" in description or ">" in description:
        return "invalidDescription", f"The description may have {MAX_DESCRIPTION} bytes, without < and >."
    if status.get("privacyStatus", "public") not in PRIVACY:
        return "invalidVideoMetadata", f"privacyStatus must be one of {', '.join(PRIVACY)}."
    if "publishAt" in status and status.get("privacyStatus") != "private":
        return "invalidPublishAt", "publishAt may be set only if privacyStatus is private."
    return None


def _subjects(upload: sqlite3.Row) -> tuple[str, str]:
    """The texts of an upload in which a fault's `match` is looked for."""
    snippet = json.loads(upload["metadata"])["snippet"]
    return str(snippet.get("title", "")), str(snippet.get("description", ""))


def _line(description: str, label: str) -> str | None:
    """The rest of the description's line that starts with the label and a colon."""
    match = re.search(rf"^{label}:[ \t]*(\S.*?)\s*$", description, re.MULTILINE)
    return match[1] if match else None


def _incomplete(held: int) -> Response:
    return Response(status_code=308, headers={"Range": f"bytes=0-{held - 1}"} if held else {})


def _error(status: int, reason: str, message: str) -> JSONResponse:
    """An error in Google's shape."""
    entry = {"message": message, "domain": "youtube", "reason": reason}
    return JSONResponse({"error": {"code": status, "message": message, "errors": [entry]}}, status)
