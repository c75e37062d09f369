"""What goes to a platform, and what each platform allows."""

from decimal import Decimal
from typing import Any

import pytest

from video_pipeline.publishing import PLATFORMS, PublishRequest
from video_pipeline.publishing import check_rules as check_limits
from video_pipeline.publishing.rules import publish_request
from video_pipeline_tests.contract.orders import brief_of

YOUTUBE, REELS, TIKTOK = "youtube_shorts", "instagram_reels", "tiktok"


def check_rules(request: PublishRequest) -> list[str]:
    return check_limits(request, PLATFORMS[request.platform].limits)


def request(platform: str, **fields: Any) -> PublishRequest:
    given = {
        "clip_id": "2026-11-21/a-clip",
        "platform": platform,
        "title": "A clip",
        "description": "Made with AI.",
        "tags": (),
        "size_bytes": 1,
        "size": (1080, 1920),
        "duration_s": 5,
    }
    return PublishRequest.model_validate(given | fields)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_ordinary_clip_may_go_anywhere(platform: str) -> None:
    assert check_rules(request(platform)) == []


@pytest.mark.parametrize(
    ("platform", "fields", "said"),
    [
        (YOUTUBE, {"title": "x" * 101}, "101 characters"),
        (YOUTUBE, {"title": "A <b>bold</b> clip"}, "<"),
        (YOUTUBE, {"description": "x" * 5001}, "5000"),
        (YOUTUBE, {"description": "🌊" * 1251}, "5000"),  # 5,004 bytes in UTF-8: the limit counts bytes.
        (YOUTUBE, {"description": "1 < 2"}, "<"),
        (YOUTUBE, {"duration_s": 180.5}, "180.5 s"),
        (YOUTUBE, {"size": (1920, 1080)}, "1920x1080"),
        (REELS, {"duration_s": 2.5}, "2.5 s"),
        (REELS, {"duration_s": 901}, "900"),
        (REELS, {"description": "x" * 2201}, "2200"),
        (REELS, {"size": (1920, 1080)}, "1920x1080"),
        (TIKTOK, {"duration_s": 601}, "600"),
        (TIKTOK, {"description": "x" * 2201}, "2200"),
    ],
)
def test_what_a_platform_does_not_take_is_said_in_a_sentence(platform: str, fields: dict, said: str) -> None:
    [broken] = check_rules(request(platform, **fields))
    assert said in broken


@pytest.mark.parametrize(
    ("platform", "fields"),
    [
        (YOUTUBE, {"title": "x" * 100, "duration_s": 180}),
        (YOUTUBE, {"description": "🌊" * 1250}),
        (YOUTUBE, {"size": (1080, 1080)}),
        (REELS, {"duration_s": 3}),
        (TIKTOK, {"size": (1920, 1080)}),
    ],
)
def test_what_is_just_within_the_limits_may_go(platform: str, fields: dict) -> None:
    assert check_rules(request(platform, **fields)) == []


def test_every_broken_rule_is_said() -> None:
    assert len(check_rules(request(YOUTUBE, title="x" * 101, duration_s=Decimal(181), size=(2, 1)))) == 3


def test_a_clip_goes_public_with_its_disclosure_its_brief_and_its_model() -> None:
    brief = brief_of("a harbour", caption="Good morning, harbour", title="Harbour", brief_id="harbour")
    made = publish_request(
        brief,
        "2026-11-21/harbour",
        YOUTUBE,
        model="sandbox/grand",
        size_bytes=9,
        size=(1080, 1920),
        duration_s=5,
    )
    lines = made.description.splitlines()
    assert lines[0] == "Good morning, harbour"
    assert {"Made with AI.", "Model: sandbox/grand", "Brief: harbour", "Clip: 2026-11-21/harbour"} < set(lines)
    assert (made.title, made.tags) == ("Harbour", ("brief-harbour",))
