"""What is told, and what became of telling it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Severity = Literal["info", "warning", "critical"]
Outcome = Literal["sent", "failed", "repeated", "not configured"]


@dataclass(frozen=True)
class Alert:
    """One message for people.

    `cause` names what is wrong and stays the same while it is (`preview-frozen:2026-11-21`): alerts of one cause
    are told once. `fields` are short facts, name to value, shown in this order.
    """

    cause: str
    title: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    severity: Severity = "warning"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Delivery:
    """What became of an alert on one channel; `detail` is a sentence that holds no secret."""

    channel: str
    outcome: Outcome
    detail: str

    @property
    def sent(self) -> bool:
        """Whether people were told on this channel."""
        return self.outcome == "sent"
