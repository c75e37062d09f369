"""An index for the decisions of a production day: a clip's id begins with its day, and a year of them is long."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # By bytes, so that it serves a beginning of the id whatever the database's collation is.
    op.create_index(
        "ix_decisions_clip_prefix", "decisions", ["clip_id"], postgresql_ops={"clip_id": "text_pattern_ops"}
    )


def downgrade() -> None:
    op.drop_index("ix_decisions_clip_prefix", table_name="decisions")
