"""What Dagster loads. `build_defs` takes overrides, so tests build a real code location with parts of their own."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from video_pipeline.defs import assets, checks, jobs, schedules, sensors
from video_pipeline.defs.resources import default_resources


def build_defs(*, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole code location; `resources` replaces single resources (`services`, `tables`)."""
    return dg.Definitions(
        assets=assets.ALL,
        asset_checks=checks.ALL,
        jobs=jobs.ALL,
        schedules=schedules.ALL,
        sensors=sensors.ALL,
        resources={**default_resources(), **(resources or {})},
        executor=jobs.EXECUTOR,
    )


defs = build_defs()
