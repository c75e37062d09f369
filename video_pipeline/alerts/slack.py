"""Slack incoming webhooks (docs.slack.dev: "Sending messages using incoming webhooks", "Block Kit reference")."""

from typing import Any

from video_pipeline.alerts.alert import Alert
from video_pipeline.alerts.webhook import Webhook, shortened
from video_pipeline.ledger import Delivery
from video_pipeline.wire import clean

_ICONS = {"info": "🔵", "warning": "🟠", "critical": "🔴"}
_MAX_HEADER = 150
_MAX_SECTION = 3000
_MAX_FIELD = 2000
_FIELDS_A_SECTION = 10
_MAX_FIELDS = 40


class SlackWebhook:
    """Sends alerts to one Slack channel; keyword arguments are those of `Webhook`."""

    name = "Slack"

    def __init__(self, url: str, **manners: Any) -> None:
        self._webhook = Webhook(self.name, url, **manners)

    def __repr__(self) -> str:
        return "SlackWebhook(<secret>)"

    def send(self, alert: Alert) -> Delivery:
        """Post the alert once; a failure is a Delivery too."""
        return self._webhook.post(slack_payload(alert))


def slack_payload(alert: Alert) -> dict[str, Any]:
    """The message: `text` for notifications, blocks for reading; cut to Slack's limits.

    All texts are plain ones, which Slack shows as they are written: they can mention nobody, hide no address behind
    other words, and have no picture fetched.
    """
    heading = f"{_ICONS[alert.severity]} {alert.title}"
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(heading, _MAX_HEADER)}]
    if alert.text.strip():
        blocks.append({"type": "section", "text": _plain(alert.text, _MAX_SECTION)})
    facts = list(alert.fields.items())[:_MAX_FIELDS]
    fields = [_plain(f"{name}\n{value or '–'}", _MAX_FIELD) for name, value in facts]
    for start in range(0, len(fields), _FIELDS_A_SECTION):
        blocks.append({"type": "section", "fields": fields[start : start + _FIELDS_A_SECTION]})
    blocks.append({"type": "context", "elements": [_plain(f"{alert.severity} · {alert.cause}", _MAX_FIELD)]})
    return {
        "text": escaped(f"{heading}: {alert.text}", _MAX_SECTION),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": shortened(clean(text), limit), "emoji": False}


def escaped(text: str, limit: int) -> str:
    """`text` with Slack's three control characters as entities, which it wants in its message's own `text`.

    So no words can call `<!channel>`. It is never cut inside an entity.
    """
    cut = shortened(clean(text), limit)
    while True:
        safe = cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if len(safe) <= limit:
            return safe
        # Each character grows by four at most, so this never cuts too much by more than a few.
        cut = shortened(cut, len(cut) - max(1, (len(safe) - limit) // 5))
