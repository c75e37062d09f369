"""The server process: takes its port, writes its address, serves until it is ended or has been idle for long."""

import argparse
import asyncio
import errno
import random
import socket
import sys
import time
from pathlib import Path

import uvicorn

from video_pipeline.sandbox.address import HOST, PORT_TAKEN_EXIT_CODE, base_url, remember_port, remembered_port
from video_pipeline.sandbox.app import Sandbox
from video_pipeline.sandbox.connection import CuttableProtocol

IDLE_EXIT_S = 30 * 60.0
# Below the range from which Linux hands out ports to outgoing connections (32768 up): one of those could otherwise
# sit on our port at the moment of a restart.
FIRST_PORTS = range(20000, 32000)


def main(arguments: list[str] | None = None) -> None:
    """Runs the server in the foreground; leaves with code 3 and a sentence when its port is taken."""
    parser = argparse.ArgumentParser(prog="python -m video_pipeline.sandbox", description=__doc__)
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="folder of the books, the media and the address"
    )
    parser.add_argument("--port", type=int, help="default: the port of the last start, at first a free one")
    parser.add_argument("--idle-exit-s", type=float, default=IDLE_EXIT_S, help="end after so long without a request")
    options = parser.parse_args(arguments)
    state_dir = options.state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    try:
        listener = _bind(options.port or remembered_port(state_dir))
    except OSError as error:
        print(f"The sandbox cannot listen: {error}.", file=sys.stderr)
        sys.exit(PORT_TAKEN_EXIT_CODE if error.errno == errno.EADDRINUSE else 1)
    port = listener.getsockname()[1]
    remember_port(state_dir, port)
    asyncio.run(_serve(state_dir, listener, base_url(port), options.idle_exit_s))


def _bind(port: int | None) -> socket.socket:
    """A listening socket on the port; without one, on a free port outside the ephemeral range."""
    candidates = [port] if port else random.sample(FIRST_PORTS, 50)
    for candidate in candidates:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # A restart must not wait for the old process's connections to leave TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(256)
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or candidate == candidates[-1]:
                raise
    raise AssertionError("unreachable: the last candidate either binds or raises")


async def _serve(state_dir: Path, listener: socket.socket, url: str, idle_exit_s: float) -> None:
    sandbox = Sandbox(state_dir, url)
    config = uvicorn.Config(
        sandbox,
        http=CuttableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
        # A connection closed for idleness just as a client reuses it would look like a lost submit.
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    sandbox.resume()
    idle_watch = asyncio.create_task(_end_when_idle(server, sandbox, idle_exit_s))
    try:
        await server.serve(sockets=[listener])
    finally:
        idle_watch.cancel()
        sandbox.close()


async def _end_when_idle(server: uvicorn.Server, sandbox: Sandbox, idle_exit_s: float) -> None:
    while not server.should_exit:
        await asyncio.sleep(min(1.0, idle_exit_s / 4))
        if time.monotonic() - sandbox.last_request > idle_exit_s and not sandbox.busy:
            server.should_exit = True
