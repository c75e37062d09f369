"""Bibles as files: what is read, what is refused and in which words, and that one file never spoils another."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from video_pipeline.briefs import read_bibles

MARA: dict[str, Any] = {
    "name": "Mara",
    "appearance": "a woman with short grey hair",
    "wardrobe": {"default": "a navy pullover", "harbour": "a red oilskin coat"},
}
HARBOUR: dict[str, Any] = {
    "setting": "a fishing harbour",
    "lighting": "low side light",
    "palette": {"words": "cold blue", "colours": ["1b3a5c"]},
    "camera": "handheld",
    "pace": "slow",
}


def write_bible(folder: Path, file: str, document: Any) -> None:
    """One file of a folder of bibles, such as `characters/mara.yaml`; a text is written as it is."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))


def write_picture(path: Path, size: tuple[int, int] = (320, 480), colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def _refused(folder: Path, file: str, document: Any) -> str:
    write_bible(folder, file, document)
    [broken] = read_bibles(folder).broken
    return broken.sentence


def test_no_folder_and_an_empty_one_hold_no_bibles(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "none"):
        found = read_bibles(folder)
        assert (dict(found.characters), dict(found.scenes), found.broken) == ({}, {}, ())


def test_an_entry_is_what_its_file_says_and_its_id_is_the_files_name(tmp_path: Path):
    write_bible(tmp_path, "characters/mara.yaml", MARA | {"references": "mara/front.png"})
    write_picture(tmp_path / "characters/mara/front.png")
    write_bible(tmp_path, "scenes/harbour.yml", HARBOUR)
    found = read_bibles(tmp_path)
    mara, harbour = found.characters["mara"], found.scenes["harbour"].entry
    assert mara.entry.worn_in("harbour") == "a red oilskin coat"
    assert mara.entry.worn_in("office") == "a navy pullover"
    assert [picture.suffix for picture in mara.pictures] == [".png"]
    assert harbour.continuity == "low side light. cold blue. handheld. slow"
    assert found.broken == ()


def test_a_text_stands_for_one_wardrobe_and_for_a_palette_in_words(tmp_path: Path):
    write_bible(tmp_path, "characters/mara.yaml", MARA | {"wardrobe": "a grey suit"})
    write_bible(tmp_path, "scenes/harbour.yaml", {"palette": "cold blue"})
    write_bible(tmp_path, "scenes/office.yaml", {"palette": {"colours": "F2A65A"}})
    found = read_bibles(tmp_path)
    assert found.characters["mara"].entry.worn_in("harbour") == "a grey suit"
    assert found.scenes["harbour"].entry.continuity == "cold blue"
    assert found.scenes["office"].entry.continuity == "Palette of #f2a65a"


def test_the_version_is_that_of_the_words_and_the_pictures_and_of_nothing_else(tmp_path: Path):
    def version() -> str:
        return read_bibles(tmp_path).characters["mara"].version

    write_bible(tmp_path, "scenes/harbour.yaml", HARBOUR)
    write_picture(tmp_path / "characters/a.png")
    write_bible(tmp_path, "characters/mara.yaml", MARA | {"references": ["a.png"]})
    first = version()
    (tmp_path / "characters/a.png").rename(tmp_path / "characters/b.png")
    write_bible(tmp_path, "characters/mara.yaml", "# as before\n" + yaml.safe_dump(MARA | {"references": ["b.png"]}))
    assert version() == first
    write_picture(tmp_path / "characters/b.png", colour="blue")
    second = version()
    write_bible(tmp_path, "characters/mara.yaml", MARA | {"references": ["b.png"], "voice": "low"})
    assert len({first, second, version()}) == 3


@pytest.mark.parametrize(
    ("file", "document", "said"),
    [
        ("characters/mara.yaml", {"name": "Mara"}, "appearance: Field required"),
        ("characters/mara.yaml", MARA | {"hair": "grey"}, "hair: Extra inputs are not permitted"),
        ("characters/mara.yaml", MARA | {"voice": "low\u202ehigh"}, "it holds U+202E"),
        ("characters/mara.yaml", MARA | {"wardrobe": {"port": "a coat"}}, "wardrobe: there is no scene port"),
        ("characters/mara.yaml", MARA | {"references": ["gone.png"]}, "the picture gone.png is not there"),
        ("characters/mara.yaml", MARA | {"references": ["../../x.png"]}, "leads out of the folder of bibles"),
        ("characters/mara.yaml", MARA | {"references": ["text.png"]}, "the picture text.png is no JPEG, PNG or WebP"),
        ("characters/mara.yaml", MARA | {"references": ["small.png"]}, "small.png has 40x40 pixels"),
        ("characters/mara.yaml", "name: [", "line 2"),
        ("characters/mara.yaml", "", "it holds no documents, and should hold one"),
        ("characters/Mara X.yaml", MARA, "its name is its id"),
        ("scenes/harbour.yaml", {"approved_frames": []}, "it says nothing"),
        ("scenes/harbour.yaml", {"palette": {"colours": ["blue"]}}, "palette.colours.0"),
        ("scenes/harbour.yaml", "- setting: a\n- setting: b\n", "it holds 2 documents"),
        ("harbour.yaml", HARBOUR, "put it into characters/ or scenes/"),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_its_field(tmp_path: Path, file: str, document: Any, said: str):
    folder = tmp_path / "bibles"
    write_picture(folder / "characters/small.png", (40, 40))
    (folder / "characters/text.png").write_text("no picture")
    write_picture(tmp_path / "x.png")
    sentence = _refused(folder, file, document)
    assert sentence.startswith(f"{file} is no valid bible: ")
    assert said in sentence


def test_one_broken_file_leaves_the_others_as_they_are(tmp_path: Path):
    write_bible(tmp_path, "characters/mara.yaml", MARA)
    write_bible(tmp_path, "scenes/harbour.yaml", "setting: [")
    found = read_bibles(tmp_path)
    assert list(found.characters) == ["mara"]
    assert list(found.broken_in("scenes")) == ["harbour"]
    assert found.broken_in("characters") == {}


def test_a_wardrobe_may_be_for_a_scene_that_the_folder_is_laid_over(tmp_path: Path):
    write_bible(tmp_path / "below", "scenes/harbour.yaml", HARBOUR)
    write_bible(tmp_path / "below", "scenes/office.yaml", {"setting": "an office"})
    write_bible(tmp_path / "own", "characters/mara.yaml", MARA)
    write_bible(tmp_path / "own", "scenes/office.yaml", "setting: [")
    found = read_bibles(tmp_path / "own", read_bibles(tmp_path / "below"))
    assert (list(found.characters), list(found.scenes)) == (["mara"], ["harbour"])
    assert list(found.broken_in("scenes")) == ["office"]


def test_of_two_files_with_one_id_the_second_is_refused(tmp_path: Path):
    write_bible(tmp_path, "scenes/harbour.yaml", HARBOUR)
    assert "scenes/harbour.yaml has the same id" in _refused(tmp_path, "scenes/harbour.yml", HARBOUR)
