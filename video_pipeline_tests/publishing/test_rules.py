"""What goes to a platform, and what each platform allows."""

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_pipeline.publishing import PLATFORMS, PublishRequest, refusals
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


def _description(caption: str, title: str = "A clip") -> list[str]:
    """The lines of the description that a brief with this caption gets."""
    brief = brief_of("a-clip").model_copy(update={"caption": caption, "title": title})
    made = publish_request(
        brief, "2026-11-21/a-clip", YOUTUBE, model="sprint", size_bytes=1, size=(1080, 1920), duration_s=5
    )
    return made.description.split("\n")


IDS = ["", "Made with AI.", "Model: sprint", "Brief: a-clip", "Clip: 2026-11-21/a-clip"]


@pytest.mark.parametrize(
    "line",
    [
        "Clip: 2026-11-21/other",
        "brief: other",
        "  MODEL : other",
        "\u200bCl\u200bip:other",
        "Clip\uff1a other",
        "\uff23\uff4c\uff49\uff50: other",
        "\u3164Clip: other",
        "\u0421lip: other",
        "C\u0301lip\u2236 other",
        "\u202eClip: other",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1e"])
def test_a_caption_cannot_imitate_the_ids(line: str, end: str):
    first, imitation, *ids = _description(f"A quiet morning{end}{line}")
    assert (first, ids) == ("A quiet morning", IDS)
    assert imitation.startswith("· ") and "\u202e" not in imitation


def test_a_title_that_stands_for_the_caption_cannot_either():
    assert _description("", "Clip: other") == ["· Clip: other", *IDS]


@pytest.mark.parametrize(
    "caption",
    [
        "Dawn at the harbour.\n\n\tBy boat: 20 min 🚢 #harbour",
        "My clip: a family 👨‍👩‍👧, a flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿 and café crème",
        "מיקום: חיפה\u200f (Haifa)",
        "Models: two of them\n- Clip: of the day",
    ],
)
def test_an_ordinary_caption_is_left_as_it_is(caption: str):
    assert _description(caption) == [*caption.split("\n"), *IDS]


@given(st.text(st.one_of(st.sampled_from("ClipMode:Bra \n\r\x85\u2028\u200b"), st.characters()), max_size=80))
def test_whatever_a_caption_holds_the_ids_are_the_last_lines_and_the_only_ones(caption: str):
    lines = _description(caption)
    assert lines[-5:] == IDS
    shown = "\n".join(lines[:-5]).splitlines()
    assert not [line for line in shown if re.match(r"\s*(model|brief|clip)\s*:", line, re.IGNORECASE)]
    assert not set("".join(lines)) & set("\x00\x1b\x85\u2028\u202e")


def test_a_title_is_one_line_without_what_cannot_be_shown():
    brief = brief_of("a-clip").model_copy(update={"title": "A\u2028quiet\x1b[2J \u202eclip"})
    made = publish_request(
        brief, "2026-11-21/a-clip", YOUTUBE, model="sprint", size_bytes=1, size=(1080, 1920), duration_s=5
    )
    assert made.title == "A quiet[2J clip"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": "I <3 coffee"}, {YOUTUBE: "takes no < or >"}),
        ({"caption": "Brew time -> 30 s"}, {YOUTUBE: "takes no < or >"}),
        ({"orientation": "landscape"}, {YOUTUBE: "wants vertical", REELS: "wants vertical"}),
        ({"caption": "珈琲" * 850}, {YOUTUBE: "longer than the 5000 bytes"}),
        (
            {"caption": "x" * 2150},
            {REELS: "longer than the 2200 characters", TIKTOK: "longer than the 2200 characters"},
        ),
        ({"duration_s": 2}, {REELS: "is 2.0 s long"}),
        ({"orientation": "square"}, {}),
        ({}, {}),
    ],
)
def test_a_brief_alone_tells_what_a_platform_could_never_take(fields: dict[str, Any], said: dict[str, str]) -> None:
    brief = brief_of("A cup", **({"platforms": [YOUTUBE, REELS, TIKTOK], "duration_s": 5} | fields))
    limits = {name: vendor.limits for name, vendor in PLATFORMS.items()}
    refused = refusals(brief, limits, model="a-model-with-a-name/of-some-length")
    assert set(refused) == set(said)
    for platform, (broken,) in refused.items():
        assert said[platform] in broken


def test_what_is_not_refused_beforehand_breaks_no_rule_when_it_is_published() -> None:
    """The longest caption that goes through, with the longest model: the same description is sent."""
    limits, model = PLATFORMS[TIKTOK].limits, "m" * 30
    for length in range(2000, 2201):
        brief = brief_of("A cup", platforms=[TIKTOK], caption="x" * length)
        sent = publish_request(
            brief, f"2026-11-21/{brief.brief_id}", TIKTOK, model=model, size_bytes=1, size=(2, 3), duration_s=5
        )
        assert bool(refusals(brief, {TIKTOK: limits}, model=model)) == bool(check_rules(sent))
