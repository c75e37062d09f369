"""A price list: laid over the catalogue, it changes what it names, and says what is wrong with it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from video_pipeline.errors import ConfigurationError
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.routing import Catalogue, list_usd, load_prices


def _list(folder: Path, *models: dict[str, Any], **others: Any) -> Path:
    path = folder / "prices.yaml"
    path.write_text(yaml.safe_dump({"models": list(models), **others}))
    return path


def _dash(**price: Any) -> dict[str, Any]:
    return {"model": "sandbox/dash", "price": price}


def test_only_what_a_list_names_is_changed(sandbox_catalogue: Catalogue, tmp_path: Path):
    path = _list(tmp_path, _dash(silent={"108p": "0.5"}), anchor={"usd_per_image": "0.1"})
    changed = load_prices(path, sandbox_catalogue)
    assert changed.name == f"{sandbox_catalogue.name} with prices.yaml"
    assert changed.anchor_model == sandbox_catalogue.anchor_model.model_copy(update={"usd_per_image": Decimal("0.1")})
    dash, was = changed.named("sandbox/dash"), sandbox_catalogue.named("sandbox/dash")
    assert dash.price == was.price.model_copy(update={"silent": {"108p": Decimal("0.5")}})
    assert dash.model_copy(update={"price": was.price}) == was
    others = [model for model in sandbox_catalogue.models if model != was]
    assert [model for model in changed.models if model != dash] == others


def test_the_whole_entry_of_another_model_adds_it(sandbox_catalogue: Catalogue, tmp_path: Path):
    entry = sandbox_catalogue.named("sandbox/dash").model_dump(mode="json") | {"model": "sandbox/new"}
    changed = load_prices(_list(tmp_path, entry), sandbox_catalogue)
    assert changed.models == (*sandbox_catalogue.models, changed.named("sandbox/new"))


def test_an_attempt_has_a_price_where_the_model_and_the_size_are_listed(sandbox_catalogue: Catalogue):
    def usd(model: str, resolution: str, audio: bool) -> Decimal | None:
        order = RenderOrder(
            prompt="a kettle", duration_s=4, orientation=Orientation.PORTRAIT, resolution=resolution, audio=audio
        )
        return list_usd(sandbox_catalogue, model, order)

    silent, heard = (usd("sandbox/steady", "180p", audio) for audio in (False, True))
    assert (silent, heard) == (
        Decimal("0.28"),
        Decimal("0.4"),
    )
    assert (usd("sandbox/steady", "4k", False), usd("gone", "180p", False)) == (None, None)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"models": [_dash(silent={"108p": "0.5"}) | {"model": "dash"}]},
            "model dash, which the catalogue",
        ),
        ({"models": [_dash(usd="0.5")]}, "price.usd: Extra inputs"),
        ({"models": [_dash(silent={"720p": "0.5"})]}, "price.silent must name the sizes"),
        ({"models": {"sandbox/dash": "0.5"}}, "`models` as a list"),
        ({"prices": []}, "has prices at its top"),
    ],
    ids=["unknown model", "unknown price", "unknown size", "no list", "unknown section"],
)
def test_what_is_wrong_with_a_list_is_said(
    sandbox_catalogue: Catalogue, tmp_path: Path, document: dict[str, Any], said: str
):
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigurationError) as caught:
        load_prices(path, sandbox_catalogue)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
