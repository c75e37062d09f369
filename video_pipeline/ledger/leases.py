"""Leases: who works on what. An expired or orphaned lease is taken over, work is never done by two at once."""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

_LOG = logging.getLogger(__name__)


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

    def acquire(self, resource: str, owner: str, *, ttl_s: float) -> bool:
        """Take or renew the lease; False while another live owner holds it."""
        with self._engine.begin() as connection:
            taken = connection.execute(
                text(
                    "INSERT INTO leases (resource, owner, until) "
                    "VALUES (:resource, :owner, clock_timestamp() + make_interval(secs => :ttl)) "
                    "ON CONFLICT (resource) DO UPDATE SET owner = excluded.owner, until = excluded.until "
                    "WHERE leases.owner = excluded.owner OR leases.until < clock_timestamp() RETURNING owner"
                ),
                {"resource": resource, "owner": owner, "ttl": ttl_s},
            ).first()
            if taken is not None:
                return True
            holder = connection.execute(
                text("SELECT owner FROM leases WHERE resource = :resource FOR UPDATE"), {"resource": resource}
            ).scalar_one_or_none()
            if holder is None or not _is_dead(holder):
                return False
            connection.execute(
                text(
                    "UPDATE leases SET owner = :owner, until = clock_timestamp() + make_interval(secs => :ttl) "
                    "WHERE resource = :resource"
                ),
                {"resource": resource, "owner": owner, "ttl": ttl_s},
            )
            return True

    def release(self, resource: str, owner: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                text("DELETE FROM leases WHERE resource = :resource AND owner = :owner"),
                {"resource": resource, "owner": owner},
            )

    @contextmanager
    def held(self, resource: str, *, ttl_s: float) -> Generator[bool, None, None]:
        """Hold the lease with a heartbeat for the length of the block; yields False when another has it."""
        owner = new_owner()
        if not self.acquire(resource, owner, ttl_s=ttl_s):
            yield False
            return
        done = threading.Event()

        def heartbeat() -> None:
            while not done.wait(ttl_s / 3):
                try:
                    if not self.acquire(resource, owner, ttl_s=ttl_s):
                        # The work goes on: every state change checks the state it leaves, so nothing is done twice.
                        _LOG.error("The lease on %s was lost to another worker", resource)
                        return
                except DBAPIError as error:
                    _LOG.warning("The lease on %s could not be renewed, trying again: %s", resource, error.orig)

        beat = threading.Thread(target=heartbeat, name=f"lease {resource}", daemon=True)
        beat.start()
        try:
            yield True
        finally:
            done.set()
            beat.join(timeout=ttl_s)
            self.release(resource, owner)


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
