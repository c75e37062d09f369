"""Who is told what, once: the log of causes, and the channels."""

import logging
from collections.abc import Sequence
from typing import Protocol

from video_pipeline.alerts.alert import Alert, Delivery

_LOGGER = logging.getLogger(__name__)
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_NOT_CONFIGURED = Delivery(
    "none",
    "not configured",
    "not sent: no webhook is configured (set VIDEO_PIPELINE_SLACK_WEBHOOK_URL or VIDEO_PIPELINE_DISCORD_WEBHOOK_URL)",
)
_REPEATED = Delivery("none", "repeated", "not sent: this cause was told before")


class Channel(Protocol):
    """A way to reach people."""

    @property
    def name(self) -> str:
        """The channel's word for people, such as "Slack"."""
        ...

    def send(self, alert: Alert) -> Delivery:
        """Deliver the alert; a failure is returned, not raised."""
        ...


class AlertLog(Protocol):
    """Remembers causes across processes; the ledger implements it."""

    def first_time(self, alert: Alert) -> bool:
        """Count the alert under its cause, atomically. True for the first, and again after every channel failed."""
        ...

    def record(self, alert: Alert, deliveries: Sequence[Delivery]) -> None:
        """Keep what became of an alert that `first_time` let through."""
        ...


class Notifier:
    """Tells each cause once, on every channel."""

    def __init__(self, channels: Sequence[Channel], seen: AlertLog) -> None:
        self._channels = tuple(channels)
        self._seen = seen

    def notify(self, alert: Alert) -> tuple[Delivery, ...]:
        """Log the alert and send it everywhere, unless its cause was told before; one Delivery a channel.

        A channel that fails is logged and recorded and stops nobody. Only the alert log itself may raise.
        """
        if not self._seen.first_time(alert):
            return (_REPEATED,)
        _LOGGER.log(_LEVELS[alert.severity], "%s: %s", alert.title, alert.text)
        deliveries = tuple(channel.send(alert) for channel in self._channels) or (_NOT_CONFIGURED,)
        for delivery in deliveries:
            if delivery.outcome == "failed":
                _LOGGER.warning("Alert %s: %s", alert.cause, delivery.detail)
            elif not delivery.sent:
                _LOGGER.debug("Alert %s: %s", alert.cause, delivery.detail)
        self._seen.record(alert, deliveries)
        return deliveries
