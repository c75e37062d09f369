"""`webhooks`: the server that providers call when a job has ended."""

from typing import Annotated

import typer

from video_pipeline.cli.console import console
from video_pipeline.services import get_services


def webhooks(
    port: Annotated[int, typer.Option(help="Port that calls come in on.", min=1, max=65535)] = 8321,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default leaves the outside to a proxy with TLS.")
    ] = "127.0.0.1",
) -> None:
    """Receive the calls of providers whose jobs have ended, until Ctrl-C; they wake the run that waits."""
    from video_pipeline.receiver import serve

    services = get_services()
    receiver = services.receiver
    public = services.settings.webhook_url
    if public is None:
        console.print(
            "VIDEO_PIPELINE_WEBHOOK_URL is not set, so that no provider is asked to call here. Set it to the public "
            f"address of http://{host}:{port} for the runs too.",
            highlight=False,
        )
    else:
        console.print(f"Providers call {public}/webhooks/…; listening on http://{host}:{port}.", highlight=False)
    serve(receiver, host=host, port=port)
