"""Where a clip's seconds went: every moment belongs to one part, whatever happened on the way."""

from datetime import UTC, datetime, timedelta

import pytest

from video_pipeline.feedback import ClipTimes, times_of
from video_pipeline.ledger import ClipTrail, Mark, Trail

_START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _at(second: float) -> datetime:
    return _START + timedelta(seconds=second)


def _way(planned: float, *moves: tuple[float, str], video: bool = True) -> Trail:
    return Trail(_at(planned), tuple((_at(second), state) for second, state in moves), video)


def _rendered(planned: float, *, provider_s: float = 10) -> Trail:
    """A job of a second's wait, `provider_s` at its provider, two for the download and one for the check."""
    ready = planned + 1 + provider_s
    return _way(
        planned,
        (planned + 0.5, "reserved"),
        (planned + 1, "submitting"),
        (planned + 1.5, "submitted"),
        (planned + 2, "processing"),
        (ready, "rendered"),
        (ready + 2, "stored"),
        (ready + 3, "accepted"),
    )


_PUBLISHED = _way(40, (41, "publishing"), (43, "processing"), (50, "published"))
_FINISHED = (
    (_at(26), Mark.UPSCALING),
    (_at(34), Mark.UPSCALED),
    (_at(36), Mark.REVIEWING),
    (_at(37), Mark.REVIEWED),
)


def _trail(*jobs: Trail, publications: tuple[Trail, ...] = (_PUBLISHED,), **fields: object) -> ClipTrail:
    values = {"arrived_at": _at(0), "taken_in_at": _at(5), "decided_at": _at(7), "marks": _FINISHED} | fields
    return ClipTrail(jobs=jobs, publications=publications, **values)  # pyright: ignore[reportArgumentType]


def _times(trail: ClipTrail) -> ClipTimes:
    """The times of a trail, which hold what is true of all of them."""
    times = times_of(trail)
    assert all(seconds > 0 for seconds in times.parts.values())
    if times.to_published_s is not None:
        assert sum(times.parts.values()) == pytest.approx(times.to_published_s)
        assert times.to_published_provider_s == times.parts.get("provider", 0.0)
    if times.to_preview_s is not None:
        assert times.to_preview_provider_s is not None
        assert 0 <= times.to_preview_provider_s <= times.to_preview_s
    return times


def test_every_second_is_told_once():
    times = _times(_trail(_rendered(8)))
    assert times.parts == {
        "inbox": 5,
        "planning": 2,
        "queue": 2,
        "provider": 10,
        "download": 2,
        "check": 1,
        "upscale": 8,
        "review": 1,
        "publishing": 3,
        "platform": 7,
        # The steps between: 22 to 26, 34 to 36, 37 to 40.
        "other": 9,
    }
    assert (times.to_published_s, times.to_published_provider_s) == (50, 10)
    assert (times.to_preview_s, times.to_preview_provider_s) == (17, 10)


def test_shots_that_are_rendered_at_a_time_wait_for_the_provider_once():
    times = _times(_trail(_rendered(8, provider_s=4), _rendered(8, provider_s=12)))
    assert (times.parts["provider"], times.parts["download"], times.parts["check"]) == (12, 2, 1)
    assert times.to_preview_s == 11


def test_a_clip_from_the_cache_waits_for_no_provider():
    cached = _way(8, (9, "accepted"))
    times = _times(_trail(cached, marks=(), publications=(_way(12, (13, "publishing"), (15, "published")),)))
    assert times.parts == {"inbox": 5, "planning": 2, "queue": 2, "publishing": 3, "other": 3}
    assert (times.to_preview_s, times.to_preview_provider_s) == (4, 0)


def test_a_picture_to_anchor_on_is_no_preview():
    picture = _way(8, (9, "submitting"), (12, "rendered"), (12.5, "accepted"), video=False)
    times = _times(_trail(picture, _rendered(13)))
    assert (times.to_preview_s, times.to_preview_provider_s) == (22, 13)


def test_a_refusal_and_the_next_attempt_are_both_the_providers():
    refused = _way(8, (8.5, "reserved"), (9, "submitting"), (12, "failed"))
    times = _times(_trail(refused, _rendered(12, provider_s=6)))
    assert times.parts["provider"] == 9


def test_what_comes_after_the_publication_changes_nothing():
    later = _way(90_000, (90_001, "publishing"), (90_002, "published"))
    marks = (*_FINISHED, (_at(90_000), Mark.REVIEWING), (_at(90_001), Mark.REVIEWED))
    again = _trail(_rendered(8), _rendered(80_000), publications=(_PUBLISHED, later), marks=marks)
    assert _times(again) == _times(_trail(_rendered(8)))


def test_the_time_in_which_no_run_was_at_it_is_nobodys():
    """Killed while it polled: from the last sign of life until a run goes on, nobody waited for the provider."""
    job = _way(8, (9, "submitting"), (10, "processing"), (3610, "rendered"), (3612, "stored"), (3613, "accepted"))
    published = _way(3620, (3621, "publishing"), (3622, "published"))
    times = _times(_trail(job, publications=(published,), marks=((_at(3600), Mark.TAKEN_UP),)))
    assert (times.parts["provider"], times.parts["other"]) == (11, 3597)


def test_a_run_that_gives_up_leaves_the_rest_to_nobody():
    job = _way(8, (9, "submitting"), (10, "processing"), (3610, "rendered"), (3612, "stored"), (3613, "accepted"))
    marks = ((_at(910), Mark.LEFT), (_at(3600), Mark.TAKEN_UP))
    times = _times(_trail(job, publications=(_way(3613, (3614, "published")),), marks=marks))
    assert (times.parts["provider"], times.parts["other"]) == (911, 2690)


def test_an_upscaling_that_was_killed_counts_from_its_second_start():
    marks = ((_at(24), Mark.UPSCALING), (_at(60), Mark.UPSCALING), (_at(68), Mark.UPSCALED))
    times = _times(_trail(_rendered(8), marks=marks, publications=(_way(70, (71, "published")),)))
    assert (times.parts["upscale"], times.parts["other"]) == (8, 40)


def test_an_upload_that_was_killed_counts_from_its_second_start():
    upload = _way(40, (41, "publishing"), (503, "published"))
    times = _times(_trail(_rendered(8), marks=(*_FINISHED, (_at(500), Mark.TAKEN_UP)), publications=(upload,)))
    assert (times.parts["publishing"], times.parts["other"]) == (4, 9 + 459)


def test_waiting_for_the_budget_is_a_queue_over_days():
    job = _way(8, (9, "refused"), (86_409, "reserved"), (86_410, "submitting"), (86_420, "rendered"))
    times = _times(_trail(job, publications=(), marks=((_at(86_400), Mark.TAKEN_UP),)))
    assert times.parts == {"inbox": 5, "planning": 2, "queue": 86_403, "provider": 10}
    assert (times.to_preview_s, times.to_published_s) == (None, None)


def test_a_frozen_clip_is_not_being_planned_although_every_run_decides_anew():
    trail = _trail(_rendered(90_000), decided_at=_at(89_000), marks=((_at(8), Mark.HELD),), publications=())
    assert (_times(trail).parts["planning"], _times(trail).parts["queue"]) == (3, 89_993)


@pytest.mark.parametrize(
    ("asked", "person"), [((23, 33), 10), ((23, None), 17)], ids=["who has answered", "who has not answered yet"]
)
def test_a_person_is_waited_for(asked: tuple[float, float | None], person: float):
    moments = tuple(None if second is None else _at(second) for second in asked)
    published = _way(40, (41, "published")) if asked[1] else _way(40)
    times = _times(_trail(_rendered(8), asked=(moments,), marks=(), publications=(published,)))
    assert times.parts["person"] == person


def test_a_submit_in_doubt_waits_for_a_person():
    job = _way(8, (9, "submitting"), (12, "unknown"), (3600, "submitted"), (3610, "rendered"), (3613, "accepted"))
    times = _times(_trail(job, marks=((_at(3605), Mark.TAKEN_UP),), publications=()))
    assert (times.parts["person"], times.parts["provider"], times.parts["other"]) == (3588, 8, 5)


def test_the_first_platform_counts():
    slow = _way(40, (41, "publishing"), (400, "published"))
    refused = _way(38, (39, "publishing"), (40, "refused"))
    assert _times(_trail(_rendered(8), publications=(refused, slow, _PUBLISHED))).to_published_s == 50


def test_a_dry_run_is_not_published():
    times = _times(_trail(_rendered(8), publications=(_way(40, (41, "not_connected")),)))
    assert (times.to_published_s, sum(times.parts.values())) == (None, 41)


@pytest.mark.parametrize("ahead_s", [3, 6, 1000])
def test_a_file_system_whose_clock_is_ahead_makes_nothing_negative(ahead_s: float):
    times = _times(_trail(_rendered(8), arrived_at=_at(ahead_s)))
    assert times.to_published_s == pytest.approx(50 - min(ahead_s, 5))


def test_moments_out_of_order_make_nothing_negative():
    """A person's answer is written by the clock of the person's machine."""
    asked = ((_at(24), _at(20)),)
    assert _times(_trail(_rendered(8), asked=asked)).to_published_s == 50


def test_a_brief_whose_arrival_nobody_has_noted_has_no_times():
    assert times_of(_trail(_rendered(8), arrived_at=None)) == ClipTimes()


def test_a_clip_that_was_only_taken_in_has_waited_in_the_inbox():
    times = _times(ClipTrail(_at(0), _at(5)))
    assert times == ClipTimes(parts={"inbox": 5})
