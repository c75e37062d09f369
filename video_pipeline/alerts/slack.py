"""Slack incoming webhooks (docs.slack.dev: "Sending messages using incoming webhooks", "Block Kit reference")."""

from typing import Any

from video_pipeline.alerts.alert import Alert
from video_pipeline.alerts.webhook import Webhook, shortened
from video_pipeline.ledger import Delivery

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
    """The message: `text` for notifications, blocks for reading; cut to Slack's limits, mentions defused."""
    heading = f"{_ICONS[alert.severity]} {alert.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": shortened(heading, _MAX_HEADER)}}
    ]
    if alert.text.strip():
        blocks.append({"type": "section", "text": _mrkdwn(alert.text, _MAX_SECTION)})
    fields = [_field(name, value) for name, value in list(alert.fields.items())[:_MAX_FIELDS]]
    for start in range(0, len(fields), _FIELDS_A_SECTION):
        blocks.append({"type": "section", "fields": fields[start : start + _FIELDS_A_SECTION]})
    blocks.append({"type": "context", "elements": [_mrkdwn(f"{alert.severity} · {alert.cause}", _MAX_FIELD)]})
    return {"text": _escaped(f"{heading}: {alert.text}", _MAX_SECTION), "blocks": blocks}


def _field(name: str, value: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": f"*{_escaped(name, 200)}*\n{_escaped(value or '–', _MAX_FIELD - 210)}"}


def _mrkdwn(text: str, limit: int) -> dict[str, str]:
    return {"type": "mrkdwn", "text": _escaped(text, limit)}


def _escaped(text: str, limit: int) -> str:
    """Slack's three control characters as entities, so that no prompt can call `<!channel>`; never cut inside one."""
    cut = shortened(text, limit)
    while True:
        escaped = cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if len(escaped) <= limit:
            return escaped
        # Each character grows by four at most, so this never cuts too much by more than a few.
        cut = shortened(cut, len(cut) - max(1, (len(escaped) - limit) // 5))
