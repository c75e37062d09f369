"""Schedules and sensors, evaluated: which partitions they ask for, what they alert, and that they do so once."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import dagster as dg
import pytest
from sqlalchemy import text

from video_pipeline.alerts import Alert, Delivery, Notifier
from video_pipeline.definitions import build_defs
from video_pipeline.defs.resources import resources_of
from video_pipeline.defs.schedules import nightly_scoring_schedule, weekly_learning_schedule
from video_pipeline.defs.sensors import (
    alert_outbox_sensor,
    brief_arrival_sensor,
    cost_drift_sensor,
    run_failure_alert,
    spend_ceiling_sensor,
    stuck_jobs_sensor,
)
from video_pipeline.ledger import Actor, JobState, TierState
from video_pipeline.services import Services
from video_pipeline_tests.defs.conftest import ServicesWith, parts
from video_pipeline_tests.ledger.rows import a_job, accepted, reserved, submitted

DEFS = build_defs()
BRIEF = "brief_id: {name}\ntitle: T\nplatforms: [tiktok]\nprompt: A cup\nduration_s: 1\nquality: draft\n"


def _today() -> date:
    return datetime.now(UTC).date()


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
        assert request.partition_key == _today().isoformat()
        assert isinstance(self._tick(services, instance, first.cursor), dg.SkipReason)

    def test_another_brief_starts_it_again_under_another_run_key(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        _drop_brief(services, "cup")
        first = self._tick(services, instance, None)
        _drop_brief(services, "saucer", folder=_today().isoformat())
        assert isinstance(first, dg.SensorResult)
        second = self._tick(services, instance, first.cursor)
        assert isinstance(second, dg.SensorResult)
        assert [one.run_key for one in first.run_requests or []] != [one.run_key for one in second.run_requests or []]

    def test_briefs_of_another_day_are_not_todays(self, services: Services, instance: dg.DagsterInstance) -> None:
        _drop_brief(services, "cup", folder=(_today() - timedelta(days=1)).isoformat())
        assert isinstance(self._tick(services, instance, None), dg.SkipReason)

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
        governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=_today(), evidence={})
        cursor = self._settle(services, instance)
        governance.set_tier("preview", TierState.OPEN, by=Actor.PERSON, day=_today(), evidence={})
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
        reserved(services.ledger, a_job(day=_today(), expected_usd=Decimal(usd)))
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
        reserved(services.ledger, a_job(day=_today() - timedelta(days=9), expected_usd=Decimal("1.00")))
        with dg.build_sensor_context(instance=instance, resources=parts(services)) as context:
            spend_ceiling_sensor(context)
        assert _alerts(services) == {"The daily ceiling is reached": 1}

    def test_yesterdays_spend_is_not_todays(self, services_with: ServicesWith, instance: dg.DagsterInstance) -> None:
        services = services_with({"budget": {"daily_ceiling_usd": "1.00"}})
        reserved(services.ledger, a_job(day=_today(), expected_usd=Decimal("1.00")))
        with services.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE spend SET spent_on = spent_on - 1"))
        with dg.build_sensor_context(instance=instance, resources=parts(services)) as context:
            spend_ceiling_sensor(context)
        assert _alerts(services) == {}


class TestStuckJobs:
    def test_a_job_that_nobody_moves_has_its_day_run_again_and_is_alerted_once(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        yesterday = _today() - timedelta(days=1)
        submitted(services.ledger, a_job("old", day=yesterday, clip_id=f"{yesterday}/old"))
        submitted(services.ledger, a_job("new", day=_today()))
        self._age(services, "old", hours=1)
        answers = [self._tick(services, instance) for _ in range(2)]
        for answer in answers:
            assert isinstance(answer, dg.SensorResult)
            assert [request.partition_key for request in answer.run_requests or []] == [yesterday.isoformat()]
        assert _alerts(services) == {"Work is stuck": 2}

    def test_each_day_with_stuck_jobs_has_a_run_of_its_own(
        self, services: Services, instance: dg.DagsterInstance
    ) -> None:
        days = [_today() - timedelta(days=back) for back in (2, 1)]
        for day in days:
            submitted(services.ledger, a_job(str(day), day=day))
            self._age(services, str(day), hours=1)
        answer = self._tick(services, instance)
        assert isinstance(answer, dg.SensorResult)
        requests = answer.run_requests or []
        assert [request.partition_key for request in requests] == [day.isoformat() for day in days]
        assert len({request.run_key for request in requests}) == 2

    @pytest.mark.parametrize("state", [JobState.PLANNED, JobState.ACCEPTED])
    def test_a_job_that_waits_for_nobody_is_not_stuck(
        self, services: Services, instance: dg.DagsterInstance, state: JobState
    ) -> None:
        job = a_job("old", day=_today())
        services.ledger.jobs.plan(job) if state is JobState.PLANNED else accepted(services.ledger, job)
        self._age(services, "old", hours=1)
        assert isinstance(self._tick(services, instance), dg.SkipReason)
        assert _alerts(services) == {}

    def test_silence_is_alerted_once_a_day(self, services: Services, instance: dg.DagsterInstance) -> None:
        accepted(services.ledger, a_job("last", day=_today()))
        with services.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE jobs SET finished_at = now() - interval '27 hours'"))
        for _ in range(2):
            # The clip that was accepted and went nowhere is continued, too.
            assert isinstance(self._tick(services, instance), dg.SensorResult)
        assert _alerts(services) == {"The pipeline is silent": 2, "Work is stuck": 2}

    def test_a_pipeline_that_never_ran_is_not_silent(self, services: Services, instance: dg.DagsterInstance) -> None:
        self._tick(services, instance)
        assert _alerts(services) == {}

    def _age(self, services: Services, name: str, *, hours: int) -> None:
        with services.ledger.engine.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET updated_at = now() - make_interval(hours => :hours) WHERE key = :key"),
                {"hours": hours, "key": a_job(name).key},
            )

    def _tick(self, services: Services, instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=instance, resources=parts(services))
        return stuck_jobs_sensor(context)  # pyright: ignore[reportReturnType]  # typed for every kind of sensor


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
