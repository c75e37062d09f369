"""The hidden worlds of `benchmarks/learning.py`: what a file may say, and that what is measured can fail."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.houses.life import House, live
from benchmarks.houses.measures import rows_of
from benchmarks.houses.world import FOLDER, World, load_world, world_names
from benchmarks.learning import broken_promises, run
from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import Policy

_MEASURES = "title: a world\nmeasures: [{what: demoted, at_most: 0.05}]\n"


def _world(name: str, **changes: object) -> World:
    return load_world(FOLDER / f"{name}.yaml").model_copy(update=changes)


@pytest.mark.parametrize("name", world_names())
def test_a_world_of_ours_is_one(name: str) -> None:
    world = load_world(FOLDER / f"{name}.yaml")
    assert world.name == name and world.measures


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("modls: {}", "modls: Extra inputs are not permitted"),
        (
            "effects: [{model: nobody, refuses: 0.3}]",
            "effects.0 names the model nobody, which the world",
        ),
        ("effects: [{days: [30, 20]}]", "have to be"),
        ("houses: {29: many}", "houses.29"),
        ("models: {a: {tier: preview, usd_per_s: '0.02'}}", "there is no model of the tier production"),
        ("mix: [{from_day: 3, weights: {draft: 1}}]", "the first mix has to be there from day 0 on"),
    ],
)
def test_a_wrong_world_is_told_by_its_field(tmp_path: Path, added: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"{_MEASURES}{added}\n")
    with pytest.raises(ConfigurationError, match=r"mine\.yaml is not valid") as raised:
        load_world(path)
    assert said in str(raised.value)


def test_a_house_is_the_same_whenever_it_lives(policy: Policy) -> None:
    world = _world("equal", nights=3)
    one, other = (live(world, 8, 3, policy=policy) for _ in range(2))
    assert one == other
    assert sum(one.clips) == 24 and one != live(world, 8, 4, policy=policy)


def test_a_model_that_refuses_nearly_everything_is_found_and_an_equal_one_is_not(policy: Policy) -> None:
    # Generous, so that luck breaks none of it; a method that finds nothing, or whatever there is, does.
    step = World.model_validate(
        {
            "name": "step",
            "title": "sprint refuses 77 % from day 8 on",
            "nights": 18,
            "houses": {14: 2},
            "mix": [{"weights": {"draft": 1}}],
            "models": {name: model.model_dump() | {"refuses": 0.02} for name, model in _world("step").models.items()},
            "effects": [{"model": "sprint", "days": [8, 18], "refuses": 0.75}],
            "measures": [
                {"what": "demoted", "model": "sprint", "days": [8, 18], "at_least": 1.0},
                {"what": "demoted", "model": "dash", "at_most": 0.0},
                {"what": "delivered", "days": [0, 8], "at_least": 0.9},
            ],
        }
    )
    found = next(iter(run([step], policy, houses=2, said=lambda text: None)))
    assert [row.verdict for row in found[:2]] == ["likely", "likely"]
    assert found[2].verdict == "yes"


def test_a_promise_that_is_not_kept_is_told_with_by_how_much() -> None:
    world = World.model_validate(
        {
            "name": "w",
            "title": "a world",
            "nights": 3,
            "measures": [
                {"what": "demoted", "at_most": 0.05},
                {"what": "nights to demotion", "model": "dash", "days": [1, 3], "at_most": 1, "why": "it is slow"},
                {"what": "promoted", "at_most": 0.05},
            ],
        }
    )
    nobody, dash = frozenset[str](), frozenset({"dash"})
    house = House(promoted=[nobody] * 3, demoted=[nobody, nobody, dash])
    for _ in range(3):
        house.served.append(Counter({("preview", "dash"): 3}))
    rows = rows_of(world, 29, [house] * 100)
    assert [row.verdict for row in rows] == ["no", "no", "yes"]
    told = broken_promises(rows)
    assert "demoted is 100% [96.3%, 100%] in 100 houses, promised <= 5%; off by 95%; dash in 100" in told[0]
    assert "off by 1; " in told[1] and told[1].endswith("it is slow")
