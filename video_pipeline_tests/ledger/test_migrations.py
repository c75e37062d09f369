"""Rows of an older ledger after a migration: carried over, and read by today's code."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import video_pipeline.ledger
from video_pipeline.ledger import Publication, PublicationState, open_ledger
from video_pipeline_tests.conftest import NewDatabase

_PUBLICATION = text(
    "INSERT INTO publications (key, day, clip_id, platform, state, document, media_key, media_sha256, session_url) "
    "VALUES (:key, '2026-11-21', :clip_id, 'youtube_shorts', :state, CAST(:document AS jsonb), 'm', 's', "
    ":session_url)"
)


def _migrated_to(url: str, revision: str, *rows: dict[str, str | None]) -> None:
    """A ledger as an older release left it, with publications in it."""
    config = Config()
    config.set_main_option("script_location", str(Path(video_pipeline.ledger.__file__).parent / "migrations"))
    engine = create_engine(url)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(_PUBLICATION, rows)
        connection.commit()
    engine.dispose()


def test_an_upload_session_of_before_is_asked_under_its_address(new_database: NewDatabase):
    url = new_database()
    begun = {"state": "publishing", "document": '{"size_bytes": 700}', "session_url": "https://upload.example/1"}
    planned = {"state": "planned", "document": "{}", "session_url": None}
    _migrated_to(url, "0002", {"key": "1", "clip_id": "a", **begun}, {"key": "2", "clip_id": "b", **planned})
    ledger = open_ledger(url, embedded_dir=Path("unused"))
    read: list[Publication] = [ledger.publications.get(key) for key in ("1", "2")]
    ledger.close()
    assert [one.state for one in read] == [PublicationState.PUBLISHING, PublicationState.PLANNED]
    assert [one.session for one in read] == [{"url": "https://upload.example/1", "size_bytes": 700}, None]
