"""A talking shot from brief to clip: whose it is, how long it is, what it costs, and what a refusal means."""

from decimal import Decimal

import pytest

from video_pipeline.clips import ClipStatus
from video_pipeline.generation.ladder import Stop, next_step
from video_pipeline.ledger import FailureKind, JobState
from video_pipeline.media import probe
from video_pipeline.quality import CheckName
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage

SCRIPT = "Hello, and welcome to our workshop."
SHOTS = [{"prompt": "A wide skyline at dawn", "duration_s": 1}, {"prompt": "At a bench", "script": SCRIPT}]


@pytest.fixture
def talking(stage: Stage) -> Stage:
    stage.providers = ("fal", "heygen")
    return stage


def test_a_script_is_said_in_its_own_time_and_booked_at_that(talking: Stage) -> None:
    clip = talking.one(brief_of(shots=SHOTS))
    assert clip.status is ClipStatus.GENERATED
    scene, said = talking.jobs()
    assert (scene.provider, said.provider, said.model) == ("fal", "heygen", "sandbox/speaker")
    assert (scene.order.script, said.order.script) == (None, SCRIPT)
    [told] = [request for request in talking.requests if request["wire"] == "heygen"]
    assert said.billed_s == float(told["seconds"]) != said.requested_s
    assert said.billed_usd == Decimal(told["usd"]) == Decimal("0.02") * Decimal(told["seconds"])
    # Nothing of what was said is cut off, and the scene has silence.
    assert clip.audio and clip.audio_expected
    assert clip.duration_s == pytest.approx(1 + said.billed_s, abs=0.2)
    assert clip.expected_s == clip.duration_s
    with talking.store.local_copy(clip.media_key or "") as path:
        assert probe(path).audio


def test_a_file_that_is_not_as_long_as_what_was_billed_is_discarded(talking: Stage) -> None:
    talking.edge.fault("wrong_length", match=SCRIPT, value=0.5)
    assert talking.one(brief_of(script=SCRIPT)).status is ClipStatus.GENERATED
    first, second = talking.jobs()
    assert (first.state, second.state) == (JobState.REJECTED, JobState.ACCEPTED)
    failed = [check["name"] for check in (first.verdict or {})["checks"] if not check["passed"]]
    assert CheckName.DURATION in failed


def test_a_script_that_is_refused_is_a_persons_and_no_other_words_are_said(talking: Stage) -> None:
    clip = talking.one(brief_of(script="My face, in a close-up of the CEO", broll=["hands typing"]))
    [job] = talking.jobs()
    assert (clip.status, job.failure_kind, job.billed_usd) == (ClipStatus.REVIEW, FailureKind.MODERATION, 0)
    assert "refused by sandbox/speaker" in clip.reason
    assert "to change, in the brief's script" in clip.reason
    [plan] = talking.plan(brief_of(script="My face, in a close-up of the CEO"))
    step = next_step(plan.storyboard.shots[0], [job], talking.policy.generation, can_anchor=True)
    assert isinstance(step, Stop) and step.person


def test_a_script_waits_for_a_provider_that_says_it(talking: Stage) -> None:
    talking.catalogue = talking.catalogue.served_by(["fal"])
    clip = talking.one(brief_of(shots=SHOTS))
    assert clip.status is ClipStatus.WAITING
    assert clip.reason == (
        "no connected provider has a model that says scripts; the clip waits until heygen is connected"
    )
    assert talking.jobs() == []
