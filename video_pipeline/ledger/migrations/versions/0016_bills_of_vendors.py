"""What a vendor's own billing says of a job, beside what the job is booked at: until then that is a list price."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("vendor_usd", sa.Numeric(12, 6)))


def downgrade() -> None:
    op.drop_column("jobs", "vendor_usd")
