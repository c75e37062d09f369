"""How every adapter asks its vendor: what it means for a job that no answer came, or one that cannot be read.

What a vendor's own words mean is its adapter's business.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_UP, Decimal
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation.providers.protocol import Ambiguous, NotAccepted, SubmitUnknown, Undecided
from video_pipeline.ledger import FailureKind, Job, Receipt
from video_pipeline.wire import Answer, Bounds, Line, NoAnswer, NotSent, Unreadable, Unsendable, clean

_LOG = logging.getLogger(__name__)

_SUBMIT_BOUNDS = Bounds(total_s=60.0)
_READ_BOUNDS = Bounds(total_s=30.0)

# How many ids a person is told of.
_NAMED = 5
_MICRO_USD = Decimal("0.000001")

ID_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,99}$"
"""What an id of a job may be: it becomes a part of addresses."""

_ModelT = TypeVar("_ModelT", bound=BaseModel)


class ProviderLine:
    """A line to one vendor, with the `headers` that every call carries.

    `keys` names the variable that holds what such a call is signed with, for the sentence that says what to mend.
    """

    def __init__(
        self,
        name: str,
        *,
        keys: str,
        origins: Iterable[str],
        secrets: Iterable[str],
        headers: Mapping[str, str],
        client: httpx.AsyncClient,
    ) -> None:
        self.name = name
        self._keys = keys
        self._line = Line(name, origins=origins, secrets=secrets, client=client)
        self._headers = dict(headers)

    def is_ours(self, url: str) -> bool:
        """Whether an address is on one of the vendor's own hosts."""
        return self._line.is_ours(url)

    def clean(self, document: Any) -> Any:
        """A JSON document as it comes back in an answer: without secrets and what nobody can keep."""
        return self._line.secrets.clean(document)

    def checked_id(self, provider_job_id: str) -> str:
        """An id that a person has copied, when it is one. Raises ConfigurationError."""
        if not re.fullmatch(ID_PATTERN, provider_job_id):
            raise ConfigurationError(
                f"{clean(provider_job_id, 40)} is no request id of {self.name}; copy it from its dashboard."
            )
        return provider_job_id

    async def submit(
        self,
        url: str,
        *,
        json: Any,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Answer:
        """A question that buys, sent once. Raises NotAccepted or SubmitUnknown when no answer came."""
        try:
            return await self._line.ask(
                "POST",
                url,
                headers=self._headers | dict(headers or {}),
                params=params,
                json=json,
                bounds=_SUBMIT_BOUNDS,
                before=before,
            )
        except Unsendable as error:
            reason = f"{self._keys} or the address of {self.name} cannot be sent; check them for stray characters"
            raise NotAccepted(FailureKind.AUTH, reason) from error
        except NotSent as error:
            raise NotAccepted(FailureKind.TRANSIENT, str(error)) from error
        except NoAnswer as error:
            raise SubmitUnknown(str(error)) from error

    def taken(self, answer: Answer, model: type[_ModelT]) -> _ModelT:
        """The receipt of a submit that was accepted. Raises SubmitUnknown: it was bought, whatever it is called."""
        try:
            return answer.read(model)
        except Unreadable as error:
            reason = f"{self.name} accepted a submit, but its receipt could not be read"
            raise SubmitUnknown(reason, answer=answer.kept()) from error

    def with_addresses(self, own: Receipt, told: BaseModel) -> Receipt:
        """`own` with the addresses that the provider has told in the place of ours, where they are on its hosts."""
        given = told.model_dump(include=set(own.document), exclude_none=True)
        return replace(own, document=own.document | {k: url for k, url in given.items() if self.is_ours(url)})

    def only(self, found: Sequence[str], known_ids: frozenset[str]) -> str | None:
        """The one id among requests that may be a lost one and are no other job's; None without any.

        Raises Ambiguous for several: others on the same account may have ordered the same.
        """
        ids = sorted(set(found) - known_ids)
        if len(ids) > 1:
            listed = ", ".join(ids[:_NAMED]) + (" and others" if len(ids) > _NAMED else "")
            raise Ambiguous(f"{len(ids)} requests at {self.name} may be this one: {listed}")
        return ids[0] if ids else None

    def address(self, job: Job, name: str, receipt: Callable[[Job, str], Receipt]) -> str:
        """Where to ask about a job: as its receipt says, or, where that is on another host, `receipt`."""
        given = (job.receipt or {}).get(name)
        if isinstance(given, str) and self.is_ours(given):
            return given
        return receipt(job, job.provider_job_id or "").document[name]

    async def read(
        self,
        url: str,
        what: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        json: Any = None,
        content: bytes | None = None,
        bounds: Bounds = _READ_BOUNDS,
    ) -> Answer:
        """A question for `what` that is free to repeat. Raises Undecided when no answer came."""
        try:
            return await self._line.ask(
                method,
                url,
                headers=self._headers | dict(headers or {}),
                params=params,
                json=json,
                content=content,
                bounds=bounds,
            )
        except (NotSent, NoAnswer) as error:
            raise Undecided(f"{error}, asked for the {what}") from error

    async def reach(self, url: str) -> None:
        """As of `Provider.reach`: ask for `url`, which costs nothing. Raises Undecided when no answer comes."""
        try:
            await self._line.ask("GET", url, headers=self._headers, bounds=_READ_BOUNDS)
        except Unsendable:
            # Then no submit can be sent either, and that one says what is to be mended.
            return
        except (NotSent, NoAnswer) as error:
            raise Undecided(f"{error}, asked whether it is there") from error

    async def call_off(self, method: str, url: str) -> Answer | None:
        """As of `Provider.cancel`; None when no answer came."""
        try:
            return await self._line.ask(method, url, headers=self._headers, bounds=_READ_BOUNDS)
        except (NotSent, NoAnswer) as error:
            _LOG.warning("%s could not be asked to cancel a job: %s", self.name, error)
            return None

    def understood(self, answer: Answer, model: type[_ModelT], what: str) -> _ModelT:
        """The answer by its type. Raises Undecided."""
        try:
            return answer.read(model)
        except Unreadable as error:
            raise Undecided(f"{self.name}'s {what} could not be read: {error}", answer=answer.kept()) from error

    def undecided(self, answer: Answer, what: str) -> Undecided:
        """That an answer to a question for `what` says nothing."""
        reason = f"HTTP {answer.status}: {answer.text()}"
        return Undecided(f"{self.name} answered a question for the {what} with {reason}", answer=answer.kept())


def told_usd(usd: Decimal) -> Decimal:
    """US dollars that a vendor has told, as the ledger keeps them: to the millionth, and no less."""
    return usd.quantize(_MICRO_USD, ROUND_UP)


def readable(answer: Answer, model: type[_ModelT]) -> _ModelT | None:
    """The answer by its type; None when it is of another one."""
    try:
        return answer.read(model)
    except Unreadable:
        return None


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


OR_NONE = WrapValidator(_or_none)
"""A field that is left out where it is not as documented: nothing depends on it."""
