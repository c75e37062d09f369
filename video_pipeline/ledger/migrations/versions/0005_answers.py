"""Events keep what the other side has answered, so that a person can judge an answer that nobody documents."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("job_events", "publication_events")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("answer", JSONB(none_as_null=True)))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "answer")
