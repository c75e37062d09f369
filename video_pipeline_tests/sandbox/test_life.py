"""The life of the server: one a folder, on one port for ever, and nothing lost over SIGKILL."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from video_pipeline.sandbox import SandboxAddress, SandboxError, SandboxPortTaken, ensure_running, is_running, stop
from video_pipeline.sandbox.address import HOST, remembered_port
from video_pipeline_tests.sandbox.conftest import Client

VIDEO = "sandbox/sprint/text-to-video"
START = (
    "import sys; from pathlib import Path; from video_pipeline.sandbox import ensure_running;"
    " print(ensure_running(Path(sys.argv[1])).base_url)"
)


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    stop(tmp_path / "state")


def pid_of(address: SandboxAddress) -> int:
    return httpx.get(f"{address.base_url}/_sandbox/health").json()["pid"]


def kill(client: Client) -> None:
    """Ends the server as the kernel would, and waits until nobody listens."""
    os.kill(pid_of(SandboxAddress(client.base_url)), signal.SIGKILL)
    deadline = time.monotonic() + 10
    with pytest.raises(httpx.TransportError):
        while time.monotonic() < deadline:
            httpx.get(f"{client.base_url}/_sandbox/health")


@pytest.mark.crash
def test_a_killed_server_comes_back_with_the_same_port_books_and_faults_and_renders_what_it_owes(
    start: Callable[..., tuple[Client, Path]],
) -> None:
    client, state_dir = start(("render_delay_s: 0.06", "render_delay_s: 0.5"))
    done = client.make(VIDEO, prompt="waves", duration=1, seed=4).json()
    owed = [client.submit(VIDEO, prompt=f"hills {number}", duration=1).json() for number in range(3)]
    client.fault("submit_500", match="later", times=2)
    upload = client.start_upload(size=400_000).headers["Location"]
    part = {"Content-Range": f"bytes 0-{256 * 1024 - 1}/400000"}
    assert client.google.put(upload, content=bytes(256 * 1024), headers=part).status_code == 308
    before = client.books()
    kill(client)
    assert ensure_running(state_dir).base_url == client.base_url
    after = client.books()
    assert [entry["request_id"] for entry in after["requests"]] == [e["request_id"] for e in before["requests"]]
    results = [client.finish(submitted) for submitted in owed]
    assert [result.status_code for result in results] == [200] * 3
    assert all(client.fal.get(result.json()["video"]["url"]).status_code == 200 for result in results)
    assert {entry["outcome"] for entry in client.books()["requests"]} == {"completed"}
    assert len(client.fal.get(done["video"]["url"]).content) == done["video"]["file_size"]
    assert client.submit(VIDEO, prompt="later").status_code == 500
    held = client.google.put(upload, headers={"Content-Range": "bytes */400000"})
    assert held.headers["Range"] == f"bytes=0-{256 * 1024 - 1}"


def test_many_processes_that_ask_at_once_get_one_server(state_dir: Path) -> None:
    askers = [
        subprocess.Popen([sys.executable, "-c", START, str(state_dir)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = {asker.communicate(timeout=30)[0].strip() for asker in askers}
    assert [asker.returncode for asker in askers] == [0] * 4
    assert answers == {ensure_running(state_dir).base_url}
    assert (state_dir / "sandbox.log").read_text() == ""


def test_a_running_server_is_found_again_and_outlives_who_started_it(state_dir: Path) -> None:
    started = subprocess.run(
        [sys.executable, "-c", START, str(state_dir)], capture_output=True, text=True, check=True, timeout=30
    )
    first = SandboxAddress(started.stdout.strip())
    pid = pid_of(first)
    assert ensure_running(state_dir) == first
    assert pid_of(first) == pid
    assert is_running(state_dir)
    stop(state_dir)
    assert not is_running(state_dir)


def test_a_port_taken_by_someone_else_is_named_with_what_to_do(state_dir: Path) -> None:
    ensure_running(state_dir)
    stop(state_dir)
    port = remembered_port(state_dir)
    assert port is not None
    with ThreadingHTTPServer((HOST, port), BaseHTTPRequestHandler) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        with pytest.raises(
            SandboxPortTaken, match=rf"port {port} is taken.* End that program, or delete .*address\.json"
        ):
            ensure_running(state_dir)
        stranger.shutdown()
    assert ensure_running(state_dir).base_url.endswith(f":{port}")


def test_two_folders_have_two_servers(state_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        assert ensure_running(state_dir) != ensure_running(other)
    finally:
        stop(other)


def test_a_server_that_cannot_start_says_why(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "models.yaml").write_text("models: 7")
    with pytest.raises(SandboxError, match="KeyError"):
        ensure_running(state_dir)


def test_wires_named_in_the_folder_are_spoken_after_every_start(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "wires.txt").write_text("video_pipeline_tests.contract.plaza_wire:Plaza\n")
    for _ in range(2):
        address = ensure_running(state_dir)
        assert httpx.get(f"{address.base_url}/plaza/api/numbers").json()["problem"] == "token"
        stop(state_dir)


def test_a_wire_that_does_not_exist_is_named(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "wires.txt").write_text("video_pipeline_tests.nowhere:Nothing\n")
    with pytest.raises(SandboxError, match=r"video_pipeline_tests\.nowhere"):
        ensure_running(state_dir)


def test_stop_ends_the_server_and_stopping_nothing_is_fine(state_dir: Path) -> None:
    stop(state_dir)
    address = ensure_running(state_dir)
    stop(state_dir)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address.base_url}/_sandbox/health")


def test_a_server_nobody_asks_ends_by_itself(state_dir: Path) -> None:
    command = [sys.executable, "-m", "video_pipeline.sandbox", "--state-dir", str(state_dir), "--idle-exit-s", "0.3"]
    assert subprocess.run(command, timeout=30, capture_output=True, check=False).returncode == 0


def test_the_server_starts_without_the_heavy_libraries() -> None:
    code = "import sys, video_pipeline.sandbox.server; print([m for m in ('av', 'numpy', 'PIL') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout.strip() == "[]"
