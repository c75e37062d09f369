"""The days that a release leaves behind: clips, jobs, publications and judgements in every state that outlives a run.

Run by `make_release` with the release's code. The upgrade test knows the names and days, and goes on from here.
"""

import hashlib
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import yaml

from video_pipeline import checkpoints, days, sandbox
from video_pipeline.ledger import Actor, ReviewState, TierState
from video_pipeline_tests.briefs.test_bibles import HARBOUR, MARA, write_bible, write_picture
from video_pipeline_tests.integration.conftest import House
from video_pipeline_tests.integration.small_day import a_brief, drop, sandbox_books

MONDAY = date(2026, 11, 16)
TUESDAY, WEDNESDAY, THURSDAY, NEXT_DAY = (MONDAY + timedelta(days) for days in range(1, 5))
"""Thursday's runs have died. The next day is the first of the release after this one."""
RELEASE_DAYS = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)

# Delivered in a small size, so that the clips of a release weigh little, and coded well enough to pass as clips. A
# verdict comes from a handful of attempts.
POLICY: dict[str, dict[str, Any]] = {
    "routing": {"delivered_short_side": 216},
    "upscaling": {"crf": 12},
    "scoring": {"minimum_attempts": 3},
}

LANTERN = a_brief("lantern")
_MONDAY_BRIEFS = (
    LANTERN,
    # The very same request: served from the store. Its platform is not connected.
    a_brief("lantern-again", prompt=LANTERN["prompt"], platforms=["tiktok"]),
    # Refused under every strategy: a person is asked.
    a_brief("rally", prompt="A casino night on a stage"),
    # Failed the quality checks once.
    a_brief("eclipse"),
    # Refused as it is, accepted with a softer prompt; failed once; never answered.
    a_brief("founder", prompt="Close-up of a smiling woman, the founder, by the window", quality="standard"),
    a_brief("comet", quality="standard"),
    a_brief("ghost", quality="standard"),
    # Refused once, so it is made from a picture.
    a_brief("mirror", quality="standard"),
    # Enough refusals to demote the model that serves this tier.
    *(a_brief(name, prompt=f"A casino at the {name}", quality="standard") for name in ("debate", "parade", "vote")),
    # Everything that a brief can say.
    a_brief(
        "story",
        caption="Two harbours",
        prompt=None,
        duration_s=None,
        shots=[
            {"prompt": "Waves of coloured light over the northern harbour", "duration_s": 1, "kind": "establishing"},
            {"prompt": "Waves of coloured light over the southern harbour", "duration_s": 1, "broll": ["A red buoy"]},
        ],
        broll=["A grey gull over the pier"],
        bible=["The light is golden"],
        seed=7,
    ),
    # Everything that bibles can say.
    a_brief("keeper", characters=["mara"], scene="harbour"),
    # Everything that a script can say, and a shot whose kind changes its model.
    a_brief(
        "welcome",
        prompt=None,
        duration_s=None,
        quality="standard",
        visual_complexity=0.9,
        shots=[
            {
                "prompt": "At the bench",
                "script": "Hello, and welcome.",
                "presenter": {"avatar": "anna", "voice": "warm"},
            },
            {"prompt": "Waves of light, splashing", "duration_s": 1},
        ],
        presenter="ben",
    ),
    # Nothing but what it has to say.
    {
        "brief_id": "terse",
        "title": "Terse",
        "platforms": ["youtube_shorts"],
        "prompt": "Waves of light",
        "duration_s": 1,
    },
    # With those above, enough seen clips of either hook and style to tell them apart.
    a_brief("marble"),
    *(a_brief(name, hook="question", style="ink") for name in ("feather", "copper", "willow", "anchor", "thimble")),
    a_brief("broken", duration_s=-3),
)
# Dropped on Monday into the inbox itself, which gives it to that day.
_LOOSE_BRIEF = a_brief("kettle")
# The second is billed otherwise than at its list price. The last: nobody knows whether it was published.
_TUESDAY_BRIEFS = (a_brief("castle", quality="standard"), a_brief("meadow"), a_brief("vanished"))
# Not published for want of quota; interrupted in the middle of the upload.
_WEDNESDAY_BRIEFS = (a_brief("pauper"), a_brief("halting"))
UNAFFORDABLE = a_brief("unaffordable")
_THURSDAY_BRIEFS = tuple(a_brief(f"under-way-{number}") for number in range(5))


class _Died(Exception):
    """Stands for the end of the process at a checkpoint."""


def live_through(house: House) -> None:
    """Run all the days in `house`, which has to be new."""
    folder = house.folder / "state" / "sandbox"
    folder.mkdir(parents=True)
    _write_bibles(house.folder / "state" / "bibles")
    _write_prices(folder, "fps: 12", "fps: 7")
    for day, briefs in ((MONDAY, _MONDAY_BRIEFS), (TUESDAY, _TUESDAY_BRIEFS), (WEDNESDAY, _WEDNESDAY_BRIEFS)):
        drop(house.inbox, day, *(_said(brief) for brief in briefs))
    _drop_loose(house)
    for name, match, times in (
        ("job_failed", "comet", 1),
        ("black", "eclipse", 1),
        ("refuse_input", "mirror", 1),
        ("drop_before_accept", "ghost", 1),
        ("quota_exceeded", "pauper", 1),
        ("drop_during_upload", "halting", 4),
        ("session_expired", "vanished", 1),
        ("billed_otherwise", "meadow", 1),
    ):
        _fault(house, name, match, times)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        house.run("production_day", day, POLICY)
        # Nobody has seen a video in its first second.
        time.sleep(2)
        house.run("nightly_scoring", day, POLICY)
        if day == TUESDAY:
            _people_decide(house)
    # Whatever day it was for, it was bought today.
    house.run("nightly_scoring", days.today(), POLICY, only="vendor_bills")
    house.run("weekly_learning", MONDAY, POLICY)
    drop(house.inbox, TUESDAY, UNAFFORDABLE)
    house.run("production_day", TUESDAY, POLICY | {"budget": {"daily_ceiling_usd": "0.01"}})
    first, *others = _THURSDAY_BRIEFS
    drop(house.inbox, THURSDAY, first)
    with _dying_at(always={"generation.downloaded"}):
        house.run("production_day", THURSDAY, POLICY)
    # The sandbox takes ten minutes for a clip, so that no run sees the end of it.
    sandbox.stop(folder)
    _write_prices(folder, "render_delay_s: 0.3", "render_delay_s: 600")
    drop(house.inbox, THURSDAY, *others)
    once = {"generation.reserved", "generation.accepted", "generation.submitted"}
    with _dying_at(once=once, always={"generation.downloaded", "generation.processing"}):
        house.run("production_day", THURSDAY, POLICY)
    # A provider goes on without us: what was under way has been rendered when the next release asks.
    sandbox.stop(folder)
    _write_prices(folder, "fps: 12", "fps: 7")
    sandbox.ensure_running(folder)
    while not all(request["ended_at"] for request in sandbox_books(house.services.sandbox.base_url)["requests"]):
        time.sleep(0.2)


def _write_bibles(folder: Path) -> None:
    write_picture(folder / "characters" / "mara.png")
    harbour = HARBOUR | {"approved_frames": ["../characters/mara.png"]}
    mara = MARA | {"references": ["mara.png"], "voice": "low", "emotional_range": "calm"}
    write_bible(folder, "characters/mara.yaml", mara)
    write_bible(folder, "scenes/harbour.yaml", harbour)


def _drop_loose(house: House) -> None:
    """What the run of the day on which the file was dropped does with it."""
    content = yaml.safe_dump(_LOOSE_BRIEF)
    (house.inbox / "kettle.yaml").write_text(content)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    assert house.services.ledger.intake.claim_file(sha256=sha256, name="kettle.yaml", day=MONDAY) == MONDAY


def _people_decide(house: House) -> None:
    """A person has answered a question, and opened what cost drift had frozen, and frozen another tier."""
    ledger = house.services.ledger
    ledger.reviews.decide(f"{MONDAY}/vote", "generation", ReviewState.REJECTED, by="anna", reason_code="off-brand")
    for tier, state, by in (
        ("preview", TierState.FROZEN, Actor.DRIFT),
        ("preview", TierState.OPEN, Actor.PERSON),
        ("cinematic", TierState.FROZEN, Actor.PERSON),
    ):
        assert ledger.governance.set_tier(tier, state, by=by, day=TUESDAY, evidence={"why": "agreed"})


def _said(brief: dict[str, Any]) -> dict[str, Any]:
    """Without what is None, which here means that the brief does not say it."""
    return {name: value for name, value in brief.items() if value is not None}


@contextmanager
def _dying_at(*, always: Set[str], once: Set[str] = frozenset()) -> Iterator[None]:
    """Stop each clip that reaches a checkpoint of `always`, and the first one that reaches one of `once`."""
    passed: set[str] = set()

    def die(name: str) -> None:
        if name in always or (name in once and name not in passed):
            passed.add(name)
            raise _Died(name)

    before, checkpoints.on_reach = checkpoints.on_reach, die
    try:
        yield
    finally:
        checkpoints.on_reach = before


def _write_prices(folder: Path, packaged: str, other: str) -> None:
    prices = resources.files("video_pipeline.sandbox").joinpath("models.yaml").read_text()
    assert packaged in prices
    (folder / "models.yaml").write_text(prices.replace(packaged, other))


def _fault(house: House, name: str, match: str, times: int) -> None:
    url = f"{house.services.sandbox.base_url}/_sandbox/faults"
    httpx.post(url, json={"fault": name, "match": match, "times": times}, trust_env=False).raise_for_status()
