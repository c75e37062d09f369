"""Instagram Reels over the Graph API: a container takes the bytes, is processed, and is then told to go public.

Facts: Meta's documents of content publishing and of resumable uploads. The container is what makes publishing
exactly-once: it goes public once however often it is told to, and it says whether it has.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from video_pipeline.errors import ConfigurationError
from video_pipeline.publishing.platforms.calls import repeated
from video_pipeline.publishing.platforms.protocol import (
    Before,
    Failed,
    Metrics,
    Missing,
    PlatformVendor,
    Processing,
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
from video_pipeline.wire import Answer, BlockingLine, Bounds, FilePart, NoAnswer, NotSent, Unreadable, clean

_ModelT = TypeVar("_ModelT", bound=BaseModel)
_RETRIES_S = (1.0, 2.0, 4.0)
_CALL = Bounds(total_s=30)
# Meta answers the word to publish when the reel is there.
_PUBLISH = Bounds(total_s=120)
# So many of the account's latest reels are looked through, which is one page.
_LATEST = 50
_ID = r"[A-Za-z0-9_-]{1,64}"
_PAGE = re.compile(
    rf"https://(?:www\.)?instagram\.com/(?:[\w.]+/)?(?:reel|reels|p)/(?P<shortcode>{_ID})/?(?:[?#].*)?"
)
_SUBCODE = re.compile(r"\b2207\d{3}\b")
_NUMBERS = ("views,likes,comments,shares", "likes,comments,shares")
"""Metrics of a reel. One that an account has not got fails the whole call, so that fewer are asked for then."""

# Meta's error codes (developers.facebook.com, Graph API and content publishing, "Error codes").
_TOKEN = frozenset({102, 190})
_PERMISSION = frozenset({3, 10, *range(200, 300)})
_RATE = frozenset({4, 17, 32, 613, 80002})
_INVALID = 100
# Of a node: it is not there, or this token may not see it.
_NO_NODE = 33
_DAILY_CAP, _BLOCKED, _RESTRICTED, _NOT_READY = 2207042, 2207051, 2207050, 2207027
# Subcodes that are about the film or its caption: format, aspect ratio, caption, cover.
_ABOUT_THE_CLIP = frozenset({2207009, 2207010, 2207023, 2207026, 2207057, 2207082})
_CODES_ABOUT_THE_CLIP = frozenset({352, 36003, 36004})
# A cap counts the posts of the last 24 hours, and nobody is told when the oldest of them leaves it.
_CAP_PAUSE, _RATE_PAUSE = timedelta(hours=1), timedelta(hours=1)
_MOST_PAUSE = timedelta(days=1)
# With 200 there is an error now and then, too.
_TELLING = frozenset({200, 400, 401, 403, 429})


class InstagramSection(VendorSection):
    """A professional account and a token of its app; the address is Meta's own unless it is set."""

    access_token: SecretStr | None = Field(None, validation_alias="INSTAGRAM_ACCESS_TOKEN")
    user_id: str | None = Field(None, validation_alias="INSTAGRAM_USER_ID")
    graph_url: str = Field("https://graph.facebook.com/v24.0", validation_alias="VIDEO_PIPELINE_INSTAGRAM_GRAPH_URL")
    share_to_feed: bool = Field(True, validation_alias="VIDEO_PIPELINE_INSTAGRAM_SHARE_TO_FEED")


_Id = Annotated[str, Field(pattern=f"^{_ID}$")]
_Count = Annotated[int, Field(strict=True, ge=0, le=10**13)]


class _Upload(BaseModel):
    """An upload session as the ledger keeps it: the container, where its bytes go, and what its reel is known by."""

    container: str
    url: str
    size_bytes: int
    caption: str


class _Opened(BaseModel):
    id: _Id
    uri: str


class _Phase(BaseModel):
    status: str = ""
    bytes_transferred: _Count = 0


class _VideoStatus(BaseModel):
    uploading_phase: _Phase = _Phase()


class _Container(BaseModel):
    status_code: Literal["IN_PROGRESS", "FINISHED", "ERROR", "EXPIRED", "PUBLISHED"]
    status: str | int = ""
    video_status: _VideoStatus | None = None


class _Sent(BaseModel):
    success: Literal[True]


class _Named(BaseModel):
    id: _Id


class _Reel(BaseModel):
    """One of the account's posts."""

    id: _Id
    shortcode: _Id
    caption: str = ""


class _Reels(BaseModel):
    data: tuple[_Reel, ...] = Field(max_length=200)


class _LimitConfig(BaseModel):
    quota_total: _Count


class _Used(BaseModel):
    quota_usage: _Count
    config: _LimitConfig


class _Limit(BaseModel):
    data: tuple[_Used, ...] = Field(min_length=1, max_length=1)


class _Value(BaseModel):
    value: _Count


class _Number(BaseModel):
    name: str
    values: tuple[_Value, ...] = Field(min_length=1, max_length=1)


class _Numbers(BaseModel):
    data: tuple[_Number, ...] = Field(max_length=20)


class _Error(BaseModel):
    code: int
    error_subcode: int | None = None
    message: str | None = None
    error_user_msg: str | None = None
    is_transient: bool = False


class _ErrorAnswer(BaseModel):
    error: _Error


class InstagramReels:
    """One professional account.

    The bytes are sent first. When the container has been processed, it is missing the word to publish, and `send`
    gives it. The Graph API has no field by which a reel is marked as made by a model; its caption says it.
    """

    name = "instagram_reels"
    connected = True
    # Instagram's publishing documents: a caption has 2,200 characters, 30 hashtags and 20 mentions.
    limits = Limits(title=2200, description=2200, hashtags=30, mentions=20, min_s=3, max_s=900, vertical=True)

    def __init__(
        self,
        *,
        access_token: str,
        user_id: str,
        graph_url: str,
        share_to_feed: bool = True,
        watch_url: str = "https://www.instagram.com/reel/{shortcode}/",
        processing_waits_s: Sequence[float] = (5, 10, 15),
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._graph_url, self._user = graph_url.rstrip("/"), user_id
        self._share_to_feed, self._watch_url = share_to_feed, watch_url
        self._headers = {"Authorization": f"OAuth {access_token}"}
        self._line = BlockingLine("Instagram", origins=_origins(graph_url), secrets=(access_token,), client=client)
        self.processing_waits_s = processing_waits_s

    def open_session(self, request: PublishRequest, *, before: Before = None) -> Session:
        self._check_cap()
        form = {
            "media_type": "REELS",
            "caption": request.description,
            "share_to_feed": "true" if self._share_to_feed else "false",
        }
        answer = self._call(
            "POST", f"{self._user}/media", params={"upload_type": "resumable"}, data=form, before=before
        )
        opened = _read(answer, _Opened, "to the announcement of a reel")
        if not self._line.is_ours(opened.uri):
            raise UploadInterrupted(
                "Instagram opened an upload at no address of its own, so that nothing was sent there",
                answer=answer.kept(),
            )
        upload = _Upload(
            container=opened.id, url=opened.uri, size_bytes=request.size_bytes, caption=request.description
        )
        return upload.model_dump()

    def status(self, session: Session) -> Status:
        upload = _upload(session)
        answer = self._asked(upload)
        if answer is None:
            # Containers do not live for ever, reels do.
            reel = self._reel_of(upload)
            if reel is None:
                raise UploadLost("Instagram does not know the container any more, nor a reel with its caption")
            return reel
        return self._become(upload, answer)

    def send(self, session: Session, path: Path, *, before: Before = None) -> Status:
        upload = _upload(session)
        try:
            answer = self._asked(upload)
            if answer is not None:
                container = _read(answer, _Container, "to a question about a container")
                if container.status_code == "FINISHED":
                    return self._published(upload, before)
                if isinstance(self._become(upload, answer), Missing):
                    return self._transferred(upload, path, _held(container), before)
            return self.status(session)
        except UploadRefused as error:
            if error.lasting:
                raise
            # The container is as it was, and goes on when the account may.
            raise UploadInterrupted(str(error), answer=error.answer) from error

    def found(self, named: str) -> Uploaded:
        named = named.strip()
        own_page = re.escape(self._watch_url).replace(re.escape("{shortcode}"), f"(?P<shortcode>{_ID})")
        page = re.fullmatch(own_page, named) or _PAGE.fullmatch(named)
        if page is None and not re.fullmatch(_ID, named):
            raise ConfigurationError("That names no reel of Instagram: give its id, or the address of its page.")
        try:
            if page is None:
                return self._uploaded(named)
            reels = [reel for reel in self._latest() if reel.shortcode == page["shortcode"]]
        except (UploadInterrupted, UploadRefused) as error:
            raise ConfigurationError(f"Instagram does not say whether it has that reel: {error}") from None
        if not reels:
            raise ConfigurationError(
                f"That is none of the account's {_LATEST} latest reels: give the id of the reel instead."
            )
        return self._at(reels[0])

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        found = {reel: self._numbers(reel) for reel in remote_ids}
        return {reel: metrics for reel, metrics in found.items() if metrics is not None}

    # --- a container ----------------------------------------------------------------------------------------------

    def _asked(self, upload: _Upload) -> Answer | None:
        """What Instagram says of a container; None where it has none of that id."""
        fields = {"fields": "id,status,status_code,video_status"}
        answer = self._call("GET", upload.container, params=fields)
        error = _error(answer)
        gone = error is not None and (error.code, error.error_subcode) == (_INVALID, _NO_NODE)
        return None if gone and answer.status in (400, 404) else answer

    def _become(self, upload: _Upload, answer: Answer) -> Status:
        """What a container has come to. Raises UploadRefused or UploadInterrupted."""
        container = _read(answer, _Container, "to a question about a container")
        match container.status_code:
            case "PUBLISHED":
                reel = self._reel_of(upload)
                if reel is None:
                    raise UploadInterrupted(
                        "Instagram has published the reel and does not show it yet", answer=answer.kept()
                    )
                return reel
            case "ERROR":
                status = str(container.status)
                subcodes = {int(word) for word in _SUBCODE.findall(status)}
                said = clean(status, 300) or "it does not say why"
                return Failed(
                    f"Instagram could not process the reel ({said})",
                    lasting=bool(subcodes & _ABOUT_THE_CLIP),
                    answer=answer.kept(),
                )
            case "EXPIRED":
                return Failed("the container has expired: it was not published within 24 hours", answer=answer.kept())
            case "FINISHED":
                # What is missing is the word to publish.
                return Missing()
            case "IN_PROGRESS":
                phase = container.video_status.uploading_phase.status if container.video_status else ""
                return Missing() if phase in ("not_started", "in_progress") else Processing()

    def _transferred(self, upload: _Upload, path: Path, held: int, before: Before) -> Status:
        """Send the file from byte `held` on."""
        if held >= upload.size_bytes:
            return Processing()
        headers = self._headers | {"offset": str(held), "file_size": str(upload.size_bytes)}
        bounds = Bounds(total_s=longest_send_s(upload.size_bytes))
        try:
            answer = self._line.ask(
                "POST", upload.url, headers=headers, content=FilePart(path, held), bounds=bounds, before=before
            )
        except (NotSent, NoAnswer) as error:
            raise UploadInterrupted(f"the upload broke off: {error}") from None
        _read(answer, _Sent, "to an upload")
        return Processing()

    def _published(self, upload: _Upload, before: Before) -> Status:
        """Tell the container to go public. It is told once; whoever lost the answer asks the container."""
        try:
            answer = self._line.ask(
                "POST",
                f"{self._graph_url}/{self._user}/media_publish",
                headers=self._headers,
                data={"creation_id": upload.container},
                bounds=_PUBLISH,
                before=before,
            )
        except (NotSent, NoAnswer) as error:
            raise UploadInterrupted(f"the word to publish was lost: {error}") from None
        error = _error(answer)
        if error is not None and error.error_subcode == _NOT_READY:
            return Processing()
        return self._uploaded(_read(answer, _Named, "to the word to publish").id, answer)

    # --- reels ----------------------------------------------------------------------------------------------------

    def _uploaded(self, reel_id: str, answer: Answer | None = None) -> Uploaded:
        """The reel of an id, with its address. Raises UploadInterrupted or UploadRefused."""
        told = self._call("GET", reel_id, params={"fields": "id,shortcode"})
        reel = _read(told, _Reel, "to a question about a reel")
        if reel.id != reel_id:
            raise UploadInterrupted("Instagram told of a reel that was not asked for", answer=told.kept())
        return self._at(reel, answer)

    def _at(self, reel: _Reel, answer: Answer | None = None) -> Uploaded:
        return Uploaded(reel.id, self._watch_url.format(shortcode=reel.shortcode), answer and answer.kept())

    def _reel_of(self, upload: _Upload) -> Uploaded | None:
        """The reel that a container became, by its caption, which names the clip; None unless there is one."""
        wanted = upload.caption.split()
        reels = [reel for reel in self._latest() if reel.caption.split() == wanted]
        return self._at(reels[0]) if len(reels) == 1 else None

    def _latest(self) -> tuple[_Reel, ...]:
        params = {"fields": "id,shortcode,caption", "limit": str(_LATEST)}
        answer = self._call("GET", f"{self._user}/media", params=params)
        return _read(answer, _Reels, "to a question about the latest reels").data

    def _numbers(self, reel: str) -> Metrics | None:
        """What is told of one reel; None of one that is not there, or of which nothing is told."""
        for metric in _NUMBERS:
            answer = self._call("GET", f"{reel}/insights", params={"metric": metric})
            error = _error(answer)
            if error is not None and error.code == _INVALID and answer.status in _TELLING:
                continue
            told = {number.name: number.values[0].value for number in _read(answer, _Numbers, "about numbers").data}
            return Metrics(**{name: told.get(name) for name in ("views", "likes", "comments", "shares")})
        return None

    # --- calls ----------------------------------------------------------------------------------------------------

    def _check_cap(self) -> None:
        """Raises UploadRefused while the account has published as much as it may."""
        fields = {"fields": "quota_usage,config"}
        answer = self._call("GET", f"{self._user}/content_publishing_limit", params=fields)
        [used] = _read(answer, _Limit, "to a question about the publishing limit").data
        if used.quota_usage >= used.config.quota_total:
            raise UploadRefused(
                f"Instagram takes {used.config.quota_total} posts in 24 hours, and has them",
                not_before=datetime.now(UTC) + _CAP_PAUSE,
                cause="publishing limit",
                answer=answer.kept(),
            )

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        before: Before = None,
    ) -> Answer:
        """A call that is free to repeat: on network trouble, 5xx and what Meta calls transient it is."""

        def ask() -> Answer:
            return self._line.ask(
                method,
                f"{self._graph_url}/{path}",
                headers=self._headers,
                params=params,
                data=data,
                bounds=_CALL,
                before=before,
            )

        return repeated(ask, waits_s=_RETRIES_S, no_word=_no_word)


def _origins(graph_url: str) -> tuple[str, ...]:
    """Where a file and the token may go: the API's own host, and where it is Meta's, the host of its uploads."""
    meta = ("https://graph.facebook.com", "https://graph.instagram.com")
    uploads = ("https://rupload.facebook.com",) if BlockingLine("Meta", origins=meta).is_ours(graph_url) else ()
    return (graph_url, *uploads)


def _upload(session: Session) -> _Upload:
    try:
        return _Upload.model_validate(session)
    except ValidationError:
        raise UploadInterrupted("the ledger's upload session is none of Instagram's") from None


def _held(container: _Container) -> int:
    return container.video_status.uploading_phase.bytes_transferred if container.video_status else 0


def _read(answer: Answer, model: type[_ModelT], asked: str) -> _ModelT:
    """The answer as `model`. Raises UploadRefused where Meta's documents have a no in it, else UploadInterrupted."""
    if (refusal := _refusal(answer)) is not None:
        raise refusal
    if answer.status != 200 or _error(answer) is not None:
        raise UploadInterrupted(f"Instagram answered {answer.status} {asked}", answer=answer.kept())
    try:
        return answer.read(model)
    except Unreadable as error:
        raise UploadInterrupted(f"Instagram answered 200 {asked}, and {error}", answer=answer.kept()) from None


def _error(answer: Answer) -> _Error | None:
    """The error in Meta's own document for one, if that is what the answer is."""
    try:
        return answer.read(_ErrorAnswer).error
    except Unreadable:
        return None


def _no_word(answer: Answer) -> str | None:
    """That another try may do better."""
    error = _error(answer)
    transient = error is not None and (error.is_transient or error.code in (1, 2))
    return f"Instagram answered {answer.status}" if answer.status >= 500 or transient else None


def _refusal(answer: Answer) -> UploadRefused | None:
    """The refusal, where Meta's documents have one in these words."""
    error = _error(answer)
    if error is None or answer.status not in _TELLING or _no_word(answer) is not None:
        return None
    about_the_clip = error.error_subcode in _ABOUT_THE_CLIP or error.code in _CODES_ABOUT_THE_CLIP
    cause, pause = _cause(error, answer)
    if not cause and not about_the_clip and error.code != _INVALID:
        return None
    number = f"{error.code}/{error.error_subcode}" if error.error_subcode else str(error.code)
    said = clean(error.error_user_msg or error.message or "without words", 300)
    what = "Instagram refused the access token" if cause == "access token" else "Instagram refused it"
    return UploadRefused(
        f"{what} ({number}: {said})",
        lasting=about_the_clip,
        not_before=None if pause is None else datetime.now(UTC) + pause,
        cause="" if about_the_clip else cause,
        answer=answer.kept(),
    )


def _cause(error: _Error, answer: Answer) -> tuple[str, timedelta | None]:
    """What keeps the whole account from it, and for how long, where that passes; empty for anything else."""
    if error.error_subcode == _DAILY_CAP:
        return "publishing limit", _CAP_PAUSE
    if error.error_subcode == _BLOCKED:
        return "blocked as spam", _MOST_PAUSE
    if error.error_subcode == _RESTRICTED:
        return "restricted account", None
    if error.code in _TOKEN:
        return "access token", None
    if error.code in _PERMISSION:
        return "permission", None
    if error.code in _RATE:
        return "rate limit", _regained(answer)
    return "", None


def _regained(answer: Answer) -> timedelta:
    """How long until the account may call again, as the usage header or Retry-After says."""
    minutes = re.findall(
        r'"estimated_time_to_regain_access": ?([0-9]{1,6})', answer.header("X-Business-Use-Case-Usage")
    )
    if longest := max(map(int, minutes), default=0):
        return min(timedelta(minutes=longest), _MOST_PAUSE)
    if answer.retry_after_s is not None:
        return timedelta(seconds=min(answer.retry_after_s, _MOST_PAUSE.total_seconds()))
    return _RATE_PAUSE


def _connect(section: InstagramSection) -> InstagramReels | None:
    if not section.connected("Instagram"):
        return None
    graph_url, user_id = section.server("graph_url"), section.user_id or ""
    if not re.fullmatch("[0-9]{1,40}", user_id):
        raise ConfigurationError("INSTAGRAM_USER_ID is no id of an account: it is a number, and not the @name.")
    return InstagramReels(
        access_token=section.access_token.get_secret_value() if section.access_token else "",
        user_id=user_id,
        graph_url=graph_url,
        share_to_feed=section.share_to_feed,
    )


def _connect_sandbox(base_url: str) -> InstagramReels:
    return InstagramReels(
        access_token="sandbox",
        user_id="1784",
        graph_url=f"{base_url}/instagram",
        watch_url=f"{base_url}/reel/{{shortcode}}",
        processing_waits_s=(0.3, 0.5, 1, 2),
    )


VENDOR = PlatformVendor(
    name=InstagramReels.name,
    limits=InstagramReels.limits,
    section=InstagramSection,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
