"""Remapping: what in a prompt may be refused, by lexicons and a small grammar, and softer ways to say it (G2.2).

`PhraseBook` finds phrases in a text, whatever its language: people whom everybody knows, brands, a team's own words.
"""

from video_pipeline.remapping.grammar import Risk
from video_pipeline.remapping.phrases import PhraseBook, brands, public_figures
from video_pipeline.remapping.remapper import BrollKind, Change, Degree, Remapper, Variant, language_of, remapper_for

__all__ = [
    "BrollKind",
    "Change",
    "Degree",
    "PhraseBook",
    "Remapper",
    "Risk",
    "Variant",
    "brands",
    "language_of",
    "public_figures",
    "remapper_for",
]
