"""Posting to a webhook: what is tried again and what is not, and keeping its URL, a secret, out of logs."""

import logging
import time
from typing import Any

import httpx

from video_pipeline.alerts.alert import Delivery
from video_pipeline.errors import ConfigurationError

_TIMEOUT_S = 10.0
_BACKOFF_S = (1.0, 2.0, 4.0)
# An alert is sent from within a step or a sensor tick, which it must not hold up.
_MAX_WAIT_S = 15.0
_DETAIL_LENGTH = 120


class _WebhookUrls(logging.Filter):
    """Takes webhook URLs out of httpx's log lines, which name the URL of every request."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple("<webhook>" if str(arg) in self.urls else arg for arg in record.args)
        return True


_redaction = _WebhookUrls()
logging.getLogger("httpx").addFilter(_redaction)


class Webhook:
    """A channel's address and manners; `channel` is the word for people ("Slack").

    After a server error or a broken connection it waits `backoff_s` before each further try. After "too many
    requests" it waits as long as the server says, and gives up when that is more than `max_wait_s`. A wrong or
    deleted webhook, or a payload that the server refuses, is not tried again.
    """

    def __init__(
        self,
        channel: str,
        url: str,
        *,
        backoff_s: tuple[float, ...] = _BACKOFF_S,
        max_wait_s: float = _MAX_WAIT_S,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigurationError(f"The {channel} webhook is not an http(s) URL; copy it from {channel} again.")
        self.channel = channel
        self._url = parsed
        self._backoff_s = backoff_s
        self._max_wait_s = max_wait_s
        self._timeout_s = timeout_s
        _redaction.urls.add(str(parsed))

    def __repr__(self) -> str:
        return f"Webhook({self.channel!r})"

    def post(self, payload: dict[str, Any]) -> Delivery:
        """Post `payload` as JSON. Never raises for what the network or the server does."""
        problem = ""
        with httpx.Client(timeout=self._timeout_s) as client:
            for backoff_s in (*self._backoff_s, None):
                try:
                    reply = client.post(self._url, json=payload)
                except httpx.HTTPError as error:
                    # Only its type: the text may hold the URL.
                    problem, wait_s = f"it cannot be reached ({type(error).__name__})", backoff_s
                else:
                    if reply.is_success:
                        return Delivery(self.channel, "sent", f"sent to {self.channel}")
                    problem, wait_s = self._judge(reply, backoff_s)
                if wait_s is None or backoff_s is None:
                    break
                time.sleep(wait_s)
        return Delivery(self.channel, "failed", f"Not sent to {self.channel}: {problem}.")

    def _judge(self, reply: httpx.Response, backoff_s: float | None) -> tuple[str, float | None]:
        """What the reply means, and how long to wait before another try (None: do not try again)."""
        said = f"HTTP {reply.status_code} {self._words(reply)}".rstrip()
        if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
            wait_s = _retry_after_s(reply, backoff_s or 0.0)
            if wait_s > self._max_wait_s:
                return f"it allows no message for {wait_s:g} s ({said})", None
            return f"it is receiving too many messages ({said})", wait_s
        if reply.is_server_error:
            return f"its server failed ({said})", backoff_s
        return f"it refused the webhook or the message ({said}); create the webhook anew or correct its URL", None

    def _words(self, reply: httpx.Response) -> str:
        """The beginning of what the server said, without any part of our URL that it may have repeated."""
        text = reply.text
        for secret in [str(self._url), *(part for part in self._url.path.split("/") if len(part) >= 6)]:
            text = text.replace(secret, "<webhook>")
        return " ".join(text.split())[:_DETAIL_LENGTH]


def _retry_after_s(reply: httpx.Response, otherwise_s: float) -> float:
    """Seconds from the `Retry-After` header; Slack and Discord send a number there."""
    try:
        return max(0.0, float(reply.headers["Retry-After"]))
    except (KeyError, ValueError):
        return otherwise_s


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, with an ellipsis where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
