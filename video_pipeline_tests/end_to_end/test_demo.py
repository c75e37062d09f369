"""`video-pipeline demo`, twice, as a newcomer runs it: the report's fields, both sides' books, nothing new."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import yaml

from video_pipeline_tests.end_to_end.conftest import Machine, NewMachine
from video_pipeline_tests.integration.small_day import a_brief, assert_books_agree

BRIEFS = [
    a_brief("lantern"),
    a_brief("lantern-again", prompt=a_brief("lantern")["prompt"], platforms=["tiktok"]),
    a_brief("rally", prompt="A casino night on a stage"),
]
STAGES = {
    "briefs",
    "storyboards",
    "generation_plan",
    "generated_clips",
    "upscaled_clips",
    "reviewed_clips",
    "publish_records",
    "engagement",
    "clip_facts",
    "cost_report",
    "tier_status",
    "model_scores",
    "model_standings",
}


@dataclass(frozen=True)
class Demo:
    """One run of the command and the report that it wrote."""

    result: subprocess.CompletedProcess[str]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def machine(new_machine: NewMachine) -> Machine:
    """A machine with nothing configured but a small policy, and three briefs at the top of the inbox."""
    made = new_machine(embedded=True)
    (made.inbox / "briefs.yaml").write_text(yaml.safe_dump(BRIEFS))
    return made


@pytest.fixture(scope="module")
def demos(machine: Machine) -> Iterator[tuple[Demo, Demo]]:
    """The first and the second run."""
    runs = []
    for run in (machine.run_afresh, machine.run):
        result = run("demo")
        assert result.returncode == 0, result.stderr
        runs.append(Demo(result, json.loads((machine.folder / "demo-report.json").read_text())))
    yield runs[0], runs[1]


def test_the_report_has_every_field_that_was_asked_for(demos: tuple[Demo, Demo]) -> None:
    for demo in demos:
        report = demo.report
        for both in ("billed_jobs", "billed_usd", "published"):
            assert set(report[both]) == {"sandbox", "ledger"}
        for number in (
            "new_billed_jobs",
            "new_published",
            "double_billed",
            "double_published",
            "cost_per_clip_usd",
            "cost_per_usable_clip_usd",
        ):
            assert Decimal(str(report[number])) >= 0, number
        assert set(report["stage_seconds"]) >= STAGES
        assert all(seconds > 0 for seconds in report["stage_seconds"].values())
        for brief in report["briefs"]:
            assert set(brief) >= {
                "brief",
                "tier",
                "model",
                "attempts",
                "strategy",
                "cost_usd",
                "final_size",
                "status",
                "published_url",
            }


def test_the_briefs_come_to_their_ends(demos: tuple[Demo, Demo]) -> None:
    for demo in demos:
        briefs = {brief["brief"]: brief for brief in demo.report["briefs"]}
        assert {name: brief["status"] for name, brief in briefs.items()} == {
            "lantern": "passed",
            "lantern-again": "passed",
            "rally": "review",
        }
        assert briefs["lantern"]["final_size"] == "432x768"
        assert str(briefs["lantern"]["published_url"]).startswith("http://127.0.0.1:")
        assert briefs["rally"]["reason"]
        assert "cache" in {briefs["lantern"]["strategy"], briefs["lantern-again"]["strategy"]}


def test_both_sides_books_are_equal(machine: Machine, demos: tuple[Demo, Demo]) -> None:
    for demo in demos:
        report = demo.report
        assert report["billed_jobs"]["sandbox"] == report["billed_jobs"]["ledger"] == 1
        assert Decimal(report["billed_usd"]["sandbox"]) == Decimal(report["billed_usd"]["ledger"]) == Decimal("0.022")
        assert report["published"]["sandbox"] == report["published"]["ledger"] == 1
        assert report["double_billed"] == report["double_published"] == 0
    ledger = machine.ledger()
    assert_books_agree(ledger, machine.sandbox_url())
    ledger.close()


def test_the_costs_a_clip_follow_from_the_table(demos: tuple[Demo, Demo]) -> None:
    report = demos[0].report
    total = sum(Decimal(brief["cost_usd"]) for brief in report["briefs"])
    assert total > Decimal("0.022")
    assert Decimal(report["cost_per_usable_clip_usd"]) == pytest.approx(total / 2, abs=Decimal("0.000001"))


def test_the_second_run_pays_for_nothing_and_says_so(demos: tuple[Demo, Demo]) -> None:
    first, second = demos
    assert (first.report["new_billed_jobs"], first.report["new_published"]) == (1, 1)
    assert (second.report["new_billed_jobs"], second.report["new_published"]) == (0, 0)
    assert "paid for nothing and published nothing new" in second.result.stdout
    assert "paid for nothing" not in first.result.stdout
    same = ("briefs", "billed_jobs", "billed_usd", "published", "cost_per_clip_usd", "cost_per_usable_clip_usd")
    assert {name: first.report[name] for name in same} == {name: second.report[name] for name in same}


def test_progress_the_table_and_where_to_look_are_printed(demos: tuple[Demo, Demo]) -> None:
    for demo in demos:
        output = demo.result.stdout
        for stage in STAGES:
            assert stage in output
        for brief in BRIEFS:
            assert brief["brief_id"] in output
        assert demo.report["report"] in output.replace("\n", "")
        assert "make dev" in output
        assert "[dim]" not in output and "[/" not in output, "markup is shown instead of being used"
        assert demo.result.stderr == ""
        assert "warning" not in output.lower()


def test_the_demo_refuses_to_spend_real_money(machine: Machine) -> None:
    result = machine.run("demo", environment={"VIDEO_PIPELINE_MODE": "live", "FAL_KEY": "a-real-key"})
    assert result.returncode == 1
    assert "VIDEO_PIPELINE_MODE is live" in result.stderr
    assert "a-real-key" not in result.stdout + result.stderr
