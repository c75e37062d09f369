"""The packaged rules, case by case, and rules of a test's own."""

from pathlib import Path

import httpx
import pytest

import video_pipeline.sandbox
from video_pipeline.sandbox import ensure_running, stop
from video_pipeline.sandbox.moderation import Moderation, Part, unlucky
from video_pipeline_tests.sandbox.conftest import Client

RULES = Moderation(Path(video_pipeline.sandbox.__file__).with_name("moderation.yaml"))
HIDDEN = """
rates: {prompt: 0, start_image: 0, output: 0}
rules:
  - {reason: hides, makes: [video], looks_at: [prompt], any: [lantern]}
  - {reason: hides, makes: [video], looks_at: [start_image], any: [kite]}
  - {reason: hides, makes: [video], looks_at: [output], any: [ferry]}
"""


@pytest.mark.parametrize(
    ("prompt", "refused_video", "refused_image"),
    [
        ("Close-up of CEO speaking with confidence", True, False),
        ("Medium shot, professional setting, minimal expression", False, False),
        ("Close-up of a coffee cup", False, False),
        ("closeup: smiling founder", True, False),
        ("CLOSE UP on her eyes", True, False),
        ("A woman crying in the rain", True, False),
        ("Wide shot of a person on a hill", False, False),
        ("Surface texture of a closet, close-up", False, False),  # "surface" is not the word "face"
        ("Close-up of a manual", False, False),  # "manual" is not the word "man"
        ("A politician waves", True, True),
        ("a Famous Actor drinks tea", True, True),
        ("Blood orange juice", True, True),
        ("Bloodhound puppy", False, False),
        ("", False, False),
    ],
)
def test_a_prompt_is_judged_by_the_words_it_carries(prompt: str, refused_video: bool, refused_image: bool) -> None:
    for makes, refused in (("video", refused_video), ("image", refused_image)):
        assert (RULES.refusal(Part.PROMPT, prompt, makes=makes) is not None) is refused


def test_the_reason_names_the_words() -> None:
    reason = RULES.refusal(Part.PROMPT, "Close-up of CEO speaking", makes="video")
    assert reason == "the prompt asks for a close-up of a face with 'close-up' and 'ceo'"


def test_what_may_be_said_may_not_be_shown_all_the_same() -> None:
    assert RULES.refusal(Part.PROMPT, "Gunfire over the hill", makes="video") is None
    assert RULES.refusal(Part.OUTPUT, "Gunfire over the hill", makes="video") == "the output shows 'gunfire'"


def test_a_vendors_own_rule_is_nobody_elses() -> None:
    said = {
        vendor: RULES.refusal(Part.PROMPT, "A cocktail at dusk", makes="video", vendor=vendor)
        for vendor in ("fal", "xai")
    }
    assert said == {"fal": "the prompt shows alcohol 'cocktail'", "xai": None}
    for vendor in ("fal", "xai"):
        assert RULES.refusal(Part.PROMPT, "A casino at dusk", makes="video", vendor=vendor) is not None


def test_a_chinese_word_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(HIDDEN.replace("lantern", "灯笼"), encoding="utf-8")
    rules = Moderation(tmp_path / "rules.yaml")
    assert rules.refusal(Part.PROMPT, "老街上的灯笼", makes="video") == "the prompt hides '灯笼'"
    assert rules.refusal(Part.PROMPT, "老街上的灯", makes="video") is None


def test_random_refusals_hit_the_configured_share_and_are_repeatable() -> None:
    verdicts = [unlucky(f"prompt {number}", 0.2) for number in range(2000)]
    assert 0.16 < sum(verdicts) / 2000 < 0.24
    assert verdicts == [unlucky(f"prompt {number}", 0.2) for number in range(2000)]
    assert not any(unlucky(f"prompt {number}", 0) for number in range(500))


def test_every_mode_is_judged_by_the_rules_that_a_state_folder_brings(tmp_path: Path) -> None:
    (tmp_path / "moderation.yaml").write_text(HIDDEN)
    client = Client(ensure_running(tmp_path).base_url)
    try:
        places = {
            "a lantern": client.make("sandbox/sprint/text-to-video", prompt="a lantern", duration=1),
            "a lantern, moving": _from_image(client, "a hill", "a lantern"),
            "a kite, moving": _from_image(client, "a kite", "a hill"),
            "a ferry": client.make("sandbox/sprint/text-to-video", prompt="a ferry", duration=1),
            "a ferry, moving": _from_image(client, "a hill", "a ferry"),
        }
        assert {name: answer.json()["detail"][0]["loc"] for name, answer in places.items()} == {
            "a lantern": ["body", "prompt"],
            "a lantern, moving": ["body", "prompt"],
            "a kite, moving": ["body", "image_url"],
            "a ferry": ["output"],
            "a ferry, moving": ["output"],
        }
        assert _from_image(client, "a hill", "another hill").status_code == 200
    finally:
        client.close()
        stop(tmp_path)


def _from_image(client: Client, shown: str, prompt: str) -> httpx.Response:
    size = {"width": 90, "height": 160}
    image = client.make("sandbox/still", prompt=shown, image_size=size).json()["images"][0]["url"]
    return client.make("sandbox/sprint/image-to-video", prompt=prompt, image_url=image, duration=1)
