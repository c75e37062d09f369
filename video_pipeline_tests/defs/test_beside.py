"""What people are shown has a largest size and is in nobody's way: contact sheets, plots, lists in metadata."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_pipeline.clips import ClipStatus, ReviewedClip, UpscaledClip
from video_pipeline.definitions import build_defs
from video_pipeline.defs.beside import MOST_LINES, Beside, listed, table
from video_pipeline.defs.resources import resources_of
from video_pipeline.errors import MediaError
from video_pipeline.ledger import ReviewState
from video_pipeline.media import run_ffmpeg
from video_pipeline.quality import review_stage
from video_pipeline.reports.day_page import CLIPS_A_PAGE, pages_for
from video_pipeline.services import Services
from video_pipeline.storage import read_rows, report_key, table_key, write_rows
from video_pipeline_tests.feedback.rows import a_fact

DAY = date(2026, 11, 21)


def _clip(number: int, **fields: Any) -> UpscaledClip:
    values = {"clip_id": f"{DAY}/{number}", "brief_id": f"clip-{number}", "day": DAY, "tier": "preview"}
    return UpscaledClip.model_validate(
        values | {"status": "waiting", "reason": "No budget.", "expected_s": 1} | fields
    )


def _run(
    services: Services, instance: dg.DagsterInstance, asset: str, table: str, rows: list[Any]
) -> Mapping[str, Any]:
    """Materialise `asset` on a day on which `table` holds `rows`; its metadata."""
    data = write_rows(type(rows[0]), rows)
    services.store.put_bytes(
        table_key(table, str(DAY)), data, content_type="application/octet-stream", overwrite=True
    )
    definitions = build_defs(policy=services.policy, resources=resources_of(services))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[dg.AssetKey(asset)],
        partition_key=str(DAY),
        instance=instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    [materialised] = result.asset_materializations_for_node(asset)
    return materialised.metadata


def test_a_day_of_130_clips_has_three_sheets_and_metadata_of_a_bounded_size(
    services: Services, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    file = tmp_path / "clip.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=size=64x96:rate=12", "-t", "1", "-pix_fmt", "yuv420p", str(file))
    run_ffmpeg(source, timeout_s=60, what="making a clip")
    stored = services.store.put_file("upscaled/clip.mp4", file, content_type="video/mp4")
    # More of them fail a check than an event row will name. All are decided on already, so that nobody is asked.
    files = {"final_key": stored.key, "final_sha256": stored.sha256, "status": "upscaled"}
    rows = [_clip(number, **(files if number % 2 else {})) for number in range(130)]
    for row in rows[1::2]:
        stage = review_stage(stored.sha256)
        services.ledger.reviews.open(row.clip_id, stage, "small")
        services.ledger.reviews.decide(row.clip_id, stage, ReviewState.APPROVED, by="ada")
    shown = _run(services, instance, "reviewed_clips", "upscaled_clips", rows)
    assert shown["passed"].value == 65
    names = sorted(key.rsplit("/", 1)[1] for key in services.store.list(report_key(DAY, "contact-sheet")))
    assert names == ["contact-sheet-2.jpg", "contact-sheet-3.jpg", "contact-sheet.jpg"]
    assert str(shown["contact_sheet_url"].value).endswith("/contact-sheet.jpg")
    assert str(shown["more_contact_sheets"].value).count("\n") == 1
    assert "warnings" not in shown
    assert sum(len(str(value.value)) for value in shown.values()) < 250_000
    key = dg.AssetCheckKey(dg.AssetKey("reviewed_clips"), "resolution")
    (check,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert check.event is not None and check.event.dagster_event is not None
    findings = check.event.dagster_event.asset_check_evaluation_data.metadata["findings"].value
    assert str(findings).endswith("and 15 more")


@pytest.mark.parametrize(
    "broken", ["reports.pictures.save_picture", "reports.pictures._card", "storage.LocalStore.list"]
)
def test_a_sheet_that_cannot_be_made_is_a_warning(
    services: Services, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(f"video_pipeline.{broken}", _fails(MemoryError("no room for so large a picture")))
    shown = _run(services, instance, "reviewed_clips", "upscaled_clips", [_clip(number) for number in range(3)])
    assert "the contact sheet could not be made: MemoryError: no room" in str(shown["warnings"].value)
    kept = services.store.read_bytes(table_key("reviewed_clips", str(DAY)))
    assert [row.status for row in read_rows(ReviewedClip, kept)] == [ClipStatus.WAITING] * 3


def test_a_day_of_many_clips_has_pages_and_one_that_cannot_be_made_is_a_warning(
    services: Services, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = [a_fact(f"brief-{number}", day=DAY) for number in range(2 * CLIPS_A_PAGE + 1)]
    shown = _run(services, instance, "cost_report", "clip_facts", facts)
    assert "warnings" not in shown and str(shown["report"].value).endswith("/report.html")
    for name, first, other in (("report.html", 0, CLIPS_A_PAGE), ("report-3.html", 2 * CLIPS_A_PAGE, 0)):
        page = services.store.read_bytes(report_key(DAY, name)).decode()
        assert f">brief-{first}<" in page and f">brief-{other}<" not in page
        assert 'href="report-2.html"' in page
    for part in ("day_report", "cost_plot"):
        monkeypatch.setattr(f"video_pipeline.defs.assets.feedback.{part}", _fails(MediaError("no pen")))
    shown = _run(services, instance, "cost_report", "clip_facts", facts[:1])
    assert shown["warnings"].value == (
        "the day's page could not be made: MediaError: no pen; the cost plot could not be made: MediaError: no pen"
    )
    assert "report" not in shown and "total_usd" in shown


def _fails(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    return fail


class PanicException(BaseException):
    """As pyo3 raises it for a panic in Rust."""


def test_a_panic_is_a_warning_and_the_end_of_the_run_is_not() -> None:
    beside = Beside(dg.build_asset_context())
    assert beside.made("the plot", _fails(PanicException("index out of bounds"))) is None
    assert beside.made("the plot", _fails(ValueError("x" * 10_000))) is None
    assert beside.made("the page", lambda: "made") == "made"
    told = beside.warnings()["warnings"].value
    assert told == "the plot could not be made: PanicException: index out of bounds (2 times)"
    with pytest.raises(KeyboardInterrupt):
        beside.made("the plot", _fails(KeyboardInterrupt()))


@given(st.integers(1, 3 * MOST_LINES))
def test_a_list_ends_and_says_how_much_is_left_out(length: int) -> None:
    lines = listed((str(number) for number in range(length)), separator="\n").splitlines()
    records = table([{"name": str(number), "usd": 0.5} for number in range(length)]).records
    left = max(0, length - MOST_LINES)
    for shown in (lines, [record.data["name"] for record in records]):
        assert shown[:MOST_LINES] == [str(number) for number in range(length - left)]
        assert shown[MOST_LINES:] == ([f"and {left} more"] if left else [])


@given(st.integers(0, 5 * CLIPS_A_PAGE))
def test_there_are_as_many_pages_as_clips_fill(clips: int) -> None:
    assert (pages_for(clips) - 1) * CLIPS_A_PAGE < max(1, clips) <= pages_for(clips) * CLIPS_A_PAGE
