"""Shots in which somebody says something: who is asked for them, who is not, and what is said where nobody is."""

import re
from datetime import date
from typing import Any

import pytest

from video_pipeline.briefs import StoryboardShot, storyboard_of
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, Decision, Pin, RoutingState, decide, load_catalogue
from video_pipeline_tests.briefs.documents import a_brief

DAY = date(2026, 11, 21)
REAL = load_catalogue(sandbox=False)
SAID: dict[str, Any] = {"prompt": None, "duration_s": None, "script": "Hello, and welcome to our workshop."}


def decided(
    catalogue: Catalogue, policy: Policy, state: RoutingState | None = None, **fields: Any
) -> tuple[StoryboardShot, Decision]:
    brief = a_brief(**fields)
    [shot] = storyboard_of(brief, DAY, cap_s=15).shots
    return shot, decide(shot, brief, catalogue, policy.routing, state or RoutingState())


@pytest.mark.parametrize("quality", ["draft", "standard", "premium"])
def test_only_those_who_talk_are_asked_for_a_script_and_for_nothing_else(
    sandbox_catalogue: Catalogue, policy: Policy, quality: str
) -> None:
    talking = {model.model for model in sandbox_catalogue.models if model.talking}
    for fields, able in ((SAID, talking), ({}, set(sandbox_catalogue.tiers) - talking)):
        _, decision = decided(sandbox_catalogue, policy, quality=quality, visual_complexity=0.9, **fields)
        named = {decision.model, *(one.model for one in decision.alternatives)}
        assert named <= able
        others = set(sandbox_catalogue.tiers) - able
        assert not any(model in reason for reason in decision.reasons for model in others)


def test_what_is_said_is_heard_and_priced_by_the_estimate(sandbox_catalogue: Catalogue, policy: Policy) -> None:
    shot, decision = decided(sandbox_catalogue, policy, quality="standard", **SAID)
    model = sandbox_catalogue.named(decision.model or "")
    assert decision.audio
    # Never bought shorter than it is estimated to be, as other shots may be.
    assert (decision.wanted_s, decision.requested_s) == (shot.duration_s, 3)
    assert decision.attempt_usd == 3 * model.price.sound["180p"]
    assert not any("are bought as" in reason for reason in decision.reasons)


@pytest.mark.parametrize(
    ("catalogue", "said"),
    [
        (REAL.served_by(["fal", "xai"]), "no connected provider .*; the clip waits until heygen is connected"),
        (
            REAL.model_copy(update={"models": tuple(one for one in REAL.models if not one.talking)}),
            "no model of the catalogue list prices says scripts; the clip waits until it has one",
        ),
        (
            REAL.model_copy(update={"models": tuple(one for one in REAL.models if one.model != "heygen/avatar-iii")}),
            "no model of the preview tier says scripts; the clip waits until the catalogue has one",
        ),
    ],
    ids=["not connected", "none", "none of the tier"],
)
def test_a_script_that_nobody_says_is_held_with_what_would_change_that(
    catalogue: Catalogue, policy: Policy, said: str
) -> None:
    _, decision = decided(catalogue, policy, **SAID)
    assert re.fullmatch(said, decision.held or "")


def test_whose_avatar_it_is_must_be_known(policy: Policy) -> None:
    _, unknown = decided(REAL, policy, **SAID)
    assert unknown.held == (
        "no model of the preview tier can say this script: heygen/avatar-iii knows nobody to say it: name an avatar "
        "and a voice as presenter"
    )
    _, named = decided(REAL, policy, **SAID, presenter={"avatar": "an-id", "voice": "another-id"})
    assert named.model == "heygen/avatar-iii"


def test_a_pin_says_why_it_does_not_hold_for_a_script(sandbox_catalogue: Catalogue, policy: Policy) -> None:
    pins = RoutingState(pinned={"preview": Pin("sandbox/sprint")})
    _, said = decided(sandbox_catalogue, policy, pins, **SAID)
    assert said.model == "sandbox/speaker"
    why_not = "sandbox/sprint says no script, so it cannot serve, though it is pinned to the preview tier"
    assert why_not in said.reasons
    pins = RoutingState(pinned={"preview": Pin("sandbox/speaker")})
    _, scene = decided(sandbox_catalogue, policy, pins)
    assert any(reason.startswith("sandbox/speaker says scripts only") for reason in scene.reasons)
