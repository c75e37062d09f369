"""Opening the ledger and its parts: one object with a repository per subject."""

import time
from functools import cached_property, partial
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.alerts import AlertRows
from video_pipeline.ledger.breakers import Breakers
from video_pipeline.ledger.connecting import Server, bounded_engine, redacted, without_bounds
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline.ledger.governance import Governance
from video_pipeline.ledger.intake import Intake
from video_pipeline.ledger.jobs import Jobs
from video_pipeline.ledger.leases import Leases
from video_pipeline.ledger.publications import Publications
from video_pipeline.ledger.reviews import Reviews
from video_pipeline.ledger.runs import RunBeats
from video_pipeline.ledger.spend import Spend
from video_pipeline.ledger.trails import Trails
from video_pipeline.ledger.waits import Waits
from video_pipeline.ledger.webhooks import WebhookCalls

_MIGRATION_LOCK = 7_213_001
# How long another process may be at the migrations before this one stops waiting for it.
_MIGRATIONS_S = 50.0


class Ledger:
    """The ledger over one database; each attribute is the repository of one subject."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @cached_property
    def intake(self) -> Intake:
        """Inbox files, briefs and quarantine."""
        return Intake(self.engine)

    @cached_property
    def jobs(self) -> Jobs:
        """Paid attempts: their states, their spend, the cache."""
        return Jobs(self.engine)

    @cached_property
    def spend(self) -> Spend:
        """Money that is not a job's, and sums over all money."""
        return Spend(self.engine)

    @cached_property
    def governance(self) -> Governance:
        """Sticky decisions, tier states, standings, preferences."""
        return Governance(self.engine)

    @cached_property
    def publications(self) -> Publications:
        """What went public where, and how it was received."""
        return Publications(self.engine)

    @cached_property
    def reviews(self) -> Reviews:
        """Clips that wait for a person."""
        return Reviews(self.engine)

    @cached_property
    def alerts(self) -> AlertRows:
        """What was alerted, once a cause."""
        return AlertRows(self.engine)

    @cached_property
    def webhook_calls(self) -> WebhookCalls:
        """What providers' webhooks have told of jobs."""
        return WebhookCalls(self.engine)

    @cached_property
    def breakers(self) -> Breakers:
        """Which providers and models are left alone."""
        return Breakers(self.engine)

    @cached_property
    def trails(self) -> Trails:
        """When what happened to a clip."""
        return Trails(self.engine)

    @cached_property
    def leases(self) -> Leases:
        """Who works on what."""
        return Leases(self.engine)

    @cached_property
    def waits(self) -> Waits:
        """What waits, why, since when and until when."""
        return Waits(self.engine)

    @cached_property
    def run_beats(self) -> RunBeats:
        """Signs of life of runs."""
        return RunBeats(self.engine)

    def close(self) -> None:
        self.engine.dispose()


def open_ledger(url: str | None, *, embedded_dir: Path) -> Ledger:
    """The ledger at `url`, or in an embedded Postgres under `embedded_dir` when there is none; migrated.

    A server that takes no connection is waited for. Raises LedgerError, which names the server, never its password.
    """
    if url is None:
        start = partial(embedded_url, embedded_dir)
        server = Server(make_url(start()), f"The embedded ledger in {embedded_dir}", start)
    else:
        parsed = _parsed(url)
        server = Server(parsed, f"The ledger at {parsed.host or 'the local socket'}, database {parsed.database},")
    engine = bounded_engine(server)
    try:
        migrate(engine)
    except DBAPIError as error:
        raise LedgerError(
            f"{server.name} cannot be used: {redacted(str(error.orig), server.url)}. Check VIDEO_PIPELINE_LEDGER_URL "
            "(host, port, database, user, password, and that the user may create tables), or unset it to use the "
            "embedded Postgres."
        ) from None
    return Ledger(engine)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version; safe when many processes do it at once."""
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        if MigrationContext.configure(connection).get_current_revision() == head:
            return
        without_bounds(connection)
        _wait_for_migrations(connection)
        try:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()


def _wait_for_migrations(connection: Connection) -> None:
    """Take the lock on the schema; LedgerError when another process does not give it up in time."""
    deadline = time.monotonic() + _MIGRATIONS_S
    # Held for the session, not a transaction: each migration commits its own.
    while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _MIGRATION_LOCK}).scalar_one():
        connection.commit()
        if time.monotonic() > deadline:
            raise LedgerError(
                f"Another process has been bringing the ledger's tables to this release for {_MIGRATIONS_S:.0f} s. "
                "Run again when it has ended; if it is stopped, end it."
            )
        time.sleep(0.1)
    connection.commit()


def _parsed(url: str) -> URL:
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    if not url.startswith("postgresql+psycopg://"):
        scheme, mark, _ = url.partition("://")
        given = f"not one of {scheme}" if mark else "and what is set is no URL"
        raise LedgerError(
            "VIDEO_PIPELINE_LEDGER_URL must be a Postgres URL such as "
            f"postgresql://user:password@host:5432/video_pipeline, {given}."
        )
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # What cannot be parsed is not shown: a password may stand anywhere in it.
        raise LedgerError(
            "VIDEO_PIPELINE_LEDGER_URL cannot be read as a URL. Write it as "
            "postgresql://user:password@host:5432/video_pipeline, and special characters in the password as %40 and "
            "the like."
        ) from None
    if parsed.host and "@" in parsed.host:
        raise LedgerError(
            "VIDEO_PIPELINE_LEDGER_URL has an @ in its password or user: write it as %40, or the rest is taken for "
            "the host."
        )
    return parsed
