"""Remapping: what in a prompt may be refused, by lexicons and a small grammar, and softer ways to say it (G2.2)."""

from video_pipeline.remapping.grammar import Risk
from video_pipeline.remapping.remapper import BrollKind, Change, Degree, Remapper, Variant, language_of, remapper_for

__all__ = ["BrollKind", "Change", "Degree", "Remapper", "Risk", "Variant", "language_of", "remapper_for"]
