"""The raw gate with the sandbox: what is unsafe is asked for in other words; what nobody has seen goes nowhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus, GeneratedClip, ReviewedClip, UpscaledClip
from video_pipeline.ledger import JobState, ReviewState, What
from video_pipeline.policy import Policy, QualityPolicy
from video_pipeline.quality import review_clip
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage
from video_pipeline_tests.quality.stand_in import with_stand_in

HARBOUR = "a harbour at dawn"
SWIMMING = "a woman swimming in a bikini"


def upscaled(clip: GeneratedClip) -> UpscaledClip:
    """The clip as upscaling hands it on, with its raw file in the place of a larger one."""
    return UpscaledClip(**clip.model_dump()).model_copy(
        update={"status": ClipStatus.UPSCALED, "final_key": clip.media_key, "final_sha256": clip.media_sha256}
    )


def reviewed(stage: Stage, clip: GeneratedClip, policy: Policy, **brief: Any) -> ReviewedClip:
    small = policy.routing.model_copy(update={"delivered_short_side": 108})
    row, _ = review_clip(
        stage.ledger,
        stage.store,
        Notifier([], stage.ledger.alerts),
        upscaled(clip),
        brief_of(HARBOUR, **brief),
        policy=policy.model_copy(update={"routing": small}),
    )
    return row


def waiting(stage: Stage) -> list[str]:
    return [wait.why.cause for wait in stage.ledger.waits.all() if wait.what is What.CLIP]


def safety_of(verdict: Any) -> str:
    return verdict["safety"]["outcome"]


def _with_least_bytes(policy: Policy, least: int) -> QualityPolicy:
    technical = policy.quality.technical.model_copy(update={"min_bytes": least})
    return policy.quality.model_copy(update={"technical": technical})


def test_an_unsafe_clip_is_asked_for_in_softer_words_and_passes(stage: Stage) -> None:
    stage.edge.fault("unsafe")
    clip = stage.one(brief_of(SWIMMING))
    assert (clip.status, clip.strategy, clip.attempts) == (ClipStatus.GENERATED, "corrected_prompt", 2)
    unsafe, made = stage.jobs()
    assert (unsafe.state, safety_of(unsafe.verdict), safety_of(made.verdict)) == (JobState.REJECTED, "block", "pass")
    assert made.order.prompt.endswith(". " + stage.policy.generation.corrections["safety"])
    assert SWIMMING not in made.order.prompt
    assert "safety" in made.reason
    assert stage.ledger.reviews.waiting() == []


def test_an_unsafe_clip_that_is_also_no_good_file_is_asked_for_in_softer_words_too(stage: Stage) -> None:
    stage.policy = stage.policy.model_copy(update={"quality": _with_least_bytes(stage.policy, 10**7)})
    stage.edge.fault("unsafe")
    stage.one(brief_of(SWIMMING))
    first, second, *_ = stage.jobs()
    failed = {check["name"] for check in (first.verdict or {})["checks"] if not check["passed"]}
    assert failed == {"file_size", "safety"}
    assert second.strategy == "corrected_prompt" and second.order.prompt != first.order.prompt


def test_a_clip_that_stays_unsafe_is_never_handed_on(stage: Stage) -> None:
    stage.edge.fault("unsafe", times=3)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.media_key, clip.attempts) == (ClipStatus.REVIEW, None, 3)
    assert {safety_of(job.verdict) for job in stage.jobs()} == {"block"}
    [asked] = stage.ledger.reviews.waiting()
    assert asked.stage == "generation", "there is nothing that could be approved"


def test_a_doubtful_clip_waits_before_it_is_upscaled_until_a_person_has_looked(stage: Stage) -> None:
    stage.edge.fault("unsafe", value=0.6)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts) == (ClipStatus.REVIEW, 1)
    assert "magenta says 0." in clip.reason and waiting(stage) == ["person"]
    [asked] = stage.ledger.reviews.waiting()
    assert asked.stage == f"raw {(clip.media_sha256 or '')[:16]}"
    assert stage.store.url(clip.media_key or "") in asked.reason
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.REVIEW
    assert len(stage.requests) == 1, "nothing is bought while a person has not answered"
    stage.ledger.reviews.decide(clip.clip_id, asked.stage, ReviewState.APPROVED, by="ada")
    approved = stage.one(brief_of(HARBOUR))
    assert (approved.status, approved.attempts) == (ClipStatus.GENERATED, 1)
    # Who has looked at the raw clip is not asked the same of the finished one.
    final = reviewed(stage, approved, stage.policy)
    assert (final.status, final.safety, final.failed_checks) == (ClipStatus.PASSED, "a person", ("safety",))


def test_a_raw_clip_that_a_person_refuses_ends_there(stage: Stage) -> None:
    stage.edge.fault("unsafe", value=0.6)
    clip = stage.one(brief_of(HARBOUR))
    [asked] = stage.ledger.reviews.waiting()
    stage.ledger.reviews.decide(clip.clip_id, asked.stage, ReviewState.REJECTED, by="ada")
    again = stage.one(brief_of(HARBOUR))
    assert (again.status, len(stage.requests)) == (ClipStatus.REJECTED, 1)
    row, verdict = review_clip(
        stage.ledger,
        stage.store,
        Notifier([], stage.ledger.alerts),
        UpscaledClip(**again.model_dump()),
        None,
        policy=stage.policy,
    )
    assert (row.status, verdict) == (ClipStatus.REJECTED, None)
    assert [review.decided_by for review in stage.ledger.reviews.of_day(stage.day)] == ["ada"]


@pytest.fixture
def blind(stage: Stage, tmp_path: Path) -> Policy:
    """The policy with a classifier whose file is not there."""
    return with_stand_in(stage.policy, path=str(tmp_path / "gone.onnx"))


def test_without_the_classifiers_file_nothing_goes_on_and_people_are_told_why_once(
    stage: Stage, blind: Policy
) -> None:
    briefs = [brief_of(HARBOUR, brief_id="one"), brief_of("waves at night", brief_id="two")]
    clips = stage.generate(*briefs, policy=blind)
    assert [(clip.status, clip.attempts) for clip in clips] == [(ClipStatus.REVIEW, 1)] * 2
    assert {job.state for job in stage.jobs()} == {JobState.ACCEPTED}, "the clips are not to blame"
    told = [alert for alert in stage.ledger.alerts.latest() if alert["title"] == "Clips cannot be looked at"]
    [(cause, text)] = [(alert["cause"], alert["text"]) for alert in told]
    assert str(stage.day) in cause and "gone.onnx cannot be read: No such file or directory" in text
    assert len(stage.ledger.reviews.waiting()) == 2
    # With the file in place the next run looks, and goes on by itself.
    again = stage.generate(*briefs)
    assert [(clip.status, clip.attempts) for clip in again] == [(ClipStatus.GENERATED, 1)] * 2
    assert (stage.ledger.reviews.waiting(), len(stage.requests)) == ([], 2)


def test_a_clip_that_nobody_could_look_at_may_turn_out_unsafe(stage: Stage, blind: Policy) -> None:
    stage.edge.fault("unsafe")
    assert stage.one(brief_of(HARBOUR), policy=blind).status is ClipStatus.REVIEW
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts) == (ClipStatus.REJECTED, 1)
    [review] = stage.ledger.reviews.of_day(stage.day)
    assert (review.state, review.decided_by, review.reason_code) == (ReviewState.REJECTED, "checks", "unsafe")
    assert "unsafe from 0.8 on" in review.reason and "could not be told" not in review.reason


def test_the_final_gate_is_blind_no_less(stage: Stage, blind: Policy) -> None:
    clip = stage.one(brief_of(HARBOUR))
    held = reviewed(stage, clip, blind)
    assert (held.status, held.safety, held.safety_score) == (ClipStatus.REVIEW, "not measured", None)
    assert "Clips cannot be looked at" in {alert["title"] for alert in stage.ledger.alerts.latest()}
    seen = reviewed(stage, clip, stage.policy)
    assert (seen.status, seen.safety) == (ClipStatus.PASSED, "pass")
    assert stage.ledger.reviews.waiting() == [], "what is no longer true need not be answered"
    kept = stage.store.read_bytes(seen.verdict_key or "").decode()
    assert '"name": "magenta"' in kept and '"scores"' in kept


def test_an_unsafe_finished_clip_is_blocked(stage: Stage) -> None:
    clip = stage.one(brief_of(HARBOUR))
    strict = with_stand_in(stage.policy, person_from=0.0, block_from=0.0)
    blocked = reviewed(stage, clip, strict)
    assert (blocked.status, blocked.safety) == (ClipStatus.REJECTED, "block")
    [review] = stage.ledger.reviews.of_day(stage.day)
    assert (review.state, review.decided_by, review.reason_code) == (ReviewState.REJECTED, "checks", "unsafe")


@pytest.mark.parametrize(
    ("title", "rules"),
    [
        ("Greta Thunberg at the harbour", ["public figures (Greta Thunberg)"]),
        ("Die Bundestagswahl", ["politics (Bundestagswahl)"]),
        ("Lose 10 kg by the sea", ["health claims (Lose 10 kg)"]),
        ("Un niño, sin riesgo", ["minors (niño)", "money claims (sin riesgo)"]),
        ("减肥", ["health claims (减肥)"]),
    ],
)
def test_risky_words_are_a_persons_to_approve_and_said_by_their_rule(
    stage: Stage, title: str, rules: Sequence[str]
) -> None:
    clip = stage.one(brief_of(HARBOUR))
    row = reviewed(stage, clip, stage.policy, title=title)
    assert (row.status, row.failed_checks) == (ClipStatus.REVIEW, ("wording",))
    assert all(rule in row.reason for rule in rules)
    [asked] = stage.ledger.reviews.waiting()
    stage.ledger.reviews.decide(clip.clip_id, asked.stage, ReviewState.APPROVED, by="ada")
    assert reviewed(stage, clip, stage.policy, title=title).status is ClipStatus.PASSED
    for other in ("again", "and again"):
        assert reviewed(stage, clip, stage.policy, title=f"{title}, {other}").status is ClipStatus.REVIEW
        assert len(stage.ledger.reviews.waiting()) == 1, "nobody is asked about words that are no more"
