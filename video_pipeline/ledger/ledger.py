"""Opening the ledger and its parts: one object with a repository per subject."""

from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.alerts import AlertRows
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline.ledger.governance import Governance
from video_pipeline.ledger.intake import Intake
from video_pipeline.ledger.jobs import Jobs
from video_pipeline.ledger.leases import Leases
from video_pipeline.ledger.publications import Publications
from video_pipeline.ledger.reviews import Reviews
from video_pipeline.ledger.spend import Spend

_MIGRATION_LOCK = 7_213_001


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
    def leases(self) -> Leases:
        """Who works on what."""
        return Leases(self.engine)

    def close(self) -> None:
        self.engine.dispose()


def open_ledger(url: str | None, *, embedded_dir: Path) -> Ledger:
    """The ledger at `url`, or in an embedded Postgres under `embedded_dir` when there is none; migrated.

    Raises LedgerError, which names the server but never its password.
    """
    engine = _engine(url or embedded_url(embedded_dir))
    try:
        migrate(engine)
    except DBAPIError as error:
        where = f"{engine.url.host or 'the local socket'}, database {engine.url.database}"
        reason = _redacted(str(error.orig).strip().splitlines()[0], engine)
        raise LedgerError(
            f"The ledger at {where} cannot be used: {reason}. Check VIDEO_PIPELINE_LEDGER_URL (host, port, database, "
            "user, password, and that the user may create tables), or unset it to use the embedded Postgres."
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
        # Held for the session, not a transaction: each migration commits its own.
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.commit()
        try:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()


def _engine(url: str) -> Engine:
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
    return create_engine(
        parsed, pool_size=4, max_overflow=8, pool_pre_ping=True, connect_args={"connect_timeout": 10}
    )


def _redacted(reason: str, engine: Engine) -> str:
    """A database's words without the password, wherever the URL gave it."""
    given = (engine.url.password, engine.url.query.get("password"))
    for password in given:
        if isinstance(password, str) and password:
            reason = reason.replace(password, "***")
    return reason
