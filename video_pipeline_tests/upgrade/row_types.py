"""The row type of every table asset, found through the asset graph; and the models that a row is made of."""

from collections.abc import Iterator

import dagster as dg
from pydantic import BaseModel

from video_pipeline.definitions import build_defs
from video_pipeline.defs.tables import ROW_TYPE


def row_types() -> dict[str, type[BaseModel]]:
    """Row type of every table asset, by the asset's name."""
    found = {}
    for assets in build_defs().assets or ():
        if isinstance(assets, dg.AssetsDefinition):
            artifact = assets.metadata_by_key[assets.key][ROW_TYPE]
            found[assets.key.to_user_string()] = _import(artifact)
    return found


def models_in(value: object) -> Iterator[BaseModel]:
    """Every model in a value, itself among them."""
    if isinstance(value, BaseModel):
        yield value
        for _, inner in value:
            yield from models_in(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from models_in(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from models_in(inner)


def _import(artifact: dg.PythonArtifactMetadataValue) -> type[BaseModel]:
    return getattr(__import__(artifact.module, fromlist=[artifact.name]), artifact.name)
