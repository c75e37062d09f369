"""A few files that nobody meant; `benchmarks/intake_fuzz.py` reads thousands."""

from pathlib import Path

from benchmarks.intake_fuzz import fuzz


def test_files_that_nobody_meant_are_taken_or_told(tmp_path: Path):
    outcome = fuzz(tmp_path, files=150, seed=7)
    assert outcome.faults == []
    assert sum(kind.files for kind in outcome.kinds.values()) == 150
