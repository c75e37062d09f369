"""The Typer application: its commands, and how an error a user can cause is told."""

import sys

import httpx
import typer
from sqlalchemy.exc import SQLAlchemyError

from video_pipeline.alerts import FLUSH_S
from video_pipeline.cli.alerts import alerts
from video_pipeline.cli.bibles import bibles
from video_pipeline.cli.console import complaints, escaped
from video_pipeline.cli.guidance import guidance
from video_pipeline.cli.model import model
from video_pipeline.cli.people import decide, resolve, review, thaw
from video_pipeline.cli.planning import plan
from video_pipeline.cli.prices import prices
from video_pipeline.cli.reconcile import reconcile
from video_pipeline.cli.running import demo, dev, run_day
from video_pipeline.cli.time_zone import time_zone
from video_pipeline.cli.upscale import upscale
from video_pipeline.cli.waiting import waiting
from video_pipeline.cli.webhooks import webhooks
from video_pipeline.cli.what_if import what_if
from video_pipeline.errors import VideoPipelineError
from video_pipeline.services import flush_alerts

app = typer.Typer(
    help="A self-hosted AI-video pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# In the order in which --help lists them.
for command in (
    plan,
    prices,
    reconcile,
    what_if,
    demo,
    run_day,
    dev,
    upscale,
    webhooks,
    guidance,
    bibles,
    waiting,
    review,
    decide,
    resolve,
    thaw,
    alerts,
    time_zone,
):
    app.command()(command)
app.add_typer(model, name="model")


def main() -> None:
    """Entry point: a known error is told in its own sentence, without a traceback."""
    try:
        app()
    except (VideoPipelineError, OSError, SQLAlchemyError, httpx.HTTPError) as error:
        # The outer world's own words come last, and without their technical tail.
        words = str(error).strip().splitlines() or [type(error).__name__]
        complaints.print(f"[red]{escaped(words[0])}[/red]", highlight=False, soft_wrap=True)
        sys.exit(1)
    finally:
        flush_alerts(FLUSH_S)
