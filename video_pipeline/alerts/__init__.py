"""Telling people: alerts to Slack and Discord, one for each cause; a channel that fails stops nothing (O1)."""

from video_pipeline.alerts.alert import Alert, Delivery, Outcome, Severity
from video_pipeline.alerts.discord import DiscordWebhook
from video_pipeline.alerts.notifier import AlertLog, Channel, Notifier
from video_pipeline.alerts.slack import SlackWebhook

__all__ = [
    "Alert",
    "AlertLog",
    "Channel",
    "Delivery",
    "DiscordWebhook",
    "Notifier",
    "Outcome",
    "Severity",
    "SlackWebhook",
]
