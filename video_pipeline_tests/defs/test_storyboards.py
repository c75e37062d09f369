"""The storyboards' asset: what may be refused, and what can stand in for it, are shown with it."""

import dagster as dg

from video_pipeline.briefs import TakenBrief
from video_pipeline.defs.assets.briefs import storyboards
from video_pipeline.ledger import Ledger
from video_pipeline.policy import load_policy
from video_pipeline_tests.briefs.documents import a_brief


def test_what_may_be_refused_is_listed_with_what_can_stand_in(ledger: Ledger):
    briefs = [
        a_brief(brief_id="planned", prompt="Close-up of CEO speaking"),
        a_brief(brief_id="own", prompt="A harbour", broll=["A red buoy", "A gull"]),
        a_brief(brief_id="none", prompt="A woman crying", plan_broll=False),
        a_brief(brief_id="harmless", prompt="A harbour"),
    ]
    made = storyboards(
        dg.build_asset_context(partition_key="2026-11-21"),
        ledger=ledger,
        policy=load_policy(),
        briefs=[TakenBrief.of(brief, None) for brief in briefs],
    )
    assert isinstance(made, dg.MaterializeResult)
    shown = made.metadata or {}
    assert shown["may_be_refused"] == 2
    table = shown["broll"]
    assert isinstance(table, dg.TableMetadataValue)
    rows = [record.data for record in table.records]
    assert [(row["brief"], row["by"], row["broll"]) for row in rows] == [
        (
            "planned",
            "planned",
            "Hands typing on a keyboard; Detail shot, an everyday object on a table; Wide establishing shot",
        ),
        ("own", "the author", "A red buoy; A gull"),
        ("none", "nobody", ""),
    ]
    assert rows[0]["may_be_refused"] == "framing 'Close-up', profession 'CEO', speech 'speaking'"
