"""The adapter of Plaza, a platform that does not exist (its wire: `plaza_wire.py`), as a stranger would write it.

It is unlike the packaged platform wherever the protocol allows: a session is two ids and an address, uploads are not
resumed, and a post becomes public some time after its film has arrived.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from video_pipeline.errors import ConfigurationError
from video_pipeline.publishing.platforms import (
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
from video_pipeline.wire import Answer, BlockingLine, Bounds, NoAnswer, NotSent, Unreadable

_REFUSALS = {
    "token": 401,
    "caption": 422,
    "body": 422,
    "bytes": 422,
    "visible_to": 422,
    "posts_today": 429,
    "calls": 429,
}
_LIMITS = Limits(title=80, description=5000, min_s=0, max_s=600, vertical=False)


class PlazaSection(VendorSection):
    token: SecretStr | None = Field(None, validation_alias="PLAZA_TOKEN")
    address: str = Field("https://plaza.example", validation_alias="PLAZA_ADDRESS")


class _Announced(BaseModel):
    """A session."""

    post: str = Field(pattern="^[0-9a-f]{1,64}$")
    upload: str = Field(pattern="^[0-9a-f]{1,64}$")
    upload_address: str


class _Post(BaseModel):
    post: str = Field(pattern="^[0-9a-f]{1,64}$")
    state: Literal["empty", "processing", "live", "failed"]
    text: str = ""


class _Numbers(BaseModel):
    plays: int = Field(strict=True)
    watched: int = Field(strict=True)
    watched_percent: float = Field(strict=True, ge=0)
    hearts: int = Field(strict=True)
    replies: int = Field(strict=True)
    passed_on: int = Field(strict=True)


class _AllNumbers(BaseModel):
    numbers: dict[str, _Numbers]


class _Problem(BaseModel):
    problem: str
    text: str


class Plaza:
    name = "plaza"
    connected = True
    limits = _LIMITS
    processing_waits_s: Sequence[float] = (0.5, 0.5, 0.5)

    def __init__(self, *, address: str, token: str) -> None:
        client = httpx.AsyncClient(trust_env=False, verify=False)
        self._line = BlockingLine("Plaza", origins=(address,), secrets=(token,), client=client)
        self._address, self._headers = address, {"Authorization": f"Token {token}"}

    def open_session(self, request: PublishRequest, *, before: Before = None) -> Session:
        post = {
            "caption": request.title,
            "text": request.description,
            "labels": list(request.tags),
            "made_by_model": True,
            "bytes": request.size_bytes,
        }
        answer = self._call("POST", "/posts", json=post, before=before)
        if answer.status == 201:
            try:
                announced = answer.read(_Announced)
            except Unreadable as error:
                raise UploadInterrupted(f"Plaza announced no post: {error}", answer=answer.kept()) from None
            if not self._line.is_ours(announced.upload_address):
                raise UploadInterrupted("Plaza takes the film at no address of its own", answer=answer.kept())
            return announced.model_dump()
        problem = _problem(answer)
        if problem is None or _REFUSALS.get(problem.problem) != answer.status:
            raise _untold(answer)
        reason = f"{problem.problem}: {problem.text}"
        raise UploadRefused(reason, lasting=answer.status == 422, answer=answer.kept())

    def status(self, session: Session) -> Status:
        answer = self._call("GET", f"/posts/{_announced(session).post}")
        problem = _problem(answer)
        if answer.status == 404 and problem is not None and problem.problem == "no_such_post":
            raise UploadLost("Plaza does not know the post any more", answer=answer.kept())
        if answer.status != 200:
            raise _untold(answer)
        try:
            post = answer.read(_Post)
        except Unreadable as error:
            raise UploadInterrupted(f"Plaza said something else of a post: {error}", answer=answer.kept()) from None
        match post.state:
            case "empty":
                return Missing()
            case "live":
                return Uploaded(post.post, self._page(post.post), answer.kept())
            case "failed":
                return Failed(post.text, lasting=True, answer=answer.kept())
            case "processing":
                return Processing()

    def send(self, session: Session, path: Path, *, before: Before = None) -> Status:
        bounds = Bounds(total_s=longest_send_s(path.stat().st_size))
        try:
            answer = self._line.ask(
                "PUT", _announced(session).upload_address, content=path, bounds=bounds, before=before
            )
        except (NotSent, NoAnswer) as error:
            raise UploadInterrupted(f"the upload broke off: {error}") from None
        problem = _problem(answer)
        if answer.status == 202 or (answer.status == 409 and problem and problem.problem == "already_received"):
            return Processing()
        raise _untold(answer)

    def found(self, named: str) -> Uploaded:
        post = named.removeprefix(self._page(""))
        if not post.isalnum():
            raise ConfigurationError("That is no post of Plaza's: give its id, or the address of its page.")
        return Uploaded(post, self._page(post))

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        answer = self._call("GET", "/numbers", params={"posts": ",".join(remote_ids)})
        if answer.status != 200:
            raise _untold(answer)
        try:
            told = answer.read(_AllNumbers).numbers
        except Unreadable as error:
            raise UploadInterrupted(f"Plaza told no numbers: {error}", answer=answer.kept()) from None
        return {
            post: Metrics(
                views=numbers.plays,
                engaged_views=numbers.watched,
                likes=numbers.hearts,
                comments=numbers.replies,
                shares=numbers.passed_on,
                completion=min(1.0, numbers.watched_percent / 100),
            )
            for post, numbers in told.items()
        }

    def _page(self, post: str) -> str:
        return f"{self._address}/published/{post}"

    def _call(self, method: str, path: str, **arguments: Any) -> Answer:
        try:
            return self._line.ask(
                method,
                f"{self._address}/plaza/api{path}",
                headers=self._headers,
                bounds=Bounds(total_s=10, max_bytes=1024 * 1024),
                **arguments,
            )
        except (NotSent, NoAnswer) as error:
            raise UploadInterrupted(str(error)) from None


def _announced(session: Session) -> _Announced:
    try:
        return _Announced.model_validate(session)
    except ValidationError:
        raise UploadInterrupted("the ledger's upload session is none of Plaza's") from None


def _problem(answer: Answer) -> _Problem | None:
    """Plaza's own word for what is wrong, if it has one."""
    try:
        return answer.read(_Problem)
    except Unreadable:
        return None


def _untold(answer: Answer) -> UploadInterrupted:
    return UploadInterrupted(f"Plaza answered {answer.status}: {answer.text(200)}", answer=answer.kept())


def _connect(section: PlazaSection) -> Plaza | None:
    if section.token is None:
        return None
    return Plaza(address=section.address, token=section.token.get_secret_value())


VENDOR = PlatformVendor(
    name=Plaza.name,
    limits=_LIMITS,
    section=PlazaSection,
    connect=_connect,
    connect_sandbox=lambda base_url: Plaza(address=base_url, token="sandbox"),
)
