"""What several commands take from the user, and how it is read."""

from datetime import UTC, date, datetime
from typing import Annotated

import typer

from video_pipeline.errors import ConfigurationError

Day = Annotated[str, typer.Argument(help="Production day, YYYY-MM-DD; `today` for the current one (UTC).")]


def parse_day(text: str) -> date:
    """The day meant by `text`; ConfigurationError when it is none."""
    if text == "today":
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{text} is not a day; write it as YYYY-MM-DD.") from error
