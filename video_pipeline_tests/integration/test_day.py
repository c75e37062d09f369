"""One small production day and its scoring, run through the real graph; then what each stage left behind."""

import base64
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from video_pipeline import days
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.definitions import build_defs
from video_pipeline.feedback import ClipFact
from video_pipeline.generation import PROVIDERS
from video_pipeline.ledger import JobState
from video_pipeline.publishing import PublishRecord
from video_pipeline.settings import Mode
from video_pipeline.storage import report_key, table_key
from video_pipeline_tests.integration.conftest import House, NewHouse
from video_pipeline_tests.integration.small_day import a_brief, assert_books_agree, drop, sandbox_books

DAY = days.today()


@pytest.fixture(scope="module", autouse=True)
def day_of_the_test() -> None:
    """Collected before midnight, it may be run after it."""
    global DAY
    DAY = days.today()


BRIEFS = (
    a_brief("lantern"),
    # The very same request: served from the store.
    a_brief("lantern-again", prompt=a_brief("lantern")["prompt"], platforms=["tiktok"]),
    # No strategy saves it: a person is asked.
    a_brief("rally", prompt="A casino night on a stage"),
    a_brief("broken", duration_s=-3),
)
PRODUCTION = [
    "briefs",
    "storyboards",
    "generation_plan",
    "generated_clips",
    "upscaled_clips",
    "reviewed_clips",
    "publish_records",
]
SCORING = [
    "engagement",
    "vendor_bills",
    "vendor_prices",
    "clip_facts",
    "cost_report",
    "tier_status",
    "model_scores",
    "model_standings",
]

Metadata = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """A pipeline that has run today's day and scored it."""
    built = new_house()
    drop(built.inbox, DAY, *BRIEFS)
    built.run("production_day", DAY)
    built.run("nightly_scoring", DAY)
    return built


@pytest.fixture(scope="module")
def shown(house: House) -> Metadata:
    """Asset -> the metadata that the UI shows for today, by label."""
    return {name: dict(_latest(house, name)) for name in PRODUCTION + SCORING}


@pytest.mark.parametrize("name", PRODUCTION + SCORING)
def test_every_asset_is_materialised_and_has_its_table(house: House, shown: Metadata, name: str) -> None:
    uri = str(shown[name]["dagster/uri"].value)
    assert uri == house.services.store.url(table_key(name, DAY.isoformat()))
    assert house.services.store.exists(table_key(name, DAY.isoformat()))
    assert shown[name]["size_bytes"].value > 0


def test_the_night_has_asked_for_bills_and_prices(house: House, shown: Metadata) -> None:
    # The last bills may be late.
    known = sum(
        shown["vendor_bills"][name].value for name in ("as_booked", "not billed yet") if name in shown["vendor_bills"]
    )
    bought = house.services.ledger.jobs.of_day(DAY)
    assert shown["vendor_bills"]["requests"].value == known == sum(bool(job.provider_job_id) for job in bought)
    assert shown["vendor_bills"]["otherwise_usd"].value == 0
    told = [model for model in house.services.catalogue.models if PROVIDERS[model.provider].price_api is not None]
    assert shown["vendor_prices"]["confirmed"].value == len(told) > 0
    billed_usd = sum(job.billed_usd for job in bought if job.vendor_usd is not None)
    assert shown["cost_report"]["billed_by_vendors_usd"].value == float(billed_usd)


def test_the_tables_hold_a_row_a_brief(shown: Metadata) -> None:
    for name in ("briefs", "storyboards", "generation_plan", "generated_clips", "upscaled_clips", "clip_facts"):
        assert shown[name]["dagster/row_count"].value == 3, name


def test_every_brief_comes_to_the_end_that_it_must(house: House) -> None:
    clips = {clip.brief_id: clip for clip in house.rows("reviewed_clips", DAY, ReviewedClip)}
    assert {name: clip.status for name, clip in clips.items()} == {
        "lantern": ClipStatus.PASSED,
        "lantern-again": ClipStatus.PASSED,
        "rally": ClipStatus.REVIEW,
    }
    assert [clips[name].final_size for name in ("lantern", "lantern-again")] == [(432, 768)] * 2
    assert sorted(clips[name].cached for name in ("lantern", "lantern-again")) == [False, True]


def test_the_malformed_brief_is_quarantined_with_its_reason_and_alerted(house: House, shown: Metadata) -> None:
    assert shown["briefs"]["quarantined"].value == 1
    (record,) = shown["briefs"]["quarantine"].records
    assert record.data["source"] == "broken.yaml"
    assert "duration_s" in record.data["reasons"]
    titles = [alert["title"] for alert in house.services.ledger.alerts.latest()]
    assert "A brief could not be taken" in titles


def test_pictures_are_inline_in_the_metadata(shown: Metadata) -> None:
    pictures = {
        ("reviewed_clips", "contact_sheet"): "image/jpeg",
        ("reviewed_clips", "thumbnail"): "image/jpeg",
        ("cost_report", "cost_plot"): "image/png",
        ("model_scores", "score_plot"): "image/png",
        ("model_scores", "value_plot"): "image/png",
    }
    for (asset, label), kind in pictures.items():
        value = shown[asset][label]
        assert isinstance(value, dg.MarkdownMetadataValue)
        assert re.fullmatch(rf"!\[[\w ]+\]\(data:{kind};base64,[A-Za-z0-9+/=]+\)", value.md_str or ""), label
        assert len(value.md_str or "") < 200_000, f"{label} weighs down every event row"
        # The words on a contact sheet can be read; a plot fits the dialog that shows it.
        width = {"contact_sheet": range(900, 961), "thumbnail": range(50, 481)}.get(label, range(600, 701))
        with Image.open(io.BytesIO(base64.b64decode((value.md_str or "").split(",")[1][:-1]))) as picture:
            assert picture.width in width, label


def test_numbers_in_the_metadata_are_the_ledgers(house: House, shown: Metadata) -> None:
    jobs = house.services.ledger.jobs.of_day(DAY)
    billed = float(sum(job.billed_usd for job in jobs))
    assert billed > 0
    assert shown["generated_clips"]["billed_usd"].value == pytest.approx(billed)
    assert shown["generated_clips"]["saved_by_cache_usd"].value == pytest.approx(0.022)
    assert shown["cost_report"]["total_usd"].value >= billed
    assert shown["reviewed_clips"]["passed"].value == 2
    assert shown["reviewed_clips"]["for_a_person"].value == 1
    for asset, label in (
        ("generation_plan", "expected_usd"),
        ("generation_plan", "p90_usd"),
        ("upscaled_clips", "frames"),
        ("cost_report", "usd_per_usable_clip"),
        ("clip_facts", "usable"),
    ):
        assert shown[asset][label].value > 0, label


def test_the_decisions_are_a_table_with_reasons(shown: Metadata) -> None:
    records = [record.data for record in shown["generation_plan"]["decisions"].records]
    assert {record["shot"] for record in records} == {"lantern #0", "lantern-again #0", "rally #0"}
    assert all(record["tier"] == "preview" and record["why"] for record in records)
    assert all("/" in str(record["model"]) and float(str(record["usd"])) > 0 for record in records)
    # What others would have cost stands beside it: 1 s of the next cheapest.
    assert all("Others: sandbox/dash $0.0260 (dearer" in str(record["why"]) for record in records)


def test_every_check_has_a_result_for_the_day(house: House) -> None:
    for key in build_defs().resolve_asset_graph().asset_check_keys:
        (record,) = house.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event is not None and record.event.dagster_event is not None
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        assert evaluation.passed, key
        assert evaluation.partition == DAY.isoformat(), key


def test_the_contact_sheet_is_a_jpeg_of_all_clips(house: House, shown: Metadata) -> None:
    key = report_key(DAY, "contact-sheet.jpg")
    place = shown["reviewed_clips"]["contact_sheet_url"]
    # A browser does not follow a link from the UI to a file of this machine.
    assert isinstance(place, dg.PathMetadataValue)
    assert Path(place.path or "").as_uri() == house.services.store.url(key)
    with Image.open(io.BytesIO(house.services.store.read_bytes(key))) as sheet:
        assert sheet.format == "JPEG"
        assert min(sheet.size) > 200


def test_the_report_is_one_page_that_needs_nothing_else(house: House) -> None:
    page = house.services.store.read_bytes(report_key(DAY, "report.html")).decode()
    for brief in BRIEFS[:3]:
        assert brief["brief_id"] in page
    assert "broken.yaml" in page and "duration_s" in page
    assert "data:image/jpeg;base64," in page and "<svg" in page
    published = {url for fact in house.rows("clip_facts", DAY, ClipFact) for url in fact.published_urls}
    assert len(published) == 1
    links = set(re.findall(r"""(?:href|src|url)\s*[=(]\s*["']?(?!data:|#)([^"')\s>]+)""", page))
    # Beside the folders of days lie the pages of models.
    models = {link for link in links if link.startswith("../models/")}
    assert links == published | models
    store = house.services.store
    assert models and all(store.exists(f"reports/{link.removeprefix('../')}") for link in models)
    assert "<script" not in page and "<link" not in page and "@import" not in page


def test_a_platform_without_an_account_is_a_dry_run_that_says_so(house: House) -> None:
    records = {record.platform: record for record in house.rows("publish_records", DAY, PublishRecord)}
    assert records["youtube_shorts"].state == "published"
    assert records["tiktok"].state == "not_connected"
    assert "not connected" in (records["tiktok"].reason or "")


def test_both_sides_books_agree(house: House) -> None:
    books = sandbox_books(house.services.sandbox.base_url)
    assert len([request for request in books["requests"] if float(request["usd"]) > 0]) == 1
    assert len(books["videos"]) == 1
    assert_books_agree(house.services.ledger, house.services.sandbox.base_url)


def test_a_day_that_runs_again_buys_and_publishes_nothing(house: House) -> None:
    before = sandbox_books(house.services.sandbox.base_url)
    media = sorted(house.services.store.list("clips/"))
    cost = house.services.ledger.spend.by_clip(DAY)
    house.run("production_day", DAY)
    house.run("nightly_scoring", DAY)
    assert sandbox_books(house.services.sandbox.base_url) == before
    assert sorted(house.services.store.list("clips/")) == media
    assert house.services.ledger.spend.by_clip(DAY) == cost


def test_a_brief_that_arrives_later_is_added_to_the_day(house: House) -> None:
    before = len(sandbox_books(house.services.sandbox.base_url)["videos"])
    drop(house.inbox, DAY, a_brief("latecomer"))
    house.run("production_day", DAY)
    statuses = {clip.brief_id: clip.status for clip in house.rows("reviewed_clips", DAY, ReviewedClip)}
    assert len(statuses) == 4 and statuses["latecomer"] is ClipStatus.PASSED
    assert len(sandbox_books(house.services.sandbox.base_url)["videos"]) == before + 1
    assert_books_agree(house.services.ledger, house.services.sandbox.base_url)


@pytest.mark.parametrize("which", ["long ago", "yesterday"])
def test_any_past_day_can_be_materialised(house: House, which: str) -> None:
    day = "2026-01-01" if which == "long ago" else (DAY - timedelta(days=1)).isoformat()
    drop(
        house.inbox,
        DAY.fromisoformat(day),
        a_brief("lantern", brief_id=f"lantern-of-{day}", prompt=BRIEFS[0]["prompt"]),
    )
    house.run("production_day", day)
    house.run("nightly_scoring", day)
    (fact,) = house.rows("clip_facts", day, ClipFact)
    assert (fact.status, fact.cached) == (ClipStatus.PASSED, True)


def test_without_the_classifiers_file_nothing_is_upscaled_or_published_and_an_alert_says_why(house: House) -> None:
    day = (DAY - timedelta(days=2)).isoformat()
    blind = {"quality": {"safety": {"classifiers": {"open_nsfw": {"path": "gone.onnx"}}}}}
    before = len(sandbox_books(house.services.sandbox.base_url)["videos"])
    drop(house.inbox, DAY.fromisoformat(day), a_brief("unseen"))
    house.run("production_day", day, blind)
    (held,) = house.rows("reviewed_clips", day, ReviewedClip)
    assert (held.status, held.final_key) == (ClipStatus.REVIEW, None)
    assert len(sandbox_books(house.services.sandbox.base_url)["videos"]) == before
    told = {alert["title"]: alert["text"] for alert in house.services.ledger.alerts.latest()}
    assert "gone.onnx cannot be read" in told["Clips cannot be looked at"]
    # Mended, the day goes on by itself.
    house.run("production_day", day)
    (seen,) = house.rows("reviewed_clips", day, ReviewedClip)
    assert (seen.status, seen.safety, seen.attempts) == (ClipStatus.PASSED, "pass", 1)
    assert len(sandbox_books(house.services.sandbox.base_url)["videos"]) == before + 1


@pytest.fixture(scope="module")
def quiet_house(new_house: NewHouse) -> Iterator[House]:
    """A live pipeline with a provider's key and no briefs: there are no examples, and nobody to call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAL_KEY", "x")
        yield new_house(mode=Mode.LIVE)


def test_a_day_without_briefs_succeeds_and_touches_nobody(quiet_house: House) -> None:
    quiet_house.run("production_day", DAY)
    quiet_house.run("nightly_scoring", DAY)
    for name in PRODUCTION + SCORING[:2]:
        assert _latest(quiet_house, name)["dagster/row_count"].value == 0, name
    assert not (quiet_house.folder / "state" / "sandbox").exists()
    assert quiet_house.services.ledger.jobs.in_state(*JobState) == []
    page = quiet_house.services.store.read_bytes(report_key(DAY, "report.html")).decode()
    assert "No clips on this day" in page


def _latest(house: House, name: str) -> dict[str, Any]:
    """Metadata of today's latest materialisation."""
    records = house.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[DAY.isoformat()]), limit=1
    ).records
    (record,) = records
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.metadata)
