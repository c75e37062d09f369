"""The adapter of Kiln, a provider that does not exist (its wire: `kiln_wire.py`), as a stranger would write it.

It is unlike the packaged provider wherever the protocol allows: a lost submit is recovered by its key, refused
prompts are billed, ids are numbers, and the result comes with the status.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from video_pipeline.generation.providers import (
    Ending,
    JobFailed,
    NotAccepted,
    ProviderVendor,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
    Undecided,
)
from video_pipeline.ledger import FailureKind, Job, Receipt
from video_pipeline.orders import RenderOrder
from video_pipeline.settings import VendorSection
from video_pipeline.wire import Answer, Line, NoAnswer, NotSent, Unreadable

_DAY_S = 24 * 3600.0
_BROKEN = {
    "text_refused": (FailureKind.MODERATION, Ending.PROMPT_REFUSED),
    "picture_refused": (FailureKind.MODERATION, Ending.OUTPUT_REFUSED),
    "frame_unusable": (FailureKind.INVALID, Ending.FAILED),
    "kiln_cold": (FailureKind.GENERATION, Ending.FAILED),
    "called_off": (FailureKind.CANCELED, Ending.FAILED),
}


class KilnSection(VendorSection):
    token: SecretStr | None = Field(None, validation_alias="KILN_TOKEN")
    address: str = Field("https://kiln.example", validation_alias="KILN_ADDRESS")


class KilnWire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str


class _Bought(BaseModel):
    piece: int


class _Why(BaseModel):
    code: str
    text: str
    wait_ms: float | None = None


class _Refusal(BaseModel):
    error: _Why


class _File(BaseModel):
    address: str


class _Piece(BaseModel):
    state: str
    why: _Why | None = None
    files: list[_File] = []


class KilnProvider:
    name = "kiln"
    terms = Terms(
        recovery=Recovery.IDEMPOTENCY_KEY,
        billed=frozenset({Ending.PROMPT_REFUSED, Ending.OUTPUT_REFUSED}),
        concurrency=4,
        poll_interval_s=1.0,
        url_lifetime_s=_DAY_S,
        key_lifetime_s=_DAY_S,
    )

    media_origins: frozenset[str] = frozenset()

    def __init__(
        self, client: httpx.AsyncClient, *, address: str, token: str, trusted_origins: tuple[str, ...] = ()
    ) -> None:
        self._line = Line("Kiln", origins=[address], secrets=[token], client=client)
        self._pieces, self._headers = f"{address}/kiln/v2/pieces", {"X-Kiln-Token": token}
        self.trusted_origins = frozenset(trusted_origins)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        headers = self._headers | {"Idempotency-Key": job.key}
        try:
            answer = await self._line.ask("POST", self._pieces, json=job.request, headers=headers, before=before)
        except NotSent as error:
            raise NotAccepted(FailureKind.TRANSIENT, str(error)) from error
        except NoAnswer as error:
            raise SubmitUnknown(str(error)) from error
        try:
            if answer.status in (200, 201):
                return self.receipt(job, str(answer.read(_Bought).piece))
            why = answer.read(_Refusal).error
        except Unreadable as error:
            raise SubmitUnknown(f"Kiln: {error}", answer=answer.kept()) from error
        kinds = {400: FailureKind.INVALID, 401: FailureKind.AUTH, 404: FailureKind.INVALID, 422: FailureKind.INVALID}
        kinds |= dict.fromkeys((429, 503), FailureKind.TRANSIENT)
        if answer.status not in kinds:
            raise SubmitUnknown(f"Kiln answered {answer.status} to a submit", answer=answer.kept())
        wait_s = None if why.wait_ms is None else why.wait_ms / 1000
        raise NotAccepted(kinds[answer.status], f"{why.code}: {why.text}", retry_after_s=wait_s)

    async def reach(self) -> None:
        try:
            await self._line.ask("GET", self._pieces, headers=self._headers)
        except (NotSent, NoAnswer) as error:
            raise Undecided(str(error)) from error

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("Kiln has no history, and its terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(provider_job_id, {})

    async def poll(self, job: Job) -> bool:
        return (await self._piece(job))[1].state in ("done", "broken")

    async def result(self, job: Job) -> Rendered:
        answer, piece = await self._piece(job)
        if piece.why is not None and piece.why.code in _BROKEN:
            kind, ending = _BROKEN[piece.why.code]
            retry_allowed = kind is not FailureKind.MODERATION
            raise JobFailed(kind, piece.why.text, ending=ending, retry_allowed=retry_allowed, answer=answer.kept())
        if not piece.files:
            raise Undecided("Kiln has neither a file nor a reason", answer=answer.kept())
        return Rendered(piece.files[0].address)

    async def cancel(self, job: Job) -> None:
        # However it is answered, the piece is asked for how it has ended.
        with contextlib.suppress(NotSent, NoAnswer):
            await self._line.ask("DELETE", f"{self._pieces}/{job.provider_job_id}", headers=self._headers)

    async def _piece(self, job: Job) -> tuple[Answer, _Piece]:
        """The piece as it stands."""
        try:
            answer = await self._line.ask("GET", f"{self._pieces}/{job.provider_job_id}", headers=self._headers)
        except (NotSent, NoAnswer) as error:
            raise Undecided(str(error)) from error
        if answer.status != 200:
            raise Undecided(f"Kiln answered {answer.status}", answer=answer.kept())
        try:
            return answer, answer.read(_Piece)
        except Unreadable as error:
            raise Undecided(f"Kiln: {error}", answer=answer.kept()) from error


def _request(order: RenderOrder, wire: KilnWire) -> dict[str, Any]:
    body: dict[str, Any] = {"model": wire.model, "text": order.prompt, "format": order.orientation.value}
    if order.duration_s:
        body |= {"length_ms": round(order.duration_s * 1000), "sharpness": order.resolution, "sound": order.audio}
    if order.start_image:
        body["first_frame"] = order.start_image
    return body | {"noise": order.seed}


def _connect(section: KilnSection, client: httpx.AsyncClient) -> KilnProvider | None:
    if section.token is None:
        return None
    return KilnProvider(client, address=section.address, token=section.token.get_secret_value())


def _connect_sandbox(base_url: str, client: httpx.AsyncClient) -> KilnProvider:
    return KilnProvider(client, address=base_url, token="sandbox", trusted_origins=(base_url,))


VENDOR = ProviderVendor(
    name=KilnProvider.name,
    section=KilnSection,
    wire=KilnWire,
    request=_request,
    connect=_connect,
    connect_sandbox=_connect_sandbox,
)
