"""The adapter of Plaza, a platform that does not exist (its wire: `plaza_wire.py`), as a stranger would write it.

It is unlike the packaged platform wherever the protocol allows: a session is two ids and an address, uploads are not
resumed, and a post becomes public some time after its film has arrived.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from pydantic import Field, SecretStr

from video_pipeline.publishing.platforms import (
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
)
from video_pipeline.publishing.rules import Limits, PublishRequest
from video_pipeline.settings import VendorSection

_LIMITS = Limits(title=80, description=5000, min_s=0, max_s=600, vertical=False)


class PlazaSection(VendorSection):
    token: SecretStr | None = Field(None, validation_alias="PLAZA_TOKEN")
    address: str = Field("https://plaza.example", validation_alias="PLAZA_ADDRESS")


class Plaza:
    name = "plaza"
    connected = True
    limits = _LIMITS
    processing_waits_s: Sequence[float] = (0.5, 0.5, 0.5)

    def __init__(self, client: httpx.Client, *, address: str, token: str) -> None:
        self._client, self._api, self._headers = client, f"{address}/plaza/api", {"Authorization": f"Token {token}"}

    def open_session(self, request: PublishRequest) -> Session:
        post = {
            "caption": request.title,
            "text": request.description,
            "labels": list(request.tags),
            "made_by_model": True,
            "bytes": request.size_bytes,
        }
        response = self._call("POST", "/posts", json=post)
        if response.status_code != 201:
            problem = response.json()
            raise UploadRefused(f"{problem['problem']}: {problem['text']}", lasting=response.status_code == 422)
        return response.json()

    def status(self, session: Session) -> Status:
        response = self._call("GET", f"/posts/{session['post']}")
        if response.status_code == 404:
            raise UploadLost("Plaza does not know the post any more")
        if response.status_code != 200:
            raise UploadInterrupted(f"Plaza answered {response.status_code} to a question about a post")
        post = response.json()
        match post["state"]:
            case "empty":
                return Missing()
            case "live":
                return Uploaded(post["post"], post["page"])
            case "failed":
                return Failed(post["text"], lasting=True)
            case _:
                return Processing()

    def send(self, session: Session, path: Path) -> Status:
        try:
            response = self._client.put(session["upload_address"], content=path.read_bytes())
        except httpx.TransportError as error:
            raise UploadInterrupted(f"the upload broke off: {type(error).__name__}") from error
        if response.status_code in (202, 409):
            return Processing()
        raise UploadInterrupted(f"Plaza answered {response.status_code} to an upload")

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        response = self._call("GET", "/numbers", params={"posts": ",".join(remote_ids)})
        if response.status_code != 200:
            raise UploadInterrupted(f"Plaza answered {response.status_code} to a question about numbers")
        return {
            post: Metrics(
                views=numbers["plays"],
                engaged_views=numbers["watched"],
                likes=numbers["hearts"],
                comments=numbers["replies"],
                shares=numbers["passed_on"],
                completion=min(1.0, numbers["watched_percent"] / 100),
            )
            for post, numbers in response.json()["numbers"].items()
        }

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._client.request(method, f"{self._api}{path}", headers=self._headers, **arguments)
        except httpx.TransportError as error:
            raise UploadInterrupted(f"Plaza cannot be reached: {type(error).__name__}") from error


def _client() -> httpx.Client:
    return httpx.Client(timeout=10, trust_env=False, verify=False)


def _connect(section: PlazaSection) -> Plaza | None:
    if section.token is None:
        return None
    return Plaza(_client(), address=section.address, token=section.token.get_secret_value())


VENDOR = PlatformVendor(
    name=Plaza.name,
    limits=_LIMITS,
    section=PlazaSection,
    connect=_connect,
    connect_sandbox=lambda base_url: Plaza(_client(), address=base_url, token="sandbox"),
)
