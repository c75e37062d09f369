"""What of a text people see: the characters that no platform shows, and those that change how the rest is shown."""

import re
import unicodedata

from pydantic_core import PydanticCustomError

# Other ways to end a line than a line feed, and what has no business in a text: controls, lone surrogates, what turns
# the direction of writing, and what Unicode says is no character.
_LINE_ENDS = re.compile("\r\n|[\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]")
_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
)
# What takes no place where it stands. Joiners, marks of direction and variation selectors are for scripts and emoji.
_NO_WIDTH = re.compile("[\xad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0001]")
# What looks like nothing at all and is no format character.
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
_UNSEEN = ("Cc", "Cf", "Cn", "Cs", "Mn", "Me", "Zs", "Zl", "Zp")


def shown_text(text: str) -> str:
    """`text` without characters that a platform would not show, or that change how the rest is shown."""
    return _NOT_SHOWN.sub("", _LINE_ENDS.sub("\n", text))


def seen_letters(text: str) -> str:
    """`text` without what cannot be seen."""
    return "".join(letter for letter in text if unicodedata.category(letter) not in _UNSEEN and letter not in _BLANKS)


def not_shown(text: str) -> str:
    """The first character that `shown_text` takes away, as `U+202E RIGHT-TO-LEFT OVERRIDE`; empty for none."""
    found = _NOT_SHOWN.search(_LINE_ENDS.sub("\n", text))
    return _named(found[0]) if found else ""


def checked_as_seen(text: str, clause: str) -> str:
    """`text`, if people see it. Raises PydanticCustomError, which says `clause` of a character that is hidden."""
    if hidden := not_shown(text):
        raise PydanticCustomError(
            "not_shown", "it holds {letter}, {clause}; take it out", {"letter": hidden, "clause": clause}
        )
    if text and not seen_letters(text):
        raise PydanticCustomError("not_shown", "it shows as nothing; write something that people see")
    return text


def without_width(text: str) -> str:
    """The first character of `text` that shows as nothing where it stands, by name; empty for none."""
    found = _NO_WIDTH.search(text)
    return _named(found[0]) if found else ""


def _named(letter: str) -> str:
    return f"U+{ord(letter):04X} {unicodedata.name(letter, 'a control character')}"
