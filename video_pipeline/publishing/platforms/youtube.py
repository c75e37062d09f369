"""YouTube Shorts over the Data API v3: resumable upload, status, statistics, analytics.

Facts: the API's discovery document (revision 20261104). The session address of a resumable upload is what makes
publishing exactly-once: asked with an empty range it answers with the finished video, however the upload ended.
"""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationError

from video_pipeline.errors import ConfigurationError
from video_pipeline.publishing.platforms.calls import repeated
from video_pipeline.publishing.platforms.protocol import (
    Before,
    Metrics,
    Missing,
    PlatformVendor,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
    longest_send_s,
)
from video_pipeline.publishing.rules import Limits, PublishRequest
from video_pipeline.settings import VendorSection
from video_pipeline.wire import (
    Answer,
    BlockingLine,
    Bounds,
    NoAnswer,
    NotSent,
    Unreadable,
    clean,
)

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_RETRIES_S = (1.0, 2.0, 4.0)
_CALL = Bounds(total_s=30)
# Analytics lag by two to three days; asking for a longer span costs nothing.
_ANALYTICS_SPAN = timedelta(days=30)
_VIDEO_ID = r"[A-Za-z0-9_-]{1,64}"
_WATCH_PAGE = re.compile(
    r"https://(?:(?:www\.|m\.)?youtube\.com/(?:shorts/|live/|watch\?v=)|youtu\.be/)"
    rf"(?P<id>{_VIDEO_ID})(?:[?&#/].*)?"
)

# The words of Google's documents for a no (developers.google.com/youtube/v3/docs/errors and .../docs/videos/insert).
_ABOUT_THE_CLIP = frozenset(
    {
        "defaultLanguageNotSet",
        "invalidCategoryId",
        "invalidDescription",
        "invalidFilename",
        "invalidPublishAt",
        "invalidRecordingDetails",
        "invalidTags",
        "invalidTitle",
        "invalidVideoGameRating",
        "invalidVideoMetadata",
    }
)
_ABOUT_THE_CHANNEL = frozenset(
    {
        "accessNotConfigured",
        "accountDelegationForbidden",
        "authError",
        "authenticatedUserAccountClosed",
        "authenticatedUserAccountSuspended",
        "authenticatedUserNotChannel",
        "authorizationRequired",
        "badRequest",
        "channelClosed",
        "channelSuspended",
        "dailyLimitExceeded",
        "forbidden",
        "forbiddenLicenseSetting",
        "forbiddenPrivacySetting",
        "insufficientPermissions",
        "mediaBodyRequired",
        "quotaExceeded",
        "rateLimitExceeded",
        "uploadLimitExceeded",
        "userRateLimitExceeded",
        "youtubeSignupRequired",
    }
)
# The Data API's quota is reset at midnight, Pacific Time. A channel's uploads are counted over 24 hours, and
# nobody is told their beginning, so that it is asked again now and then.
_QUOTA_ZONE = ZoneInfo("America/Los_Angeles")
_DAY_S = 86_400.0
_LIMITS: dict[str, float | None] = {
    "dailyLimitExceeded": None,
    "quotaExceeded": None,
    "rateLimitExceeded": 60.0,
    "uploadLimitExceeded": 3 * 3600.0,
    "userRateLimitExceeded": 60.0,
}
_REFUSING = frozenset({400, 401, 403, 429})
_SESSION_GONE = frozenset({"gone", "notFound"})
# RFC 6749, section 5.2, and Google's own beside them.
_CREDENTIALS_REFUSED = frozenset(
    {
        "access_denied",
        "admin_policy_enforced",
        "deleted_client",
        "disabled_client",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "org_internal",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)


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


def _counted(value: Any) -> Any:
    """Google writes some counts as text and some as numbers; whatever else there is stays as it is, to be refused."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,14}", value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Count = Annotated[int, BeforeValidator(_counted), Field(strict=True, ge=0, le=10**13)]


class _Upload(BaseModel):
    """An upload session as the ledger keeps it."""

    url: str
    size_bytes: int


class _Token(BaseModel):
    access_token: str = Field(pattern=r"^[A-Za-z0-9._~+/-]{1,4096}=*$")
    expires_in: float = Field(default=3600.0, gt=0, le=1e9, allow_inf_nan=False)


class _TokenError(BaseModel):
    error: str


class _Statistics(BaseModel):
    views: _Count | None = Field(default=None, validation_alias="viewCount")
    likes: _Count | None = Field(default=None, validation_alias="likeCount")
    comments: _Count | None = Field(default=None, validation_alias="commentCount")


class _Video(BaseModel):
    kind: Literal["youtube#video"] = "youtube#video"
    id: str = Field(pattern=f"^{_VIDEO_ID}$")
    statistics: _Statistics = _Statistics()


class _VideoList(BaseModel):
    items: tuple[_Video, ...] = Field(max_length=50)


class _Column(BaseModel):
    name: str


class _Report(BaseModel):
    """An answer of YouTube Analytics: a table whose columns have names."""

    columns: tuple[_Column, ...] = Field(validation_alias="columnHeaders")
    rows: tuple[tuple[Any, ...], ...] | None = Field(default=None, max_length=50)


class _ReportRow(BaseModel):
    video: str
    engaged_views: _Count = Field(validation_alias="engagedViews")
    # Looping Shorts exceed 100 %.
    view_percentage: float = Field(
        validation_alias="averageViewPercentage", strict=True, ge=0, le=100_000, allow_inf_nan=False
    )
    shares: _Count


class _ErrorItem(BaseModel):
    reason: str


class _Error(BaseModel):
    code: int
    message: str = ""
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
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        api_url: str,
        analytics_url: str,
        token_url: str,
        watch_url: str = "https://www.youtube.com/shorts/{video_id}",
        client: httpx.AsyncClient | None = None,
    ) -> None:
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
        secrets = (client_secret, refresh_token)
        # A line each: the client's secret goes to the token service alone, and a token never there.
        self._api = BlockingLine("YouTube", origins=_origins(api_url), secrets=secrets, client=client)
        self._analytics = BlockingLine("YouTube Analytics", origins=(analytics_url,), secrets=secrets, client=client)
        self._tokens = BlockingLine("YouTube's token service", origins=(token_url,), secrets=secrets, client=client)
        self._token: tuple[str, float] | None = None

    def open_session(self, request: PublishRequest, *, before: Before = None) -> Session:
        answer = self._call(
            self._api,
            "POST",
            f"{self._api_url}/upload/youtube/v3/videos",
            params={"uploadType": "resumable", "part": "snippet,status"},
            headers={
                "X-Upload-Content-Length": str(request.size_bytes),
                "X-Upload-Content-Type": "video/mp4",
            },
            json=_resource(request),
            before=before,
        )
        if answer.status != 200:
            raise _refusal(answer) or _untold(answer, "to the announcement of an upload")
        # As it came: an address in which something had to be replaced is another address.
        location = answer.headers.get("location", "")
        if location != answer.header("Location") or not self._api.is_ours(location):
            raise UploadInterrupted(
                "YouTube opened an upload at no address of its own, so that nothing was sent there",
                answer=answer.kept(),
            )
        return _Upload(url=location, size_bytes=request.size_bytes).model_dump()

    def status(self, session: Session) -> Status:
        upload = _upload(session)
        headers = {"Content-Range": f"bytes */{upload.size_bytes}", "Content-Length": "0"}
        return self._become(
            self._call(self._api, "PUT", upload.url, headers=headers), "to a question about an upload"
        )

    def send(self, session: Session, path: Path, *, before: Before = None) -> Status:
        upload = _upload(session)
        headers = self._bearer() | {"Content-Type": "video/mp4"}
        bounds = Bounds(total_s=longest_send_s(upload.size_bytes))
        try:
            answer = self._api.ask("PUT", upload.url, headers=headers, content=path, bounds=bounds, before=before)
        except (NotSent, NoAnswer) as error:
            raise UploadInterrupted(f"the upload broke off: {error}") from None
        if answer.status == 401:
            self._token = None
            raise _untold(answer, "to an upload")
        return self._become(answer, "to an upload")

    def found(self, named: str) -> Uploaded:
        own_page = re.escape(self._watch_url).replace(re.escape("{video_id}"), f"(?P<id>{_VIDEO_ID})")
        for pattern in (f"(?P<id>{_VIDEO_ID})", own_page, _WATCH_PAGE):
            if match := re.fullmatch(pattern, named.strip()):
                return self._uploaded(match["id"])
        raise ConfigurationError("That names no video of YouTube: give its id, or the address of its page.")

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        found: dict[str, Metrics] = {}
        for start in range(0, len(remote_ids), 50):
            batch = remote_ids[start : start + 50]
            statistics, analytics = self._statistics(batch), self._analytics_of(batch)
            for video_id in statistics.keys() | analytics.keys():
                public, own = statistics.get(video_id, _Statistics()), analytics.get(video_id)
                found[video_id] = Metrics(
                    views=public.views,
                    likes=public.likes,
                    comments=public.comments,
                    engaged_views=own.engaged_views if own else None,
                    shares=own.shares if own else None,
                    completion=min(1.0, own.view_percentage / 100) if own else None,
                )
        return found

    def _statistics(self, batch: Sequence[str]) -> dict[str, _Statistics]:
        """What everybody sees of the videos that there are."""
        answer = self._call(
            self._api,
            "GET",
            f"{self._api_url}/youtube/v3/videos",
            params={"part": "status,processingDetails,statistics", "id": ",".join(batch)},
        )
        if answer.status != 200:
            raise _refusal(answer) or _untold(answer, "to a question about statistics")
        try:
            items = answer.read(_VideoList).items
        except Unreadable as error:
            raise _unread(answer, "to a question about statistics", error) from None
        return _of_those_asked(batch, {item.id: item.statistics for item in items}, len(items), answer)

    def _analytics_of(self, batch: Sequence[str]) -> dict[str, _ReportRow]:
        """Shares and completion; a Shorts view counts every start, so `engaged_views` is the better number."""
        today = datetime.now(UTC).date()
        answer = self._call(
            self._analytics,
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
        if answer.status != 200:
            _LOG.warning("YouTube Analytics answered %s; only public statistics are kept", answer.status)
            return {}
        try:
            report = answer.read(_Report)
            names = [column.name for column in report.columns]
            rows = [_ReportRow.model_validate(dict(zip(names, row, strict=True))) for row in report.rows or ()]
        except (Unreadable, ValueError) as error:
            raise _unread(answer, "to a question about analytics", error) from None
        return _of_those_asked(batch, {row.video: row for row in rows}, len(rows), answer)

    def _become(self, answer: Answer, asked: str) -> Status:
        """What an answer of an upload session says. Raises UploadRefused, UploadLost or UploadInterrupted."""
        if answer.status in (200, 201):
            try:
                return self._uploaded(answer.read(_Video).id, answer)
            except Unreadable as error:
                raise UploadInterrupted(
                    f"YouTube may have the clip and did not say under which id ({error})", answer=answer.kept()
                ) from None
        # With an address it is a redirect, which no upload session gives.
        if answer.status == 308 and not answer.header("Location"):
            return Missing()
        if answer.status in (404, 410) and _reason(answer) in _SESSION_GONE:
            raise UploadLost(
                "the upload session has expired and no longer says whether the clip went public",
                answer=answer.kept(),
            )
        raise _refusal(answer) or _untold(answer, asked)

    def _uploaded(self, video_id: str, answer: Answer | None = None) -> Uploaded:
        return Uploaded(video_id, self._watch_url.format(video_id=video_id), answer and answer.kept())

    def _call(
        self,
        line: BlockingLine,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        before: Before = None,
    ) -> Answer:
        """A call that is free to repeat: on network trouble and 5xx it is, with a pause."""

        def ask() -> Answer:
            own = self._bearer() | dict(headers or {})
            return line.ask(method, url, headers=own, params=params, json=json, bounds=_CALL, before=before)

        return repeated(ask, waits_s=_RETRIES_S, no_word=self._no_word)

    def _no_word(self, answer: Answer) -> str | None:
        """That another try may do better: with a new token, or later."""
        if answer.status == 401:
            self._token = None
        return f"YouTube answered {answer.status}" if answer.status >= 500 or answer.status == 401 else None

    def _bearer(self) -> dict[str, str]:
        """An access token, refreshed a minute before it runs out."""
        if self._token is None or self._token[1] < time.monotonic():
            try:
                answer = self._tokens.ask("POST", self._token_url, data=self._credentials, bounds=_CALL)
            except (NotSent, NoAnswer) as error:
                raise UploadInterrupted(str(error)) from None
            # Its body may hold a token that nobody knows yet, so that no more than its status is kept.
            kept = {"status": answer.status}
            try:
                if answer.status in (400, 401) and (word := answer.read(_TokenError).error) in _CREDENTIALS_REFUSED:
                    raise UploadRefused(f"YouTube refused the credentials ({word})", cause="credentials", answer=kept)
                if answer.status != 200:
                    raise UploadInterrupted(f"YouTube's token service answered {answer.status}", answer=kept)
                token = answer.read(_Token)
            except Unreadable:
                raise UploadInterrupted(
                    f"YouTube's token service answered {answer.status} and not as documented", answer=kept
                ) from None
            for line in (self._api, self._analytics):
                line.secrets.add(token.access_token)
            self._token = (token.access_token, time.monotonic() + token.expires_in - 60)
        return {"Authorization": f"Bearer {self._token[0]}"}


def _origins(api_url: str) -> tuple[str, ...]:
    """Where a file and a token may go: the API's own host, and where it is Google's, the hosts of Google's APIs."""
    google = "https://*.googleapis.com"
    return (api_url, google) if BlockingLine("Google", origins=(google,)).is_ours(api_url) else (api_url,)


def _upload(session: Session) -> _Upload:
    try:
        return _Upload.model_validate(session)
    except ValidationError:
        raise UploadInterrupted("the ledger's upload session is none of YouTube's") from None


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


def _error(answer: Answer) -> _Error | None:
    """The error in Google's own document for one, if that is what the answer is."""
    try:
        error = answer.read(_ErrorAnswer).error
    except Unreadable:
        return None
    return error if error.code == answer.status else None


def _reason(answer: Answer) -> str:
    """Google's word for an error; empty without one."""
    error = _error(answer)
    return error.errors[0].reason if error else ""


def _refusal(answer: Answer) -> UploadRefused | None:
    """The refusal, where Google's documents have one in these words; a few of them are about the clip itself."""
    error, reason = _error(answer), _reason(answer)
    if error is None or answer.status not in _REFUSING or reason not in _ABOUT_THE_CLIP | _ABOUT_THE_CHANNEL:
        return None
    said = f"YouTube refused it ({reason}: {clean(error.message, 300)})"
    lasting = reason in _ABOUT_THE_CLIP
    not_before = _freed_at(reason, answer.retry_after_s)
    cause = "" if lasting else reason
    return UploadRefused(said, lasting=lasting, not_before=not_before, cause=cause, answer=answer.kept())


def _freed_at(reason: str, retry_after_s: float | None) -> datetime | None:
    """When a limit lets calls through again: as YouTube says, else as its documents do; None for another reason."""
    if reason not in _LIMITS:
        return None
    now = datetime.now(UTC)
    if retry_after_s is not None:
        return now + timedelta(seconds=min(retry_after_s, _DAY_S))
    pause_s = _LIMITS[reason]
    if pause_s is not None:
        return now + timedelta(seconds=pause_s)
    tomorrow = now.astimezone(_QUOTA_ZONE).date() + timedelta(days=1)
    return datetime.combine(tomorrow, datetime.min.time(), _QUOTA_ZONE).astimezone(UTC)


def _untold(answer: Answer, asked: str) -> UploadInterrupted:
    return UploadInterrupted(f"YouTube answered {answer.status} {asked}", answer=answer.kept())


def _unread(answer: Answer, asked: str, error: Exception) -> UploadInterrupted:
    said = error if isinstance(error, Unreadable) else "it is not as documented"
    return UploadInterrupted(f"YouTube answered {answer.status} {asked}, and {said}", answer=answer.kept())


def _of_those_asked(batch: Sequence[str], told: dict[str, _T], rows: int, answer: Answer) -> dict[str, _T]:
    """`told`, in which each of those that were asked for may stand once, and nobody else."""
    if len(told) != rows or not told.keys() <= set(batch):
        raise UploadInterrupted("YouTube told numbers of videos that were not asked for", answer=answer.kept())
    return told


def _connect(section: YouTubeSection) -> YouTubeShorts | None:
    if not section.connected("YouTube"):
        return None
    keys = (section.client_id, section.client_secret, section.refresh_token)
    client_id, client_secret, refresh_token = (key.get_secret_value() if key else "" for key in keys)
    return YouTubeShorts(
        client_id=client_id,
        client_secret=client_secret,
        refresh_token=refresh_token,
        api_url=section.server("api_url"),
        analytics_url=section.server("analytics_url"),
        token_url=section.server("token_url"),
    )


def _connect_sandbox(base_url: str) -> YouTubeShorts:
    return YouTubeShorts(
        client_id="sandbox",
        client_secret="sandbox",
        refresh_token="sandbox",
        api_url=f"{base_url}/youtube",
        analytics_url=f"{base_url}/youtube-analytics",
        token_url=f"{base_url}/oauth2/token",
        watch_url=f"{base_url}/shorts/{{video_id}}",
    )


VENDOR = PlatformVendor(
    name=YouTubeShorts.name,
    limits=YouTubeShorts.limits,
    section=YouTubeSection,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
