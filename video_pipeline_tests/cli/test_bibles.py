"""`bibles`: what it lists, what it refuses, and the prompts that it shows."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from video_pipeline.cli.app import app
from video_pipeline.services import get_services
from video_pipeline_tests.briefs.documents import a_document
from video_pipeline_tests.briefs.test_bibles import HARBOUR, MARA, write_bible


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(get_services().settings, "bibles_dir", tmp_path / "bibles")
    write_bible(tmp_path / "bibles", "characters/mara.yaml", MARA)
    write_bible(tmp_path / "bibles", "scenes/harbour.yaml", HARBOUR)
    return tmp_path


def _bibles(*options: str) -> Result:
    return CliRunner().invoke(app, ["bibles", *options])


def test_it_lists_what_there_is_and_fails_when_something_is_wrong(folder: Path):
    listed = _bibles()
    assert listed.exit_code == 0
    assert all(words in listed.stdout for words in ("mara", "grey hair", "harbour", "low side light"))
    write_bible(folder / "bibles", "scenes/office.yaml", {"place": "an office"})
    wrong = _bibles()
    assert wrong.exit_code == 1
    assert "scenes/office.yaml is no valid bible: place: Extra inputs" in wrong.stdout
    document = json.loads(_bibles("--json").stdout)
    assert list(document["versions"]) == ["characters/mara.yaml", "scenes/harbour.yaml"]


def test_a_wardrobe_may_be_for_the_packaged_scene(folder: Path):
    (folder / "bibles/scenes/harbour.yaml").unlink()
    listed = _bibles()
    assert (listed.exit_code, "no valid bible" in listed.stdout) == (0, False)


def test_it_shows_the_prompts_of_a_file_of_briefs(folder: Path):
    (folder / "a.json").write_text(json.dumps([a_document(prompt="She waits", characters=["mara"], scene="harbour")]))
    shown = _bibles(str(folder / "a.json"))
    assert shown.exit_code == 0
    assert "She waits. Mara: a woman with short grey hair; wears a red oilskin coat. a fishing" in shown.stdout
    (folder / "b.json").write_text(json.dumps([a_document(characters=["tom"])]))
    refused = _bibles(str(folder / "b.json"))
    assert refused.exit_code == 1
    assert "there is no such character" in refused.stdout
    assert "is not there" in _bibles(str(folder / "c.json")).stdout
