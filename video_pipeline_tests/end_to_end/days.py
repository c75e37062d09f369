"""A production day that was disturbed: brought to its end, and held against both sides' books."""

from datetime import date
from decimal import Decimal

from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.ledger import JobState, Ledger, PublicationState, SpendCategory
from video_pipeline.storage import open_store, read_rows, table_key
from video_pipeline_tests.end_to_end.conftest import Machine
from video_pipeline_tests.generation.stage import let_settle
from video_pipeline_tests.integration.small_day import assert_books_agree, sandbox_books

PATIENCE_S = 150.0


def finish(machine: Machine, day: date, *options: str) -> None:
    """Run the day to its end, and once more when a person had to say what became of a call."""
    _run_to_the_end(machine, day, *options)
    if _answer_as_a_person(machine):
        _run_to_the_end(machine, day, *options)


def _run_to_the_end(machine: Machine, day: date, *options: str) -> None:
    result = machine.run("run-day", str(day), *options, timeout_s=PATIENCE_S)
    assert result.returncode == 0, result.stdout + result.stderr


def _answer_as_a_person(machine: Machine) -> bool:
    """Look every call in doubt up in the provider's own books and say what is there; whether there was any.

    A run that dies between the intent and the answer cannot know whether the provider heard it.
    """
    ledger = machine.ledger()
    in_doubt = ledger.jobs.in_state(JobState.UNKNOWN)
    for job in in_doubt:
        let_settle(ledger, job)
    ledger.close()
    for job in in_doubt:
        requests = sandbox_books(machine.sandbox_url())["requests"]
        found = [one["request_id"] for one in requests if one["input"] == job.request["arguments"]]
        answer = ("--found", found[0]) if found else ("--not-found",)
        result = machine.run("resolve", job.key, *answer)
        assert result.returncode == 0, result.stderr
    return bool(in_doubt)


def assert_nothing_twice_nothing_lost(machine: Machine, day: date, *, clips: int, published: int) -> None:
    ledger = machine.ledger()
    try:
        assert_books_agree(ledger, machine.sandbox_url())
        _assert_every_job_has_ended(ledger, day)
        rows = read_rows(
            ReviewedClip, open_store(str(machine.state / "store")).read_bytes(table_key("reviewed_clips", str(day)))
        )
        assert [clip.status for clip in rows] == [ClipStatus.PASSED] * clips
        gone_out = [row for row in ledger.publications.of_days(day, day) if row.state is PublicationState.PUBLISHED]
        assert len(gone_out) == published
        settled = ledger.spend.by_clip(day)
        jobs = ledger.jobs.of_day(day)
        for clip in rows:
            billed = sum(job.billed_usd for job in jobs if job.clip_id == clip.clip_id)
            # A submit that was killed before it left is paid for by its retry alone.
            lines = settled[clip.clip_id]
            paid = [lines.get(line, Decimal(0)) for line in (SpendCategory.GENERATION, SpendCategory.RETRY)]
            assert sum(paid) == billed
            assert clip.billed_usd == billed
    finally:
        ledger.close()


def _assert_every_job_has_ended(ledger: Ledger, day: date) -> None:
    left = [job for job in ledger.jobs.of_day(day) if not job.state.final]
    assert left == []
    assert ledger.jobs.in_state(JobState.UNKNOWN) == []
