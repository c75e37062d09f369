"""From the variables to a channel: all of them, none, or a sentence; and nothing of the machine's own network."""

from pathlib import Path

import httpx
import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.sandbox import SandboxAddress
from video_pipeline.services import Services
from video_pipeline.settings import Settings
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.publishing.conftest import MEDIA, request_of

NAMES = ("YOUTUBE_CLIENT_ID", "YOUTUBE_CLIENT_SECRET", "YOUTUBE_REFRESH_TOKEN")


@pytest.fixture(autouse=True)
def _nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def _services(folder: Path, mode: str = "live") -> Services:
    return Services(Settings.model_validate({"state_dir": folder, "mode": mode}))


@pytest.mark.parametrize("given", [NAMES[:1], NAMES[1:2], NAMES[:2], NAMES[1:]])
def test_a_channel_that_is_half_connected_is_a_sentence_before_anything_is_bought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FAL_KEY", "x")
    for name in given:
        monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        _services(tmp_path).providers(httpx.AsyncClient())
    said = str(caught.value)
    assert said.startswith("YouTube is only half connected: ")
    named = said.removeprefix("YouTube is only half connected: ").split(" not set")[0]
    assert {name for name in NAMES if name in named} == set(NAMES) - set(given)
    assert "hunter2" not in said


def test_with_every_variable_youtube_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "x")
    assert _services(tmp_path).platforms["youtube_shorts"].connected


def test_without_any_variable_youtube_is_a_dry_run(tmp_path: Path) -> None:
    assert not _services(tmp_path).platforms["youtube_shorts"].connected


def test_a_sandboxed_pipeline_asks_for_no_variable(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOUTUBE_CLIENT_ID", "x")
    services = _services(tmp_path, "sandbox")
    services.__dict__["sandbox"] = SandboxAddress(edge.base_url)
    connected = {name: platform.connected for name, platform in services.platforms.items()}
    assert connected == {"youtube_shorts": True, "instagram_reels": True, "tiktok": False}


def test_a_proxy_of_the_machine_has_no_part_in_publishing(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # Nobody listens there.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in NAMES:
        monkeypatch.setenv(name, "sandbox")
    monkeypatch.setenv("VIDEO_PIPELINE_YOUTUBE_API_URL", f"{edge.base_url}/youtube")
    monkeypatch.setenv("VIDEO_PIPELINE_YOUTUBE_TOKEN_URL", f"{edge.base_url}/oauth2/token")
    media = LocalStore(tmp_path / "store").put_bytes("clips/clip.mp4", MEDIA, content_type="video/mp4")
    session = (
        _services(tmp_path).platforms["youtube_shorts"].open_session(request_of(media, title="Through no proxy"))
    )
    assert session["url"].startswith(edge.base_url)
