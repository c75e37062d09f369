"""What the papers say: requirements that are explained, links that lead somewhere, the graph as it is drawn."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from video_pipeline.definitions import defs
from video_pipeline.quality import CHECKS, Gate

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
CODE = sorted(
    path
    for folder in ("video_pipeline", "video_pipeline_tests", "benchmarks", "docs", "deploy")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".yaml", ".md", ".html", ".mako"}
)
_ID = re.compile(r"\b(?:G[1-4]\.\d+a?|Q\d|S[12]|P\d|O\d)\b")
# S3 in a text is a store, so ids count only where they stand in brackets.
_BRACKETS = re.compile(r"[(\[]((?:[^()\[\]]|\(\d\))*)[)\]]")
_EXPLAINED = re.compile(r"^\| (\S+) \| .+\. ?(?:\*.+\*)? ?\|$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Papers that were once referred to and that no reader of the repository has.
_ELSEWHERE = re.compile(r"\b(?:MISSION|DESIGN)\b|\breference/\w+\.md\b")


def test_every_requirement_that_the_code_names_is_explained_once() -> None:
    explained = [name for name in _EXPLAINED.findall(ARCHITECTURE.read_text()) if _ID.fullmatch(name)]
    assert sorted(explained) == sorted(set(explained))
    named = {(name, _place(path)) for path in CODE for name in _ids(path.read_text())}
    assert {(name, place) for name, place in named if name not in explained} == set()
    assert len({name for name, _ in named}) > 30


def test_no_paper_is_referred_to_that_is_not_in_the_repository() -> None:
    files = [path for path in (*CODE, *PAPERS, ROOT / "pyproject.toml", ROOT / "Makefile") if path != Path(__file__)]
    assert {_place(path): found for path in files if (found := _ELSEWHERE.findall(path.read_text()))} == {}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: _place(path))
def test_every_link_leads_somewhere(paper: Path) -> None:
    dead = []
    for link in _LINK.findall(paper.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        place = (paper.parent / target).resolve() if target else paper
        if not place.exists() or (anchor and anchor not in _anchors(place)):
            dead.append(link)
    assert dead == []


def test_every_room_is_in_the_architecture_and_in_the_readme() -> None:
    rooms = {path.parent.name for path in (ROOT / "video_pipeline").glob("*/__init__.py")}
    for paper in (ARCHITECTURE, ROOT / "README.md"):
        assert {room for room in rooms if f"`{room}/`" not in paper.read_text()} == set(), _place(paper)


def test_the_drawn_graph_is_the_graph() -> None:
    """Edges of `-->`; the dotted ones are state that goes by the ledger."""
    drawing = ARCHITECTURE.read_text().split("```mermaid")[1].split("```")[0]
    drawn = set()
    for line in re.sub(r"\(\[\w+\]\)", "", drawing).splitlines():
        steps = [step.split("&") for step in line.split("-->")]
        for sources, targets in pairwise(steps):
            drawn |= {(source.strip(), target.strip()) for source in sources for target in targets}
    graph = defs().resolve_asset_graph()
    edges = {
        (parent.to_user_string(), key.to_user_string())
        for key in graph.get_all_asset_keys()
        for parent in graph.get(key).parent_keys
        if parent != key
    }
    assert drawn == edges
    rows = re.findall(r"^\| \w+(?:, weekly| \(weekly\))? \| ([^|]+) \|", ARCHITECTURE.read_text(), re.MULTILINE)
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert names <= set(re.findall(r"`(\w+)`", " ".join(rows)))


def test_every_recipe_names_files_that_there_are() -> None:
    """Names with capitals (NAME, NNNN) stand for what the change adds."""
    recipes = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`([a-z_0-9./]+\.(?:py|yaml|md|lock|toml)|[a-z_]+/)`", recipes))
    under = [ROOT, ROOT / "video_pipeline", ROOT / "video_pipeline_tests", ROOT / "video_pipeline_tests" / "contract"]
    under += [ROOT / "video_pipeline_tests" / "upgrade"]
    assert {name for name in named if not any((folder / name).exists() for folder in under)} == set()


def test_every_make_target_that_a_paper_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {target for paper in PAPERS for target in re.findall(r"`make ([a-z-]+)", paper.read_text())}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    named |= set(re.findall(r"entry: make ([a-z-]+)", hooks))
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_the_hooks_check_what_lint_checks() -> None:
    """`make lint` is what CI runs; a part that is added to it is added to the hooks."""
    makefile = (ROOT / "Makefile").read_text()
    parts = re.search(r"^lint: (.+)$", makefile, re.MULTILINE)
    assert parts
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(parts[1].split()) == set(re.findall(r"entry: make (lint-[a-z]+)", hooks))


def _ids(text: str) -> Iterator[str]:
    for inside in _BRACKETS.findall(text):
        yield from _ID.findall(inside)


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _anchors(paper: Path) -> set[str]:
    """The names that headings have in the web view of a Markdown file."""
    titles = _HEADING.findall(paper.read_text())
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_table_of_checks_is_in_the_papers_as_it_is() -> None:
    told = dict(
        re.findall(
            r"^\| `(\w+)` \| (?:[^|]+\|){2} (.+) \|$", (ROOT / "docs" / "quality.md").read_text(), re.MULTILINE
        )
    )
    assert told == {row.name.value: " | ".join(row.follows.get(gate, "not asked") for gate in Gate) for row in CHECKS}
