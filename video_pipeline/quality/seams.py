"""The seam between two segments of one shot: what repeats, jumps, changes its colour or its level there (G2.6).

All of it is measured against the clip itself: what its neighbouring frames differ by, and how loud it is.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from video_pipeline.media import Fitting, frame_count
from video_pipeline.policy import SeamThresholds

if TYPE_CHECKING:
    from video_pipeline.quality.seam_footage import Film, Look

# A colour that changes within the clip itself by a third of what it does at the seam is the clip's own.
_OWN_CHANGES = 3.0


class Seam(BaseModel):
    """What was measured at a seam, and what follows from it.

    `step` is what the frames on either side of it differ by once `repeated` ones are dropped; neighbours beside it
    differ by `least_step` to `largest_step`. `colour` is the difference of mean colours in Lab, `loudness_db`
    how much louder the second segment is; None where that cannot be said. The rest corrects the second segment.
    """

    model_config = ConfigDict(frozen=True)

    continued: bool
    repeated: int
    step: float
    least_step: float
    largest_step: float
    jump: bool
    colour: float | None = None
    loudness_db: float | None = None
    luma_gain: float = 1.0
    chroma_shift: tuple[float, float] = (0.0, 0.0)
    gain_db: float = 0.0
    faults: tuple[str, ...] = ()

    @property
    def fitting(self) -> Fitting:
        """How the second segment is to be joined to the first."""
        return Fitting(self.repeated, self.luma_gain, self.chroma_shift, self.gain_db)

    @property
    def told(self) -> str:
        """What was found and done, in words."""
        parts = [f"{self.repeated} repeated frame{'s' * (self.repeated > 1)} dropped"] if self.repeated else []
        if self.jump and not self.continued:
            parts.append("a cut, as the segments were rendered apart")
        if self.fitting.luma_gain != 1.0 or self.chroma_shift != (0.0, 0.0):
            parts.append(f"a colour shift of {self.colour or 0.0:.1f} corrected")
        if self.gain_db:
            parts.append(f"a step of {self.loudness_db or 0.0:+.1f} dB corrected")
        return "; ".join([*parts, *self.faults]) or "clean"


def measure_seam(
    before: Path,
    after: Path,
    rules: SeamThresholds,
    *,
    length_s: float | None = None,
    continued: bool = False,
    with_audio: bool = True,
) -> Seam:
    """Measure the seam between the first `length_s` seconds of `before` (all where None) and `after`.

    `continued`: `after` was rendered from the last frame of `before`, so that it begins with that frame, and has no
    excuse for another picture. Segments that were rendered apart meet in a cut. Raises MediaError.
    """
    from video_pipeline.quality.seam_footage import Film, distance

    films = Film.of(before), Film.of(after)
    end_s = float(frame_count(films[0].info, films[0].rate, length_s) / films[0].rate)
    tail, head = films[0].last(rules.neighbours, end_s), films[1].first(rules.neighbours + rules.most_repeats)
    # Frames that may repeat the one before the seam say nothing of how the clip moves.
    moving = tail, head[rules.most_repeats :]
    steps = _apart(moving, 1) or [0.0]
    least, largest = min(steps), max(steps)
    far = median(_apart(moving, rules.jump_frames) or [0.0])
    limit = max(rules.least_jump, rules.jump_factor * largest, far)
    across = [distance(tail[-1], look) for look in head]
    # What does not begin with the frame that it was given repeats nothing; where the picture stands, nothing can.
    given = continued and across[0] <= limit
    first = enumerate(across[: rules.most_repeats], 1) if least >= rules.still else ()
    repeated = max([int(given), *(at for at, step in first if step <= rules.repeat_share * least)])
    step = across[min(repeated, len(across) - 1)]
    jump = step > limit
    faults: list[str] = []
    if jump and continued:
        faults.append(f"the picture jumps: a step of {step:.1f} where the largest beside it is {largest:.1f}")
    seam = Seam(
        continued=continued,
        repeated=repeated,
        step=round(step, 3),
        least_step=round(least, 3),
        largest_step=round(largest, 3),
        jump=jump,
    )
    colour = {} if jump else _colour(tail, head, rules, faults)
    sound = _loudness(films, end_s, float(repeated / films[1].rate), rules, faults) if with_audio else {}
    return seam.model_copy(update={**colour, **sound, "faults": tuple(faults)})


def _apart(parts: "Sequence[Sequence[Look]]", frames: int) -> list[float]:
    """What frames of the same part differ by that are so many apart."""
    from video_pipeline.quality.seam_footage import distance

    return [distance(one, other) for looks in parts for one, other in zip(looks, looks[frames:], strict=False)]


def _colour(
    tail: "Sequence[Look]", head: "Sequence[Look]", rules: SeamThresholds, faults: list[str]
) -> dict[str, object]:
    last, first = tail[-1], head[0]
    delta = math.dist(last.lab, first.lab)
    own = max(
        (math.dist(one.lab, other.lab) for looks in (tail, head) for one, other in pairwise(looks)), default=0.0
    )
    found: dict[str, object] = {"colour": round(delta, 2)}
    if delta <= max(rules.colour_free, _OWN_CHANGES * own):
        return found
    if delta > rules.colour_corrected:
        faults.append(f"the colour shifts by {delta:.1f}, too much to be corrected")
        return found
    (luma, *chroma), (wanted, *wanted_chroma) = first.codes, last.codes
    shift = tuple(round(want - have, 2) for have, want in zip(chroma, wanted_chroma, strict=True))
    return found | {"luma_gain": round((wanted - 16) / max(luma - 16, 1.0), 4), "chroma_shift": shift}


def _loudness(
    films: "tuple[Film, Film]", end_s: float, start_s: float, rules: SeamThresholds, faults: list[str]
) -> dict[str, object]:
    before, after = (
        film.level(from_s, from_s + rules.loudness_s)
        for film, from_s in zip(films, (end_s - rules.loudness_s, start_s), strict=True)
    )
    if before is None or after is None:
        return {}
    step = after.db - before.db
    found: dict[str, object] = {"loudness_db": round(step, 2)}
    if abs(step) <= max(rules.loudness_free_db, before.change_db, after.change_db):
        return found
    if abs(step) > rules.loudness_corrected_db:
        faults.append(f"the sound is {step:+.1f} dB after the seam, too much to be corrected")
        return found
    return found | {"gain_db": round(-step, 2)}
