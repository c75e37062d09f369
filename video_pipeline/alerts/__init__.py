"""Telling people: an alert is a row first and a message later, one a cause; no channel holds anything up (O1)."""

from video_pipeline.alerts.alert import Alert, Severity
from video_pipeline.alerts.discord import DiscordWebhook
from video_pipeline.alerts.notifier import FLUSH_S, Notifier
from video_pipeline.alerts.sender import Channel, Progress
from video_pipeline.alerts.slack import SlackWebhook
from video_pipeline.ledger import Delivery

__all__ = [
    "FLUSH_S",
    "Alert",
    "Channel",
    "Delivery",
    "DiscordWebhook",
    "Notifier",
    "Progress",
    "Severity",
    "SlackWebhook",
]
