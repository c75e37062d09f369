"""Learned preferences, the nights that were judged and the ledger's world are tables of their own.

Until now all three were rows of `preferences`, told apart by their names. Learned preferences keep their ids, so that
the version of the routing state stays what it was.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nights_judged",
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "day", name="pk_nights_judged"),
    )
    op.create_table(
        "world",
        sa.Column("id", sa.Integer(), autoincrement=False, server_default="1", nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_world"),
        sa.CheckConstraint("id = 1", name="ck_world_one_row"),
    )
    op.execute(
        "INSERT INTO nights_judged (subject, day, at) "
        "SELECT substr(name, length('judged ') + 1), week, min(at) FROM preferences "
        "WHERE name LIKE 'judged %' GROUP BY 1, 2"
    )
    op.execute(
        "INSERT INTO world (mode, claimed_at) "
        "SELECT document ->> 'is', at FROM preferences WHERE name = 'world' ORDER BY id DESC LIMIT 1"
    )
    op.execute("DELETE FROM preferences WHERE name LIKE 'judged %' OR name = 'world'")
    op.rename_table("preferences", "learned_preferences")
    op.alter_column("learned_preferences", "week", new_column_name="learned_from")
    op.execute("ALTER TABLE learned_preferences RENAME CONSTRAINT pk_preferences TO pk_learned_preferences")
    op.execute("ALTER INDEX ix_preferences_name RENAME TO ix_learned_preferences_name")
    op.execute("ALTER SEQUENCE preferences_id_seq RENAME TO learned_preferences_id_seq")


def downgrade() -> None:
    raise NotImplementedError("The ledger is not taken back to an earlier release; restore a backup instead.")
