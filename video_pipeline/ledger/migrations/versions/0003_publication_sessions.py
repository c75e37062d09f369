"""An upload session is what the platform's adapter keeps of it, instead of one address.

The session of the one platform that there was held its address; how many bytes were announced stands in the request.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("publications", sa.Column("session", JSONB))
    op.execute(
        "UPDATE publications SET session = "
        "jsonb_build_object('url', session_url, 'size_bytes', document -> 'size_bytes') "
        "WHERE session_url IS NOT NULL"
    )
    op.drop_column("publications", "session_url")


def downgrade() -> None:
    raise NotImplementedError("The ledger is not taken back to an earlier release; restore a backup instead.")
