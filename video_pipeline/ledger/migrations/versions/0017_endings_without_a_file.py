"""How a job has ended without a file: whether moderation refused its prompt, or what was made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("ending", sa.String(16)))


def downgrade() -> None:
    op.drop_column("jobs", "ending")
