"""`prices`: each price in its own form, and what is refused where no vendor was asked."""

from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from video_pipeline.cli import prices
from video_pipeline.cli.app import app
from video_pipeline.errors import ConfigurationError
from video_pipeline.routing import load_catalogue


def test_every_model_is_listed_with_its_price_and_what_five_seconds_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "console", Console(width=400))
    result = CliRunner().invoke(app, ["prices", "--prices", "list"])
    assert result.exit_code == 0, result.output
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:]]
        for line in result.output.splitlines()
        if len(cells := line.split("│")) > 5
    }
    assert list(rows) == [model.model for model in load_catalogue(sandbox=False).models]
    assert rows["fal-ai/ltx-2.3-distilled"][1] == "480p 0.001205 a megapixel of frames, with sound too"
    assert rows["fal-ai/wan-2.2-a14b"][1] == "480p 0.04, 580p 0.06, 720p 0.08 a second, of 16 frames"
    assert rows["fal-ai/minimax/h3-max-turbo"][1].endswith("with sound too, times 0.5 until 2026-09-30")
    assert rows["fal-ai/kling-3-standard"][1:3] == ["720p 0.084 a second, with sound 720p 0.154", "0.4200"]
    # What is bought for five seconds of it are six.
    assert rows["fal-ai/veo-3.1-lite"][2] == "0.1800"
    assert "unconfirmed" in rows["fal-ai/veo-3.1-lite"][4] and "unconfirmed" not in rows["fal-ai/vidu-q3"][4]


def test_prices_that_no_vendor_told_are_not_written(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["prices", "--prices", "list", "--write", str(tmp_path / "told.yaml")])
    assert isinstance(result.exception, ConfigurationError) and "none was asked" in str(result.exception)
    assert not list(tmp_path.iterdir())
