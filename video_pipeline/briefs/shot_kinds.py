"""The kind of a shot from its words: which of the lists in `shot_kinds.yaml` they are in, whatever the language."""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, cast

import yaml

from video_pipeline.briefs.brief import ShotKind

_HAN = re.compile("[㐀-䶿一-鿿]")


def kind_of(prompt: str) -> ShotKind:
    """The kind of a shot from its words; a close-up of a thing that is not for sale is an ordinary shot.

    What moves and what is wide come before what is sold: that is what is hard to render.
    """
    return _kind(prompt, _patterns())


def earlier_kind_of(prompt: str) -> ShotKind:
    """The kind that earlier releases told, which knew English alone and no product shots."""
    kind = _kind(prompt, _patterns(("en",)))
    return ShotKind.DEFAULT if kind is ShotKind.PRODUCT else kind


def _kind(prompt: str, patterns: Mapping[str, re.Pattern[str]]) -> ShotKind:
    text = unicodedata.normalize("NFC", prompt)
    told = {name for name, words in patterns.items() if words.search(text)}
    if {"close", "people"} <= told:
        return ShotKind.EMOTIONAL_CLOSE_UP
    if "action" in told:
        return ShotKind.ACTION
    if "establishing" in told:
        return ShotKind.ESTABLISHING
    if "product" in told or ("goods" in told and told & {"staged", "close"}):
        return ShotKind.PRODUCT
    return ShotKind.DEFAULT


@cache
def _patterns(only: tuple[str, ...] = ()) -> dict[str, re.Pattern[str]]:
    """What finds a word of a list by the list's name: in whatever language, or in these `only`."""
    text = resources.files("video_pipeline.briefs").joinpath("shot_kinds.yaml").read_text(encoding="utf-8")
    # All words are text, `no` and `on` as well.
    languages = cast("dict[str, dict[str, list[str]]]", yaml.load(text, Loader=_loader()))
    lists: dict[str, list[str]] = {}
    for words_of in (languages[name] for name in only or languages):
        for name, words in words_of.items():
            lists.setdefault(name, []).extend(words)
    return {name: re.compile("|".join(map(_found, words)), re.IGNORECASE) for name, words in lists.items()}


def _loader() -> Any:
    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def _found(word: str) -> str:
    """The expression that finds a word or a phrase of a list."""
    if _HAN.search(word):
        return re.escape(word)
    parts = r"[\s-]+".join(re.escape(part) for part in word.removesuffix("*").split())
    return rf"\b{parts}" if word.endswith("*") else rf"\b{parts}\b"
