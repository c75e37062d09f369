"""One alert a cause, on every channel, in nobody's way."""

import logging
from collections import Counter
from collections.abc import Sequence

import pytest

from video_pipeline.alerts import Alert, Delivery, DiscordWebhook, Notifier, SlackWebhook
from video_pipeline_tests.alerts.conftest import Receiver

ALERT = Alert("stuck:job-7", "Job 7 is stuck", "No news for an hour.", {"Provider": "fal"})
QUICK = {"backoff_s": (0.0,)}


class CausesInMemory:
    """The alert log as the protocol describes it, for one process."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.deliveries: dict[str, tuple[Delivery, ...]] = {}

    def first_time(self, alert: Alert) -> bool:
        self.counts[alert.cause] += 1
        told = self.deliveries.get(alert.cause)
        return told is None or all(delivery.outcome == "failed" for delivery in told)

    def record(self, alert: Alert, deliveries: Sequence[Delivery]) -> None:
        self.deliveries[alert.cause] = tuple(deliveries)


def test_a_repeated_cause_is_counted_and_not_sent(receiver: Receiver):
    log = CausesInMemory()
    notifier = Notifier([SlackWebhook(receiver.url)], log)
    outcomes = [delivery.outcome for _ in range(5) for delivery in notifier.notify(ALERT)]
    assert outcomes == ["sent", "repeated", "repeated", "repeated", "repeated"]
    assert len(receiver.payloads) == 1
    assert log.counts == {"stuck:job-7": 5}


def test_another_cause_is_sent(receiver: Receiver):
    notifier = Notifier([SlackWebhook(receiver.url)], CausesInMemory())
    notifier.notify(ALERT)
    notifier.notify(Alert("stuck:job-8", "Job 8 is stuck", "No news for an hour."))
    assert len(receiver.payloads) == 2


def test_a_failing_channel_does_not_stop_the_other(receiver: Receiver, caplog: pytest.LogCaptureFixture):
    receiver.answers = [(404, {}, "no_service")]
    log = CausesInMemory()
    deliveries = Notifier([SlackWebhook(receiver.url), DiscordWebhook(receiver.url)], log).notify(ALERT)
    assert [(delivery.channel, delivery.outcome) for delivery in deliveries] == [
        ("Slack", "failed"),
        ("Discord", "sent"),
    ]
    assert log.deliveries[ALERT.cause] == deliveries
    assert "Not sent to Slack" in caplog.text


def test_a_cause_that_reached_nobody_is_sent_again(receiver: Receiver):
    receiver.answers = [(503, {}, "")] * 2
    notifier = Notifier([SlackWebhook(receiver.url, **QUICK)], CausesInMemory())
    assert [notifier.notify(ALERT)[0].outcome for _ in range(3)] == ["failed", "sent", "repeated"]


@pytest.mark.parametrize(
    ("severity", "level"),
    [("info", logging.INFO), ("warning", logging.WARNING), ("critical", logging.ERROR)],
)
def test_without_a_webhook_the_alert_is_logged_and_recorded(caplog: pytest.LogCaptureFixture, severity, level: int):
    caplog.set_level(logging.INFO)
    log = CausesInMemory()
    notifier = Notifier([], log)
    (delivery,) = notifier.notify(Alert("c", "Budget at 80 %", "$8 of $10 are spent.", severity=severity))
    assert delivery.outcome == "not configured"
    assert "VIDEO_PIPELINE_SLACK_WEBHOOK_URL" in delivery.detail
    assert ("video_pipeline.alerts.notifier", level, "Budget at 80 %: $8 of $10 are spent.") in caplog.record_tuples
    assert log.deliveries["c"] == (delivery,)
    assert notifier.notify(Alert("c", "Budget at 80 %", ""))[0].outcome == "repeated"
