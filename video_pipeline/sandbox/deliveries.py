"""Webhook calls on their way: tried again until they are answered, and lost, late, twice or forged on request.

Only addresses of this machine are called. What a call says, and how it is signed, is its wire's. Calls that are on
their way when the server ends are lost, as some always are.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from video_pipeline.sandbox.faults import Faults

RETRIES_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Waits before a call that was not answered with 2xx is made again."""
TIMEOUT_S = 15.0

_LOG = logging.getLogger(__name__)

Sign = Callable[[bytes], Mapping[str, str]]
"""Gives the headers of a call with this body, signed now."""


class Deliveries:
    """Makes the calls; faults of webhooks are taken here."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, body: bytes, sign: Sign, subjects: Sequence[str]) -> None:
        """Call `url` from now on, until it is answered; needs a running event loop."""
        if not _is_loopback(url):
            _LOG.warning("The sandbox calls only webhooks of this machine, not %s.", url)
            return
        task = asyncio.get_running_loop().create_task(self._deliver(url, body, sign, subjects))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, url: str, body: bytes, sign: Sign, subjects: Sequence[str]) -> None:
        import httpx  # not for the start of the server

        if self._faults.take("webhook_lost", *subjects):
            return
        late = self._faults.take("webhook_late", *subjects)
        if late:
            await asyncio.sleep(late.value_or(5.0))
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=False) as client:
            for wait_s in (*RETRIES_S, None):
                forged = self._faults.take("webhook_forged", *subjects) is not None
                headers = {"Content-Type": "application/json"} | dict(sign(b"another body" if forged else body))
                try:
                    answer = await client.post(url, content=body, headers=headers)
                    if answer.is_success and self._faults.take("webhook_twice", *subjects):
                        await client.post(url, content=body, headers=headers)
                    if answer.is_success:
                        return
                except httpx.HTTPError as error:
                    _LOG.info("The webhook %s was not answered: %s", url, type(error).__name__)
                if wait_s is not None:
                    await asyncio.sleep(wait_s)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
