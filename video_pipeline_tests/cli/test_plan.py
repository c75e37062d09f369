"""`plan` in this process, on a ledger and folders of the test's own: what it prints of each clip, and why."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from video_pipeline import days
from video_pipeline.cli import planning
from video_pipeline.cli.app import app
from video_pipeline.ledger import Ledger
from video_pipeline.policy import load_policy
from video_pipeline.services import get_services
from video_pipeline.storage import LocalStore
from video_pipeline_tests.briefs.documents import a_document
from video_pipeline_tests.briefs.test_bibles import HARBOUR, write_bible, write_picture
from video_pipeline_tests.briefs.test_intake import make_public

_POLICY = load_policy()


@pytest.fixture
def inbox(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    services = get_services()
    policy = _POLICY.model_copy(update={"intake": _POLICY.intake.model_copy(update={"settle_s": 0.0})})
    for name, own in {"ledger": ledger, "store": LocalStore(tmp_path / "store"), "policy": policy}.items():
        monkeypatch.setitem(vars(services), name, own)
    # No sentence is broken into lines.
    monkeypatch.setattr(planning, "console", Console(width=2_000, emoji=False))
    monkeypatch.setattr(services.settings, "inbox_dir", tmp_path / "inbox")
    monkeypatch.setattr(services.settings, "bibles_dir", tmp_path / "bibles")
    return tmp_path / "inbox"


def _planned(inbox: Path, *documents: dict[str, Any], json_too: bool = False) -> str:
    folder = inbox / str(days.today())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.json").write_text(json.dumps(documents))
    options = ["--json"] if json_too else []
    result = CliRunner().invoke(app, ["plan", folder.name, *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_further_segment_says_how_it_follows_whatever_else_is_said_of_it(inbox: Path):
    write_picture(inbox.parent / "bibles/scenes/pier.png")
    write_bible(inbox.parent / "bibles", "scenes/pier.yaml", HARBOUR | {"approved_frames": "pier.png"})
    said = " ".join(_planned(inbox, a_document(duration_s=20, scene="pier")).split())
    assert all(words in said for words in ("segment 2 of 2 of its shot", "the reference picture of pier"))


def test_a_brief_that_cannot_be_made_is_named_with_the_reason(inbox: Path, ledger: Ledger):
    # It is public with a scene that no bible has any more, and nobody knows what that said.
    day, document = days.today(), a_document("gone", scene="pier")
    clip_id = f"{day}/gone"
    ledger.intake.record_brief(clip_id=clip_id, day=day, brief_id="gone", sha256="1", document=document)
    make_public(ledger, clip_id)
    why = "gone names what the bibles do not have any more, and nobody knows what they said"
    assert f"Held: {why}" in _planned(inbox, a_document("gone"), a_document("made"))
    printed = json.loads(_planned(inbox, a_document("gone"), a_document("made"), json_too=True))
    assert [clip["clip_id"] for clip in printed["clips"]] == [f"{day}/made"]
    assert printed["held"]["gone"].startswith(why)
