"""Lists of phrases, looked for in a text whatever its language: names of people and brands, a team's own words."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from video_pipeline.errors import ConfigurationError
from video_pipeline.remapping.forms import forms_of
from video_pipeline.remapping.lexicon import load_names
from video_pipeline.remapping.tokens import keys_of, longest_phrase, normalised, sentences_of


class PhraseBook:
    """Phrases in the notation of the lexicons; a 0 stands for any number.

    `cased` ones are also common words: they count with the capital letter that they are written with, and never at
    the start of a sentence. Raises ConfigurationError for a phrase that is not written as it should be.
    """

    def __init__(self, phrases: Iterable[str], cased: Iterable[str] = ()) -> None:
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for written, as_written in ((phrases, False), (cased, True)):
            for phrase in written:
                try:
                    forms = [form for form, _ in forms_of(phrase, {})]
                except ValueError as error:
                    raise ConfigurationError(f"The phrase {phrase!r} cannot be looked for: {error}.") from error
                for form in forms:
                    keys = keys_of(form)
                    if not keys:
                        raise ConfigurationError(f"The phrase {phrase!r} cannot be looked for: it has no letter.")
                    self._phrases[keys[0]].append((keys, form[0] if as_written else ""))
        for found in self._phrases.values():
            found.sort(key=lambda one: -len(one[0]))

    def found_in(self, text: str) -> tuple[str, ...]:
        """What of the text is one of the phrases, as it stands there and in its order."""
        text = normalised(text)
        found: list[str] = []
        for sentence in sentences_of(text):
            at = 0
            while at < len(sentence.tokens):
                length, known = longest_phrase(self._phrases, sentence.tokens, at, text, str) or (1, None)
                if known is not None:
                    found.append(text[sentence.tokens[at].start : sentence.tokens[at + length - 1].end])
                at += length
        return tuple(dict.fromkeys(found))


@lru_cache(maxsize=8)
def public_figures(lexicons: Path | None) -> PhraseBook:
    """The people whom everybody knows, by the file of names and a team's own laid over it."""
    names = load_names(lexicons)
    return PhraseBook(names.public_figures, names.cased_figures)


@lru_cache(maxsize=8)
def brands(lexicons: Path | None) -> PhraseBook:
    """The brands, by the file of names and a team's own laid over it."""
    names = load_names(lexicons)
    written = [word for words in names.brands.values() for word in words]
    return PhraseBook(written, [word for words in names.cased_brands.values() for word in words])
