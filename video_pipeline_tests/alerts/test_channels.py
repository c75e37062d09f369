"""What Slack and Discord receive, and what happens when they do not take it."""

import logging
import socket
from datetime import UTC, datetime

import pytest

from video_pipeline.alerts import Alert, DiscordWebhook, SlackWebhook
from video_pipeline.errors import ConfigurationError
from video_pipeline.wire import Bounds
from video_pipeline_tests.alerts.conftest import SECRET_PATH, Receiver

ALERT = Alert(
    cause="preview-frozen:2026-11-21",
    title="Preview tier frozen",
    text="Two days above $0.15 a clip: <b> & co.",
    fields={"Average": "$0.171", "Clips": "42"},
    severity="critical",
    at=datetime(2026, 11, 21, 12, 30, tzinfo=UTC),
)
CHANNELS = [SlackWebhook, DiscordWebhook]


def _plain(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text, "emoji": False}


def test_slack_receives_text_and_blocks(receiver: Receiver):
    assert SlackWebhook(receiver.url).send(ALERT).sent
    assert receiver.payloads == [
        {
            "text": "🔴 Preview tier frozen: Two days above $0.15 a clip: &lt;b&gt; &amp; co.",
            "mrkdwn": False,
            "unfurl_links": False,
            "unfurl_media": False,
            "blocks": [
                {"type": "header", "text": _plain("🔴 Preview tier frozen")},
                {"type": "section", "text": _plain("Two days above $0.15 a clip: <b> & co.")},
                {"type": "section", "fields": [_plain("Average\n$0.171"), _plain("Clips\n42")]},
                {"type": "context", "elements": [_plain("critical · preview-frozen:2026-11-21")]},
            ],
        }
    ]


def test_discord_receives_an_embed_that_mentions_nobody(receiver: Receiver):
    receiver.answers = [(204, {}, "")]
    assert DiscordWebhook(receiver.url).send(ALERT).sent
    assert receiver.payloads == [
        {
            "username": "video-pipeline",
            "embeds": [
                {
                    "title": "Preview tier frozen",
                    "description": r"Two days above $0.15 a clip\: \<b\> & co.",
                    "color": 0xDC2626,
                    "fields": [
                        {"name": "Average", "value": "$0.171", "inline": True},
                        {"name": "Clips", "value": "42", "inline": True},
                    ],
                    "footer": {"text": "critical · preview-frozen:2026-11-21"},
                    "timestamp": "2026-11-21T12:30:00+00:00",
                }
            ],
            "allowed_mentions": {"parse": []},
        }
    ]


HUGE = Alert("c" * 9_000, "T" * 9_000, "<&>" * 9_000, {f"{n}" * 400: "<" * 4_000 for n in range(10, 99)})


def test_a_huge_alert_is_cut_to_slacks_limits(receiver: Receiver):
    SlackWebhook(receiver.url).send(HUGE)
    blocks = receiver.payloads[0]["blocks"]
    assert len(receiver.payloads[0]["text"]) <= 40_000
    assert len(blocks) <= 50
    assert len(blocks[0]["text"]["text"]) == 150
    texts = [block["text"]["text"] for block in blocks if block["type"] == "section" and "text" in block]
    fields = [block["fields"] for block in blocks if "fields" in block]
    assert all(len(text) <= 3_000 for text in texts)
    assert all(len(section) <= 10 and all(len(item["text"]) <= 2_000 for item in section) for section in fields)
    assert len(texts[0]) == 3_000


def test_a_huge_alert_is_cut_to_discords_limits(receiver: Receiver):
    DiscordWebhook(receiver.url).send(HUGE)
    embed = receiver.payloads[0]["embeds"][0]
    assert len(embed["title"]) == 256
    assert len(embed["description"]) <= 4_096
    assert 1 <= len(embed["fields"]) <= 25
    assert all(len(field["name"]) <= 256 and len(field["value"]) <= 1_024 for field in embed["fields"])
    total = len(embed["title"]) + len(embed["description"]) + len(embed["footer"]["text"])
    assert total + sum(len(field["name"]) + len(field["value"]) for field in embed["fields"]) <= 6_000


def test_empty_texts_and_values_are_not_sent_empty(receiver: Receiver):
    empty = Alert("cause", "title", "", {"Model": ""}, "info")
    SlackWebhook(receiver.url).send(empty)
    DiscordWebhook(receiver.url).send(empty)
    slack, discord = receiver.payloads
    assert [block["type"] for block in slack["blocks"]] == ["header", "section", "context"]
    assert slack["blocks"][1]["fields"][0]["text"] == "Model\n–"
    assert discord["embeds"][0]["fields"][0]["value"] == "–"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("status", "headers", "wait_s", "said"),
    [
        (429, {"Retry-After": "64.5"}, 64.5, "too many messages (HTTP 429 words)"),
        (429, {"Retry-After": "soon"}, 0, "too many messages (HTTP 429 words)"),
        (503, {}, 0, "its server failed (HTTP 503 words)"),
        (408, {}, 0, "its server failed (HTTP 408 words)"),
    ],
)
def test_a_passing_trouble_may_be_tried_again(
    receiver: Receiver, channel: type[SlackWebhook], status: int, headers: dict[str, str], wait_s: float, said: str
):
    receiver.answers = [(status, headers, "words")]
    delivery = channel(receiver.url).send(ALERT)
    assert (delivery.outcome, delivery.wait_s, len(receiver.payloads)) == ("waiting", wait_s, 1)
    assert said in delivery.detail


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("status", "body"),
    [(400, "invalid_payload"), (403, "invalid_token"), (404, "no_service"), (410, "channel_is_archived"), (302, "")],
)
def test_what_will_never_be_taken_has_failed(receiver: Receiver, channel: type[SlackWebhook], status: int, body: str):
    receiver.answers = [(status, {}, body)]
    delivery = channel(receiver.url).send(ALERT)
    assert (delivery.outcome, len(receiver.payloads)) == ("failed", 1)
    assert f"HTTP {status} {body}".rstrip() in delivery.detail


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_refused_connection_is_a_sentence(channel: type[SlackWebhook]):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}{SECRET_PATH}"
        delivery = channel(url).send(ALERT)
    assert delivery.outcome == "waiting"
    assert "could not be reached (ConnectError)" in delivery.detail
    assert "secret" not in delivery.detail.lower()


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_server_that_says_nothing_is_left_after_its_time(receiver: Receiver, channel: type[SlackWebhook]):
    receiver.open.clear()
    delivery = channel(receiver.url, bounds=Bounds(total_s=0.1)).send(ALERT)
    assert (delivery.outcome, len(receiver.payloads)) == ("waiting", 1)
    assert "time-out" in delivery.detail


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_url_shows_nowhere(receiver: Receiver, channel: type[SlackWebhook], caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    receiver.answers = [(404, {}, f"no hook at {receiver.url} nor verysecrettoken")]
    webhook = channel(receiver.url)
    delivery = webhook.send(ALERT)
    shown = f"{delivery!r} {webhook!r} {webhook._webhook!r} {caplog.text}"
    assert "no hook at [redacted]" in delivery.detail
    assert "secret" not in shown.lower().replace("<secret>", "")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    "url", ["", "hooks.slack.com/secret", "ftp://host/secret", "https:///secret", "http://host:port/secret"]
)
def test_a_url_that_cannot_work_is_refused_at_once(channel: type[SlackWebhook], url: str):
    with pytest.raises(ConfigurationError, match="is not an http") as caught:
        channel(url)
    assert "secret" not in str(caught.value)
