"""Resources: each is one thing that a stage may touch, and a stage gets only what it asks for.

Assets get the domain's own objects. No resource takes run configuration, so no secret can stand in a run.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import httpx

from video_pipeline.alerts import FLUSH_S, Notifier
from video_pipeline.defs.dead_runs import giving_signs_of_life, mark_run
from video_pipeline.defs.partitions import day_of
from video_pipeline.defs.tables import ParquetTables
from video_pipeline.generation import Provider
from video_pipeline.publishing import Platform
from video_pipeline.services import Services
from video_pipeline.upscaling import ClipUpscaler, ClusterUpscaler, OnProgress

# A run in one process builds the resources of all its steps at its start. These three reach outside, so each is a
# function that a stage calls when it needs it.
Providers = Callable[[httpx.AsyncClient], Mapping[str, Provider]]
Platforms = Callable[[], Mapping[str, Platform]]
Upscaler = Callable[[OnProgress], ClipUpscaler | ClusterUpscaler]


def resources_of(services: Services) -> dict[str, dg.ResourceDefinition]:
    """The parts of `services` by the names that stages ask for; each is built when it is asked for."""
    return {
        "inbox": _resource(lambda: services.inbox, "Where briefs come from."),
        "ledger": _alive(services, lambda: services.ledger, "What was decided, bought and published."),
        "store": _resource(lambda: services.store, "Media and tables."),
        "policy": _resource(lambda: services.policy, "Thresholds, budgets and weights."),
        "catalogue": _resource(lambda: services.catalogue, "The models and their prices."),
        "providers": _resource(lambda: services.providers, "Connects the providers that render."),
        "enquiries": _resource(lambda: services.enquiries, "Asks providers for bills and prices; buys nothing."),
        "webhooks": _resource(lambda: services.webhooks, "Where providers are asked to call."),
        "platforms": _resource(
            lambda: lambda: services.platforms, "Connects the platforms that clips are published on."
        ),
        "notifier": _notifier(services),
        "upscaler": _alive(services, lambda: services.upscaler, "Makes this machine's upscaler, or the cluster's."),
        "tables": _tables,
    }


def _resource(give: Callable[[], Any], description: str) -> dg.ResourceDefinition:
    def create(context: dg.InitResourceContext) -> Any:
        _mark(context)
        return give()

    return dg.ResourceDefinition(create, description=description)


def _alive(services: Services, give: Callable[[], Any], description: str) -> dg.ResourceDefinition:
    """A resource that tells the ledger that its run is alive, for as long as the run has it.

    Every step that works for long asks for one of these.
    """

    def create(context: dg.InitResourceContext) -> Iterator[Any]:
        _mark(context)
        if context.run is None:
            yield give()
            return
        partition = context.run.tags.get("dagster/partition")
        day = day_of(partition) if partition and context.run.job_name == "production_day" else None
        with giving_signs_of_life(services.ledger, context.run.run_id, day):
            yield give()

    return dg.ResourceDefinition(contextmanager(create), description=description)


def _mark(context: dg.InitResourceContext) -> None:
    # Every step asks for resources before anything else, so the run is marked with its first step.
    if context.run is not None and context.instance is not None:
        mark_run(context.instance, context.run.run_id)


def _notifier(services: Services) -> dg.ResourceDefinition:
    """Alerts of a run get a moment to go out when its process is done; after that the outbox's sensor sends them."""

    def create(context: dg.InitResourceContext) -> Iterator[Notifier]:
        _mark(context)
        yield services.notifier
        if context.run is not None:
            services.notifier.flush(FLUSH_S)

    return dg.ResourceDefinition(contextmanager(create), description="Alerts to people.")


@dg.io_manager(required_resource_keys={"store"}, description="One Parquet file an asset and partition.")
def _tables(context: dg.InitResourceContext) -> ParquetTables:
    return ParquetTables(context.resources.store)
