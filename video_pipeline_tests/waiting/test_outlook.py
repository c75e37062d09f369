"""Each cause: what waits for it goes on exactly when it can, and its row says what wakes it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from video_pipeline.ledger import Standing, Wait, WaitCause, What, Why, breaker_of
from video_pipeline.waiting import Now, may_go_on, waker

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLIP = "2026-09-01/cup"
LATER = AT + timedelta(hours=3)
NOW = Now(AT, committed_usd=Decimal(9), ceiling_usd=Decimal(10), plan_cap_usd=Decimal(5), routing="3-1-0")


def _wait(cause: WaitCause, hinges_on: str = "", what: What = What.CLIP, **why) -> Wait:
    return Wait(what, CLIP, date(2026, 9, 1), Why(cause, "why", hinges_on, **why))


def _standing(**fields) -> Now:
    return replace(NOW, standing=Standing(**fields))


HELD_UP = {
    "the day's ceiling": (
        _wait(WaitCause.CEILING, "day", usd=Decimal("1.50"), until=LATER),
        NOW,
        [replace(NOW, committed_usd=Decimal(0)), replace(NOW, ceiling_usd=Decimal("10.50"))],
    ),
    "the cap of a plan": (
        _wait(WaitCause.CEILING, "plan", usd=Decimal(6)),
        replace(NOW, committed_usd=Decimal(0)),
        [replace(NOW, plan_cap_usd=Decimal(6)), replace(NOW, thinner=frozenset({date(2026, 9, 1)}))],
    ),
    "a frozen tier": (
        _wait(WaitCause.FROZEN, "preview"),
        replace(NOW, frozen=frozenset({"preview"})),
        [replace(NOW, frozen=frozenset({"cinematic"})), NOW],
    ),
    "a frozen tier whose probes of today are bought": (
        _wait(WaitCause.FROZEN, "preview", until=LATER),
        replace(NOW, frozen=frozenset({"preview"})),
        [NOW, replace(NOW, frozen=frozenset({"preview"}), at=LATER)],
    ),
    "no model": (
        _wait(WaitCause.MODEL, "3-1-0", until=LATER),
        NOW,
        [replace(NOW, routing="3-2-0"), replace(NOW, at=LATER)],
    ),
    "a provider": (_wait(WaitCause.PROVIDER, "fal", until=LATER), NOW, [replace(NOW, at=LATER)]),
    "a breaker": (
        _wait(WaitCause.PROVIDER, breaker_of("fal"), until=LATER),
        replace(NOW, left_alone=frozenset({breaker_of("fal")})),
        # Closed by another clip's job before the time that was told.
        [NOW, replace(NOW, left_alone=frozenset({breaker_of("fal")}), at=LATER)],
    ),
    "a quota": (_wait(WaitCause.QUOTA, "youtube_shorts", until=LATER), NOW, [replace(NOW, at=LATER)]),
    "a person": (_wait(WaitCause.PERSON), _standing(asked=frozenset({CLIP})), [NOW]),
    "a person, on a publication": (
        _wait(WaitCause.PERSON, what=What.PUBLICATION),
        _standing(in_doubt=frozenset({CLIP})),
        [NOW, _standing(asked=frozenset({CLIP}))],
    ),
    "a lease": (_wait(WaitCause.LEASE), _standing(at_work=frozenset({CLIP})), [NOW]),
    "a run that has it": (
        replace(_wait(WaitCause.CEILING, "day", usd=Decimal(100)), taken_up_at=AT),
        _standing(at_work=frozenset({CLIP})),
        [NOW],
    ),
    "an identical job": (_wait(WaitCause.TWIN, "key"), _standing(jobs_open=frozenset({"key"})), [NOW]),
}


@pytest.mark.parametrize("case", HELD_UP)
def test_what_is_held_up_goes_on_when_that_ends_and_not_before(case: str) -> None:
    wait, before, after = HELD_UP[case]
    assert not may_go_on(wait, before)
    for now in after:
        assert may_go_on(wait, now)
    assert waker(wait)


@pytest.mark.parametrize("cause", [WaitCause.RUN, WaitCause.RETRY, WaitCause.RESULT, WaitCause.PROVIDER])
def test_what_nobody_knows_the_end_of_is_tried(cause: WaitCause) -> None:
    assert may_go_on(_wait(cause), NOW)
    assert waker(_wait(cause))


def test_a_brief_that_must_be_changed_goes_on_by_its_new_file_only() -> None:
    wait = _wait(WaitCause.PERSON, "brief", what=What.PUBLICATION)
    assert not may_go_on(wait, NOW)
    assert "change the brief" in waker(wait)
