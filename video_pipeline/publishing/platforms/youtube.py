"""YouTube Shorts over the Data API v3: resumable upload, status, statistics, analytics.

Facts: the API's discovery document (revision 20261104). The session address of a resumable upload is what makes
publishing exactly-once: asked with an empty range it answers with the finished video, however the upload ended.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from video_pipeline.publishing.platforms.protocol import (
    Metrics,
    Missing,
    PlatformVendor,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.rules import Limits, PublishRequest
from video_pipeline.settings import VendorSection

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 4 * 1024 * 1024
_RETRIES_S = (1.0, 2.0, 4.0)
# Reasons under HTTP 400 that a day's wait removes (developers.google.com/youtube/v3/docs/errors, videos.insert).
_PASSING = frozenset({"uploadLimitExceeded"})
# Analytics lag by two to three days; asking for a longer span costs nothing.
_ANALYTICS_SPAN = timedelta(days=30)


class YouTubeSection(VendorSection):
    """A channel's OAuth client and refresh token; the addresses are Google's own unless they are set."""

    client_id: SecretStr | None = Field(None, validation_alias="YOUTUBE_CLIENT_ID")
    client_secret: SecretStr | None = Field(None, validation_alias="YOUTUBE_CLIENT_SECRET")
    refresh_token: SecretStr | None = Field(None, validation_alias="YOUTUBE_REFRESH_TOKEN")
    api_url: str = Field("https://www.googleapis.com", validation_alias="VIDEO_PIPELINE_YOUTUBE_API_URL")
    analytics_url: str = Field(
        "https://youtubeanalytics.googleapis.com", validation_alias="VIDEO_PIPELINE_YOUTUBE_ANALYTICS_URL"
    )
    token_url: str = Field("https://oauth2.googleapis.com/token", validation_alias="VIDEO_PIPELINE_YOUTUBE_TOKEN_URL")


class _Upload(BaseModel):
    """An upload session as the ledger keeps it."""

    url: str
    size_bytes: int


class _Token(BaseModel):
    access_token: str
    expires_in: float = 3600.0


class _Statistics(BaseModel):
    views: int | None = Field(default=None, validation_alias="viewCount")
    likes: int | None = Field(default=None, validation_alias="likeCount")
    comments: int | None = Field(default=None, validation_alias="commentCount")


class _Video(BaseModel):
    id: str
    statistics: _Statistics = _Statistics()


class _VideoList(BaseModel):
    items: tuple[_Video, ...] = ()


class _Column(BaseModel):
    name: str


class _Report(BaseModel):
    """An answer of YouTube Analytics: a table whose columns have names."""

    columns: tuple[_Column, ...] = Field(validation_alias="columnHeaders")
    rows: tuple[tuple[str | float, ...], ...] | None = None


class _ReportRow(BaseModel):
    video: str
    engaged_views: int = Field(validation_alias="engagedViews")
    view_percentage: float = Field(validation_alias="averageViewPercentage")
    shares: int


class _ErrorItem(BaseModel):
    reason: str


class _Error(BaseModel):
    message: str
    errors: tuple[_ErrorItem, ...] = Field(min_length=1)


class _ErrorAnswer(BaseModel):
    error: _Error


class YouTubeShorts:
    """One channel, authorised by an OAuth refresh token.

    YouTube answers the last byte with the video. What it does with the file afterwards is no part of publishing, so
    there is no processing to wait for.
    """

    name = "youtube_shorts"
    connected = True
    # YouTube Data API v3 (title, description) and the length of a Short.
    limits = Limits(
        title=100, description=5000, description_in_bytes=True, forbidden="<>", min_s=0, max_s=180, vertical=True
    )
    processing_waits_s = ()

    def __init__(
        self,
        client: httpx.Client,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        api_url: str,
        analytics_url: str,
        token_url: str,
        watch_url: str = "https://www.youtube.com/shorts/{video_id}",
    ) -> None:
        self._client = client
        self._credentials = {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "client_secret": client_secret,
            "refresh_token": refresh_token,
        }
        self._api_url = api_url.rstrip("/")
        self._analytics_url = analytics_url.rstrip("/")
        self._token_url = token_url
        self._watch_url = watch_url
        self._token: tuple[str, float] | None = None

    def open_session(self, request: PublishRequest) -> Session:
        response = self._call(
            "POST",
            f"{self._api_url}/upload/youtube/v3/videos",
            params={"uploadType": "resumable", "part": "snippet,status"},
            headers={
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Length": str(request.size_bytes),
                "X-Upload-Content-Type": "video/mp4",
            },
            content=json.dumps(_resource(request)),
        )
        location = response.headers.get("Location")
        if response.status_code != 200 or not location:
            raise _refused(response)
        return _Upload(url=location, size_bytes=request.size_bytes).model_dump()

    def status(self, session: Session) -> Status:
        upload = _Upload.model_validate(session)
        response = self._call(
            "PUT", upload.url, headers={"Content-Range": f"bytes */{upload.size_bytes}", "Content-Length": "0"}
        )
        if response.status_code in (200, 201):
            return self._uploaded(response)
        if response.status_code == 308:
            return Missing()
        if response.status_code in (404, 410):
            raise UploadLost("the upload session has expired and no longer says whether the clip went public")
        raise UploadInterrupted(f"HTTP {response.status_code} to a question about an upload session")

    def send(self, session: Session, path: Path) -> Status:
        upload = _Upload.model_validate(session)
        try:
            response = self._client.put(
                upload.url,
                content=_chunks(path),
                headers=self._bearer() | {"Content-Length": str(upload.size_bytes), "Content-Type": "video/mp4"},
            )
        except httpx.TransportError as error:
            raise UploadInterrupted(f"the upload broke off: {type(error).__name__}") from error
        if response.status_code in (200, 201):
            return self._uploaded(response)
        if response.status_code == 308:
            return Missing()
        if response.status_code in (404, 410):
            raise UploadLost("the upload session expired while the clip was being sent")
        if response.status_code == 401:
            self._token = None
        if response.status_code in (401, 429) or response.status_code >= 500:
            raise UploadInterrupted(f"HTTP {response.status_code} in answer to the upload")
        raise _refused(response)

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        found: dict[str, Metrics] = {}
        for start in range(0, len(remote_ids), 50):
            batch = remote_ids[start : start + 50]
            statistics, analytics = self._statistics(batch), self._analytics(batch)
            for video_id in statistics.keys() | analytics.keys():
                public, own = statistics.get(video_id, _Statistics()), analytics.get(video_id)
                found[video_id] = Metrics(
                    views=public.views,
                    likes=public.likes,
                    comments=public.comments,
                    engaged_views=own.engaged_views if own else None,
                    shares=own.shares if own else None,
                    # Looping Shorts exceed 100 %.
                    completion=min(1.0, own.view_percentage / 100) if own else None,
                )
        return found

    def _statistics(self, batch: Sequence[str]) -> dict[str, _Statistics]:
        """What everybody sees of the videos that there are."""
        response = self._call(
            "GET",
            f"{self._api_url}/youtube/v3/videos",
            params={"part": "status,processingDetails,statistics", "id": ",".join(batch)},
        )
        if response.status_code != 200:
            raise UploadInterrupted(f"YouTube answered {response.status_code} to a question about statistics")
        return {item.id: item.statistics for item in _VideoList.model_validate_json(response.content).items}

    def _analytics(self, batch: Sequence[str]) -> dict[str, _ReportRow]:
        """Shares and completion; a Shorts view counts every start, so `engaged_views` is the better number."""
        today = datetime.now(UTC).date()
        response = self._call(
            "GET",
            f"{self._analytics_url}/v2/reports",
            params={
                "ids": "channel==MINE",
                "startDate": (today - _ANALYTICS_SPAN).isoformat(),
                "endDate": today.isoformat(),
                "metrics": "views,engagedViews,averageViewPercentage,likes,comments,shares",
                "dimensions": "video",
                "filters": f"video=={','.join(batch)}",
            },
        )
        if response.status_code != 200:
            _LOG.warning("YouTube Analytics answered %s; only public statistics are kept", response.status_code)
            return {}
        report = _Report.model_validate_json(response.content)
        names = [column.name for column in report.columns]
        rows = [_ReportRow.model_validate(dict(zip(names, row, strict=True))) for row in report.rows or ()]
        return {row.video: row for row in rows}

    def _uploaded(self, response: httpx.Response) -> Uploaded:
        try:
            video = _Video.model_validate_json(response.content)
        except ValidationError as error:
            raise UploadInterrupted("YouTube has the clip and did not say under which id") from error
        return Uploaded(video.id, self._watch_url.format(video_id=video.id))

    def _call(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        """A call that is free to repeat: on network trouble and 5xx it is, with a pause."""
        headers = arguments.pop("headers", {})
        for wait_s in (*_RETRIES_S, None):
            try:
                response = self._client.request(method, url, headers=self._bearer() | headers, **arguments)
            except httpx.TransportError as error:
                if wait_s is None:
                    raise UploadInterrupted(f"YouTube cannot be reached: {type(error).__name__}") from error
            else:
                if wait_s is None or (response.status_code < 500 and response.status_code != 401):
                    return response
                if response.status_code == 401:
                    self._token = None
            time.sleep(wait_s)
        raise AssertionError("the last try returns")

    def _bearer(self) -> dict[str, str]:
        """An access token, refreshed a minute before it runs out."""
        if self._token is None or self._token[1] < time.monotonic():
            try:
                response = self._client.post(self._token_url, data=self._credentials)
            except httpx.TransportError as error:
                raise UploadInterrupted(f"YouTube's token service failed: {type(error).__name__}") from error
            if response.status_code == 429 or response.status_code >= 500:
                raise UploadInterrupted(f"YouTube's token service answered {response.status_code}")
            if response.status_code != 200:
                raise UploadRefused(f"YouTube refused the credentials (HTTP {response.status_code})")
            try:
                token = _Token.model_validate_json(response.content)
            except ValidationError as error:
                raise UploadInterrupted("YouTube's token service answered without a token") from error
            self._token = (token.access_token, time.monotonic() + token.expires_in - 60)
        return {"Authorization": f"Bearer {self._token[0]}"}


def _resource(request: PublishRequest) -> dict[str, Any]:
    return {
        "snippet": {
            "title": request.title,
            "description": request.description,
            "tags": list(request.tags),
            "categoryId": "22",
        },
        "status": {
            "privacyStatus": "public",
            "selfDeclaredMadeForKids": False,
            "containsSyntheticMedia": True,
        },
    }


def _refused(response: httpx.Response) -> UploadRefused:
    """The refusal in Google's words; a 400 is about the clip or its words, other than the channel's daily limit."""
    try:
        error = _ErrorAnswer.model_validate_json(response.content).error
        name = error.errors[0].reason
        reason = f"{name}: {error.message}"
    except ValidationError:
        name, reason = "", f"HTTP {response.status_code}: {response.text[:200]}"
    lasting = response.status_code == 400 and name not in _PASSING
    return UploadRefused(f"YouTube refused the upload ({reason})", lasting=lasting)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _connect(section: YouTubeSection) -> YouTubeShorts | None:
    if not section.connected("YouTube"):
        return None
    keys = (section.client_id, section.client_secret, section.refresh_token)
    client_id, client_secret, refresh_token = (key.get_secret_value() if key else "" for key in keys)
    return YouTubeShorts(
        _client(),
        client_id=client_id,
        client_secret=client_secret,
        refresh_token=refresh_token,
        api_url=section.api_url,
        analytics_url=section.analytics_url,
        token_url=section.token_url,
    )


def _connect_sandbox(base_url: str) -> YouTubeShorts:
    return YouTubeShorts(
        _client(),
        client_id="sandbox",
        client_secret="sandbox",
        refresh_token="sandbox",
        api_url=f"{base_url}/youtube",
        analytics_url=f"{base_url}/youtube-analytics",
        token_url=f"{base_url}/oauth2/token",
        watch_url=f"{base_url}/shorts/{{video_id}}",
    )


def _client() -> httpx.Client:
    # A proxy or a .netrc of the machine has no part in what is published.
    return httpx.Client(timeout=httpx.Timeout(30, read=120), trust_env=False)


VENDOR = PlatformVendor(
    name=YouTubeShorts.name,
    limits=YouTubeShorts.limits,
    section=YouTubeSection,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
