"""A day's generation as one call: the engine with its HTTP client, from plans to clips."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import date

import httpx

from video_pipeline.alerts import Notifier
from video_pipeline.clips import GeneratedClip
from video_pipeline.generation.engine import GenerationEngine
from video_pipeline.generation.media_collector import DOWNLOADS
from video_pipeline.generation.providers import Provider
from video_pipeline.generation.webhooks import NO_WEBHOOKS, Webhooks
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan, RoutingState
from video_pipeline.storage import ObjectStore
from video_pipeline.wire import AT_ONCE

# A submit may take a while to be answered, a download to come; neither hangs for ever.
_TIMEOUT = httpx.Timeout(30.0, read=60.0)
# How many are open at a time is the lines' and the collector's to say; as many stay open for the next question.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=AT_ONCE + DOWNLOADS)


def generate_day(
    plans: Sequence[ClipPlan],
    *,
    ledger: Ledger,
    store: ObjectStore,
    providers: Callable[[httpx.AsyncClient], Mapping[str, Provider]],
    catalogue: Catalogue,
    policy: Policy,
    notifier: Notifier,
    run_id: str,
    webhooks: Webhooks = NO_WEBHOOKS,
    state: RoutingState | None = None,
    days: Collection[date] = (),
    on_clip: Callable[[GeneratedClip], None] = lambda clip: None,
) -> list[GeneratedClip]:
    """Generate, or go on generating, the clips of `plans`; see GenerationEngine.

    `state` is what routing goes by where a shot's model cannot serve and another is to be chosen. `days` are those
    that `plans` are all of, should they have none.
    """

    async def run() -> list[GeneratedClip]:
        # No proxy from the environment: media addresses are checked before they are fetched, and pinned.
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, limits=_LIMITS, trust_env=False) as client,
            _entered(providers(client)) as connected,
        ):
            engine = GenerationEngine(
                ledger=ledger,
                store=store,
                providers=connected,
                client=client,
                catalogue=catalogue,
                policy=policy,
                notifier=notifier,
                run_id=run_id,
                webhooks=webhooks,
                state=state,
                on_clip=on_clip,
            )
            return await engine.generate(plans, days)

    return asyncio.run(run())


@asynccontextmanager
async def _entered(providers: Mapping[str, Provider]) -> AsyncGenerator[Mapping[str, Provider], None]:
    """The providers, and for so long what some of them hold of this machine."""
    async with AsyncExitStack() as held:
        for provider in providers.values():
            if isinstance(provider, AbstractAsyncContextManager):
                await held.enter_async_context(provider)
        yield providers
