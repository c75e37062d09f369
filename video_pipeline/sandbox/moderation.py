"""The sandbox's moderation: what a prompt may not say, and a start image and an output may not show.

The rules are data (`moderation.yaml`), so that a test or a newcomer can read why something was refused. They hold for
every model, and for every vendor but where a rule names some; what a refusal costs is the vendors' own.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

_HAN = re.compile("[一-鿿]")


class Part(StrEnum):
    """What is looked at."""

    PROMPT = "prompt"
    START_IMAGE = "start_image"
    OUTPUT = "output"


_NOUNS = {Part.PROMPT: "prompt", Part.START_IMAGE: "start image", Part.OUTPUT: "output"}


@dataclass(frozen=True)
class Rule:
    """One rule of the file; `makes` holds "video" or "image" or both, `vendors` wires, or none for all of them."""

    reason: str
    vendors: frozenset[str]
    makes: frozenset[str]
    looks_at: frozenset[Part]
    terms: tuple[str, ...]
    together_with: tuple[str, ...]

    def found(self, words: str) -> str | None:
        """The words for which the rule refuses, None when it does not."""
        term = _first(self.terms, words)
        if term is None or not self.together_with:
            return term and f"'{term}'"
        other = _first(self.together_with, words)
        return other and f"'{term}' and '{other}'"


class Moderation:
    """The rules and rates in force, from the packaged file or the one in the state folder."""

    def __init__(self, path: Path) -> None:
        listed = yaml.safe_load(path.read_text())
        self._rates: Mapping[Part, float] = {Part(part): float(rate) for part, rate in listed["rates"].items()}
        self._rules = [_rule(entry) for entry in listed["rules"]]

    def refusal(
        self, part: Part, words: str, *, makes: str, vendor: str = "", drawn_by: str = "", rate: float = 0.0
    ) -> str | None:
        """The reason for which a part is refused, None when it passes.

        `vendor` is the wire that the request came through; without it, only everybody's rules hold. `words` are what
        is in the part, as far as anyone knows. `drawn_by` is what random refusals depend on, and `rate` the model's
        own share of them.
        """
        for rule in self._rules:
            asked = part in rule.looks_at and makes in rule.makes and vendor in (rule.vendors or {vendor})
            found = rule.found(words) if asked else None
            if found:
                return f"the {_NOUNS[part]} {rule.reason} {found}"
        if unlucky(f"{part}\n{drawn_by}", max(rate, self._rates.get(part, 0.0))):
            return f"the classifier is not sure about the {_NOUNS[part]}"
        return None


def unlucky(drawn_by: str, rate: float) -> bool:
    """Whether a random refusal hits; the same words get the same answer."""
    digest = hashlib.sha256(drawn_by.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < rate


def _rule(entry: dict[str, Any]) -> Rule:
    return Rule(
        reason=entry["reason"],
        vendors=frozenset(entry.get("vendors", ())),
        makes=frozenset(entry["makes"]),
        looks_at=frozenset(Part(part) for part in entry["looks_at"]),
        terms=tuple(entry["any"]),
        together_with=tuple(entry.get("together_with", ())),
    )


def _first(terms: tuple[str, ...], words: str) -> str | None:
    lowered = words.lower()
    return next((term for term in terms if re.search(_whole(term), lowered)), None)


def _whole(term: str) -> str:
    """A term as a whole word; a Chinese one is one wherever it stands, as there are no spaces."""
    return re.escape(term) if _HAN.search(term) else rf"(?<!\w){re.escape(term)}(?!\w)"
