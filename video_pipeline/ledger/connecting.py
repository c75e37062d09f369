"""How the ledger is reached: connections that wait for a server and never for ever, and its troubles as sentences.

A server that is gone for a moment (restarted, out of connections, killed) is waited for, once an outage. One that is
silent, locked up or full ends a call within a minute, with a LedgerError that says what to do.
"""

import functools
import itertools
import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, ParamSpec, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlalchemy.util.queue import Empty

from video_pipeline.errors import LedgerError

_LOG = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")

# How long an outage is waited for; `connect_timeout` in the URL is another time.
_PATIENCE_S = 25.0
_ATTEMPT_S, _LEAST_ATTEMPT_S = 10.0, 2.0
_BACKOFF_S = (0.05, 0.1, 0.2, 0.4, 0.8)
# In this order: who is stopped in the middle of a transaction loses it before those that wait for its rows give up,
# and the server gives its word on a statement before this side stops listening. With the wait for a connection that
# follows it is less than a minute.
# A stopped process may have several connections in line for the same rows: a move of a clip's job and the lease's
# heartbeat, or all its threads for the budget. Each gets them in turn, without its process, and holds them for IDLE_S
# more. So IDLE_S is a quarter of what one try waits, and a try that was in vain is made again: a worker whose process
# goes on waits for a dozen of them. A process that only was slow for IDLE_S does its change again in the same way.
IDLE_S, LOCK_S, STATEMENT_S, SILENCE_S = 5, 20, 25, 30
_TRIES = 3


def _bounds(idle_s: float, lock_s: float, statement_s: float, unused_s: float) -> str:
    """The server's times for a session, in seconds; 0 is without end. Before Postgres 14 there is no `unused_s`."""
    return (
        f"SET SESSION idle_in_transaction_session_timeout = '{idle_s}s'; "
        f"SET SESSION lock_timeout = '{lock_s}s'; SET SESSION statement_timeout = '{statement_s}s'; "
        f"SELECT set_config(name, '{unused_s}s', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
    )


# How long a process keeps a connection that it does not use, while others may be in need of one: less than they wait.
_UNUSED_S = 10
_BOUNDED = _bounds(IDLE_S, LOCK_S, STATEMENT_S, _UNUSED_S)
_UNBOUNDED = _bounds(0, 0, 0, 0)
# A shortage of connections may come and go all day.
_TELL_SHORTAGE_EVERY_S = 30.0
# A machine that is gone without a word is noticed by its silence; on a local socket these mean nothing.
_KEEPALIVE: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": SILENCE_S * 1000,
}
_CROWDED = re.compile(r"too many (clients|connections)|remaining connection slots", re.IGNORECASE)
# In the words of a server that is, or will be, there; a password that is wrong stays wrong.
_PASSING = re.compile(
    "starting up|shutting down|recovery|not (yet )?accepting|timeout expired|timed out|"
    "refused|no such file or directory|closed the connection|reset by peer|terminating connection",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left|could not extend file|disk full|quota exceeded", re.IGNORECASE)
# Nothing of the transaction was written, and not for what it asks: rows that others hold (for too long for one wait,
# or for a statement's whole time), a pause of this process, a deadlock.
_UNDONE = {
    "55P03": f"kept a change waiting for {LOCK_S} s behind a worker that does not go on.",
    "57014": f"did not finish a statement within {STATEMENT_S} s; see what it is busy with.",
    "25P03": f"gave up on a change that this process left open for {IDLE_S} s, as if it was stopped.",
    "40P01": "gave up on a change that waited for another one, which waited for it.",
}
_AGAIN = "Run again: the work goes on where it stopped."

_IN_THE_URL = "host, port, database, user, password"


class ChangeUndone(LedgerError):
    """The server has taken a change back, surely all of it, and the same may work now; `why` is a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why} {_AGAIN}")
        self.why = why


def tried_again(change: Callable[_P, _T]) -> Callable[_P, _T]:
    """For what is one transaction: done again, a few times, when the server has taken it back."""

    @functools.wraps(change)
    def patient(*arguments: _P.args, **named: _P.kwargs) -> _T:
        for left in reversed(range(_TRIES)):
            try:
                return change(*arguments, **named)
            except ChangeUndone as error:
                if not left:
                    raise
                _LOG.warning("%s It is made again.", error.why)
        raise AssertionError("the last try returns or raises")

    return patient


class Server(NamedTuple):
    """A database to keep the ledger in; `start` brings an embedded one up, and gives its URL.

    `name` is how messages call it, without its password.
    """

    url: URL
    name: str
    start: Callable[[], str] | None = None


class _Bounded(psycopg.Connection[Any]):
    """A connection on which no answer is waited for longer than `patience_s`; None waits for ever."""

    patience_s: float | None = SILENCE_S

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        if timeout is not None or self.patience_s is None:
            return super().wait(gen, interval, timeout)
        deadline = time.monotonic() + self.patience_s
        try:
            return super().wait(gen, interval, self.patience_s)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or time.monotonic() < deadline:
                raise
            # What the server may still send belongs to nobody's question.
            self.pgconn.finish()
            raise ConnectionTimeout(f"no answer within {self.patience_s:g} s") from None


class _Crowded(psycopg.OperationalError):
    """The server has no connection left; worth `patience_s` seconds of waiting."""

    def __init__(self, words: str, patience_s: float) -> None:
        super().__init__(words)
        self.patience_s = patience_s


class _FrugalPool(QueuePool):
    """When the server has no connection left, one that another thread of this process gives back does as well."""

    def connect(self) -> PoolProxiedConnection:
        begun = time.monotonic()
        for number in itertools.count():
            try:
                return super().connect()
            except _Crowded as error:
                wait_s = _BACKOFF_S[min(number, len(_BACKOFF_S) - 1)]
                if time.monotonic() - begun + wait_s > error.patience_s:
                    raise
                with suppress(Empty):
                    self._pool.put(self._pool.get(True, wait_s), False)
        raise AssertionError("a shortage ends, or the patience with it")


def bounded_engine(server: Server) -> Engine:
    """An engine whose calls wait for `server` for a while, and then raise LedgerError with what is wrong."""
    # Its connections are asked for by no more than a dozen threads; the server's own times come first.
    engine = create_engine(
        server.url,
        poolclass=_FrugalPool,
        pool_size=4,
        max_overflow=8,
        pool_pre_ping=True,
        pool_timeout=2 * SILENCE_S,
        # The same few are used again, and the others given back.
        pool_use_lifo=True,
    )
    door = _Door(server)

    def connect(dialect: Any, _: object, __: list[Any], options: dict[str, Any]) -> psycopg.Connection[Any]:
        return door.connect(dialect, options)

    def tell(context: ExceptionContext) -> None:
        # A connection that died in the pool is replaced by a new one, and nobody needs to know.
        error = context.original_exception
        if isinstance(error, psycopg.Error) and not context.is_pre_ping:
            _tell(server, error, lost=context.is_disconnect or context.connection is None)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", tell)
    return engine


def without_bounds(connection: Connection) -> None:
    """Let statements on `connection`, which is not used for anything after this, take as long as they need."""
    connection.detach()
    cast(_Bounded, connection.connection.dbapi_connection).patience_s = None
    connection.execute(text(_UNBOUNDED))
    connection.commit()


def redacted(words: str, url: URL) -> str:
    """A database's first line without the password, wherever the URL gave it."""
    line = (words.strip().splitlines() or ["it does not say why"])[0].rstrip(".")
    for password in (url.password, url.query.get("password")):
        if isinstance(password, str) and password:
            line = line.replace(password, "***")
    return line


class _Door:
    """Opens connections to one server; an outage is waited for once, by all who ask in it together."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._away_since: float | None = None
        self._shortage_told_at = -_TELL_SHORTAGE_EVERY_S

    def connect(self, dialect: Any, options: dict[str, Any]) -> psycopg.Connection[Any]:
        """A connection with its bounds set; psycopg's error when the outage lasts too long, or will not pass."""
        patience_s = float(options.get("connect_timeout", _PATIENCE_S))
        started = False
        for number in itertools.count():
            attempt_s = min(_ATTEMPT_S, max(_LEAST_ATTEMPT_S, patience_s - self._waited_s()))
            try:
                given: dict[str, Any] = {**_KEEPALIVE, **options, "connect_timeout": round(attempt_s)}
                connection = _Bounded.connect(**given)
                connection.execute(_BOUNDED.encode())
                connection.commit()
            except psycopg.OperationalError as error:
                if _CROWDED.search(str(error)):
                    self._note_shortage(error)
                    raise _Crowded(str(error), patience_s) from error
                passing = _PASSING.search(str(error))
                if not (passing or self._server.start):
                    raise
                self._note(error)
                if self._server.start and not started:
                    options = options | dialect.create_connect_args(make_url(self._server.start()))[1]
                    started = True
                    continue
                started = False
                wait_s = _BACKOFF_S[min(number, len(_BACKOFF_S) - 1)]
                if not passing or self._waited_s() + wait_s > patience_s:
                    raise
                time.sleep(wait_s)
            else:
                self._away_since = None
                return connection
        raise AssertionError("an outage ends, or the patience with it")

    def _note(self, error: psycopg.Error) -> None:
        """Say once an outage that it is waited for."""
        with self._lock:
            if self._away_since is not None:
                return
            self._away_since = time.monotonic()
        self._tell(error)

    def _note_shortage(self, error: psycopg.Error) -> None:
        """Say now and then that one is waited for."""
        with self._lock:
            now = time.monotonic()
            if now - self._shortage_told_at < _TELL_SHORTAGE_EVERY_S:
                return
            self._shortage_told_at = now
        self._tell(error)

    def _tell(self, error: psycopg.Error) -> None:
        words = redacted(str(error), self._server.url)
        _LOG.warning("%s takes no connection now, trying again: %s", self._server.name, words)

    def _waited_s(self) -> float:
        """Seconds since the first try that failed in this outage."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since


def _tell(server: Server, error: psycopg.Error, *, lost: bool) -> None:
    """Raise LedgerError when `error` is the server's trouble, and not the statement's or the settings'."""
    words, state = redacted(str(error), server.url), error.sqlstate or ""

    def say(what: str) -> NoReturn:
        raise LedgerError(f"{server.name} {what} {_AGAIN}")

    if state == "53100" or _FULL.search(str(error)):
        say(f"has no room left on its disk ({words}). Free some space there.")
    if state == "53300" or _CROWDED.search(str(error)):
        say(f"has no connection left ({words}). Run fewer workers at once, or raise its max_connections.")
    if isinstance(error, ConnectionTimeout):
        say(f"does not answer ({words}). See whether it is stopped, or its disk is.")
    if state in _UNDONE:
        raise ChangeUndone(f"{server.name} {_UNDONE[state]}")
    if state[:2] in ("53", "57", "58") or state == "25006":
        say(f"cannot work now ({words}).")
    if lost and isinstance(error, psycopg.OperationalError):
        how = "See its log" if server.start else f"Start it, or check VIDEO_PIPELINE_LEDGER_URL ({_IN_THE_URL})"
        say(f"cannot be reached ({words}). {how}.")
