"""The tree of error types: drawn as it is, and without a type beside it."""

import importlib
import pkgutil

import video_pipeline
from video_pipeline import errors
from video_pipeline.errors import VideoPipelineError


def _import_everything() -> None:
    for module in pkgutil.walk_packages(video_pipeline.__path__, "video_pipeline."):
        if not module.name.endswith(("__main__", "migrations.env")):
            importlib.import_module(module.name)


def _below(error: type[BaseException]) -> list[type[BaseException]]:
    """Subclasses that the package defines, by name."""
    own = [child for child in error.__subclasses__() if child.__module__.startswith("video_pipeline.")]
    return sorted(own, key=lambda child: child.__name__)


def _drawn(error: type[BaseException], depth: int = 1) -> list[str]:
    lines = ["    " * depth + error.__name__]
    for child in _below(error):
        lines += _drawn(child, depth + 1)
    return lines


def _all_below(error: type[BaseException]) -> set[type[BaseException]]:
    found = set(error.__subclasses__())
    return found.union(*(_all_below(child) for child in found))


def test_the_tree_is_drawn_as_it_is() -> None:
    _import_everything()
    assert "\n".join(_drawn(VideoPipelineError)) + "\n" in (errors.__doc__ or "")


def test_no_error_of_ours_stands_beside_the_tree() -> None:
    """The sandbox is the far side of the wire: what it raises inside never reaches the pipeline.

    A private one is caught in the module that raises it.
    """
    _import_everything()
    beside = {
        error.__qualname__
        for error in _all_below(Exception)
        if error.__module__.startswith("video_pipeline.")
        and not error.__module__.startswith("video_pipeline.sandbox.")
        and not error.__name__.startswith("_")
        and not issubclass(error, VideoPipelineError)
    }
    assert beside == set()
