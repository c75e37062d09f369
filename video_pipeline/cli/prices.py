"""`prices`: what every model of the catalogue costs, how old and how sure that is, and what its vendor says of it."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.table import Table

from video_pipeline import days
from video_pipeline.cli.arguments import Prices, catalogue_at
from video_pipeline.cli.console import console, escaped
from video_pipeline.errors import ConfigurationError
from video_pipeline.orders import Orientation
from video_pipeline.services import Services, get_services

if TYPE_CHECKING:
    from video_pipeline.generation import PriceFinding
    from video_pipeline.routing import Catalogue, Length, Model

_CLIP_S = 5.0


def prices(
    prices: Prices = "",
    write: Annotated[
        Path | None, typer.Option(help="Write the catalogue with the prices that the vendor told to this file.")
    ] = None,
) -> None:
    """Every price with its source and age. With a key, asks the vendor; exits with 1 where a price differs."""
    from video_pipeline.generation import Told, confirmed

    catalogue = catalogue_at(prices)
    services = get_services()
    findings = [] if prices else _asked(services, catalogue)
    _print(services, catalogue, findings)
    differing = [one for one in findings if one.told is Told.DIFFERS]
    for finding in differing:
        console.print(f"[red]{escaped(finding.model.model)} differs: {escaped(finding.why)}.[/red]", highlight=False)
    if write is not None:
        if not findings:
            raise ConfigurationError(
                "--write needs prices that a vendor told, and none was asked: connect one, and leave --prices out."
            )
        told = confirmed(catalogue, findings, days.today())
        write.write_text(yaml.safe_dump(told.model_dump(mode="json", exclude_none=True), sort_keys=False))
        file = escaped(str(write))
        console.print(f"Written to {file}. VIDEO_PIPELINE_CATALOGUE_FILE={file} puts it in force.", highlight=False)
    if differing:
        raise typer.Exit(1)


def _asked(services: Services, catalogue: "Catalogue") -> "list[PriceFinding]":
    """What the connected providers say; nothing where none is."""
    try:
        return services.enquiries.prices(catalogue)
    except ConfigurationError as error:
        console.print(f"No vendor was asked: {escaped(str(error))}", highlight=False)
        return []


def _print(services: Services, catalogue: "Catalogue", findings: "list[PriceFinding]") -> None:
    told = {finding.model.model: finding for finding in findings}
    table = Table(title=f"Prices: {escaped(catalogue.name)}", title_justify="left")
    for name in ("model", "tier", "price"):
        table.add_column(name)
    table.add_column(f"$ for {_CLIP_S:g} s", justify="right")
    for name in ("source", "age", "the vendor says"):
        table.add_column(name)
    for model in catalogue.models:
        finding = told.get(model.model)
        table.add_row(
            escaped(model.model),
            model.tier,
            escaped(_form(model)),
            _clip_usd(services, model),
            escaped(model.price_source),
            _age(services, model),
            escaped(f"{finding.told}: {finding.why}") if finding else "",
        )
    console.print(table)


def _form(model: "Model") -> str:
    """The price in its own form: `480p 0.05, 768p 0.06 a second`."""
    price = model.price
    parts = [", ".join(f"{size} {usd}" for size, usd in price.silent.items()) + f" a {price.per.words}"]
    if price.billed_fps:
        parts.append(f"of {price.billed_fps} frames")
    if price.sound:
        same = price.sound == price.silent
        heard = ", ".join(f"{size} {usd}" for size, usd in price.sound.items())
        parts.append("with sound too" if same else f"with sound {heard}")
    if price.minimum_s:
        parts.append(f"{price.minimum_s} s at least")
    if price.offer:
        parts.append(f"times {price.offer.share} until {price.offer.until}")
    if price.off_peak:
        hours = price.off_peak
        parts.append(f"times {hours.share} from {hours.from_hour} to {hours.until_hour} UTC")
    return ", ".join(parts)


def _clip_usd(services: Services, model: "Model") -> str:
    """A silent upright clip of five seconds at the smallest size that can be upscaled, as it would be bought."""
    routing = services.policy.routing
    able = [size for size in model.resolutions if routing.reaches_delivered(size.short_side)]
    size = min(able or model.resolutions, key=lambda one: one.short_side)
    orientation = Orientation.PORTRAIT if Orientation.PORTRAIT in model.orientations else model.orientations[0]

    def usd(length: "Length") -> Decimal:
        return model.usd(size, orientation, length, audio=False)

    length = model.durations.rendered(_CLIP_S, within=routing.round_within, cost=usd)
    return f"{usd(length):.4f}" if length else "none so long"


def _age(services: Services, model: "Model") -> str:
    age = (days.today() - model.price_checked_on).days
    marks = ["1 day" if age == 1 else f"{age} days"]
    if age > services.policy.costs.price_stale_days:
        marks.append("[yellow]stale[/yellow]")
    if not model.confirmed:
        marks.append("[yellow]unconfirmed[/yellow]")
    return ", ".join(marks)
