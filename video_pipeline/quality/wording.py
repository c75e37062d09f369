"""Risky words of a brief (Q6): rules of the policy, each with what of the brief's texts it has found.

A rule judges nothing: whom it names a person looks at, before the clip goes public.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from video_pipeline.briefs import Brief
from video_pipeline.policy import Policy, RemappingPolicy, RiskRule
from video_pipeline.quality.technical import Answer
from video_pipeline.remapping import PhraseBook, brands, public_figures


@dataclass(frozen=True)
class Wording:
    """What rules have found in a brief: the words, by the name of the rule. None of it where nothing was found."""

    found: Mapping[str, tuple[str, ...]]
    sha256: str
    """Of the texts that were read: other texts are asked about anew."""


def wording_of(brief: Brief, policy: Policy) -> Wording:
    """What the policy's rules find in all that a brief says. ConfigurationError for a rule that cannot be read."""
    texts = list(brief.texts.values())
    found: dict[str, tuple[str, ...]] = {}
    for name, rule in policy.quality.risks.items():
        if rule is None:
            continue
        words = [
            word
            for book in _books(rule, policy.generation.remapping)
            for text in texts
            for word in book.found_in(text)
        ]
        if words:
            found[name] = tuple(dict.fromkeys(words))
    return Wording(found, hashlib.sha256("\n".join(texts).encode()).hexdigest())


def answer(wording: Wording) -> Answer:
    """The check on a brief's words."""
    told = "; ".join(f"{rule.replace('_', ' ')} ({', '.join(words)})" for rule, words in wording.found.items())
    return Answer(
        passed=not wording.found,
        measured=told or "nothing",
        expected="no rule finds anything",
        message=f"The brief's words are a person's to approve: {told or 'no rule finds anything'}.",
    )


def _books(rule: RiskRule, remapping: RemappingPolicy) -> list[PhraseBook]:
    named = {"public_figures": public_figures, "brands": brands}
    listed = _book(tuple(word for words in rule.words.values() for word in words))
    return [listed, *([named[rule.names](remapping.lexicons)] if rule.names else [])]


def check_rules(policy: Policy) -> None:
    """Read every rule before it is needed. Raises ConfigurationError for one that cannot be read."""
    for rule in policy.quality.risks.values():
        if rule is not None:
            _books(rule, policy.generation.remapping)


_book = lru_cache(maxsize=64)(PhraseBook)
