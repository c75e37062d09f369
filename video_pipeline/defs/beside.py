"""What an asset shows people, kept in bounds and out of the way: pictures are made beside the work, lists end.

Every event row is kept for good, so nothing in it may grow with the number of a day's clips.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import dagster as dg

from video_pipeline.wire import clean

MOST_LINES = 50
_LONGEST_WORDS = 400

Made = TypeVar("Made")
Given = ParamSpec("Given")


class Beside:
    """Makes pictures and pages for people; what goes wrong with them is a warning, never the asset's failure."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._log = context.log
        self._warnings: dict[str, list[str]] = {}

    def made(self, what: str, make: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made | None:
        """What `make` returns; None when it fails, which is logged and told by `warnings` as `what`."""
        try:
            return make(*args, **kwargs)
        except BaseException as error:
            # A panic in a library written in Rust is no Exception. What else is none ends the run, as it should.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            words = clean(f"{type(error).__name__}: {error}")[:_LONGEST_WORDS]
            told = self._warnings.setdefault(what, [])
            told.append(words)
            if len(told) == 1:
                self._log.warning(f"The asset goes on without {what}: {words}")
            return None

    def warnings(self) -> Mapping[str, Any]:
        """Metadata that says what is missing; empty when nothing is."""
        if not self._warnings:
            return {}
        lines = [
            f"{what} could not be made: {words[0]}" + (f" ({len(words)} times)" if len(words) > 1 else "")
            for what, words in self._warnings.items()
        ]
        return {"warnings": dg.MetadataValue.text("; ".join(lines))}


def listed(words: Iterable[str], *, separator: str = "; ", most: int = MOST_LINES) -> str:
    """The first `most` of `words`, and how many more there are."""
    shown = list(words)
    return separator.join([*shown[:most], *([_more(len(shown) - most)] if len(shown) > most else [])])


def table(records: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """The first `MOST_LINES` of `records`, one at least, and a last one whose first column says how many more."""
    shown = [dg.TableRecord(dict(record)) for record in records[:MOST_LINES]]
    if len(records) > MOST_LINES:
        blank = {name: type(value)() for name, value in records[0].items()}
        shown.append(dg.TableRecord(blank | {next(iter(blank)): _more(len(records) - MOST_LINES)}))
    return dg.MetadataValue.table(shown)


def _more(count: int) -> str:
    return f"and {count} more"
