"""The two external assets that close the loop: whoever changes the state in the ledger logs it here."""

import dagster as dg

from video_pipeline.briefs import guidance_version
from video_pipeline.ledger import Ledger, Preference

_DATA_VERSION_TAG = "dagster/data_version"
_INPUT_VERSION_TAG = "dagster/input_data_version"


def routing_policy_materialization(ledger: Ledger) -> dg.AssetMaterialization:
    """The state of routing in force; its data version changes with any freeze, standing or affinity."""
    governance = ledger.governance
    return dg.AssetMaterialization(
        "routing_policy",
        metadata={
            "tiers": {tier: change.state for tier, change in governance.tier_states().items()} or {"all": "open"},
            "standings": {model: change.state for model, change in governance.standings().items()}
            or {"all": "active"},
        },
        tags={_DATA_VERSION_TAG: governance.version()},
    )


def editorial_guidance_materialization(ledger: Ledger) -> dg.AssetMaterialization:
    """The editorial guidance in force; its data version is a hash of it."""
    guidance = ledger.governance.preference(Preference.EDITORIAL_GUIDANCE)
    return dg.AssetMaterialization(
        "editorial_guidance", metadata={"preferred": guidance}, tags={_DATA_VERSION_TAG: guidance_version(guidance)}
    )


def report_routing_policy(instance: dg.DagsterInstance, ledger: Ledger) -> dict[str, str]:
    """Log the state of routing if it is not the one that Dagster saw last; tags for whoever reads it now."""
    return _report(instance, routing_policy_materialization(ledger))


def report_editorial_guidance(instance: dg.DagsterInstance, ledger: Ledger) -> dict[str, str]:
    """Log the editorial guidance if it is not the one that Dagster saw last; tags for whoever reads it now."""
    return _report(instance, editorial_guidance_materialization(ledger))


def is_news(instance: dg.DagsterInstance, event: dg.AssetMaterialization) -> bool:
    """Whether Dagster has not seen this data version as the asset's latest."""
    seen = instance.get_latest_materialization_event(event.asset_key)
    known = seen.asset_materialization.tags if seen and seen.asset_materialization else None
    return (known or {}).get(_DATA_VERSION_TAG) != (event.tags or {})[_DATA_VERSION_TAG]


def _report(instance: dg.DagsterInstance, event: dg.AssetMaterialization) -> dict[str, str]:
    """Tags by which a step says which version it has read.

    Dagster notes the versions of a step's inputs before the step's first line. What the step itself logs comes after
    that, so without these tags its result would be stale from the start.
    """
    if is_news(instance, event):
        instance.report_runless_asset_event(event)
    return {f"{_INPUT_VERSION_TAG}/{event.asset_key.to_user_string()}": (event.tags or {})[_DATA_VERSION_TAG]}
