"""Leases: who works on what, and the fence that keeps out a worker who has slept through the end of its lease.

A lease is known by its token, which no other one ever has. Whoever holds a lease asks twice whether
it still does: every transaction that writes asks the database (`fenced`, or `HELD` in its own statement), and right
before anything that cannot be taken back the lease itself is asked (`Lease.check`), which needs no database. No
worker's wall clock is read.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import DBAPIError

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.together import made, together

_LOG = logging.getLogger(__name__)
# Goes on while the machine sleeps, and nobody can set it; macOS calls that clock the monotonic one.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# The part of a lease's time that its owner leaves unused: two clocks may run at slightly different speeds.
_MARGIN = 0.1
# How long a person's answer may take to be written down before its heartbeat has to renew it.
_PERSON_S = 30.0


class LeaseLost(LedgerError):
    """Another worker, or a person, may have the work by now; whoever had it must not go on."""


class Lease:
    """One owner's hold on `resource`: `token` is this hold's alone. Safe to share between threads.

    `taken_from` is until when somebody had it before who never gave it back, who may be stopped or dead; else None.
    """

    def __init__(
        self,
        resource: str,
        owner: str,
        token: int,
        *,
        ttl_s: float,
        asked_at: float,
        taken_from: datetime | None = None,
    ) -> None:
        self.resource = resource
        self.owner = owner
        self.token = token
        self.ttl_s = ttl_s
        self.taken_from = taken_from
        self._asked_at = asked_at
        self._lost = False

    def check(self) -> None:
        """Raises LeaseLost unless the lease is surely still held; asks nothing but a clock."""
        age_s = _now_s() - self._asked_at
        if self._lost or age_s > self.ttl_s * (1 - _MARGIN):
            raise self.lost()

    def renewed(self, asked_at: float) -> None:
        """It was renewed by a request made at `asked_at`; the database counts from a moment that is not earlier."""
        self._asked_at = asked_at

    def lost(self) -> LeaseLost:
        """Mark it as lost for good; the error to raise."""
        self._lost = True
        return LeaseLost(f"The lease on {self.resource} is lost: another worker has taken it over, or may have.")


def new_owner() -> str:
    """`place:pid:random`, so that a later process in the same place can see that the owner is dead."""
    return f"{place()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def place() -> str:
    """Where process ids mean the same: this host, and this container's process namespace."""
    namespace = Path("/proc/self/ns/pid")
    inner = namespace.readlink().name if namespace.exists() else ""
    return f"{socket.gethostname()}/{inner}".replace(":", "")


class _Wish(NamedTuple):
    resource: str
    owner: str
    ttl_s: float


def _acquired(engine: Engine, wishes: Sequence[_Wish]) -> Sequence[Lease | Exception | None]:
    asked_at = _now_s()
    with engine.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT resource, owner, until, until < clock_timestamp() AS over FROM leases "
                "WHERE resource = ANY(:resources) ORDER BY resource FOR UPDATE"
            ),
            {"resources": [wish.resource for wish in wishes]},
        )
        former = {row.resource: row for row in rows}
        # Who asks twice for the same thing gets it once, as two workers would.
        first = {wish.resource: wish for wish in reversed(wishes)}
        new = [wish for wish in first.values() if wish.resource not in former]
        old = [first[row.resource] for row in former.values() if row.over or _is_dead(row.owner)]
        tokens = _taken(connection, _INSERTED, new) | _taken(connection, _TAKEN_OVER, old)
    return [
        None
        if wish.resource not in tokens or first[wish.resource] is not wish
        else Lease(
            *wish[:2],
            tokens[wish.resource],
            ttl_s=wish.ttl_s,
            asked_at=asked_at,
            taken_from=former[wish.resource].until if wish.resource in former else None,
        )
        for wish in wishes
    ]


_WISHES = (
    "unnest(CAST(:resources AS text[]), CAST(:owners AS text[]), CAST(:ttls AS float[])) "
    "AS wish (resource, owner, ttl)"
)
_INSERTED = text(
    "INSERT INTO leases (resource, owner, token, until) SELECT resource, owner, nextval('lease_tokens'), "
    f"clock_timestamp() + make_interval(secs => ttl) FROM {_WISHES} ORDER BY resource "
    "ON CONFLICT DO NOTHING RETURNING resource, token"
)
_TAKEN_OVER = text(
    "UPDATE leases SET owner = wish.owner, token = nextval('lease_tokens'), "
    f"until = clock_timestamp() + make_interval(secs => wish.ttl) FROM {_WISHES} "
    "WHERE leases.resource = wish.resource RETURNING leases.resource, token"
)


def _taken(connection: Connection, statement: TextClause, wishes: Sequence[_Wish]) -> dict[str, int]:
    """The tokens of the leases that were had, by resource."""
    if not wishes:
        return {}
    resources, owners, ttls = zip(*wishes, strict=True)
    rows = connection.execute(statement, {"resources": [*resources], "owners": [*owners], "ttls": [*ttls]})
    return {row.resource: row.token for row in rows}


HELD = """held AS MATERIALIZED (
    SELECT resource, token FROM leases
    WHERE (resource, token) IN (SELECT resource, token FROM asked) AND until > clock_timestamp()
    ORDER BY resource FOR SHARE
)"""
"""Part of a statement: the leases that are `asked` with and held still, locked until its transaction ends."""
# Whoever locks several leases locks them in this order.
_OURS = (
    "SELECT resource, token, ttl FROM leases JOIN unnest(CAST(:resources AS text[]), CAST(:tokens AS bigint[]), "
    "CAST(:ttls AS float[])) AS ours (resource, token, ttl) USING (resource, token) "
    "ORDER BY resource FOR UPDATE OF leases"
)


def _renewed(engine: Engine, leases: Sequence[Lease]) -> Sequence[Exception | None]:
    """A lease that a change holds at the moment is not renewed; so one holds up no other."""
    asked_at = _now_s()
    statement = text(
        f"WITH ours AS MATERIALIZED ({_OURS} SKIP LOCKED), renewed AS ("
        "UPDATE leases SET until = clock_timestamp() + make_interval(secs => ours.ttl) FROM ours "
        "WHERE leases.resource = ours.resource AND leases.token = ours.token RETURNING leases.token"
        ") SELECT leases.token, renewed.token IS NOT NULL AS renewed FROM leases LEFT JOIN renewed USING (token) "
        "WHERE leases.token = ANY(:tokens)"
    )
    with engine.begin() as connection:
        there = {row.token: row.renewed for row in connection.execute(statement, _given(leases))}
    outcomes: list[Exception | None] = []
    for lease in leases:
        if there.get(lease.token):
            lease.renewed(asked_at)
            outcomes.append(None)
        elif lease.token in there:
            outcomes.append(LedgerError(f"a change holds the lease on {lease.resource}"))
        else:
            outcomes.append(lease.lost())
    return outcomes


def _deleted(engine: Engine, leases: Sequence[Lease]) -> Sequence[Exception | None]:
    statement = text(
        f"WITH ours AS MATERIALIZED ({_OURS}) DELETE FROM leases USING ours "
        "WHERE leases.resource = ours.resource AND leases.token = ours.token"
    )
    with engine.begin() as connection:
        connection.execute(statement, _given(leases))
    return [None] * len(leases)


def _released(engine: Engine, leases: Sequence[Lease]) -> Sequence[Exception | None]:
    for lease, error in zip(leases, made(engine, leases, _deleted), strict=True):
        if error is not None:
            _LOG.warning("The lease on %s could not be given back: %s", lease.resource, _reason(error))
    return [None] * len(leases)


def _given(leases: Sequence[Lease]) -> dict[str, Any]:
    return {
        "resources": [lease.resource for lease in leases],
        "tokens": [lease.token for lease in leases],
        "ttls": [lease.ttl_s for lease in leases],
    }


class Leases:
    """One owner at a time for each resource, named by any string; by the database's clock, not the workers'."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._heart = _Heart(engine)

    @property
    def engine(self) -> Engine:
        return self._engine

    @together(_acquired)
    def acquire(self, resource: str, owner: str, *, ttl_s: float) -> _Wish:
        """Take the lease for `ttl_s` seconds; None while another live owner holds it."""
        return _Wish(resource, owner, ttl_s)

    @together(_renewed)
    def renew(self, lease: Lease) -> Lease:
        """Hold it for its time from now on. Raises LeaseLost when it is another's, or nobody's any more."""
        return lease

    @together(_released)
    def release(self, lease: Lease) -> Lease:
        """Give it back; nothing happens when it is another's by now.

        Never raises: what ended the work says more, and a lease that cannot be given back runs out by itself.
        """
        return lease

    @contextmanager
    def held(self, resource: str, *, ttl_s: float) -> Generator[Lease | None, None, None]:
        """Hold the lease with a heartbeat for the length of the block; yields None when another has it."""
        lease = self.acquire(resource, new_owner(), ttl_s=ttl_s)
        if lease is None:
            yield None
            return
        try:
            with self.kept(lease):
                yield lease
        finally:
            self.release(lease)

    @contextmanager
    def kept(self, lease: Lease) -> Generator[None, None, None]:
        """Renew the lease for the length of the block; one heartbeat serves all leases of the process."""
        self._heart.keep(lease)
        try:
            yield
        finally:
            self._heart.leave(lease)

    @contextmanager
    def for_a_person(self, resource: str) -> Generator[Lease, None, None]:
        """Hold the lease while a person's answer is written down.

        Raises LedgerError, with the moment to ask again, while a live worker holds it.
        """
        with self.held(resource, ttl_s=_PERSON_S) as lease:
            if lease is None:
                raise LedgerError(f"A worker is at it until {self._until(resource)}; ask again then.")
            yield lease

    def settled(self, since: datetime, *, after_s: float) -> None:
        """Raises LedgerError, with the moment to ask again, until `after_s` seconds have passed since `since`.

        For what was sent, or may have been, by a worker who is gone or stopped: until then it may still arrive.
        """
        until = since + timedelta(seconds=after_s)
        with self._engine.connect() as connection:
            now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        if now < until:
            raise LedgerError(f"What was sent may still arrive until {_clock_time(until)}; ask again then.")

    def _until(self, resource: str) -> str:
        with self._engine.connect() as connection:
            until = connection.execute(
                text("SELECT until FROM leases WHERE resource = :resource"), {"resource": resource}
            ).scalar_one_or_none()
        return "this very moment" if until is None else _clock_time(until)


class _Heart:
    """Renews, in one statement a beat, whatever leases are kept; its thread lives as long as there are any."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        # When each lease is to be renewed next.
        self._due: dict[Lease, float] = {}
        self._beating = False

    def keep(self, lease: Lease) -> None:
        with self._changed:
            self._due[lease] = _now_s() + lease.ttl_s / 3
            if not self._beating:
                self._beating = True
                threading.Thread(target=self._beat, name="leases", daemon=True).start()
            self._changed.notify()

    def leave(self, lease: Lease) -> None:
        with self._changed:
            self._due.pop(lease, None)
            self._changed.notify()

    def _beat(self) -> None:
        while leases := self._next():
            asked_at = _now_s()
            self._note(leases, made(self._engine, leases, _renewed), asked_at)

    def _next(self) -> list[Lease]:
        """Waits until a lease is due; the leases to renew then, none when there are none any more."""
        with self._changed:
            while self._due:
                wait_s = min(self._due.values()) - _now_s()
                if wait_s <= 0:
                    # Those that are due soon are renewed along with it.
                    return [lease for lease, due in self._due.items() if due <= _now_s() + lease.ttl_s / 12]
                self._changed.wait(wait_s)
            self._beating = False
            return []

    def _note(self, leases: Sequence[Lease], outcomes: Sequence[Exception | None], asked_at: float) -> None:
        late: set[str] = set()
        with self._changed:
            for lease, error in zip(leases, outcomes, strict=True):
                if lease not in self._due:
                    # It was given back meanwhile.
                    continue
                if isinstance(error, LeaseLost):
                    _LOG.error("The lease on %s was lost to another worker; its work ends here", lease.resource)
                    self._due.pop(lease)
                elif error is not None:
                    late.add(_reason(error))
                    # Soon: there are few tries before it runs out.
                    self._due[lease] = _now_s() + lease.ttl_s / 12
                else:
                    # At once when the answer was long in coming.
                    self._due[lease] = asked_at + lease.ttl_s / 3
        for why in late:
            _LOG.warning("Leases could not be renewed, trying again: %s", why)


@contextmanager
def fenced(engine: Engine, lease: Lease | None) -> Generator[Connection, None, None]:
    """A transaction that nobody can take the lease over in; without a lease, a plain one.

    Raises LeaseLost when the lease is not held any more.
    """
    with engine.begin() as connection:
        if lease is not None:
            held = connection.execute(
                text(
                    "SELECT 1 FROM leases WHERE resource = :resource AND token = :token "
                    "AND until > clock_timestamp() FOR SHARE"
                ),
                {"resource": lease.resource, "token": lease.token},
            ).first()
            if held is None:
                raise lease.lost()
        yield connection


def held_now(connection: Connection) -> list[str]:
    """The resources of all leases whose owner may be alive."""
    rows = connection.execute(text("SELECT resource, owner FROM leases WHERE until > clock_timestamp()"))
    return [row.resource for row in rows if not _is_dead(row.owner)]


def _now_s() -> float:
    """Seconds on the clock that leases are measured by."""
    return time.clock_gettime(_CLOCK)


def _clock_time(moment: datetime) -> str:
    """A moment as a person reads it; rounded up, so that what it says is not too early."""
    return f"{moment.astimezone(UTC) + timedelta(milliseconds=999):%H:%M:%S} UTC"


def _reason(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error)


def _is_dead(owner: str) -> bool:
    """Whether the owner was a process of this host that has ended."""
    owners_place, pid, _ = owner.rsplit(":", 2)
    if owners_place != place():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
