"""What Dagster loads. `build_defs` takes overrides, so tests build a real code location with parts of their own."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from video_pipeline.defs import assets, checks, jobs, schedules, sensors
from video_pipeline.defs.resources import resources_of
from video_pipeline.policy import Policy
from video_pipeline.services import Services, get_services
from video_pipeline.settings import get_settings


def build_defs(*, policy: Policy | None = None, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole code location.

    `policy` replaces the one that the settings name, for the stages and for the days that they read. `resources`
    replaces single resources. Raises ConfigurationError for a policy file that is wrong.
    """
    services = get_services() if policy is None else Services(get_settings(), policy)
    return dg.Definitions(
        assets=assets.assets_under(services.policy, own_gpu=services.own_gpu),
        asset_checks=checks.ALL,
        jobs=jobs.ALL,
        schedules=schedules.ALL,
        sensors=sensors.ALL,
        resources={**resources_of(services), **(resources or {})},
        executor=jobs.EXECUTOR,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Dagster's entry point: the settings are read when it loads this, not when the module is imported."""
    return build_defs()
