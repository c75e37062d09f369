"""Words with their places: a prompt as tokens, and tokens as sentences. No language is known here."""

import re
import unicodedata
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

# Letters, or digits, or one Han character: Chinese has no spaces, so its words are put together by the lexicon.
_HAN = "㐀-䶿一-鿿豈-﫿"
_TOKEN = re.compile(rf"[{_HAN}]|\d+|[^\W\d_{_HAN}]+")
_KANA_OR_HANGUL = re.compile(r"[぀-ヿ가-힯]")
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_SENTENCE_END = re.compile(r"[.!?。！？\n]")
_LONGEST_TITLE = 8
# In a lexicon's phrase it stands for any number.
ANY_NUMBER = "0"
_Known = TypeVar("_Known")
_APOSTROPHES = frozenset("'’ʼ＇")
# The dot stands between the parts of a foreign name in Chinese and Japanese.
_HYPHENS = frozenset("-‐‑·・")


@dataclass(frozen=True, slots=True)
class Token:
    """A word at [start, end) of its text; `gap` is what stands between it and the word before."""

    key: str
    start: int
    end: int
    gap: str

    @property
    def after_apostrophe(self) -> bool:
        return len(self.gap) == 1 and self.gap in _APOSTROPHES

    @property
    def after_hyphen(self) -> bool:
        return len(self.gap) == 1 and self.gap in _HYPHENS

    @property
    def after_break(self) -> bool:
        """Whether something stands before it that parts clauses: more than a space, a hyphen or an apostrophe."""
        return not (self.after_apostrophe or self.after_hyphen or not self.gap.strip())


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of one sentence, which is text[start:end] with the mark that ends it."""

    tokens: tuple[Token, ...]
    start: int
    end: int


def normalised(text: str) -> str:
    """The text in composed characters (NFC), which the places of tokens are counted in."""
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=65536)
def key_of(word: str) -> str:
    """What a word is compared by: without regard to case and to the width of letters."""
    return unicodedata.normalize("NFKC", word).casefold()


def keys_of(phrase: str) -> tuple[str, ...]:
    return tuple(token.key for token in tokens_of(normalised(phrase)))


def tokens_of(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    found: list[Token] = []
    last = start
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        found.append(Token(key_of(match[0]), match.start(), match.end(), text[last : match.start()]))
        last = match.end()
    return found


def sentences_of(text: str, titles: Container[str] = ()) -> Iterator[Sentence]:
    """The sentences of `text`, which they cover without a gap.

    A full stop within a number ends none, nor does one behind a word of `titles`: Dr. Lee.
    """
    start = 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if match[0] == "." and not (end == len(text) or text[end].isspace()):
            continue
        if match[0] == "." and _word_before(text, match.start()) in titles:
            continue
        yield Sentence(tuple(tokens_of(text, start, end)), start, end)
        start = end
    if start < len(text):
        yield Sentence(tuple(tokens_of(text, start, len(text))), start, len(text))


def is_han(tokens: Sequence[Token]) -> bool:
    """Whether most of the words are Chinese characters."""
    return 2 * sum(bool(_HAN_CHARACTER.match(token.key)) for token in tokens) > len(tokens)


def has_kana_or_hangul(tokens: Sequence[Token]) -> bool:
    """Whether it is Japanese or Korean, whose Han characters are no Chinese words."""
    return any(_KANA_OR_HANGUL.search(token.key) for token in tokens)


def _word_before(text: str, end: int) -> str:
    start = end
    while start and end - start < _LONGEST_TITLE and text[start - 1].isalpha():
        start -= 1
    return key_of(text[start:end])


def longest_phrase(
    phrases: Mapping[str, Sequence[tuple[tuple[str, ...], _Known]]],
    tokens: Sequence[Token],
    at: int,
    text: str,
    initial: Callable[[_Known], str],
) -> tuple[int, _Known] | None:
    """How many tokens from `at` on are a phrase, and what is known of it; None where none begins there.

    `phrases` are by their first key, the longest first. `initial` tells the letter that one has to begin with, in the
    middle of a sentence; an empty one of a phrase that counts however it is written.
    """
    key = ANY_NUMBER if tokens[at].key.isdecimal() else tokens[at].key
    for keys, known in phrases.get(key, ()):
        words = tokens[at : at + len(keys)]
        if len(words) < len(keys) or not all(map(_fits, words, keys)):
            continue
        if any(token.after_break for token in words[1:]):
            continue
        if (letter := initial(known)) and (at == 0 or text[words[0].start] != letter):
            continue
        return len(keys), known
    return None


def _fits(token: Token, key: str) -> bool:
    return token.key == key or (key == ANY_NUMBER and token.key.isdecimal())
