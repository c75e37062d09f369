"""YouTube Shorts over the Data API v3: resumable upload, status, statistics, analytics.

Facts: the API's discovery document (revision 20261104). The session address of a resumable upload is what makes
publishing exactly-once: asked with an empty range it answers with the finished video, however the upload ended.
"""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import Field, SecretStr

from video_pipeline.publishing.platforms.protocol import (
    PlatformVendor,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.rules import PublishRequest
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


class YouTubeShorts:
    """One channel, authorised by an OAuth refresh token."""

    name = "youtube_shorts"
    connected = True

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

    def open_session(self, request: PublishRequest) -> str:
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
        return location

    def finished(self, session_url: str, request: PublishRequest) -> Uploaded | None:
        response = self._call(
            "PUT", session_url, headers={"Content-Range": f"bytes */{request.size_bytes}", "Content-Length": "0"}
        )
        if response.status_code in (200, 201):
            return self._uploaded(response)
        if response.status_code == 308:
            return None
        if response.status_code in (404, 410):
            raise UploadLost("the upload session has expired and no longer says whether the clip went public")
        raise UploadInterrupted(f"HTTP {response.status_code} to a question about an upload session")

    def send(self, session_url: str, path: Path, request: PublishRequest) -> Uploaded:
        try:
            response = self._client.put(
                session_url,
                content=_chunks(path),
                headers=self._bearer() | {"Content-Length": str(request.size_bytes), "Content-Type": "video/mp4"},
            )
        except httpx.TransportError as error:
            raise UploadInterrupted(f"the upload broke off: {type(error).__name__}") from error
        if response.status_code in (200, 201):
            return self._uploaded(response)
        if response.status_code in (404, 410):
            raise UploadLost("the upload session expired while the clip was being sent")
        if response.status_code == 401:
            self._token = None
        if response.status_code in (308, 401, 429) or response.status_code >= 500:
            raise UploadInterrupted(f"HTTP {response.status_code} in answer to the upload")
        raise _refused(response)

    def metrics(self, remote_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(remote_ids), 50):
            batch = remote_ids[start : start + 50]
            found |= self._statistics(batch)
            for video_id, values in self._analytics(batch).items():
                found.setdefault(video_id, {}).update(values)
        return found

    def _statistics(self, batch: Sequence[str]) -> dict[str, dict[str, Any]]:
        response = self._call(
            "GET",
            f"{self._api_url}/youtube/v3/videos",
            params={"part": "status,processingDetails,statistics", "id": ",".join(batch)},
        )
        if response.status_code != 200:
            raise UploadInterrupted(f"YouTube answered {response.status_code} to a question about statistics")
        return {
            item["id"]: {
                name: int(item["statistics"][field])
                for name, field in (("views", "viewCount"), ("likes", "likeCount"), ("comments", "commentCount"))
                if field in item.get("statistics", {})
            }
            for item in response.json().get("items", ())
        }

    def _analytics(self, batch: Sequence[str]) -> dict[str, dict[str, Any]]:
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
        report = response.json()
        columns = [column["name"] for column in report["columnHeaders"]]
        found = {}
        for row in report.get("rows") or ():
            values = dict(zip(columns, row, strict=True))
            # Looping Shorts exceed 100 %.
            completion = min(1.0, float(values["averageViewPercentage"]) / 100)
            found[values["video"]] = {
                "engaged_views": int(values["engagedViews"]),
                "completion": completion,
                "shares": int(values["shares"]),
            }
        return found

    def _uploaded(self, response: httpx.Response) -> Uploaded:
        video_id = response.json()["id"]
        return Uploaded(video_id, self._watch_url.format(video_id=video_id))

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
            answer = response.json()
            self._token = (answer["access_token"], time.monotonic() + float(answer.get("expires_in", 3600)) - 60)
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
        error = response.json()["error"]
        name = error["errors"][0]["reason"]
        reason = f"{name}: {error['message']}"
    except (ValueError, KeyError, IndexError, TypeError):
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
    keys = {
        name: secret.get_secret_value()
        for name in ("client_id", "client_secret", "refresh_token")
        if (secret := getattr(section, name))
    }
    return YouTubeShorts(
        _client(), **keys, api_url=section.api_url, analytics_url=section.analytics_url, token_url=section.token_url
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
    # As for the providers: a proxy or a .netrc of the machine has no part in what is published.
    return httpx.Client(timeout=httpx.Timeout(30, read=120), trust_env=False)


VENDOR = PlatformVendor(YouTubeShorts.name, YouTubeSection, _connect, _connect_sandbox)
