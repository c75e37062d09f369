"""What several commands take from the user, and how it is read."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from video_pipeline import days
from video_pipeline.days import FIRST_DAY
from video_pipeline.errors import ConfigurationError
from video_pipeline.services import get_services

if TYPE_CHECKING:
    from video_pipeline.routing import Catalogue

# Briefs may be laid in ahead, and their price be asked for.
_AHEAD_DAYS = 366

Day = Annotated[str, typer.Argument(help="Production day, YYYY-MM-DD; `today` for the current one.")]
Prices = Annotated[
    str, typer.Option(help="`list` for the real providers' list prices, `sandbox` for the sandbox's models.")
]


def parse_day(text: str) -> date:
    """The day meant by `text`; ConfigurationError when it is none, or none that is ever planned."""
    today = days.today()
    if text == "today":
        return today
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{text} is not a day; write it as YYYY-MM-DD.") from error
    last = today + timedelta(days=_AHEAD_DAYS)
    if not FIRST_DAY <= day <= last:
        raise ConfigurationError(
            f"{day} is no production day: the first is {FIRST_DAY}, and none after {last} is planned."
        )
    return day


def catalogue_at(prices: str) -> "Catalogue":
    """The catalogue with these prices, the one in force where none are named; ConfigurationError for unknown ones."""
    from video_pipeline.routing import load_catalogue

    if prices not in ("", "list", "sandbox"):
        raise ConfigurationError(f"--prices takes `list` or `sandbox`, not {prices}.")
    return load_catalogue(sandbox=prices == "sandbox") if prices else get_services().catalogue
