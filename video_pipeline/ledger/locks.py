"""Locks on names, held until the transaction ends: what makes a check and its effect one step over all processes."""

from sqlalchemy import Connection, text


def lock(connection: Connection, name: str) -> None:
    """Wait for, and take, the lock on `name`."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
