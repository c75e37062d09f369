"""The production day: which there are, and which it is."""

from datetime import date

FIRST_DAY = date(2026, 1, 1)
"""The first production day that can be run."""
