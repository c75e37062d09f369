"""The ledger beside the event loop: its calls block, so they run in threads, and together where they can be."""

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast
from weakref import WeakKeyDictionary

from video_pipeline.ledger import Together

_P = ParamSpec("_P")
_T = TypeVar("_T")
# As many callers go on at once when a lot is back: what else the loop has to do, deadlines among it, waits for them.
_MOST_TOGETHER = 32


class LedgerThreads:
    """Awaits a blocking call; its threads are its own, so that no call waits behind decoding and stitching.

    Calls that can be made together are: while one lot of a kind is out, those of its kind that come make up the next.
    So a thousand jobs under way cost neither a thread nor a connection each.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="ledger")
        # The queues of each event loop that calls, by what makes the calls in them.
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, _Queue]] = WeakKeyDictionary()

    async def __call__(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        loop = asyncio.get_running_loop()
        if not isinstance(call, Together):
            return await loop.run_in_executor(self._pool, functools.partial(call, *args, **kwargs))
        shared, queues = cast("Together[_P, Any, _T]", call), self._queues.setdefault(loop, {})
        if shared.make not in queues:
            make = functools.partial(shared.make, shared.engine)
            queues[shared.make] = _Queue(lambda items: loop.run_in_executor(self._pool, make, items))
        return await queues[shared.make].put(shared.draw(*args, **kwargs))


class _Queue:
    """Calls of one kind: one lot is out at a time."""

    def __init__(self, send: Callable[[list[Any]], asyncio.Future[Any]]) -> None:
        self._send = send
        self._waiting: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._sender: asyncio.Task[None] | None = None

    def put(self, item: Any) -> asyncio.Future[Any]:
        outcome = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._sender is None:
            self._start()
        return outcome

    def _start(self) -> None:
        # It begins when all that can run now has run, so that what they ask for goes along.
        self._sender = asyncio.create_task(self._send_all())
        self._sender.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._sender = None
        if self._waiting:
            # It was cancelled, as all tasks of a loop that ends: who still has to clean up is sent for all the same.
            self._start()

    async def _send_all(self) -> None:
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
            # Nothing is done any more for whoever was cancelled meanwhile.
            lot = [(item, future) for item, future in some if not future.done()]
            if not lot:
                continue
            try:
                outcomes = await self._send([item for item, _ in lot])
            except asyncio.CancelledError:
                for _, future in lot:
                    future.cancel()
                raise
            except Exception as error:
                outcomes = [error] * len(lot)
            for (_, future), outcome in zip(lot, outcomes, strict=True):
                _tell(future, outcome)


def _tell(future: asyncio.Future[Any], outcome: Any) -> None:
    # Whoever was waiting may have been cancelled.
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
