"""The verdict on a finished clip in the ledger: who is asked, who is told, and what is over for good."""

from datetime import UTC, date, datetime

import pytest

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus, GeneratedClip, UpscaledClip
from video_pipeline.ledger import JobState, Ledger, ReviewState
from video_pipeline.policy import load_policy
from video_pipeline.quality import review_clip, review_raw
from video_pipeline.quality.checks import ask
from video_pipeline.quality.verdict import ClipVerdict, Gate, SafetyFinding, SafetyOutcome
from video_pipeline.storage import LocalStore
from video_pipeline_tests.ledger.rows import a_job
from video_pipeline_tests.quality.conftest import Make
from video_pipeline_tests.quality.stand_in import with_stand_in

_LOADED = with_stand_in(load_policy())
POLICY = _LOADED.model_copy(update={"routing": _LOADED.routing.model_copy(update={"delivered_short_side": 180})})
DAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def a_clip(**fields) -> UpscaledClip:
    values = {"clip_id": f"{DAY}/one", "brief_id": "one", "day": DAY, "tier": "preview", "expected_s": 2.0}
    return UpscaledClip.model_validate(values | fields)


def review(ledger: Ledger, store: LocalStore, clip: UpscaledClip) -> ClipStatus:
    reviewed, _ = review_clip(ledger, store, Notifier([], ledger.alerts), clip, None, policy=POLICY)
    return reviewed.status


def test_a_file_that_cannot_be_used_is_rejected_for_good_and_told_once(ledger: Ledger, store: LocalStore) -> None:
    ledger.jobs.plan(a_job("one", state=JobState.ACCEPTED, finished_at=NOW))
    clip = a_clip(status="rejected", reason="the file cannot be read", media_sha256="a" * 64)
    for _ in range(2):
        assert review(ledger, store, clip) is ClipStatus.REJECTED
    assert ledger.reviews.waiting() == [], "nobody can approve what is not there"
    [kept] = ledger.reviews.of_day(DAY)
    assert (kept.state, kept.decided_by, kept.reason) == (ReviewState.REJECTED, "checks", clip.reason)
    [alert] = ledger.alerts.latest()
    assert (alert["title"], alert["count"], len(alert["deliveries"])) == ("A clip is rejected", 2, 1)


def test_a_clip_that_upscaling_rejects_ends_with_a_word_though_a_person_had_approved_it_raw(
    ledger: Ledger, store: LocalStore
) -> None:
    clip = a_clip(status="rejected", reason="the file cannot be read", media_sha256="a" * 64)
    raw = f"raw {'a' * 16}"
    ledger.reviews.open(clip.clip_id, raw, "borderline")
    ledger.reviews.decide(clip.clip_id, raw, ReviewState.APPROVED, by="ada")
    assert review(ledger, store, clip) is ClipStatus.REJECTED
    kept = ledger.reviews.get(clip.clip_id, f"technical {'a' * 16}")
    assert kept is not None and (kept.state, kept.reason_code) == (ReviewState.REJECTED, "unusable")
    assert [alert["title"] for alert in ledger.alerts.latest()] == ["A clip is rejected"]


def test_a_clip_that_a_person_has_rejected_is_not_asked_for_again(
    ledger: Ledger, store: LocalStore, make: Make
) -> None:
    ledger.jobs.plan(a_job("one", state=JobState.ACCEPTED, finished_at=NOW))
    path = make("short.mp4", "-f", "lavfi", "testsrc2=size=320x180:rate=24", length_s=1)
    stored = store.put_file("upscaled/short.mp4", path, content_type="video/mp4")
    clip = a_clip(status="upscaled", final_key=stored.key, final_sha256=stored.sha256)
    assert review(ledger, store, clip) is ClipStatus.REVIEW
    [asked] = ledger.reviews.waiting()
    assert "1.00 s" in asked.reason
    ledger.reviews.decide(clip.clip_id, asked.stage, ReviewState.REJECTED, by="ada")
    for expected_s in (clip.expected_s, 1.0):
        same = clip.model_copy(update={"expected_s": expected_s})
        assert review(ledger, store, same) is ClipStatus.REJECTED, "whatever the checks say later"


def test_a_clip_whose_segments_do_not_go_on_waits_for_a_person(ledger: Ledger, store: LocalStore, make: Make) -> None:
    path = make("jump.mp4", "-f", "lavfi", "testsrc2=size=320x180:rate=24", length_s=2)
    stored = store.put_file("upscaled/jump.mp4", path, content_type="video/mp4")
    faults = ("between segments 1 and 2 the picture jumps",)
    clip = a_clip(status="upscaled", final_key=stored.key, final_sha256=stored.sha256, seam_faults=faults)
    assert review(ledger, store, clip) is ClipStatus.REVIEW
    [asked] = ledger.reviews.waiting()
    assert "between segments 1 and 2 the picture jumps" in asked.reason
    ledger.reviews.decide(clip.clip_id, asked.stage, ReviewState.APPROVED, by="ada")
    assert review(ledger, store, clip) is ClipStatus.PASSED


@pytest.fixture
def calm(store: LocalStore, make: Make) -> GeneratedClip:
    """A raw clip that the stand-in has nothing against."""
    path = make("calm.mp4", "-f", "lavfi", "color=0x208040:size=64x64:rate=8", audio=None)
    stored = store.put_file("raw/calm.mp4", path, content_type="video/mp4")
    clip = a_clip(status="generated", media_key=stored.key, media_sha256=stored.sha256)
    return GeneratedClip.model_validate(clip.model_dump(include=set(GeneratedClip.model_fields)))


def on_raw(ledger: Ledger, store: LocalStore, clip: GeneratedClip, *outcomes: SafetyOutcome) -> GeneratedClip:
    """The raw clip after the raw gate has said those of its files, one each."""
    found = [SafetyFinding(outcome=one, reason=f"it is {one.name}", classifiers=()) for one in outcomes]
    verdicts = [ClipVerdict(checks=ask(Gate.RAW, one), safety=one).model_dump(mode="json") for one in found]
    return review_raw(ledger, store, Notifier([], ledger.alerts), clip, verdicts, POLICY.quality)


def test_a_file_that_nobody_has_seen_hides_nothing_that_was_seen_in_another(
    ledger: Ledger, store: LocalStore, calm: GeneratedClip
) -> None:
    held = on_raw(ledger, store, calm, SafetyOutcome.PERSON, SafetyOutcome.UNMEASURED)
    assert (held.status, "it is PERSON" in held.reason) == (ClipStatus.REVIEW, True)
    assert on_raw(ledger, store, calm, SafetyOutcome.PASS, SafetyOutcome.UNMEASURED).status is ClipStatus.GENERATED


def test_only_the_newest_files_are_asked_about(
    ledger: Ledger, store: LocalStore, calm: GeneratedClip, make: Make
) -> None:
    sha256 = ""
    for name, length_s in (("first", 1), ("second", 1.5)):
        on_raw(ledger, store, calm.model_copy(update={"media_sha256": name}), SafetyOutcome.PERSON)
        path = make(f"{name}.mp4", "-f", "lavfi", "testsrc2=size=320x180:rate=24", length_s=length_s)
        stored = store.put_file(f"upscaled/{name}.mp4", path, content_type="video/mp4")
        sha256 = stored.sha256
        made = a_clip(status="upscaled", final_key=stored.key, final_sha256=sha256)
        assert review(ledger, store, made) is ClipStatus.REVIEW
    assert [asked.stage for asked in ledger.reviews.waiting()] == ["raw second", f"technical {sha256[:16]}"]


@pytest.mark.parametrize(
    ("said", "status"), [(ReviewState.APPROVED, ClipStatus.GENERATED), (ReviewState.REJECTED, ClipStatus.REJECTED)]
)
def test_a_raw_clip_on_which_a_person_has_decided_is_not_looked_at_again(
    ledger: Ledger, store: LocalStore, calm: GeneratedClip, said: ReviewState, status: ClipStatus
) -> None:
    on_raw(ledger, store, calm, SafetyOutcome.PERSON, SafetyOutcome.UNMEASURED)
    [asked] = ledger.reviews.waiting()
    ledger.reviews.decide(calm.clip_id, asked.stage, said, by="ada")
    gone = calm.model_copy(update={"media_key": "raw/gone.mp4"})
    assert on_raw(ledger, store, gone, SafetyOutcome.UNMEASURED).status is status
    assert "Clips cannot be looked at" not in {alert["title"] for alert in ledger.alerts.latest()}
