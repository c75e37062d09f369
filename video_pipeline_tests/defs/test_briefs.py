"""The briefs' asset: what comes while it waits for the inbox is taken as it is."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from video_pipeline.defs.assets import briefs as asset
from video_pipeline.services import Services
from video_pipeline_tests.briefs.documents import a_document
from video_pipeline_tests.briefs.test_bibles import HARBOUR, write_bible
from video_pipeline_tests.defs.conftest import parts


def test_a_brief_that_comes_during_the_wait_is_read_with_the_bible_that_came_with_it(
    services: Services, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    def drop(inbox: Path, day: object, *_: Any, **__: Any) -> None:
        write_bible(services.settings.bibles, "scenes/pier.yaml", HARBOUR)
        (inbox / str(day)).mkdir(parents=True)
        (inbox / str(day) / "a.json").write_text(json.dumps([a_document("new", scene="pier")]))

    monkeypatch.setattr(asset, "wait_until_settled", drop)
    context = dg.build_asset_context(partition_key="2026-11-21", instance=instance)
    made = asset.briefs(context, **parts(services))
    assert isinstance(made, dg.MaterializeResult)
    assert [taken.brief_id for taken in made.value] == ["new"]
    assert list(made.value[0].bibles.scenes) == ["pier"]
