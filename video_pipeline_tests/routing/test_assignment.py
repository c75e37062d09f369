"""Who is given the clips of a day: the best value, others within budgets, so that something is learned of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from video_pipeline.briefs import Brief, Storyboard, storyboard_of
from video_pipeline.ledger import JobState, Ledger
from video_pipeline.policy import ExplorationPolicy, Policy
from video_pipeline.routing import (
    Belief,
    Catalogue,
    ClipPlan,
    Decision,
    Pin,
    Purpose,
    Reuse,
    RoutingState,
    Tally,
    Tier,
    assign,
    decide,
    plan_day,
)
from video_pipeline.routing.value import drawn
from video_pipeline_tests.briefs.documents import BRIEFS, a_brief
from video_pipeline_tests.ledger.rows import a_job
from video_pipeline_tests.routing.catalogues import RANDOM_CATALOGUES, states_of

DAY = date(2026, 11, 27)
SPRINT, DASH = "sandbox/sprint", "sandbox/dash"

# A random catalogue with what may be in force over it, demoted models and candidates too.
_WORLDS = RANDOM_CATALOGUES.flatmap(
    lambda one: st.tuples(
        st.just(one),
        st.builds(
            replace,
            states_of(one),
            candidates=st.frozensets(st.sampled_from([model.model for model in one.models])),
        ),
    )
)
_RULES = st.fixed_dictionaries(
    {
        "usd_a_day": st.integers(0, 100).map(lambda cents: Decimal(cents) / 100),
        "share_of_day": st.sampled_from([0.0, 0.1, 1.0]),
        "known_clips": st.sampled_from([1, 12]),
        "new_clips_a_day": st.integers(0, 3),
        "probation_share": st.sampled_from([0.25, 0.5]),
        "probation_usd_a_day": st.integers(0, 100).map(lambda cents: Decimal(cents) / 100),
        "trial_share": st.sampled_from([0.0, 0.05, 0.5]),
    }
)


def _known(catalogue: Catalogue, *names: str, **fields: object) -> dict[str, Belief]:
    """The models as they are expected to be, after many clips."""
    return {
        name: Belief.model_validate(
            {
                "version": catalogue.named(name).version,
                "accepted": 100 * catalogue.named(name).acceptance_prior,
                "lost": 100 * (1 - catalogue.named(name).acceptance_prior),
                "worth_sd": 0.03,
                "clips": 100,
                "seen": 100,
            }
            | fields
        )
        for name in names
    }


def _boards(count: int, **fields: Any) -> list[Storyboard]:
    return _numbered([a_brief(**fields)] * count)


def _numbered(briefs: Sequence[Brief]) -> list[Storyboard]:
    """The briefs' storyboards, each with an id of its own."""
    return [
        storyboard_of(brief.model_copy(update={"brief_id": f"clip-{number}"}), DAY, cap_s=15)
        for number, brief in enumerate(briefs)
    ]


def _assigned(
    boards: Sequence[Storyboard],
    catalogue: Catalogue,
    policy: Policy,
    state: RoutingState,
    rules: ExplorationPolicy | None = None,
    tally: Tally | None = None,
) -> dict[str, tuple[Decision, ...]]:
    rules, tally = rules or policy.exploration, tally or Tally()
    return assign(boards, catalogue, policy.routing, lambda _: state, rules, tally, {})


def _purposes(decisions: Sequence[Decision]) -> set[Purpose]:
    return {decision.draw.purpose for decision in decisions if decision.draw}


def _extra(decisions: Sequence[Decision], *purposes: Purpose) -> Decimal:
    return sum((one.draw.extra_usd for one in decisions if one.draw and one.draw.purpose in purposes), Decimal(0))


@settings(max_examples=30)
@given(briefs=st.lists(BRIEFS, min_size=1, max_size=8), world=_WORLDS, changes=_RULES)
def test_no_budget_is_exceeded_and_every_shot_is_decided_on(policy: Policy, briefs: list[Brief], world, changes):
    catalogue, state = world
    rules = policy.exploration.model_copy(update=changes)
    boards = _numbered(briefs)
    found = _assigned(boards, catalogue, policy, state, rules)
    usual = {
        board.clip_id: [decide(shot, board.brief, catalogue, policy.routing, state) for shot in board.shots]
        for board in boards
    }
    every = [decision for board in boards for decision in found[board.clip_id]]
    # Total: what can be served without a draw is served, and nothing is silenced or moved to another tier.
    plain = [decision for board in boards for decision in usual[board.clip_id]]
    for one, other in zip(every, plain, strict=True):
        assert (one.shot, one.tier, one.held, one.audio) == (other.shot, other.tier, other.held, other.audio)
        assert 0 < one.chance <= 1 + 1e-9 and (one.model is None) is (one.held is not None)
    learned = _extra(every, Purpose.LEARN, Purpose.TRIAL)
    assert learned <= rules.usd_a_day
    assert float(learned) <= rules.share_of_day * sum(one.accepted_usd for one in plain) + 1e-6
    assert _extra(every, Purpose.PROBATION) <= rules.probation_usd_a_day
    kinds = [_purposes(decisions) for decisions in found.values()]
    assert sum(Purpose.TRIAL in one for one in kinds) <= rules.trials_a_day
    assert sum(Purpose.PROBATION in one for one in kinds) <= rules.probation_share * len(boards) + 1
    for one in every:
        if one.draw is not None and one.draw.purpose in (Purpose.LEARN, Purpose.TRIAL):
            # From the ledger alone the draw can be made again.
            assert drawn(one.draw.shares, one.draw.point) == one.model


@settings(max_examples=20)
@given(briefs=st.lists(BRIEFS, min_size=1, max_size=6), world=_WORLDS, changes=_RULES)
def test_the_same_day_is_always_assigned_alike(policy: Policy, briefs: list[Brief], world, changes):
    catalogue, state = world
    rules = policy.exploration.model_copy(update=changes)
    boards = _numbered(briefs)
    there, back = (_assigned(each, catalogue, policy, state, rules) for each in (boards, boards[::-1]))
    assert there == back


@settings(max_examples=20)
@given(briefs=st.lists(BRIEFS, min_size=1, max_size=6), world=_WORLDS)
def test_while_nothing_is_known_of_any_model_nothing_is_drawn(policy: Policy, briefs: list[Brief], world):
    catalogue, state = world
    state = replace(state, beliefs={}, demoted=frozenset(), candidates=frozenset())
    boards = _numbered(briefs)
    for board in boards:
        fresh = tuple(decide(shot, board.brief, catalogue, policy.routing, state) for shot in board.shots)
        assert _assigned(boards, catalogue, policy, state)[board.clip_id] == fresh


def test_a_drawn_clip_says_so_and_a_usual_one_how_sure_it_is(policy: Policy, sandbox_catalogue: Catalogue):
    state = RoutingState(beliefs=_known(sandbox_catalogue, SPRINT, DASH, worth_sd=0.2), version="1-2-3")
    found = [one for (one,) in _assigned(_boards(60), sandbox_catalogue, policy, state).values()]
    by_model = {one.model: one for one in found}
    usual, other = by_model[SPRINT], by_model[DASH]
    assert usual.draw is not None and other.draw is not None
    assert (usual.draw.purpose, other.draw.purpose) == (Purpose.VALUE, Purpose.LEARN)
    assert other.draw.state == "1-2-3" and other.chance == pytest.approx(other.draw.shares[DASH])
    assert any(
        one.startswith(f"{SPRINT} is the best value for a default shot: $0.1294 an accepted clip, ")
        and one.endswith("% sure")
        for one in usual.reasons
    )
    said = f"drawn to learn of {DASH} ({other.chance:.0%}), ${other.draw.extra_usd:.4f} more than {SPRINT}"
    assert said in other.reasons
    why_not = {one.model: one.why_not for one in other.alternatives}
    assert why_not[SPRINT] == f"the clip was given to {DASH}"


def test_all_shots_of_a_clip_go_to_the_model_that_it_was_drawn_for(policy: Policy, sandbox_catalogue: Catalogue):
    state = RoutingState(beliefs=_known(sandbox_catalogue, SPRINT, DASH, worth_sd=0.3))
    shots = [{"prompt": "One", "duration_s": 3}, {"prompt": "Close-up of a smiling woman", "duration_s": 2}]
    boards = _boards(40, prompt=None, duration_s=None, shots=shots)
    models = [
        {one.model for one in decisions} for decisions in _assigned(boards, sandbox_catalogue, policy, state).values()
    ]
    assert all(len(one) == 1 for one in models) and {DASH} in models and {SPRINT} in models


def _cheap_and_new(catalogue: Catalogue) -> Catalogue:
    """The sandbox's catalogue with a preview model that is new and costs half of what the others do."""
    document = catalogue.model_dump()
    entry = next(entry for entry in document["models"] if entry["model"] == SPRINT)
    half = entry["price"] | {"silent": {size: usd / 2 for size, usd in entry["price"]["silent"].items()}}
    return Catalogue.model_validate(
        document | {"models": [*document["models"], entry | {"model": "sandbox/new", "price": half}]}
    )


@pytest.mark.parametrize("clips", [4, 29, 300])
def test_a_new_model_has_a_few_clips_a_day_until_it_is_known(
    policy: Policy, sandbox_catalogue: Catalogue, clips: int
):
    catalogue = _cheap_and_new(sandbox_catalogue)
    state = RoutingState(beliefs=_known(catalogue, SPRINT, DASH))
    found = [one for (one,) in _assigned(_boards(clips), catalogue, policy, state).values()]
    served = Counter(one.model for one in found)
    assert served["sandbox/new"] == policy.exploration.new_clips_a_day
    other = next(one for one in found if one.model == SPRINT)
    assert "sandbox/new is new and has had its 3 clips of the day" in other.reasons
    # Nobody is known: there is nobody to fall back on.
    found = _assigned(_boards(clips), catalogue, policy, RoutingState())
    assert {one.model for (one,) in found.values()} == {"sandbox/new"}


def test_a_demoted_model_is_given_clips_to_prove_itself_on_after_its_quarantine(
    policy: Policy, sandbox_catalogue: Catalogue
):
    state = RoutingState(
        demoted=frozenset({SPRINT}), fell_on={SPRINT: DAY}, beliefs=_known(sandbox_catalogue, SPRINT, DASH)
    )
    rules = policy.exploration

    def served(day: date) -> Counter[str | None]:
        boards = [storyboard_of(a_brief(f"clip-{number}"), day, cap_s=15) for number in range(29)]
        return Counter(one.model for (one,) in _assigned(boards, sandbox_catalogue, policy, state).values())

    quarantine = [date.fromordinal(DAY.toordinal() + number) for number in range(1, rules.quarantine_days + 2)]
    assert [served(day)[SPRINT] for day in quarantine] == [0] * rules.quarantine_days + [rules.probation_clips_a_day]
    decided = _assigned(_boards(29), sandbox_catalogue, policy, replace(state, fell_on={}))
    (proving, *_) = [one for (one,) in decided.values() if one.model == SPRINT]
    assert f"{SPRINT} is demoted and may prove itself on this clip, no dearer than {DASH}" in proving.reasons
    assert proving.draw is not None and proving.chance == pytest.approx(2 / 29)


def test_a_demoted_cinematic_model_proves_itself_on_cheaper_tiers_where_its_own_has_no_clips(
    policy: Policy, sandbox_catalogue: Catalogue
):
    state = RoutingState(demoted=frozenset({"sandbox/grand"}))
    served = 0
    for number in range(40):
        day = date.fromordinal(DAY.toordinal() + number)
        boards = [
            storyboard_of(a_brief(f"clip-{day}-{clip}", quality=["draft", "standard"][clip % 2]), day, cap_s=15)
            for clip in range(4)
        ]
        tally = Tally()
        found = _assigned(boards, sandbox_catalogue, policy, state, tally=tally)
        served += sum(one.model == "sandbox/grand" for (one,) in found.values())
        assert tally.probation_usd <= policy.exploration.probation_usd_a_day
    assert served == 40


def test_a_candidate_is_tried_on_a_few_clips_of_the_tier_above(policy: Policy, sandbox_catalogue: Catalogue):
    state = RoutingState(beliefs=_known(sandbox_catalogue, SPRINT), candidates=frozenset({SPRINT}))
    tried = 0
    for number in range(30):
        day = date.fromordinal(DAY.toordinal() + number)
        boards = [storyboard_of(a_brief(f"{day}-{clip}", quality="standard"), day, cap_s=15) for clip in range(20)]
        tries = [
            one for (one,) in _assigned(boards, sandbox_catalogue, policy, state).values() if one.model == SPRINT
        ]
        assert len(tries) <= policy.exploration.trials_a_day
        assert all(one.tier is Tier.PRODUCTION and one.chance == policy.exploration.trial_share for one in tries)
        tried += len(tries)
    # Of 600 clips a twentieth, but at most two a day: about 24.
    assert 10 <= tried <= 40


def test_a_new_version_of_a_candidate_is_not_tried_in_the_tier_above(policy: Policy, sandbox_catalogue: Catalogue):
    """Else it would have more clips a day than a new version may have, until it is known."""
    beliefs = _known(sandbox_catalogue, SPRINT, version="an older one") | _known(sandbox_catalogue, DASH)
    state = RoutingState(beliefs=beliefs, candidates=frozenset({SPRINT}))
    rules = policy.exploration.model_copy(update={"trial_share": 0.5})
    standard = [storyboard_of(a_brief(f"standard-{clip}", quality="standard"), DAY, cap_s=15) for clip in range(20)]
    found = _assigned([*_boards(20), *standard], sandbox_catalogue, policy, state, rules)
    served = [one.tier for (one,) in found.values() if one.model == SPRINT]
    assert served == [Tier.PREVIEW] * rules.new_clips_a_day


def test_a_pinned_model_serves_its_tier_whatever_else_is_so(policy: Policy, sandbox_catalogue: Catalogue):
    state = RoutingState(
        beliefs=_known(sandbox_catalogue, SPRINT, DASH, worth_sd=0.3),
        demoted=frozenset({DASH}),
        pinned={Tier.PREVIEW: Pin(DASH, until=DAY)},
    )
    found = [one for (one,) in _assigned(_boards(20), sandbox_catalogue, policy, state).values()]
    assert {one.model for one in found} == {DASH} and not any(one.draw for one in found)
    assert any(f"{DASH} is pinned to the preview tier by hand until 2026-11-27" in one for one in found[0].reasons)
    after = state.on(date(2026, 11, 28))
    assert SPRINT in {one.model for (one,) in _assigned(_boards(20), sandbox_catalogue, policy, after).values()}


def test_clips_that_their_previews_serve_add_to_no_budget(
    ledger_of_module: Ledger, policy: Policy, sandbox_catalogue: Catalogue
):
    """Planned beside the others they add to none, so neither do they when they were planned before."""
    day, catalogue = date(1999, 1, 1), sandbox_catalogue
    state = RoutingState(beliefs=_known(catalogue, SPRINT, DASH), demoted=frozenset({SPRINT}))
    rules = policy.exploration.model_copy(update={"probation_share": 0.05})
    board, *served = [storyboard_of(a_brief(f"served-{number}"), day, cap_s=15) for number in range(21)]

    def planned() -> list[ClipPlan]:
        return plan_day(
            ledger_of_module,
            [board],
            catalogue,
            policy.routing,
            state,
            max_attempts=4,
            exploration=rules,
            keep=False,
        )

    before = planned()
    reuse = Reuse(job="a job", clip_id="1998-12-31/shown", model=SPRINT, usd=Decimal("0.07"))
    for one in served:
        (shot,) = one.shots
        decision = decide(shot, one.directed, catalogue, policy.routing, state).model_copy(update={"reuse": reuse})
        ledger_of_module.governance.stick(
            clip_id=one.clip_id,
            shot=shot.index,
            shot_sha256=one.shot_sha256(shot),
            document=decision.model_dump(mode="json"),
        )
    assert planned() == before and before[0].decisions[0].model == DASH


def test_a_benched_model_serves_nothing(policy: Policy, sandbox_catalogue: Catalogue):
    state = RoutingState(demoted=frozenset({SPRINT}), benched=frozenset({SPRINT}))
    found = [one for (one,) in _assigned(_boards(20), sandbox_catalogue, policy, state).values()]
    assert {one.model for one in found} == {DASH}
    assert f"{SPRINT} is benched by hand" in found[0].reasons
    both = replace(state, benched=frozenset({SPRINT, DASH}))
    assert all(one.held for (one,) in _assigned(_boards(3), sandbox_catalogue, policy, both).values())


@settings(max_examples=10)
@given(
    parts=st.lists(st.sets(st.integers(0, 11), min_size=1), min_size=2, max_size=4),
    begun=st.sets(st.integers(0, 11)),
    number=st.integers(0, 10**9),
)
def test_planning_in_parts_and_again_spends_no_budget_twice(
    ledger_of_module: Ledger, policy: Policy, sandbox_catalogue: Catalogue, parts, begun, number: int
):
    ledger, catalogue = ledger_of_module, _cheap_and_new(sandbox_catalogue)
    state = RoutingState(
        beliefs=_known(catalogue, SPRINT, DASH, worth_sd=0.4) | _known(catalogue, "sandbox/steady"),
        demoted=frozenset({"sandbox/motion"}),
    )
    rules = policy.exploration.model_copy(update={"usd_a_day": Decimal("0.10"), "share_of_day": 1.0})
    day = date.fromordinal(DAY.toordinal() + number % 300_000)
    boards = [storyboard_of(a_brief(f"{number}-{clip}"), day, cap_s=15) for clip in range(12)]
    kept: dict[str, Decision] = {}
    paid = {boards[clip].clip_id for clip in begun}
    for part in parts:
        plans = plan_day(
            ledger,
            [boards[clip] for clip in sorted(part)],
            catalogue,
            policy.routing,
            state,
            max_attempts=4,
            exploration=rules,
        )
        for plan in plans:
            (decision,) = plan.decisions
            if plan.clip_id in kept and plan.clip_id in paid:
                assert decision == kept[plan.clip_id]
            kept[plan.clip_id] = decision
            if plan.clip_id in paid:
                sha256 = plan.storyboard.shot_sha256(plan.storyboard.shots[0])
                job = a_job(plan.clip_id, clip_id=plan.clip_id, shot_sha256=sha256, day=day)
                ledger.jobs.plan(replace(job, state=JobState.SUBMITTING))
        every = list(kept.values())
        assert _extra(every, Purpose.LEARN, Purpose.TRIAL) <= rules.usd_a_day
        assert sum(one.model == "sandbox/new" for one in every) <= rules.new_clips_a_day
        assert sum(one.model == "sandbox/motion" for one in every) <= rules.probation_clips_a_day
