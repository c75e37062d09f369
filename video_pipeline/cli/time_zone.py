"""`time-zone`: whose days the ledger counts, and moving a house to another zone."""

from typing import Annotated

import typer

from video_pipeline.cli.console import console
from video_pipeline.days import zone_of
from video_pipeline.errors import ConfigurationError
from video_pipeline.services import get_services


def time_zone(
    name: Annotated[str, typer.Argument(help="IANA name, such as Europe/Berlin, to move to; without it, tell.")] = "",
) -> None:
    """Say whose days the ledger counts, or move it to another time zone; end all processes of the house before."""
    services = get_services()
    governance, set_to = services.ledger_of_any_zone.governance, services.settings.time_zone
    if name:
        try:
            zone_of(name)
        except ValueError as error:
            raise ConfigurationError(f"The ledger stays in its time zone: {error}.") from None
        governance.move_to_zone(name)
    zone = governance.claim_zone(set_to)
    console.print(f"The ledger counts the days of {zone}.", highlight=False)
    if zone != set_to:
        console.print(f"Set VIDEO_PIPELINE_TIME_ZONE={zone} for every process; here it is {set_to}.", highlight=False)
