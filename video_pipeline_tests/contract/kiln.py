"""The adapter of Kiln, a provider that does not exist (its wire: `kiln_wire.py`), as a stranger would write it.

It is unlike the packaged provider wherever the protocol allows: a lost submit is recovered by its key, refused
prompts are billed, ids are numbers, and the result comes with the status.
"""

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
)
from video_pipeline.ledger import FailureKind, Job, Receipt
from video_pipeline.orders import RenderOrder
from video_pipeline.settings import VendorSection

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

    def __init__(
        self, client: httpx.AsyncClient, *, address: str, token: str, trusted_origins: tuple[str, ...] = ()
    ) -> None:
        self._client, self._pieces, self._headers = client, f"{address}/kiln/v2/pieces", {"X-Kiln-Token": token}
        self.trusted_origins = frozenset(trusted_origins)

    async def submit(self, job: Job) -> Receipt:
        headers = self._headers | {"Idempotency-Key": job.key}
        try:
            response = await self._client.post(self._pieces, json=job.request, headers=headers)
        except httpx.ConnectError as error:
            raise NotAccepted(FailureKind.TRANSIENT, f"Kiln could not be reached: {error}") from error
        except httpx.TransportError as error:
            raise SubmitUnknown(f"Kiln's answer was lost: {type(error).__name__}") from error
        if response.status_code in (200, 201):
            return self.receipt(job, str(response.json()["piece"]))
        if response.status_code == 500:
            raise SubmitUnknown("Kiln answered 500 to a submit")
        error = response.json()["error"]
        kinds = {401: FailureKind.AUTH, 429: FailureKind.TRANSIENT, 503: FailureKind.TRANSIENT}
        kind = kinds.get(response.status_code, FailureKind.INVALID)
        wait_s = error["wait_ms"] / 1000 if "wait_ms" in error else None
        raise NotAccepted(kind, f"{error['code']}: {error['text']}", retry_after_s=wait_s)

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("Kiln has no history, and its terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        return Receipt(provider_job_id, {})

    async def poll(self, job: Job) -> bool:
        piece = await self._piece(job)
        return piece is not None and piece["state"] in ("done", "broken")

    async def result(self, job: Job) -> Rendered | None:
        piece = await self._piece(job)
        if piece is None:
            return None
        if piece["state"] == "broken":
            kind, ending = _BROKEN[piece["why"]["code"]]
            raise JobFailed(
                kind, piece["why"]["text"], ending=ending, retry_allowed=kind is not FailureKind.MODERATION
            )
        return Rendered(piece["files"][0]["address"])

    async def cancel(self, job: Job) -> None:
        await self._client.delete(f"{self._pieces}/{job.provider_job_id}", headers=self._headers)

    async def _piece(self, job: Job) -> dict[str, Any] | None:
        """The piece as it stands; None to ask again."""
        try:
            response = await self._client.get(f"{self._pieces}/{job.provider_job_id}", headers=self._headers)
        except httpx.TransportError:
            return None
        return response.json() if response.status_code == 200 else None


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
