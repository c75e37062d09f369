"""What a gate is asked and answers: what was ordered, each check's answer, and what is to follow (Q1)."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gate(StrEnum):
    """Where a clip is looked at: as it was downloaded, before anything is upscaled, and as it is to be published."""

    RAW = "raw clip"
    FINAL = "finished clip"


class Consequence(StrEnum):
    """What follows from a failed check. A raw clip is bought again for the first two."""

    NEW_SEED = "new seed"
    CORRECTED_PROMPT = "corrected prompt"
    PERSON = "a person"
    BLOCK = "block"


class CheckName(StrEnum):
    """The checks, in the order of a verdict."""

    PLAYABLE = "playable"
    RESOLUTION = "resolution"
    DURATION = "duration"
    FILE_SIZE = "file_size"
    AUDIO = "audio"
    BLACK = "black"
    FROZEN = "frozen"
    GARBLED = "garbled"
    SEAMS = "seams"
    SAFETY = "safety"
    WORDING = "wording"


class SafetyOutcome(StrEnum):
    """What the classifiers' scores come to. What could not be measured is never taken for safe."""

    PASS = "pass"
    PERSON = "a person"
    BLOCK = "block"
    UNMEASURED = "not measured"


class Scored(_Data):
    """What one classifier has said: (seconds, 0..1) of each frame that it saw; None where it gave no number."""

    name: str
    sha256: str
    scores: tuple[tuple[float, float | None], ...]


class SafetyFinding(_Data):
    """Whether a clip may go public, why, and by whose word."""

    outcome: SafetyOutcome
    reason: str
    classifiers: tuple[Scored, ...]

    @property
    def worst(self) -> float | None:
        """The highest score of any frame; None where there is none."""
        return max((at[1] for one in self.classifiers for at in one.scores if at[1] is not None), default=None)


class Expectation(_Data):
    """What was ordered: `size` is (width, height) as displayed; `tolerance` is of the duration.

    `shaped` says that the picture has to have the shape of `size`, too, and not only as many pixels. `wanted_s` is
    what the brief asks for, of which no more may be missing where less than that was ordered. `seam_faults` is what
    was found where segments meet and could not be mended, a sentence each.
    """

    size: tuple[int, int]
    shaped: bool = False
    duration_s: float = Field(gt=0)
    wanted_s: float = Field(default=0.0, ge=0)
    audio: bool
    tolerance: float = Field(default=0.10, gt=0, lt=1)
    seam_faults: tuple[str, ...] = ()


class Check(_Data):
    """One check's answer. `message` is a sentence for a person; `measured` and `expected` stand alone.

    `follows` is there when it failed; verdicts of earlier releases have none.
    """

    name: CheckName
    passed: bool
    measured: str
    expected: str
    message: str
    follows: Consequence | None = None


class ClipVerdict(_Data):
    """All checks of one file at one gate, in a fixed order. A file that cannot be decoded has no picture checks.

    `safety` is what the classifiers have said; verdicts of earlier releases have none.
    """

    checks: tuple[Check, ...]
    safety: SafetyFinding | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed, in order."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def unmeasured(self) -> bool:
        """Whether nobody has seen if the clip is safe."""
        return self.safety is not None and self.safety.outcome is SafetyOutcome.UNMEASURED

    @property
    def useless(self) -> bool:
        """Whether a check failed that no person's word can make good."""
        return any(check.follows is not Consequence.PERSON for check in self.failures)
