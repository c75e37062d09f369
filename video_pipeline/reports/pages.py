"""How a page for people is made: a template of this room, in which every word of others is shown and only shown."""

from importlib import resources
from typing import TYPE_CHECKING, Any

from video_pipeline.wire import clean

if TYPE_CHECKING:
    import jinja2

CHART_WIDTH = 1040
"""What a page leaves for a chart inside a card, in pixels."""


def template(name: str) -> "jinja2.Template":
    """The HTML template `name`, in the frame and the style that all pages share (`page.html`, `page.css`)."""
    import jinja2

    # Every word is escaped by the template's engine, and clean before that.
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_cleaned,
        loader=jinja2.PackageLoader("video_pipeline.reports", "."),
    )
    style = resources.files("video_pipeline.reports").joinpath("page.css").read_text(encoding="utf-8")
    return environment.get_template(name, globals={"style": style})


def _cleaned(value: Any) -> Any:
    # What has become markup is ours.
    return clean(value) if type(value) is str else value
