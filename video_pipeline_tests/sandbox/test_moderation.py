"""The visible rules, case by case."""

import pytest

from video_pipeline.sandbox.moderation import refusal, unlucky


@pytest.mark.parametrize(
    ("prompt", "refused_as_text", "refused_from_image"),
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
def test_a_prompt_is_judged_by_the_words_it_carries(
    prompt: str, refused_as_text: bool, refused_from_image: bool
) -> None:
    assert (refusal(prompt, text_to_video=True) is not None) is refused_as_text
    assert (refusal(prompt, text_to_video=False) is not None) is refused_from_image


def test_the_reason_names_the_words() -> None:
    reason = refusal("Close-up of CEO speaking", text_to_video=True)
    assert reason is not None
    assert "close-up" in reason
    assert "ceo" in reason


def test_random_refusals_hit_the_configured_share_and_are_repeatable() -> None:
    verdicts = [unlucky("a/b", f"prompt {number}", 1, 0.2) for number in range(2000)]
    assert 0.16 < sum(verdicts) / 2000 < 0.24
    assert verdicts == [unlucky("a/b", f"prompt {number}", 1, 0.2) for number in range(2000)]
    assert not any(unlucky("a/b", f"prompt {number}", 1, 0) for number in range(500))
