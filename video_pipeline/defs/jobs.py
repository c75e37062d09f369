"""Jobs over parts of the graph, and the executor that all runs use."""

import dagster as dg

# A process for each step would cost two seconds of a core, seven times over before a clip is public. A run is a
# process of its own anyway: what its steps have loaded ends with it, and when killed, the next goes on.
EXECUTOR = dg.in_process_executor

production_day = dg.define_asset_job(
    "production_day",
    selection=dg.AssetSelection.assets(
        "briefs",
        "storyboards",
        "generation_plan",
        "generated_clips",
        "upscaled_clips",
        "reviewed_clips",
        "publish_records",
    ),
    description="Briefs of a day to published clips. Safe to run again: it continues.",
)

nightly_scoring = dg.define_asset_job(
    "nightly_scoring",
    selection=dg.AssetSelection.assets(
        "engagement",
        "vendor_bills",
        "vendor_prices",
        "clip_facts",
        "cost_report",
        "tier_status",
        "model_scores",
        "model_standings",
    ),
    description="Engagement, vendors' bills and prices, facts, costs, freezes, scores and standings of a day.",
)

cost_drift = dg.define_asset_job(
    "cost_drift",
    selection=dg.AssetSelection.assets("tier_status"),
    description="Judge cost drift from the newest cost report.",
)

weekly_learning = dg.define_asset_job(
    "weekly_learning",
    selection=dg.AssetSelection.assets("weekly_cost_report", "style_affinity", "editorial_patterns"),
    description="The week's cost report, affinities and editorial patterns.",
)

ALL = [production_day, nightly_scoring, cost_drift, weekly_learning]
