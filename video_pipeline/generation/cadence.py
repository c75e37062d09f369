"""When a job is asked for again: seldom while it cannot have ended yet, and so many times a second at a provider."""

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from video_pipeline.policy import BreakerPolicy

# Early polls are quick, so that a verdict of moderation or a fast render is seen at once.
_QUICK_S = 0.25
# A poll costs a provider and us about a millisecond each; more jobs are allowed more of them.
_POLLS_A_S = 100.0
_JOBS_A_POLL = 8
# How much longer than a job has taken so far it may take until its end is seen.
_LATE_SHARE = 0.05
# What nobody expects (a failure in the middle of a render) is seen after so long at the latest.
_LONGEST_S = 15.0
# A model's quick renders, of its last ones, are what the next is expected to take at least.
_LAST = 32
_QUICK_RENDER = 0.2
_BEFORE_SHARE = 0.9
# A share of the time that has passed already, so that hours of silence are not hours of runs, a minute each.
_AGAIN_SHARE = 0.25


def look_again_in(rules: BreakerPolicy, age_s: float) -> timedelta:
    """When a later run is to look again at what nobody could tell of, or serve, for `age_s` seconds."""
    return timedelta(
        seconds=min(rules.longest_wait_s["outage"], max(rules.first_wait_s["outage"], age_s * _AGAIN_SHARE))
    )


class Cadence:
    """The polls at one provider, which takes `concurrency` jobs at a time."""

    def __init__(self, concurrency: int) -> None:
        self._gap_s = 1 / max(_POLLS_A_S, concurrency / _JOBS_A_POLL)
        self._turn = asyncio.Lock()
        self._next_at = 0.0
        self._waiting = 0
        self._took_s: dict[str, deque[float]] = {}

    def rendered(self, model: str, took_s: float) -> None:
        """A job of `model` was seen to have ended, so long after it was bought."""
        self._took_s.setdefault(model, deque(maxlen=_LAST)).append(took_s)

    def wait_s(self, model: str, waited_s: float, interval_s: float, *, early: bool) -> float:
        """How long to leave alone a job that was waited for for `waited_s`; `early` while a verdict may come.

        `interval_s` is the provider's, for a job that may end any time now.
        """
        if early:
            # Each wait as long as all before it; one where there are so many jobs that it would be no early poll.
            return max(self._waiting * self._gap_s, min(interval_s, max(_QUICK_S, waited_s)))
        return max(interval_s, waited_s * _LATE_SHARE, self._too_early_s(model, waited_s))

    @contextmanager
    def waiting(self) -> Generator[None, None, None]:
        """For as long as a job waits for its next poll."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def turn(self, model: str, waited_s: float, *, told: bool = False) -> None:
        """Wait for a poll's turn; whoever has learned in the queue that it is too early, waits again, and once.

        So what nobody expects is seen, too, and so is a model that has become quick. Who was `told` waits for its
        turn only.
        """
        loop = asyncio.get_running_loop()
        since = loop.time() - waited_s
        for may_wait in (not told, False):
            async with self._turn:
                too_early_s = self._too_early_s(model, loop.time() - since) if may_wait else 0.0
                if not too_early_s:
                    await asyncio.sleep(max(0.0, self._next_at - loop.time()))
                    self._next_at = loop.time() + self._gap_s
                    return
            await asyncio.sleep(too_early_s)

    def _too_early_s(self, model: str, waited_s: float) -> float:
        """How long a job of `model` will surely not have ended yet, as far as is known; 0 when nothing is."""
        took_s = sorted(self._took_s.get(model, ()))
        if not took_s:
            return 0.0
        least_s = took_s[int(len(took_s) * _QUICK_RENDER)] * _BEFORE_SHARE
        return min(max(0.0, least_s - waited_s), _LONGEST_S)
