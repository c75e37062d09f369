"""Starting and stopping the sandbox from any process: one server a state folder, always on the same port."""

import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from video_pipeline.errors import VideoPipelineError
from video_pipeline.sandbox.address import (
    HOST,
    PORT_TAKEN_EXIT_CODE,
    SandboxAddress,
    base_url,
    remembered_port,
)

START_LIMIT_S = 10.0
STOP_LIMIT_S = 5.0
_HEALTH_LIMIT_S, _STARTING_LIMIT_S, _LAST_LIMIT_S = 3.0, 0.5, 8.0
_POLL_S = 0.05


class SandboxError(VideoPipelineError):
    """The sandbox could not be started or stopped."""


class SandboxPortTaken(SandboxError):
    """Another program listens on the port that this state folder has always been served on."""


def ensure_running(state_dir: Path) -> SandboxAddress:
    """Gives the address of the sandbox of this folder, starting it where it does not run.

    Any number of processes may call at once; one server comes of it. The port is the same at every start, because
    URLs that were handed out earlier (status, result, media, upload sessions) must go on working.

    Raises SandboxPortTaken when someone else has that port, SandboxError when the server does not come up.
    """
    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    running = _running(state_dir)
    if running is None:
        with _start_lock(state_dir):
            running = _running(state_dir) or _start(state_dir)
    return running[1]


def is_running(state_dir: Path) -> bool:
    """Whether the sandbox of this folder answers."""
    return _running(state_dir.resolve()) is not None


def stop(state_dir: Path) -> None:
    """Ends the sandbox of this folder, if it runs; its state stays. Raises SandboxError when it does not end."""
    state_dir = state_dir.resolve()
    running = _running(state_dir)
    if running is None:
        return
    pid = running[0]
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_LIMIT_S
        while time.monotonic() < deadline:
            if _running(state_dir) is None:
                return
            time.sleep(_POLL_S)
    raise SandboxError(f"The sandbox of {state_dir} (process {pid}) still answers after SIGKILL; end it by hand.")


@contextmanager
def _start_lock(state_dir: Path) -> Iterator[None]:
    with (state_dir / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _running(state_dir: Path, limit_s: float = _HEALTH_LIMIT_S) -> tuple[int, SandboxAddress] | None:
    """Process id and address of the server, None unless one answers for exactly this state folder."""
    port = remembered_port(state_dir)
    if port is None:
        return None
    connection = http.client.HTTPConnection(HOST, port, timeout=limit_s)
    try:
        connection.request("GET", "/_sandbox/health")
        health = json.loads(connection.getresponse().read())
        if health["state_dir"] == str(state_dir):
            return int(health["pid"]), SandboxAddress(base_url(port))
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return None  # Nobody there, or somebody who is not a sandbox; the server's own bind tells the two apart.
    finally:
        connection.close()
    return None


def _start(state_dir: Path) -> tuple[int, SandboxAddress]:
    log = state_dir / "sandbox.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "video_pipeline.sandbox", "--state-dir", str(state_dir)],
            # `-m` looks in the current folder first, so the child finds the very package that starts it.
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        running = _running(state_dir, _STARTING_LIMIT_S)
        if running is not None:
            # Reaps the child when it ends, so that a long-lived starter keeps no zombie.
            threading.Thread(target=process.wait, name="sandbox-reaper", daemon=True).start()
            return running
        time.sleep(_POLL_S)
    if process.poll() == PORT_TAKEN_EXIT_CODE:
        # On a machine under load our own server may have been too slow to answer; then it is not a stranger.
        running = _running(state_dir, _LAST_LIMIT_S)
        if running is not None:
            return running
        raise SandboxPortTaken(
            f"The sandbox of {state_dir} cannot start because its port {remembered_port(state_dir)} is taken, and "
            "who has it does not answer as this sandbox: another program listens there, or the sandbox is stopped. "
            f"End that program, or delete {state_dir / 'address.json'} to take a new port (URLs handed out earlier "
            "then stop working)."
        )
    if process.poll() is None:
        process.kill()
        process.wait()
    tail = log.read_text(errors="replace")[-1500:].strip()
    raise SandboxError(
        f"The sandbox of {state_dir} did not come up within {START_LIMIT_S:.0f} s; its log ends: {tail}"
    )
