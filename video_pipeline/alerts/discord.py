"""Discord webhooks (discord.com/developers/docs/resources/webhook#execute-webhook), and its way to escape texts."""

import re
from datetime import UTC
from typing import Any

from video_pipeline.alerts.alert import Alert
from video_pipeline.alerts.webhook import Webhook, shortened
from video_pipeline.ledger import Delivery
from video_pipeline.wire import clean

_COLOURS = {"info": 0x3B82F6, "warning": 0xF59E0B, "critical": 0xDC2626}
_MAX_TITLE = 256
_MAX_NAME = 256
_MAX_VALUE = 1024
_MAX_FIELDS = 25
_MAX_TOTAL = 6000
# Of the 4096 allowed, so that there is room for the fields in the total.
_MAX_DESCRIPTION = 3000
_MAX_FOOTER = 200
# What formats, links, mentions or hides anywhere in a text; and what makes a list where a line begins.
_SPECIAL = re.compile(r"[\\`*_~|\[\]()<>@#:]")
_LIST = re.compile(r"^([^\S\n]*\d*)([-+.])", re.MULTILINE)


class DiscordWebhook:
    """Sends alerts to one Discord channel; keyword arguments are those of `Webhook`."""

    name = "Discord"

    def __init__(self, url: str, **manners: Any) -> None:
        self._webhook = Webhook(self.name, url, **manners)

    def __repr__(self) -> str:
        return "DiscordWebhook(<secret>)"

    def send(self, alert: Alert) -> Delivery:
        """Post the alert once; a failure is a Delivery too."""
        return self._webhook.post(discord_payload(alert))


def escaped(text: str, limit: int) -> str:
    """`text` so that Discord shows it as it is written, in at most `limit` characters: no link, mention or format."""
    cut = clean(text)
    while True:
        # Discord takes a backslash before any punctuation for an escape.
        safe = _LIST.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", cut))
        if len(safe) <= limit:
            return safe
        # Each character grows by one at most, so this never cuts too much by more than a few.
        cut = shortened(cut, min(len(cut) - max(1, (len(safe) - limit) // 2), limit))


def discord_payload(alert: Alert) -> dict[str, Any]:
    """The message: one embed, cut to Discord's limits, that can mention nobody."""
    title = escaped(alert.title, _MAX_TITLE)
    description = escaped(alert.text, _MAX_DESCRIPTION)
    # A footer is shown as it is written.
    footer = shortened(clean(f"{alert.severity} · {alert.cause}"), _MAX_FOOTER)
    embed = {
        "title": title,
        "description": description,
        "color": _COLOURS[alert.severity],
        "fields": _fields(alert, _MAX_TOTAL - len(title) - len(description) - len(footer)),
        "footer": {"text": footer},
        "timestamp": alert.at.astimezone(UTC).isoformat(),
    }
    return {"username": "video-pipeline", "embeds": [embed], "allowed_mentions": {"parse": []}}


def _fields(alert: Alert, room: int) -> list[dict[str, Any]]:
    """As many of the alert's fields as fit into `room` characters, in order."""
    fields: list[dict[str, Any]] = []
    for name, value in list(alert.fields.items())[:_MAX_FIELDS]:
        # Discord refuses empty names and values.
        field = {
            "name": escaped(name, _MAX_NAME) or "–",
            "value": escaped(value, _MAX_VALUE) or "–",
            "inline": True,
        }
        room -= len(field["name"]) + len(field["value"])
        if room < 0:
            break
        fields.append(field)
    return fields
