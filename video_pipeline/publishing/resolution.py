"""A person's word on a clip of which nobody can tell whether it is public: it is there, or it is not."""

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import Ledger, Publication, PublicationState
from video_pipeline.publishing.platforms import (
    Platform,
    Processing,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
    longest_send_s,
)


def publication_lease(publication: Publication) -> str:
    """The lease that whoever moves a publication holds, a worker or a person."""
    return f"publish {publication.key}"


def resolve_publication(
    ledger: Ledger, platform: Platform, publication: Publication, *, found: str | None
) -> Publication:
    """It is public as `found`, an id or an address there; or, with None, it is not there and may start over.

    The upload session is asked once more before that: what it says to be public is.

    Raises LedgerError, with the moment to ask again, while a worker is at it, and while what one has sent may still
    arrive. Raises ConfigurationError when `found` names nothing of the platform's.
    """
    there = None if found is None else platform.found(found)
    with ledger.leases.for_a_person(publication_lease(publication)) as lease:
        moves = ledger.publications.under(lease)
        publication = moves.get(publication.key)
        name = f"Publication {publication.key[:16]}"
        if publication.state is not PublicationState.UNKNOWN:
            raise LedgerError(f"{name} is {publication.state}; nothing of it is in doubt.")
        if there is not None:
            for other in moves.with_remote_id(publication.platform, there.remote_id):
                raise LedgerError(f"{there.remote_id} is {other.clip_id} on {other.platform}; look for another one.")
            return moves.published(publication, remote_id=there.remote_id, url=there.url, note="found by a person")
        # Whoever had the lease before the doubt was noted may have been sending, and had this long for it.
        size_bytes = int(publication.document["size_bytes"])
        ledger.leases.settled(moves.moved_at(publication.key), after_s=longest_send_s(size_bytes))
        try:
            status = None if publication.session is None else platform.status(publication.session)
        except (UploadInterrupted, UploadRefused, UploadLost):
            status = None
        if isinstance(status, Uploaded):
            return moves.published(
                publication,
                remote_id=status.remote_id,
                url=status.url,
                note="asked once more when a person did not find it",
                answer=status.answer,
            )
        if isinstance(status, Processing):
            raise LedgerError(f"{name} is there: {platform.name} is still processing it. Look again later.")
        return moves.not_found(publication, "a person did not find it on the platform")
