"""What whoever runs a day hears of it when a stage fails."""

from datetime import timedelta

from video_pipeline_tests.clock import today
from video_pipeline_tests.end_to_end.conftest import NewMachine, assert_one_sentence
from video_pipeline_tests.integration.small_day import a_brief, drop, write_policy


def test_after_a_failure_only_the_stage_that_failed_is_heard_of(new_machine: NewMachine) -> None:
    machine = new_machine()
    drop(machine.inbox, today(), a_brief("lantern"))
    policy = write_policy(machine.folder / "tight.yaml", {"budget": {"plan_cap_usd": "0.01"}})
    result = machine.run("run-day", environment={"VIDEO_PIPELINE_POLICY_FILE": str(policy)})
    assert_one_sentence(result, "over the cap of $0.01")
    assert "storyboards" in result.stdout
    for later in ("generated_clips", "upscaled_clips", "publish_records", "no_unknown_jobs"):
        assert later not in result.stdout + result.stderr


def test_a_day_that_cannot_be_run_and_a_broken_dagster_are_a_sentence(new_machine: NewMachine) -> None:
    machine = new_machine()
    to_come = (today() + timedelta(days=1)).isoformat()
    assert_one_sentence(machine.run("run-day", to_come), f"{to_come} is no production day that can be run")
    for day in ("2025-12-31", "0001-01-01", "9999-12-31"):
        assert_one_sentence(machine.run("run-day", day), f"{day} is no production day: the first is 2026-01-01")
    assert_one_sentence(machine.run("plan", "9999-12-31"), "9999-12-31 is no production day")
    home = machine.folder / "dagster"
    home.mkdir(exist_ok=True)
    drop(machine.inbox, today(), a_brief("lantern"))
    for wrong in ("storage: [", "storage: {nothing: 1}\n"):
        (home / "dagster.yaml").write_text(wrong)
        assert_one_sentence(machine.run("run-day"), "dagster.yaml: ")
