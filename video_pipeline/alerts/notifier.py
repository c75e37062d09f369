"""Who is told what: an alert becomes a row of the ledger at once, and a message later, beside the work."""

import hashlib
import logging
from collections.abc import Sequence
from functools import lru_cache

from video_pipeline.alerts.alert import Alert
from video_pipeline.alerts.sender import Channel, Progress, Sender
from video_pipeline.ledger import AlertRows, Delivery
from video_pipeline.policy import AlertPolicy, load_policy
from video_pipeline.wire import clean

FLUSH_S = 5.0
"""How long a command or a step may wait at its end for its alerts to go out, in seconds."""

_LOGGER = logging.getLogger(__name__)
_FOR_ALL_S = 100 * 366 * 86_400.0
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_NOT_CONFIGURED = Delivery(
    "none",
    "not configured",
    "not sent: no webhook is configured (set VIDEO_PIPELINE_SLACK_WEBHOOK_URL or VIDEO_PIPELINE_DISCORD_WEBHOOK_URL)",
)
# In characters. An index of Postgres takes no cause of more than 2,700 bytes; the others are what channels show.
_MAX_CAUSE, _MAX_TITLE, _MAX_TEXT, _MAX_FIELDS, _MAX_FIELD = 400, 300, 4000, 40, 2000


class Notifier:
    """Tells each cause once, on every channel, and again when it goes on for long.

    `policy` is the packaged one where none is given.
    """

    def __init__(self, channels: Sequence[Channel], alerts: AlertRows, policy: AlertPolicy | None = None) -> None:
        self._alerts = alerts
        self._policy = policy or _packaged()
        self._sender = Sender(channels, alerts, self._policy) if channels else None

    def notify(self, alert: Alert) -> None:
        """Keep the alert and return: a sender of this process, or of another, delivers it.

        Whatever its texts hold is kept in a form that can be. Raises LedgerError when the ledger cannot be reached.
        """
        title, text = clean(alert.title, _MAX_TITLE), clean(alert.text, _MAX_TEXT)
        cause = _cause(alert.cause)
        to_tell = self._alerts.add(
            cause,
            severity=alert.severity,
            title=title,
            text=text,
            fields={
                clean(name, _MAX_FIELD): clean(value, _MAX_FIELD)
                for name, value in list(alert.fields.items())[:_MAX_FIELDS]
            },
            again_after_s=_FOR_ALL_S if alert.once else self._policy.again_after_s,
            failed_again_after_s=self._policy.failed_again_after_s,
        )
        if not to_tell:
            return
        _LOGGER.log(_LEVELS[alert.severity], "%s: %s", title, text)
        if self._sender is None:
            self._alerts.close(cause, [_NOT_CONFIGURED])
        else:
            self._sender.wake()

    def flush(self, within_s: float) -> None:
        """At the end of a command or a step: give what this process has to tell a last chance to go out."""
        if self._sender is not None:
            self._sender.flush(within_s)

    def deliver(self, within_s: float) -> Progress:
        """Deliver what is due, whoever left it; no message is begun after `within_s` seconds. Raises LedgerError."""
        if self._sender is None:
            return Progress(messages=0, waiting=0)
        return self._sender.deliver(within_s)


@lru_cache(maxsize=1)
def _packaged() -> AlertPolicy:
    return load_policy().alerts


def _cause(cause: str) -> str:
    """The cause as the ledger can keep it: a long one keeps its beginning, and what tells it apart."""
    kept = clean(cause)
    if len(kept) <= _MAX_CAUSE:
        return kept
    return f"{kept[:_MAX_CAUSE]}…{hashlib.sha256(kept.encode()).hexdigest()[:16]}"
