"""An index for what is asked as every job is settled, so that a year of jobs makes none slower."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_spend_job_key", "spend", ["job_key"])


def downgrade() -> None:
    op.drop_index("ix_spend_job_key", table_name="spend")
