"""The sender: delivers the ledger's due alerts on the channels, in nobody's way.

It runs in a thread of any process that alerts, for as long as something waits. What a process leaves when it ends is
delivered by the sender of another. No channel is asked again before its time, and none gets more messages a minute
than the policy allows.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

from video_pipeline.alerts.alert import Alert, Severity
from video_pipeline.ledger import AlertRows, Claim, Delivery, DueAlert, Outcome
from video_pipeline.policy import AlertPolicy

_LOGGER = logging.getLogger(__name__)
# Longer than all channels together may take for one message.
_HOLD_S = 60.0
# A channel may ask for more; nobody is told by a channel that is left alone for days.
_LONGEST_WAIT_S = 600.0
_SHORTEST_SLEEP_S, _LONGEST_SLEEP_S = 0.5, 30.0
_SHOWN_IN_A_SUMMARY = 10


class Channel(Protocol):
    """A way to reach people."""

    @property
    def name(self) -> str:
        """The channel's word for people, such as "Slack"."""
        ...

    def send(self, alert: Alert) -> Delivery:
        """Deliver the alert, in a bounded time; a failure is returned, not raised."""
        ...


@dataclass(frozen=True)
class Progress:
    """How many messages a sender has sent or tried, and how many alerts wait still."""

    messages: int
    waiting: int


class Sender:
    """Delivers due alerts, at the pace that the policy allows."""

    def __init__(self, channels: Sequence[Channel], alerts: AlertRows, policy: AlertPolicy) -> None:
        self._channels = tuple(channels)
        self._alerts = alerts
        self._policy = policy
        self._left_alone_until = dict.fromkeys((channel.name for channel in channels), 0.0)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked, self._done, self._waited_for = 0, 0, 0

    def wake(self) -> None:
        """Something is to be told: the thread looks, and is started where there is none."""
        with self._changed:
            self._asked += 1
            # After a fork the parent's thread is not there.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, within_s: float) -> None:
        """Wait until what this process has to tell was tried once; at most `within_s` seconds, and once for each."""
        with self._changed:
            asked = self._asked
            if asked > self._waited_for:
                self._waited_for = asked
                self._changed.wait_for(lambda: self._done >= asked or not self._running(), within_s)

    def deliver(self, within_s: float | None = None) -> Progress:
        """Send what is due now; no message is begun after `within_s` seconds. Raises LedgerError."""
        until = time.monotonic() + within_s if within_s is not None else float("inf")
        messages = 0
        while time.monotonic() < until and min(self._left_alone_until.values()) <= time.monotonic():
            claim = self._alerts.claim(hold_s=_HOLD_S, messages_a_minute=self._policy.messages_a_minute)
            if claim is None:
                break
            messages += self._send(claim)
        waiting, _ = self._alerts.waiting()
        return Progress(messages, waiting)

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        """The thread: delivers until nothing waits any more."""
        while True:
            asked, wait_s = self._asked, _LONGEST_SLEEP_S
            try:
                self.deliver()
                wait_s = self._idle_s()
            except Exception as error:
                # The ledger may be away for a while, and nobody looks after this thread.
                _LOGGER.warning("Alerts cannot be delivered for now (%s).", type(error).__name__)
            with self._changed:
                self._done = asked
                self._changed.notify_all()
                if wait_s is None and self._asked == asked:
                    self._thread = None
                    return
                self._changed.wait_for(lambda asked=asked: self._asked != asked, wait_s)

    def _idle_s(self) -> float | None:
        """Seconds until there may be something to do; None when nothing waits."""
        _, due_in_s = self._alerts.waiting()
        if due_in_s is None:
            return None
        alone_s = min(self._left_alone_until.values()) - time.monotonic()
        return min(max(due_in_s, alone_s, _SHORTEST_SLEEP_S), _LONGEST_SLEEP_S)

    def _send(self, claim: Claim) -> bool:
        """Tell the claimed alerts in one message on every channel that is open; whether any was tried."""
        message = _message(claim.alerts)
        begun = time.monotonic()
        results: dict[str, Delivery] = {}
        for channel in self._channels:
            done = all(_final_on(channel.name, due) for due in claim.alerts)
            # A sender that slept may have lost its claim.
            late = time.monotonic() - begun > _HOLD_S / 2
            if done or late or self._left_alone_until[channel.name] > time.monotonic():
                continue
            results[channel.name] = result = channel.send(message)
            if not result.final:
                wait_s = min(max(result.wait_s, self._backoff_s(claim.alerts[0].tries)), _LONGEST_WAIT_S)
                self._left_alone_until[channel.name] = time.monotonic() + wait_s
        outcomes = [self._outcome(due, results) for due in claim.alerts]
        self._alerts.settle(claim, outcomes, posted=bool(results))
        return bool(results)

    def _outcome(self, due: DueAlert, results: dict[str, Delivery]) -> Outcome:
        before = {delivery.channel: delivery for delivery in due.deliveries}
        deliveries: list[Delivery] = []
        for channel in self._channels:
            name = channel.name
            known = before.get(name) or Delivery(name, "waiting", f"not sent to {name} yet: it is left alone for now")
            deliveries.append(known if known.final else results.get(name, known))
        if all(delivery.final for delivery in deliveries):
            self._log_failures(due, deliveries)
            return Outcome(due, tuple(deliveries), None)
        if due.waited_s >= self._policy.give_up_after_s:
            given_up = [
                delivery if delivery.final else replace(delivery, outcome="failed") for delivery in deliveries
            ]
            self._log_failures(due, given_up)
            return Outcome(due, tuple(given_up), None)
        now = time.monotonic()
        alone_s = [self._left_alone_until[one.channel] - now for one in deliveries if not one.final]
        return Outcome(due, tuple(deliveries), max(0.0, min(alone_s)))

    def _backoff_s(self, tries: int) -> float:
        backoff_s = self._policy.backoff_s
        return backoff_s[min(tries, len(backoff_s)) - 1]

    def _log_failures(self, due: DueAlert, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if not delivery.sent:
                _LOGGER.warning("Alert %s: %s", due.cause, delivery.detail)


def _final_on(channel: str, due: DueAlert) -> bool:
    return any(delivery.channel == channel and delivery.final for delivery in due.deliveries)


def _message(alerts: Sequence[DueAlert]) -> Alert:
    """One alert as it is told, or the summary of several."""
    first = alerts[0]
    if len(alerts) == 1:
        since = first.count - first.told_count
        counted: dict[str, str] = {}
        if first.told_count:
            counted = {"Times since it was told last": f"{since:,}"}
        elif since > 1:
            counted = {"Times": f"{since:,}"}
        return Alert(
            first.cause, first.title, first.text, first.fields | counted, cast(Severity, first.severity), first.at
        )
    titles: dict[str, int] = {}
    for due in alerts:
        titles[due.title] = titles.get(due.title, 0) + 1
    shown = [f"{title} ({count:,})" for title, count in list(titles.items())[:_SHOWN_IN_A_SUMMARY]]
    if len(titles) > len(shown):
        shown.append("and others")
    return Alert(
        f"summary of {len(alerts)}",
        f"{len(alerts):,} more alerts",
        f"{'; '.join(shown)}. `video-pipeline alerts` lists them.",
        {},
        cast(Severity, first.severity),
        max(due.at for due in alerts),
    )
