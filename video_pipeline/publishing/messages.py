"""What publishing tells people: an alert for each thing that may go wrong, in words that say what to do."""

from video_pipeline.alerts import Alert
from video_pipeline.ledger import Publication
from video_pipeline.wire import clean


def not_published(publication: Publication, reason: str, *, cause: str = "") -> Alert:
    """A clip that broke a rule, whose file is damaged, or that the platform refused.

    With a `cause` that holds for the whole account it is one alert for all of its clips.
    """
    return _alert(publication, "A clip was not published", reason, cause)


def upload_interrupted(publication: Publication, reason: str, *, cause: str = "") -> Alert:
    """An upload that is only begun; the next run asks its session and goes on. `cause`: as in `not_published`."""
    return _alert(publication, "An upload is interrupted", f"{reason}; it is resumed by the next run", cause)


def in_doubt(publication: Publication, reason: str) -> Alert:
    """A clip of which nobody can tell whether it is public."""
    told = f"{reason}. Look on the platform, then say it: `{answer_with(publication)}`"
    return _alert(publication, "Nobody knows whether a clip went public", told)


def answer_with(publication: Publication) -> str:
    """The command by which a person settles a doubt."""
    return f"video-pipeline resolve {publication.key[:16]} --found VIDEO_ID (or --not-found)"


def stumbled(clip_id: str, platform: str, reason: str) -> Alert:
    """A clip that an error of the pipeline's own has stopped; the next run tries it again."""
    return Alert(
        f"publish {clip_id} {platform} stumbled",
        "Publishing a clip broke off",
        f"{clip_id} on {platform}: {reason}; the next run tries it again",
        severity="critical",
    )


def _alert(publication: Publication, title: str, reason: str, cause: str = "") -> Alert:
    reason = clean(reason, 500)
    if cause:
        text = f"{publication.platform}: {reason}. It holds for every clip that is to go there, not one alone."
        return Alert(f"publish to {publication.platform} {cause}", title, text, severity="critical")
    text = f"{publication.clip_id} on {publication.platform}: {reason}"
    return Alert(f"publish {publication.key} {title}", title, text, severity="critical")
