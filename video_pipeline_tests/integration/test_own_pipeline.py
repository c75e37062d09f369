"""A day in the mode `live` whose one provider is a pipeline of diffusers, connected as a user does it."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml

from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.days import today
from video_pipeline.generation import PROVIDERS
from video_pipeline.publishing import PLATFORMS
from video_pipeline.routing import Catalogue
from video_pipeline.settings import Mode
from video_pipeline_tests.generation.tiny_pipelines import make_tiny_wan, tiny_catalogue
from video_pipeline_tests.integration.conftest import NewHouse
from video_pipeline_tests.integration.small_day import a_brief, drop


@pytest.fixture
def one_thread() -> Iterator[None]:
    """On so small a network several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_the_asset_renders_the_days_clip_with_the_folder_that_the_settings_name(
    new_house: NewHouse, sandbox_catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sections = [vendor.section for vendor in (*PROVIDERS.values(), *PLATFORMS.values())]
    for key in chain.from_iterable(section.keys() for section in sections):
        monkeypatch.delenv(key, raising=False)
    make_tiny_wan(tmp_path / "pipelines" / "tiny-wan")
    catalogue = tmp_path / "catalogue.yaml"
    rows = tiny_catalogue(sandbox_catalogue, pipeline="tiny-wan").model_dump(mode="json")
    catalogue.write_text(yaml.safe_dump(rows))
    monkeypatch.setenv("VIDEO_PIPELINE_DIFFUSERS_FOLDER", str(tmp_path / "pipelines"))
    monkeypatch.setenv("VIDEO_PIPELINE_STATE_DIR", str(tmp_path / "state"))
    house = new_house(mode=Mode.LIVE, catalogue_file=catalogue)
    # What an untrained pipeline draws is noise, of which the classifier thinks this or that.
    bounds = {"classifiers": {"open_nsfw": {"person_from": 0.98, "block_from": 0.99}}}
    policy = {
        "generation": {"lease_s": 60.0},
        "routing": {"delivered_short_side": 432},
        "quality": {"safety": bounds},
    }
    assert house.services.own_gpu
    day = today()
    drop(house.inbox, day, a_brief("harbour"))
    for asset in ("briefs", "storyboards", "generation_plan", "generated_clips"):
        house.run("production_day", day, policy, only=asset)
    [clip] = house.rows("generated_clips", day, GeneratedClip)
    assert (clip.status, clip.model, clip.size) == (ClipStatus.GENERATED, "own/tiny-wan", (160, 272)), clip.reason
    [job] = house.services.ledger.jobs.of_day(day)
    assert job.provider == "diffusers" and (job.media_url or "").startswith((tmp_path / "state").as_uri())
