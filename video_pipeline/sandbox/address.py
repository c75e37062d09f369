"""Where a sandbox is: the file in which its server keeps the port, and from which its callers read it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PORT_TAKEN_EXIT_CODE = 3
"""The server leaves with this code when its remembered port is held by someone else."""


@dataclass(frozen=True)
class SandboxAddress:
    """Where a running sandbox answers."""

    base_url: str
    """Scheme, host and port, without a trailing slash: `http://127.0.0.1:23456`."""


def base_url(port: int) -> str:
    return f"http://{HOST}:{port}"


def remembered_port(state_dir: Path) -> int | None:
    """The port this state folder was first served on, None before the first start."""
    try:
        return int(json.loads((state_dir / "address.json").read_text())["port"])
    except FileNotFoundError:
        return None


def remember_port(state_dir: Path, port: int) -> None:
    """Writes the address atomically, so that a reader sees the old one or the new one whole."""
    temporary = state_dir / f"address.{os.getpid()}.tmp"
    temporary.write_text(json.dumps({"base_url": base_url(port), "port": port}))
    temporary.replace(state_dir / "address.json")
