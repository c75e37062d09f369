"""The asset graph by name: groups, partitions, edges, mappings, pools, checks, executor."""

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from video_pipeline.definitions import build_defs, defs
from video_pipeline.defs import jobs
from video_pipeline.defs.assets import assets_under
from video_pipeline.defs.partitions import DAILY, WEEKLY
from video_pipeline.policy import Policy
from video_pipeline.quality import CHECKS

DEFS = defs()
GRAPH = DEFS.resolve_asset_graph()
SAME = (0, 0)
DAILY_ASSETS = {
    # asset: (group, {upstream: (start, end) in days, None for an external asset without partitions})
    "briefs": ("briefs", {"editorial_guidance": None}),
    "storyboards": ("briefs", {"briefs": SAME}),
    "generation_plan": ("routing", {"storyboards": SAME, "routing_policy": None}),
    "generated_clips": ("generation", {"generation_plan": SAME}),
    "upscaled_clips": ("upscaling", {"generated_clips": SAME}),
    "reviewed_clips": ("review", {"upscaled_clips": SAME, "storyboards": SAME}),
    "publish_records": ("publishing", {"reviewed_clips": SAME, "storyboards": SAME}),
    "engagement": ("publishing", {"publish_records": (-13, 0)}),
    "vendor_bills": ("feedback", {"generated_clips": SAME}),
    "vendor_prices": ("feedback", {"vendor_prices": (-1, -1)}),
    "clip_facts": (
        "feedback",
        {
            "vendor_bills": SAME,
            "storyboards": SAME,
            "generation_plan": SAME,
            "reviewed_clips": SAME,
            "publish_records": SAME,
            "engagement": SAME,
        },
    ),
    "cost_report": ("feedback", {"clip_facts": (-6, 0), "vendor_bills": SAME, "vendor_prices": SAME}),
    "tier_status": ("feedback", {"cost_report": (-13, 0)}),
    "model_scores": ("feedback", {"clip_facts": (-59, 0), "engagement": (-59, 0)}),
    "model_standings": (
        "feedback",
        {
            "model_scores": SAME,
            "clip_facts": (-59, 0),
            "engagement": (-59, 0),
            "model_standings": (-1, -1),
        },
    ),
}
WEEKLY_ASSETS = {
    # asset: (upstreams, how many days of them up to the end of its week)
    "weekly_cost_report": ({"cost_report"}, 7),
    "style_affinity": ({"clip_facts", "engagement"}, 56),
    "editorial_patterns": ({"clip_facts", "engagement"}, 56),
}
EXTERNAL_ASSETS = {"editorial_guidance": "briefs", "routing_policy": "routing"}
DAY = "2026-03-12"  # A Thursday; its week began on the 9th.


def test_the_graph_holds_these_assets_and_no_other() -> None:
    names = {key.to_user_string() for key in GRAPH.get_all_asset_keys()}
    assert names == {*DAILY_ASSETS, *WEEKLY_ASSETS, *EXTERNAL_ASSETS}


@pytest.mark.parametrize("name", DAILY_ASSETS)
def test_a_daily_asset_stands_in_its_group_and_reads_its_upstreams(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name))
    group, upstreams = DAILY_ASSETS[name]
    assert node.group_name == group
    assert node.partitions_def == DAILY
    assert {key.to_user_string() for key in node.parent_keys} == set(upstreams)
    for upstream, offsets in upstreams.items():
        assert _days_read(name, upstream) == (None if offsets is None else _days_around(DAY, *offsets))


@pytest.mark.parametrize("name", WEEKLY_ASSETS)
def test_a_weekly_asset_reads_the_days_up_to_the_end_of_its_week(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name))
    upstreams, days = WEEKLY_ASSETS[name]
    assert node.group_name == "feedback"
    assert node.partitions_def == WEEKLY
    assert {key.to_user_string() for key in node.parent_keys} == upstreams
    for upstream in upstreams:
        assert _days_read(name, upstream, of="2026-03-09") == _days_around("2026-03-09", 7 - days, 6)


@pytest.mark.parametrize("name", EXTERNAL_ASSETS)
def test_the_state_in_force_is_an_external_asset_at_the_head_of_the_graph(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name))
    assert node.is_external
    assert not node.is_executable
    assert node.partitions_def is None
    assert node.group_name == EXTERNAL_ASSETS[name]
    assert node.parent_keys == set()


@pytest.mark.parametrize("name", DAILY_ASSETS)
def test_todays_partition_exists_today(name: str) -> None:
    partitions = GRAPH.get(dg.AssetKey(name)).partitions_def
    assert isinstance(partitions, dg.TimeWindowPartitionsDefinition)
    assert partitions.end_offset == 1
    assert partitions.timezone == "UTC"


def test_the_first_day_reads_what_there_is_and_does_not_fail() -> None:
    assert _days_read("tier_status", "cost_report", of="2026-01-01") == ["2026-01-01"]
    assert _days_read("cost_report", "clip_facts", of="2026-01-02") == ["2026-01-01", "2026-01-02"]
    assert _days_read("model_standings", "model_standings", of="2026-01-01") == []


def test_pools_guard_the_gpu_the_providers_and_the_platforms() -> None:
    pools = {name: DEFS.get_assets_def(name).op.pool for name in (*DAILY_ASSETS, *WEEKLY_ASSETS)}
    assert {name: pool for name, pool in pools.items() if pool} == {
        "generated_clips": "provider_api",
        "upscaled_clips": "gpu",
        "publish_records": "platform_api",
    }


@pytest.mark.parametrize(("own_gpu", "pool"), [(False, "provider_api"), (True, "gpu")])
def test_generation_takes_turns_with_upscaling_where_it_renders_on_the_same_gpu(
    policy: Policy, own_gpu: bool, pool: str
) -> None:
    assets = assets_under(policy, own_gpu=own_gpu)
    [generated] = [one for one in assets if isinstance(one, dg.AssetsDefinition) and one.op.name == "generated_clips"]
    assert generated.op.pool == pool


def test_dagster_retries_no_step() -> None:
    """Least of all one that spends or publishes: only the ledger knows what has been done already."""
    assert [name for name in (*DAILY_ASSETS, *WEEKLY_ASSETS) if DEFS.get_assets_def(name).op.retry_policy] == []
    for job in ("production_day", "nightly_scoring", "weekly_learning", "cost_drift"):
        resolved = DEFS.resolve_job_def(job)
        assert "dagster/max_retries" not in resolved.tags
        assert [node.name for node in resolved.nodes if getattr(node.definition, "retry_policy", None)] == []


def test_checks_are_partitioned_by_day_and_block_nothing() -> None:
    specs = {key: GRAPH.get_check_spec(key) for key in GRAPH.asset_check_keys}
    by_asset: dict[str, set[str]] = {}
    for key, spec in specs.items():
        by_asset.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
        assert spec.partitions_def == DAILY, key
        assert not spec.blocking, key
    assert by_asset == {
        "generated_clips": {"no_unknown_jobs", "bills_match_the_ledger"},
        "reviewed_clips": {row.name for row in CHECKS},
    }


def test_the_steps_of_a_run_share_its_process() -> None:
    executor = DEFS.resolve_job_def("production_day").executor_def
    assert executor is jobs.EXECUTOR
    assert executor.name == "in_process"


def test_the_jobs_cover_every_asset_that_can_be_materialised() -> None:
    covered = {
        key.to_user_string()
        for job in ("production_day", "nightly_scoring", "weekly_learning")
        for key in DEFS.resolve_job_def(job).asset_layer.executable_asset_keys
    }
    assert covered == {*DAILY_ASSETS, *WEEKLY_ASSETS}


def test_resources_can_be_replaced_for_a_location_of_ones_own() -> None:
    own = build_defs(resources={"ledger": "mine"})
    assert own.resources is not None and own.resources["ledger"] == "mine"
    assert set(own.resources) == set(DEFS.resources or ())


def test_another_policy_reads_other_days(policy: Policy) -> None:
    """The windows that are policy are part of the graph; the others are not touched."""
    changed = policy.model_copy(
        update={
            "drift": policy.drift.model_copy(update={"trailing_days": 4}),
            "scoring": policy.scoring.model_copy(update={"trailing_days": 3}),
        }
    )
    graph = build_defs(policy=changed).resolve_asset_graph()
    assert _days_read("tier_status", "cost_report", graph=graph) == _days_around(DAY, -3, 0)
    assert _days_read("model_scores", "clip_facts", graph=graph) == _days_around(DAY, -2, 0)
    assert _days_read("model_standings", "clip_facts", graph=graph) == _days_around(DAY, -2, 0)
    assert _days_read("cost_report", "clip_facts", graph=graph) == _days_around(DAY, -6, 0)
    assert graph.get_all_asset_keys() == GRAPH.get_all_asset_keys()


def test_a_stage_may_touch_what_it_declares_and_no_more() -> None:
    """Money is spent by one stage and clips go public from two; nobody else gets the means."""
    needs = {
        name: set(DEFS.get_assets_def(name).op.required_resource_keys) for name in (*DAILY_ASSETS, *WEEKLY_ASSETS)
    }
    holders = {
        part: {name for name, parts in needs.items() if part in parts}
        for part in ("providers", "platforms", "upscaler", "inbox")
    }
    assert holders == {
        "providers": {"generated_clips"},
        "platforms": {"publish_records", "engagement"},
        "upscaler": {"upscaled_clips"},
        "inbox": {"briefs"},
    }
    assert "ledger" not in needs["upscaled_clips"] | needs["model_scores"]


def _days_read(name: str, upstream: str, *, of: str = DAY, graph: AssetGraph = GRAPH) -> list[str] | None:
    """The days of `upstream` that partition `of` of `name` reads."""
    child, parent = graph.get(dg.AssetKey(name)), graph.get(dg.AssetKey(upstream))
    if parent.partitions_def is None:
        return None
    assert child.partitions_def is not None
    mapping = graph.get_partition_mapping(child.key, parent.key)
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(
        downstream_partitions_subset=child.partitions_def.subset_with_partition_keys([of]),
        downstream_partitions_def=child.partitions_def,
        upstream_partitions_def=parent.partitions_def,
    )
    return sorted(result.partitions_subset.get_partition_keys())


def _days_around(day: str, start: int, end: int) -> list[str]:
    keys = DAILY.get_partition_keys()
    at = keys.index(day)
    return list(keys[at + start : at + end + 1])
