"""The compact notation in which a lexicon writes the forms of a word.

`smil{e,es,ed,ing}` are four forms; `tir+adj` is `tir` with each ending of the paradigm `adj`; `child/children` are
singular and plural, in which `~` stands for each form of the singular: `boy/~s`.
"""

import itertools
import re
from collections.abc import Mapping, Sequence

_PARADIGM = re.compile(r"\+([a-z_]+)")
_BRACES = re.compile(r"\{([^{}]*)\}")
# More forms are a slip of the pen: a verb has some sixty in the languages that there are.
_MOST_FORMS = 400


def forms_of(entry: str, paradigms: Mapping[str, Sequence[str]]) -> list[tuple[str, bool]]:
    """All forms that `entry` stands for, each with whether it is a plural. ValueError says what is wrong with it."""
    singular, slash, plural = entry.partition("/")
    if "/" in plural:
        raise ValueError(f"{entry!r} has more than one slash; it stands between singular and plural")
    singles = _expanded(singular, paradigms, entry)
    several: list[str] = []
    if slash:
        written = [plural.replace("~", single) for single in singles] if "~" in plural else [plural]
        several = [form for text in written for form in _expanded(text, paradigms, entry)]
    found = dict.fromkeys([(form, False) for form in singles] + [(form, True) for form in several])
    if len(found) > _MOST_FORMS:
        raise ValueError(f"{entry!r} stands for {len(found)} forms, which is over {_MOST_FORMS}")
    return list(found)


def _expanded(text: str, paradigms: Mapping[str, Sequence[str]], entry: str) -> list[str]:
    def braces(found: re.Match[str]) -> str:
        endings = paradigms.get(found[1])
        if endings is None:
            raise ValueError(f"{entry!r} names the paradigm {found[1]!r}, which the file does not have")
        return "{" + ",".join(endings) + "}"

    parts = _BRACES.split(_PARADIGM.sub(braces, text))
    if any("{" in part or "}" in part for part in parts):
        raise ValueError(f"{entry!r} has a brace without its other half")
    choices = [part.split(",") if number % 2 else [part] for number, part in enumerate(parts)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MOST_FORMS:
        raise ValueError(f"{entry!r} stands for {count} forms, which is over {_MOST_FORMS}")
    forms = [" ".join("".join(one).split()) for one in itertools.product(*choices)]
    if "" in forms:
        raise ValueError(f"{entry!r} has a form without a letter")
    return forms
