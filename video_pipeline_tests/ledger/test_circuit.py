"""The breaker's rules, as laws over any course of events, and the numbers that they stand on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import comb

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from video_pipeline.ledger import Breaker, BreakerCause, BreakerState, Trouble, circuit
from video_pipeline.policy import load_policy

RULES = load_policy().breaker
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
OUTAGE, CREDIT, AUTH, SLOW = BreakerCause.OUTAGE, BreakerCause.CREDIT, BreakerCause.AUTH, BreakerCause.SLOW


def after_failures(breaker: Breaker, *models: str, cause: BreakerCause = OUTAGE, apart_s: float = 1) -> Breaker:
    now = breaker.since
    for model in models:
        now += timedelta(seconds=apart_s)
        trouble = Trouble("fal", model, cause, f"job {breaker.failures} of {model} at {now}", "HTTP 503")
        breaker = circuit.failed(breaker, trouble, now, answered=False, seen=0, rules=RULES)
    return breaker


@pytest.mark.parametrize(
    ("models", "cause", "provider", "model"),
    [
        (("a", "a"), OUTAGE, CLOSED, CLOSED),
        (("a", "a", "a"), OUTAGE, CLOSED, OPEN),
        (("a", "b", "a"), OUTAGE, OPEN, OPEN),
        (("a",), CREDIT, OPEN, CLOSED),
        (("a", "a", "a"), CREDIT, OPEN, CLOSED),
        (("a",), AUTH, CLOSED, OPEN),
        (("a", "a", "a"), AUTH, CLOSED, OPEN),
        (("a", "b"), AUTH, OPEN, OPEN),
        (("a", "a", "a"), SLOW, CLOSED, OPEN),
        (("a", "b", "a"), SLOW, CLOSED, OPEN),
    ],
)
def test_one_models_failures_open_the_model_and_those_of_two_the_provider(
    models: tuple[str, ...], cause: BreakerCause, provider: BreakerState, model: BreakerState
) -> None:
    assert after_failures(Breaker("fal", START), *models, cause=cause).state is provider
    assert after_failures(Breaker("fal", START, "a"), *models, cause=cause).state is model


def test_failures_that_are_far_apart_or_of_two_causes_are_no_row() -> None:
    far = RULES.failure_window_s + 1
    assert after_failures(Breaker("fal", START), *"ababab", apart_s=far).state is CLOSED
    mixed = Breaker("fal", START, "a")
    for cause in (OUTAGE, SLOW, OUTAGE, SLOW, OUTAGE):
        mixed = after_failures(mixed, "a", cause=cause)
    assert mixed.state is CLOSED


def test_a_job_that_every_run_meets_anew_is_one_failure() -> None:
    breaker = Breaker("fal", START, "a")
    for minute in range(9):
        trouble = Trouble("fal", "a", OUTAGE, "the only job", "HTTP 500", polling=True)
        now = START + timedelta(minutes=minute)
        breaker = circuit.failed(breaker, trouble, now, answered=False, seen=0, rules=RULES)
    assert (breaker.state, breaker.failures) == (CLOSED, 1)


def test_what_was_on_its_way_when_it_opened_makes_no_wait_longer() -> None:
    opened = after_failures(Breaker("fal", START), "a", "b", "a")
    assert after_failures(opened, "a", "b", "c") == opened
    due = opened.next_probe_at or START
    probed = circuit.probing(opened, "the probe", due, RULES)
    assert after_failures(probed, "a", "b", "c") == probed


def test_waits_double_up_to_their_limit_and_begin_anew_after_a_long_calm() -> None:
    breaker, waits = after_failures(Breaker("fal", START), "a", "b", "a"), list[float]()
    for _ in range(7):
        assert breaker.next_probe_at is not None
        waits.append((breaker.next_probe_at - breaker.since).total_seconds())
        probed = circuit.probing(breaker, "the probe", breaker.next_probe_at, RULES)
        trouble = Trouble("fal", "a", OUTAGE, "the probe", "HTTP 503")
        breaker = circuit.failed(probed, trouble, probed.since, answered=False, seen=0, rules=RULES)
    assert waits == [60, 120, 240, 480, 900, 900, 900]
    closed = circuit.answered(breaker, 1, 0, breaker.since, seen=0, rules=RULES)
    flapping = after_failures(closed, "a", "b", "a")
    assert flapping.openings == breaker.openings + 1
    calm = after_failures(replace(closed, since=closed.since - timedelta(days=1)), *[], cause=OUTAGE)
    later = closed.since + timedelta(seconds=RULES.longest_wait_s["outage"] + 60)
    for number, model in enumerate("aba"):
        trouble = Trouble("fal", model, OUTAGE, f"job {number}", "HTTP 503")
        now = later + timedelta(seconds=number)
        calm = circuit.failed(calm, trouble, now, answered=False, seen=0, rules=RULES)
    assert (calm.state, calm.openings) == (OPEN, 1)


def test_refusals_open_a_model_by_honest_counts_and_all_probes_must_go_well() -> None:
    model = Breaker("fal", START, "a")
    few = circuit.refused(model, 7, 7, START, seen=0, rules=RULES)
    enough = circuit.refused(model, 8, 8, START, seen=0, rules=RULES)
    assert (few.state, enough.state, enough.numbers["clips"]) == (CLOSED, OPEN, 8)
    probed = circuit.probing(enough, "one", START, RULES)
    assert circuit.answered(probed, RULES.probes - 1, 0, START, seen=0, rules=RULES) == probed
    assert circuit.answered(probed, RULES.probes, 0, START, seen=0, rules=RULES).state is CLOSED
    again = circuit.answered(probed, RULES.probes, 1, START, seen=0, rules=RULES)
    assert (again.state, again.openings) == (OPEN, 2)


def test_a_model_that_refuses_as_usual_is_practically_never_left_alone() -> None:
    """A single look at 8 to 40 clips of a model that refuses 15 % of them."""
    closed = Breaker("fal", START, "a")
    for clips in range(1, 41):
        opens = [
            refusals
            for refusals in range(clips + 1)
            if circuit.refused(closed, refusals, clips, START, seen=0, rules=RULES).state is OPEN
        ]
        chance = sum(comb(clips, k) * 0.15**k * 0.85 ** (clips - k) for k in opens)
        assert chance < 1e-6


def test_probes_that_come_to_nothing_are_budgeted() -> None:
    opened = after_failures(Breaker("fal", START), "a", "b", "a")
    breaker = circuit.probing(opened, "job 0", opened.next_probe_at or START, RULES)
    for number in range(1, RULES.probes):
        assert breaker.is_due(breaker.since)
        breaker = circuit.probing(breaker, f"job {number}", breaker.since, RULES)
    assert not breaker.is_due(breaker.since)
    waiting = circuit.exhausted(breaker, breaker.since, RULES)
    assert (waiting.state, waiting.openings, waiting.next_probe_at is not None) == (OPEN, 1, True)


class Course(RuleBasedStateMachine):
    """Any course of failures, refusals, answers and probes, of a model's breaker or a provider's."""

    @initialize(model=st.sampled_from(["", "a"]))
    def begin(self, model: str) -> None:
        self.now, self.jobs, self.opened_by = START, 0, BreakerCause.OUTAGE
        self.breaker = self.before = Breaker("fal", START, model)

    def move(self, after: Breaker) -> None:
        self.before, self.breaker = self.breaker, after

    @rule(seconds=st.integers(0, 20_000))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(
        cause=st.sampled_from([OUTAGE, CREDIT, AUTH, SLOW]),
        model=st.sampled_from("ab"),
        probe=st.booleans(),
        again=st.booleans(),
    )
    def fails(self, cause: BreakerCause, model: str, probe: bool, again: bool) -> None:
        self.jobs += 1
        key = self.breaker.probe_key if probe and self.breaker.probe_key else f"job {self.jobs}"
        trouble = Trouble("fal", model, cause, key, "why")
        self.move(circuit.failed(self.breaker, trouble, self.now, answered=again, seen=0, rules=RULES))

    @rule(clips=st.integers(0, 30), share=st.floats(0, 1))
    def is_refused(self, clips: int, share: float) -> None:
        refusals = round(clips * share)
        self.move(circuit.refused(self.breaker, refusals, clips, self.now, seen=0, rules=RULES))

    @rule(good=st.integers(0, 4), bad=st.integers(0, 2))
    def answers(self, good: int, bad: int) -> None:
        self.move(circuit.answered(self.breaker, good, bad, self.now, seen=0, rules=RULES))

    @rule()
    def is_probed(self) -> None:
        if self.breaker.is_due(self.now):
            self.jobs += 1
            self.move(circuit.probing(self.breaker, f"probe {self.jobs}", self.now, RULES))
        elif self.breaker.state is HALF_OPEN:
            self.move(circuit.exhausted(self.breaker, self.now, RULES))

    @invariant()
    def has_a_way_on(self) -> None:
        """A governor must not be able to halt what it governs: whatever is not closed has a bounded wait."""
        one = self.breaker
        if one.state is CLOSED:
            assert (one.next_probe_at, one.probe_key, one.probes_left) == (None, None, 0)
            return
        assert one.cause is not None
        assert one.next_probe_at is not None
        assert one.next_probe_at - one.since <= timedelta(seconds=RULES.longest_wait_s[one.cause])
        assert one.opened_at is not None
        assert 0 <= one.probes_left < RULES.probes
        assert one.is_due(one.since + timedelta(days=1)) or one.state is HALF_OPEN

    @invariant()
    def moves_by_its_ways_only(self) -> None:
        ways = {(CLOSED, OPEN), (OPEN, HALF_OPEN), (OPEN, CLOSED), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)}
        assert self.before.state is self.breaker.state or (self.before.state, self.breaker.state) in ways
        if (self.before.state, self.breaker.state) == (OPEN, HALF_OPEN):
            assert self.before.next_probe_at is not None
            assert self.now >= self.before.next_probe_at
        if self.before.state is not CLOSED and self.breaker.state is OPEN:
            assert self.breaker.openings >= self.before.openings


TestCourse = Course.TestCase


@given(openings=st.integers(1, 10_000), cause=st.sampled_from(list(BreakerCause)))
def test_a_wait_is_bounded_and_never_shrinks(openings: int, cause: BreakerCause) -> None:
    wait_s = circuit.wait_s(cause, openings, RULES)
    assert RULES.first_wait_s[cause] <= wait_s <= RULES.longest_wait_s[cause]
    assert wait_s <= circuit.wait_s(cause, openings + 1, RULES)
