"""The lexicons: one YAML file a language, and one of names and brands for all; read, checked and made ready to match.

The packaged ones lie in `lexicons/`. A team's own folder (`generation.remapping.lexicons`) is laid over them, file by
file: its words are added to those of the packaged file of that name, or stand in its place with `replace: true`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import RiskCategory, explain, read_yaml_mapping
from video_pipeline.remapping.forms import forms_of
from video_pipeline.remapping.tokens import keys_of

NAMES_FILE = "names"
_Model = TypeVar("_Model", bound=BaseModel)
# A head that is shorter ends too many words that have nothing to do with it.
_SHORTEST_HEAD = 4


class Role(StrEnum):
    """What a word can be in a sentence; one may be several."""

    DETERMINER = "determiner"
    PREPOSITION = "preposition"
    TOPIC = "topic"
    LINK = "link"
    CONJUNCTION = "conjunction"
    AUXILIARY = "auxiliary"
    MANNER = "manner"
    THINGS_OWN = "thing's own"
    PRONOUN = "pronoun"
    RELATIVE = "relative"
    OTHER = "other function word"
    TITLE = "title"
    PLACE = "place"
    NOUN = "noun"
    VERB = "verb"
    ADJECTIVE = "adjective"
    TRAIT = "trait"
    PART = "part of a body"
    FRAMING = "framing"
    PERSON = "person"
    THING = "thing"
    HARMLESS = "harmless"
    BRAND = "brand"


FUNCTION = frozenset(
    {
        Role.DETERMINER,
        Role.PREPOSITION,
        Role.TOPIC,
        Role.LINK,
        Role.CONJUNCTION,
        Role.AUXILIARY,
        Role.MANNER,
        Role.THINGS_OWN,
        Role.PRONOUN,
        Role.RELATIVE,
        Role.OTHER,
    }
)


@dataclass(frozen=True)
class Entry:
    """What is known of a word or phrase. `tag` is its gender or case; `prefix` a preposition that is part of it."""

    roles: frozenset[Role] = frozenset()
    category: RiskCategory | None = None
    plural: bool = False
    tag: str = ""
    group: str = ""
    prefix: str = ""
    cased: str = ""


UNKNOWN = Entry()


def _split(value: object) -> object:
    """A list of words, of which a line may have several, parted by semicolons."""
    if not isinstance(value, list):
        return value
    lines = cast("list[object]", value)
    if not all(isinstance(line, str) for line in lines):
        return lines
    return [word.strip() for line in lines for word in str(line).split(";")]


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CategoryWords(_Data):
    """A category's words by what they are.

    `parts` belong to a body and, said of a thing, are harmless; `traits` are adjectives that only people are given.
    """

    nouns: Words = ()
    parts: Words = ()
    verbs: Words = ()
    adjectives: Words = ()
    traits: Words = ()
    groups: dict[str, Words] = {}


class FramingWords(_Data):
    """Shot sizes: risky of a person or a face; `always` ones are so without one being named."""

    close: Words
    always: Words = ()


class Templates(_Data):
    """What stands where something was taken out.

    A phrase is given by form: `any`, `plural`, and the tags of the determiners that it can stand for (`f`,
    `f_plural`); `categories` by category or by its group.
    """

    medium_shot: str
    minimal_expression: str
    setting: str
    settings: dict[str, str] = {}
    figure: dict[str, str]
    categories: dict[str, dict[str, str]]

    @property
    def phrases(self) -> tuple[str, ...]:
        """Everything that may be put into a prompt, none of which is a risk."""
        listed = (self.figure, *self.categories.values())
        settings = self.settings.values()
        return (
            self.medium_shot,
            self.minimal_expression,
            self.setting,
            *settings,
            *(phrase for forms in listed for phrase in forms.values()),
        )

    @model_validator(mode="after")
    def _any_form(self) -> "Templates":
        for name, forms in {"figure": self.figure, **self.categories}.items():
            if not forms.get("any", "").strip():
                raise ValueError(f"{name} needs a phrase for `any`")
        return self


class BrollWords(_Data):
    """Shots without anybody to be seen, which can stand in for one that is refused.

    `hands` are by the group of whose they are, and `any`; `object` is for a shot that shows no thing. `still` leads a
    prompt of a picture, `motion` is all that is said of a clip from one. `look` are words of light, palette, camera
    and pace.
    """

    hands: dict[str, str]
    wide: str
    detail: str
    object: str
    still: str
    motion: str
    look: Words

    @property
    def phrases(self) -> tuple[str, ...]:
        return (*self.hands.values(), self.wide, self.detail, self.object, self.still, self.motion)

    @model_validator(mode="after")
    def _any_hands(self) -> "BrollWords":
        if not self.hands.get("any", "").strip():
            raise ValueError("hands needs a phrase for `any`")
        return self


class LanguageData(_Data):
    """One language's file.

    Of the prepositions, `no_places` never say where something is, and `vague_places` do where a place follows them.
    """

    name: str
    script: Literal["latin", "han"] = "latin"
    replace: bool = False
    joiner: str = ", "
    capitals: bool = True
    adjectives: Literal["before", "after"] = "before"
    object_before: bool = False
    capital_nouns: bool = False
    compounds: bool = False
    vowel_article: tuple[str, str] | None = None
    elisions: dict[str, str] = {}
    paradigms: dict[str, Words] = {}
    determiners: dict[str, Words]
    contractions: dict[str, tuple[str, str]] = {}
    prepositions: dict[str, Words]
    no_places: Words = ()
    vague_places: Words = ()
    topics: Words = ()
    links: Words
    conjunctions: Annotated[Words, Field(min_length=1)]
    auxiliaries: Words = ()
    manner: Words = ()
    things_own: Words = ()
    pronouns: Words = ()
    relatives: Words = ()
    function_words: Words = ()
    titles: Words = ()
    places: Words = ()
    persons: Words
    things: Words = ()
    harmless: Words = ()
    framing: FramingWords
    categories: dict[RiskCategory, CategoryWords]
    templates: Templates
    broll: BrollWords | None = None


class NamesData(_Data):
    """Names in any language; `cased` ones are also common words, and count with their capital letter only."""

    replace: bool = False
    public_figures: Words
    cased_figures: Words = ()
    first_names: Words
    brands: dict[str, Words]
    cased_brands: dict[str, Words] = {}


@dataclass
class Language:
    """A language's words, ready to be looked up by their first key, the longest phrase first."""

    code: str
    data: LanguageData
    phrases: dict[str, list[tuple[tuple[str, ...], Entry]]]
    heads: dict[str, Entry]
    evidence: frozenset[str]
    conjunction: str
    first_names: frozenset[str]
    look: frozenset[tuple[str, ...]]


@lru_cache(maxsize=8)
def load_languages(folder: Path | None) -> Mapping[str, Language]:
    """Every language by its code, read once a process.

    Raises ConfigurationError that names the file, the key and what is wrong there.
    """
    names = load_names(folder)
    return {
        place.stem: _language(place.stem, _validated(LanguageData, document, str(place)), names, str(place))
        for place, document in _documents(folder)
    }


@lru_cache(maxsize=8)
def load_names(folder: Path | None) -> NamesData:
    """The names alone, read once a process. ConfigurationError as `load_languages`."""
    [(place, document)] = _documents(folder, names=True)
    return _validated(NamesData, document, str(place))


@dataclass(frozen=True)
class _Place:
    stem: str
    text: str

    def __str__(self) -> str:
        return self.text


def _documents(folder: Path | None, *, names: bool = False) -> Iterator[tuple[_Place, dict[str, Any]]]:
    """What stands in the files of languages, or in that of `names` alone, in the order of their codes."""
    packaged = {
        Path(file.name).stem: file
        for file in resources.files("video_pipeline.remapping").joinpath("lexicons").iterdir()
        if file.name.endswith(".yaml")
    }
    own: dict[str, Path] = {}
    if folder is not None:
        if not folder.is_dir():
            raise ConfigurationError(
                f"generation.remapping.lexicons is {folder}, which is not a folder: it holds a YAML file a language."
            )
        own = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    for stem in sorted(packaged.keys() | own.keys()):
        if (stem == NAMES_FILE) is not names:
            continue
        base = _packaged(packaged[stem]) if stem in packaged else {}
        if stem not in own:
            yield _Place(stem, f"the packaged lexicon {stem}.yaml"), base
            continue
        changes = read_yaml_mapping(own[stem], what="lexicon", words=True)
        whole = changes if changes.get("replace") == "true" else _added(base, changes)
        yield _Place(stem, f"the lexicon {own[stem]}"), whole


def _packaged(file: Traversable) -> dict[str, Any]:
    # All words are text, `no` and `on` as well.
    return yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))


def _added(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the lists of `more` at the end of its own, and its other values in their place."""
    merged = dict(base)
    for key, value in more.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = _added(cast("dict[str, Any]", below), cast("dict[str, Any]", value))
        elif isinstance(value, list) and isinstance(below, list):
            merged[key] = [*below, *value]
        else:
            merged[key] = value
    return merged


def _validated(kind: type[_Model], document: dict[str, Any], where: str) -> _Model:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(f"{where[0].upper()}{where[1:]} is not valid: {explain(error)}.") from error


def _language(code: str, data: LanguageData, names: NamesData, where: str) -> Language:
    """The words of a file and of the names, merged by phrase: one that is listed twice may be either."""
    entries: dict[tuple[str, ...], Entry] = {}
    heads: dict[str, Entry] = {}
    for place, written, entry in _listed(data, names):
        for form, keys, plural in _forms(data, place, written, where):
            one = replace(entry, plural=plural, cased=form if entry.cased else "")
            entries[keys] = _either(entries[keys], one) if keys in entries else one
            if data.compounds and len(keys) == 1 and len(keys[0]) >= _SHORTEST_HEAD and one.roles & _HEADS:
                heads.setdefault(keys[0], one)
    phrases: dict[str, list[tuple[tuple[str, ...], Entry]]] = defaultdict(list)
    for keys, entry in entries.items():
        phrases[keys[0]].append((keys, entry))
    for found in phrases.values():
        found.sort(key=lambda one: -len(one[0]))
    evidence = {keys[0] for keys, entry in entries.items() if len(keys) == 1 and _tells_language(entry)}
    # What was put into a prompt is read in the language that it was put in.
    evidence.update(key for phrase in data.templates.phrases for key in keys_of(phrase))
    return Language(
        code=code,
        data=data,
        phrases=dict(phrases),
        heads=heads,
        evidence=frozenset(evidence),
        conjunction=forms_of(data.conjunctions[0], data.paradigms)[0][0],
        first_names=frozenset(key for name in names.first_names for key in keys_of(name)),
        look=_look(data, where),
    )


def _forms(data: LanguageData, place: str, written: str, where: str) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Each form of a word of the file, its keys, and whether it is a plural."""
    try:
        forms = forms_of(written, data.paradigms)
    except ValueError as error:
        raise ConfigurationError(f"{where[0].upper()}{where[1:]} is not valid: {place}: {error}.") from error
    for form, plural in forms:
        keys = keys_of(form)
        if not keys:
            raise ConfigurationError(
                f"{where[0].upper()}{where[1:]} is not valid: {place}: {written!r} has a form without a letter."
            )
        yield form, keys, plural


def _look(data: LanguageData, where: str) -> frozenset[tuple[str, ...]]:
    words = data.broll.look if data.broll else ()
    return frozenset(keys for written in words for _, keys, _ in _forms(data, "broll.look", written, where))


_HEADS = frozenset({Role.NOUN, Role.PART, Role.PERSON, Role.FRAMING})


def _tells_language(entry: Entry) -> bool:
    return Role.BRAND not in entry.roles and entry.category is not RiskCategory.NAME


def _either(one: Entry, other: Entry) -> Entry:
    """A word that is listed twice: what it is called first, and everything that it can be."""
    return replace(
        one,
        roles=one.roles | other.roles,
        category=one.category or other.category,
        tag=one.tag or other.tag,
        group=one.group or other.group,
    )


def _listed(data: LanguageData, names: NamesData) -> Iterator[tuple[str, str, Entry]]:
    """Every word as it is written, with its place in the file and what it is; what is harmless comes first."""

    def of(place: str, words: Iterable[str], *roles: Role, **fields: Any) -> Iterator[tuple[str, str, Entry]]:
        for word in words:
            yield place, word, Entry(roles=frozenset(roles), **fields)

    yield from of("templates", data.templates.phrases, Role.HARMLESS)
    yield from of("harmless", data.harmless, Role.HARMLESS)
    for tag, words in data.determiners.items():
        yield from of(f"determiners.{tag}", words, Role.DETERMINER, tag=tag)
    for word, (prefix, tag) in data.contractions.items():
        before = Role.LINK if prefix in data.links else Role.PREPOSITION
        yield from of("contractions", [word], Role.DETERMINER, before, tag=tag, prefix=prefix)
    for tag, words in data.prepositions.items():
        yield from of(f"prepositions.{tag}", words, Role.PREPOSITION, tag=tag)
    yield from of("topics", data.topics, Role.TOPIC, Role.PREPOSITION)
    yield from of("links", data.links, Role.LINK)
    yield from of("conjunctions", data.conjunctions, Role.CONJUNCTION)
    yield from of("auxiliaries", data.auxiliaries, Role.AUXILIARY)
    yield from of("manner", data.manner, Role.MANNER)
    yield from of("things_own", data.things_own, Role.THINGS_OWN, Role.DETERMINER)
    yield from of("pronouns", data.pronouns, Role.PRONOUN)
    yield from of("relatives", data.relatives, Role.RELATIVE)
    yield from of("function_words", data.function_words, Role.OTHER)
    framing = RiskCategory.FRAMING
    yield from of("framing.close", data.framing.close, Role.FRAMING, category=framing)
    yield from of("framing.always", data.framing.always, Role.FRAMING, category=framing, group="always")
    for category, words in data.categories.items():
        place = f"categories.{category}"
        yield from of(f"{place}.nouns", words.nouns, Role.NOUN, category=category)
        yield from of(f"{place}.parts", words.parts, Role.PART, category=category)
        yield from of(f"{place}.verbs", words.verbs, Role.VERB, category=category)
        yield from of(f"{place}.adjectives", words.adjectives, Role.ADJECTIVE, category=category)
        yield from of(f"{place}.traits", words.traits, Role.ADJECTIVE, Role.TRAIT, category=category)
        for group, listed in words.groups.items():
            yield from of(f"{place}.groups.{group}", listed, Role.NOUN, category=category, group=group)
    yield from of("persons", data.persons, Role.PERSON)
    yield from of("things", data.things, Role.THING)
    yield from of("titles", data.titles, Role.TITLE)
    yield from of("places", data.places, Role.PLACE)
    name = RiskCategory.NAME
    yield from of("public_figures", names.public_figures, Role.NOUN, category=name)
    yield from of("cased_figures", names.cased_figures, Role.NOUN, category=name, cased="as written")
    for group, words in names.brands.items():
        yield from of(f"brands.{group}", words, Role.BRAND, category=RiskCategory.BRAND, group=group)
    for group, words in names.cased_brands.items():
        yield from of(
            f"cased_brands.{group}", words, Role.BRAND, category=RiskCategory.BRAND, group=group, cased="as written"
        )
