"""The ledger's tables. Migrations (`migrations/versions`) create them; a test holds the two together."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

USD = Numeric(12, 6)

# What is under way or in doubt: few rows of many, so that whoever looks for them need not read the history.
JOBS_OPEN = "state IN ('reserved', 'submitting', 'submitted', 'processing', 'rendered', 'stored', 'unknown')"
PUBLICATIONS_OPEN = "state IN ('planned', 'publishing', 'processing', 'failed', 'unknown')"
REVIEWS_OPEN = "state = 'waiting'"


def _at(name: str, *, default: bool = False, nullable: bool = True) -> Column[datetime]:
    if default:
        return Column(name, DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())
    return Column(name, DateTime(timezone=True), nullable=nullable)


inbox_files = Table(
    "inbox_files",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("day", Date, nullable=False),
    _at("claimed_at", default=True),
)

briefs = Table(
    "briefs",
    metadata,
    Column("clip_id", Text, primary_key=True),
    Column("day", Date, nullable=False, index=True),
    Column("brief_id", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("document", JSONB, nullable=False),
    # What guidance had for the fields that it left open when it was taken in first.
    Column("applied", JSONB),
    # When its file came into the inbox, by the file system's clock.
    _at("arrived_at"),
    _at("created_at", default=True),
    _at("updated_at", default=True),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("day", Date, nullable=False, index=True),
    Column("source", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("raw", Text, nullable=False),
    _at("created_at", default=True),
    UniqueConstraint("day", "source", "sha256"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("clip_id", Text, primary_key=True),
    Column("shot", Integer, primary_key=True),
    Column("shot_sha256", String(64), primary_key=True),
    Column("document", JSONB, nullable=False),
    _at("decided_at", default=True),
    Index("ix_decisions_clip_prefix", "clip_id", postgresql_ops={"clip_id": "text_pattern_ops"}),
)

jobs = Table(
    "jobs",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("day", Date, nullable=False, index=True),
    Column("clip_id", Text, nullable=False),
    Column("shot", Integer, nullable=False),
    Column("shot_sha256", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("strategy", String(32), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("tier", String(16), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("model", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("render_order", JSONB, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("request_sha256", String(64), nullable=False, index=True),
    Column("expected_usd", USD, nullable=False),
    Column("state", String(16), nullable=False),
    Column("failure_kind", String(16)),
    Column("failure_reason", Text),
    Column("retry_allowed", Integer, nullable=False, server_default="1"),
    Column("provider_job_id", Text),
    Column("receipt", JSONB),
    Column("media_url", Text),
    Column("media_key", Text),
    Column("media_sha256", String(64)),
    Column("media_bytes", BigInteger),
    Column("verdict", JSONB),
    Column("billed_usd", USD, nullable=False, server_default="0"),
    Column("billed_s", Float, nullable=False, server_default="0"),
    # What the vendor's billing says, and `billed_usd` is then; none where that was not read.
    Column("vendor_usd", USD),
    # How it ended without a file; none of those that an earlier release has ended.
    Column("ending", String(16)),
    Column("cached_from", String(64)),
    Column("saved_usd", USD, nullable=False, server_default="0"),
    Column("run_id", Text, nullable=False),
    _at("created_at", default=True),
    _at("submitted_at"),
    _at("finished_at"),
    _at("updated_at", default=True),
    Index("ix_jobs_clip_shot", "clip_id", "shot"),
    Index("ix_jobs_model_submitted", "provider", "model", "submitted_at"),
    Index(
        "uq_jobs_provider_job",
        "provider",
        "provider_job_id",
        unique=True,
        postgresql_where=text("provider_job_id IS NOT NULL"),
    ),
    Index("ix_jobs_open", "state", postgresql_where=text(JOBS_OPEN)),
    Index(None, "finished_at"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("job_key", String(64), nullable=False, index=True),
    Column("from_state", String(16), nullable=False),
    Column("to_state", String(16), nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    # What the other side has answered, clean and cut, where it decided or was not understood.
    Column("answer", JSONB(none_as_null=True)),
    _at("at", default=True),
)

spend = Table(
    "spend",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    # The clip's production day, and the calendar day whose ceiling the money counts against.
    Column("day", Date, nullable=False, index=True),
    Column("spent_on", Date, nullable=False, index=True),
    Column("clip_id", Text, nullable=False),
    Column("job_key", String(64), index=True),
    Column("tier", String(16), nullable=False),
    Column("category", String(16), nullable=False),
    Column("line", String(16), nullable=False),
    Column("usd", USD, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    _at("at", default=True),
    Index("ix_spend_clip", "clip_id"),
    # A line that is written once per cause (an upscaled file, a distributed clip) is written exactly once.
    Column("once", Text),
    UniqueConstraint("once"),
)

tier_transitions = Table(
    "tier_transitions",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("tier", String(16), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("by", String(16), nullable=False),
    Column("day", Date, nullable=False),
    Column("evidence", JSONB, nullable=False),
    _at("at", default=True),
)

standing_transitions = Table(
    "standing_transitions",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("model", Text, nullable=False, index=True),
    Column("model_version", Text, nullable=False),
    Column("tier", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("by", String(16), nullable=False),
    Column("day", Date, nullable=False),
    Column("evidence", JSONB, nullable=False),
    _at("at", default=True),
)

learned_preferences = Table(
    "learned_preferences",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("name", String(32), nullable=False, index=True),
    Column("document", JSONB, nullable=False),
    Column("learned_from", Date, nullable=False),
    _at("at", default=True),
)

nights_judged = Table(
    "nights_judged",
    metadata,
    Column("subject", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    _at("at", default=True),
)

# One row at most: which mode everything in this ledger was done in.
world = Table(
    "world",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, server_default="1"),
    Column("mode", String(16), nullable=False),
    Column("time_zone", Text),
    _at("claimed_at", default=True),
    CheckConstraint("id = 1", name="ck_world_one_row"),
)

publications = Table(
    "publications",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("day", Date, nullable=False, index=True),
    Column("clip_id", Text, nullable=False),
    Column("platform", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("document", JSONB, nullable=False),
    Column("media_key", Text, nullable=False),
    Column("media_sha256", String(64), nullable=False),
    Column("session", JSONB(none_as_null=True)),
    Column("remote_id", Text),
    Column("url", Text),
    Column("reason", Text),
    _at("created_at", default=True),
    _at("published_at"),
    _at("updated_at", default=True),
    UniqueConstraint("clip_id", "platform"),
    Index("ix_publications_open", "state", postgresql_where=text(PUBLICATIONS_OPEN)),
)

publication_events = Table(
    "publication_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("publication_key", String(64), nullable=False, index=True),
    Column("from_state", String(16), nullable=False),
    Column("to_state", String(16), nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    # What the other side has answered, clean and cut, where it decided or was not understood.
    Column("answer", JSONB(none_as_null=True)),
    _at("at", default=True),
)

engagement_snapshots = Table(
    "engagement_snapshots",
    metadata,
    Column("publication_key", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("age_days", Integer, nullable=False),
    Column("metrics", JSONB, nullable=False),
    _at("at", default=True),
)

reviews = Table(
    "reviews",
    metadata,
    Column("clip_id", Text, primary_key=True),
    Column("stage", String(32), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_by", Text),
    Column("reason_code", Text),
    _at("opened_at", default=True),
    _at("decided_at"),
    Index("ix_reviews_open", "clip_id", postgresql_where=text(REVIEWS_OPEN)),
)

leases = Table(
    "leases",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    _at("until", nullable=False),
    # From the sequence `lease_tokens`.
    Column("token", BigInteger, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("cause", Text, primary_key=True),
    Column("severity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("fields", JSONB, nullable=False, server_default="{}"),
    Column("deliveries", JSONB, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    _at("first_at", default=True),
    _at("last_at", default=True),
    # The outbox. A row with a `next_try_at` is to be told; with a `claimed_until` to come, a sender has it.
    Column("tries", Integer, nullable=False, server_default="0"),
    _at("due_since"),
    _at("next_try_at"),
    _at("claimed_until"),
    _at("posted_at"),
    _at("told_at"),
    Column("told_count", Integer, nullable=False, server_default="0"),
    Index(None, "next_try_at"),
    Index(None, "posted_at"),
)

webhook_calls = Table(
    "webhook_calls",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("provider", String(32), nullable=False),
    Column("job_key", String(64), nullable=False),
    Column("provider_job_id", Text, nullable=False),
    # Whose request it is, in the provider's words; empty where it does not say.
    Column("account", Text, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    _at("received_at", default=True),
    UniqueConstraint("provider", "job_key", "provider_job_id"),
)

# A row for each thing that waits, from the moment that its brief is taken in until it has come to its end.
waits = Table(
    "waits",
    metadata,
    Column("what", String(16), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("day", Date, nullable=False, index=True),
    Column("cause", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    # The tier, the provider, the job: what the cause is about.
    Column("hinges_on", Text, nullable=False, server_default=""),
    # What it needs of a ceiling.
    Column("usd", USD),
    _at("since", default=True),
    _at("until"),
    # A run has taken it up and has not said yet what became of it.
    _at("taken_up_at"),
    # Since when it can go on and nobody has said why it does not.
    _at("woken_at"),
    # How often in a row it was tried and said the same again.
    Column("tries", Integer, nullable=False, server_default="0"),
    _at("tried_at"),
)

# Which files of a day were taken in last, a line each; none where a release did not keep them.
intakes = Table(
    "intakes",
    metadata,
    Column("day", Date, primary_key=True),
    Column("files", JSONB(none_as_null=True)),
    _at("at", default=True),
)

# Signs of life of runs, for those who cannot see their processes.
run_beats = Table(
    "run_beats",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("day", Date),
    _at("beat_at", default=True),
)

breakers = Table(
    "breakers",
    metadata,
    Column("provider", String(32), primary_key=True),
    # Empty for the provider as a whole.
    Column("model", Text, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("cause", String(16)),
    Column("polling", Boolean, nullable=False),
    _at("since", nullable=False),
    Column("failed_jobs", JSONB, nullable=False),
    Column("failed_models", JSONB, nullable=False),
    _at("failed_at"),
    # The newest row of `job_events` at the last failure.
    Column("seen", BigInteger, nullable=False),
    Column("openings", Integer, nullable=False),
    _at("opened_at"),
    _at("next_probe_at"),
    Column("probes_left", Integer, nullable=False),
    Column("probe_key", String(64)),
    Column("reason", Text, nullable=False),
    Column("numbers", JSONB, nullable=False),
)

breaker_transitions = Table(
    "breaker_transitions",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("provider", String(32), nullable=False),
    Column("model", Text, nullable=False),
    Column("from_state", String(16), nullable=False),
    Column("to_state", String(16), nullable=False),
    Column("cause", String(16), nullable=False),
    # The breaker as it was right after it had moved.
    Column("breaker", JSONB, nullable=False),
    _at("at", default=True),
    _at("told_at"),
    Index("ix_breaker_transitions_untold", "id", postgresql_where=text("told_at IS NULL")),
)

# What no other row tells of a clip's way: when a stage began and ended work on it. Append-only.
clip_marks = Table(
    "clip_marks",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("clip_id", Text, nullable=False, index=True),
    Column("mark", String(16), nullable=False),
    _at("at", default=True),
)
