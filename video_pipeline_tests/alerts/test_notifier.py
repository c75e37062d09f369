"""Alerts through the outbox: kept at once, told beside the work, once a cause, in nobody's way."""

import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from video_pipeline.alerts import Alert, Delivery, DiscordWebhook, Notifier, SlackWebhook
from video_pipeline.ledger import Actor, Ledger, Outcome, TierState
from video_pipeline.ledger.schema import alerts
from video_pipeline.policy import AlertPolicy, Policy
from video_pipeline_tests.alerts.conftest import Receiver

ALERT = Alert("stuck:job-7", "Job 7 is stuck", "No news for an hour.", {"Provider": "fal"})
DAY = timedelta(days=1)
Row = dict[str, Any]


@pytest.fixture
def quick(policy: Policy) -> AlertPolicy:
    """The packaged policy without waits between tries."""
    return policy.alerts.model_copy(update={"backoff_s": (0.0,), "failed_again_after_s": 0.0})


def _row(ledger: Ledger, cause: str = ALERT.cause) -> Row:
    return next(row for row in ledger.alerts.latest(10_000) if row["cause"] == cause)


def _outcomes(ledger: Ledger, cause: str = ALERT.cause) -> list[tuple[str, str]]:
    return [(item["channel"], item["outcome"]) for item in _row(ledger, cause)["deliveries"]]


def _earlier(ledger: Ledger, by: timedelta = DAY) -> None:
    """Everything in the outbox happened earlier."""
    columns = ("due_since", "next_try_at", "claimed_until", "posted_at", "told_at")
    with ledger.engine.begin() as connection:
        connection.execute(update(alerts).values({name: alerts.c[name] - by for name in columns}))


def _keep(ledger: Ledger, *told: Alert) -> None:
    """Alerts as a process leaves them that was killed before its sender did anything."""
    for alert in told:
        ledger.alerts.add(
            alert.cause,
            severity=alert.severity,
            title=alert.title,
            text=alert.text,
            fields=alert.fields,
            again_after_s=DAY.total_seconds(),
            failed_again_after_s=0,
        )


def test_what_is_said_once_is_never_told_again(ledger: Ledger, receiver: Receiver):
    notifier = Notifier([SlackWebhook(receiver.url)], ledger.alerts)
    for alert in (replace(ALERT, once=True), replace(ALERT, cause="goes on")):
        notifier.notify(alert)
    notifier.flush(10)
    _earlier(ledger, 300 * DAY)
    for alert in (replace(ALERT, once=True), replace(ALERT, cause="goes on")):
        notifier.notify(alert)
    notifier.flush(10)
    assert [_row(ledger, cause)["told_count"] for cause in (ALERT.cause, "goes on")] == [1, 2]


def test_a_webhook_that_never_answers_does_not_hold_up_who_alerts(ledger: Ledger, receiver: Receiver):
    receiver.open.clear()
    notifier = Notifier([SlackWebhook(receiver.url)], ledger.alerts)
    notifier.notify(ALERT)
    # The message is under way and unanswered; everybody else alerts on.
    assert receiver.has_one.wait(10)
    for number in range(20):
        notifier.notify(Alert(f"cause {number}", "Another", "thing"))
    assert not receiver.open.is_set() and len(receiver.payloads) == 1
    assert len(ledger.alerts.latest()) == 21
    receiver.open.set()
    notifier.flush(10)
    assert _outcomes(ledger) == [("Slack", "sent")]


def test_a_flush_ends_in_its_time_whatever_the_channel_does(ledger: Ledger, receiver: Receiver):
    receiver.open.clear()
    notifier = Notifier([SlackWebhook(receiver.url)], ledger.alerts)
    notifier.notify(ALERT)
    assert receiver.has_one.wait(10)
    notifier.flush(0.01)
    # Whoever ends later does not wait for it a second time.
    notifier.flush(3600)
    assert not receiver.open.is_set() and _row(ledger)["deliveries"] == []


def test_a_repeated_cause_is_counted_and_told_once(ledger: Ledger, receiver: Receiver):
    notifier = Notifier([SlackWebhook(receiver.url)], ledger.alerts)
    notifier.notify(ALERT)
    notifier.flush(10)
    for _ in range(4):
        notifier.notify(ALERT)
    notifier.flush(10)
    assert receiver.titles == ["Job 7 is stuck"]
    assert (_row(ledger)["count"], _row(ledger)["told_count"]) == (5, 1)


def test_a_cause_that_goes_on_is_told_again_after_a_day_with_how_often(ledger: Ledger, receiver: Receiver):
    notifier = Notifier([DiscordWebhook(receiver.url)], ledger.alerts)
    for _ in range(3):
        notifier.notify(ALERT)
        notifier.flush(10)
    _earlier(ledger)
    notifier.notify(ALERT)
    notifier.flush(10)
    first, again = (payload["embeds"][0]["fields"] for payload in receiver.payloads)
    assert [field["name"] for field in first] == ["Provider"]
    assert {"name": "Times since it was told last", "value": "3", "inline": True} in again


def test_repeats_before_the_first_message_are_in_it(ledger: Ledger, receiver: Receiver):
    _keep(ledger, *[ALERT] * 300)
    Notifier([DiscordWebhook(receiver.url)], ledger.alerts).deliver(10)
    (payload,) = receiver.payloads
    assert {"name": "Times", "value": "300", "inline": True} in payload["embeds"][0]["fields"]


def test_a_failing_channel_does_not_stop_the_other(
    ledger: Ledger, receiver: Receiver, caplog: pytest.LogCaptureFixture
):
    receiver.answers = [(404, {}, "no_service")]
    notifier = Notifier([SlackWebhook(receiver.url), DiscordWebhook(receiver.url)], ledger.alerts)
    notifier.notify(ALERT)
    notifier.flush(10)
    assert _outcomes(ledger) == [("Slack", "failed"), ("Discord", "sent")]
    assert "not sent to Slack" in caplog.text


def test_a_channel_that_was_reached_is_not_told_again_with_the_other(
    ledger: Ledger, receiver: Receiver, quick: AlertPolicy
):
    receiver.answers = [(200, {}, ""), (503, {}, "")]
    notifier = Notifier([SlackWebhook(receiver.url), DiscordWebhook(receiver.url)], ledger.alerts, quick)
    notifier.notify(ALERT)
    notifier.flush(10)
    assert ["embeds" in payload for payload in receiver.payloads] == [False, True, True]
    assert _outcomes(ledger) == [("Slack", "sent"), ("Discord", "sent")]


def test_a_cause_that_reached_nobody_is_told_when_it_occurs_again(
    ledger: Ledger, receiver: Receiver, quick: AlertPolicy
):
    receiver.answers = [(404, {}, "no_service")]
    notifier = Notifier([SlackWebhook(receiver.url)], ledger.alerts, quick)
    outcomes: list[list[tuple[str, str]]] = []
    for _ in range(3):
        notifier.notify(ALERT)
        notifier.flush(10)
        outcomes.append(_outcomes(ledger))
    assert outcomes == [[("Slack", "failed")], [("Slack", "sent")], [("Slack", "sent")]]
    assert len(receiver.payloads) == 2


def test_a_channel_that_fails_is_left_alone_and_given_up_in_the_end(
    ledger: Ledger, receiver: Receiver, policy: Policy
):
    receiver.answers = [(503, {"Retry-After": "100000"}, "")] + [(503, {}, "")] * 9
    notifier = Notifier([SlackWebhook(receiver.url)], ledger.alerts, policy.alerts)
    _keep(ledger, ALERT)
    assert (notifier.deliver(10).messages, notifier.deliver(10).messages, len(receiver.payloads)) == (1, 0, 1)
    _, due_in_s = ledger.alerts.waiting()
    # What the server asks for is heeded, within bounds.
    assert due_in_s is not None and 500 < due_in_s <= 600
    # Another process tries again after that time, and gives up after the policy's.
    _earlier(ledger, timedelta(seconds=policy.alerts.give_up_after_s))
    progress = Notifier([SlackWebhook(receiver.url)], ledger.alerts, policy.alerts).deliver(10)
    assert (progress.messages, progress.waiting, _outcomes(ledger)) == (1, 0, [("Slack", "failed")])


@pytest.mark.parametrize(
    ("severity", "level"),
    [("info", logging.INFO), ("warning", logging.WARNING), ("critical", logging.ERROR)],
)
def test_without_a_webhook_the_alert_is_logged_and_recorded(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, severity: Any, level: int
):
    caplog.set_level(logging.INFO)
    notifier = Notifier([], ledger.alerts)
    for _ in range(2):
        notifier.notify(Alert("c", "Budget at 80 %", "$8 of $10 are spent.", severity=severity))
    assert caplog.record_tuples == [("video_pipeline.alerts.notifier", level, "Budget at 80 %: $8 of $10 are spent.")]
    (kept,) = _row(ledger, "c")["deliveries"]
    assert kept["outcome"] == "not configured" and "VIDEO_PIPELINE_SLACK_WEBHOOK_URL" in kept["detail"]


_DIE = """
import os, signal, sys
from pathlib import Path
from video_pipeline.alerts import Alert, Notifier, SlackWebhook
from video_pipeline.ledger import open_ledger
class Dying(SlackWebhook):
    def send(self, alert):
        os.kill(os.getpid(), signal.SIGKILL)
ledger = open_ledger(sys.argv[1], embedded_dir=Path(sys.argv[2]))
notifier = Notifier([Dying("http://127.0.0.1:1/x")], ledger.alerts)
notifier.notify(Alert("stuck:job-7", "Job 7 is stuck", "No news for an hour."))
notifier.flush(30)
"""


def test_what_a_killed_sender_had_is_sent_once_by_another(ledger: Ledger, receiver: Receiver, tmp_path: Path):
    url = ledger.engine.url.render_as_string(hide_password=False)
    killed = subprocess.run([sys.executable, "-c", _DIE, url, str(tmp_path)], env=os.environ, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    others = [Notifier([SlackWebhook(receiver.url)], ledger.alerts) for _ in range(2)]
    # The dead sender's claim holds for a while.
    assert [other.deliver(10).messages for other in others] == [0, 0]
    _earlier(ledger, timedelta(minutes=2))
    assert [other.deliver(10).messages for other in others] == [1, 0]
    assert receiver.titles == ["Job 7 is stuck"]


def test_what_a_command_tells_goes_out_before_it_ends(ledger: Ledger, receiver: Receiver, tmp_path: Path):
    ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.PERSON, day=date(2026, 11, 21), evidence={})
    surroundings = {
        "VIDEO_PIPELINE_LEDGER_URL": ledger.engine.url.render_as_string(hide_password=False),
        "VIDEO_PIPELINE_STATE_DIR": str(tmp_path),
        "VIDEO_PIPELINE_SLACK_WEBHOOK_URL": receiver.url,
    }
    command = [sys.executable, "-m", "video_pipeline.cli", "thaw", "preview"]
    subprocess.run(command, env=os.environ | surroundings, check=True, timeout=60, capture_output=True)
    assert receiver.titles == ["The preview tier is open"]
    assert [item["outcome"] for item in ledger.alerts.latest()[0]["deliveries"]] == ["sent"]


def test_a_sender_that_lost_its_claim_writes_nothing(ledger: Ledger):
    _keep(ledger, ALERT)
    stale = ledger.alerts.claim(hold_s=60, messages_a_minute=20)
    _earlier(ledger, timedelta(minutes=2))
    claim = ledger.alerts.claim(hold_s=60, messages_a_minute=20)
    assert stale is not None and claim is not None
    failed = Outcome(stale.alerts[0], (Delivery("Slack", "failed", "woke late"),), None)
    ledger.alerts.settle(stale, [failed], posted=True)
    assert _row(ledger)["deliveries"] == []
    ledger.alerts.settle(claim, [Outcome(claim.alerts[0], (Delivery("Slack", "sent", "told"),), None)], posted=True)
    assert _outcomes(ledger) == [("Slack", "sent")]


def test_a_flood_of_causes_is_a_minute_of_messages_and_a_summary(ledger: Ledger, receiver: Receiver, policy: Policy):
    few = policy.alerts.model_copy(update={"messages_a_minute": 3})
    _keep(ledger, *(Alert(f"cause {number}", "A clip stopped", "why") for number in range(500)))
    _keep(ledger, Alert("dear", "The daily ceiling is reached", "all of it", severity="critical"))
    senders = [Notifier([SlackWebhook(receiver.url), DiscordWebhook(receiver.url)], ledger.alerts, few)] * 2
    assert [sender.deliver(10).messages for sender in senders] == [3, 0]
    slack = receiver.titles[::2]
    assert slack == ["The daily ceiling is reached", "A clip stopped", "499 more alerts"]
    assert "A clip stopped (499). `video-pipeline alerts` lists them." in receiver.payloads[5]["embeds"][0][
        "description"
    ].replace("\\", "")
    assert ledger.alerts.waiting() == (0, None)
    # The minute is full; the next has room again.
    _keep(ledger, Alert("later", "Later", "still"))
    assert senders[0].deliver(10).messages == 0
    _earlier(ledger, timedelta(minutes=1))
    assert senders[0].deliver(10).messages == 1


def test_a_channel_that_is_down_is_not_asked_for_every_alert(ledger: Ledger, receiver: Receiver, policy: Policy):
    receiver.answers = [(503, {}, "")] * 50
    _keep(ledger, *(Alert(f"cause {number}", "A clip stopped", "why") for number in range(10)))
    progress = Notifier([SlackWebhook(receiver.url)], ledger.alerts, policy.alerts).deliver(10)
    assert (progress.messages, progress.waiting, len(receiver.payloads)) == (1, 10, 1)


@given(words=st.text(st.characters(), max_size=50), repeat=st.integers(1, 200))
def test_whatever_words_an_alert_holds_it_is_kept_and_sent(ledger_of_module: Ledger, words: str, repeat: int):
    wild = "\x00\ud800\x1b[2J\u202e" + words * repeat
    _told_of_wild(ledger_of_module, Alert(wild, wild, wild, {wild: wild}))


def _told_of_wild(ledger: Ledger, alert: Alert) -> None:
    Notifier([], ledger.alerts).notify(alert)
    row = ledger.alerts.latest(1)[0]
    assert row["deliveries"][0]["outcome"] == "not configured"
    for text in (row["cause"], row["title"], row["text"], *row["fields"]):
        assert text and not set(text) & {"\x00", "\x1b", "\u202e"}
        text.encode()


def test_causes_that_differ_only_far_behind_are_told_apart(ledger: Ledger):
    notifier = Notifier([], ledger.alerts)
    for end in "ab":
        notifier.notify(Alert("c" * 5000 + end, "title", "text"))
    assert len(ledger.alerts.latest()) == 2
