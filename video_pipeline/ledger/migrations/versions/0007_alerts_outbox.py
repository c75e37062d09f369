"""Alerts become an outbox: what is to be told, since when, and until when a sender has it.

Causes that were told before are not told again by the upgrade; one that was never told is told when it occurs again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("fields", JSONB, server_default="{}", nullable=False))
    op.add_column("alerts", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    for name in ("due_since", "next_try_at", "claimed_until", "posted_at", "told_at"):
        op.add_column("alerts", sa.Column(name, sa.DateTime(timezone=True)))
    op.add_column("alerts", sa.Column("told_count", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_alerts_next_try_at", "alerts", ["next_try_at"])
    op.create_index("ix_alerts_posted_at", "alerts", ["posted_at"])
    op.execute("UPDATE alerts SET told_at = last_at, told_count = count WHERE deliveries <> '[]'")


def downgrade() -> None:
    raise NotImplementedError("The ledger is not taken back to an earlier release; restore a backup instead.")
