"""YAML as people write it: every value is the text that stands there, and nothing in it can grow without end.

libyaml tells the events of the text; what they come to is composed here, within bounds. There are no tags, dates,
octals or sixtieths: `No`, `1:30` and `2026-11-21` are what was typed, and the brief's fields say what a number is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import yaml

from video_pipeline.briefs.bounds import MAX_DEPTH, Budget, NotRead

# The same events from either; the one in C is eight times as quick.
_EVENTS: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOTHING = ("", "~", "null", "Null", "NULL")
# They only say what a plain value would be taken for anyway.
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_MERGE = "<<"
# What follows a value on its line. Two spaces before and one after is how comments are set, and nobody types that in
# running text.
_COMMENT = re.compile(r"[ \t]+#[^\r\n]*")
_AS_COMMENTS_ARE_SET = re.compile(r"(?:[ \t]{2,}|\t)#+(?:[ \t]|$)")


@dataclass
class _Composed:
    """A node: what it came to, what it costs to have it once more, and where a comment cut it short."""

    value: Any
    values: int = 1
    characters: int = 0
    cut: list[str] = field(default_factory=list[str])


def read_yaml(text: str, budget: Budget, *, words: frozenset[str]) -> list[tuple[Any, list[str]]]:
    """Every document of `text` with what is wrong in it; those that hold nothing are none.

    `words` are the fields of running text, which a comment must not cut short. Raises NotRead.
    """
    try:
        return list(_Composer(text, budget, words).documents())
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise NotRead(f"{line}{error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise NotRead(f"line {line}: {error.reason}") from None
    except yaml.YAMLError:
        raise NotRead("it cannot be told what it says") from None


class _Composer:
    def __init__(self, text: str, budget: Budget, words: frozenset[str]) -> None:
        self._text = text
        self._budget = budget
        self._words = words
        self._events: Iterator[Any] = cast("Any", yaml).parse(text, Loader=_EVENTS)
        self._anchors: dict[str, _Composed | None] = {}

    def documents(self) -> Iterator[tuple[Any, list[str]]]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
            elif isinstance(event, yaml.SequenceStartEvent):
                # A list of briefs: each of them is told what is wrong in it.
                self._check(event, 0)
                self._open(event)
                for item in self._events:
                    if isinstance(item, yaml.SequenceEndEvent):
                        break
                    self._budget.documents()
                    node = self._node(item, 1, None)
                    yield node.value, node.cut
            elif isinstance(event, yaml.NodeEvent):
                node = self._node(event, 0, None)
                if node.value is not None:
                    self._budget.documents()
                    yield node.value, node.cut

    def _node(self, event: Any, depth: int, name: str | None) -> _Composed:
        """What begins with `event`, in the field `name`."""
        if isinstance(event, yaml.AliasEvent):
            return self._again(event)
        self._check(event, depth)
        self._open(event)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, name)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._list(depth, name)
        else:
            node = self._mapping(depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _check(self, event: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise NotRead(f"it is nested more than {MAX_DEPTH} levels deep")
        self._budget.spend(1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0)
        if event.tag and event.tag not in _PLAIN_TAGS and event.tag != "!":
            _refuse(event, "tags such as !!binary or !custom are not read; write the plain value")

    def _open(self, event: Any) -> None:
        if event.anchor:
            self._anchors[event.anchor] = None

    def _again(self, event: Any) -> _Composed:
        if event.anchor not in self._anchors:
            _refuse(event, "a * refers to a & that is not there; put a text that begins with * in quotes")
        node = self._anchors[event.anchor]
        if node is None:
            _refuse(event, "a * refers to what it stands in")
        self._budget.spend(node.values, node.characters)
        return node

    def _scalar(self, event: Any, name: str | None) -> _Composed:
        plain = not event.style
        value = None if plain and not event.tag and event.value in _NOTHING else str(event.value)
        cut = self._cut(name, event.end_mark.index) if plain and name in self._words else []
        return _Composed(value, 1, len(event.value), cut)

    def _cut(self, name: str | None, end: int) -> list[str]:
        comment = _COMMENT.match(self._text, end)
        if comment is None or _AS_COMMENTS_ARE_SET.match(comment[0]):
            return []
        return [
            f"{name}: YAML takes all that follows ` #` for a comment, so the text would end before it; put the whole "
            "text in quotes, or the comment on a line of its own"
        ]

    def _list(self, depth: int, name: str | None) -> _Composed:
        whole = _Composed([])
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            node = self._node(event, depth + 1, name)
            whole.value.append(node.value)
            _take(whole, node)
        return whole

    def _mapping(self, depth: int) -> _Composed:
        whole = _Composed({})
        own: dict[str, Any] = {}
        under: dict[str, Any] = {}
        for key in self._events:
            if isinstance(key, yaml.MappingEndEvent):
                break
            if not isinstance(key, yaml.ScalarEvent):
                _refuse(key, "the name of a field is no plain text")
            self._check(key, depth)
            name = key.value
            value_event = next(self._events)
            value = self._node(value_event, depth + 1, name)
            _take(whole, value)
            if name == _MERGE and not key.style:
                under = under | self._merged(value_event, value.value)
                continue
            if name in own:
                name = f"{name} a second time (line {key.start_mark.line + 1})"
            own[name] = value.value
        whole.value = under | own
        return whole

    def _merged(self, event: Any, value: Any) -> dict[str, Any]:
        """What `<<` lays under a mapping; of several mappings the first has the last word."""
        given = cast("list[Any]", value) if isinstance(value, list) else [value]
        merged: dict[str, Any] = {}
        for mapping in reversed(given):
            if not isinstance(mapping, dict):
                _refuse(event, "<< takes mappings only")
            fields = cast("dict[str, Any]", mapping)
            self._budget.spend(len(fields))
            merged |= fields
        return merged


def _take(whole: _Composed, node: _Composed) -> None:
    whole.values += node.values
    whole.characters += node.characters
    whole.cut = list(dict.fromkeys([*whole.cut, *node.cut]))


def _refuse(event: Any, reason: str) -> NoReturn:
    raise NotRead(f"line {event.start_mark.line + 1}: {reason}")
