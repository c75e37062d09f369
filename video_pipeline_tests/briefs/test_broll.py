"""B-roll that is planned: for what may be refused, like the shots beside it, and never before an author's own."""

from datetime import date

import pytest

from video_pipeline.briefs import Brief, BrollPlanner, ShotKind, Storyboard, broll, refused_kinds, storyboard_of
from video_pipeline.ledger import FirstAnswer
from video_pipeline.policy import load_policy
from video_pipeline.remapping import Remapper
from video_pipeline.remapping.rendering import Scene
from video_pipeline_tests.briefs.documents import a_brief

POLICY = load_policy().generation
PLANNER = BrollPlanner(POLICY.remapping)
CEO = "Close-up of CEO speaking with confidence in a glass office"


def planned(brief: Brief, planner: BrollPlanner | None = PLANNER, cap_s: float = 15) -> Storyboard:
    return storyboard_of(brief, date(2026, 11, 21), cap_s=cap_s, broll=planner)


def test_it_is_planned_for_what_may_be_refused_and_says_why() -> None:
    risky, harmless = (planned(a_brief(prompt=prompt)).shots[0] for prompt in (CEO, "A harbour at dawn"))
    assert risky.risk == "framing 'Close-up', profession 'CEO', speech 'speaking with confidence'"
    assert risky.substitutes[0] == "Hands typing on a keyboard, in a glass office"
    assert len(risky.substitutes) == 3
    assert (harmless.risk, harmless.substitutes) == ("", ())


def test_an_authors_own_stands_in_its_place_and_a_brief_may_want_none() -> None:
    own = planned(a_brief(prompt=CEO, broll=["A brass lamp"])).shots[0]
    assert own.substitutes == ("A brass lamp",)
    assert own.planned == ()
    assert planned(a_brief(prompt=CEO, plan_broll=False)).shots[0].substitutes == ()


def test_it_changes_neither_what_is_rendered_nor_a_hash() -> None:
    with_it, without = (planned(a_brief(prompt=CEO), planner) for planner in (PLANNER, None))
    assert [with_it.shot_sha256(shot) for shot in with_it.shots] == [
        without.shot_sha256(shot) for shot in without.shots
    ]
    assert a_brief(prompt=CEO).sha256 == a_brief(prompt=CEO, plan_broll=True).sha256
    assert a_brief(prompt=CEO).sha256 != a_brief(prompt=CEO, plan_broll=False).sha256


def test_it_looks_like_the_brief_and_the_shots_beside_it() -> None:
    brief = a_brief(
        prompt=None,
        duration_s=None,
        style="film noir",
        bible=["Ada wears a red coat.", "Cold light, handheld camera, a brick wall"],
        shots=[{"prompt": "A brass lamp, in a workshop", "duration_s": 2}, {"prompt": "Ada cries", "duration_s": 2}],
    )
    assert planned(brief).shots[1].substitutes[0] == (
        "Detail shot, A brass lamp, in a workshop, film noir, Cold light, handheld camera"
    )


def test_the_parts_of_a_long_shot_do_not_begin_with_the_same() -> None:
    shots = planned(a_brief(prompt=CEO, duration_s=30), cap_s=10).shots
    assert len({shot.substitutes[0] for shot in shots}) == 3


def test_a_kind_that_a_model_refused_too_often_may_be_refused() -> None:
    answers = [FirstAnswer("A wide skyline", "sandbox/dash", refused=number < 3) for number in range(10)]
    answers += [FirstAnswer("A man running", "sandbox/dash", refused=True)] * (POLICY.broll.least_shots - 1)
    answers += [FirstAnswer("A cup", "sandbox/dash", refused=number < 1) for number in range(10)]
    kinds = refused_kinds(answers, POLICY.broll)
    assert kinds == {
        ShotKind.ESTABLISHING: "sandbox/dash refused 3 of 10 such shots (establishing) in 14 days",
    }
    shot = planned(a_brief(prompt="A wide view of a harbour"), BrollPlanner(POLICY.remapping, kinds)).shots[0]
    assert shot.risk == kinds[ShotKind.ESTABLISHING]
    assert len(shot.substitutes) == 3


def test_the_prompts_of_a_brief_are_read_once_however_many_parts_and_shots_lack_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    scene_of, look = Remapper._scene_of, Remapper.look

    def reading(self: Remapper, text: str) -> Scene:
        read.append(text)
        return scene_of(self, text)

    def looking(self: Remapper, text: str) -> tuple[str, ...]:
        read.append(text)
        return look(self, text)

    monkeypatch.setattr(Remapper, "_scene_of", reading)
    monkeypatch.setattr(Remapper, "look", looking)
    monkeypatch.setattr(broll, "remapper_for", lambda policy: Remapper(policy.categories, policy.lexicons))
    prompts = [f"A woman cries for {number} hours" for number in range(2, 6)]
    shots = [{"prompt": prompt, "duration_s": 20} for prompt in prompts]
    brief = a_brief(prompt=None, duration_s=None, bible=["Cold light"], shots=shots)
    board = planned(brief, BrollPlanner(POLICY.remapping), cap_s=5)
    assert (len(board.shots), all(shot.planned for shot in board.shots)) == (16, True)
    assert sorted(read) == [*prompts, "Cold light"]
