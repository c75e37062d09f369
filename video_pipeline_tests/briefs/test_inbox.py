"""The inbox: every document of every file becomes a brief, or lies in quarantine with its reasons."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given, settings

from video_pipeline.briefs import Brief, InboxReading, arrived_days, example_bibles, example_files
from video_pipeline.briefs import read_files as read_files_for
from video_pipeline.briefs.bounds import MAX_FILE_BYTES
from video_pipeline.briefs.inbox import claim_day_files, files_by_day
from video_pipeline_tests.briefs.documents import PLATFORMS, a_document

DAY = date(2026, 11, 21)
# No permissions keep root from reading a file.
_UNREADABLE = Path("/proc/self/mem")
_HEADER = "brief_id,title,platforms,prompt,duration_s"


EXAMPLE_BIBLES = example_bibles()


def read_files(files: list[Path]) -> InboxReading:
    return read_files_for(files, platforms=PLATFORMS, bibles=EXAMPLE_BIBLES)


def _read(folder: Path, name: str, content: str | bytes) -> InboxReading:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_files([path])


def _reasons(folder: Path, name: str, content: str | bytes) -> str:
    """Why the only document of a file was quarantined."""
    reading = _read(folder, name, content)
    assert reading.briefs == []
    (item,) = reading.quarantined
    return "; ".join(item.reasons)


# Sound documents and every kind of unsound one, as JSON can write them.
_FIELDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)
_NAMES = st.sampled_from(
    ["brief_id", "title", "platforms", "prompt", "shots", "duration_s", "quality", "mood", "seed"]
)
_DOCUMENTS = st.one_of(
    st.builds(
        lambda number, changed: a_document(f"brief-{number}") | changed,
        st.integers(0, 5),
        st.dictionaries(_NAMES, _FIELDS, max_size=2),
    ),
    _FIELDS.filter(lambda value: value is not None and not isinstance(value, list)),
)


@settings(max_examples=100)
@given(
    files=st.lists(st.lists(_DOCUMENTS, min_size=1, max_size=4), max_size=3),
    suffix=st.sampled_from([".json", ".yaml"]),
)
def test_every_document_of_every_file_is_a_brief_or_in_quarantine(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[Any]], suffix: str
):
    folder = tmp_path_factory.mktemp("inbox")
    for number, documents in enumerate(files):
        # JSON is YAML, but for what YAML reads as nothing.
        (folder / f"{number}{suffix}").write_text(json.dumps(documents))
    reading = read_files(sorted(folder.iterdir()))
    assert reading.files == len(files)
    assert len(reading.briefs) + len(reading.quarantined) == sum(map(len, files))
    assert all(item.reasons and item.source and item.raw for item in reading.quarantined)
    names = [brief.brief_id for brief in reading.briefs]
    assert len(names) == len(set(names))


@settings(max_examples=100)
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".json", ".yaml", ".yml", ".csv"]))
def test_no_file_stops_the_reading_of_the_others(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
):
    folder = tmp_path_factory.mktemp("inbox")
    (folder / f"a{suffix}").write_bytes(content)
    (folder / "b.json").write_text(json.dumps(a_document()))
    assert [brief.brief_id for brief in read_files(sorted(folder.iterdir())).briefs] == ["a-brief"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.yaml", "hook: 2026-02-30\n", id="a day that does not exist"),
        pytest.param("a.yaml", "hook: 2026-11-21T99:00:00Z\n", id="an hour that does not exist"),
        pytest.param("a.yaml", "duration_s: !!int five\n", id="a word tagged as a number"),
        pytest.param("a.yaml", "duration_s: " + "1" * 5000, id="an endless number in YAML"),
        pytest.param("a.json", '{"duration_s": ' + "1" * 5000 + "}", id="an endless number in JSON"),
        pytest.param("a.json", "[" * 100_000, id="endless nesting in JSON"),
        pytest.param("a.yaml", "[" * 5_000, id="endless nesting in YAML"),
        pytest.param("a.yaml", "!!python/object/apply:os.getcwd []", id="a Python object"),
    ],
)
def test_a_value_that_cannot_be_read_quarantines_its_file(tmp_path: Path, name: str, content: str):
    assert _reasons(tmp_path, name, content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("- {!!binary YQ==: x}\n", id="bytes as a key"),
        pytest.param("? [a]\n: x\n", id="a list as a key"),
        pytest.param("&a [*a, *a]", id="a document that holds itself"),
    ],
)
def test_what_no_json_could_say_quarantines_its_file(tmp_path: Path, content: str):
    assert "the file is not valid YAML: line 1: " in _reasons(tmp_path, "a.yaml", content)


def test_a_document_that_unfolds_without_end_is_quarantined_and_not_unfolded(tmp_path: Path):
    levels = [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]" for level in range(1, 10)]
    path = tmp_path / "laughs.yaml"
    path.write_text("\n".join(["l0: &l0 [ha, ha, ha]", *levels]))
    # In a process with little memory and time, so that a reading that unfolds it ends soon.
    code = (
        "import sys; from pathlib import Path; from video_pipeline.briefs import read_files; "
        "print(len(read_files([Path(sys.argv[1])], platforms=[]).quarantined))"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))

    done = subprocess.run(
        [sys.executable, "-c", code, path], preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert done.stdout == "1\n", done.stderr[-500:]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"title": None}, "title: Field required"),
        ({"platforms": []}, "platforms: Tuple should have at least 1 item"),
        (
            {"platforms": ["tiktok", "myspace"]},
            f"platforms.1: there is no such platform; there are {', '.join(PLATFORMS)} (given: 'myspace')",
        ),
        ({"platforms": ["Not a name"]}, "platforms.0: String should match pattern"),
        ({"duration_s": -3}, "duration_s: Input should be greater than or equal to 1 (given: -3)"),
        ({"duration_s": 200}, "duration_s: Input should be less than or equal to 180"),
        ({"duration_s": "long"}, "duration_s: Input should be a valid number"),
        ({"duration_s": None}, "brief: Value error, duration_s is needed beside a prompt"),
        ({"quality": "cheap"}, "quality: Input should be 'draft', 'standard' or 'premium' (given: 'cheap')"),
        ({"visual_complexity": 1.5}, "visual_complexity: Input should be less than or equal to 1"),
        ({"mood": "cosy"}, "mood: Extra inputs are not permitted"),
        ({"model": "veo"}, "model: Extra inputs are not permitted"),
        ({"prompt": None}, "a prompt, a script or a list of shots is needed"),
        ({"prompt": "   "}, "prompt: String should have at least 1 character"),
        ({"shots": [{"prompt": "x", "duration_s": 2}]}, "give either a prompt or shots, not both"),
        (
            {"prompt": None, "shots": [{"prompt": "x", "duration_s": 2}]},
            "duration_s is 5.0 but the shots add up to 2.0",
        ),
        ({"prompt": None, "duration_s": None, "shots": [{"prompt": "x"}]}, "shots.0.duration_s: Field required"),
        ({"title": "x" * 101}, "title: String should have at most 100 characters"),
        ({"seed": 2**31}, "seed: Input should be less than 2147483648"),
    ],
)
def test_a_malformed_brief_is_quarantined_with_the_field_and_what_is_wrong(tmp_path: Path, fields: dict, reason: str):
    assert reason in _reasons(tmp_path, "a.json", json.dumps(a_document(**fields)))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "a.yaml",
            "{document}\nprompt: A blue scarf\n",
            "prompt a second time (line 9): Extra inputs are not permitted",
        ),
        (
            "a.yaml",
            "{document}\nshots:\n- prompt: One\n  duration_s: 2\n  'prompt': Two\n",
            "shots.0.prompt a second time (line 12): Extra inputs are not permitted",
        ),
        (
            "a.json",
            '{document}, "prompt": "A blue scarf"}}',
            "prompt a second time: Extra inputs are not permitted",
        ),
        (
            "a.csv",
            "{document},prompt\na,T,tiktok,A red scarf,2,A blue scarf\n",
            "prompt a second time: Extra inputs are not permitted",
        ),
    ],
    ids=["yaml", "yaml shot", "json", "csv"],
)
def test_a_field_that_is_given_twice_is_quarantined_and_not_chosen_from(
    tmp_path: Path, name: str, content: str, reason: str
):
    sound = {
        "a.yaml": yaml.safe_dump(a_document(), sort_keys=False).rstrip(),
        "a.json": json.dumps(a_document())[:-1],
        "a.csv": "brief_id,title,platforms,prompt,duration_s",
    }
    reading = _read(tmp_path, name, content.format(document=sound[name]))
    assert reading.briefs == []
    (item,) = reading.quarantined
    assert (item.source, reason in item.reasons) == (name, True), item.reasons


def test_a_field_given_twice_costs_the_other_briefs_of_its_file_nothing(tmp_path: Path):
    one, two = (yaml.safe_dump(a_document(name)) for name in ("one", "two"))
    reading = _read(tmp_path, "many.yaml", f"{one}title: Another\n---\n{two}")
    assert [brief.brief_id for brief in reading.briefs] == ["two"]
    (item,) = reading.quarantined
    assert item.source == "many.yaml#1" and "Another" in item.raw


def test_a_mapping_that_is_laid_under_another_may_be_overridden(tmp_path: Path):
    """YAML's merge key, where the base holds a merge of its own and is read by alias before it is read itself."""
    lines = "- &base {brief_id: base, title: T, platforms: [tiktok], prompt: A cup, duration_s: 2}\n"
    lines += "- &own {<<: *base, brief_id: own, title: Another}\n- {<<: *own, brief_id: third, quality: draft}\n"
    reading = _read(tmp_path, "merged.yaml", lines)
    assert [(brief.brief_id, brief.title) for brief in reading.briefs] == [
        ("base", "T"),
        ("own", "Another"),
        ("third", "Another"),
    ]
    assert reading.quarantined == []


def test_every_wrong_field_is_named_at_once(tmp_path: Path):
    said = _reasons(
        tmp_path, "a.json", json.dumps(a_document(duration_s=-1, quality="cheap", mood="cosy", title=None))
    )
    assert all(f"{field}: " in said for field in ("duration_s", "quality", "mood", "title"))


@pytest.mark.parametrize(
    "brief_id",
    [
        "",
        "../etc/passwd",
        "a/b",
        "a\\b",
        "..",
        ".a",
        "-a",
        "A",
        "ä",
        "а",
        "a b",
        "a\n",
        "a\x00",
        "a_b",
        "a" * 64,
        "a.b",
    ],
    ids=repr,
)
def test_a_brief_id_that_could_be_a_path_or_look_like_another_is_refused(tmp_path: Path, brief_id: str):
    said = _reasons(tmp_path, "a.json", json.dumps(a_document(brief_id)))
    assert said.startswith("brief_id: String should match pattern")


@pytest.mark.parametrize("brief_id", ["a", "0", "a-1", "2026-launch", "a" * 63])
def test_a_plain_brief_id_is_taken(tmp_path: Path, brief_id: str):
    assert [b.brief_id for b in _read(tmp_path, "a.json", json.dumps(a_document(brief_id))).briefs] == [brief_id]


def test_the_second_brief_with_an_id_is_quarantined_and_names_the_first(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps([a_document("twin"), a_document("other")]))
    (tmp_path / "b.json").write_text(json.dumps(a_document("twin", title="Another")))
    reading = read_files(sorted(tmp_path.iterdir()))
    assert [brief.brief_id for brief in reading.briefs] == ["twin", "other"]
    (item,) = reading.quarantined
    assert (item.source, item.reasons) == ("b.json", ("brief_id: twin is already used by a.json#1",))


def test_shots_may_not_add_up_to_more_than_a_clip_may_last(tmp_path: Path):
    shots = [{"prompt": "x", "duration_s": 120}] * 50
    assert "180" in _reasons(tmp_path, "a.json", json.dumps(a_document(prompt=None, duration_s=None, shots=shots)))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param("list.yaml", lambda docs: yaml.safe_dump(docs), id="a YAML list"),
        pytest.param("many.yml", lambda docs: yaml.safe_dump_all(docs), id="several YAML documents"),
        pytest.param("list.json", lambda docs: json.dumps(docs), id="a JSON list"),
    ],
)
def test_a_file_may_hold_several_briefs(tmp_path: Path, name: str, write: Any):
    documents = [a_document("one"), a_document("two", duration_s=-1), a_document("three")]
    reading = _read(tmp_path, name, write(documents))
    assert [brief.brief_id for brief in reading.briefs] == ["one", "three"]
    (item,) = reading.quarantined
    shown = documents[1] | ({} if name.endswith("json") else {"duration_s": "-1", "visual_complexity": "0.4"})
    assert item.source == f"{name}#2" and json.loads(item.raw) == shown


def test_a_csv_row_is_a_brief_and_its_lists_are_parted_by_bars(tmp_path: Path):
    rows = f"{_HEADER},broll,bible,native_audio,hook\na,T,tiktok | youtube_shorts,x,2,one|two,Cold light,true,\n"
    (brief,) = _read(tmp_path, "a.csv", rows).briefs
    assert brief.platforms == ("tiktok", "youtube_shorts")
    assert (brief.broll, brief.bible) == (("one", "two"), ("Cold light",))
    assert (brief.native_audio, brief.hook) == (True, "")
    assert brief.assumed == ("quality", "visual_complexity")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,T,tiktok,x,2,over", "cells without a column: Extra inputs are not permitted"),
        ("a,T,tiktok,x", "duration_s is needed beside a prompt"),
        ('a,"T,tiktok,x,2', "the file is not valid CSV"),
        (",,,,", "the file holds no brief"),
    ],
)
def test_a_csv_row_with_too_many_or_too_few_cells_is_quarantined(tmp_path: Path, row: str, reason: str):
    assert reason in _reasons(tmp_path, "a.csv", f"{_HEADER}\n{row}\n")


def _cafe(name: str) -> str:
    """A brief about a café, as text in the format of `name`."""
    return {
        "a.yaml": yaml.safe_dump(a_document(title="Café"), allow_unicode=True),
        "a.json": json.dumps(a_document(title="Café"), ensure_ascii=False),
        "a.csv": f"{_HEADER}\na-brief,Café,tiktok,x,2\n",
    }[name]


@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a.csv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_in_any_unicode_that_says_so_is_read(tmp_path: Path, name: str, encoding: str):
    assert [brief.title for brief in _read(tmp_path, name, _cafe(name).encode(encoding)).briefs] == ["Café"]


@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a.csv"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_a_file_that_is_no_unicode_is_quarantined_and_not_guessed_at(tmp_path: Path, name: str, encoding: str):
    assert _reasons(tmp_path, name, _cafe(name).encode(encoding))


def test_a_file_that_is_too_large_is_quarantined_unread(tmp_path: Path):
    said = _reasons(tmp_path, "a.yaml", "#" * (MAX_FILE_BYTES + 1))
    assert said == "the file is larger than 1,000,000 bytes"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", ""),
        ("a.yaml", ""),
        ("a.csv", ""),
        ("a.yaml", "# coming soon\n"),
        ("a.json", "[]"),
        ("a.csv", f"{_HEADER}\n"),
    ],
)
def test_a_file_without_a_brief_is_quarantined_so_that_somebody_hears_of_it(tmp_path: Path, name: str, content: str):
    assert _reasons(tmp_path, name, content)


def test_the_packaged_examples_are_ten_briefs_and_one_in_quarantine():
    reading = read_files(example_files())
    assert (reading.files, len(reading.briefs), len(reading.quarantined)) == (5, 10, 1)
    (item,) = reading.quarantined
    assert item.source == "05-spreadsheet.csv"
    assert {reason.split(":")[0] for reason in item.reasons} == {"duration_s", "quality", "mood"}


def test_a_brief_for_a_platform_that_there_is_no_more_stays_readable():
    brief = Brief.model_validate(a_document(platforms=["myspace", "tiktok"]))
    assert Brief.model_validate(brief.model_dump(mode="json")).platforms == ("myspace", "tiktok")


def test_routing_metadata_that_is_left_out_is_told_apart_from_what_was_said():
    briefs = {brief.brief_id: brief for brief in read_files(example_files()).briefs}
    assert briefs["studio-tour"].assumed == ("quality",)
    assert {name for name, brief in briefs.items() if brief.assumed} == {"studio-tour"}


def test_a_brief_has_another_hash_when_anything_in_it_is_another():
    (brief, *_) = read_files(example_files()).briefs
    assert brief.model_copy().sha256 == brief.sha256
    changed = {
        brief.model_copy(update={name: "changed"}).sha256
        for name in ("brief_id", "title", "caption", "prompt", "hook", "style")
    }
    assert len(changed | {brief.sha256}) == 7


def _arrived(inbox: Path, taken_in: list[str] | None = None) -> dict[date, str]:
    return arrived_days(inbox, DAY, claimed={}, taken_in={} if taken_in is None else {DAY: taken_in})


def test_a_day_without_files_has_none_that_arrived(tmp_path: Path):
    assert _arrived(tmp_path / "missing") == {}
    (tmp_path / "notes.txt").write_text("not a brief")
    (tmp_path / ".hidden.yaml").write_text("not seen")
    (tmp_path / "folder.yaml").mkdir()
    assert _arrived(tmp_path) == {}


def test_a_day_has_arrived_while_a_file_is_new_or_changed_and_only_then(tmp_path: Path):
    own = tmp_path / DAY.isoformat()
    own.mkdir()
    changes: list[tuple[Callable[[], object], bool]] = [
        (lambda: (own / "a.yaml").write_text("a: 1"), True),
        (lambda: (own / "a.yaml").write_text("a: 2"), True),
        (lambda: (own / "b.csv").write_text("a"), True),
        (lambda: (tmp_path / "top.json").write_text("{}"), True),
        (lambda: (own / "b.csv").rename(own / "c.csv"), True),
        # Whoever tidies up the inbox starts nothing.
        (lambda: (tmp_path / "top.json").unlink(), False),
        (lambda: (tmp_path / "notes.txt").write_text("no brief"), False),
        (lambda: os.utime(own / "a.yaml", (0, 0)), False),
    ]
    taken_in: list[str] = []
    hashes: list[str] = []
    for change, arrives in changes:
        change()
        arrived = _arrived(tmp_path, taken_in)
        assert (set(arrived) == {DAY}) == arrives
        assert _arrived(tmp_path, taken_in) == arrived
        hashes += arrived.values()
        taken_in = files_by_day(tmp_path, DAY, {})[DAY]
    assert len(set(hashes)) == len(hashes)


def test_files_of_earlier_days_arrive_too_and_those_of_later_days_do_not(tmp_path: Path):
    for day in (DAY - timedelta(days=40), DAY - timedelta(days=1), DAY + timedelta(days=1)):
        (tmp_path / day.isoformat()).mkdir()
        (tmp_path / day.isoformat() / "a.yaml").write_text("a: 1")
    assert set(_arrived(tmp_path)) == {DAY - timedelta(days=40), DAY - timedelta(days=1)}


def test_a_file_that_cannot_be_read_keeps_no_other_from_arriving(tmp_path: Path):
    own = tmp_path / DAY.isoformat()
    for folder in (tmp_path, own, tmp_path / (DAY - timedelta(days=1)).isoformat()):
        folder.mkdir(exist_ok=True)
        (folder / "a.yaml").write_text("a: 1")
        (folder / "b.yaml").symlink_to(_UNREADABLE)
    assert [len(files) for files in files_by_day(tmp_path, DAY, {}).values()] == [2, 1]
    assert [len(files) for files in files_by_day(tmp_path, DAY, {}, only=DAY).values()] == [2]
    files = claim_day_files(tmp_path, DAY, today=DAY, claimed={}, claim=lambda name, sha256: DAY)
    assert [path.relative_to(tmp_path) for path in files] == [Path(f"{DAY}/a.yaml"), Path("a.yaml")]
    reading = read_files([own / "b.yaml", own / "gone.yaml"])
    assert [found.reasons for found in reading.quarantined] == [("the file cannot be read: Input/output error",)]


def test_a_file_that_a_day_has_claimed_arrives_for_that_day_until_it_is_taken_in(tmp_path: Path):
    (tmp_path / "a.json").write_text("{}")
    before = DAY - timedelta(days=1)
    claimed = {("a.json", sha256(b"{}").hexdigest()): before}
    assert set(arrived_days(tmp_path, DAY, claimed=claimed, taken_in={})) == {before}
    taken_in = files_by_day(tmp_path, DAY, claimed)
    assert arrived_days(tmp_path, DAY, claimed=claimed, taken_in=taken_in) == {}


def test_of_a_day_that_was_taken_in_before_its_files_were_kept_nothing_is_asked(tmp_path: Path):
    before = DAY - timedelta(days=1)
    (tmp_path / before.isoformat()).mkdir()
    (tmp_path / before.isoformat() / "a.yaml").write_text("a: 1")
    assert arrived_days(tmp_path, DAY, claimed={}, taken_in={before: None}) == {}
