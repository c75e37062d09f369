"""Resources: they hand assets the domain's own objects, and never appear in domain code."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import dagster as dg

from video_pipeline.defs.dead_runs import mark_run
from video_pipeline.defs.tables import ParquetTables
from video_pipeline.services import Services
from video_pipeline.settings import get_settings


@lru_cache(maxsize=1)
def _services() -> Services:
    """One set of services a process: connections and the catalogue are shared by all of its steps."""
    return Services(get_settings())


class ServicesResource(dg.ConfigurableResource):
    """Everything a stage needs, wired from the environment; it takes no run configuration, so no secret can leak."""

    def create_resource(self, context: dg.InitResourceContext) -> Services:
        # Every step asks for its services before anything else, so the run is marked with its first step.
        if context.run is not None and context.instance is not None:
            mark_run(context.instance, context.run.run_id)
        return _services()


@dg.io_manager(required_resource_keys={"services"}, description="One Parquet file an asset and partition.")
def parquet_tables(context: dg.InitResourceContext) -> ParquetTables:
    return ParquetTables(context.resources.services.store)


def default_resources() -> Mapping[str, Any]:
    return {"services": ServicesResource(), "tables": parquet_tables}
