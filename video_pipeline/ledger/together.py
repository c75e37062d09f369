"""Calls that can be made together: what one caller asks for is drawn up first, and made alone or with that of others.

One transaction for many callers costs little more than one for a single caller. What is one caller's trouble stays
that caller's: each gets its own outcome or its own error.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.connecting import ChangeUndone, tried_again

_P = ParamSpec("_P")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
Make = Callable[[Engine, Sequence[_Item]], Sequence[_Result | Exception]]
"""Makes all of the items in one transaction; the outcome or the error of each, in their order."""


class Together(Generic[_P, _Item, _Result]):
    """A call. `draw` says what is asked for, and asks nobody; `make` is the same function for every such call."""

    def __init__(self, engine: Engine, draw: Callable[_P, _Item], make: Make[_Item, _Result]) -> None:
        self.engine = engine
        self.draw = draw
        self.make = make

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _Result:
        """Make it alone."""
        [outcome] = self.make(self.engine, [self.draw(*args, **kwargs)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class _Owner(Protocol):
    @property
    def engine(self) -> Engine: ...


class _Method(Generic[_P, _Item, _Result]):
    def __init__(self, draw: Callable[Concatenate[Any, _P], _Item], make: Make[_Item, _Result]) -> None:
        self._draw = draw
        self._make = make
        self.__doc__ = draw.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: _Owner, kind: type) -> Together[_P, _Item, _Result]: ...
    def __get__(self, owner: _Owner | None, kind: type) -> Self | Together[_P, _Item, _Result]:
        if owner is None:
            return self
        drawn = cast("Callable[_P, _Item]", functools.partial(self._draw, owner))
        return Together(owner.engine, drawn, self._make)


def together(
    make: Make[_Item, _Result],
) -> Callable[[Callable[Concatenate[Any, _P], _Item]], _Method[_P, _Item, _Result]]:
    """A method that only draws up what `make` is to do; it is called like one that does it itself.

    Items that cannot be made together, as one of them is at fault, are made one by one.
    """

    def each(engine: Engine, items: Sequence[_Item]) -> Sequence[_Result | Exception]:
        return made(engine, items, make)

    def method(draw: Callable[Concatenate[Any, _P], _Item]) -> _Method[_P, _Item, _Result]:
        return _Method(draw, each)

    return method


def made(engine: Engine, items: Sequence[_Item], make: Make[_Item, _Result]) -> Sequence[_Result | Exception]:
    """What `make` gives for the items; when they cannot be made together, what it gives for each alone."""
    alone = len(items) == 1
    try:
        return (tried_again(make) if alone else make)(engine, items)
    except Exception as error:
        if alone or not _taken_back(error):
            return [error] * len(items)
    return [outcome for item in items for outcome in made(engine, [item], make)]


# The class of SQLSTATEs of what is too long or too complex for the server.
_LIMIT_EXCEEDED = "54"


def _taken_back(error: Exception) -> bool:
    """Whether all of it was taken back, surely: bad data, a violated constraint or limit, rows that others hold.

    What is neither the database's nor the ledger's was raised by a row or a value, before the commit.
    """
    if isinstance(error, DBAPIError):
        limit = (getattr(error.orig, "sqlstate", None) or "").startswith(_LIMIT_EXCEEDED)
        return limit or isinstance(error, DataError | IntegrityError)
    return isinstance(error, ChangeUndone) or not isinstance(error, LedgerError | SQLAlchemyError)
