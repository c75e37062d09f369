"""What the engine asks of a provider, and how a vendor registers: submit, find a lost submit, poll, fetch the result.

Nothing here decides. An adapter is one file that ends with its `ProviderVendor`; `PROVIDERS` in this package's
`__init__` is the only table that names vendors.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import httpx
from pydantic import BaseModel

from video_pipeline.errors import VendorError
from video_pipeline.ledger import FailureKind, Job, Receipt
from video_pipeline.orders import Ending, RenderOrder
from video_pipeline.routing import Unit
from video_pipeline.settings import VendorSection


class Recovery(StrEnum):
    """How a submit whose answer was lost is recovered."""

    IDEMPOTENCY_KEY = "idempotency key"
    """The same submit with the same key gives the job that is there."""
    SEARCH = "search"
    """The provider lists its requests, and ours can be told from others."""
    REPEAT = "repeat"
    """Nothing is bought there, as on one's own machine: it is sent again, and may be rendered twice.

    While there is no answer, the shot goes on without it.
    """
    NONE = "none"
    """Only a person can find out."""


@dataclass(frozen=True)
class Terms:
    """What holds at a provider, as its documents say it.

    `billed` are the endings that are charged for. `concurrency` is how many of our jobs may be there at a time.
    `url_lifetime_s` is how long the address of a finished file works, and how long a job that nobody understands is
    asked about. `key_lifetime_s` is how long an idempotency key is remembered; a submit older than that is never sent
    again. `least_poll_s` is how far two questions for one job lie apart at least, where the vendor says so.
    """

    recovery: Recovery
    billed: frozenset[Ending]
    concurrency: int
    poll_interval_s: float
    url_lifetime_s: float
    key_lifetime_s: float = 0.0
    least_poll_s: float = 0.0


@dataclass(frozen=True)
class Rendered:
    """A finished job: where the provider keeps the file, for now, and its size where the provider tells it.

    `gpu_s` is told by a server of the team's own: seconds that its GPU was at work, which are paid as electricity.
    `usd` is what the provider says that the job has cost; without it the price is that of the order.
    `billed_s` is told where the clip's own length decides on its price: the seconds that are billed.
    """

    media_url: str
    size_bytes: int | None = None
    gpu_s: float | None = None
    usd: Decimal | None = None
    billed_s: float | None = None


Kept = dict[str, Any]
"""What the ledger keeps of an answer (`Answer.kept`)."""


class NotAccepted(VendorError):
    """The provider did not take the job; nothing was bought.

    `usd` is what the refusal itself costs, where the provider bills it and says so. `documented` is False for an
    answer that turns the job away without the provider's own words, as a busy gateway does: it is believed only when
    the provider, asked for it, does not know the job.
    """

    def __init__(
        self,
        kind: FailureKind,
        reason: str,
        *,
        retry_after_s: float | None = None,
        retry_allowed: bool = True,
        documented: bool = True,
        usd: Decimal | None = None,
        answer: Kept | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.retry_allowed = retry_allowed
        self.documented = documented
        self.usd = usd
        self.answer = answer


class TooDear(NotAccepted):
    """A job that was not sent, as the provider would bill more than was set aside for it.

    It says nothing of an earlier submit of the same job, which may have been bought.
    """


class SubmitUnknown(VendorError):
    """The answer to a submit was lost or is not understood: the job may or may not have been bought."""

    def __init__(self, reason: str, *, answer: Kept | None = None) -> None:
        super().__init__(reason)
        self.answer = answer


class Undecided(VendorError):
    """A read came to nothing, or to an answer that nobody documents. It says nothing: it is asked again."""

    def __init__(self, reason: str, *, answer: Kept | None = None) -> None:
        super().__init__(reason)
        self.answer = answer


class Ambiguous(Undecided):
    """Several requests may be the lost one, some of them another's: a person must tell, however often it is asked."""


class JobFailed(VendorError):
    """The job ended without a file, in documented words; the terms say whether such an `ending` is billed.

    `usd` is what the provider says that this very job has cost, where it says so: that holds before the terms.
    """

    def __init__(
        self,
        kind: FailureKind,
        reason: str,
        *,
        ending: Ending,
        retry_allowed: bool = True,
        usd: Decimal | None = None,
        answer: Kept | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.ending = ending
        self.retry_allowed = retry_allowed
        self.usd = usd
        self.answer = answer


class Provider(Protocol):
    """One provider on the wire.

    A job's `request` is what the vendor's `translate` made of its order; `receipt` is what `submit` gave. Nobody else
    reads them. `trusted_origins` are the only origins that a download may reach although they are not public: the
    sandbox's, that of a server of the team's own, and `file:///folder` where it renders into a folder here.
    `media_origins` are the hosts that it keeps files on, such as `https://*.example`; empty where any public host may
    be one.

    One that holds something of this machine for the length of a run, such as a model in memory, is an async context
    manager, too: `generate_day` enters it before the run and leaves it after.
    """

    @property
    def name(self) -> str: ...

    @property
    def terms(self) -> Terms: ...

    @property
    def trusted_origins(self) -> frozenset[str]: ...

    @property
    def media_origins(self) -> frozenset[str]: ...

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        """Buy `job`; its key is the idempotency key. Raises NotAccepted or SubmitUnknown.

        `before` is called in the last moment before the request's bytes go out. What it raises passes through, and
        nothing was sent. A submit that is stopped before that was surely not sent, and may be sent again. `webhook`
        is the address that a vendor with `WebhookTerms` is asked to call when the job has ended.
        """
        ...

    async def reach(self) -> None:
        """Ask the server that jobs are submitted to something that costs nothing, whatever it answers.

        Asked before a submit that would be in doubt without an answer. Raises Undecided when none comes. What cannot
        be sent at all passes: then the submit cannot either, and tells why.
        """
        ...

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        """Look for a lost submit of `job` among requests that are not `known_ids`; asked only with SEARCH.

        None when the whole history was read and does not list it. Raises Undecided, and Ambiguous where requests of
        others on the same account may be the one.
        """
        ...

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        """The receipt of a job that a person has found at the provider."""
        ...

    async def poll(self, job: Job) -> bool:
        """Whether the job has ended. Raises Undecided, or JobFailed when the provider says that it is gone."""
        ...

    async def result(self, job: Job) -> Rendered:
        """The file of an ended job. Raises Undecided or JobFailed."""
        ...

    async def cancel(self, job: Job) -> None:
        """Ask that a job be given up. Raises JobFailed where the answer says that it has ended, and at what cost.

        Otherwise it raises nothing of the wire, and the job may still be rendered and billed: `poll` and `result`
        tell, and are asked until they do.
        """
        ...


SectionT = TypeVar("SectionT", bound=VendorSection)
WireT = TypeVar("WireT", bound=BaseModel)


class Forged(VendorError):
    """A call that the vendor has not signed, or not lately; nothing in it is believed."""


@dataclass(frozen=True)
class WebhookCall:
    """What a verified call says: which request has ended, and whose it is, where the vendor says so."""

    provider_job_id: str
    account: str = ""


@dataclass(frozen=True)
class WebhookTerms(Generic[SectionT]):
    """How a vendor calls us when a job has ended.

    `verify` reads a call out of its headers (names in lower case) and its body, with the vendor's Ed25519 keys of 32
    bytes each. It raises Forged, or Unreadable for a signed body that says nothing. `keys_url` is where these keys
    are, as a JSON Web Key Set; `sandbox_keys_url` is the same for a sandbox's address. `poll_interval_s` is how often
    the vendor is asked all the same, as a call may be lost.
    """

    keys_url: Callable[[SectionT], str]
    sandbox_keys_url: Callable[[str], str]
    verify: Callable[[Mapping[str, str], bytes, Sequence[bytes]], WebhookCall]
    poll_interval_s: float


@dataclass(frozen=True)
class ListedPrice:
    """What a price API tells of an endpoint; `per` is its `unit` in our words, None for one that we have none for."""

    usd: Decimal
    unit: str
    currency: str
    per: Unit | None


@dataclass(frozen=True)
class PriceApi(Generic[WireT]):
    """How a vendor tells its prices: the endpoint of a wire, and the prices of endpoints; some may be missing.

    `ask` raises VendorError where nothing comes of it.
    """

    endpoint: Callable[[WireT], str]
    ask: Callable[[Any, Sequence[str]], Awaitable[Mapping[str, ListedPrice]]]


@dataclass(frozen=True)
class BilledLine:
    """A line of a vendor's billing: what it adds to the bill of one request, in US dollars, or takes back.

    `at` is the vendor's time of it. `what` was bought, and by whose key (`buyer`), are in its own words.
    """

    provider_job_id: str
    usd: Decimal
    at: datetime
    what: str = ""
    buyer: str = ""


@dataclass(frozen=True)
class BillingApi:
    """How a vendor tells what it has billed.

    `ask` gives a provider's lines from a moment to before another, in any order: of every request of the account,
    also of those that nobody here has made. A request may have several lines, and has none while its bill is late or
    where it costs nothing. Raises VendorError where not all of them could be read.
    """

    ask: Callable[[Any, datetime, datetime], Awaitable[Sequence[BilledLine]]]


@dataclass(frozen=True)
class ProviderVendor(Generic[SectionT, WireT]):
    """A vendor's entry in `PROVIDERS`.

    `section` is what it reads from the environment, `wire` its part of a catalogue entry. `request` turns an order
    into what `submit` sends, as JSON. `connect` gives None where the section holds no credentials, and raises
    ConfigurationError where it holds half of them. `webhook` is there where the vendor can call us, `price_api` where
    it tells its prices, `billing_api` where it tells its bills. `own_gpu`: it renders on the team's own GPU, so that
    its models are there only where it is connected, and it shares the GPU with upscaling.
    """

    name: str
    section: type[SectionT]
    wire: type[WireT]
    request: Callable[[RenderOrder, WireT], dict[str, Any]]
    connect: Callable[[SectionT, httpx.AsyncClient], Provider | None]
    connect_sandbox: Callable[[str, httpx.AsyncClient], Provider]
    webhook: WebhookTerms[SectionT] | None = None
    price_api: PriceApi[WireT] | None = None
    billing_api: BillingApi | None = None
    own_gpu: bool = False

    def translate(self, order: RenderOrder, wire: Mapping[str, Any]) -> dict[str, Any]:
        """What the adapter sends for `order` to a model whose catalogue entry has this `wire`."""
        return self.request(order, self.wire.model_validate(wire))
