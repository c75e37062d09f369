"""The server behind the webhooks' address: reads a call within bounds, verifies it, notes it, and answers at once.

Its answers hold nothing that the caller has not said itself.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import uvicorn
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from video_pipeline.alerts import Notifier
from video_pipeline.errors import ConfigurationError, LedgerError, VendorError
from video_pipeline.generation import Forged, WebhookCall, is_job_key
from video_pipeline.ledger import CallStanding, Ledger
from video_pipeline.receiver import messages
from video_pipeline.receiver.keys import KeySet
from video_pipeline.wire import Unreadable

MAX_BYTES = 1024 * 1024
"""Size of the largest call that is read."""
_BODY_S = 10.0
# Behind these, callers wait for nothing: they are turned away at once, and vendors call again.
_CONNECTIONS = 64

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """A vendor that may call: its keys, and how it signs (`WebhookTerms.verify`)."""

    keys: KeySet
    verify: Callable[[Mapping[str, str], bytes, Sequence[bytes]], WebhookCall]


class Receiver:
    """An ASGI application; `callers` are the vendors that may call, by provider's name."""

    def __init__(self, *, ledger: Ledger, notifier: Notifier, callers: Mapping[str, Caller]) -> None:
        self._calls = ledger.webhook_calls
        self._notifier = notifier
        self._callers = callers
        self.app = Starlette(
            routes=[Route("/webhooks/{provider}/{job_key}", self._call, methods=["POST"])],
            exception_handlers={HTTPException: _refused},
        )

    async def _call(self, request: Request) -> JSONResponse:
        provider, job_key = request.path_params["provider"], request.path_params["job_key"]
        caller = self._callers.get(provider)
        if caller is None or not is_job_key(job_key):
            raise HTTPException(404, "There is no such webhook.")
        body = await _body(request)
        call = await _verified(caller, provider, request.headers, body)
        try:
            standing = await asyncio.to_thread(
                self._calls.keep, provider, job_key, call.provider_job_id, account=call.account
            )
        except (LedgerError, SQLAlchemyError) as error:
            _LOG.error("a webhook of %s could not be noted: %s", provider, type(error).__name__)
            raise HTTPException(503, "The call cannot be noted now; call again later.") from None
        if standing is CallStanding.NO_JOB:
            raise HTTPException(404, "There is no such webhook.")
        telling = {
            CallStanding.ANOTHER_JOBS: messages.another_jobs_request,
            CallStanding.ANOTHER_REQUEST: messages.another_request,
        }.get(standing)
        if telling is not None:
            await asyncio.to_thread(self._notifier.notify, telling(provider, job_key, call.provider_job_id))
        return JSONResponse({"detail": "Noted."})


async def _body(request: Request) -> bytes:
    """The whole body, as far as it keeps within its bounds. Raises HTTPException."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise HTTPException(413, f"A call may be no larger than {MAX_BYTES:,} bytes.")
    except TimeoutError:
        raise HTTPException(408, "The call did not come to its end in time.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The call broke off.") from None
    return bytes(body)


async def _verified(caller: Caller, provider: str, headers: Mapping[str, str], body: bytes) -> WebhookCall:
    """What the call says, when the vendor has signed it. Raises HTTPException."""
    try:
        known = await caller.keys.keys()
        try:
            return caller.verify(headers, body, known)
        except Forged:
            # The vendor may have changed its keys since they were fetched.
            newer = await caller.keys.keys(newer=True)
            if newer == known:
                raise
            return caller.verify(headers, body, newer)
    except Forged as error:
        _LOG.warning("a webhook call in the name of %s was refused: %s", provider, error)
        raise HTTPException(401, f"The call is not believed: {error}.") from None
    except Unreadable as error:
        _LOG.error("a webhook of %s cannot be read: %s", provider, error)
        raise HTTPException(400, "The call cannot be read: its body is not as it is documented.") from None
    except VendorError as error:
        _LOG.error("a webhook of %s cannot be verified: %s", provider, error)
        raise HTTPException(503, "The call cannot be verified now; call again later.") from None


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "it is registered for these only"
    said = {404: "There is no such webhook.", 405: "A webhook is called with POST."}.get(error.status_code)
    # What is left of the body is not read.
    headers = dict(error.headers or {}) | {"Connection": "close"}
    return JSONResponse({"detail": said or error.detail}, error.status_code, headers=headers)


def serve(receiver: Receiver, *, host: str, port: int) -> None:
    """Answer calls until Ctrl-C. Raises ConfigurationError when it cannot listen there."""
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        what = "another program has the port" if error.errno == errno.EADDRINUSE else error.strerror or "no address"
        raise ConfigurationError(
            f"The receiver of webhooks cannot listen on {host}, port {port}: {what}. Give another --port or --host."
        ) from None
    # Ctrl-C is how it is meant to end.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn_config(receiver)).run(sockets=[listener])


def uvicorn_config(receiver: Receiver) -> uvicorn.Config:
    """How the receiver is served: few connections, nothing said of the server, and no log of addresses."""
    return uvicorn.Config(
        receiver.app,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
