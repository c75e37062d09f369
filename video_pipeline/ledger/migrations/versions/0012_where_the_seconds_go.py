"""Where a clip's seconds go: when its brief arrived, and when a stage began and ended work on it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("briefs", sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "clip_marks",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("clip_id", sa.Text(), nullable=False),
        sa.Column("mark", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clip_marks"),
    )
    op.create_index("ix_clip_marks_clip_id", "clip_marks", ["clip_id"])


def downgrade() -> None:
    op.drop_table("clip_marks")
    op.drop_column("briefs", "arrived_at")
