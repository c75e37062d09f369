"""Metadata in Markdown that strangers have a part in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from video_pipeline.defs.markdown import escaped, link
from video_pipeline.wire import clean

WORDS = st.text(st.one_of(st.sampled_from("[]()<>*_`\\#&;!:./ ab\n"), st.characters()), max_size=60)


def _inline(text: str) -> list[tuple[str, str]]:
    """Kind and content of what a line of Markdown holds."""
    children = MarkdownIt("commonmark").parseInline(text)[0].children or []
    return [(token.type, token.content) for token in children]


@given(WORDS)
def test_words_are_shown_as_they_are_written(words: str):
    parts = _inline(escaped(words))
    assert {kind for kind, _ in parts} <= {"text", "text_special"}
    assert "".join(content for _, content in parts).split() == clean(words).split()


@given(WORDS, WORDS)
def test_a_link_goes_to_its_address_and_to_no_other(words: str, path: str):
    parts = _inline(link(f"x{words}", f"https://video.example/{path}"))
    assert [kind for kind, _ in parts if kind not in ("text", "text_special")] == ["link_open", "link_close"]


def test_the_address_is_the_one_that_was_given():
    (opened, *_) = MarkdownIt().parseInline(link("a clip", "https://v.example/a?b=c&d"))[0].children or []
    assert opened.attrs == {"href": "https://v.example/a?b=c&d"}


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//host/x", "", "https://[", "file:///etc"]
)
def test_what_is_no_address_of_the_web_is_only_words(url: str):
    assert not any(kind == "link_open" for kind, _ in _inline(link("a clip", url)))
