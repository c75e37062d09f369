"""The table of docs/routing.md is what the packaged catalogue says."""

from pathlib import Path

import pytest

from benchmarks.kinds import rows, table
from video_pipeline.briefs import ShotKind
from video_pipeline.routing import load_catalogue

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"


@pytest.mark.parametrize("measured", [False, True], ids=["priors", "measured"])
def test_the_page_has_the_table_that_the_catalogue_gives(measured: bool) -> None:
    assert table(rows(load_catalogue(sandbox=False), measured=measured)) in PAGE.read_text()


def test_every_kind_but_the_establishing_one_changes_a_model() -> None:
    changed = {row.kind for row in rows(load_catalogue(sandbox=False)) if row.decision.by_kind}
    assert changed == {ShotKind.EMOTIONAL_CLOSE_UP, ShotKind.ACTION, ShotKind.PRODUCT}
