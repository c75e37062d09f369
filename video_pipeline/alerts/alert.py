"""What is told: the alert that rooms make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True)
class Alert:
    """One message for people.

    `cause` names what is wrong and stays the same while it is (`preview-frozen:2026-11-21`): alerts of one cause
    are told once, and counted. What goes on is told again after a day, but for what is said `once` and for all.
    `fields` are short facts, name to value, shown in this order.
    """

    cause: str
    title: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    severity: Severity = "warning"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    once: bool = False
