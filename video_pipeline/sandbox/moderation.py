"""The sandbox's moderation rules: what a prompt may not say, and to which kind of model that applies.

The rules are data, so that a test or a newcomer can read why a prompt was refused. Words are matched whole and
without regard to case. A prompt is judged before anything is rendered.
"""

import hashlib
import re

ALWAYS_REFUSED = ("politician", "president", "celebrity", "famous actor", "gore", "blood")
"""Refused by every model, video or image, from text or from an image."""

DISTRESS = ("crying", "tears", "sobbing")
"""Refused by text-to-video models anywhere in a prompt."""

CLOSE_UP = ("close-up", "closeup", "close up")
FACE = ("face", "ceo", "person", "man", "woman", "founder", "crying", "tears", "expression", "smiling", "eyes")
"""Text-to-video models refuse a close-up together with any of these: "Close-up of CEO speaking with confidence" is
refused, "Close-up of a coffee cup" and "Medium shot, professional setting, minimal expression" pass."""


def refusal(prompt: str, *, text_to_video: bool) -> str | None:
    """The reason for which the prompt is refused, None when it passes.

    Image models and image-to-video models (`text_to_video=False`) know only the list that is always refused.
    """
    found = _first(ALWAYS_REFUSED, prompt)
    if found:
        return f"the prompt names '{found}'"
    if not text_to_video:
        return None
    found = _first(DISTRESS, prompt)
    if found:
        return f"the prompt shows distress ('{found}')"
    close_up, face = _first(CLOSE_UP, prompt), _first(FACE, prompt)
    if close_up and face:
        return f"the prompt asks for a '{close_up}' of a face ('{face}')"
    return None


def unlucky(endpoint: str, prompt: str, seed: object, rate: float) -> bool:
    """Whether the model's configured random refusal hits this request; the same request gets the same answer."""
    digest = hashlib.sha256(f"{endpoint}\n{prompt}\n{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < rate


def _first(terms: tuple[str, ...], prompt: str) -> str | None:
    lowered = prompt.lower()
    return next((term for term in terms if re.search(rf"(?<!\w){re.escape(term)}(?!\w)", lowered)), None)
