"""Every hold on a lease has a number of its own, so that a worker who slept through the end of one can be told.

Leases that are held while this runs get one too; their holders do not know it, and lose them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("lease_tokens")))
    op.add_column("leases", sa.Column("token", sa.BigInteger()))
    op.execute("UPDATE leases SET token = nextval('lease_tokens')")
    op.alter_column("leases", "token", nullable=False)


def downgrade() -> None:
    raise NotImplementedError("The ledger is not taken back to an earlier release; restore a backup instead.")
