"""Which providers and models are left alone, as metadata of the assets that plan and buy."""

import dagster as dg

from video_pipeline.defs.beside import listed
from video_pipeline.defs.markdown import escaped
from video_pipeline.ledger import Ledger


def left_alone(ledger: Ledger) -> dict[str, dg.MetadataValue]:
    """A list of the breakers that are not closed; nothing when every provider works."""
    lines = [escaped(breaker.sentence) for breaker in ledger.breakers.not_closed()]
    return {"left_alone": dg.MetadataValue.md("- " + listed(lines, separator="\n- "))} if lines else {}
