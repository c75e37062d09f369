"""Which providers and models are left alone, since when, why, and when they are probed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breakers",
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(16)),
        sa.Column("polling", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed_jobs", JSONB(), nullable=False),
        sa.Column("failed_models", JSONB(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True)),
        sa.Column("next_probe_at", sa.DateTime(timezone=True)),
        sa.Column("probes_left", sa.Integer(), nullable=False),
        sa.Column("probe_key", sa.String(64)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("numbers", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "model", name="pk_breakers"),
    )
    op.create_table(
        "breaker_transitions",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("from_state", sa.String(16), nullable=False),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("breaker", JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_breaker_transitions"),
    )
    op.create_index(
        "ix_breaker_transitions_untold", "breaker_transitions", ["id"], postgresql_where=sa.text("told_at IS NULL")
    )
    op.create_index("ix_jobs_model_submitted", "jobs", ["provider", "model", "submitted_at"])


def downgrade() -> None:
    op.drop_index("ix_jobs_model_submitted", "jobs")
    op.drop_table("breaker_transitions")
    op.drop_table("breakers")
