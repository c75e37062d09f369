"""The grammar: which phrases of a sentence may be refused, by the words of its language and what stands around them.

A word is a risk in its place only. A close-up is one of a person and none of a cup, a face is one of a man and none
of a clock, and a sad woman is one where a sad song is not. What is found are phrases: with article and adjectives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from video_pipeline.policy import RiskCategory
from video_pipeline.remapping.lexicon import FUNCTION, UNKNOWN, Entry, Language, Role
from video_pipeline.remapping.tokens import Sentence, Token, longest_phrase

_PERSONAL = frozenset({RiskCategory.NAME, RiskCategory.AGE, RiskCategory.PROFESSION})
EXPRESSIVE = frozenset({RiskCategory.FACE, RiskCategory.EMOTION, RiskCategory.SPEECH})
# How far from its head a phrase's article may stand, and how many words belong to what a close-up shows.
_PHRASE_WORDS = 3
_OBJECT_WORDS = 6
_CLAUSE_WORDS = 12
# A title-case sentence says nothing by its capitals.
_TITLE_CASE = 0.6
# A longer word is no compound of two.
_LONGEST_COMPOUND = 60


_SOMEBODY = Entry(roles=frozenset({Role.PERSON}))


class Kind(StrEnum):
    """How a phrase is taken out: something stands in for it, or nothing does."""

    PERSON = "person"
    PHRASE = "phrase"
    VERB = "verb"
    MODIFIER = "modifier"
    FRAMING = "framing"
    BRAND = "brand"


@dataclass(frozen=True, slots=True)
class Unit:
    """A word or a phrase of the lexicon: the tokens [first, stop) of its sentence."""

    tokens: tuple[Token, ...]
    entry: Entry = UNKNOWN
    capital: bool = False

    @property
    def start(self) -> Token:
        return self.tokens[0]

    @property
    def roles(self) -> frozenset[Role]:
        return self.entry.roles

    @property
    def content(self) -> bool:
        """Whether it says something by itself."""
        return not self.roles & FUNCTION or bool(self.roles - FUNCTION)

    @property
    def personal(self) -> bool:
        """Whether it is a person, by name, age, profession or just so."""
        return Role.PERSON in self.roles or (Role.NOUN in self.roles and self.entry.category in _PERSONAL)

    @property
    def possessive(self) -> bool:
        """Whether it is the English 's."""
        return self.start.key == "s" and self.start.after_apostrophe


@dataclass(frozen=True, slots=True)
class Span:
    """The units [first, stop) that are said otherwise. A person is no risk by itself, and has no category then."""

    first: int
    stop: int
    kind: Kind
    category: RiskCategory | None
    plural: bool = False
    tag: str = ""
    prefix: str = ""
    group: str = ""


@dataclass(frozen=True)
class Risk:
    """Words of a prompt that may be refused, and for what."""

    category: RiskCategory
    words: str


def units_of(language: Language, sentence: Sentence, text: str) -> list[Unit]:
    """The sentence in phrases of the lexicon, each as long as there is one, and single words between them."""
    tokens, found, at = sentence.tokens, list[Unit](), 0
    while at < len(tokens):
        length, entry = longest_phrase(language.phrases, tokens, at, text, _initial) or (1, None)
        if entry is None and language.data.compounds:
            entry = _compound(language, tokens[at].key)
        if entry is not None and _is_first_half(tokens, at + length):
            # What is joined to a word behind it describes that word: baby-blue, man-made.
            length, entry = 1, None
        letter = text[tokens[at].start]
        found.append(Unit(tokens[at : at + length], entry or UNKNOWN, letter.isupper()))
        at += length
    return found


def _initial(entry: Entry) -> str:
    return entry.cased[:1]


def _compound(language: Language, key: str) -> Entry | None:
    """The head of a compound, which is its end: a Kindergesicht is a Gesicht, a Kinderzimmer is no child."""
    if len(key) > _LONGEST_COMPOUND:
        return None
    for genitive in ("s", "es"):
        if key.endswith(genitive) and (entry := language.heads.get(key.removesuffix(genitive))) is not None:
            return entry
    return next((language.heads[key[n:]] for n in range(3, len(key) - 3) if key[n:] in language.heads), None)


def _is_first_half(tokens: Sequence[Token], stop: int) -> bool:
    return stop < len(tokens) and tokens[stop].after_hyphen


def spans_of(language: Language, sentence: Sentence, text: str) -> tuple[list[Unit], list[Span]]:
    """A sentence's units, and the phrases of it that can be said otherwise, which may lie within one another."""
    units = _with_subjects(language, _with_names(language, units_of(language, sentence, text)))
    spans = _Reader(language, units).spans()
    return units, sorted(spans, key=lambda span: (span.first, -span.stop))


def is_unsure(units: Sequence[Unit], spans: Sequence[Span]) -> bool:
    """Whether a close-up or a part of a body is in a sentence that no word of it tells whose it is."""
    told = {at for span in spans if span.category is not None for at in range(span.first, span.stop)}
    unsure = any(
        unit.roles & {Role.PART, Role.FRAMING} and Role.HARMLESS not in unit.roles
        for at, unit in enumerate(units)
        if at not in told
    )
    return unsure and not any(Role.THING in unit.roles for unit in units)


# --- names -------------------------------------------------------------------------------------------------------


def _with_names(language: Language, units: list[Unit]) -> list[Unit]:
    """The units with each run of capitalised words that is a person's name as one."""
    words = [unit for unit in units if unit.content]
    title_case = len(words) > 3 and sum(unit.capital for unit in words) > _TITLE_CASE * len(words)
    found: list[Unit] = []
    at = 0
    while at < len(units):
        stop = at
        while (
            stop < len(units)
            and units[stop].capital
            and units[stop].entry == UNKNOWN
            and (stop == at or not units[stop].start.after_break)
        ):
            stop += 1
        if stop > at and _is_name(language, units, at, stop, title_case=title_case):
            tokens = tuple(token for unit in units[at:stop] for token in unit.tokens)
            entry = Entry(roles=frozenset({Role.NOUN}), category=RiskCategory.NAME)
            found.append(Unit(tokens, entry, capital=True))
        else:
            found += units[at : max(stop, at + 1)]
        at = max(stop, at + 1)
    return found


def _is_name(language: Language, units: Sequence[Unit], at: int, stop: int, *, title_case: bool) -> bool:
    """Whether the capitalised words [at, stop) are a person's: by a given name, a title, or what is said of them."""
    before = units[at - 1] if at else None
    after = units[stop] if stop < len(units) else None
    if after is not None and Role.PLACE in after.roles and not after.start.after_break:
        return False
    if before is not None and Role.TITLE in before.roles and units[at].start.gap.strip() in ("", "."):
        return True
    close = before is not None and not units[at].start.after_break
    in_a_place = close and before is not None and Role.PREPOSITION in before.roles
    given = any(unit.start.key in language.first_names for unit in units[at:stop])
    if given and (stop - at > 1 or not in_a_place):
        return True
    if title_case or language.data.capital_nouns or in_a_place:
        return False
    if close and before is not None and before.entry.category is RiskCategory.PROFESSION:
        return True
    if after is None or (after.start.after_break and not after.possessive):
        return False
    if after.possessive:
        return stop + 1 < len(units) and bool(units[stop + 1].roles & {Role.PART, Role.PERSON})
    return stop - at in (2, 3) and Role.VERB in after.roles and after.entry.category in EXPRESSIVE


# --- people that no lexicon knows --------------------------------------------------------------------------------


def _with_subjects(language: Language, units: list[Unit]) -> list[Unit]:
    """The units with unknown words as people where only people do or are what is said there: a barrister in tears."""
    people: set[int] = set()
    start = 0
    for at, unit in enumerate(units):
        if unit.start.after_break:
            start = at
        if Role.TRAIT in unit.roles:
            people.update(_with_trait(language, units, at))
        elif _is_done_by_people(unit):
            people.update(_subject(language, units, max(start, at - _CLAUSE_WORDS), at))
    return [replace(unit, entry=_SOMEBODY) if at in people else unit for at, unit in enumerate(units)]


def _is_done_by_people(unit: Unit) -> bool:
    """Whether it is a feeling or speech, or something that is done with a body or a weapon."""
    if Role.VERB in unit.roles:
        return unit.entry.category is not None
    return Role.NOUN in unit.roles and unit.entry.category in (RiskCategory.EMOTION, RiskCategory.SPEECH)


def _with_trait(language: Language, units: Sequence[Unit], at: int) -> range:
    """The unknown noun that an adjective stands beside which only people are given."""
    if language.data.adjectives == "after":
        known = at == 0 or units[at - 1].entry != UNKNOWN or units[at].start.after_break
        return range(0) if known else range(at - 1, at)
    noun = at + 1
    if noun < len(units) and Role.LINK in units[noun].roles:
        noun += 1
    return _noun_run(language, units, noun, len(units))


def _noun_run(language: Language, units: Sequence[Unit], at: int, stop: int) -> range:
    """The unknown noun at `at`; all of its characters in Chinese, where it may be so long as nothing else begins."""
    end = at
    while end < stop and units[end].entry == UNKNOWN and (end == at or not units[end].start.after_break):
        end += 1
        if language.data.script != "han":
            break
    return range(at, end)


def _subject(language: Language, units: Sequence[Unit], start: int, stop: int) -> range:
    """The first unknown noun of a clause that nobody else and no thing could be the subject of."""
    if any(unit.personal or unit.roles & {Role.THING, Role.PRONOUN} for unit in units[start:stop]):
        return range(0)
    for at in range(start, stop - 1):
        led = at > start and Role.PREPOSITION in units[at - 1].roles and Role.LINK not in units[at - 1].roles
        led = led and not (at > start + 1 and Role.FRAMING in units[at - 2].roles)
        if Role.DETERMINER not in units[at].roles or led or units[at + 1].entry != UNKNOWN:
            continue
        head = at + 1
        while language.data.adjectives == "before" and head + 1 < stop and units[head + 1].entry == UNKNOWN:
            head += 1
        return _noun_run(language, units, at + 1 if language.data.script == "han" else head, stop)
    return range(0)


# --- phrases -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Phrase:
    """The units [first, stop) around a head; `tag` and `prefix` are its article's."""

    first: int
    stop: int
    tag: str = ""
    prefix: str = ""
    determined: bool = False

    def is_plural(self, head: Entry) -> bool:
        """Whether several are meant: as the article says, where it says so, and else as the noun does."""
        told = self.determined and self.tag
        return self.tag.endswith("plural") if told else head.plural


class _Reader:
    def __init__(self, language: Language, units: Sequence[Unit]) -> None:
        self._language = language
        self._han = language.data.script == "han"
        self._before = language.data.adjectives == "before"
        self._units = units
        self._people = any(unit.personal or Role.PRONOUN in unit.roles for unit in units)

    def spans(self) -> list[Span]:
        """People first: what a close-up shows is told by them and by the parts of bodies that are found."""
        found = list(self._persons())
        shown: set[int] = set()
        for at, unit in enumerate(self._units):
            if Role.HARMLESS in unit.roles or unit.personal:
                continue
            span = self._span(at, unit)
            if span is not None:
                found.append(span)
                if span.category in EXPRESSIVE or span.category is RiskCategory.BODY:
                    shown.update(range(span.first, span.stop))
        return found + [span for at in range(len(self._units)) if (span := self._framing(at, shown)) is not None]

    def _span(self, at: int, unit: Unit) -> Span | None:
        if Role.BRAND in unit.roles:
            return self._brand(at)
        if Role.PART in unit.roles:
            return self._part(at)
        if Role.NOUN in unit.roles and not (Role.VERB in unit.roles and not self._is_noun(at)):
            return self._noun(at)
        if Role.VERB in unit.roles:
            return self._verb(at)
        if Role.ADJECTIVE in unit.roles:
            return self._adjective(at)
        return None

    def _persons(self) -> Iterator[Span]:
        """Each person with article, adjectives, profession and name; the last word of several is the head."""
        units, at = self._units, len(self._units)
        while at:
            at -= 1
            if not units[at].personal:
                continue
            phrase = self._phrase(at)
            inside = units[phrase.first : phrase.stop]
            called = {unit.entry.category for unit in inside if unit.personal or Role.ADJECTIVE in unit.roles}
            category = next((category for category in RiskCategory if category in called & _PERSONAL), None)
            group = next((unit.entry.group for unit in inside if unit.personal and unit.entry.group), "")
            plural = phrase.is_plural(units[at].entry)
            yield Span(phrase.first, phrase.stop, Kind.PERSON, category, plural, phrase.tag, phrase.prefix, group)
            at = phrase.first

    def _phrase(self, head: int, *, owned: bool = True) -> _Phrase:
        """What belongs to the noun at `head`: its article and what stands between, or else adjectives beside it."""
        units, first, unknown = self._units, head, 0
        while first and units[first].start.after_hyphen:
            first -= 1
        stop, back = self._stop(head), first
        while back and self._close(back):
            before = units[back - 1]
            if Role.DETERMINER in before.roles:
                return _Phrase(back - 1, stop, before.entry.tag, before.entry.prefix, determined=True)
            if before.possessive and back > 1:
                if not owned or not units[back - 2].personal:
                    break
                owner = self._phrase(back - 2, owned=False)
                return _Phrase(owner.first, stop, owner.tag, owner.prefix, determined=True)
            if self._han and Role.LINK in before.roles and back > 1:
                if not units[back - 2].roles & {Role.ADJECTIVE, Role.VERB}:
                    break
                back = first = back - 2
            elif self._describes(back - 1, head, beside_head=first == back):
                back = first = back - 1
            elif Role.CONJUNCTION in before.roles and back > 1 and Role.ADJECTIVE in units[back - 2].roles:
                back -= 2
            elif before.entry in (UNKNOWN, _THING) and self._before and not self._han and unknown < _PHRASE_WORDS:
                unknown += 1
                back -= 1
            else:
                break
        tag = units[first - 1].entry.tag if first and self._close(first) else ""
        return _Phrase(first, stop, tag)

    def _describes(self, at: int, head: int, *, beside_head: bool) -> bool:
        """Whether the word before a noun describes it: an adjective, a title, a number, or a crying baby's verb."""
        unit = self._units[at]
        if unit.roles & {Role.ADJECTIVE, Role.TITLE} or unit.start.key.isdecimal():
            return True
        if unit.personal:
            return self._units[head].personal or Role.PART in self._units[head].roles
        if Role.VERB not in unit.roles or not beside_head:
            return False
        before = self._previous(at)
        return before is None or bool(before.roles & {Role.DETERMINER, Role.ADJECTIVE, Role.PREPOSITION, Role.LINK})

    def _stop(self, head: int) -> int:
        stop = head + 1
        while not self._before and stop < len(self._units) and self._close(stop):
            if Role.ADJECTIVE not in self._units[stop].roles:
                break
            stop += 1
        return stop

    def _close(self, at: int) -> bool:
        """Whether nothing parts the unit from the one before; a title's full stop does not."""
        gap = self._units[at].start.gap
        return not self._units[at].start.after_break or (
            gap.strip() == "." and Role.TITLE in self._units[at - 1].roles
        )

    def _next(self, at: int) -> Unit | None:
        return self._units[at] if at < len(self._units) and self._close(at) else None

    def _previous(self, at: int) -> Unit | None:
        return self._units[at - 1] if at and self._close(at) else None

    def _is_thing(self, unit: Unit | None) -> bool:
        return unit is not None and Role.THING in unit.roles

    # --- what is no person ----------------------------------------------------------------------------------------

    def _brand(self, at: int) -> Span:
        """A name of a maker: one that describes a thing is left out, and else the kind of thing stands for it."""
        beside = self._next(at + 1) if self._before else self._previous(at)
        describes = beside is not None and beside.content and not beside.roles & {Role.VERB, Role.PLACE}
        group = "" if describes and not self._han else self._units[at].entry.group
        return Span(at, at + 1, Kind.BRAND if group else Kind.MODIFIER, RiskCategory.BRAND, group=group)

    def _part(self, at: int) -> Span | None:
        """A face or another part of a body, unless it is a thing's: the face of a clock, its eyes, a cliff face."""
        entry, before, after = self._units[at].entry, self._previous(at), self._next(at + 1)
        if before is not None and (Role.THING in before.roles or Role.THINGS_OWN in before.roles):
            return None
        if before is not None and before.possessive and at > 1 and not self._units[at - 2].personal:
            return None
        if self._han and before is not None and Role.LINK in before.roles and self._is_thing(self._previous(at - 1)):
            return None
        if after is not None and Role.LINK in after.roles and not self._han and not self._shows_person(at + 2):
            return None
        if before is not None and before.entry == UNKNOWN and after is not None and _is_article(after):
            # It is a verb there: windows face the sea.
            return None
        phrase = self._phrase(at)
        return Span(
            phrase.first, phrase.stop, Kind.PHRASE, entry.category, phrase.is_plural(entry), phrase.tag, phrase.prefix
        )

    def _shows_person(self, at: int) -> bool:
        """Whether a person is in the phrase that begins at `at`."""
        for number, unit in enumerate(self._units[at : at + _OBJECT_WORDS]):
            if number and (
                not self._close(at + number) or (unit.roles & {Role.PREPOSITION, Role.LINK} and not _is_article(unit))
            ):
                return False
            if unit.personal or Role.PRONOUN in unit.roles:
                return True
        return False

    def _is_noun(self, at: int) -> bool:
        """Whether a word that may also be a verb is a noun: by an article, adjective or preposition before it."""
        before = self._previous(at)
        if before is None:
            return False
        nouns = {Role.PREPOSITION, Role.MANNER, Role.ADJECTIVE, Role.LINK}
        phrase = self._phrase(at)
        return before.possessive or bool(before.roles & nouns) or phrase.determined

    def _noun(self, at: int) -> Span:
        entry, phrase = self._units[at].entry, self._phrase(at)
        before = self._previous(phrase.first)
        if entry.category in EXPRESSIVE and before is not None and before.roles & {Role.PREPOSITION, Role.MANNER}:
            return Span(phrase.first - 1, phrase.stop, Kind.MODIFIER, entry.category)
        return Span(
            phrase.first,
            phrase.stop,
            Kind.PHRASE,
            entry.category,
            phrase.is_plural(entry),
            phrase.tag,
            phrase.prefix,
            entry.group,
        )

    def _verb(self, at: int) -> Span | None:
        """A verb with its auxiliaries and with how it is done: is speaking with confidence."""
        entry = self._units[at].entry
        first, stop = at, at + 1
        while (before := self._previous(first)) is not None and before.roles & {Role.AUXILIARY, Role.RELATIVE}:
            first -= 1
        if self._is_thing(before) or (not self._people and self._follows_thing(first)):
            return None
        stop += self._links_on(stop)
        manner, how = self._next(stop), self._next(stop + 1)
        if manner is not None and Role.MANNER in manner.roles and how is not None and not how.roles & FUNCTION:
            end = self._next(stop + 2)
            if end is None or not end.content:
                stop += 2
        return Span(first, stop, Kind.VERB, entry.category)

    def _follows_thing(self, at: int) -> bool:
        """Whether a thing stands before it in its clause, as what does it."""
        start = at
        while at and self._close(at) and start - at < _CLAUSE_WORDS:
            at -= 1
            if self._is_thing(self._units[at]):
                return True
        return False

    def _adjective(self, at: int) -> Span | None:
        """An adjective that is said of a person, and not of a song, a sea or a flame."""
        entry = self._units[at].entry
        if entry.category in _PERSONAL:
            return None
        first, stop = at, at + 1
        while (before := self._previous(first)) is not None and Role.AUXILIARY in before.roles:
            first -= 1
        of = self._described(at)
        harmless = of is not None and not of.personal and Role.PART not in of.roles
        if entry.category in (RiskCategory.BODY, RiskCategory.VIOLENCE):
            harmless = self._is_thing(of)
        if harmless or (of is None and not self._people):
            return None
        return Span(first, stop + self._links_on(stop), Kind.MODIFIER, entry.category)

    def _links_on(self, at: int) -> bool:
        """Whether the Chinese link at `at` binds what stands before it to a noun, and goes with it."""
        after, beyond = self._next(at), self._next(at + 1)
        return (
            self._han
            and after is not None
            and Role.LINK in after.roles
            and not (beyond is not None and Role.FRAMING in beyond.roles)
        )

    def _described(self, at: int) -> Unit | None:
        """What an adjective stands beside: a person where there is one, else a word that it may be said of."""
        units = self._units
        skipped = {Role.ADJECTIVE, Role.CONJUNCTION}
        if not self._before:
            beside = at - 1
            while beside >= 0 and self._close(beside + 1) and units[beside].roles & skipped:
                beside -= 1
            left = units[beside] if beside >= 0 and self._close(beside + 1) else None
            right = self._next(at + 1)
            if right is not None and (right.personal or Role.PART in right.roles):
                return right
            return left if left is not None and left.content else None
        first: Unit | None = None
        for beside in range(at + 1, min(len(units), at + 1 + _OBJECT_WORDS)):
            if not self._close(beside):
                break
            unit = units[beside]
            if unit.personal or Role.PART in unit.roles:
                return unit
            if unit.roles & skipped or (self._han and Role.LINK in unit.roles):
                continue
            if not unit.content or Role.VERB in unit.roles:
                break
            first = first or unit
        return first

    # --- shot sizes -----------------------------------------------------------------------------------------------

    def _framing(self, at: int, shown: set[int]) -> Span | None:
        """A close-up of a person or of a part of one."""
        units, unit = self._units, self._units[at]
        if Role.FRAMING not in unit.roles:
            return None
        first = at
        while (before := self._previous(first)) is not None and Role.ADJECTIVE in before.roles:
            first -= 1
        before = self._previous(first)
        if before is not None and Role.DETERMINER in before.roles and not before.entry.prefix:
            first -= 1
        shows = self._object(at)
        if shows is None:
            risky = unit.entry.group == "always" or bool(shown) or any(other.personal for other in units)
        else:
            risky = any((units[n].personal and not self._owns_thing(n, shown)) or n in shown for n in shows)
        return Span(first, at + 1, Kind.FRAMING, RiskCategory.FRAMING) if risky else None

    def _object(self, at: int) -> Sequence[int] | None:
        """The units of what a close-up shows; None where none stands beside it."""
        units = self._units
        if self._language.data.object_before:
            first = at
            if first and self._close(first) and Role.LINK in units[first - 1].roles:
                first -= 1
            end = first
            while first and self._close(first) and Role.LINK not in units[first - 1].roles:
                first -= 1
            if any(units[n].content for n in range(first, end)):
                return range(first, end)
            return None
        start = at + 1
        while start - at <= _PHRASE_WORDS and (unit := self._next(start)) is not None:
            leads_on = unit.roles & {Role.LINK, Role.DETERMINER, Role.FRAMING}
            if not leads_on and not (start == at + 1 and Role.PREPOSITION in unit.roles):
                break
            start += 1
        if self._next(start) is None:
            return None
        stop = start
        while stop < len(units) and stop - start < _OBJECT_WORDS and (stop == start or self._close(stop)):
            if stop > start and units[stop].roles & {Role.PREPOSITION, Role.LINK} and not units[stop].possessive:
                break
            stop += 1
        return range(start, stop)

    def _owns_thing(self, at: int, shown: set[int]) -> bool:
        """Whether it is the woman in a woman's hands."""
        after = self._next(at + 1)
        return after is not None and after.possessive and at + 2 not in shown


_THING = Entry(roles=frozenset({Role.THING}))


def _is_article(unit: Unit) -> bool:
    return Role.DETERMINER in unit.roles
