"""The time zone whose days a ledger counts: a process in another one would count another day's money."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL in a ledger of before: the first process that asks decides.
    op.add_column("world", sa.Column("time_zone", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("world", "time_zone")
