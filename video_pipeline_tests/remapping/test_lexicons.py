"""A team's own words: laid over the packaged ones, or in their place; and what is said of a file that is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import load_policy
from video_pipeline.remapping import Remapper, brands, lexicon, public_figures, remapper_for
from video_pipeline.remapping.forms import forms_of
from video_pipeline.services import Services
from video_pipeline.settings import Settings

CATEGORIES = load_policy().generation.remapping.categories
ITALIAN = {
    "name": "Italian",
    "adjectives": "after",
    "determiners": {"f": ["la; una"], "m": ["il; un"]},
    "prepositions": {"": ["in; su; con"]},
    "links": ["di"],
    "conjunctions": ["e"],
    "persons": ["donna/donne"],
    "framing": {"close": ["primo piano"]},
    "categories": {"age": {"nouns": ["bambin{o,a}/~s"]}, "emotion": {"verbs": ["piange"]}},
    "templates": {
        "medium_shot": "Campo medio",
        "minimal_expression": "espressione minima",
        "setting": "ambiente tranquillo",
        "figure": {"any": "una figura lontana"},
        "categories": {"age": {"any": "una figura"}},
    },
}


def folder_of(place: Path, **files: object) -> Path:
    for name, document in files.items():
        text = document if isinstance(document, str) else yaml.safe_dump(document, allow_unicode=True)
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    return place


def remapper_with(place: Path, **files: object) -> Remapper:
    return Remapper(CATEGORIES, folder_of(place, **files))


def sentence(place: Path, **files: object) -> str:
    with pytest.raises(ConfigurationError) as found:
        remapper_with(place, **files)
    return str(found.value)


@pytest.mark.parametrize(
    ("written", "forms"),
    [
        ("smil{e,ing}", [("smile", False), ("smiling", False)]),
        ("child/children", [("child", False), ("children", True)]),
        ("niñ{o,a}/~s", [("niño", False), ("niña", False), ("niños", True), ("niñas", True)]),
        ("tir+adj", [("tir", False), ("tire", False)]),
        ("half{-, }naked", [("half-naked", False), ("half naked", False)]),
    ],
)
def test_a_word_is_written_with_all_its_forms(written: str, forms: list[tuple[str, bool]]) -> None:
    assert forms_of(written, {"adj": ("", "e")}) == forms


def test_words_are_added_to_the_packaged_ones(tmp_path: Path) -> None:
    remapper = remapper_with(
        tmp_path, en={"harmless": ["crying boy inn"], "categories": {"brand": {"nouns": ["acme{,s}"]}}}
    )
    assert remapper.softest("The Crying Boy Inn by the sea") == "The Crying Boy Inn by the sea"
    assert remapper.softest("An acme on a shelf") == "A product on a shelf"
    assert remapper.softest("a crying baby in a crib") == "Medium shot, minimal expression, in a crib"


def test_each_file_is_read_once_for_all_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    reading = lexicon.read_yaml_mapping

    def counted(path: Path, **options: Any) -> dict[str, Any]:
        read.append(path.name)
        return reading(path, **options)

    monkeypatch.setattr(lexicon, "read_yaml_mapping", counted)
    folder_of(tmp_path, en={"harmless": ["crying boy inn"]}, names={"public_figures": ["zorro"]})
    remappers = [Remapper(categories, tmp_path) for categories in (CATEGORIES, CATEGORIES[:1])]
    assert [len(remapper.risks("Zorro at the crying boy inn")) for remapper in remappers] == [1, 1]
    assert public_figures(tmp_path).found_in("Zorro, of Coca-Cola") == ("Zorro",)
    assert brands(tmp_path).found_in("Zorro, of Coca-Cola") == ("Coca-Cola",)
    assert sorted(read) == ["en.yaml", "names.yaml"]


def test_words_are_replaced_on_demand(tmp_path: Path) -> None:
    names = {"replace": True, "public_figures": ["zorro"], "first_names": [], "brands": {}}
    remapper = remapper_with(tmp_path, names=names)
    assert remapper.risks("Elon Musk in a Tesla") == ()
    assert [risk.words for risk in remapper.risks("Zorro on a horse")] == ["Zorro"]


def test_another_language_is_another_file(tmp_path: Path) -> None:
    remapper = remapper_with(tmp_path, it=ITALIAN)
    assert (
        remapper.softest("Una bambina piange con la donna") == "Campo medio, ambiente tranquillo, espressione minima"
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"categories": {"age": {"nouns": ["child{ren"]}}},
            "categories.age.nouns: 'child{ren' has a brace without its other half",
        ),
        ({"categories": {"age": {"nouns": ["tir+adj"]}}}, "names the paradigm 'adj', which the file does not have"),
        ({"categories": {"age": {"nouns": ["a/b/c"]}}}, "more than one slash"),
        ({"persons": ["!!"]}, "persons: '!!' has a form without a letter"),
        ({"categories": {"colour": {"nouns": ["red"]}}}, "categories.colour"),
        ({"harmles": ["x"]}, "harmles: Extra inputs are not permitted"),
        ({"templates": {"figure": {"any": ""}}}, "figure needs a phrase for `any`"),
        ({"replace": True, **ITALIAN, "conjunctions": []}, "conjunctions"),
        ("- a list", "must hold a mapping"),
        ("a: [b", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(tmp_path: Path, document: object, said: str) -> None:
    told = sentence(tmp_path, en=document)
    assert said in told
    assert str(tmp_path / "en.yaml") in told


def test_a_language_that_is_not_whole_says_what_is_missing(tmp_path: Path) -> None:
    told = sentence(tmp_path, it={"name": "Italian"})
    assert "templates: Field required" in told


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "en.yaml").write_bytes("persons: [Königin]".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        Remapper(CATEGORIES, tmp_path)


def test_the_folder_is_told_from_the_policy_file_and_looked_at_with_it(tmp_path: Path) -> None:
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text("generation: {remapping: {lexicons: words}}")
    services = Services(Settings.model_validate({"policy_file": policy_file}))
    with pytest.raises(ConfigurationError, match="which is not a folder"):
        _ = services.policy
    (tmp_path / "words").mkdir()
    folder_of(tmp_path / "words", en={"harmless": ["crying boy inn"]})
    policy = services.policy.generation.remapping
    assert policy.lexicons == tmp_path / "words"
    assert remapper_for(policy).risks("The Crying Boy Inn") == ()
