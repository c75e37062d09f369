"""The providers' parts of a catalogue: what is wrong with one is said when it is loaded."""

from decimal import Decimal

import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import check_wires
from video_pipeline.routing import Catalogue, Durations, Frames, Price, ReferencePictures, Resolution, load_catalogue


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
        ({"wire": {"text_to_video": "a/b", "duration_as": "nothing"}, "image_to_video": False}, "not say the length"),
        ({"wire": {"text_to_video": "a/b", "duration_as": "frames"}, "image_to_video": False}, "counts frames"),
        ({"durations": Durations(frames=Frames(min=81, max=81, fps=16))}, "takes whole seconds"),
        ({"references": ReferencePictures(most=2)}, "no endpoint for such an order"),
    ],
    ids=[
        "provider",
        "unknown field",
        "no endpoint",
        "no endpoint for a start image",
        "no length",
        "frames of a model without",
        "seconds of a model that counts frames",
        "no field for reference pictures",
    ],
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


def test_of_several_sizes_the_request_must_say_which(sandbox_catalogue: Catalogue) -> None:
    """A size that is left out is the vendor's default, and that may be its dearest."""
    first, *others = sandbox_catalogue.models
    sizes = (Resolution(name="480P", short_side=480), Resolution(name="2K", short_side=1440))
    change = {
        "resolutions": sizes,
        "price": Price(silent={"480P": Decimal("0.05"), "2K": Decimal("0.13")}),
        "wire": first.wire | {"resolution_field": None},
    }
    wrong = sandbox_catalogue.model_copy(update={"models": (first.model_copy(update=change), *others)})
    with pytest.raises(ConfigurationError, match="does not say the size, and there are several"):
        check_wires(wrong)
