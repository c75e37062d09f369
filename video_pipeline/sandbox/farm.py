"""The render farm: accepts an order at its price, moderates it, renders it, and books how it ended.

No vendor's words and no HTTP belong here. Whatever will happen to a request (the verdict of the moderation, its
faults, what is billed) is decided when it is accepted and kept with it. A killed and restarted server therefore ends
every request in the same way.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from video_pipeline.sandbox.books import BookedRequest, Books, Progress, now, stamp
from video_pipeline.sandbox.faults import JOB_FAULTS, Faults
from video_pipeline.sandbox.moderation import Moderation, Part
from video_pipeline.sandbox.orders import Cause, Ending, InvalidOrder, Order, Outcome
from video_pipeline.sandbox.pricelist import PricedModel, PriceList

RENDER_WORKERS = 2
MODERATION_DELAY_S = 0.1
MEDIA_PATH = "/media/"
"""Rendered files are served under this path, by their names."""

_MEDIA_NAME = re.compile(r"(?P<id>[0-9a-f-]+)_\d\.(mp4|png)")


@dataclass(frozen=True)
class Purchase:
    """A request as a wire hands it to the farm."""

    wire: str
    """Name of the wire."""
    request_id: str
    """Chosen by the wire from hexadecimal digits and hyphens; unique among all wires."""
    endpoint: str
    """What was ordered, in the vendor's words; it decides the pixels together with prompt and seed."""
    model: PricedModel
    input: dict[str, Any]
    """The request's body, as the books show it."""
    order: Order | InvalidOrder
    billed: frozenset[Outcome]
    """Outcomes other than completion that this vendor bills; a canceled request only once it is being rendered."""
    client_key: str | None = None
    """An idempotency key: a second request under the same key of a wire is the first one."""
    moderated: bool = True
    """False for a server that renders whatever it is asked for."""
    webhook: str = ""
    """An address that the wire is to call when the request has ended; stands in its plan."""
    buyer: str = ""
    """Whose key it came with, as the vendor's billing says it; stands in its plan."""


@dataclass(frozen=True)
class Accepted:
    """A purchase in the books."""

    request: BookedRequest
    repeated: bool = False
    """It was accepted before, under the same key; nothing new is booked."""
    answer_lost: bool = False
    """A fault orders that the connection be cut instead of an answer."""


class RenderFarm:
    """The models, their queue and their workers."""

    def __init__(
        self,
        base_url: str,
        media_dir: Path,
        books: Books,
        faults: Faults,
        prices: PriceList,
        moderation: Moderation,
    ) -> None:
        self._base_url, self._media_dir = base_url, media_dir
        self._books, self._faults, self._prices = books, faults, prices
        self._moderation = moderation
        media_dir.mkdir(exist_ok=True)
        self._renderers = ThreadPoolExecutor(RENDER_WORKERS, thread_name_prefix="render")
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._listeners: dict[str, Callable[[BookedRequest], None]] = {}

    @property
    def busy(self) -> bool:
        """Whether a request is being worked on."""
        return bool(self._jobs)

    def resume(self) -> None:
        """Takes up every request that was accepted before the last end of the server; needs a running event loop."""
        for request_id in self._books.unfinished():
            self._schedule(request_id)

    def close(self) -> None:
        self._renderers.shutdown(wait=False, cancel_futures=True)

    # --- for the wires ---------------------------------------------------------------------------------------

    def when_ended(self, wire: str, listener: Callable[[BookedRequest], None]) -> None:
        """Tell `listener` of each request of a wire that has a webhook, once it has ended."""
        self._listeners[wire] = listener

    def accept(self, purchase: Purchase) -> Accepted:
        """Books a purchase at its price, once a key, and begins to work on it."""
        known = purchase.client_key and self._books.request_of_key(purchase.wire, purchase.client_key)
        if known:
            return Accepted(known, repeated=True)
        subjects = (purchase.endpoint, purchase.order.prompt)
        with self._books.transaction():
            self._book(purchase)
            answer_lost = self._faults.take("drop_after_accept", *subjects) is not None
        self._schedule(purchase.request_id)
        return Accepted(self._known(purchase.request_id), answer_lost=answer_lost)

    def request(self, request_id: str) -> BookedRequest | None:
        return self._books.request(request_id)

    def requests(self, wires: Sequence[str]) -> list[BookedRequest]:
        """Every request that came through these wires, oldest first."""
        return self._books.requests(wires)

    def listed(
        self, wires: Sequence[str], endpoint: str, *, start: str, end: str, limit: int, offset: int
    ) -> list[BookedRequest]:
        """An endpoint's requests accepted from `start` to before `end` that the listing shows yet, newest first."""
        return self._books.listed(wires, endpoint, start=start, end=end, limit=limit, offset=offset)

    def next_number(self) -> int:
        """The number of the next accepted request, for wires whose ids are numbers."""
        return self._books.next_number()

    def cancel(self, request: BookedRequest) -> bool:
        """Ends a request that has no end yet; whether there was anything to cancel.

        A waiting request costs nothing then. One that is being rendered costs what its vendor bills.
        """
        if request.progress is Progress.ENDED:
            return False
        ending = Ending(Outcome.CANCELED)
        waiting = request.progress is Progress.WAITING
        self._end(request, ending, usd=Decimal(0) if waiting else _usd(request, ending))
        return True

    def media_url(self, name: str) -> str:
        return f"{self._base_url}{MEDIA_PATH}{name}"

    def media_bytes(self, name: str) -> int:
        """Size of a rendered file."""
        return (self._media_dir / name).stat().st_size

    def media(self, name: str) -> tuple[Path, BookedRequest] | None:
        """A rendered file and the request that it belongs to."""
        match = _MEDIA_NAME.fullmatch(name)
        request = self._books.request(match["id"]) if match else None
        path = self._media_dir / name
        return (path, request) if request and path.exists() else None

    # --- acceptance ------------------------------------------------------------------------------------------

    def _book(self, purchase: Purchase) -> None:
        """Books the request at its price together with what will become of it."""
        order = purchase.order
        taken = {name: self._faults.take(name, purchase.endpoint, order.prompt) for name in JOB_FAULTS}
        faults = {name: fault.value for name, fault in taken.items() if fault}
        seconds = usd = Decimal(0)
        verdict: Ending | None
        output_refused = "the output was found unsafe" if "refuse_output" in faults else None
        if isinstance(order, InvalidOrder):
            verdict = Ending(Outcome.INVALID, order.reason, answer=order.answer)
        else:
            seconds, usd = order.seconds, purchase.model.usd(order)
            verdict = self._moderated(purchase, order, ordered="refuse_input" in faults)
            output_refused = output_refused or self._refusal(Part.OUTPUT, order.prompt, purchase, order)
        otherwise = taken["billed_otherwise"]
        charged = usd * Decimal(str(otherwise.value_or(1.6))) if otherwise else usd
        billed = (
            purchase.billed | {Outcome.COMPLETED} | ({Outcome.REFUSED_INPUT} if "billed_refusal" in faults else set())
        )
        plan = {
            "faults": faults,
            "order": None if isinstance(order, InvalidOrder) else order.as_json(),
            "verdict": verdict and verdict.as_json(),
            "output_refused": output_refused,
            "billed": [] if "billed_back" in faults else sorted(billed),
            "charged": str(charged),
            "webhook": purchase.webhook,
            "buyer": purchase.buyer,
        }
        moment, lag = now(), taken["listing_lag"]
        self._books.insert(
            "requests",
            request_id=purchase.request_id,
            wire=purchase.wire,
            client_key=purchase.client_key,
            endpoint=purchase.endpoint,
            model=purchase.model.name,
            prompt=order.prompt,
            input=json.dumps(purchase.input),
            seconds=str(seconds),
            list_usd=str(usd),
            usd=str(charged),
            accepted_at=stamp(moment),
            listed_at=stamp(moment + timedelta(seconds=lag.value_or(5.0) if lag else 0)),
            status=Progress.WAITING,
            outcome="queued",
            plan=json.dumps(plan),
        )

    def _moderated(self, purchase: Purchase, order: Order, *, ordered: bool) -> Ending | None:
        """The refusal of an order, None when it may be rendered; `ordered` when a fault asks for a refusal."""
        rate = purchase.model.refusal_rate
        reason = self._refusal(Part.PROMPT, order.prompt, purchase, order, rate=rate)
        if reason or ordered:
            return Ending(Outcome.REFUSED_INPUT, reason or "a fault orders it")
        if order.start_image is None:
            return None
        reason = self._refusal(Part.START_IMAGE, self._shown(order.start_image), purchase, order)
        return Ending(Outcome.REFUSED_INPUT, reason, Cause.IMAGE_REFUSED) if reason else None

    def _refusal(self, part: Part, words: str, purchase: Purchase, order: Order, *, rate: float = 0.0) -> str | None:
        if not purchase.moderated:
            return None
        drawn_by = f"{purchase.endpoint}\n{order.prompt}\n{order.seed}"
        return self._moderation.refusal(
            part, words, vendor=purchase.wire, makes=order.kind, drawn_by=drawn_by, rate=rate
        )

    def _shown(self, image: str) -> str:
        """What an image shows: the words that it was rendered from; nothing of one that is not this server's."""
        found = self.media(image.rpartition("/")[2]) if image.startswith(self.media_url("")) else None
        return found[1].prompt if found else ""

    def _known(self, request_id: str) -> BookedRequest:
        request = self._books.request(request_id)
        assert request is not None, "only accepted requests are asked for"
        return request

    # --- the work --------------------------------------------------------------------------------------------

    def _schedule(self, request_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._work(request_id), name=f"render {request_id}")
        self._jobs[request_id] = task
        task.add_done_callback(lambda _: self._jobs.pop(request_id, None))

    async def _work(self, request_id: str) -> None:
        request = self._known(request_id)
        if "stuck" in request.plan["faults"]:
            self._books.start(request_id)
            return
        try:
            ending = await self._ending(request)
        except Exception as error:
            # The one place where anything may go wrong with one request; it ends that request and is told in the log.
            ending = Ending(Outcome.FAILED, f"{error}", Cause.FARM)
            self._end(request, ending, usd=_usd(request, ending))
            raise
        if ending is not None:
            self._end(request, ending, usd=_usd(request, ending))

    def _end(self, request: BookedRequest, ending: Ending, *, usd: Decimal | None) -> None:
        ended = self._books.finish(request.request_id, ending, usd=usd)
        listener = self._listeners.get(request.wire)
        if ended and listener is not None and request.plan.get("webhook"):
            listener(self._known(request.request_id))

    async def _ending(self, request: BookedRequest) -> Ending | None:
        """How the request ends, after its time; None when it was canceled while it waited."""
        faults, verdict = request.plan["faults"], request.plan["verdict"]
        if verdict is not None:
            await asyncio.sleep(MODERATION_DELAY_S)
            return Ending.from_json(verdict)
        await asyncio.sleep(self._prices.render_delay_s / 2)
        if self._known(request.request_id).progress is Progress.ENDED:
            return None
        self._books.start(request.request_id)
        await asyncio.sleep(self._prices.render_delay_s / 2)
        if "job_failed" in faults:
            return Ending(Outcome.FAILED, "The model failed to generate", Cause.MODEL)
        ending = await asyncio.get_running_loop().run_in_executor(self._renderers, self._render, request)
        refused = request.plan.get("output_refused")
        if refused and ending.outcome is Outcome.COMPLETED:
            return Ending(Outcome.REFUSED_OUTPUT, refused)
        return ending

    def _render(self, request: BookedRequest) -> Ending:
        """Renders the files of a request, in a worker thread."""
        from video_pipeline.sandbox.rendering import Studio  # numpy is not for the start of the server

        return Studio(self._media_dir, self.media_url(""), self._prices.fps).render(request)


def _usd(request: BookedRequest, ending: Ending) -> Decimal | None:
    """What replaces the booked price at the end: nothing where the vendor bills this outcome, else 0."""
    return None if ending.outcome in request.plan["billed"] else Decimal(0)
