"""What publishing tells people: an alert for each thing that may go wrong, in words that say what to do."""

from video_pipeline.alerts import Alert
from video_pipeline.ledger import Publication


def not_published(publication: Publication, reason: str) -> Alert:
    """A clip that broke a rule, whose file is damaged, or that the platform refused."""
    return _alert(publication, "A clip was not published", reason)


def upload_interrupted(publication: Publication, reason: str) -> Alert:
    """An upload that is only begun; the next run asks its session and goes on."""
    return _alert(publication, "An upload is interrupted", f"{reason}; it is resumed by the next run")


def in_doubt(publication: Publication, reason: str) -> Alert:
    """An upload whose session is gone."""
    return _alert(publication, "Nobody knows whether a clip went public", f"{reason}; look on the platform")


def _alert(publication: Publication, title: str, reason: str) -> Alert:
    text = f"{publication.clip_id} on {publication.platform}: {reason}"
    return Alert(f"publish {publication.key} {title}", title, text, severity="critical")
