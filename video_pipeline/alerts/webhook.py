"""Posting to a webhook: one try, and what its answer means. Its URL is a secret and shows nowhere."""

from typing import Any
from urllib.parse import urlsplit

from video_pipeline.errors import ConfigurationError
from video_pipeline.ledger import Delivery
from video_pipeline.wire import Answer, BlockingLine, Bounds, NoAnswer, NotSent

_BOUNDS = Bounds(total_s=10.0, max_bytes=64 * 1024)
_DETAIL_LENGTH = 120
_TRY_AGAIN = (408, 425, 429)


class Webhook:
    """A channel's address; `channel` is the word for people ("Slack").

    A post and its answer take no longer than `bounds` say. Raises ConfigurationError for what is no http(s) URL.
    """

    def __init__(self, channel: str, url: str, *, bounds: Bounds = _BOUNDS) -> None:
        try:
            parts = urlsplit(url)
            origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            origin, sound = "", False
        secrets = [url, *urlsplit(url).path.split("/"), urlsplit(url).query] if sound else []
        self._line = BlockingLine(channel, origins=[origin], secrets=secrets)
        if not sound or not self._line.is_ours(url):
            raise ConfigurationError(f"The {channel} webhook is not an http(s) URL; copy it from {channel} again.")
        self.channel = channel
        self._url = url
        self._bounds = bounds

    def __repr__(self) -> str:
        return f"Webhook({self.channel!r})"

    def post(self, payload: dict[str, Any]) -> Delivery:
        """Post `payload` as JSON, once. Never raises for what the network or the server does.

        A server that fails, is busy or says nothing may be asked again; one that refuses may not. A message whose
        answer was lost may have arrived: it may come twice.
        """
        try:
            answer = self._line.ask("POST", self._url, json=payload, bounds=self._bounds)
        except (NotSent, NoAnswer) as error:
            return Delivery(self.channel, "waiting", f"not sent to {self.channel} yet: {error}")
        if 200 <= answer.status < 300:
            return Delivery(self.channel, "sent", f"sent to {self.channel}")
        return self._refused(answer)

    def _refused(self, answer: Answer) -> Delivery:
        said = f"HTTP {answer.status} {answer.text(_DETAIL_LENGTH)}".rstrip()
        if answer.status in _TRY_AGAIN or answer.status >= 500:
            problem = "it is receiving too many messages" if answer.status == 429 else "its server failed"
            detail = f"not sent to {self.channel}: {problem} ({said})"
            return Delivery(self.channel, "waiting", detail, wait_s=answer.retry_after_s or 0.0)
        return Delivery(
            self.channel,
            "failed",
            f"not sent to {self.channel}: it refused the webhook or the message ({said}); create the webhook anew or "
            "correct its URL",
        )


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, with an ellipsis where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
