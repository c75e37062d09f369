"""The providers' parts of a catalogue: what is wrong with one is said when it is loaded."""

import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import check_wires
from video_pipeline.routing import Catalogue, load_catalogue


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_packaged_catalogues_are_right(sandbox: bool) -> None:
    catalogue = load_catalogue(sandbox=sandbox)
    assert check_wires(catalogue) is catalogue


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"provider": "nobody"}, "names the provider nobody, which there is not; there are "),
        ({"wire": {"text_to_video": "a/b", "length_field": "x"}}, "length_field: Extra inputs are not permitted"),
        ({"wire": {}}, "no endpoint for such an order"),
        ({"wire": {"text_to_video": "a/b"}, "image_to_video": True}, "no endpoint for such an order"),
    ],
    ids=["provider", "unknown field", "no endpoint", "no endpoint for a start image"],
)
def test_a_wrong_entry_is_named(sandbox_catalogue: Catalogue, change: dict, said: str) -> None:
    first, *others = sandbox_catalogue.models
    wrong = sandbox_catalogue.model_copy(update={"models": (first.model_copy(update=change), *others)})
    with pytest.raises(ConfigurationError) as caught:
        check_wires(wrong)
    assert f"The entry {first.model} of the catalogue sandbox" in str(caught.value)
    assert said in str(caught.value)


def test_the_picture_model_is_checked_too(sandbox_catalogue: Catalogue) -> None:
    anchor = sandbox_catalogue.anchor_model.model_copy(update={"wire": {"text_to_video": "a/b"}})
    with pytest.raises(ConfigurationError, match=sandbox_catalogue.anchor_model.model):
        check_wires(sandbox_catalogue.model_copy(update={"anchor": anchor}))
