"""What a file of briefs holds: its documents, in whatever kind of file they come, within bounds (G1.6)."""

import codecs
import json
import re
import reprlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from video_pipeline.briefs.bounds import Budget, NotRead, tidy
from video_pipeline.briefs.brief import Brief, Shot
from video_pipeline.briefs.tables import read_separated, read_workbook, told_apart
from video_pipeline.briefs.yaml_text import read_yaml
from video_pipeline.wire import clean

COLUMNS = frozenset(Brief.model_fields)
_NAMES = COLUMNS | set(Shot.model_fields)
# A `brief_id` is none of them: it holds neither a space nor a `#`.
_WORDS = frozenset({"title", "caption", "prompt", "hook", "style", "broll", "bible"})
# The longest mark first: that of UTF-16 is the beginning of that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 2, 3, 5, 60, 60
_LONGEST_RAW, _LONGEST_NAME, _MOST_REASONS = 20_000, 40, 12
# Keys and tokens: letters and digits in one long word.
_SECRET = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[^\s'\",:;|<>()\[\]{}]{20,}")


@dataclass(frozen=True)
class Piece:
    """A document of a file: where it stands there (such as `#2`), what is wrong with it, and how it is shown."""

    place: str
    document: Any
    reasons: tuple[str, ...]
    raw: str


Parsed = list[tuple[str, Any, list[str]]]


def read_pieces(data: bytes, kind: str) -> list[Piece]:
    """The documents of a file of this kind, such as `.yaml`. Raises NotRead for one that is read as nothing."""
    if kind == ".xlsx":
        text, parsed = "", read_workbook(data, Budget(), columns=COLUMNS)
    else:
        text = _text_of(data)
        parsed = _parsed(kind, text)
    if not parsed:
        raise NotRead("the file holds no brief")
    pieces: list[Piece] = []
    for place, document, reasons in parsed:
        try:
            tidied: Any = tidy(document)
        except NotRead as error:
            tidied, reasons = {}, [str(error)]
        alone = len(parsed) == 1
        raw = printable(text) if alone and text else _shown(document)
        pieces.append(Piece("" if alone else clean(place), tidied, tuple(reasons), raw))
    return pieces


def read_document(data: bytes, *, words: frozenset[str]) -> Any:
    """The one document of a YAML file; `words` as of `read_yaml`. Raises NotRead."""
    found = read_yaml(_text_of(data), Budget(), words=words)
    if len(found) != 1:
        raise NotRead(f"it holds {len(found) or 'no'} documents, and should hold one")
    document, wrong = found[0]
    if wrong:
        raise NotRead("; ".join(wrong))
    return tidy(document)


def shown_raw(data: bytes) -> str:
    """What can be shown of a file that was read as nothing."""
    return printable(data.decode(_encoding(data), errors="replace"))[:_LONGEST_RAW]


def reasons_of(error: ValidationError, *, names: frozenset[str] = _NAMES, whole: str = "brief") -> tuple[str, ...]:
    """One clause a finding: the field, what is wrong, and what was given in a field of these `names`.

    What is wrong with no field is wrong with the `whole`.
    """
    found = error.errors(include_url=False, include_context=False)
    reasons: list[str] = []
    for item in found[:_MOST_REASONS]:
        places = [_name(part) for part in item["loc"]]
        known = all(isinstance(part, int) or part in names for part in item["loc"])
        tells = bool(places) and known and item["type"] not in ("missing", "value_error")
        given = f" (given: {_given(item['input'])})" if tells else ""
        reasons.append(printable(f"{'.'.join(places) or whole}: {item['msg']}{given}"))
    if len(found) > _MOST_REASONS:
        reasons.append(f"and {len(found) - _MOST_REASONS:,} more things are wrong")
    return tuple(reasons)


def printable(text: str) -> str:
    """Text that any database keeps: NUL is made visible."""
    return text.replace("\x00", "\N{SYMBOL FOR NULL}")


def _name(part: int | str) -> str:
    """A field's name as it may be shown: a short one, and none that is a key."""
    return clean(_hidden(str(part)[:200]), _LONGEST_NAME)


def _given(value: Any) -> str:
    return clean(_hidden(_SHORT.repr(value)), 80)


def _hidden(text: str) -> str:
    """`text` without what reads like a key or a token: whoever dropped it knows it, and others need not."""
    return _SECRET.sub(lambda word: f"{word[0][:4]}…", text)


def _encoding(data: bytes) -> str:
    """UTF-16 and UTF-32 say so themselves; anything else is taken for UTF-8."""
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8-sig")


def _text_of(data: bytes) -> str:
    try:
        return data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        raise NotRead(
            f"the file is not valid Unicode text (byte {error.start + 1:,}); save it as UTF-8, which Excel calls "
            "`CSV UTF-8`"
        ) from None


def _parsed(kind: str, text: str) -> Parsed:
    read = _READERS[kind]
    try:
        return read(text, Budget())
    except NotRead as error:
        raise NotRead(f"the file is not valid {kind.lstrip('.').upper()}: {error}") from None


def _read_yaml(text: str, budget: Budget) -> Parsed:
    try:
        found = read_yaml(text, budget, words=_WORDS)
    except NotRead:
        # JSON is YAML, but for its way to write what stands beyond the first 65,536 characters.
        if not text.lstrip().startswith(("{", "[")):
            raise
        with suppress(NotRead):
            return _read_json(text, Budget())
        raise
    return [(f"#{number}", document, reasons) for number, (document, reasons) in enumerate(found, start=1)]


def _read_json(text: str, budget: Budget) -> Parsed:
    document = _json(text, budget)
    documents = cast("list[Any]", document) if isinstance(document, list) else [document]
    budget.documents(len(documents))
    return [(f"#{number}", one, []) for number, one in enumerate(documents, start=1)]


def _read_json_lines(text: str, budget: Budget) -> Parsed:
    """A document a line; a line that is none keeps no other from being read."""
    found: Parsed = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        budget.documents()
        try:
            document = _json(line, budget)
        except NotRead as error:
            budget.be_quick()
            found.append((f"#{number}", {}, [f"line {number} is not valid JSON: {error}"]))
        else:
            found.append((f"#{number}", document, []))
    return found


def _read_table(text: str, budget: Budget) -> Parsed:
    return cast("Parsed", read_separated(text, budget, columns=COLUMNS, usual=","))


def _read_tabs(text: str, budget: Budget) -> Parsed:
    return cast("Parsed", read_separated(text, budget, columns=COLUMNS, usual="\t"))


_READERS: dict[str, Callable[[str, Budget], Parsed]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".csv": _read_table,
    ".tsv": _read_tabs,
}
SUFFIXES = (*_READERS, ".xlsx")
"""How the names of files of briefs end."""


def _json(text: str, budget: Budget) -> Any:
    def an_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """With its repeated keys told apart: Python would keep the last value."""
        budget.spend(len(pairs))
        names = told_apart([name for name, _ in pairs])
        return dict(zip(names, (value for _, value in pairs), strict=True))

    def an_int(digits: str) -> int | str:
        # Python refuses to read thousands of digits; whatever the field is, these are too many.
        return int(digits) if len(digits) < 30 else digits

    try:
        return json.loads(text, object_pairs_hook=an_object, parse_int=an_int)
    except NotRead:
        raise
    except json.JSONDecodeError as error:
        raise NotRead(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise NotRead("it is nested too deep") from None


def _shown(document: Any) -> str:
    """A document as JSON, the beginning of a long one."""
    shown: list[str] = []
    length = 0
    try:
        for chunk in json.JSONEncoder(default=str).iterencode(document):
            shown.append(chunk[:_LONGEST_RAW])
            length += len(chunk)
            if length > _LONGEST_RAW:
                break
    except (TypeError, ValueError, RecursionError):
        return printable(_SHORT.repr(document))
    return printable("".join(shown)[:_LONGEST_RAW])
