"""A house whose day is another one than UTC's just now: folders, partitions, money and words go by its day."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

from video_pipeline.ledger import PublicationState
from video_pipeline_tests.end_to_end.conftest import NewMachine
from video_pipeline_tests.integration.small_day import a_brief, drop


def _elsewhere() -> tuple[str, date]:
    """A zone in which it is yesterday or tomorrow by UTC, and its day."""
    now = datetime.now(UTC)
    ahead = now.hour >= 10
    # The names of these zones count the other way round: 14 hours ahead of UTC, and 12 behind it.
    return ("Etc/GMT-14", now.date() + timedelta(days=1)) if ahead else ("Etc/GMT+12", now.date() - timedelta(days=1))


def test_a_day_goes_by_the_time_zone_of_the_settings(new_machine: NewMachine) -> None:
    machine = new_machine()
    zone, day = _elsewhere()
    machine.environment["VIDEO_PIPELINE_TIME_ZONE"] = zone
    drop(machine.inbox, day, a_brief("lantern"))
    planned = machine.run("plan")
    assert f"Plan for {day} ({zone})" in planned.stdout, planned.stderr
    # The partitions have their zone from the start of a process, which a forked one was not there for.
    ran = machine.run_afresh("run-day", "--score")
    assert ran.returncode == 0, ran.stderr
    with closing(machine.ledger()) as ledger:
        (published,) = ledger.publications.in_state(PublicationState.PUBLISHED)
        assert (published.clip_id, published.day) == (f"{day}/lantern", day)
        assert ledger.spend.committed_usd(day) > 0
        assert ledger.spend.committed_usd(datetime.now(UTC).date()) == 0
    later = day + timedelta(days=1)
    refused = machine.run("run-day", str(later))
    assert refused.returncode == 1
    assert f"to today, {day} in the time zone {zone}" in " ".join(refused.stderr.split())
    drop(machine.inbox, later, a_brief("kettle"))
    assert f"A day begins at 00:00 {zone}" in " ".join(machine.run("plan").stdout.split())
    machine.environment["VIDEO_PIPELINE_TIME_ZONE"] = "UTC"
    stranger = machine.run("plan")
    assert stranger.returncode == 1
    assert f"This ledger counts the days of {zone}" in " ".join(stranger.stderr.split())
    assert f"VIDEO_PIPELINE_TIME_ZONE={zone}" in " ".join(machine.run("time-zone").stdout.split())
    nowhere = machine.run("time-zone", "Mars/Olympus")
    assert nowhere.returncode == 1 and "no time zone 'Mars/Olympus'" in " ".join(nowhere.stderr.split())
    assert machine.run("time-zone", "UTC").returncode == 0
    assert machine.run("plan").returncode == 0
