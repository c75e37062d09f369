"""The table of checks (Q1): its name, what it measures, the policy's threshold, and at each gate what follows.

Dagster's asset checks, the verdicts, the ladder's answer to a bad raw clip and the review of a finished one all go by
this table. Thresholds stand in the policy alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from video_pipeline.quality import safety, technical, wording
from video_pipeline.quality.technical import Answer, Evidence, Undecoded
from video_pipeline.quality.verdict import Check, CheckName, Consequence, Gate, SafetyFinding
from video_pipeline.quality.wording import Wording


@dataclass(frozen=True)
class CheckRow:
    """A check: `wants` in words, `thresholds` as keys of the policy, and what `follows` at each gate when it fails.

    `measure` is given what the check is `about`: a file, whether or not it could be decoded, a clip that was, what
    the classifiers have seen of it, or its brief's words. Whatever follows, an answer in doubt is a person's.
    """

    name: CheckName
    about: tuple[type, ...]
    wants: str
    measure: Callable[[Any], Answer]
    thresholds: tuple[str, ...]
    follows: Mapping[Gate, Consequence]

    def ask(self, subject: object, gate: Gate) -> Check:
        """The check's answer at a gate."""
        answer = self.measure(subject)
        follows = Consequence.PERSON if answer.in_doubt else self.follows[gate]
        return Check(
            name=self.name,
            passed=answer.passed,
            measured=answer.measured,
            expected=answer.expected,
            message=answer.message,
            follows=None if answer.passed else follows,
        )


def _follows(raw: Consequence, final: Consequence) -> Mapping[Gate, Consequence]:
    return MappingProxyType({Gate.RAW: raw, Gate.FINAL: final})


# What luck decides is rendered once more; what words can mend is asked for in other words. A finished clip is paid
# for, so that a person may still want it.
_BY_LUCK = _follows(Consequence.NEW_SEED, Consequence.PERSON)
_BY_WORDS = _follows(Consequence.CORRECTED_PROMPT, Consequence.PERSON)
# What is known of the whole clip alone is asked at the end.
_AT_THE_END: Mapping[Gate, Consequence] = MappingProxyType({Gate.FINAL: Consequence.PERSON})


_FILE, _CLIP, _LOOK, _WORDS = (Evidence, Undecoded), (Evidence,), (SafetyFinding,), (Wording,)


def _of(*names: str) -> tuple[str, ...]:
    return tuple(f"quality.technical.{name}" for name in names)


CHECKS: tuple[CheckRow, ...] = (
    CheckRow(
        CheckName.PLAYABLE,
        _FILE,
        "every stream decodes, as long as the container says",
        technical.playable,
        _of("max_length_disagreement", "length_slack_frames", "max_decode_s"),
        _BY_LUCK,
    ),
    CheckRow(
        CheckName.RESOLUTION,
        _CLIP,
        "it is as large as ordered, and of that shape, but for what models round",
        technical.resolution,
        _of("size_tolerance", "shape_tolerance"),
        _BY_LUCK,
    ),
    CheckRow(
        CheckName.DURATION,
        _CLIP,
        "by its frames' time stamps it is as long as ordered",
        technical.duration,
        ("routing.duration_tolerance",),
        _BY_LUCK,
    ),
    CheckRow(
        CheckName.FILE_SIZE,
        _FILE,
        "the file is no stub",
        technical.file_size,
        _of("min_bytes"),
        _BY_LUCK,
    ),
    CheckRow(
        CheckName.AUDIO,
        _CLIP,
        "sound that was ordered is there, and heard",
        technical.audio,
        _of("silent_peak", "min_audio_share"),
        _BY_LUCK,
    ),
    CheckRow(
        CheckName.BLACK,
        _CLIP,
        "it is not black for long",
        technical.black,
        _of("black_luma", "black_pixels", "max_black_share"),
        _BY_WORDS,
    ),
    CheckRow(
        CheckName.FROZEN,
        _CLIP,
        "it does not stand still for long",
        technical.frozen,
        _of("frozen_luma", "frozen_run_s", "max_frozen_share"),
        _BY_WORDS,
    ),
    CheckRow(
        CheckName.GARBLED,
        _CLIP,
        "its pictures are no noise, and resemble one another",
        technical.garbled,
        _of("noisy_correlation", "jump_correlation", "max_garbled_share"),
        _BY_WORDS,
    ),
    CheckRow(
        CheckName.SEAMS,
        _CLIP,
        "segments of a shot go on where they meet",
        technical.seams,
        tuple(f"quality.seams.{name}" for name in ("jump_factor", "colour_corrected", "loudness_corrected_db")),
        _AT_THE_END,
    ),
    CheckRow(
        CheckName.SAFETY,
        _LOOK,
        "no classifier has seen anything that must not go public",
        safety.answer,
        ("quality.safety.frames", "quality.safety.every_s", "quality.safety.classifiers"),
        _follows(Consequence.CORRECTED_PROMPT, Consequence.BLOCK),
    ),
    CheckRow(
        CheckName.WORDING,
        _WORDS,
        "no rule finds anything in the brief's words",
        wording.answer,
        ("quality.risks",),
        _AT_THE_END,
    ),
)


def ask(gate: Gate, subject: Evidence | Undecoded | SafetyFinding | Wording) -> tuple[Check, ...]:
    """What every check of a gate that is about such a subject answers, in the table's order."""
    return tuple(row.ask(subject, gate) for row in CHECKS if isinstance(subject, row.about) and gate in row.follows)
