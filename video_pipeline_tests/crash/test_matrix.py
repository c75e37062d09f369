"""Kill the pipeline at every named point, start it again, and compare the books.

Every kill ends with each clip paid for, stored and published exactly once and with nobody asked, but for one case: a
submit whose intent is committed and that the provider has never heard of. The next run looks for it twice, does not
find it, and cannot tell whether it is still on its way; the provider has no idempotency key, so it ends as `unknown`
and a person is asked. That is what a kill at `generation.submitting` leaves, and a kill anywhere else for a submit
that stands at that very point in the same moment, as shots are worked on at once.

The same matrix runs with a provider and a platform that are not in the package. Theirs is a provider with
idempotency keys: nothing of it is ever in doubt.
"""

import re
from collections import Counter
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import pytest

import video_pipeline
from video_pipeline.briefs import Brief
from video_pipeline.ledger import JobState
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.contract.vendors import SOLD
from video_pipeline_tests.crash.conftest import FROM_OUTSIDE, PACKAGED, PRICE, Trial, small_day
from video_pipeline_tests.generation.stage import check_books

pytestmark = pytest.mark.crash

# How often an undisturbed day passes each point: four purchases, of which one is refused; two clips.
POINTS = {
    "generation.reserved": 4,
    "generation.submitting": 4,
    "generation.accepted": 4,
    "generation.submitted": 4,
    "generation.processing": 4,
    "generation.rendered": 3,
    "generation.downloaded": 3,
    "generation.stored": 3,
    "generation.assembled": 2,
    "publishing.intent": 2,
    "publishing.session": 2,
    "publishing.sent": 2,
}
# Points that only trouble leads to: a failure is counted, a shot moves to another model, a job is called off.
ON_TROUBLE = ("generation.reported", "generation.rerouted", "generation.called_off")
# What costs nothing: an approved preview serves.
REUSING = "generation.reusing"
# A further segment of a shot starts from the last frame of the one before.
CONTINUING = "generation.frame_kept"
IN_DOUBT = "generation.submitting"
ANY_VENDORS = pytest.mark.parametrize("vendors", [PACKAGED, FROM_OUTSIDE], ids=["packaged", "from outside"])
EVERY_OTHER = sorted({*SOLD, "comfyui"} - {FROM_OUTSIDE[0]})
# They take the bytes first, and are told to publish them when they have processed them.
EVERY_OTHER_PLATFORM = [(PACKAGED[0], "instagram_reels")]
# The first time, the second (another shot is under way by then) and the last.
SINGLES = [(name, nth) for name, times in POINTS.items() for nth in sorted({1, 2, times})]
# The second kill hits what the first one left half-way.
PAIRS = [
    ("generation.reserved", "generation.reserved"),
    ("generation.submitting", "generation.submitting"),
    ("generation.submitting", "generation.accepted"),
    ("generation.accepted", "generation.accepted"),
    ("generation.submitted", "generation.submitted"),
    ("generation.rendered", "generation.rendered"),
    ("generation.rendered", "generation.downloaded"),
    ("generation.downloaded", "generation.downloaded"),
    ("generation.stored", "generation.stored"),
    ("generation.stored", "generation.assembled"),
    ("generation.assembled", "publishing.intent"),
    ("publishing.intent", "publishing.session"),
    ("publishing.session", "publishing.session"),
    ("publishing.session", "publishing.sent"),
    ("publishing.sent", "publishing.sent"),
]


def test_every_named_point_is_in_the_matrix() -> None:
    package = Path(video_pipeline.__file__).parent
    named = {
        name
        for room in ("generation", "publishing")
        for path in (package / room).rglob("*.py")
        for name in re.findall(r'checkpoints\.reached\("([^"]+)"\)', path.read_text())
    }
    assert named == {*POINTS, *ON_TROUBLE, REUSING, CONTINUING}


@ANY_VENDORS
def test_an_undisturbed_day_passes_every_point_so_often(
    trial: Trial, tmp_path: Path, vendors: tuple[str, str]
) -> None:
    assert not trial.run(reached=tmp_path / "reached")
    trial.compare_books()
    passed = Counter((tmp_path / "reached").read_text().split())
    # A job that has ended by its first poll was never seen in progress.
    assert {name: times for name, times in passed.items() if name != "generation.processing"} == {
        name: times for name, times in POINTS.items() if name != "generation.processing"
    }
    assert sum(job.billed_usd for job in trial.jobs()) == (3 if vendors == PACKAGED else 4) * PRICE


@ANY_VENDORS
@pytest.mark.parametrize(("name", "nth"), SINGLES)
def test_a_day_that_is_killed_once_ends_as_if_it_had_not_been(
    trial: Trial, name: str, nth: int, vendors: tuple[str, str]
) -> None:
    killed = trial.run(name, nth)
    assert killed or name == "generation.processing"
    assert not trial.run()
    trial.compare_books()
    assert trial.unknown() or name != IN_DOUBT or vendors != PACKAGED


@pytest.mark.parametrize("vendors", [(name, PACKAGED[1]) for name in EVERY_OTHER], ids=EVERY_OTHER)
# What is special of a vendor lies between its answer and the ledger, and at its files.
@pytest.mark.parametrize("name", ["generation.accepted", "generation.rendered"])
def test_every_other_provider_is_paid_once_however_a_day_is_killed(
    trial: Trial, name: str, vendors: tuple[str, str]
) -> None:
    assert trial.run(name, 1)
    # One that lists no prompts cannot tell of a lost submit while others are rendered.
    for _ in range(20):
        assert not trial.run()
        if all(job.state.final for job in trial.jobs()):
            break
    trial.compare_books()


@pytest.mark.parametrize("vendors", EVERY_OTHER_PLATFORM, ids=itemgetter(1))
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("publishing.session", 1), ("publishing.sent", 1)),
        (("publishing.sent", 1), ("publishing.sent", 1)),
        # Its bytes are sent, and then the word to publish them.
        (("publishing.sent", 2), ("publishing.intent", 1)),
    ],
)
def test_every_other_platform_gets_a_clip_once_however_a_day_is_killed(
    trial: Trial, first: tuple[str, int], second: tuple[str, int]
) -> None:
    trial.briefs = trial.briefs[:1]
    trial.orders = replace(trial.orders, briefs=trial.orders.briefs[:1])
    assert trial.run(*first)
    assert trial.run(*second)
    assert not trial.run()
    trial.compare_books()


@ANY_VENDORS
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_day_that_is_killed_again_while_it_recovers_ends_as_if_it_had_not_been(
    trial: Trial, first: str, second: str
) -> None:
    assert trial.run(first, 1)
    trial.run(second, 1)
    assert not trial.run()
    trial.compare_books()


# Points at which a shot holds the one slot that there is, so that no other can be submitting.
@pytest.mark.parametrize("name", ["generation.accepted", "generation.submitted", "generation.rendered"])
def test_one_shot_at_a_time_a_kill_leaves_nothing_in_doubt(trial: Trial, name: str) -> None:
    trial.orders = replace(trial.orders, concurrency=1)
    for nth in (1, 2, 1):
        trial.run(name, nth)
    assert not trial.run()
    trial.compare_books()
    assert trial.unknown() == []


@pytest.mark.parametrize("second", ["", "generation.submitted", "generation.rendered"])
def test_a_submit_that_was_lost_and_then_killed_is_found_by_the_next_run(trial: Trial, second: str) -> None:
    trial.orders = replace(trial.orders, concurrency=1)
    trial.edge.fault("drop_after_accept", match="night sea")
    trial.edge.fault("listing_lag", match="night sea", value=0.1)
    assert trial.run(second, 1) is bool(second)
    assert not trial.run()
    trial.compare_books()
    assert trial.unknown() == []


def test_a_submit_that_never_arrived_stays_in_doubt_over_every_run(trial: Trial) -> None:
    trial.edge.fault("drop_before_accept", match="night sea")
    trial.run("generation.stored", 1)
    for _ in range(3):
        assert not trial.run()
        trial.compare_books()
        assert any("night sea" in job.order.prompt for job in trial.unknown())


def test_a_day_that_is_killed_over_and_over_comes_to_its_end(trial: Trial) -> None:
    for name in list(POINTS)[::2]:
        trial.run(name, 2)
    assert not trial.run()
    trial.compare_books()
    assert not trial.run()
    trial.compare_books()


@pytest.mark.parametrize("name", ["generation.reported", "generation.rerouted", "generation.accepted"])
def test_a_day_that_is_killed_where_a_shot_moves_to_another_model_buys_it_once(trial: Trial, name: str) -> None:
    trial.edge.fault("submit_503", match="sprint", times=99)
    assert trial.run(name, 1)
    assert not trial.run()
    trial.compare_books()
    assert {job.model for job in trial.jobs() if job.billed_usd} == {"sandbox/dash"}


def test_a_job_that_is_called_off_while_it_is_killed_is_still_followed_to_its_end(trial: Trial) -> None:
    trial.edge.fault("stuck", match="night sea")
    trial.orders = replace(trial.orders, concurrency=1)
    # Both segments are bought, and one of them will never be made.
    assert trial.run("generation.submitted", 4)
    other = small_day(int(trial.orders.day.strftime("%j")) + 1000, trial.briefs[0].platforms[0])
    trial.orders = replace(trial.orders, briefs=tuple(brief.model_dump_json(exclude_unset=True) for brief in other))
    assert trial.run("generation.called_off", 1)
    assert not trial.run()
    trial.compare_books()


def test_a_day_that_is_killed_while_a_preview_is_reused_buys_nothing_for_it(trial: Trial) -> None:
    prompt = f"a skater jumping over a bench, street {trial.orders.day}"
    # So complex a shot is given a model that is good enough for the tier above.
    shown = brief_of(prompt, brief_id="shown", quality="standard", visual_complexity=0.8)
    final = brief_of(prompt, brief_id="final", quality="premium", preview_of="shown")
    trial.orders = replace(trial.orders, briefs=(_as_json(shown),))
    trial.briefs = (shown, final)
    assert not trial.run()
    trial.orders = replace(trial.orders, briefs=(_as_json(shown), _as_json(final)))
    assert trial.run(REUSING, 1)
    assert not trial.run()
    trial.compare_books()
    assert len(trial.requests) == 1
    [reused] = [job for job in trial.jobs() if job.clip_id.endswith("/final")]
    assert reused.strategy == "approved_preview" and reused.billed_usd == 0


def test_a_segment_that_continues_another_is_bought_once_from_the_same_frame_however_it_is_killed(
    trial: Trial,
) -> None:
    long = brief_of(f"a tram in a street, line {trial.orders.day}", brief_id="long", duration_s=2)
    trial.briefs = (long,)
    trial.orders = replace(trial.orders, briefs=(_as_json(long),), max_segment_s=1.0)
    for name in (CONTINUING, "generation.reserved", "generation.accepted", "generation.stored"):
        assert trial.run(name, 1)
    assert not trial.run()
    first, second = sorted(trial.jobs(), key=lambda job: job.shot)
    assert [job.state for job in (first, second)] == [JobState.ACCEPTED, JobState.ACCEPTED]
    frames = [path.relative_to(trial.orders.store) for path in Path(trial.orders.store).glob("frames/*.png")]
    assert [second.order.start_image] == [f"store:{frame}" for frame in frames]
    assert [request["request_id"] for request in trial.requests] == [first.provider_job_id, second.provider_job_id]
    check_books(trial.ledger, trial.jobs(), trial.requests)


def _as_json(brief: Brief) -> str:
    return brief.model_dump_json(exclude_unset=True)
