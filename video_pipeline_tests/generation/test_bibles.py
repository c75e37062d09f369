"""Bibles all the way: what a provider is sent, what the ledger keeps, and what a lost answer comes to."""

import json
from pathlib import Path

import pytest

from video_pipeline.briefs import BiblesFolder, keep_pictures, read_bibles
from video_pipeline.clips import ClipStatus
from video_pipeline.generation.ladder import Strategy
from video_pipeline_tests.briefs.test_bibles import HARBOUR, MARA, write_bible, write_picture
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage

BRIEF = brief_of("She ties up a boat", quality="standard", characters=["mara"], scene="harbour")


@pytest.fixture
def bibles(stage: Stage, tmp_path: Path) -> BiblesFolder:
    write_picture(tmp_path / "characters/mara.png", (640, 960))
    write_bible(tmp_path, "characters/mara.yaml", MARA | {"references": "mara.png"})
    write_bible(tmp_path, "scenes/harbour.yaml", HARBOUR)
    found = read_bibles(tmp_path)
    keep_pictures(stage.store, [found], found.files)
    return found


def test_a_picture_is_on_the_wire_and_its_key_in_the_ledger(stage: Stage, bibles: BiblesFolder) -> None:
    [plan] = stage.plan(BRIEF, bibles=bibles)
    [clip] = stage.run([plan])
    assert clip.status is ClipStatus.GENERATED
    versions = [bibles.characters["mara"].version, bibles.scenes["harbour"].version]
    assert clip.bibles == "mara ({}), harbour ({})".format(*versions)
    [job] = stage.jobs()
    [picture] = bibles.pictures
    assert (job.model, job.order.references) == ("sandbox/steady", (picture.key,))
    assert "base64" not in json.dumps(job.request)
    [sent] = stage.requests
    assert sent["input"]["reference_image_urls"][0].startswith("data:image/jpeg;base64,")
    assert sent["input"]["prompt"].startswith(
        "She ties up a boat. Mara: a woman with short grey hair; wears a red oil"
    )
    # The very same request again is served for nothing.
    again = BRIEF.model_copy(update={"brief_id": "again"})
    assert [clip.cached for clip in stage.run(stage.plan(again, bibles=bibles))] == [True]


def test_a_submit_with_pictures_whose_answer_was_lost_is_found(stage: Stage, bibles: BiblesFolder) -> None:
    stage.edge.fault("drop_after_accept")
    [clip] = stage.run(stage.plan(BRIEF, bibles=bibles))
    assert clip.status is ClipStatus.GENERATED
    assert len(stage.requests) == 1


def test_what_our_own_store_lacks_is_not_bought_and_not_in_doubt(stage: Stage, bibles: BiblesFolder) -> None:
    [picture] = bibles.pictures
    stage.store.delete(picture.key)
    [plan] = stage.plan(BRIEF, bibles=bibles)
    [clip] = stage.run([plan])
    assert (clip.status, stage.requests) == (ClipStatus.WAITING, [])
    assert picture.key in clip.reason
    keep_pictures(stage.store, [bibles], bibles.files)
    [clip] = stage.run([plan])
    assert (clip.status, clip.strategy) == (ClipStatus.GENERATED, Strategy.ORIGINAL)
