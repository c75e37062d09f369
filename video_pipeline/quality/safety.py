"""Whether a clip may go public (Q2): sampled frames before the classifiers, and what their scores come to.

It fails closed: what could not be looked at is never safe, whatever the reason.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from video_pipeline.media import VideoStream, upright
from video_pipeline.policy import ClassifierPolicy, SafetyPolicy
from video_pipeline.quality.classifiers import Classifier, load_classifier
from video_pipeline.quality.technical import Answer
from video_pipeline.quality.verdict import SafetyFinding, SafetyOutcome, Scored

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_LOG = logging.getLogger(__name__)
# Of a file that plays for less than this share of its stated length, too little is seen to say that it is safe.
_LEAST_SHOWN = 0.75
# Of a few frames that share is less than the one or two that containers say too many.
_MISCOUNTED = 2


def answer(finding: SafetyFinding) -> Answer:
    """The check on what the classifiers have seen."""
    measured = "nothing" if finding.worst is None else f"at most {finding.worst:.3f}"
    message = f"The clip is safe to publish: {finding.reason}."
    if finding.outcome is SafetyOutcome.UNMEASURED:
        message = f"Whether the clip is safe to publish could not be told: {finding.reason}."
    elif finding.outcome is not SafetyOutcome.PASS:
        message = f"The clip may not be safe to publish: {finding.reason}."
    return Answer(
        passed=finding.outcome is SafetyOutcome.PASS,
        measured=measured,
        expected="every sampled frame is safe to every classifier",
        message=message,
        in_doubt=finding.outcome is not SafetyOutcome.BLOCK,
    )


class Look:
    """Shows sampled frames of a clip to every classifier, while somebody else decodes it (a Watcher).

    One frame is held at a time. Nothing here raises: `finding` says what went wrong.
    """

    def __init__(self, policy: SafetyPolicy) -> None:
        self._policy = policy
        self._classifiers: dict[str, Classifier] = {}
        self._scores: dict[str, list[tuple[float, float]]] = {name: [] for name in policy.in_use}
        self._trouble = ""
        self._video: VideoStream | None = None
        self._every_s = policy.every_s
        self._next_s = -math.inf
        self._frames = 0
        self._last: tuple[float, VideoFrame] | None = None
        self._first_s: float | None = None
        self._shown_until_s = 0.0
        self._ended = False

    def begin(self, video: VideoStream) -> None:
        """Say what comes."""
        self._video = video
        # The first and the last frame are looked at as well, so that n frames lie n - 1 steps apart. Some of what the
        # container says may be missing.
        shown_s = _LEAST_SHOWN * video.duration_s
        self._every_s = min(self._policy.every_s, shown_s / max(1, self._policy.frames - 1))
        try:
            for name, one in self._policy.in_use.items():
                self._classifiers[name] = load_classifier(one)
        except Exception as error:
            self._fail(error)

    def see(self, frame: "VideoFrame") -> None:
        """Look at `frame` when it is time to."""
        if self._trouble or not self._classifiers or self._video is None:
            return
        self._frames += 1
        rate = float(self._video.rate) or 24.0
        at_s = self._frames / rate if frame.pts is None else frame.time
        lasts_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
        self._first_s = at_s if self._first_s is None else self._first_s
        self._shown_until_s = max(self._shown_until_s, at_s + max(lasts_s, 1 / rate))
        self._last = (at_s, frame)
        # Rounding must not lose the frame that lies a step after the one before.
        if at_s >= self._next_s - 0.5 / rate:
            self._look(at_s, frame, self._video)
            self._next_s = at_s + self._every_s

    def end(self) -> None:
        """The last frame is looked at as well."""
        if self._last is not None and self._video is not None and not self._trouble:
            self._look(*self._last, self._video)
        self._last = None
        self._ended = True

    def _look(self, at_s: float, frame: "VideoFrame", video: VideoStream) -> None:
        self._last = None
        try:
            picture = upright(frame, video)
            for name, classifier in self._classifiers.items():
                self._scores[name].append((round(at_s, 3), classifier.score(picture)))
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        _LOG.warning("a clip could not be looked at: %s", error)
        self._trouble = str(error) or type(error).__name__

    @property
    def finding(self) -> SafetyFinding:
        """What was seen so far, and what it comes to."""
        least = max(1, min(self._policy.frames, self._frames))
        scores = {name: [score for _, score in seen] for name, seen in self._scores.items()}
        outcome, reason = judged(scores, self._policy.in_use, least=least, trouble=self._trouble or self._unseen)
        return SafetyFinding(
            outcome=outcome,
            reason=reason,
            classifiers=tuple(
                Scored(name=name, sha256=one.sha256, scores=tuple(_told(score) for score in self._scores[name]))
                for name, one in self._policy.in_use.items()
            ),
        )

    @property
    def _unseen(self) -> str:
        """What is to be said where a clip was shown, but not as much of it as its container says there is."""
        if self._first_s is None or self._video is None:
            return ""
        length_s, rate = self._video.duration_s, float(self._video.rate) or 24.0
        least_s = min(_LEAST_SHOWN * length_s, length_s - _MISCOUNTED / rate)
        # Rounding must not lose a frame here, either.
        seen_s = self._shown_until_s - self._first_s + 0.5 / rate
        return "" if self._ended and seen_s >= least_s else "it was not seen to its end"


def judged(
    scores: Mapping[str, Sequence[float]],
    classifiers: Mapping[str, ClassifierPolicy],
    *,
    least: int,
    trouble: str = "",
) -> tuple[SafetyOutcome, str]:
    """What the scores of a clip's frames come to, by classifier, and why; in whatever order the frames came.

    A clip passes only when every classifier has a score under its lower bound for each of at least `least` frames.
    """
    found = {name: scores.get(name, ()) for name in classifiers}
    known = {name: max((one for one in seen if _is_score(one)), default=0.0) for name, seen in found.items()}
    for name, one in classifiers.items():
        if known[name] >= one.block_from:
            return SafetyOutcome.BLOCK, f"{name} says {known[name]:.2f}, unsafe from {one.block_from:g} on"
    if trouble:
        return SafetyOutcome.UNMEASURED, trouble
    if not classifiers:
        return SafetyOutcome.UNMEASURED, "the policy names no classifier"
    for name, seen in found.items():
        if not all(_is_score(one) for one in seen):
            return SafetyOutcome.UNMEASURED, f"{name} gave something that is no score from 0 to 1"
        if len(seen) < least:
            return SafetyOutcome.UNMEASURED, f"{name} has seen {len(seen)} frames, {least} are the least"
    for name, one in classifiers.items():
        if known[name] >= one.person_from:
            bounds = f"between {one.person_from:g} and {one.block_from:g}"
            return SafetyOutcome.PERSON, f"{name} says {known[name]:.2f}, {bounds} a person has to look"
    worst = ", ".join(f"{name} {score:.3f}" for name, score in known.items())
    return SafetyOutcome.PASS, f"at most {worst}"


# A softmax may be over 1 by what floats round.
_ROUNDED = 1e-4


def _is_score(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= 1 + _ROUNDED


def _told(scored: tuple[float, float]) -> tuple[float, float | None]:
    """A frame's time and score as JSON has them, which knows no NaN."""
    at_s, score = scored
    return at_s, round(score, 4) if math.isfinite(score) else None
