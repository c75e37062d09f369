"""A sentence said more softly: its phrases taken out or put otherwise, and what is left made whole again."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from video_pipeline.policy import RiskCategory
from video_pipeline.remapping.grammar import EXPRESSIVE, Kind, Span, Unit
from video_pipeline.remapping.lexicon import Entry, Language, Role
from video_pipeline.remapping.tokens import Sentence, Token

# Words that say nothing without the one that follows them.
_LEANING = frozenset(
    {Role.PREPOSITION, Role.LINK, Role.MANNER, Role.DETERMINER, Role.CONJUNCTION, Role.AUXILIARY, Role.TITLE}
)
_BODILY = frozenset({Role.PART, Role.FRAMING, Role.PRONOUN})
_CONJUNCTION = Entry(roles=frozenset({Role.CONJUNCTION}))
_MARKS = ",;:，；：、"
_EDGES = f"{_MARKS}.。!?！？)]- \t\n"
_SPACES = re.compile(r"\s+")
_BEFORE_MARK = re.compile(rf"\s(?=[{_MARKS}.!?。！？)\]])")
_TWO_MARKS = re.compile(rf"([{_MARKS}])(?: ?[{_MARKS}])+")
_MARK_AT_END = re.compile(rf"[{_MARKS}] ?(?=[.!?。！？]|$)")
# What closes the sentence before, spaces, and the mark of a line in a list.
_LEAD = re.compile(r"(?:\s*[”’»)\]」』）])*\s*(?:[-–—•*#>]+\s+)*")
_NOTHING_QUOTED = re.compile(r"\( ?\)|\[ ?\]|\" ?\"|“ ?”|（ ?）")


@dataclass(frozen=True)
class Change:
    """What was said, for what it may be refused, and what stands there now; nothing where it was left out."""

    category: RiskCategory
    before: str
    after: str


@dataclass(frozen=True)
class Rendered:
    text: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Words after `gap`: of a `unit` as it was, or in the place of `span`; none where it is left out."""

    gap: str
    words: str
    unit: Unit | None = None
    span: Span | None = None

    @property
    def says_something(self) -> bool:
        return self.unit is not None and self.unit.content

    @property
    def preposition(self) -> str:
        """The preposition that it is, or that an article has grown together with."""
        if self.unit is None:
            return ""
        return self.unit.entry.prefix or " ".join(token.key for token in self.unit.tokens)

    def is_a(self, *roles: Role) -> bool:
        """Whether it is a function word of one of the roles, and nothing else."""
        return self.unit is not None and not self.unit.content and bool(self.unit.roles & {*roles})


def in_place(
    language: Language,
    sentence: Sentence,
    text: str,
    units: Sequence[Unit],
    spans: Sequence[Span],
    wanted: Callable[[Span], bool],
) -> Rendered | None:
    """The sentence with the wanted phrases put otherwise where they stand; None when it says nothing beside them."""
    chosen = [span for span in spans if wanted(span)]
    pieces, changes = _taken_out(language, text, units, chosen, people=True)
    if not any(piece.says_something for piece in pieces):
        return None
    lead = _lead(text, sentence)
    pieces[0] = replace(pieces[0], gap=pieces[0].gap.removeprefix(lead))
    words = _tidy(_joined(language, pieces) + _end(text, sentence)).lstrip(_EDGES)
    if any(span.category in EXPRESSIVE for span in chosen):
        words = _with_tail(language, words)
    return Rendered(lead + _begun(language, words, units) + _line_end(text, sentence), changes)


def impersonal(
    language: Language,
    sentence: Sentence,
    text: str,
    units: Sequence[Unit],
    spans: Sequence[Span],
    *,
    scene: bool = False,
) -> Rendered:
    """What is said beside people: a medium shot, a setting, and what else is to be seen in the sentence.

    Of a clause with people in it, `scene` keeps nothing but where they are.
    """
    templates = language.data.templates
    pieces, changes = _taken_out(language, text, units, spans, people=False)
    found = {span.category for span in spans}
    people = [piece.span for piece in pieces if piece.span is not None and piece.span.kind is Kind.PERSON]
    settings = [templates.settings[span.group] for span in people if span.group in templates.settings]
    led = scene or bool(settings or found & {RiskCategory.FRAMING, *EXPRESSIVE})
    whole = _clauses(pieces)
    left = [_place(language, clause) if scene else clause for clause in whole]
    clauses = [words for clause in left if (words := _clause(language, clause, led=led))]
    parts: list[str] = []
    if found & {RiskCategory.FRAMING, *EXPRESSIVE}:
        parts.append(templates.medium_shot)
    if settings or not clauses or (not parts and left != whole):
        parts.append(settings[0] if settings else templates.setting)
    if found & EXPRESSIVE:
        parts.append(templates.minimal_expression)
    said = {clause.casefold() for clause in clauses}
    parts = [part for part in parts if part.casefold() not in said]
    words = _tidy(language.data.joiner.join(parts + clauses) + _end(text, sentence))
    changes = tuple(change if change.after in words else replace(change, after="") for change in changes)
    return Rendered(_lead(text, sentence) + _begun(language, words, units) + _line_end(text, sentence), changes)


@dataclass(frozen=True)
class Scene:
    """What a sentence shows beside people: where it is, and which things are there; `group` is of who is in it.

    The last place and thing are those that are surest to be no person's, or what the sentence is about. `perhaps` are
    places of clauses that may say what somebody does there.
    """

    places: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    group: str = ""


def scene_of(language: Language, text: str, units: Sequence[Unit], spans: Sequence[Span]) -> Scene:
    """The scene of a sentence, without what may be refused and without how it is filmed."""
    pieces, _ = _taken_out(language, text, units, spans, people=False)
    places: list[str] = []
    perhaps: list[str] = []
    things: list[str] = []
    for clause in _clauses(pieces):
        if any(piece.span is not None for piece in clause):
            places += [_clause(language, run, led=True) for run in _places_between(language, clause)]
        elif _is_unsure(clause):
            perhaps.append(_clause(language, _last_place(language, clause), led=True))
        elif not is_look(language, _keys(clause)):
            words = _clause(language, _without_tail(language, clause), led=True)
            (places if clause[0].is_a(Role.PREPOSITION) else things).append(words)
            perhaps.append(_clause(language, _last_place(language, clause), led=True))
    if not any(span.category for span in spans) and not any(_is_unsure(clause) for clause in _clauses(pieces)):
        # It is about what stands first. Beside people that may be more of them, in words that no lexicon knows.
        things.reverse()
    group = next((span.group for span in spans if span.kind is Kind.PERSON and span.group), "")
    places, perhaps, things = ([words for words in found if words] for found in (places, perhaps, things))
    return Scene(tuple(places), tuple(perhaps), tuple(things), group)


def look_of(language: Language, text: str, units: Sequence[Unit], spans: Sequence[Span]) -> list[str]:
    """The clauses of a sentence that say how it is lit and filmed, in what colours and how fast."""
    pieces, _ = _taken_out(language, text, units, spans, people=False)
    found: list[str] = []
    for clause in _clauses(pieces):
        if all(piece.span is None for piece in clause) and is_look(language, _keys(clause)):
            found.append(_clause(language, clause, led=False))
    return [words for words in found if words]


def _keys(pieces: Sequence[_Piece]) -> list[str]:
    return [token.key for piece in pieces if piece.unit for token in piece.unit.tokens]


def is_look(language: Language, keys: Sequence[str]) -> bool:
    """Whether one of the words, or some that follow each other, are of light, palette, camera or pace."""
    return any(tuple(keys[at : at + len(look)]) == look for look in language.look for at in range(len(keys)))


# --- taking out --------------------------------------------------------------------------------------------------


def _taken_out(
    language: Language, text: str, units: Sequence[Unit], spans: Sequence[Span], *, people: bool
) -> tuple[list[_Piece], tuple[Change, ...]]:
    """The sentence in pieces, and what was changed. Without `people`, each one is a figure and no shot has a size."""
    by_first = {span.first: span for span in _outermost(spans)}
    pieces: list[_Piece] = []
    changes: list[Change] = []
    at = 0
    while at < len(units):
        unit, span = units[at], by_first.get(at)
        stop = span.stop if span else at + 1
        before = text[unit.start.start : units[stop - 1].tokens[-1].end]
        if span is None:
            pieces.append(_Piece(unit.start.gap, before, unit))
        else:
            words = _put(language, span, people=people)
            if not people and span.kind is Kind.PHRASE and span.category in EXPRESSIVE and _begins(pieces, unit):
                words = ""
            pieces.append(_Piece(unit.start.gap, words, span=span))
            if span.category is not None:
                changes.append(Change(span.category, before, words))
            if not words and not people and span.kind in (Kind.FRAMING, Kind.PHRASE):
                while stop < len(units) and stop not in by_first and _leads_on(units, stop, by_first):
                    stop += 1
            if span.kind is Kind.VERB and stop < len(units) and not units[stop].start.after_break:
                stop = _joined_to_object(language, pieces, units, stop, by_first)
        at = stop
    return pieces, tuple(changes)


def _begins(pieces: Sequence[_Piece], unit: Unit) -> bool:
    """Whether nothing is shown of the clause before the unit."""
    if unit.start.after_break:
        return True
    for piece in reversed(pieces):
        if piece.words:
            return False
        if _parts_clauses(piece.gap):
            return True
    return True


def _leads_on(units: Sequence[Unit], at: int, taken: dict[int, Span]) -> bool:
    """Whether the word only leads from a shot or a face that is gone to whose it was."""
    roles = units[at].roles
    return not units[at].start.after_break and (
        Role.LINK in roles or (Role.PREPOSITION in roles and at + 1 in taken and not units[at].entry.prefix)
    )


def _joined_to_object(
    language: Language, pieces: list[_Piece], units: Sequence[Unit], at: int, taken: dict[int, Span]
) -> int:
    """A verb that is left out leaves what it was done to beside who did it: a soldier and a deer."""
    after = units[at]
    topic = Role.TOPIC in after.roles and at + 1 < len(units)
    has_object = (
        topic
        or (Role.DETERMINER in after.roles and not after.entry.prefix)
        or (at in taken and taken[at].kind is Kind.PERSON)
    )
    if has_object and len(pieces) > 1 and not _parts_clauses(pieces[-1].gap):
        gap = "" if language.data.script == "han" else " "
        pieces.append(_Piece(gap, language.conjunction, Unit(after.tokens, _CONJUNCTION)))
    return at + 1 if topic else at


def _outermost(spans: Sequence[Span]) -> list[Span]:
    """Spans in order without those that lie within another one; of two that overlap, the second one's rest."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.first, -span.stop)):
        start = found[-1].stop if found else 0
        if span.first >= start:
            found.append(span)
        elif span.stop > start:
            found.append(replace(span, first=start, kind=Kind.MODIFIER))
    return found


def _put(language: Language, span: Span, *, people: bool) -> str:
    """What stands for a phrase, in the form of the article that it had; nothing where it is left out."""
    templates = language.data.templates
    if span.kind in (Kind.MODIFIER, Kind.VERB):
        return ""
    if span.kind is Kind.FRAMING:
        return templates.medium_shot[:1].lower() + templates.medium_shot[1:] if people else ""
    if span.category is None or (span.kind is Kind.PERSON and not people):
        forms = templates.figure
    else:
        forms = templates.categories.get(span.group) or templates.categories.get(span.category, {})
    names = [span.tag] if span.tag.endswith("plural") else []
    names += [f"{span.tag}_plural", "plural"] if span.plural else []
    words = next((forms[name] for name in (*names, span.tag, "any") if name in forms), "")
    return f"{span.prefix} {words}" if span.prefix else words


# --- what is left ------------------------------------------------------------------------------------------------


def _clauses(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    found: list[list[_Piece]] = []
    for piece in pieces:
        if not found or _parts_clauses(piece.gap):
            found.append([])
        found[-1].append(piece)
    return found


def _place(language: Language, pieces: Sequence[_Piece]) -> Sequence[_Piece]:
    """Where something is that a clause says of people: what the first word for a place behind them begins."""
    taken = [at for at, piece in enumerate(pieces) if piece.span is not None and _is_of_people(piece.span)]
    if not taken:
        return pieces
    behind = range(taken[0] if language.data.script == "han" else taken[-1], len(pieces))
    start = next((at for at in _starts(language, pieces) if at in behind), len(pieces))
    if language.data.script != "han":
        return pieces[start:]
    # In Chinese the place stands before what is done there, with a word for in or on at its end.
    stop = next((at + 1 for at in range(start, len(pieces)) if pieces[at].is_a(Role.OTHER)), start)
    return () if any(start <= at < stop for at in taken) else pieces[start:stop]


def _places_between(language: Language, pieces: Sequence[_Piece]) -> list[Sequence[_Piece]]:
    """Where something is that a clause says: from a preposition on, between what may be refused."""
    runs: list[list[_Piece]] = [[]]
    for piece in pieces:
        if piece.span is not None:
            runs.append([])
        else:
            runs[-1].append(piece)
    # A face that no risk was seen in is none of a thing for certain.
    found = [run[starts[0] :] for run in runs if (starts := _starts(language, run)) and not _is_unsure(run)]
    return [_within_place(language, run) for run in found]


def _last_place(language: Language, pieces: Sequence[_Piece]) -> Sequence[_Piece]:
    """What the last word for a place begins; nothing where a clause has none."""
    starts = _starts(language, pieces)
    return _within_place(language, pieces[starts[-1] :]) if starts else ()


def _starts(language: Language, pieces: Sequence[_Piece]) -> list[int]:
    """Where a place begins: at prepositions that say where; at vague ones only where none of the others stands."""
    every = [at for at, piece in enumerate(pieces) if piece.is_a(Role.PREPOSITION)]
    led: list[int] = []
    sure: list[int] = []
    for at, end in itertools.pairwise([*every, len(pieces)]):
        word = pieces[at].preposition
        if word in language.data.no_places:
            continue
        led.append(at)
        names_place = any(piece.unit and Role.PLACE in piece.unit.roles for piece in pieces[at:end])
        if names_place or word not in language.data.vague_places:
            sure.append(at)
    return sure or led


def _within_place(language: Language, pieces: Sequence[_Piece]) -> Sequence[_Piece]:
    """The place without what follows it in Chinese: a word for in or on stands at its end."""
    if language.data.script != "han":
        return _without_tail(language, pieces)
    return pieces[: next((at + 1 for at, piece in enumerate(pieces) if piece.is_a(Role.OTHER)), len(pieces))]


def _is_unsure(pieces: Sequence[_Piece]) -> bool:
    """Whether a close-up, a part of a body or somebody is in it, of which no word tells whose it is."""
    return any(piece.unit.roles & _BODILY for piece in pieces if piece.unit and Role.HARMLESS not in piece.unit.roles)


def _without_tail(language: Language, pieces: Sequence[_Piece]) -> Sequence[_Piece]:
    """Without the words at the end that say nothing by themselves: an old tram behind her."""
    stop = len(pieces)
    while language.data.script != "han" and stop and not pieces[stop - 1].says_something:
        stop -= 1
    return pieces[:stop]


def _is_of_people(span: Span) -> bool:
    return span.kind is Kind.PERSON or span.category in EXPRESSIVE


def _clause(language: Language, pieces: Sequence[_Piece], *, led: bool) -> str:
    """What is left of a clause, if it says something. Where a shot leads, a figure goes that a place follows."""
    if not any(piece.says_something for piece in pieces):
        return ""
    rest = [replace(pieces[0], gap=""), *pieces[1:]]
    lead = next(at for at, piece in enumerate(rest) if piece.words)
    rest[lead] = replace(rest[lead], words=_without_prefix(rest[lead]))
    while led and (shown := [at for at, piece in enumerate(rest) if piece.words])[1:]:
        first, second = rest[shown[0]], rest[shown[1]]
        if (
            first.span is None
            or not _is_of_people(first.span)
            or not second.is_a(Role.PREPOSITION, Role.CONJUNCTION, Role.MANNER)
        ):
            break
        rest[shown[0]] = replace(first, words="")
    return _tidy(_joined(language, rest)).strip(_EDGES)


def _without_prefix(piece: _Piece) -> str:
    """The words without the preposition that an article brought along: nothing stands before it any more."""
    prefix = piece.span.prefix if piece.span else ""
    return piece.words.removeprefix(f"{prefix} ") if prefix else piece.words


def _joined(language: Language, pieces: Sequence[_Piece]) -> str:
    """The pieces as text: without words that leaned on one that is gone, with articles and elisions that fit."""
    shown = _without_leaning(list(pieces))
    article = language.data.vowel_article
    parts: list[str] = []
    gap, gone = "", False
    for piece in shown:
        gap = _wider(gap, piece.gap)
        if not piece.words:
            gone = True
            continue
        if gone and gap and not _parts_clauses(gap):
            gap = " "
        changed = gap != piece.gap or piece.unit is None
        if changed and article and parts and parts[-1].lower() in article:
            parts[-1] = _fitting(parts[-1], piece.words, article)
        parts += [gap, piece.words]
        gap, gone = "", False
    joined = "".join(parts)
    for apart, together in language.data.elisions.items():
        joined = re.sub(rf"(?<!\w){re.escape(apart)}(?!\w)", together, joined)
    return joined


def _without_leaning(pieces: list[_Piece]) -> list[_Piece]:
    """Without articles, prepositions and conjunctions that were of something that is gone."""
    # What stands behind is gone first; once more, for a conjunction that has lost what stood before it.
    for order in (range(len(pieces) - 1, -1, -1), range(len(pieces)), range(len(pieces) - 1, -1, -1)):
        for at in order:
            if _leans_on_nothing(pieces, at):
                pieces[at] = replace(pieces[at], words="", unit=None)
    return pieces


def _leans_on_nothing(pieces: Sequence[_Piece], at: int) -> bool:
    piece = pieces[at]
    if not piece.words or not piece.is_a(*_LEANING):
        return False
    gone_before = at > 0 and not pieces[at - 1].words
    gone_after = at + 1 < len(pieces) and not pieces[at + 1].words
    if not gone_before and not gone_after:
        return False
    before = next((n for n in range(at - 1, -1, -1) if pieces[n].words), None)
    after = next((n for n in range(at + 1, len(pieces)) if pieces[n].words), None)
    ends = after is None or _broken(pieces, at, after)
    if piece.is_a(Role.CONJUNCTION):
        starts = before is None or _broken(pieces, before, at)
        return (gone_before and (starts or pieces[before or 0].is_a(Role.DETERMINER))) or (gone_after and ends)
    if not gone_after:
        return False
    return ends or (after is not None and pieces[after].is_a(*(_LEANING - {Role.DETERMINER})))


def _broken(pieces: Sequence[_Piece], start: int, stop: int) -> bool:
    """Whether something parts two pieces."""
    return any(_parts_clauses(piece.gap) for piece in pieces[start + 1 : stop + 1])


def _parts_clauses(gap: str) -> bool:
    return Token("", 0, 0, gap).after_break


def _wider(gap: str, other: str) -> str:
    """Of two gaps that come together, the one that parts more."""
    if _parts_clauses(gap) != _parts_clauses(other):
        return gap if _parts_clauses(gap) else other
    return max(gap, other, key=len)


def _fitting(article: str, word: str, forms: tuple[str, str]) -> str:
    fitting = forms[word[:1].lower() in "aeiou"]
    return fitting.capitalize() if article[:1].isupper() else fitting


def _with_tail(language: Language, sentence: str) -> str:
    """The sentence with the minimal expression behind it, before the mark that ends it."""
    tail = language.data.templates.minimal_expression
    if tail.casefold() in sentence.casefold():
        return sentence
    words = sentence.rstrip(" \t\n.!?。！？")
    return f"{words}{language.data.joiner}{tail}{sentence[len(words) :]}"


def _lead(text: str, sentence: Sentence) -> str:
    """What stands before a sentence and is not its own."""
    first, after = sentence.tokens[0].start, sentence.start
    if after > 0 and not text[after - 1].isspace():
        # Right behind the mark of the sentence before, such a quotation mark closes.
        while after < first and text[after] in "\"'":
            after += 1
    lead = _LEAD.match(text, after, first)
    return text[sentence.start : lead.end() if lead else after]


def _line_end(text: str, sentence: Sentence) -> str:
    """The line break that ends a sentence."""
    return "\n" if text[sentence.end - 1] == "\n" else ""


def _end(text: str, sentence: Sentence) -> str:
    """What stands behind a sentence's last word."""
    return text[sentence.tokens[-1].end : sentence.end]


def _tidy(words: str) -> str:
    """Words with single spaces and marks, none of them before a mark or at the end."""
    for pattern, put in ((_NOTHING_QUOTED, ""), (_SPACES, " "), (_BEFORE_MARK, ""), (_TWO_MARKS, r"\1")):
        words = pattern.sub(put, words)
    return _MARK_AT_END.sub("", words).rstrip(" ")


def _begun(language: Language, words: str, units: Sequence[Unit]) -> str:
    """The words with a capital letter where the sentence began with one."""
    return words[:1].upper() + words[1:] if language.data.capitals and units[0].capital else words
