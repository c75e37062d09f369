"""Words of others in Slack's and Discord's messages: shown as they are written, whatever they hold."""

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from video_pipeline.alerts import Alert, slack
from video_pipeline.alerts.discord import discord_payload, escaped
from video_pipeline.alerts.slack import slack_payload
from video_pipeline.wire import clean

WORDS = st.text(st.one_of(st.sampled_from("[](){}<>*_~`|\\#-+.1:!@ h\n"), st.characters()), min_size=1, max_size=60)
HOSTILE = [
    "[your bank](https://evil.example)",
    "<https://evil.example|your bank>",
    "@everyone <@123> <!channel> <#42>",
    "**bold** _it_ ~~gone~~ `code` ||hidden|| :bomb:",
    "# heading\n- list\n1. one\n> quote",
    "see https://evil.example",
]


def _unescaped(text: str) -> str:
    """What Discord shows of a text in which only escapes have a meaning."""
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text)


@given(WORDS)
def test_discord_shows_the_words(words: str):
    assert _unescaped(escaped(words, 10_000)) == clean(words)


@given(WORDS)
def test_discord_finds_no_link_and_no_format(words: str):
    # Its Markdown is CommonMark's in what matters here; indented code it has not.
    tokens = MarkdownIt("commonmark").enable("strikethrough").disable(["code", "entity", "hr"])
    kinds: set[str] = set()
    for token in tokens.parse(escaped(words, 10_000)):
        kinds |= {token.type, *(child.type for child in token.children or [])}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak", "hardbreak"}


@given(WORDS, st.integers(2, 40))
def test_a_cut_text_keeps_within_its_limit_and_ends_in_no_half_escape(words: str, limit: int):
    cut = escaped(words * 3, limit)
    assert len(cut) <= limit
    assert (len(cut) - len(cut.rstrip("\\"))) % 2 == 0


@given(st.text("<>&a", max_size=40), st.integers(2, 60))
def test_slack_cuts_inside_no_entity(words: str, limit: int):
    cut = slack.escaped(words, limit)
    assert len(cut) <= limit
    shown = html.unescape(cut)
    assert shown == words or (shown.endswith("…") and words.startswith(shown[:-1]))


@pytest.mark.parametrize("words", HOSTILE)
def test_slack_has_plain_texts_only(words: str):
    payload = slack_payload(Alert(words, words, words, {words: words}))
    texts = list(_texts(payload["blocks"]))
    assert {text["type"] for text in texts} == {"plain_text"}
    assert all(not text["emoji"] for text in texts)
    assert not payload["mrkdwn"] and not set(payload["text"]) & set("<>")


@pytest.mark.parametrize("words", HOSTILE)
def test_discord_has_escaped_texts_only(words: str):
    (embed,) = discord_payload(Alert("cause", words, words, {words: words}))["embeds"]
    (field,) = embed["fields"]
    for shown in (embed["title"], embed["description"], field["name"], field["value"]):
        assert _unescaped(shown) == words and shown == escaped(words, 1000) != words


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        if "emoji" in value:
            yield value
        for inner in value.values():
            yield from _texts(inner)
