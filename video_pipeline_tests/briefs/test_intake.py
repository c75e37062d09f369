"""Taking a day in: ledger, quarantine, alerts, and whose a file is."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from video_pipeline.alerts import Alert, Delivery, Notifier
from video_pipeline.briefs import BiblesFolder, Brief, DayIntake, example_bibles, example_files, read_bibles, take_in
from video_pipeline.briefs import intake as intake_module
from video_pipeline.days import today
from video_pipeline.ledger import Ledger, PublicationState
from video_pipeline.ledger.schema import briefs, publications
from video_pipeline.policy import load_policy
from video_pipeline_tests.briefs.documents import PLATFORMS, a_document
from video_pipeline_tests.briefs.test_bibles import write_bible
from video_pipeline_tests.ledger.rows import a_job

DAY = date(2026, 11, 21)
TOMORROW = DAY + timedelta(days=1)
EXAMPLE_BIBLES = example_bibles()
TakeIn = Callable[..., DayIntake]


class Recorder:
    """A channel that keeps what it is told."""

    name = "recorder"

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.down = False

    def send(self, alert: Alert) -> Delivery:
        if self.down:
            return Delivery(self.name, "failed", "down")
        self.alerts.append(alert)
        return Delivery(self.name, "sent", "kept")


@pytest.fixture
def told() -> Recorder:
    return Recorder()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def take(ledger: Ledger, told: Recorder, inbox: Path) -> TakeIn:
    """Take the inbox in for a day, which is today unless said."""
    soon = load_policy().alerts.model_copy(update={"failed_again_after_s": 0.0})
    notifier = Notifier([told], ledger.alerts, soon)

    def take_day(
        day: date = DAY,
        today: date | None = None,
        examples: list[Path] | None = None,
        settle_s: float = 0.0,
        bibles: BiblesFolder = EXAMPLE_BIBLES,
    ) -> DayIntake:
        intake = take_in(
            ledger,
            notifier,
            inbox=inbox,
            platforms=PLATFORMS,
            day=day,
            today=today or day,
            examples=examples or [],
            settle_s=settle_s,
            bibles=bibles,
        )
        notifier.flush(20)
        return intake

    return take_day


def _drop(folder: Path, name: str, *documents: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(documents))


def _kept(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """clip id -> document, of every brief in the ledger."""
    with ledger.engine.connect() as connection:
        return {row.clip_id: row.document for row in connection.execute(select(briefs))}


def _ids(intake: DayIntake) -> list[str]:
    return [brief.brief_id for brief in intake.briefs]


def test_every_brief_and_every_malformed_document_is_in_the_ledger(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document("one"), a_document("two", duration_s=-1), a_document("three"))
    intake = take()
    assert (_ids(intake), intake.files, intake.examples) == (["one", "three"], 1, False)
    assert set(_kept(ledger)) == {"2026-11-21/one", "2026-11-21/three"}
    assert Brief.model_validate(_kept(ledger)["2026-11-21/one"]) == intake.briefs[0]
    (item,) = ledger.intake.quarantined(DAY)
    assert item["source"] == "a.json#2" and "duration_s" in item["reasons"][0]
    assert json.loads(item["raw"]) == a_document("two", duration_s=-1)


def test_what_a_brief_did_not_say_is_still_not_said_in_the_ledger(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document("one", quality=None, visual_complexity=None))
    take()
    kept = Brief.model_validate(_kept(ledger)["2026-11-21/one"])
    assert kept.assumed == ("quality", "visual_complexity")


def test_a_malformed_brief_is_alerted_once_with_its_reasons(inbox: Path, take: TakeIn, told: Recorder):
    _drop(inbox, "a.json", a_document(mood="cosy"))
    for _ in range(3):
        take()
    (alert,) = told.alerts
    assert alert.title == "A brief could not be taken"
    assert "a.json of 2026-11-21: mood: Extra inputs are not permitted" in alert.text


def test_a_malformed_brief_that_nobody_could_be_told_of_is_told_of_later(inbox: Path, take: TakeIn, told: Recorder):
    _drop(inbox, "a.json", a_document(mood="cosy"))
    for told.down in (True, False, False):
        take()
    assert len(told.alerts) == 1


def test_a_brief_that_is_malformed_in_another_way_is_alerted_again(inbox: Path, take: TakeIn, told: Recorder):
    for document in (a_document(mood="cosy"), a_document(duration_s=-1)):
        _drop(inbox, "a.json", document)
        take()
    assert len(told.alerts) == 2


def test_a_file_of_3000_bad_rows_is_one_message(inbox: Path, take: TakeIn, told: Recorder):
    rows = "".join(f"row-{number},,,\r\n" for number in range(3000))
    (inbox / "sheet.csv").write_text(f"brief_id,title,platforms,prompt\r\n{rows}")
    assert len(take().quarantined) == 3000
    take()
    (alert,) = told.alerts
    assert alert.title == "3,000 briefs could not be taken"
    assert "sheet.csv#1 of 2026-11-21: title: Field required" in alert.text
    assert "; and 2,997 more. Correct them and drop sheet.csv again." in alert.text
    assert len(alert.text) < 2000


def test_each_file_with_bad_briefs_has_its_message(inbox: Path, take: TakeIn, told: Recorder):
    _drop(inbox, "a.json", a_document(mood="cosy"), a_document("two", mood="cosy"))
    _drop(inbox, "b.json", a_document("three", mood="cosy"))
    take()
    assert [alert.title for alert in told.alerts] == ["2 briefs could not be taken", "A brief could not be taken"]


def test_what_is_no_file_of_briefs_is_told_once(inbox: Path, take: TakeIn, told: Recorder):
    folder = inbox / DAY.isoformat()
    _drop(folder, "a.json", a_document("one"))
    (folder / "team-a").mkdir()
    for name in ("briefs.docx", "brief.yaml.txt", ".DS_Store"):
        (folder / name).write_bytes(b"")
    for _ in range(2):
        take()
    (alert,) = told.alerts
    assert alert.title == "Not all of the inbox is read"
    for said in ("brief.yaml.txt: it ends in .txt; name it brief.yaml", "briefs.docx: files of briefs end in .yaml"):
        assert f"{DAY}/{said}" in alert.text
    assert f"{DAY}/team-a: it is a folder within the folder of a day" in alert.text


def test_a_file_whose_name_is_no_text_is_told_and_does_not_stop_the_day(inbox: Path, take: TakeIn, told: Recorder):
    odd = os.fsencode(inbox) + b"/\xff\x1b[2J.yaml"
    Path(os.fsdecode(odd)).write_text("mood: cosy\n")
    _drop(inbox, "b.json", a_document("one"))
    assert _ids(take()) == ["one"]
    (alert,) = told.alerts
    assert alert.text == "Nothing is read from \ufffd\ufffd[2J.yaml: its name is not UTF-8; rename it."


def test_what_nothing_is_read_from_keeps_the_examples_away(inbox: Path, take: TakeIn):
    (inbox / "26.11.2026").mkdir()
    intake = take(examples=example_files())
    assert (intake.examples, intake.briefs) == (False, [])


def test_a_file_that_may_still_grow_is_left_to_a_later_run(inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document("one"))
    intake = take(examples=example_files(), settle_s=60)
    assert (intake.briefs, intake.unread.growing, intake.examples) == ([], ("a.json",), False)
    assert _ids(take()) == ["one"]


@pytest.mark.parametrize("within", [".", str(DAY)])
def test_a_file_that_is_saved_while_it_is_read_is_left_to_a_later_run(
    ledger: Ledger, inbox: Path, take: TakeIn, within: str, monkeypatch: pytest.MonkeyPatch
):
    _drop(inbox / within, "a.json", a_document("half"))
    _drop(inbox / within, "b.json", a_document("other"))
    listed = intake_module.claim_day_files

    def then_saved(*args: Any, **rules: Any) -> Any:
        files = listed(*args, **rules)
        _drop(inbox / within, "a.json", a_document("half", title="And more"))
        return files

    monkeypatch.setattr(intake_module, "claim_day_files", then_saved)
    intake = take()
    name = "a.json" if within == "." else f"{DAY}/a.json"
    assert (_ids(intake), intake.quarantined, intake.unread.growing) == (["other"], [], (name,))
    # Also when it comes to be again what was listed.
    assert [line.split()[0] for line in ledger.waits.taken_in()[DAY] or ()] == [name.replace("a.json", "b.json")]
    monkeypatch.undo()
    assert _ids(take()) == ["half", "other"]


def test_a_file_that_becomes_a_link_out_of_the_inbox_is_not_read(
    inbox: Path, take: TakeIn, monkeypatch: pytest.MonkeyPatch
):
    (inbox.parent / "secret").write_text("token: hunter2")
    _drop(inbox, "a.json", a_document("one"))
    listed = intake_module.claim_day_files

    def then_linked(*args: Any, **rules: Any) -> Any:
        files = listed(*args, **rules)
        (inbox / "a.json").unlink()
        (inbox / "a.json").symlink_to(inbox.parent / "secret")
        return files

    monkeypatch.setattr(intake_module, "claim_day_files", then_linked)
    intake = take()
    (item,) = intake.quarantined
    assert item.reasons == ("it is a link that leads out of the inbox; put the file itself there",)
    assert (item.raw, intake.briefs) == ("not read", [])


def make_public(ledger: Ledger, clip_id: str, state: PublicationState = PublicationState.PUBLISHED) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(
            insert(publications).values(
                key=sha256(clip_id.encode()).hexdigest(),
                day=DAY,
                clip_id=clip_id,
                platform="youtube_shorts",
                state=state,
                document={},
                media_key="k",
                media_sha256="0" * 64,
                url="https://youtube.com/shorts/abc",
            )
        )


@pytest.mark.parametrize(
    "edit", [{"prompt": "A blue scarf"}, {"caption": "New"}, {"title": "New"}, {"duration_s": 9}]
)
def test_a_brief_that_is_edited_after_it_went_public_asks_and_stays_as_it_was(
    ledger: Ledger, inbox: Path, take: TakeIn, told: Recorder, edit: dict[str, Any]
):
    _drop(inbox / str(DAY), "a.json", a_document("one"), a_document("two"))
    before = take().briefs
    make_public(ledger, f"{DAY}/one")
    _drop(inbox / str(DAY), "a.json", a_document("one", **edit), a_document("two", **edit))
    intake = take()
    assert intake.briefs[0] == before[0] and intake.briefs[1] != before[1]
    (item,) = intake.quarantined
    assert (item.file, item.source) == ("a.json", "a.json#1")
    (alert,) = told.alerts
    assert "one is public or on its way (youtube_shorts: https://youtube.com/shorts/abc)" in alert.text
    assert "give it a brief_id of its own" in alert.text
    assert intake.told == (alert.text,)
    assert _kept(ledger)[f"{DAY}/one"] == before[0].model_dump(mode="json", exclude_unset=True)


def test_a_brief_that_is_public_may_go_to_another_platform(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox / str(DAY), "a.json", a_document("one"))
    take()
    make_public(ledger, f"{DAY}/one")
    _drop(inbox / str(DAY), "a.json", a_document("one", platforms=["youtube_shorts", "tiktok"]))
    intake = take()
    assert (intake.briefs[0].platforms, intake.quarantined) == (("youtube_shorts", "tiktok"), [])


def test_a_brief_whose_publication_has_failed_may_be_corrected(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox / str(DAY), "a.json", a_document("one"))
    take()
    make_public(ledger, f"{DAY}/one", PublicationState.REFUSED)
    _drop(inbox / str(DAY), "a.json", a_document("one", caption="Shorter"))
    assert take().briefs[0].caption == "Shorter"


def test_missing_routing_metadata_is_counted_and_alerted_once(inbox: Path, take: TakeIn, told: Recorder):
    _drop(
        inbox,
        "a.json",
        a_document("one", quality=None),
        a_document("two", quality=None, visual_complexity=None),
        a_document("three"),
    )
    assert [take().assumed for _ in range(2)] == [{"quality": 2, "visual_complexity": 1}] * 2
    (alert,) = told.alerts
    assert "quality (2), visual_complexity (1)" in alert.text


def test_sound_briefs_are_nothing_to_tell_of(inbox: Path, take: TakeIn, told: Recorder):
    _drop(inbox, "a.json", a_document("one"), a_document("two"))
    take()
    assert told.alerts == []


def test_the_examples_stand_in_only_for_an_empty_inbox(ledger: Ledger, inbox: Path, take: TakeIn):
    first = take(examples=example_files())
    assert (first.examples, len(first.briefs), len(first.quarantined)) == (True, 10, 1)
    _drop(inbox, "a.json", a_document("mine"))
    second = take(day=TOMORROW, examples=example_files())
    assert (second.examples, _ids(second)) == (False, ["mine"])


def test_a_day_whose_only_brief_is_malformed_does_not_get_the_examples(inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document(mood="cosy"))
    intake = take(examples=example_files())
    assert (intake.examples, intake.briefs, len(intake.quarantined)) == (False, [], 1)


def test_without_examples_an_empty_inbox_is_an_empty_day(take: TakeIn):
    intake = take()
    assert (intake.briefs, intake.quarantined, intake.files, intake.examples) == ([], [], 0, False)


def test_a_days_folder_belongs_to_that_day(inbox: Path, take: TakeIn):
    _drop(inbox / "2026-11-21", "a.json", a_document("of-the-day"))
    _drop(inbox / "2026-11-22", "a.json", a_document("of-tomorrow"))
    assert _ids(take()) == ["of-the-day"]
    assert _ids(take(day=TOMORROW)) == ["of-tomorrow"]


def test_a_file_at_the_top_belongs_to_the_first_day_that_claims_it(inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document("one"))
    assert _ids(take(day=DAY)) == ["one"]
    assert _ids(take(day=TOMORROW)) == []
    _drop(inbox, "b.json", a_document("two"))
    assert _ids(take(day=TOMORROW)) == ["two"]
    # The earlier day, materialised again, is what it was.
    assert _ids(take(day=DAY, today=TOMORROW)) == ["one"]


def test_an_older_day_never_claims_what_has_just_arrived(inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document("one"))
    assert _ids(take(day=DAY, today=TOMORROW)) == []
    assert _ids(take(day=TOMORROW)) == ["one"]


def test_a_file_that_two_days_ask_for_at_once_goes_to_one(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document("one"))
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda day: _ids(take(day=day)), [DAY, TOMORROW]))
    assert sorted(taken) == [[], ["one"]]
    assert len(_kept(ledger)) == 1


def test_a_brief_that_another_day_has_is_not_made_twice(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox, "a.json", a_document("sound"), a_document("wrong", duration_s=-1))
    assert _ids(take(day=DAY)) == ["sound"]
    # The corrected file is dropped again, with what was right the first time.
    _drop(inbox, "a.json", a_document("sound"), a_document("wrong"))
    intake = take(day=TOMORROW)
    assert (_ids(intake), intake.made_before) == (["wrong"], {"sound": DAY})
    assert set(_kept(ledger)) == {"2026-11-21/sound", "2026-11-22/wrong"}


def test_a_brief_that_has_changed_is_made_again_another_day(inbox: Path, take: TakeIn):
    _drop(inbox / "2026-11-21", "a.json", a_document("one"))
    _drop(inbox / "2026-11-22", "a.json", a_document("one", title="Another"))
    assert _ids(take(day=DAY)) == ["one"]
    assert (_ids(take(day=TOMORROW)), take(day=TOMORROW).made_before) == (["one"], {})


def test_the_day_that_has_a_brief_keeps_it_when_it_is_materialised_again(inbox: Path, take: TakeIn):
    for day in ("2026-11-21", "2026-11-22"):
        _drop(inbox / day, "a.json", a_document("one"))
    days = (DAY, TOMORROW, DAY, TOMORROW)
    assert [_ids(take(day=day)) for day in days] == [["one"], [], ["one"], []]


def test_the_examples_are_made_every_day(take: TakeIn):
    for day in (DAY, TOMORROW):
        assert len(take(day=day, examples=example_files()).briefs) == 10


def test_a_brief_that_money_was_spent_on_stays_in_its_day_without_its_file(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox / "2026-11-21", "a.json", a_document("bought"), a_document("only-planned"))
    take()
    ledger.jobs.plan(a_job("a", clip_id="2026-11-21/bought", submitted_at=datetime(2026, 11, 21, tzinfo=UTC)))
    ledger.jobs.plan(a_job("b", clip_id="2026-11-21/only-planned"))
    (inbox / "2026-11-21" / "a.json").unlink()
    intake = take()
    assert (_ids(intake), intake.kept) == (["bought"], ("bought",))


def test_an_edited_brief_replaces_the_one_in_force(ledger: Ledger, inbox: Path, take: TakeIn):
    for title in ("First", "Second"):
        _drop(inbox / "2026-11-21", "a.json", a_document("one", title=title))
        take()
    assert _kept(ledger)["2026-11-21/one"]["title"] == "Second"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"title: \x00", id="a NUL in a file"),
        pytest.param("title: Café".encode("utf-16-le"), id="UTF-16 that does not say so"),
        pytest.param(json.dumps(a_document(title="a\x00b")).encode(), id="a NUL in a title"),
        pytest.param(json.dumps(a_document(**{"mo\x00od": "cosy"})).encode(), id="a NUL in a field's name"),
        pytest.param(json.dumps([a_document("a", title="\x00"), a_document("b", title=1)]).encode(), id="in a list"),
        pytest.param(b'{"title": "a\\ud800b"}', id="half a character"),
    ],
)
def test_a_character_that_the_ledger_cannot_hold_does_not_stop_the_day(
    ledger: Ledger, inbox: Path, take: TakeIn, content: bytes
):
    (inbox / "a.json").write_bytes(content)
    (inbox / "a.yaml").write_bytes(content)
    _drop(inbox, "b.json", a_document("sound"))
    assert "sound" in _ids(take())
    assert "2026-11-21/sound" in _kept(ledger)
    assert ledger.intake.quarantined(DAY)


def test_a_text_that_spells_an_escape_is_only_a_text(ledger: Ledger, inbox: Path, take: TakeIn):
    _drop(inbox / "2026-11-21", "a.json", a_document("spelled", title=r"What \u0000 means"))
    take()
    assert _kept(ledger)["2026-11-21/spelled"]["title"] == r"What \u0000 means"


def _arrivals(ledger: Ledger) -> dict[str, datetime | None]:
    with ledger.engine.connect() as connection:
        return {row.brief_id: row.arrived_at for row in connection.execute(select(briefs))}


def test_a_brief_arrives_when_its_file_does_whatever_time_is_copied_with_it(
    ledger: Ledger, inbox: Path, take: TakeIn
):
    before = datetime.now(UTC) - timedelta(seconds=1)
    _drop(inbox, "a.json", a_document("copied"))
    os.utime(inbox / "a.json", (0, 0))
    take()
    after = datetime.now(UTC)
    os.utime(inbox / "a.json")
    take()
    arrived = _arrivals(ledger)["copied"]
    assert arrived is not None and before <= arrived <= after


def test_a_brief_that_was_laid_into_a_day_to_come_arrives_when_the_day_begins(
    ledger: Ledger, inbox: Path, take: TakeIn
):
    day = today() + timedelta(days=3)
    _drop(inbox / str(day), "a.json", a_document("ahead"))
    take(day, today=day)
    assert _arrivals(ledger)["ahead"] == datetime.combine(day, datetime.min.time(), UTC)


def test_an_example_arrives_when_it_is_taken_in(ledger: Ledger, take: TakeIn):
    before = datetime.now(UTC)
    take(examples=example_files()[:1])
    assert {arrived is not None and arrived >= before for arrived in _arrivals(ledger).values()} == {True}


def test_a_brief_names_only_entries_that_there_are(take: TakeIn, inbox: Path, tmp_path: Path):
    write_bible(tmp_path, "characters/tom.yaml", {"name": "Tom", "appearance": "a boy"})
    _drop(inbox, "a.json", a_document("tom", characters=["tom"]), a_document("ann", characters=["ann"], scene="quay"))
    intake = take(bibles=read_bibles(tmp_path))
    assert [brief.brief_id for brief in intake.briefs] == ["tom"]
    [item] = intake.quarantined
    assert item.reasons == (
        "characters.0: there is no such character; there are tom (given: 'ann')",
        "scene: there is no such scene; the folder of bibles has none in scenes/ (given: 'quay')",
    )


def test_a_broken_bible_holds_only_the_briefs_that_name_it_and_is_told_once(
    take: TakeIn, told: Recorder, inbox: Path, tmp_path: Path
):
    write_bible(tmp_path, "characters/tom.yaml", {"name": "Tom"})
    _drop(inbox, "a.json", a_document("tom", characters=["tom"]), a_document("ann"))
    for _ in range(2):
        intake = take(bibles=read_bibles(tmp_path))
        assert [brief.brief_id for brief in intake.briefs] == ["ann"]
        assert "characters/tom.yaml is no valid bible: appearance: Field required" in intake.quarantined[0].reasons[0]
    [alert] = told.alerts
    assert alert.title == "Bibles cannot be used"
    assert "appearance: Field required. Of 2026-11-21, a.json#1 waits for them" in alert.text
    write_bible(tmp_path, "characters/tom.yaml", {"name": "Tom", "appearance": "a boy"})
    assert [brief.brief_id for brief in take(bibles=read_bibles(tmp_path)).briefs] == ["tom", "ann"]
