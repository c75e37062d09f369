"""What a file holds, whatever it is: read as people write it, within bounds, and told once where it cannot be."""

import io
import json
import re
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from video_pipeline.briefs import Brief, InboxReading, bounds
from video_pipeline.briefs import read_files as read_files_for
from video_pipeline.briefs.bounds import MAX_FILE_BYTES
from video_pipeline.briefs.reading import SUFFIXES
from video_pipeline.briefs.tables import MAX_PART_BYTES
from video_pipeline_tests.briefs.documents import PLATFORMS, a_document

_YAML = "brief_id: a\ntitle: T\nplatforms: [tiktok]\nprompt: A cup\nduration_s: 2\n"
_COLUMNS = ["brief_id", "title", "platforms", "prompt", "duration_s"]
_ROW = ["a", "T", "tiktok", "A cup", "2"]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, str | bytes], InboxReading]:
    def read_file(name: str, content: str | bytes) -> InboxReading:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_files_for([path], platforms=PLATFORMS)

    return read_file


Read = Callable[[str, str | bytes], InboxReading]


def _reasons(reading: InboxReading) -> str:
    assert reading.briefs == []
    return "; ".join(reason for item in reading.quarantined for reason in item.reasons)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("title: No", "title", "No"),
        ("title: 007", "title", "007"),
        ("title: 12:30:45", "title", "12:30:45"),
        ("title: 2026-11-21", "title", "2026-11-21"),
        ("title: 1e3", "title", "1e3"),
        ("title: !!str 5", "title", "5"),
        ("title: ! 5", "title", "5"),
        ("title: 'null'", "title", "null"),
        ("caption:", "caption", ""),
        ("caption: ~", "caption", ""),
        ("caption: null  # nothing yet", "caption", ""),
        ("seed: 0123", "seed", 123),
        ("native_audio: yes", "native_audio", True),
        ("visual_complexity: .5", "visual_complexity", 0.5),
        ("visual_complexity: 5e-1 # a half", "visual_complexity", 0.5),
        ("brief_id: b-1 # first one", "brief_id", "b-1"),
        ("hook: C# and F#", "hook", "C# and F#"),
        ("hook: '#1 of many'  # in quotes", "hook", "#1 of many"),
        ("hook: warm  # the usual one", "hook", "warm"),
        ("hook: |-\n  one #1", "hook", "one #1"),
        ("hook: 'é\U0001f44d'", "hook", "é\U0001f44d"),
    ],
)
def test_a_value_in_yaml_is_what_stands_there(read: Read, line: str, field: str, value: object):
    name = line.split(":")[0]
    rest = "".join(kept for kept in _YAML.splitlines(keepends=True) if not kept.startswith(f"{name}:"))
    (brief,) = read("a.yaml", f"{line}\n{rest}").briefs
    assert getattr(brief, field) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title: We are #1", "title: YAML takes all that follows ` #` for a comment"),
        ("caption: New every morning #coffee #tiktok", "caption: YAML takes"),
        ("caption: #coffee", "caption: YAML takes"),
        ("prompt: A cup # on a table", "prompt: YAML takes"),
        ("broll: [A cup #1\n  , Tea]", "broll: YAML takes"),
        ("bible:\n- Ada #1 of three", "bible: YAML takes"),
        ("hook: a\tb #c", "hook: YAML takes"),
        ("duration_s: 1:30", "duration_s: Input should be a valid number, unable to parse string as a number"),
        ("duration_s: " + "9" * 5000, "duration_s: Input should be a finite number"),
        ("seed: " + "9" * 5000, "seed: Unable to parse input string as an integer"),
        ("visual_complexity: nan", "visual_complexity: Input should be a finite number"),
        ("hook: !!binary YQ==", "line 6: tags such as !!binary or !custom are not read"),
        ("hook: !!python/object/apply:os.getcwd []", "line 6: tags such as"),
        ("hook: !ours {a: b}", "line 6: tags such as"),
        ("hook: *nobody", "line 6: a * refers to a & that is not there"),
        ("hook: *", "line 6: "),
        ("hook: &a [*a]", "line 6: a * refers to what it stands in"),
        ("<<: 5", "line 6: << takes mappings only"),
        ("hook: " + "[" * 30 + "]" * 30, "it is nested more than 20 levels deep"),
        ("hook: [" + "a, " * 1500 + "]", "it has a list of 1,500 entries, more than 1,000"),
        ("\n".join(f"field{number}: x" for number in range(250)), "it has 255 fields in one place, more than 200"),
        ("hook: a\n\tb: c", "line 7: "),
        ("hook: \x01", "line 6: control characters are not allowed"),
    ],
)
def test_what_yaml_would_misread_is_told(read: Read, text: str, reason: str):
    name = text.split(":")[0]
    others = [line for line in _YAML.splitlines() if not line.startswith(f"{name}:")]
    # The line in question is the sixth.
    said = _reasons(read("a.yaml", "\n".join([*others, *["style: warm"] * (5 - len(others)), text, ""])))
    assert reason in said and len(said) < 900


def test_a_cut_value_costs_the_other_briefs_of_its_file_nothing(read: Read):
    cut = a_document("cut", prompt=None)
    lines = f"- {json.dumps(a_document('sound'))}\n- prompt: A cup #1\n"
    lines += "".join(f"  {name}: {json.dumps(value)}\n" for name, value in cut.items())
    reading = read("many.yaml", lines)
    assert [brief.brief_id for brief in reading.briefs] == ["sound"]
    assert [item.source for item in reading.quarantined] == ["many.yaml#2"]


def _laughs(levels: int, item: str) -> str:
    lines = [f"l{level}: &l{level} {item.format(above=f'*l{level - 1}')}" for level in range(1, levels)]
    return "\n".join(["l0: &l0 {a0: x, a1: x}", *lines]) + "\n"


def _workbook(*sheets: tuple[str, Sequence[Sequence[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


def _with_part(name: str, content: bytes) -> bytes:
    """A workbook with one of its parts replaced."""
    kept = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_workbook(("S", [_COLUMNS, _ROW])))) as before,
        zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for part in before.namelist():
            after.writestr(part, content if part == name else before.read(part))
    return kept.getvalue()


_SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
_ENTITIES = b"<!DOCTYPE x [<!ENTITY a0 'ha'>%s]>" % b"".join(
    b"<!ENTITY a%d '%s'>" % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 12)
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", _laughs(12, "[{above}, {above}, {above}, {above}, {above}, {above}, {above}]")),
        ("a.yaml", _laughs(15, "{{k: {above}, m: {above}, n: {above}}}")),
        ("a.yaml", _laughs(2000, "{{<<: [{above}, {above}], n: x}}")),
        ("a.yaml", "a: &a {" + "".join(f"k{n}: x, " for n in range(50_000)) + "}\nb:\n" + "- {<<: *a}\n" * 5_000),
        ("a.yaml", f"a: &a {'x' * 400_000}\nb: [{'*a, ' * 100_000}]\n"),
        ("a.yaml", "- " * 400_000),
        ("a.yaml", "{" * 900_000),
        ("a.yaml", "? " * 400_000),
        ("a.yaml", "-\n" * 450_000),
        ("a.yaml", "--- a\n" * 150_000),
        ("a.json", "[" * 900_000),
        ("a.json", "[" + "[]," * 300_000 + "[]]"),
        ("a.json", '{"a":' * 100_000),
        ("a.json", "{" + ",".join(f'"k{n}": 1' for n in range(80_000)) + "}"),
        ("a.json", '{"platforms": [' + "1," * 400_000 + "1]}"),
        ("a.jsonl", "1\n" * 450_000),
        ("a.jsonl", "{\n" * 450_000),
        ("a.csv", "a," * 450_000),
        ("a.csv", "brief_id\n" + "a\n" * 400_000),
        ("a.csv", "brief_id," + '"' * 400_001),
        ("a.tsv", "\t" * 900_000),
        ("a.xlsx", b"PK\x03\x04" + b"\0" * 100_000),
        ("a.xlsx", _with_part("xl/worksheets/sheet1.xml", b" " * 50_000_000)),
        ("a.xlsx", _with_part("xl/styles.xml", b"<a/>" * 1_000_000)),
        ("a.xlsx", _with_part("xl/workbook.xml", b"<a/>")),
        ("a.xlsx", _with_part("xl/worksheets/sheet1.xml", _SHEET % (b'<row r="1"><c r="ZZZZZZZ1"/></row>'))),
        ("a.xlsx", _with_part("xl/worksheets/sheet1.xml", _ENTITIES + _SHEET % b"<row>&a11;</row>")),
    ],
    # The bytes of a workbook, and so their number, go by the time at which it was made.
    ids=lambda value: "workbook" if isinstance(value, bytes) else value[:20],
)
def test_a_file_that_grows_without_end_is_told_of_soon_and_in_little_memory(
    tmp_path: Path, name: str, content: str | bytes
):
    data = content.encode() if isinstance(content, str) else content
    assert len(data) <= MAX_FILE_BYTES
    (tmp_path / name).write_bytes(data)
    begun = time.process_time()
    tracemalloc.start()
    try:
        reading = read_files_for([tmp_path / name], platforms=PLATFORMS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reading.briefs == [] and 0 < len(reading.quarantined) <= 5000
    assert peak < 150_000_000 and time.process_time() - begun < 30


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.csv",
            "brief_id;title;platforms;prompt;duration_s;visual_complexity\r\na;T, really;tiktok;A cup;2,5;0,4\r\n",
        ),
        ("a.csv", "sep=;\r\nbrief_id;title;platforms;prompt;duration_s\r\na;T, really;tiktok;A cup;2,5\r\n"),
        ("a.csv", '"sep=|"\nbrief_id|title|platforms|prompt|duration_s\na|T, really|tiktok|A cup|2.5\n'),
        ("a.csv", "brief_id\ttitle\tplatforms\tprompt\tduration_s\na\tT, really\ttiktok\tA cup\t2.5\n"),
        ("a.tsv", "brief_id\ttitle\tplatforms\tprompt\tduration_s\na\tT, really\ttiktok\tA cup\t2,5\n"),
        ("a.csv", '\n,,,,\nBrief_ID, Title ,platforms,prompt,duration_s,,\n a ,"T, really",tiktok, A cup,2.5,,\n'),
        (
            "a.jsonl",
            '\n{"brief_id":"a","title":"T, really","platforms":["tiktok"],"prompt":"A cup","duration_s":2.5}\n\n',
        ),
        ("a.ndjson", '{"brief_id":"a","title":"T, really","platforms":["tiktok"],"prompt":"A cup","duration_s":2.5}'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_table_is_read_whatever_separates_its_cells(read: Read, name: str, text: str, encoding: str):
    reading = read(name, text.encode(encoding))
    assert [(brief.brief_id, brief.title, brief.total_s) for brief in reading.briefs] == [("a", "T, really", 2.5)]
    assert reading.quarantined == []


def test_json_in_a_yaml_file_may_escape_what_it_likes(read: Read):
    (brief,) = read("a.yaml", json.dumps(a_document(title="Coffee \U0001f600"))).briefs
    assert brief.title == "Coffee \U0001f600"


def test_a_line_that_is_no_json_costs_the_others_nothing(read: Read):
    lines = [json.dumps(a_document("one")), '{"brief_id": ', json.dumps(a_document("two"))]
    reading = read("a.jsonl", "\n".join(lines))
    assert [brief.brief_id for brief in reading.briefs] == ["one", "two"]
    (item,) = reading.quarantined
    assert (item.source, "line 2 is not valid JSON" in item.reasons[0]) == ("a.jsonl#2", True)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize(
    ("below", "said"),
    [
        ([""], None),
        (["", "", "", "", "FALSE"], None),
        (["  ", "", "", "", "falsch"], None),
        (
            ["", "", "tiktok", "", "FALSE"],
            "300 rows hold nothing but native_audio, platforms, and no text of a brief",
        ),
        (["", "T", "tiktok", "", ""], "brief_id: Field required"),
    ],
)
def test_rows_without_a_brief_are_nothing_or_one_thing_to_say(
    read: Read, kind: str, below: list[str], said: str | None
):
    columns = ["brief_id", "title", "platforms", "prompt", "native_audio", "duration_s"]
    rows = [columns, ["a", "T", "tiktok", "A cup", "FALSE", "2"], *[below] * 300]
    content = "\r\n".join(",".join(row) for row in rows) if kind == "csv" else _workbook(("S", rows))
    reading = read(f"a.{kind}", content)
    assert [brief.brief_id for brief in reading.briefs] == ["a"]
    assert [item.reasons[0] for item in reading.quarantined][:1] == ([said] if said else [])
    assert len(reading.quarantined) in (0, 1, 300)


def test_a_workbook_is_read_as_its_cells_are_shown(read: Read):
    rows = [
        [],
        ["brief_id", "title", "platforms", "prompt", "duration_s", "native_audio", "broll", "seed"],
        ["one", 2026, "tiktok | youtube_shorts", "A cup", 2.0, True, "Tea|Milk", 7],
        [None, None, None, None, None, False, None, None],
        ["two", "Two", "tiktok", "=A3", 3, False, None, None],
    ]
    reading = read("a.xlsx", _workbook(("Briefs", rows), ("Notes", [["what we want"], ["more"]]), ("Empty", [])))
    (brief,) = reading.briefs
    assert (brief.title, brief.platforms, brief.total_s) == ("2026", ("tiktok", "youtube_shorts"), 2)
    assert (brief.native_audio, brief.broll, brief.seed) == (True, ("Tea", "Milk"), 7)
    assert [(item.source, item.reasons[0]) for item in reading.quarantined] == [
        ("a.xlsx#Briefs!3", "prompt: the cell is a formula without a result; save the workbook in Excel"),
        ("a.xlsx#Notes", "the sheet has no column brief_id, so nothing is read from it"),
    ]


@pytest.mark.parametrize(
    "error",
    [
        "#N/A",
        "#REF!",
        "#NAME?",
        "#VALUE!",
        "#DIV/0!",
        "#NV",
        "#BEZUG!",
        "#WERT!",
        "#¡VALOR!",
        "#Н/Д",
        "Err:502",
        "####",
    ],
)
def test_what_a_spreadsheet_has_instead_of_a_value_is_told_and_not_published(read: Read, error: str):
    said = f"title: the cell holds the spreadsheet's error {error}; correct it there and save again"
    rows = [_COLUMNS, ["a", error, *_ROW[2:]], ["b", f"What {error} means", *_ROW[2:]]]
    for name, content in (
        ("a.csv", "\r\n".join(",".join(row) for row in rows)),
        ("a.xlsx", _workbook(("S", rows))),
    ):
        reading = read(name, content)
        assert [(brief.brief_id, brief.title) for brief in reading.briefs] == [("b", f"What {error} means")]
        assert [item.reasons[0] for item in reading.quarantined] == [said]


def test_a_cell_that_excel_calls_an_error_is_one_whatever_it_says(read: Read):
    cells = b"".join(b'<c t="inlineStr"><is><t>%s</t></is></c>' % cell.encode() for cell in _COLUMNS)
    row = b'<c t="inlineStr"><is><t>a</t></is></c><c t="e"><v>#NEW!</v></c>'
    sheet = _SHEET % (b"<row>%s</row><row>%s</row>" % (cells, row))
    said = _reasons(read("a.xlsx", _with_part("xl/worksheets/sheet1.xml", sheet)))
    assert "title: the cell holds the spreadsheet's error #NEW!; correct it there and save again" in said


def test_what_excel_escapes_is_what_people_typed(read: Read):
    row = ["a", "One_x000D_\nTwo _xD83D__xDE00_ _x005F_x000D_ max_x_y", *_ROW[2:]]
    (brief,) = read("a.xlsx", _workbook(("S", [_COLUMNS, row]))).briefs
    assert brief.title == "One\r\nTwo \U0001f600 _x000D_ max_x_y"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", [[name.title() for name in _COLUMNS], [name.upper() for name in _COLUMNS]])
def test_names_of_columns_may_be_in_capitals(read: Read, delimiter: str, header: list[str]):
    text = "\n".join(delimiter.join(row) for row in (header, _ROW))
    assert [brief.brief_id for brief in read("a.csv", text).briefs] == ["a"]
    assert [brief.brief_id for brief in read("a.tsv", text).briefs] == ["a"]


def test_tabs_separate_what_no_known_name_tells_of(read: Read):
    (item,) = read("a.tsv", "name, short\ttext\nx, y\tz\n").quarantined
    assert "name, short: Extra inputs are not permitted" in item.reasons


def test_no_value_of_a_field_that_briefs_do_not_have_is_said(read: Read):
    token = "ghp0123456789abcdefghijklmnop"
    reading = read("a.yaml", f"AWS_SECRET: {token}\n{token}: x\ntitle: [{token}]\nquality: cheap\n")
    said = _reasons(reading)
    assert token not in said and "AWS_SECRET: Extra inputs are not permitted" in said
    assert "quality: Input should be 'draft', 'standard' or 'premium' (given: 'cheap')" in said
    assert len(said) < 1500
    assert "hunter2" not in _reasons(read("b.yaml", "hunter2"))


def test_the_papers_say_what_is_read_and_what_bounds_there_are():
    paper = (Path(__file__).parents[2] / "docs" / "briefs.md").read_text()
    (kinds,) = re.findall(r"\| files \| read as \|\n\|---\|---\|\n((?:\|.+\n)+)", paper)
    assert re.findall(r"`(\.\w+)`", "\n".join(row.split("|")[1] for row in kinds.splitlines())) == list(SUFFIXES)
    for bound in (
        f"more than {bounds.MAX_FILE_BYTES:,} bytes",
        f"more than {bounds.MAX_DOCUMENTS:,} documents",
        f"more than {bounds.MAX_FIELDS} fields in one place",
        f"a list of more than {bounds.MAX_LIST:,} entries",
        f"more than {bounds.MAX_DEPTH} levels of nesting",
        f"more than {bounds.MAX_VALUES:,} values or {bounds.MAX_CHARACTERS:,} characters",
        f"unpacks to more than {bounds.MAX_UNPACKED_BYTES:,} bytes, or {MAX_PART_BYTES:,} for what is no sheet",
        f"cannot be read within {bounds.MAX_SECONDS:g} s",
    ):
        assert f"| {bound}" in paper or f" {bound}" in paper, bound


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"title": "\u200b\u200b"}, "title: it shows as nothing"),
        ({"title": "\u3164"}, "title: it shows as nothing"),
        ({"caption": "\u2800\n\u00ad"}, "caption: it shows as nothing"),
        ({"prompt": "\ufeff\u2060"}, "prompt: it shows as nothing"),
        ({"hook": "\u200d"}, "hook: it shows as nothing"),
        ({"bible": ["Ada", "\u200e"]}, "bible.1: it shows as nothing"),
        ({"title": "Coffee\u202eeeffoC"}, "title: it holds U+202E RIGHT-TO-LEFT OVERRIDE, which no platform shows"),
        ({"title": "Cof\x07fee"}, "title: it holds U+0007 a control character, which no platform shows"),
        ({"caption": "a\x9bb"}, "caption: it holds U+009B a control character"),
        ({"prompt": "A \u2067cup"}, "prompt: it holds U+2067 RIGHT-TO-LEFT ISOLATE"),
        ({"title": "a\ufffe"}, "title: it holds U+FFFE a control character"),
    ],
)
def test_a_text_that_people_would_not_see_is_told(read: Read, fields: dict[str, Any], reason: str):
    assert reason in _reasons(read("a.json", json.dumps(a_document(**fields))))


@pytest.mark.parametrize(
    "title",
    [
        "שלום\u200f!",
        "می\u200cخواهم",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "a\tb",
        "क\u094d\u200dष",
        "\U0001f3f4\U000e0067\U000e007f",
    ],
)
def test_joiners_and_marks_of_scripts_are_left_alone(read: Read, title: str):
    reading = read("a.json", json.dumps(a_document(title=title, caption="One\r\nTwo\u2028Three")))
    assert [brief.title for brief in reading.briefs] == [title]
    assert reading.doubts == []


def test_what_takes_no_place_is_told_and_taken(read: Read):
    reading = read("a.json", json.dumps(a_document(title="Cof\u200bfee")))
    assert len(reading.briefs) == 1
    assert reading.doubts == ["a.json: title holds U+200B ZERO WIDTH SPACE, which shows as nothing"]


def test_every_text_of_a_brief_is_looked_through(read: Read):
    unseen = "a\u200bb"
    texts = {"caption": unseen, "hook": unseen, "style": unseen, "broll": ["Tea", unseen], "bible": [unseen]}
    document = a_document(**texts, shots=[{"prompt": unseen, "duration_s": 2}])
    del document["prompt"], document["duration_s"]
    doubts = read("a.json", json.dumps(document)).doubts
    named = [doubt.removeprefix("a.json: ").partition(" holds ")[0] for doubt in doubts]
    assert sorted(named) == ["bible.0", "broll.1", "caption", "hook", "shots.0.prompt", "style"]


def _tiktok_refuses(brief: Brief) -> dict[str, list[str]]:
    return {"tiktok": ["the clip is long"]} if "tiktok" in brief.platforms else {}


def test_a_brief_is_refused_when_all_of_its_platforms_would_and_told_when_some_would(tmp_path: Path):
    path = tmp_path / "a.json"
    documents = [
        a_document(name, platforms=platforms)
        for name, platforms in [
            ("one", ["tiktok"]),
            ("two", ["tiktok", "instagram_reels"]),
            ("three", ["instagram_reels"]),
        ]
    ]
    path.write_text(json.dumps(documents))
    reading = read_files_for([path], platforms=PLATFORMS, refusals=_tiktok_refuses)
    assert [brief.brief_id for brief in reading.briefs] == ["two", "three"]
    assert [(item.source, item.reasons) for item in reading.quarantined] == [("a.json#1", ("the clip is long",))]
    assert reading.doubts == ["a.json#2: nothing will go to tiktok, as the clip is long"]
