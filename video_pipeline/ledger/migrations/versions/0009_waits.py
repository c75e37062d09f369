"""What waits, why and until when; which days were taken in; signs of life of runs; indexes over what is open.

Whatever an older release has left open becomes a wait that can go on, so that the night watch finds it: jobs under way,
publications begun, and of the last two weeks jobs held back, publications planned or failed, and clips that went
nowhere. Nobody expects that what is older is bought or goes public by itself.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_JOBS_OPEN = "state IN ('reserved', 'submitting', 'submitted', 'processing', 'rendered', 'stored', 'unknown')"
_PUBLICATIONS_OPEN = "state IN ('planned', 'publishing', 'processing', 'failed', 'unknown')"
_REVIEWS_OPEN = "state = 'waiting'"


def upgrade() -> None:
    now = sa.func.clock_timestamp()
    op.create_table(
        "waits",
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hinges_on", sa.Text(), server_default="", nullable=False),
        sa.Column("usd", sa.Numeric(12, 6), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("taken_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("woken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("what", "subject", name="pk_waits"),
    )
    op.create_index("ix_waits_day", "waits", ["day"])
    op.create_table(
        "intakes",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("files", JSONB(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_intakes"),
    )
    op.create_table(
        "run_beats",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("beat_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_beats"),
    )
    op.create_index("ix_jobs_open", "jobs", ["state"], postgresql_where=sa.text(_JOBS_OPEN))
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("ix_publications_open", "publications", ["state"], postgresql_where=sa.text(_PUBLICATIONS_OPEN))
    op.create_index("ix_reviews_open", "reviews", ["clip_id"], postgresql_where=sa.text(_REVIEWS_OPEN))
    # Files of these days are not looked at anew: that they were taken in is all that is known.
    op.execute("INSERT INTO intakes (day) SELECT day FROM briefs UNION SELECT day FROM quarantine")
    op.execute(
        f"""
        INSERT INTO waits (what, subject, day, cause, reason)
        SELECT 'publication', key, day, CASE WHEN state = 'unknown' THEN 'person' ELSE 'retry' END,
               coalesce(reason, 'it was begun before this release')
        FROM publications WHERE {_PUBLICATIONS_OPEN}
          AND (state NOT IN ('planned', 'failed') OR updated_at > now() - interval '14 days')
        """
    )
    op.execute(
        f"""
        INSERT INTO waits (what, subject, day, cause, reason)
        SELECT 'clip', clip_id, min(day), 'run', 'it was left open by the release before'
        FROM (
            SELECT clip_id, day FROM jobs
            WHERE {_JOBS_OPEN} OR (state = 'refused' AND day >= current_date - 14)
            UNION ALL
            SELECT b.clip_id, b.day FROM briefs b
            WHERE b.day >= current_date - 14
              AND NOT EXISTS (SELECT 1 FROM publications p WHERE p.clip_id = b.clip_id)
              AND NOT EXISTS (SELECT 1 FROM reviews r WHERE r.clip_id = b.clip_id AND r.state = 'rejected')
        ) AS still_open
        GROUP BY clip_id
        """
    )


def downgrade() -> None:
    op.drop_index("ix_reviews_open", "reviews")
    op.drop_index("ix_publications_open", "publications")
    op.drop_index("ix_jobs_finished_at", "jobs")
    op.drop_index("ix_jobs_open", "jobs")
    op.drop_table("run_beats")
    op.drop_table("intakes")
    op.drop_table("waits")
