"""How a page for people is made: a template of this room, in which every word of others is shown and only shown."""

from importlib import resources
from typing import TYPE_CHECKING, Any

from video_pipeline.wire import clean

if TYPE_CHECKING:
    import jinja2


def template(name: str) -> "jinja2.Template":
    """The HTML template `name`, with the pages' style as `style`."""
    import jinja2

    folder = resources.files("video_pipeline.reports")
    # Every word is escaped by the template's engine, and clean before that.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_cleaned)
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    return environment.from_string(folder.joinpath(name).read_text(encoding="utf-8"), globals={"style": style})


def _cleaned(value: Any) -> Any:
    # What has become markup is ours.
    return clean(value) if type(value) is str else value
