"""Another price list: a file of prices laid over the catalogue, for questions of what would be (G4.9)."""

from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from video_pipeline.errors import ConfigurationError
from video_pipeline.orders import RenderOrder
from video_pipeline.policy import explain, read_yaml_mapping
from video_pipeline.routing.catalogue import Catalogue, Model

_SECTIONS = ("name", "anchor", "models")


def load_prices(path: Path, catalogue: Catalogue) -> Catalogue:
    """`catalogue` with the entries of a YAML file laid over it.

    The file is written as a catalogue is, but names only what differs: of a model its name and the fields that
    change, as in `price: {silent: {720p: "0.05"}}`. The whole entry of a model that the catalogue lacks adds that
    model. Raises ConfigurationError naming the file and what is wrong in it.
    """
    changes = read_yaml_mapping(path, what="price list")
    unknown = sorted(str(key) for key in changes if key not in _SECTIONS)
    if unknown:
        raise ConfigurationError(
            f"The price list {path} has {', '.join(unknown)} at its top; it takes only {', '.join(_SECTIONS)}."
        )
    base: dict[str, Any] = catalogue.model_dump(exclude_unset=True)
    document = base | {"name": str(changes.get("name", f"{catalogue.name} with {path.name}"))}
    if "anchor" in changes:
        document["anchor"] = _laid_over(base.get("anchor"), changes["anchor"])
    document["models"] = _models(path, catalogue, base["models"], changes.get("models", []))
    try:
        return Catalogue.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(f"The price list {path} is not valid: {explain(error)}.") from error


def list_usd(catalogue: Catalogue, name: str, order: RenderOrder) -> Decimal | None:
    """What one attempt at an order costs by the catalogue, in US dollars; None of a model or size that it lacks."""
    model = catalogue.find(name)
    size = next((one for one in model.resolutions if one.name == order.resolution), None) if model else None
    if model is None or size is None:
        return None
    return model.usd(size, order.orientation, model.durations.at(order.duration_s), audio=order.audio)


def _models(path: Path, catalogue: Catalogue, base: list[dict[str, Any]], changes: Any) -> list[dict[str, Any]]:
    listed = _entries(changes, "model")
    if listed is None:
        raise ConfigurationError(
            f"The price list {path} must hold `models` as a list of entries that each name a `model`."
        )
    entries = {str(entry["model"]): entry for entry in base}
    for name, change in listed.items():
        if name in entries:
            entries[name] = _laid_over(entries[name], change)
            continue
        try:
            Model.model_validate(change)
        except ValidationError as error:
            raise ConfigurationError(
                f"The price list {path} has the model {name}, which the catalogue {catalogue.name} does not hold; it "
                f"holds {', '.join(entries)}. Correct the name, or write the whole entry of a new model: "
                f"{explain(error)}."
            ) from error
        entries[name] = change
    return list(entries.values())


def _laid_over(base: Any, change: Any) -> Any:
    """`change` over `base`: mappings key by key, lists of named entries name by name, all else as a whole."""
    if isinstance(base, dict) and isinstance(change, dict):
        below, top = cast(dict[str, Any], base), cast(dict[str, Any], change)
        return {**below, **{key: _laid_over(below.get(key), value) for key, value in top.items()}}
    known, changed = _entries(base, "name"), _entries(change, "name")
    if known is not None and changed is not None:
        return list({**known, **{name: _laid_over(known.get(name), one) for name, one in changed.items()}}.values())
    return change


def _entries(value: Any, key: str) -> dict[str, dict[str, Any]] | None:
    """The mappings of a list by what each has under `key`; None where it is no list of such mappings."""
    if not isinstance(value, list | tuple):
        return None
    found: dict[str, dict[str, Any]] = {}
    for one in cast(list[Any], value):
        if not isinstance(one, dict) or key not in one:
            return None
        entry = cast(dict[str, Any], one)
        found[str(entry[key])] = entry
    return found
