"""What vendors are asked that buys nothing: what they have billed, and what they list."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import httpx

from video_pipeline.errors import VendorError
from video_pipeline.generation.price_check import PriceFinding, check_prices
from video_pipeline.generation.providers import PROVIDERS, BilledLine, Provider
from video_pipeline.routing import Catalogue

# Whoever asks has other things to do; what is not told by then is asked again the next time.
_LONGEST_S = 300.0

_T = TypeVar("_T")


class Enquiries:
    """Asks the connected providers; whoever has this cannot buy anything with it.

    Every method raises ConfigurationError where no provider is connected, or one only in part.
    """

    def __init__(self, connect: Callable[[httpx.AsyncClient], Mapping[str, Provider]]) -> None:
        self._connect = connect

    def billed(self, since: datetime, until: datetime) -> dict[str, Sequence[BilledLine] | str]:
        """The lines that each connected provider has billed in the span, or a clause on why there are none."""

        async def asked(providers: Mapping[str, Provider]) -> dict[str, Sequence[BilledLine] | str]:
            return {name: await _billed(name, provider, since, until) for name, provider in providers.items()}

        return self._asked(asked)

    def prices(self, catalogue: Catalogue) -> list[PriceFinding]:
        """What each connected provider says of the catalogue's prices."""
        return self._asked(lambda providers: check_prices(catalogue, providers))

    def _asked(self, ask: Callable[[Mapping[str, Provider]], Coroutine[Any, Any, _T]]) -> _T:
        async def run() -> _T:
            async with httpx.AsyncClient(trust_env=False) as client:
                return await ask(self._connect(client))

        return asyncio.run(run())


async def _billed(name: str, provider: Provider, since: datetime, until: datetime) -> Sequence[BilledLine] | str:
    api = PROVIDERS[name].billing_api
    if api is None:
        return f"{name} has no billing that could be asked for"
    try:
        async with asyncio.timeout(_LONGEST_S):
            return await api.ask(provider, since, until)
    except VendorError as error:
        return str(error)
    except TimeoutError:
        return f"{name}'s billing was not read within {_LONGEST_S:g} s"
