"""Publications: one clip on one platform, once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import Ledger, Publication, PublicationState
from video_pipeline.ledger.publications import PUBLICATION_TRANSITIONS, Publications
from video_pipeline.ledger.schema import engagement_snapshots, publication_events, publications
from video_pipeline_tests.ledger.rows import DAY, a_publication, sha256


def _published(ledger: Ledger, name: str, at: datetime) -> Publication:
    publishing = ledger.publications.publishing(ledger.publications.plan(a_publication(name)))
    published = ledger.publications.published(publishing, remote_id=f"video {name}", url="https://example/v")
    with ledger.engine.begin() as connection:
        connection.execute(update(publications).where(publications.c.key == published.key).values(published_at=at))
    return ledger.publications.get(published.key)


# The move that leads to each state.
_MOVES: dict[PublicationState, Callable[[Publications, Publication], Publication]] = {
    PublicationState.PLANNED: lambda moves, one: moves.replanned(
        one, document={"title": "another"}, media_key="another.mp4", media_sha256=sha256("another")
    ),
    PublicationState.PUBLISHING: lambda moves, one: moves.publishing(one),
    PublicationState.PROCESSING: lambda moves, one: moves.processing(one),
    PublicationState.PUBLISHED: lambda moves, one: moves.published(one, remote_id="video", url="https://example/v"),
    PublicationState.UNKNOWN: lambda moves, one: moves.unknown(one, "no answer"),
    PublicationState.FAILED: lambda moves, one: moves.failed(one, "no quota"),
    PublicationState.REFUSED: lambda moves, one: moves.refused(one, "a bad title"),
    PublicationState.NOT_CONNECTED: lambda moves, one: moves.not_connected(one, "no account"),
}


def test_a_clip_is_planned_once_for_a_platform(ledger: Ledger):
    first = ledger.publications.plan(a_publication())
    assert ledger.publications.plan(a_publication(key=sha256("another"), document={"title": "another"})) == first
    assert ledger.publications.plan(a_publication(platform="tiktok")).key != first.key


@pytest.mark.parametrize(
    ("before", "after"),
    [(before, after) for before in PublicationState for after in PublicationState],
    ids=str,
)
def test_a_publication_goes_only_where_the_protocol_leads(
    ledger_of_module: Ledger, before: PublicationState, after: PublicationState
):
    moves = ledger_of_module.publications
    planned = moves.plan(a_publication(f"{before} {after}", state=before))
    if after in PUBLICATION_TRANSITIONS[before]:
        assert _MOVES[after](moves, planned).state is after
    else:
        with pytest.raises(LedgerError, match=f"cannot go from {before} to {after}"):
            _MOVES[after](moves, planned)
        assert moves.get(planned.key) == planned


def test_what_is_public_stays_public():
    assert PUBLICATION_TRANSITIONS[PublicationState.PUBLISHED] == frozenset()


def test_an_unknown_publication_is_never_sent_again():
    assert PUBLICATION_TRANSITIONS[PublicationState.UNKNOWN] == {PublicationState.PUBLISHED, PublicationState.FAILED}


def test_of_two_who_start_to_publish_one_does(ledger: Ledger):
    planned = ledger.publications.plan(a_publication())
    ledger.publications.publishing(planned)
    with pytest.raises(LedgerError, match="another worker has it"):
        ledger.publications.publishing(planned)


def test_the_upload_session_is_kept_before_a_byte_is_sent(ledger: Ledger):
    publishing = ledger.publications.publishing(ledger.publications.plan(a_publication()))
    session = {"url": "https://upload.example/session", "parts": [1, 2]}
    ledger.publications.with_session(publishing, session)
    kept = ledger.publications.get(publishing.key)
    assert (kept.session, kept.state) == (session, PublicationState.PUBLISHING)
    with pytest.raises(LedgerError, match="session of another worker"):
        ledger.publications.with_session(publishing, {"url": "https://upload.example/another"})


def test_a_publication_that_begins_anew_forgets_its_session_and_why_it_failed(ledger: Ledger):
    publishing = ledger.publications.publishing(ledger.publications.plan(a_publication()))
    failed = ledger.publications.failed(ledger.publications.with_session(publishing, {"url": "u"}), "no quota")
    assert (failed.session, failed.reason) == ({"url": "u"}, "no quota")
    replanned = ledger.publications.replanned(
        failed, document={"title": "new"}, media_key="new.mp4", media_sha256=sha256("new")
    )
    assert (replanned.session, replanned.reason) == (None, None)
    assert (replanned.document, replanned.media_key) == ({"title": "new"}, "new.mp4")
    assert ledger.publications.with_session(ledger.publications.publishing(replanned), {"url": "v"}).session == {
        "url": "v"
    }


def test_every_change_leaves_its_trace(ledger: Ledger):
    publication = _published(ledger, "one", datetime(2026, 11, 21, 12, tzinfo=UTC))
    with ledger.engine.connect() as connection:
        rows = connection.execute(
            select(publication_events.c.from_state, publication_events.c.to_state)
            .where(publication_events.c.publication_key == publication.key)
            .order_by(publication_events.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [("planned", "publishing"), ("publishing", "published")]


def test_publications_are_found_by_day_time_and_state(ledger: Ledger):
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    first = _published(ledger, "first", noon)
    second = _published(ledger, "second", noon + timedelta(hours=1))
    ledger.publications.plan(a_publication("waiting"))
    old = ledger.publications.plan(a_publication("old", day=DAY - timedelta(days=3)))
    assert ledger.publications.published_between(noon, second.published_at or noon) == [first]
    assert ledger.publications.in_state(PublicationState.PUBLISHED) == [first, second]
    assert ledger.publications.of_days(old.day, old.day) == [old]
    assert len(ledger.publications.of_days(old.day, DAY)) == 4


def test_a_publication_that_is_not_there_is_said_to_be_missing(ledger: Ledger):
    with pytest.raises(LedgerError, match="no publication"):
        ledger.publications.get(sha256("nothing"))


def test_metrics_are_one_snapshot_a_day_and_the_later_reading_counts(ledger: Ledger):
    publication = _published(ledger, "one", datetime(2026, 11, 21, 12, tzinfo=UTC))
    for day, age_days, views in ((DAY, 0, 10), (DAY, 0, 12), (DAY + timedelta(days=1), 1, 30)):
        ledger.publications.record_metrics(publication, day=day, age_days=age_days, metrics={"views": views})
    with ledger.engine.connect() as connection:
        rows = connection.execute(
            select(engagement_snapshots.c.age_days, engagement_snapshots.c.metrics).order_by(
                engagement_snapshots.c.day
            )
        ).all()
    assert [tuple(row) for row in rows] == [(0, {"views": 12}), (1, {"views": 30})]
    assert ledger.publications.metrics_on(DAY) == {publication.key: {"age_days": 0, "views": 12}}
    assert ledger.publications.metrics_on(DAY - timedelta(days=1)) == {}
