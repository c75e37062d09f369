"""Softer ways to say a prompt, in order of how little they change: a function of prompt, refusal and lexicons."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from pathlib import Path

from video_pipeline.policy import RemappingPolicy, RiskCategory
from video_pipeline.remapping.grammar import Risk, Span, Unit, is_unsure, spans_of, units_of
from video_pipeline.remapping.lexicon import Language, Role, load_languages
from video_pipeline.remapping.rendering import Change, Rendered, Scene, impersonal, in_place, look_of, scene_of
from video_pipeline.remapping.tokens import Sentence, has_kana_or_hangul, is_han, normalised, sentences_of

# Where no word tells the language.
_DEFAULT = "en"
# Taking out one phrase may bring the words of another one together; that often it is looked again.
_ROUNDS = 4
# No model that we know takes less than this many characters.
_SHORTEST_LIMIT = 500
# So many words of its look are enough for a shot of a few seconds.
_MOST_LOOK = 4


class Degree(IntEnum):
    """How much a variant changes."""

    NAMED = 1
    ALL = 2
    IMPERSONAL = 3
    SCENE = 4


class BrollKind(StrEnum):
    """What a shot shows that stands in for one of people."""

    HANDS = "hands"
    WIDE = "wide"
    OBJECT = "object"


@dataclass(frozen=True)
class Variant:
    """A softer prompt, and what was put otherwise in it."""

    degree: Degree
    prompt: str
    changes: tuple[Change, ...]

    @property
    def told(self) -> str:
        """The changes in words, for who asks why the prompt is what it is."""
        return ", ".join(
            f"{change.category} {change.before!r} " + (f"-> {change.after!r}" if change.after else "left out")
            for change in self.changes
        )


@dataclass(frozen=True)
class _Read:
    language: Language
    sentence: Sentence
    units: Sequence[Unit]
    spans: Sequence[Span]


class Remapper:
    """What may be refused of a prompt, and how else it can be said, by one policy's categories and lexicons."""

    def __init__(self, categories: tuple[RiskCategory, ...], lexicons: Path | None) -> None:
        self._categories = categories
        self._languages = load_languages(lexicons)
        self._titles = frozenset(
            key
            for language in self._languages.values()
            for key, phrases in language.phrases.items()
            if any(Role.TITLE in entry.roles for _, entry in phrases)
        )

        # What one shot lacks is looked for in all others of its brief.
        self._scene = lru_cache(maxsize=256)(self._scene_of)

    def risks(self, prompt: str) -> tuple[Risk, ...]:
        """What of a prompt may be refused, in its order."""
        text = normalised(prompt)
        return tuple(
            Risk(span.category, text[units[span.first].start.start : units[span.stop - 1].tokens[-1].end])
            for read in self._read(text)
            for units in [read.units]
            for span in read.spans
            if span.category is not None
        )

    def unsure(self, prompt: str) -> bool:
        """Whether it shows something close, or a part of a body, and no word tells whether it is a person's."""
        text = normalised(prompt)
        return any(is_unsure(read.units, read.spans) for read in self._read(text))

    def language_of(self, prompt: str) -> str:
        """The code of the language of most of a prompt's words that has words for B-roll; else the default one."""
        return self._language_of_all(normalised(prompt)).code

    def variants(self, prompt: str, refusal: str = "") -> tuple[Variant, ...]:
        """Softer prompts, the one that changes least first; none for a prompt without a risk.

        First what `refusal`, the provider's reason, names, or else the gravest category alone; then all categories;
        then with people as figures, and at last of people nothing but where they are. No two are alike, and none is
        the prompt. The last two have no risk left.
        """
        text = normalised(prompt)
        present = {risk.category for risk in self.risks(text)}
        if not present:
            return ()
        named = present & {risk.category for risk in self._words_of(refusal)}
        first = named or {next(category for category in self._categories if category in present)}
        found: dict[str, Variant] = {}
        for degree in Degree:
            variant = self._variant(text, degree, frozenset(first if degree is Degree.NAMED else present))
            if variant.prompt in (text, prompt) or (degree is Degree.SCENE and variant.prompt in found):
                continue
            # What says the same is of the higher degree.
            found[variant.prompt] = variant
        return tuple(found.values())

    def softest(self, prompt: str) -> str:
        """The variant that changes most; the prompt itself, where it has no risk."""
        variants = self.variants(prompt)
        return variants[-1].prompt if variants else prompt

    def as_picture(self, prompt: str) -> str:
        """The prompt as it is said of a picture; as it is, where its language has no words for that."""
        language = self._language_of_all(normalised(prompt))
        words = language.data.broll
        return f"{words.still}{language.data.joiner}{prompt}" if words else prompt

    def motion(self, prompt: str) -> str:
        """What can be said of a clip from a picture of the prompt: how it moves, and nothing of what is seen."""
        words = self._language_of_all(normalised(prompt)).data.broll
        return words.motion if words else prompt

    def look(self, text: str) -> tuple[str, ...]:
        """The clauses of a text that say how something is lit and filmed, in what colours and how fast."""
        said = normalised(text)
        clauses = [
            words for read in self._read(said) for words in look_of(read.language, said, read.units, read.spans)
        ]
        return tuple(words for words in clauses if not self.risks(words))

    def broll(self, prompt: str, *, beside: Sequence[str] = (), look: Sequence[str] = ()) -> dict[BrollKind, str]:
        """Shots of the prompt's place and things that can stand in for it, in its language; none has a risk.

        What its own words lack is taken from those of the shots `beside` it, the nearest first. `look` is said of
        each.
        """
        text = normalised(prompt)
        language = self._language_of_all(text)
        words = language.data.broll
        if words is None:
            return {}
        own = self._scene(text)

        def others() -> Iterator[Scene]:
            return (self._scene(normalised(other)) for other in beside)

        places = own.places or own.perhaps[:1] or next((scene.places for scene in others() if scene.places), ())
        things = own.things or next((scene.things for scene in others() if scene.things), ())
        places, things = places[-1:], things[-1:]
        hands = words.hands.get(own.group, words.hands["any"])
        shots = {
            BrollKind.HANDS: [hands, *places],
            BrollKind.WIDE: [words.wide, *places, *things],
            BrollKind.OBJECT: [words.detail, *(things or (words.object,)), *places],
        }
        return {kind: said for kind, parts in shots.items() if (said := self._safe(language, parts, look))}

    def _safe(self, language: Language, parts: Sequence[str], look: Sequence[str]) -> str:
        """The parts and the look as one sentence, or as much of it as has no risk; empty where all of it has."""
        parts = [part for part in parts if not any(part in other for other in parts if other != part)]
        seen = {part.casefold() for part in parts}
        look = [words for words in look if words.casefold() not in seen][:_MOST_LOOK]
        for said in ([*parts, *look], parts, [parts[0], *look], parts[:1]):
            whole = language.data.joiner.join(said)
            if len(whole) <= _SHORTEST_LIMIT and not self.risks(whole):
                return whole
        return ""

    def _scene_of(self, text: str) -> Scene:
        """What the prompt shows beside people, each part without a risk where it stands alone."""
        found = [scene_of(read.language, text, read.units, read.spans) for read in self._read(text)]

        def safe(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
            return tuple(words for part in parts for words in part if not self.risks(words))

        return Scene(
            places=safe(scene.places for scene in found),
            perhaps=safe(scene.perhaps for scene in found),
            things=safe(scene.things for scene in found),
            group=next((scene.group for scene in found if scene.group), ""),
        )

    def _language_of_all(self, text: str) -> Language:
        """The language of the most of a text's words that has words for B-roll, else the default one."""
        reads = self._read(text)
        known = sum((self._scores(read.sentence) for read in reads), Counter[str]())
        spoken = [read.language for read in reads if read.language.data.broll is not None]
        default = self._languages.get(_DEFAULT) or next(iter(self._languages.values()))
        return max(spoken, key=lambda language: known[language.code], default=default)

    def _variant(self, text: str, degree: Degree, wanted: frozenset[RiskCategory]) -> Variant:
        changes: list[Change] = []
        said = text
        for _ in range(_ROUNDS):
            after = ""
            for read in self._read(said):
                rendered = _rendered(read, said, degree, wanted)
                if rendered is None:
                    after += said[read.sentence.start : read.sentence.end]
                else:
                    after += rendered.text
                    changes += rendered.changes
            if after == said:
                break
            said = after
        limit = max(len(text), _SHORTEST_LIMIT)
        said = _within(said, limit)
        if degree >= Degree.IMPERSONAL and self.risks(said):
            said = _within(self._said_for_it(said), limit)
        return Variant(degree, said, tuple(changes))

    def _said_for_it(self, text: str) -> str:
        """The text with the plainest words for each sentence of it that a risk is left in."""
        kept: list[str] = []
        for read in self._read(text):
            words = text[read.sentence.start : read.sentence.end]
            if any(span.category is not None for span in read.spans):
                templates = read.language.data.templates
                parts = (templates.medium_shot, templates.setting, templates.minimal_expression)
                words = read.language.data.joiner.join(parts) + "."
            kept.append(words)
        return " ".join(kept)

    def _read(self, text: str) -> list[_Read]:
        sentences = list(sentences_of(text, self._titles))
        scores = [self._scores(sentence) for sentence in sentences]
        whole = sum(scores, Counter[str]())
        found: list[_Read] = []
        for sentence, score in zip(sentences, scores, strict=True):
            language = self._languages[self._language_of(sentence, score, whole)]
            units, spans = spans_of(language, sentence, text)
            kept = [span for span in spans if span.category is None or span.category in self._categories]
            found.append(_Read(language, sentence, units, kept))
        return found

    def _scores(self, sentence: Sentence) -> Counter[str]:
        """How many words of a sentence each language knows."""
        return Counter(
            {
                code: sum(token.key in language.evidence for token in sentence.tokens)
                for code, language in self._languages.items()
            }
        )

    def _language_of(self, sentence: Sentence, score: Counter[str], whole: Counter[str]) -> str:
        han = is_han(sentence.tokens) and not has_kana_or_hangul(sentence.tokens)
        codes = [code for code, language in self._languages.items() if (language.data.script == "han") is han]
        if not codes:
            return _DEFAULT
        return max(codes, key=lambda code: (score[code], whole[code], code == _DEFAULT))

    def _words_of(self, refusal: str) -> list[Risk]:
        """What a refusal names, whatever stands around it."""
        language = self._languages[_DEFAULT]
        return [
            Risk(unit.entry.category, " ".join(token.key for token in unit.tokens))
            for sentence in sentences_of(normalised(refusal))
            for unit in units_of(language, sentence, normalised(refusal))
            if unit.entry.category is not None
        ]


def _rendered(read: _Read, text: str, degree: Degree, wanted: frozenset[RiskCategory]) -> Rendered | None:
    """A sentence in a degree; None where it stays as it is."""
    risky = any(span.category in wanted for span in read.spans)
    if degree >= Degree.IMPERSONAL:
        if risky:
            scene = degree is Degree.SCENE
            return impersonal(read.language, read.sentence, text, read.units, read.spans, scene=scene)
        if not read.spans:
            return None
        return in_place(read.language, read.sentence, text, read.units, read.spans, lambda _: True)
    if not risky:
        return None
    said = in_place(read.language, read.sentence, text, read.units, read.spans, lambda span: span.category in wanted)
    return said or impersonal(read.language, read.sentence, text, read.units, read.spans)


def _within(text: str, limit: int) -> str:
    """The text, cut between two words where it is longer than `limit`."""
    if len(text) <= limit:
        return text
    shorter = text[:limit]
    return (shorter.rsplit(" ", 1)[0] if " " in shorter else shorter).rstrip(" ,;:，；")


def remapper_for(policy: RemappingPolicy) -> Remapper:
    """The remapper of a policy; its lexicons are read once a process. ConfigurationError as `load_languages`."""
    return _remapper(policy.categories, policy.lexicons)


def language_of(prompt: str) -> str:
    """The code of the language that a prompt is in, by the packaged lexicons; English where no word tells it."""
    return _remapper((), None).language_of(prompt)


_remapper = lru_cache(maxsize=8)(Remapper)
