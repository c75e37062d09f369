"""What others wrote, on a terminal: shown, and only shown."""

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from video_pipeline.alerts import Alert, Notifier
from video_pipeline.cli import console as streams
from video_pipeline.cli.app import app
from video_pipeline.cli.console import escaped
from video_pipeline.ledger import Ledger
from video_pipeline.services import get_services
from video_pipeline.wire import clean

WORDS = st.text(st.one_of(st.sampled_from("[]/\\ab =:\x1b\x9b\x00\n"), st.characters()), max_size=40)
HOSTILE = "[/x] [link=https://evil.example]here[/link] \x1b]0;title\x07\x9b2J :bomb: \\"


@given(WORDS, WORDS)
def test_words_are_shown_as_they_are_written(before: str, words: str):
    shown = Text.from_markup(f"[bold]{escaped(before)}[/bold] [dim]{escaped(words)}[/dim]", emoji=False)
    assert shown.plain == f"{clean(before)} {clean(words)}"


@given(WORDS)
def test_nothing_steers_the_terminal(words: str):
    out = io.StringIO()
    Console(file=out, emoji=False, width=300).print(escaped(words))
    assert not set(out.getvalue()) & {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))}


def test_both_streams_show_names_of_pictures_as_names():
    assert [str(stream.render_str(":bomb:")) for stream in (streams.console, streams.complaints)] == [":bomb:"] * 2


@pytest.fixture
def ledger_of_commands(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger that commands of this process use."""
    services = get_services()
    monkeypatch.setitem(vars(services), "ledger", ledger)
    return ledger


def _said(*command: str) -> str:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output and "\x9b" not in result.output
    return " ".join(result.output.split())


def test_review_lists_hostile_words(ledger_of_commands: Ledger):
    ledger_of_commands.reviews.open("2026-11-21/clip", "quality", HOSTILE.replace("\x00", ""))
    said = _said("review")
    assert "[/x]" in said and "[link=https://evil.example]" in said


def test_alerts_are_listed_with_what_became_of_them(ledger_of_commands: Ledger):
    assert _said("alerts") == "There was nothing to tell."
    notifier = Notifier([], ledger_of_commands.alerts)
    for _ in range(3):
        notifier.notify(Alert("a", "A clip stopped", HOSTILE, severity="critical"))
    said = _said("alerts")
    assert f"{datetime.now(UTC):%Y-%m-%d}" in said
    assert "[/x]" in said and "not sent: no" in said and "│ 3 │ critical │" in said.replace("  ", " ")
