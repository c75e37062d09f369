"""Alembic's environment: runs on the connection that `video_pipeline.ledger.ledger.migrate` hands over."""

from alembic import context

from video_pipeline.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
