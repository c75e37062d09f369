"""Schedules and sensors, evaluated: which partitions they ask for, what they alert, and that they do so once."""

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import dagster as dg
import pytest
from sqlalchemy import text

from video_pipeline.alerts import Alert, Delivery, Notifier
from video_pipeline.briefs.inbox import files_by_day
from video_pipeline.days import today
from video_pipeline.definitions import build_defs
from video_pipeline.defs.assets.briefs import briefs
from video_pipeline.defs.nights import ENDS, WEEK_ENDS, unscored_nights
from video_pipeline.defs.resources import resources_of
from video_pipeline.defs.schedules import nightly_scoring_schedule, weekly_learning_schedule
from video_pipeline.defs.sensors import (
    alert_outbox_sensor,
    brief_arrival_sensor,
    cost_drift_sensor,
    night_watch,
    run_failure_alert,
    spend_ceiling_sensor,
)
from video_pipeline.ledger import (
    Actor,
    BreakerCause,
    Failure,
    FailureKind,
    JobState,
    ReviewState,
    TierState,
    Trouble,
    Wait,
    WaitCause,
    What,
    Why,
    breaker_of,
)
from video_pipeline.services import Services
from video_pipeline.waiting import (
    LEARNING_HOUR,
    SCORING_HOUR,
    next_night,
    nights_due,
    unlearned_week,
    unscored_night,
    weeks_due,
)
from video_pipeline_tests.defs.conftest import ServicesWith, parts
from video_pipeline_tests.ledger.rows import a_job, accepted, reserved, submitted

DEFS = build_defs()
BRIEF = "brief_id: {name}\ntitle: T\nplatforms: [tiktok]\nprompt: A cup\nduration_s: 1\nquality: draft\n"


def _drop_brief(services: Services, name: str, folder: str = "") -> None:
    place = services.inbox.folder / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.yaml").write_text(BRIEF.format(name=name))


def _alerts(services: Services) -> dict[str, int]:
    """Title of every alert so far -> how often its cause occurred."""
    return {row["title"]: row["count"] for row in services.ledger.alerts.latest()}


class TestSchedules:
    def test_nothing_starts_by_itself_on_a_newcomers_machine(self) -> None:
        assert {one.default_status for one in DEFS.schedules or ()} == {dg.DefaultScheduleStatus.STOPPED}
        assert {one.default_status for one in DEFS.sensors or ()} == {dg.DefaultSensorStatus.STOPPED}

    def test_the_night_scores_the_day_that_has_just_ended(self) -> None:
        request = self._request(nightly_scoring_schedule, datetime(2026, 3, 13, 2, tzinfo=UTC))
        assert (request.partition_key, request.run_key) == ("2026-03-12", "nightly-2026-03-12")

    def test_monday_learns_from_the_week_that_has_just_ended(self) -> None:
        request = self._request(weekly_learning_schedule, datetime(2026, 3, 16, 6, tzinfo=UTC))
        assert (request.partition_key, request.run_key) == ("2026-03-09", "weekly-2026-03-09")

    @pytest.mark.parametrize(
        ("schedule", "moment"),
        [
            (nightly_scoring_schedule, datetime(2026, 3, 29, 2, tzinfo=UTC)),
            (nightly_scoring_schedule, datetime(2027, 1, 1, 2, tzinfo=UTC)),
            (weekly_learning_schedule, datetime(2027, 1, 4, 6, tzinfo=UTC)),
        ],
    )
    def test_the_partition_asked_for_exists_by_then(self, schedule: dg.ScheduleDefinition, moment: datetime) -> None:
        request = self._request(schedule, moment)
        partitions = DEFS.resolve_job_def(schedule.job.name).partitions_def
        assert partitions is not None and request.partition_key is not None
        with dg.DagsterInstance.ephemeral() as instance:
            keys = partitions.get_partition_keys(current_time=moment, dynamic_partitions_store=instance)
        assert request.partition_key in keys

    def test_the_two_schedules_run_in_utc_and_drive_the_scoring_jobs(self) -> None:
        assert {(one.name, one.job.name, one.execution_timezone) for one in DEFS.schedules or ()} == {  # pyright: ignore[reportAttributeAccessIssue]  # all are schedules with a job
            ("nightly_scoring_schedule", "nightly_scoring", "UTC"),
            ("weekly_learning_schedule", "weekly_learning", "UTC"),
        }

    def _request(self, schedule: dg.ScheduleDefinition, moment: datetime) -> dg.RunRequest:
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_schedule_context(
                instance=instance, scheduled_execution_time=moment, repository_def=DEFS.get_repository_def()
            ) as context,
        ):
            requests = schedule.evaluate_tick(context).run_requests
        assert requests is not None
        (request,) = requests
        return request


class TestBriefArrival:
    def test_an_empty_inbox_starts_nothing(self, services: Services, instance: dg.DagsterInstance) -> None:
        answer = self._tick(services, instance, None)
        assert isinstance(answer, dg.SkipReason)
        assert "No briefs" in str(answer.skip_message)

    def test_new_briefs_start_todays_production_day_once(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        _drop_brief(services, "cup")
        first = self._tick(services, instance, None)
        assert isinstance(first, dg.SensorResult)
        (request,) = first.run_requests or []
        assert request.partition_key == today().isoformat()
        assert isinstance(self._tick(services, instance, first.cursor), dg.SkipReason)

    def test_another_brief_starts_it_again_under_another_run_key(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        _drop_brief(services, "cup")
        first = self._tick(services, instance, None)
        _drop_brief(services, "saucer", folder=today().isoformat())
        assert isinstance(first, dg.SensorResult)
        second = self._tick(services, instance, first.cursor)
        assert isinstance(second, dg.SensorResult)
        assert [one.run_key for one in first.run_requests or []] != [one.run_key for one in second.run_requests or []]

    def test_briefs_of_another_day_are_not_todays(self, services: Services, instance: dg.DagsterInstance) -> None:
        _drop_brief(services, "cup", folder=(today() - timedelta(days=1)).isoformat())
        assert isinstance(self._tick(services, instance, None), dg.SkipReason)

    def test_a_file_that_is_still_written_starts_nothing_until_it_is_complete(
        self, services_with: ServicesWith, instance: dg.DagsterInstance
    ) -> None:
        services = services_with({"intake": {"settle_s": 60}})
        _drop_brief(services, "cup")
        (services.inbox.folder / "notes.docx").write_text("")
        answer = self._tick(services, instance, None)
        assert isinstance(answer, dg.SkipReason)
        assert "cup.yaml is not complete yet, and waited for." in str(answer.skip_message)
        answer = self._tick(services_with({}), instance, None)
        assert isinstance(answer, dg.SensorResult) and answer.run_requests

    def test_a_run_that_sees_a_file_for_the_first_time_takes_what_it_was_started_for(
        self, services_with: ServicesWith, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        services = services_with({"intake": {"settle_s": 0.2}})
        _drop_brief(services, "cup")
        # The clock of the share runs ahead, so no file is ever old enough.
        behind = time.time() - 1000
        monkeypatch.setattr("video_pipeline.briefs.folder.time.time", lambda: behind)
        day = today().isoformat()
        ran = dg.materialize_to_memory([briefs], partition_key=day, instance=instance, resources=parts(services))
        assert [brief.brief_id for brief in ran.output_for_node("briefs")] == ["cup"]

    def _tick(
        self, services: Services, instance: dg.DagsterInstance, cursor: str | None
    ) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=parts(services))
        return brief_arrival_sensor(context)  # pyright: ignore[reportReturnType]  # typed for every kind of sensor


class TestCostDrift:
    def test_without_a_new_report_only_the_policy_in_force_is_logged(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        answer = self._tick(services, instance, None)
        assert isinstance(answer, dg.SensorResult)
        assert not answer.run_requests
        assert [event.asset_key.to_user_string() for event in answer.asset_events] == ["routing_policy"]
        instance.report_runless_asset_event(answer.asset_events[0])
        assert isinstance(self._tick(services, instance, answer.cursor), dg.SkipReason)

    def test_a_new_cost_report_has_its_day_judged_once(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        cursor = self._settle(services, instance)
        for day in ("2026-03-11", "2026-03-12", "2026-03-12"):
            instance.report_runless_asset_event(dg.AssetMaterialization("cost_report", partition=day))
        answer = self._tick(services, instance, cursor)
        assert isinstance(answer, dg.SensorResult)
        assert [request.partition_key for request in answer.run_requests or []] == ["2026-03-11", "2026-03-12"]
        assert isinstance(self._tick(services, instance, answer.cursor), dg.SkipReason)

    def test_the_same_day_reported_again_is_judged_again(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        cursor, run_keys = self._settle(services, instance), set()
        for _ in range(2):
            instance.report_runless_asset_event(dg.AssetMaterialization("cost_report", partition="2026-03-12"))
            answer = self._tick(services, instance, cursor)
            assert isinstance(answer, dg.SensorResult)
            cursor = answer.cursor
            run_keys |= {request.run_key for request in answer.run_requests or []}
        assert len(run_keys) == 2

    def test_a_thaw_by_hand_is_logged_as_a_new_routing_policy(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        governance = services.ledger.governance
        governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=today(), evidence={})
        cursor = self._settle(services, instance)
        governance.set_tier("preview", TierState.OPEN, by=Actor.PERSON, day=today(), evidence={})
        answer = self._tick(services, instance, cursor)
        assert isinstance(answer, dg.SensorResult)
        (event,) = answer.asset_events
        assert event.metadata["tiers"].value == {"preview": "open"}

    def _settle(self, services: Services, instance: dg.DagsterInstance) -> str | None:
        """A first tick, with what it logs; the cursor after it."""
        answer = self._tick(services, instance, None)
        assert isinstance(answer, dg.SensorResult)
        for event in answer.asset_events:
            instance.report_runless_asset_event(event)
        return answer.cursor

    def _tick(
        self, services: Services, instance: dg.DagsterInstance, cursor: str | None
    ) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=parts(services))
        return cost_drift_sensor(context)  # pyright: ignore[reportReturnType]  # typed for every kind of sensor


class TestSpendCeiling:
    @pytest.mark.parametrize(
        ("usd", "titles"),
        [
            ("0.79", {}),
            ("0.80", {"The daily ceiling is near": 2}),
            ("1.00", {"The daily ceiling is reached": 2}),
        ],
    )
    def test_it_alerts_at_the_share_and_at_the_ceiling_and_counts_repeats(
        self, services_with: ServicesWith, instance: dg.DagsterInstance, usd: str, titles: dict[str, int]
    ) -> None:
        services = services_with({"budget": {"daily_ceiling_usd": "1.00", "alert_share": 0.8}})
        reserved(services.ledger, a_job(day=today(), expected_usd=Decimal(usd)))
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, resources=parts(services))
            answer = spend_ceiling_sensor(context)
            assert isinstance(answer, dg.SkipReason)
            assert f"${usd} of $1.00" in str(answer.skip_message)
        assert _alerts(services) == titles
        deliveries = [row["deliveries"] for row in services.ledger.alerts.latest()]
        assert all(len(sent) == 1 for sent in deliveries), "an alert is sent once, however often its cause occurs"

    def test_money_that_an_old_days_clips_cost_today_counts_against_today(
        self, services_with: ServicesWith, instance: dg.DagsterInstance
    ) -> None:
        services = services_with({"budget": {"daily_ceiling_usd": "1.00"}})
        reserved(services.ledger, a_job(day=today() - timedelta(days=9), expected_usd=Decimal("1.00")))
        with dg.build_sensor_context(instance=instance, resources=parts(services)) as context:
            spend_ceiling_sensor(context)
        assert _alerts(services) == {"The daily ceiling is reached": 1}

    def test_yesterdays_spend_is_not_todays(self, services_with: ServicesWith, instance: dg.DagsterInstance) -> None:
        services = services_with({"budget": {"daily_ceiling_usd": "1.00"}})
        reserved(services.ledger, a_job(day=today(), expected_usd=Decimal("1.00")))
        with services.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE spend SET spent_on = spent_on - 1"))
        with dg.build_sensor_context(instance=instance, resources=parts(services)) as context:
            spend_ceiling_sensor(context)
        assert _alerts(services) == {}


NOW = datetime.now(UTC)
ANCIENT = today() - timedelta(days=90)


class TestNightWatch:
    def test_nothing_waits(self, services: Services, instance: dg.DagsterInstance) -> None:
        assert self._said(self._tick(services, instance)) == "Nothing waits."

    def test_a_job_that_nobody_moves_has_its_day_run_and_is_alerted_once_with_numbers(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        submitted(services.ledger, a_job("old", day=ANCIENT, clip_id=f"{ANCIENT}/old"))
        self._age(services, "old", hours=1)
        assert self._days(self._tick(services, instance)) == [ANCIENT]
        assert self._said(self._tick(services, instance)) == "Waiting: 1 lease."
        assert _alerts(services) == {"Work is stuck": 2}
        (alert,) = services.ledger.alerts.latest()
        assert f"1 on {ANCIENT} could have gone on since" in alert["text"]
        assert "(1 lease)" in alert["text"]

    def test_a_clip_in_a_live_workers_hands_is_left_to_it(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        job = submitted(services.ledger, a_job("old", day=ANCIENT, clip_id=f"{ANCIENT}/old"))
        with services.ledger.leases.held(f"generate {job.clip_id}", ttl_s=60):
            assert self._days(self._tick(services, instance)) == []
        assert self._days(self._tick(services, instance)) == [ANCIENT]

    @pytest.mark.parametrize("ends", ["the next day", "a higher ceiling"])
    def test_a_ceiling_lets_go_on_the_next_day_and_when_it_is_raised(
        self, services_with: ServicesWith, instance: dg.DagsterInstance, ends: str
    ) -> None:
        services = services_with({"budget": {"daily_ceiling_usd": "1.00"}})
        reserved(services.ledger, a_job(day=today(), expected_usd=Decimal("0.95")))
        self._wait(services, Why(WaitCause.CEILING, "full", "day", Decimal("0.10")))
        with services.ledger.leases.held(f"generate {a_job().clip_id}", ttl_s=60):
            assert self._days(self._tick(services, instance)) == []
            if ends == "the next day":
                with services.ledger.engine.begin() as connection:
                    connection.execute(text("UPDATE spend SET spent_on = spent_on - 1"))
            else:
                services = services_with({"budget": {"daily_ceiling_usd": "1.05"}})
            assert self._days(self._tick(services, instance)) == [ANCIENT]

    def test_a_thaw_wakes_days_long_past(self, services: Services, instance: dg.DagsterInstance) -> None:
        governance = services.ledger.governance
        governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=today(), evidence={})
        self._wait(services, Why(WaitCause.FROZEN, "frozen", "preview"))
        assert self._days(self._tick(services, instance)) == []
        governance.set_tier("preview", TierState.OPEN, by=Actor.PERSON, day=today(), evidence={})
        assert self._days(self._tick(services, instance)) == [ANCIENT]

    def test_a_provider_that_works_again_wakes_a_clip_whoever_found_out(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        trouble = Trouble("fal", "sandbox/sprint", BreakerCause.CREDIT, "key", "no credit")
        services.ledger.breakers.report(trouble, services.policy.breaker)
        until = NOW + timedelta(hours=1)
        self._wait(services, Why(WaitCause.PROVIDER, "left alone", breaker_of("fal"), until=until))
        assert self._days(self._tick(services, instance)) == []
        # Half-open, it lets no more than probes through, for as long as those take.
        with services.ledger.engine.begin() as connection:
            tried = "until = now(), tries = 9, tried_at = now() - interval '2 minutes'"
            connection.execute(text(f"UPDATE waits SET {tried}"))
        assert self._days(self._tick(services, instance)) == []
        accepted(services.ledger, a_job("sent by another", day=today()))
        assert self._days(self._tick(services, instance)) == [ANCIENT]

    def test_a_quota_wakes_at_its_time(self, services: Services, instance: dg.DagsterInstance) -> None:
        self._wait(services, Why(WaitCause.QUOTA, "quota", "youtube_shorts", until=NOW + timedelta(hours=1)))
        assert self._days(self._tick(services, instance)) == []
        self._wait(services, Why(WaitCause.QUOTA, "quota", "youtube_shorts", until=NOW - timedelta(seconds=1)))
        assert self._days(self._tick(services, instance)) == [ANCIENT]

    def test_a_persons_answer_wakes_its_day_at_the_next_look(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        self._wait(services, Why(WaitCause.PERSON, "too dark"))
        reviews, clip = services.ledger.reviews, f"{ANCIENT}/one"
        for stage in ("technical 1", "technical 2"):
            reviews.open(clip, stage, "too dark")
            assert self._days(self._tick(services, instance)) == []
            reviews.decide(clip, stage, ReviewState.APPROVED, by="ada")
            assert self._days(self._tick(services, instance)) == [ANCIENT], "also the second, soon after the first"

    def test_an_identical_job_of_another_run_wakes_it_by_its_end(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        twin = submitted(services.ledger, a_job("twin", day=today()))
        self._wait(services, Why(WaitCause.TWIN, "identical", twin.key))
        with services.ledger.leases.held(f"generate {twin.clip_id}", ttl_s=60):
            assert self._days(self._tick(services, instance)) == []
        services.ledger.jobs.failed(twin, Failure(FailureKind.CANCELED, "why"))
        assert ANCIENT in self._days(self._tick(services, instance))

    def test_a_plan_over_its_cap_is_made_again_when_briefs_are_taken_out_of_it(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        day = today() - timedelta(days=1)
        for name in ("kept", "moved"):
            _drop_brief(services, name, folder=day.isoformat())
        folder = services.inbox.folder
        why = Why(WaitCause.CEILING, "over the cap", "plan", usd=services.policy.budget.plan_cap_usd + 1)
        for expected in ([], [day]):
            services.ledger.waits.take_up(day, [], files=files_by_day(folder, day, {}, only=day)[day])
            assert self._days(self._tick(services, instance)) == []
            self._wait(services, why, day=day)
            if expected:
                next((folder / day.isoformat()).glob("moved*")).unlink()
            assert self._days(self._tick(services, instance)) == expected

    def test_what_of_the_inbox_is_not_read_is_told_once(
        self, services: Services, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
    ) -> None:
        (services.inbox.folder / "26.11.2026").mkdir(parents=True)
        for _ in range(2):
            self._tick(services, instance)
        assert caplog.text.count("Nothing is read from 26.11.2026: it is no day's folder; name it 2026-11-26.") == 1

    def test_files_of_a_day_that_is_over_are_not_lost(self, services: Services, instance: dg.DagsterInstance) -> None:
        yesterday = today() - timedelta(days=1)
        _drop_brief(services, "late", folder=yesterday.isoformat())
        assert self._days(self._tick(services, instance)) == [yesterday]
        services.ledger.waits.take_up(
            yesterday, [], files=files_by_day(services.inbox.folder, today(), {})[yesterday]
        )
        assert self._said(self._tick(services, instance)) == "Nothing waits."

    def test_a_brief_that_was_taken_in_and_whose_run_died_is_run(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        services.ledger.waits.take_up(ANCIENT, [f"{ANCIENT}/one"], files=["one.yaml 1"])
        assert self._days(self._tick(services, instance)) == [ANCIENT]

    def test_what_says_the_same_again_waits_longer_each_time_and_hourly_in_the_end(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        self._wait(services, Why(WaitCause.RETRY, "broke off"))
        for pause_s in (0, 60, 300, 900, 3600, 3600):
            self._rest(services, pause_s - 2)
            assert pause_s == 0 or self._days(self._tick(services, instance)) == []
            self._rest(services, pause_s)
            assert self._days(self._tick(services, instance)) == [ANCIENT]
            self._wait(services, Why(WaitCause.RETRY, "broke off"))

    def test_progress_resets_the_pause(self, services: Services, instance: dg.DagsterInstance) -> None:
        for _ in range(4):
            self._wait(services, Why(WaitCause.RETRY, "broke off"))
            self._rest(services, 3600)
            assert self._days(self._tick(services, instance)) == [ANCIENT]
        self._wait(services, Why(WaitCause.RESULT, "it is being rendered", "fal"))
        assert self._days(self._tick(services, instance)) == [], "it had a run just now"
        self._rest(services, 60)
        assert self._days(self._tick(services, instance)) == [ANCIENT]

    def test_no_flood(self, services: Services, instance: dg.DagsterInstance) -> None:
        days = [ANCIENT + timedelta(days=number) for number in range(5)]
        services.ledger.waits.note(
            Wait(What.CLIP, f"{day}/{name}", day, Why(WaitCause.RUN, "new")) for day in days for name in "abc"
        )
        assert self._days(self._tick(services, instance)) == days[:2], "oldest first, and no more than policy says"
        assert self._days(self._tick(services, instance)) == days[2:4]

    @pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
    def test_a_day_that_has_a_run_gets_no_other_and_counts(
        self, services: Services, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        days = [ANCIENT + timedelta(days=number) for number in range(3)]
        for day in days:
            self._wait(services, Why(WaitCause.RUN, "new"), day=day)
        tags = {"dagster/partition": str(days[0])}
        instance.add_run(dg.DagsterRun("production_day", status=status, tags=tags))
        assert self._days(self._tick(services, instance)) == [days[1]]
        assert "stuck" not in " ".join(_alerts(services))

    def test_a_run_of_another_instance_is_seen_by_its_signs_of_life(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        self._wait(services, Why(WaitCause.RUN, "new"))
        services.ledger.run_beats.beat("elsewhere", ANCIENT)
        assert self._days(self._tick(services, instance)) == []
        with services.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE run_beats SET beat_at = now() - interval '1 minute'"))
        assert self._days(self._tick(services, instance)) == [ANCIENT]

    def test_a_run_whose_container_is_gone_does_not_keep_its_day(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        self._wait(services, Why(WaitCause.RUN, "new"))
        tags = {"dagster/partition": str(ANCIENT), "video_pipeline/host": "gone"}
        run = dg.DagsterRun("production_day", status=dg.DagsterRunStatus.STARTED, tags=tags)
        instance.add_run(run)
        services.ledger.run_beats.beat(run.run_id, ANCIENT)
        for minutes, days in ((20, []), (31, [ANCIENT])):
            with services.ledger.engine.begin() as connection:
                connection.execute(text(f"UPDATE run_beats SET beat_at = now() - interval '{minutes} minutes'"))
            assert self._days(self._tick(services, instance)) == days

    def test_signs_of_life_of_long_ago_are_not_kept(self, services: Services, instance: dg.DagsterInstance) -> None:
        for run_id in ("old", "new"):
            services.ledger.run_beats.beat(run_id, None)
        with services.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE run_beats SET beat_at = now() - interval '31 days' WHERE run_id = 'old'"))
        self._tick(services, instance)
        with services.ledger.engine.connect() as connection:
            assert connection.execute(text("SELECT run_id FROM run_beats")).scalars().all() == ["new"]

    def test_days_that_are_no_partitions_are_not_asked_for(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        for day in (date(2020, 1, 1), today() + timedelta(days=1)):
            self._wait(services, Why(WaitCause.RUN, "new"), day=day)
        assert self._said(self._tick(services, instance)) == "Waiting: 2 run."
        with services.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE waits SET woken_at = now() - interval '9 hours'"))
        self._tick(services, instance)
        assert "Work is stuck" not in _alerts(services)

    @pytest.mark.parametrize("state", [JobState.PLANNED, JobState.ACCEPTED])
    def test_a_job_that_waits_for_nobody_is_not_stuck(
        self, services: Services, instance: dg.DagsterInstance, state: JobState
    ) -> None:
        job = a_job("old", day=today())
        services.ledger.jobs.plan(job) if state is JobState.PLANNED else accepted(services.ledger, job)
        self._age(services, "old", hours=1)
        assert isinstance(self._tick(services, instance), dg.SkipReason)
        assert _alerts(services) == {}

    def test_silence_is_alerted_once_a_day(self, services: Services, instance: dg.DagsterInstance) -> None:
        accepted(services.ledger, a_job("last", day=today()))
        with services.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE jobs SET finished_at = now() - interval '27 hours'"))
        for _ in range(2):
            self._tick(services, instance)
        assert _alerts(services) == {"The pipeline is silent": 2}

    def test_the_partitions_asked_for_exist(self, services: Services, instance: dg.DagsterInstance) -> None:
        self._wait(services, Why(WaitCause.RUN, "new"), day=today())
        partitions = DEFS.resolve_job_def("production_day").partitions_def
        assert partitions is not None
        (day,) = self._days(self._tick(services, instance))
        assert day.isoformat() in partitions.get_partition_keys(dynamic_partitions_store=instance)

    def _wait(self, services: Services, why: Why, day: date = ANCIENT) -> None:
        services.ledger.waits.note([Wait(What.CLIP, f"{day}/one", day, why)])

    def _rest(self, services: Services, seconds: float) -> None:
        """Let `seconds` have passed since everything was tried last."""
        with services.ledger.engine.begin() as connection:
            connection.execute(
                text("UPDATE waits SET tried_at = now() - make_interval(secs => :s) WHERE tried_at IS NOT NULL"),
                {"s": seconds},
            )

    def _age(self, services: Services, name: str, *, hours: int) -> None:
        with services.ledger.engine.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET updated_at = now() - make_interval(hours => :hours) WHERE key = :key"),
                {"hours": hours, "key": a_job(name).key},
            )

    def _days(self, answer: dg.SensorResult | dg.SkipReason) -> list[date]:
        requests = (answer.run_requests or []) if isinstance(answer, dg.SensorResult) else []
        assert len({request.run_key for request in requests}) == len(requests)
        return [date.fromisoformat(request.partition_key or "") for request in requests]

    def _said(self, answer: dg.SensorResult | dg.SkipReason) -> str:
        assert isinstance(answer, dg.SkipReason)
        return answer.skip_message or ""

    def _tick(self, services: Services, instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=instance, resources=parts(services))
        return night_watch(context)  # pyright: ignore[reportReturnType]  # typed for every kind of sensor


NEWEST_DUE = (NOW - timedelta(hours=SCORING_HOUR)).date() - timedelta(days=1)
MISSED = [NEWEST_DUE - timedelta(days=2), NEWEST_DUE - timedelta(days=1)]


class TestMissedNights:
    """Two days have work, and their scoring was due."""

    @pytest.fixture(autouse=True)
    def work(self, services: Services) -> None:
        for day in MISSED:
            accepted(services.ledger, a_job(f"of {day}", day=day, clip_id=f"{day}/one"))

    def test_missed_nights_are_asked_for_one_at_a_time_and_oldest_first(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        first, second = MISSED
        assert self._asked(services, instance) == [first]
        self._scored(instance, first)
        assert self._asked(services, instance) == [second]
        self._scored(instance, second)
        assert self._asked(services, instance) == []

    def test_a_night_that_is_scored_in_part_is_not_scored(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        first = MISSED[0]
        instance.report_runless_asset_event(dg.AssetMaterialization("model_standings", partition=str(first)))
        assert self._asked(services, instance) == [first]

    @pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
    def test_none_is_asked_for_while_one_is_under_way_and_that_takes_a_place(
        self, services: Services, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
    ) -> None:
        self._run(instance, MISSED[1], status)
        assert self._asked(services, instance) == []
        services.ledger.waits.note(
            Wait(What.CLIP, f"{day}/one", day, Why(WaitCause.RUN, "new"))
            for day in (ANCIENT, ANCIENT + timedelta(days=1))
        )
        assert self._asked(services, instance, "production_day") == [ANCIENT]

    def test_a_night_waits_for_its_hour_and_for_its_schedules_try(self, services: Services) -> None:
        day, pause = MISSED[1], timedelta(seconds=services.policy.watch.backoff_s[0])
        hour = datetime(day.year, day.month, day.day, SCORING_HOUR, tzinfo=UTC) + timedelta(days=1)
        assert day not in nights_due(services.ledger, services.policy, hour - timedelta(seconds=1))
        assert day in nights_due(services.ledger, services.policy, hour)
        night, backoff_s = unscored_night(day, []), services.policy.watch.backoff_s
        assert next_night([night], backoff_s, hour) is None
        assert next_night([night], backoff_s, hour + pause) == night

    def test_what_no_nightly_asset_reads_any_more_and_days_without_work_are_left_alone(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        oldest = NEWEST_DUE - timedelta(days=services.policy.scoring.trailing_days - 1)
        for day in (oldest, oldest - timedelta(days=1)):
            accepted(services.ledger, a_job(f"of {day}", day=day, clip_id=f"{day}/one"))
        assert nights_due(services.ledger, services.policy, NOW) == [oldest, *MISSED]
        assert self._asked(services, instance) == [oldest]

    def test_a_killed_night_is_asked_for_again_and_less_often_each_time(
        self, services: Services, services_with: ServicesWith, instance: dg.DagsterInstance
    ) -> None:
        first, second = MISSED
        self._run(instance, first, dg.DagsterRunStatus.STARTED)
        (run,) = instance.get_runs()
        instance.report_run_failed(run)
        assert self._asked(services, instance) == [], "neither it nor the next, which builds on it"
        night, *_ = unscored_nights(instance, services.ledger, services.policy, datetime.now(UTC))
        assert (night.day, night.tries) == (first, 1)
        at_once = services_with({"watch": {"backoff_s": [0]}})
        assert self._asked(at_once, instance) == [first]
        self._run(instance, first, dg.DagsterRunStatus.NOT_STARTED)
        assert self._asked(at_once, instance) == [], "once"
        backoff_s, ended = services.policy.watch.backoff_s, []
        for pause_s in (*backoff_s, backoff_s[-1]):
            ended.append(NOW)
            nights = [unscored_night(first, ended), unscored_night(second, [])]
            early = next_night(nights, backoff_s, NOW + timedelta(seconds=pause_s - 1))
            assert early == (nights[1] if len(ended) >= len(backoff_s) else None), "it starves none for long"
            assert next_night(nights, backoff_s, NOW + timedelta(seconds=pause_s)) == nights[0]

    @pytest.mark.parametrize(("job", "ends"), [("nightly_scoring", ENDS), ("weekly_learning", WEEK_ENDS)])
    def test_the_ends_of_a_night_and_a_week_are_what_nothing_else_of_it_needs(
        self, job: str, ends: tuple[str, ...]
    ) -> None:
        assets = DEFS.resolve_asset_graph()
        own = set(DEFS.resolve_job_def(job).asset_layer.executable_asset_keys)
        inner = {parent for key in own for parent in assets.get(key).parent_keys if parent != key}
        assert {key.to_user_string() for key in own - inner} == set(ends)

    def _asked(self, services: Services, instance: dg.DagsterInstance, job: str = "nightly_scoring") -> list[date]:
        context = dg.build_sensor_context(instance=instance, resources=parts(services))
        answer = night_watch(context)
        requests = (answer.run_requests or []) if isinstance(answer, dg.SensorResult) else []
        # By the day on which this runs, the week of the nights may be over, too.
        assert {request.job_name for request in requests} <= {job, "weekly_learning"}
        return [date.fromisoformat(request.partition_key or "") for request in requests if request.job_name == job]

    def _scored(self, instance: dg.DagsterInstance, day: date) -> None:
        for end in ENDS:
            instance.report_runless_asset_event(dg.AssetMaterialization(end, partition=str(day)))

    def _run(self, instance: dg.DagsterInstance, day: date, status: dg.DagsterRunStatus) -> None:
        instance.add_run(dg.DagsterRun("nightly_scoring", status=status, tags=_partition(day)))


_LEARNED = NOW - timedelta(hours=LEARNING_HOUR)
WEEK = _LEARNED.date() - timedelta(days=_LEARNED.weekday() + 7)
"""The first day of the last week that was to be learned from."""


class TestMissedWeeks:
    """A week has work, its nights are scored, and it was to be learned from."""

    @pytest.fixture(autouse=True)
    def work(self, services: Services, instance: dg.DagsterInstance) -> None:
        accepted(services.ledger, a_job("of the week", day=WEEK, clip_id=f"{WEEK}/one"))
        for end in ENDS:
            instance.report_runless_asset_event(dg.AssetMaterialization(end, partition=str(WEEK)))

    def test_a_week_that_was_missed_or_killed_is_learned_from_later(
        self, services: Services, services_with: ServicesWith, instance: dg.DagsterInstance
    ) -> None:
        assert self._asked(services, instance) == [("weekly_learning", str(WEEK))]
        run = dg.DagsterRun("weekly_learning", status=dg.DagsterRunStatus.STARTED, tags=_partition(WEEK))
        instance.add_run(run)
        assert self._asked(services, instance) == [], "one is under way"
        instance.report_run_failed(run)
        assert self._asked(services, instance) == [], "it has just been tried"
        (week,) = unscored_nights(instance, services.ledger, services.policy, datetime.now(UTC))
        assert (week.subject, week.why.hinges_on, week.tries) == (
            f"weekly learning from {WEEK}",
            "weekly_learning",
            1,
        )
        at_once = services_with({"watch": {"backoff_s": [0]}})
        assert self._asked(at_once, instance) == [("weekly_learning", str(WEEK))]
        for end in WEEK_ENDS:
            instance.report_runless_asset_event(dg.AssetMaterialization(end, partition=str(WEEK)))
        assert self._asked(at_once, instance) == []

    def test_a_week_waits_for_its_hour_and_for_its_nights(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        hour = datetime(WEEK.year, WEEK.month, WEEK.day, LEARNING_HOUR, tzinfo=UTC) + timedelta(days=7)
        assert WEEK not in weeks_due(services.ledger, services.policy, hour - timedelta(seconds=1))
        assert WEEK in weeks_due(services.ledger, services.policy, hour)
        assert WEEK in weeks_due(services.ledger, services.policy, hour + timedelta(days=6, hours=23))
        # Once the nights that it was learned from are not looked back to any more, it is not either.
        past = timedelta(days=services.policy.scoring.trailing_days)
        assert WEEK not in weeks_due(services.ledger, services.policy, hour + past)
        nights = [unscored_night(WEEK + timedelta(days=6), []), unlearned_week(WEEK, [])]
        later = hour + timedelta(days=1)
        assert next_night(nights, services.policy.watch.backoff_s, later) == nights[0]
        assert next_night(nights[1:], services.policy.watch.backoff_s, later) == nights[1]

    def _asked(self, services: Services, instance: dg.DagsterInstance) -> list[tuple[str | None, str | None]]:
        answer = night_watch(dg.build_sensor_context(instance=instance, resources=parts(services)))
        requests = (answer.run_requests or []) if isinstance(answer, dg.SensorResult) else []
        return [(request.job_name, request.partition_key) for request in requests]


def _partition(day: date) -> dict[str, str]:
    return {"dagster/partition": str(day)}


class Kept:
    """A channel that keeps what it is told."""

    name = "Kept"

    def __init__(self) -> None:
        self.titles: list[str] = []

    def send(self, alert: Alert) -> Delivery:
        self.titles.append(alert.title)
        return Delivery(self.name, "sent", "kept")


class TestOutbox:
    @pytest.fixture
    def told(self, services: Services) -> Kept:
        """The only channel of the services."""
        channel = Kept()
        vars(services)["notifier"] = Notifier([channel], services.ledger.alerts, services.policy.alerts)
        return channel

    def test_what_another_process_left_is_delivered(
        self, services: Services, told: Kept, instance: dg.DagsterInstance
    ) -> None:
        for number in range(3):
            services.ledger.alerts.add(
                f"cause {number}",
                severity="warning",
                title="Work is stuck",
                text="",
                fields={},
                again_after_s=1,
                failed_again_after_s=1,
            )
        context = dg.build_sensor_context(instance=instance, resources=parts(services))
        said = [alert_outbox_sensor(context) for _ in range(2)]
        assert [str(one.skip_message) for one in said if isinstance(one, dg.SkipReason)] == [
            "3 messages went out or were tried; 0 alerts wait.",
            "0 messages went out or were tried; 0 alerts wait.",
        ]
        assert told.titles == ["Work is stuck"] * 3

    def test_a_runs_alerts_go_out_before_its_process_may_end(
        self, services: Services, told: Kept, instance: dg.DagsterInstance
    ) -> None:
        @dg.op(required_resource_keys={"notifier"})
        def tells(context: dg.OpExecutionContext) -> None:
            context.resources.notifier.notify(Alert("cause", "A clip stopped", "why"))

        @dg.job(resource_defs={"notifier": resources_of(services)["notifier"]})
        def some_day() -> None:
            tells()

        assert some_day.execute_in_process(instance=instance).success
        assert told.titles == ["A clip stopped"]
        (row,) = services.ledger.alerts.latest()
        assert [item["outcome"] for item in row["deliveries"]] == ["sent"]


def test_a_failed_run_is_alerted_once_with_its_job_day_and_reason(
    services: Services, instance: dg.DagsterInstance
) -> None:
    @dg.op
    def fails() -> None:
        raise dg.Failure("the disk is full")

    @dg.job
    def some_day() -> None:
        fails()

    result = some_day.execute_in_process(
        instance=instance, raise_on_error=False, tags={"dagster/partition": "2026-03-12"}
    )
    for _ in range(2):
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failure_alert",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources=parts(services),
        ).for_run_failure()
        run_failure_alert(context)
    (alert,) = services.ledger.alerts.latest()
    assert (alert["title"], alert["severity"], alert["count"]) == ("A run failed", "critical", 2)
    assert "some_day (2026-03-12)" in alert["text"]
