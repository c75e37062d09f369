"""Is a demoted model still bad, or mended? A filter of two states, fed by every first try that it is given. Pure."""

from dataclasses import dataclass

from video_pipeline.feedback.changes import Rise
from video_pipeline.feedback.operational import Counts
from video_pipeline.policy import ScoringPolicy


@dataclass
class Fall:
    """Why and when a version fell, and how likely it is that it is mended. Nights are ordinals of days.

    It is mended on any night with the chance `policy.mended_a_day`, which every relapse halves: an outage ends within
    days, what comes again and again does not. A relapse asks for more evidence, too, and for longer rests between two
    nights of probation, of which `heard` is the last. `back` is the night of its return, after which it may relapse.
    """

    rise: Rise
    night: int
    relapses: int = 0
    mended: float = 0.0
    back: int | None = None
    heard: int | None = None

    def hear(self, night: int, tonight: Counts, policy: ScoringPolicy) -> None:
        """A night has passed, with these first tries at the version."""
        if tonight.tried:
            self.heard = night
        if self.back is None:
            self.mended += (1 - self.mended) * policy.mended_a_day / 2**self.relapses
        bad, usual = self.rise.rate, self.rise.usual
        failed = tonight.bad(refused=self.rise.refused)
        fine = tonight.tried - failed
        still_bad = (1 - self.mended) * bad**failed * (1 - bad) ** fine
        mended = self.mended * usual**failed * (1 - usual) ** fine
        self.mended = mended / (mended + still_bad)

    def returns(self, night: int, policy: ScoringPolicy) -> bool:
        """Whether it may serve again: mended as good as surely, or on trial when its time is over."""
        if self.surely_mended(policy):
            return True
        over = night - self.night >= policy.trial_after_days * 2**self.relapses
        return over and self.mended >= policy.trial_probability

    def surely_mended(self, policy: ScoringPolicy) -> bool:
        """Whether it is as good as sure that it is mended; every relapse multiplies the odds that are asked for."""
        odds = policy.restore_probability / (1 - policy.restore_probability)
        return self.mended >= 1 - 1 / (1 + odds ** (1 + self.relapses))

    def rests_since(self) -> int | None:
        """The night from which on it rests as long as after its fall; None while it need not rest again.

        It may be a night to come: every relapse doubles what it rests longer.
        """
        if not self.relapses or self.heard is None:
            return None
        return self.heard + 2**self.relapses - 2

    def relapsed(self, policy: ScoringPolicy) -> bool:
        """Whether it is as good as sure that it was not mended after all."""
        return self.mended <= policy.relapse_probability

    def forgotten(self, night: int, policy: ScoringPolicy) -> bool:
        """Whether it has been back for so long that another fall would be no relapse."""
        return self.back is not None and night - self.back > policy.relapse_days
