"""The trail of a clip: every moment that the ledger has of it, whichever subject's row it stands in."""

from datetime import UTC, datetime, timedelta

from video_pipeline.ledger import JobKind, Ledger, Mark, ReviewState
from video_pipeline_tests.ledger.rows import DAY, a_job, a_publication, accepted, sha256

_CLIP = f"{DAY}/one"
_ARRIVED = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _taken_in(ledger: Ledger, name: str = "one", **fields: object) -> None:
    values = {"document": {}, "sha256": sha256(name), "arrived_at": _ARRIVED} | fields
    ledger.intake.record_brief(clip_id=f"{DAY}/{name}", day=DAY, brief_id=name, **values)  # pyright: ignore[reportArgumentType]


def test_a_trail_has_the_moments_of_every_subject(ledger: Ledger):
    _taken_in(ledger)
    ledger.governance.stick(clip_id=_CLIP, shot=0, shot_sha256=sha256("shot"), document={})
    accepted(ledger, a_job("one"))
    ledger.jobs.plan(a_job("picture", clip_id=_CLIP, kind=JobKind.IMAGE))
    ledger.reviews.open(_CLIP, "technical", "dark")
    ledger.reviews.decide(_CLIP, "technical", ReviewState.APPROVED, by="ada")
    publication = ledger.publications.publishing(ledger.publications.plan(a_publication()))
    ledger.publications.published(publication, remote_id="id", url="https://the.platform/id")
    for mark in (Mark.UPSCALING, Mark.UPSCALED):
        ledger.trails.mark(_CLIP, mark)
    # Of other clips and days nothing is in it.
    _taken_in(ledger, "two")
    accepted(ledger, a_job("two", day=DAY + timedelta(days=1)))
    ledger.trails.mark(f"{DAY}/two", Mark.HELD)

    trail = ledger.trails.of_day(DAY)[_CLIP]
    assert (trail.arrived_at, len(ledger.trails.of_day(DAY))) == (_ARRIVED, 2)
    assert [[state for _, state in job.moves] for job in trail.jobs if job.video] == [
        ["reserved", "submitting", "submitted", "rendered", "stored", "accepted"]
    ]
    assert [job.moves for job in trail.jobs if not job.video] == [()]
    assert [[state for _, state in way.moves] for way in trail.publications] == [["publishing", "published"]]
    assert [mark for _, mark in trail.marks] == [Mark.UPSCALING, Mark.UPSCALED]
    assert trail.decided_at is not None and trail.taken_in_at <= trail.decided_at <= trail.jobs[0].planned_at
    ((asked, answered),) = trail.asked
    assert answered is not None and asked <= trail.publications[0].planned_at


def test_the_first_arrival_of_a_brief_stays(ledger: Ledger):
    _taken_in(ledger)
    _taken_in(ledger, sha256=sha256("edited"), arrived_at=_ARRIVED + timedelta(hours=1))
    assert ledger.trails.of_day(DAY)[_CLIP].arrived_at == _ARRIVED


def test_a_mark_is_not_made_where_another_has_closed_the_matter(ledger: Ledger):
    _taken_in(ledger)
    for _ in range(2):
        for mark in (Mark.REVIEWING, Mark.REVIEWED):
            ledger.trails.mark(_CLIP, mark, unless=Mark.REVIEWED)
    assert [mark for _, mark in ledger.trails.of_day(DAY)[_CLIP].marks] == [Mark.REVIEWING, Mark.REVIEWED]


def test_what_is_said_of_a_job_that_has_ended_is_no_moment(ledger: Ledger):
    _taken_in(ledger)
    job = accepted(ledger, a_job())
    before = ledger.trails.of_day(DAY)
    assert ledger.jobs.vendor_billed(job.key, job.billed_usd + 1)
    assert ledger.trails.of_day(DAY) == before
