"""What whoever runs a day hears of it when a stage fails."""

from video_pipeline_tests.end_to_end.conftest import NewMachine, assert_one_sentence
from video_pipeline_tests.integration.small_day import a_brief, drop, today, write_policy


def test_after_a_failure_only_the_stage_that_failed_is_heard_of(new_machine: NewMachine) -> None:
    machine = new_machine()
    drop(machine.inbox, today(), a_brief("lantern"))
    policy = write_policy(machine.folder / "tight.yaml", {"budget": {"plan_cap_usd": "0.01"}})
    result = machine.run("run-day", environment={"VIDEO_PIPELINE_POLICY_FILE": str(policy)})
    assert_one_sentence(result, "over the cap of $0.01")
    assert "storyboards" in result.stdout
    for later in ("generated_clips", "upscaled_clips", "publish_records", "no_unknown_jobs"):
        assert later not in result.stdout + result.stderr
