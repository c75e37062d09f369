"""Ledgers of earlier releases, carried over step by step: what a migration moves is all there afterwards."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

import video_pipeline.ledger
from video_pipeline.ledger import Ledger, NightJudgement, Preference, PublicationState
from video_pipeline.ledger.ledger import migrate
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.settings import Mode
from video_pipeline_tests.conftest import NewDatabase

_MIGRATIONS = Path(video_pipeline.ledger.__file__).parent / "migrations"


@pytest.fixture
def engine(new_database: NewDatabase) -> Iterator[Engine]:
    engine = create_engine(new_database())
    yield engine
    engine.dispose()


def _upgrade(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _insert(engine: Engine, table: str, **values: Any) -> None:
    """A row of a table as an earlier release had it; dictionaries are JSON."""
    marks = (f"CAST(:{name} AS JSONB)" if isinstance(value, dict) else f":{name}" for name, value in values.items())
    plain = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in values.items()}
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(marks)})"), plain)


def _old_job(engine: Engine, number: int, **values: Any) -> str:
    """A job of the first release, as its one provider was asked for it; its key."""
    key = f"{number:08x}" + "0" * 56
    row = {
        "key": key,
        "kind": "video",
        "day": date(2026, 11, 21),
        "clip_id": f"2026-11-21/{number}",
        "shot": 0,
        "shot_sha256": "shot",
        "attempt": 0,
        "strategy": "original",
        "tier": "production",
        "provider": "fal",
        "model": "fal-ai/kling",
        "model_version": "3",
        "endpoint": "fal-ai/kling/text-to-video",
        "request_sha256": "old",
        "requested_s": 5,
        "expected_usd": 1,
        "state": "submitted",
        "run_id": "run",
    }
    _insert(engine, "jobs", **(row | values))
    return key


def test_a_job_s_order_is_read_out_of_its_arguments_and_its_decision(engine: Engine):
    _upgrade(engine, "0001")
    addresses = {"status_url": "https://q/s", "response_url": "https://q", "cancel_url": "https://q/c"}
    # This model takes no resolution; what was decided says which it is.
    decided = {"model": "fal-ai/kling", "resolution": "720p", "audio": True}
    _insert(engine, "decisions", clip_id="2026-11-21/1", shot=0, shot_sha256="shot", document=decided)
    sent = {"prompt": "rain", "duration": "5", "aspect_ratio": "16:9", "generate_audio": True, "seed": 1}
    bought = _old_job(engine, 1, request=sent, provider_job_id="r1", **addresses)
    still = {"prompt": "a still", "image_size": "square_hd", "num_images": 1, "seed": 77}
    picture = _old_job(engine, 2, kind="image", request=still, requested_s=0)
    from_it = {"prompt": "rain", "aspect_ratio": "1:1", "image_url": "https://m/s.png", "resolution": "480p"}
    moving = _old_job(engine, 3, request=from_it)
    migrate(engine)
    jobs = Ledger(engine).jobs
    assert jobs.get(bought).order == RenderOrder(
        prompt="rain", duration_s=5, orientation=Orientation.LANDSCAPE, resolution="720p", audio=True, seed=1
    )
    assert (jobs.get(bought).receipt, jobs.get(bought).provider_job_id) == (addresses, "r1")
    assert jobs.get(bought).request == {"endpoint": "fal-ai/kling/text-to-video", "arguments": sent}
    assert jobs.get(picture).order == RenderOrder(prompt="a still", orientation=Orientation.SQUARE, seed=77)
    assert jobs.get(picture).receipt is None
    assert jobs.get(moving).order == RenderOrder(
        prompt="rain",
        duration_s=5,
        orientation=Orientation.SQUARE,
        resolution="480p",
        start_image="https://m/s.png",
    )


def test_the_same_request_has_the_same_hash_whatever_seed_was_drawn_for_it(engine: Engine):
    _upgrade(engine, "0001")
    sent = {"prompt": "rain", "duration": 5, "aspect_ratio": "9:16"}
    # A job's key begins with its number, and so does the seed that was drawn from it.
    first, second = (_old_job(engine, number, request=sent | {"seed": number}) for number in (4, 5))
    given = _old_job(engine, 6, request=sent | {"seed": 99})
    migrate(engine)
    jobs = Ledger(engine).jobs
    assert jobs.get(first).request_sha256 == jobs.get(second).request_sha256 != "old"
    assert jobs.get(given).request_sha256 != jobs.get(first).request_sha256


def test_an_upload_session_of_before_is_asked_under_its_address(engine: Engine):
    _upgrade(engine, "0002")
    row = {"day": date(2026, 11, 21), "platform": "youtube_shorts", "media_key": "m", "media_sha256": "s"}
    begun = {"state": "publishing", "document": {"size_bytes": 700}, "session_url": "https://upload.example/1"}
    _insert(engine, "publications", key="1", clip_id="a", **row, **begun)
    _insert(engine, "publications", key="2", clip_id="b", **row, state="planned", document={})
    migrate(engine)
    read = [Ledger(engine).publications.get(key) for key in ("1", "2")]
    assert [one.state for one in read] == [PublicationState.PUBLISHING, PublicationState.PLANNED]
    assert [one.session for one in read] == [{"url": "https://upload.example/1", "size_bytes": 700}, None]


def test_what_was_given_up_long_ago_is_neither_bought_nor_published_by_itself(engine: Engine):
    _upgrade(engine, "0001")
    sent = {"prompt": "rain", "aspect_ratio": "1:1", "resolution": "480p", "generate_audio": True, "seed": 1}
    for age_days in (3, 60):
        at = datetime.now(UTC) - timedelta(days=age_days)
        for number, state in enumerate(("refused", "submitted")):
            clip_id = f"{state} {age_days}"
            _old_job(engine, age_days + number, day=at.date(), clip_id=clip_id, state=state, request=sent)
        for state in ("planned", "failed", "publishing"):
            key = f"{state} {age_days}"
            row = {"day": at.date(), "clip_id": key, "platform": "tiktok", "state": state, "updated_at": at}
            _insert(engine, "publications", key=key, document={}, media_key="m", media_sha256="s", **row)
    expected = {"refused 3", "submitted 3", "submitted 60", "planned 3", "failed 3", "publishing 3", "publishing 60"}
    migrate(engine)
    waits = Ledger(engine).waits
    assert {wait.subject for wait in waits.all()} == expected
    waits.adopt()
    assert {wait.subject for wait in waits.all()} == expected


def test_preferences_are_carried_into_tables_of_their_own(engine: Engine):
    _upgrade(engine, "0001")
    rows: list[tuple[str, dict[str, Any], date]] = [
        ("world", {"is": "live"}, date.min),
        ("acceptance", {"a": 0.5}, date(2026, 11, 20)),
        ("judged drift", {}, date(2026, 11, 20)),
        ("judged drift", {}, date(2026, 11, 21)),
        ("judged standings", {}, date(2026, 11, 21)),
        ("style_affinity", {"wide": {"a": 0.05}}, date(2026, 11, 16)),
        ("acceptance", {"a": 0.75}, date(2026, 11, 21)),
        ("editorial_guidance", {"tiktok": {"hook": ["q"]}}, date(2026, 11, 16)),
    ]
    for name, document, week in rows:
        _insert(engine, "preferences", name=name, document=document, week=week)
    migrate(engine)
    governance = Ledger(engine).governance
    assert governance.claim_world(Mode.SANDBOX) is Mode.LIVE
    assert {name: governance.preference(name) for name in Preference} == {
        Preference.ACCEPTANCE: {"a": 0.75},
        Preference.BELIEFS: {},
        Preference.TRIALS: {},
        Preference.RESTS: {},
        Preference.PROVEN_KINDS: {},
        Preference.STYLE_AFFINITY: {"wide": {"a": 0.05}},
        Preference.EDITORIAL_GUIDANCE: {"tiktok": {"hook": ["q"]}},
    }
    # The id of the last row that steers routing, as the earlier release counted it.
    assert governance.version() == "0-0-7"
    assert not governance.judge_night(NightJudgement.DRIFT, date(2026, 11, 20))
    assert not governance.judge_night(NightJudgement.STANDINGS, date(2026, 11, 20))
    assert governance.set_preference(Preference.ACCEPTANCE, {"a": 0.8}, learned_from=date(2026, 11, 22))
    assert governance.version() == "0-0-9"


def test_a_ledger_that_holds_nothing_is_carried_over(engine: Engine):
    _upgrade(engine, "0001")
    migrate(engine)
    governance = Ledger(engine).governance
    assert governance.version() == "0-0-0"
    assert governance.claim_world(Mode.SANDBOX) is Mode.SANDBOX
