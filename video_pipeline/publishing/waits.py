"""Why a publication waits, for whoever wakes it, with what that hinges on."""

from video_pipeline.ledger import Publication, PublicationState, WaitCause, Why
from video_pipeline.publishing.attempt import BrokenRules
from video_pipeline.publishing.platforms import UploadRefused

_ENDED = (PublicationState.PUBLISHED, PublicationState.REFUSED, PublicationState.NOT_CONNECTED)


def why_unpublished(publication: Publication, stopped_by: Exception | None) -> Why | None:
    """Why it is not at its end, where it is not; `stopped_by` is what its last attempt has ended in."""
    if publication.state in _ENDED:
        return None
    reason, platform = publication.reason or f"{publication.platform} has not ended it yet", publication.platform
    if publication.state is PublicationState.UNKNOWN:
        return Why(WaitCause.PERSON, reason)
    if isinstance(stopped_by, BrokenRules):
        return Why(WaitCause.PERSON, reason, "brief")
    # A refusal to answer a question says when it can be asked again, too.
    for error in (stopped_by, stopped_by.__cause__ if stopped_by is not None else None):
        if isinstance(error, UploadRefused) and error.not_before is not None:
            return Why(WaitCause.QUOTA, str(error), platform, until=error.not_before)
        if isinstance(error, UploadRefused):
            return Why(WaitCause.PROVIDER, str(error), platform)
    if publication.state is PublicationState.PROCESSING:
        return Why(WaitCause.RESULT, reason, platform)
    return Why(WaitCause.RETRY, reason, platform)
