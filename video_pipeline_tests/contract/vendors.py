"""The vendors that do not exist, put into the tables of those that do, a line each, as a stranger would do it."""

from video_pipeline.generation import PROVIDERS
from video_pipeline.publishing import PLATFORMS
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract import kiln, plaza


def register() -> None:
    """Add them in this process; a test that shares its process with others asks for `vendors_from_outside`."""
    PROVIDERS[kiln.VENDOR.name] = kiln.VENDOR
    PLATFORMS[plaza.VENDOR.name] = plaza.VENDOR


def sold_by_kiln(catalogue: Catalogue) -> Catalogue:
    """The catalogue with every model bought through Kiln: its rows are what a stranger would write."""
    models = tuple(
        model.model_copy(update={"provider": kiln.VENDOR.name, "wire": {"model": model.model}})
        for model in catalogue.models
    )
    anchor = catalogue.anchor_model.model_copy(
        update={"provider": kiln.VENDOR.name, "wire": {"model": catalogue.anchor_model.model}}
    )
    return catalogue.model_copy(update={"models": models, "anchor": anchor})
