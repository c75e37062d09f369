"""Leases: who works on what, and the fence that keeps out a worker who has slept through the end of its lease.

A lease is known by its token, which no other one ever has. Whoever holds a lease asks twice whether
it still does: every transaction that writes asks the database (`fenced`), and right before anything that cannot be
taken back the lease itself is asked (`Lease.check`), which needs no database. No worker's wall clock is read.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.connecting import tried_again

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
    return f"{_place()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def _place() -> str:
    """Where process ids mean the same: this host, and this container's process namespace."""
    namespace = Path("/proc/self/ns/pid")
    inner = namespace.readlink().name if namespace.exists() else ""
    return f"{socket.gethostname()}/{inner}".replace(":", "")


class Leases:
    """One owner at a time for each resource, named by any string; by the database's clock, not the workers'."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @tried_again
    def acquire(self, resource: str, owner: str, *, ttl_s: float) -> Lease | None:
        """Take the lease for `ttl_s` seconds; None while another live owner holds it."""
        asked_at = _now_s()
        asked = {"resource": resource, "owner": owner, "ttl": ttl_s}
        with self._engine.begin() as connection:
            former = connection.execute(
                text(
                    "SELECT owner, until, until < clock_timestamp() AS over FROM leases "
                    "WHERE resource = :resource FOR UPDATE"
                ),
                asked,
            ).one_or_none()
            if former is None:
                token = connection.execute(
                    text(
                        "INSERT INTO leases (resource, owner, token, until) VALUES (:resource, :owner, "
                        "nextval('lease_tokens'), clock_timestamp() + make_interval(secs => :ttl)) "
                        "ON CONFLICT DO NOTHING RETURNING token"
                    ),
                    asked,
                ).scalar_one_or_none()
            elif former.over or _is_dead(former.owner):
                token = connection.execute(
                    text(
                        "UPDATE leases SET owner = :owner, token = nextval('lease_tokens'), "
                        "until = clock_timestamp() + make_interval(secs => :ttl) "
                        "WHERE resource = :resource RETURNING token"
                    ),
                    asked,
                ).scalar_one()
            else:
                token = None
        if token is None:
            return None
        taken_from = None if former is None else former.until
        return Lease(resource, owner, token, ttl_s=ttl_s, asked_at=asked_at, taken_from=taken_from)

    @tried_again
    def renew(self, lease: Lease) -> None:
        """Hold it for its time from now on. Raises LeaseLost when it is another's, or nobody's any more."""
        asked_at = _now_s()
        with self._engine.begin() as connection:
            renewed = connection.execute(
                text(
                    "UPDATE leases SET until = clock_timestamp() + make_interval(secs => :ttl) "
                    "WHERE resource = :resource AND token = :token"
                ),
                {"resource": lease.resource, "token": lease.token, "ttl": lease.ttl_s},
            )
            if renewed.rowcount != 1:
                raise lease.lost()
        lease.renewed(asked_at)

    @tried_again
    def release(self, lease: Lease) -> None:
        """Give it back; nothing happens when it is another's by now."""
        with self._engine.begin() as connection:
            connection.execute(
                text("DELETE FROM leases WHERE resource = :resource AND token = :token"),
                {"resource": lease.resource, "token": lease.token},
            )

    @contextmanager
    def held(self, resource: str, *, ttl_s: float) -> Generator[Lease | None, None, None]:
        """Hold the lease with a heartbeat for the length of the block; yields None when another has it."""
        lease = self.acquire(resource, new_owner(), ttl_s=ttl_s)
        if lease is None:
            yield None
            return
        done = threading.Event()
        beat = threading.Thread(target=self._keep_renewing, args=(lease, done), name=f"lease {resource}", daemon=True)
        beat.start()
        try:
            yield lease
        finally:
            done.set()
            beat.join(timeout=ttl_s)
            try:
                self.release(lease)
            except (DBAPIError, LedgerError) as error:
                # What ended the block says more than this does, and the lease runs out by itself.
                _LOG.warning("The lease on %s could not be given back: %s", resource, _reason(error))

    def _keep_renewing(self, lease: Lease, done: threading.Event) -> None:
        wait_s = lease.ttl_s / 3
        while not done.wait(wait_s):
            wait_s = lease.ttl_s / 3
            try:
                self.renew(lease)
            except LeaseLost:
                _LOG.error("The lease on %s was lost to another worker; its work ends here", lease.resource)
                return
            except (DBAPIError, LedgerError) as error:
                _LOG.warning("The lease on %s could not be renewed, trying again: %s", lease.resource, _reason(error))
                # Soon: there are few tries before it runs out.
                wait_s = lease.ttl_s / 12

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


def alive_until(connection: Connection) -> dict[str, datetime]:
    """Resource -> until when its lease runs, of all leases whose owner may be alive."""
    rows = connection.execute(text("SELECT resource, owner, until FROM leases WHERE until > clock_timestamp()"))
    return {row.resource: row.until for row in rows if not _is_dead(row.owner)}


def _now_s() -> float:
    """Seconds on the clock that leases are measured by."""
    return time.clock_gettime(_CLOCK)


def _clock_time(moment: datetime) -> str:
    """A moment as a person reads it; rounded up, so that what it says is not too early."""
    return f"{moment.astimezone(UTC) + timedelta(milliseconds=999):%H:%M:%S} UTC"


def _reason(error: DBAPIError | LedgerError) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error)


def _is_dead(owner: str) -> bool:
    """Whether the owner was a process of this host that has ended."""
    place, pid, _ = owner.rsplit(":", 2)
    if place != _place():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
