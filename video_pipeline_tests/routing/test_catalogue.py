"""The catalogue: sourced prices, sentences for what is wrong in it, and the sandbox's own price list."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given

import video_pipeline.sandbox
from video_pipeline.briefs import Presenter
from video_pipeline.days import today
from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import PROVIDERS
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, Resolution, Tier, Unit, load_catalogue
from video_pipeline.sandbox.pricelist import PriceList

_PACKAGED = {name: load_catalogue(sandbox=name == "sandbox") for name in ("sandbox", "real")}
packaged = pytest.mark.parametrize("catalogue", _PACKAGED.values(), ids=_PACKAGED.keys())


def _refusal(folder: Path, document: Any) -> str:
    path = folder / "models.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(ConfigurationError) as caught:
        load_catalogue(path, sandbox=True)
    assert str(path) in str(caught.value)
    return str(caught.value)


def _document(catalogue: Catalogue) -> dict[str, Any]:
    return catalogue.model_dump(mode="json")


@packaged
def test_every_packaged_price_has_a_source_and_a_day(catalogue: Catalogue):
    for entry in (*catalogue.models, catalogue.anchor_model):
        assert entry.price_source.strip() and entry.price_checked_on <= today()


@packaged
def test_a_packaged_model_that_sells_sound_can_be_asked_for_it(catalogue: Catalogue):
    for model in catalogue.models:
        size = model.resolutions[0]
        order = RenderOrder(prompt="rain", orientation=Orientation.PORTRAIT)
        if model.talking is not None:
            order = model.spoken(order, "Hello.", Presenter(avatar="an-avatar", voice="a-voice"))
        order = model.ordered(order, model.durations.lengths[-1], size.name, size.size(Orientation.PORTRAIT))
        loud, silent = (
            PROVIDERS[model.provider].translate(order.model_copy(update={"audio": audio}), model.wire)
            for audio in (True, False)
        )
        # What always makes sound must not ask more for it.
        always = model.offers_audio and model.price.sound == model.price.silent
        assert (loud != silent) is model.offers_audio or always


@packaged
def test_every_tier_has_models_and_an_adequate_one_for_every_kind_of_shot(catalogue: Catalogue, policy: Policy):
    for tier in Tier:
        models = catalogue.of_tier(tier)
        assert len(models) >= 2
        kinds = {kind for model in models for kind, value in model.fidelity.items()}
        for kind in kinds:
            assert max(model.fidelity[kind] for model in models) >= policy.routing.adequate_fidelity[tier]


@packaged
def test_every_packaged_size_can_be_upscaled_to_the_delivered_one(catalogue: Catalogue, policy: Policy):
    for model in catalogue.models:
        assert any(
            resolution.short_side * policy.routing.max_upscale_factor >= policy.routing.delivered_short_side
            for resolution in model.resolutions
        )


@packaged
def test_a_catalogue_that_is_written_out_loads_as_it_was(catalogue: Catalogue, tmp_path: Path):
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump(_document(catalogue)))
    assert load_catalogue(path, sandbox=False) == catalogue


def test_the_sandboxs_catalogue_is_the_sandboxs_own_price_list(sandbox_catalogue: Catalogue):
    prices = PriceList(Path(video_pipeline.sandbox.__file__).with_name("models.yaml"))
    for model in sandbox_catalogue.models:
        names = ("engine",) if model.talking else ("text_to_video", "image_to_video")
        for endpoint in (model.wire[name] for name in names):
            sold = prices.model(endpoint)
            assert sold is not None and sold.name == model.model
            (resolution,) = model.resolutions
            assert (resolution.name,) == sold.resolutions
            price = model.price
            assert (price.per, price.silent) == (Unit.SECOND, {resolution.name: sold.usd_per_s})
            assert price.sound.get(resolution.name) == sold.usd_per_s_audio
    still = prices.model(sandbox_catalogue.anchor_model.wire["text_to_image"])
    assert still is not None and still.usd_per_image == sandbox_catalogue.anchor_model.usd_per_image


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"catalogue file .*nowhere\.yaml cannot be read: No such file"):
        load_catalogue(tmp_path / "nowhere.yaml", sandbox=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [("models: [", "is not valid YAML"), ("- a\n- b\n", "must hold a mapping"), ("", "must hold a mapping")],
)
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, content: str, said: str):
    assert said in _refusal(tmp_path, content)


def test_every_wrong_entry_is_named_at_once(sandbox_catalogue: Catalogue, tmp_path: Path):
    document = _document(sandbox_catalogue)
    document["models"][0]["price"]["silent"]["108p"] = "-1"
    document["models"][1]["tier"] = "luxury"
    del document["models"][2]["price_source"]
    document["models"][3]["colour"] = "blue"
    del document["models"][4]["fidelity"]["default"]
    said = _refusal(tmp_path, document)
    for part in (
        "models.0.price.silent.108p: Input should be greater than or equal to 0",
        "models.1.tier: Input should be 'preview'",
        "models.2.price_source: Field required",
        "models.3.colour: Extra inputs are not permitted",
        "models.4.fidelity: Value error, fidelity is missing for default",
    ):
        assert part in said


def test_a_model_that_stands_in_it_twice_is_named(sandbox_catalogue: Catalogue, tmp_path: Path):
    document = _document(sandbox_catalogue)
    document["models"].append(document["models"][0])
    assert "stand in the catalogue twice: sandbox/sprint" in _refusal(tmp_path, document)


def test_an_unknown_model_is_answered_with_those_that_there_are(sandbox_catalogue: Catalogue):
    with pytest.raises(ConfigurationError) as caught:
        sandbox_catalogue.named("sandbox/marathon")
    said = str(caught.value)
    assert "The model sandbox/marathon is not in the catalogue sandbox" in said
    assert all(model.model in said for model in sandbox_catalogue.models)


@given(short_side=st.integers(16, 2160), orientation=st.sampled_from(Orientation))
def test_a_size_is_even_and_has_its_short_side(short_side: int, orientation: Orientation):
    size = Resolution(name="x", short_side=short_side).size(orientation)
    assert all(side % 2 == 0 for side in size)
    assert abs(min(size) - short_side) <= 1
    across, down = {"portrait": (9, 16), "landscape": (16, 9), "square": (1, 1)}[orientation]
    assert abs(size[0] * down - size[1] * across) <= 2 * (across + down)


@pytest.mark.parametrize(
    ("short_side", "multiple_of", "size"), [(480, 32, (480, 832)), (768, 32, (768, 1344)), (720, 16, (720, 1280))]
)
def test_a_network_that_renders_in_blocks_cuts_its_sides_down(short_side: int, multiple_of: int, size):
    resolution = Resolution(name="x", short_side=short_side, multiple_of=multiple_of)
    assert resolution.size(Orientation.PORTRAIT) == size
    assert resolution.size(Orientation.LANDSCAPE) == size[::-1]


def test_the_form_of_0_1_0_is_read_with_its_prices(sandbox_catalogue: Catalogue, tmp_path: Path):
    document = _document(sandbox_catalogue)
    for entry in document["models"]:
        price = entry.pop("price")
        for size in entry["resolutions"]:
            size |= {"usd_per_s": price["silent"][size["name"]], "usd_per_s_audio": price["sound"].get(size["name"])}
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump(document))
    assert load_catalogue(path, sandbox=True) == sandbox_catalogue


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"price": {"silent": {"big": "1"}}}, "price.silent must name the sizes, 108p", id="size"),
        pytest.param(
            {"price": {"silent": {"108p": "1"}, "per": "megapixel_frame"}}, "needs durations in frames", id="frames"
        ),
        pytest.param(
            {"price": {"silent": {"108p": "1"}, "sound": {"big": "1"}}}, "sound is priced for big", id="sound"
        ),
        pytest.param(
            {"price": {"silent": {"108p": "1"}, "per": "video", "minimum_s": 5}}, "for a price a second", id="minimum"
        ),
        pytest.param({"durations": {"min_s": 3, "max_s": 2}}, "must say what lengths there are", id="lengths"),
        pytest.param({"durations": {"frames": {"min": 9, "max": 16, "step": 8, "fps": 24}}}, "a multiple", id="step"),
    ],
)
def test_a_price_that_makes_no_sense_is_told(sandbox_catalogue: Catalogue, tmp_path: Path, changes: Any, said: str):
    document = _document(sandbox_catalogue)
    document["models"][0] |= changes
    assert said in _refusal(tmp_path, document)
