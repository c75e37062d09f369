"""What guidance had for the fields that a brief left open when it was taken in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("briefs", sa.Column("applied", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("briefs", "applied")
